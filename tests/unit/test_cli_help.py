"""The help pages: what a command has of its own comes first, how to get help last."""

from __future__ import annotations

import re

import click
import pytest

from bulkhaul.cli.group import cli


def headings(name: str) -> list[str]:
    """Return the headings of a command's help page, in order."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    page = command.get_help(click.Context(command, info_name=name))
    return re.findall(r"^([A-Z][A-Za-z ]+):$", page, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ls", ["Options", "Connection", "Output", "Other"]),
        ("rm", ["Options", "Connection", "Output", "Other"]),
        ("cat", ["Selection", "Integrity", "Speed", "Connection", "Output", "Other"]),
        ("completion", ["Options", "Other"]),
    ],
)
def test_own_options_come_first(name: str, expected: list[str]) -> None:
    """Options without a heading of their own stand above the common ones, --help below them; none is empty."""
    assert headings(name) == expected


def test_every_command_fits_its_line() -> None:
    """The list of commands has one line for each, on a terminal of 80 columns."""
    page = cli.get_help(click.Context(cli, info_name="bulkhaul", terminal_width=80))
    lines = page.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == cli.list_commands(click.Context(cli))
