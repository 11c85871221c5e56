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


@pytest.mark.parametrize("columns", [40, 51, 52, 80])
def test_what_options_mean_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples, which are copied as they stand, and names of options may run over the edge."""
    monkeypatch.setenv("COLUMNS", str(columns))
    context, meanings = click.Context(cli, info_name="bulkhaul"), list[str]()
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        with command.make_context(name, [], parent=context, resilient_parsing=True) as own:
            page = command.get_help(own)
        meanings += re.findall(r"^ {8,}\S.*$", page, re.MULTILINE)
    assert len(meanings) > 100
    assert max(map(len, meanings)) <= columns
    assert max(map(len, cli.make_context("bulkhaul", [], resilient_parsing=True).get_help().splitlines())) <= columns
