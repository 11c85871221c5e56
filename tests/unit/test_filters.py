"""Filters mean what aws-cli's do: the last one that matches wins."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.filter_options import filter_options
from bulkhaul.jobs.describing import described
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.filters import Filter, Filters, in_order, two_lists

NAMES = ["test-123.txt", "test-321.txt", "test.txt", "test/foo.txt", "a.md"]


def taken(options: str, root: str = "") -> list[str]:
    """Return which names a command line's filters take."""
    filters: list[Filters] = []

    @click.command(cls=SectionedCommand)
    @filter_options(click.option)
    def command(include: tuple[str, ...], exclude: tuple[str, ...]) -> None:
        filters.append(Filters(include, exclude, root=root))

    result = CliRunner().invoke(command, options.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [name for name in NAMES if filters[0].takes(name)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", NAMES),
        ("--exclude *", []),
        ("--exclude * --include *.md", ["a.md"]),
        ("--include *.md --exclude *", []),
        ("--exclude *.txt --include *", NAMES),
        ("--exclude test/* --include test/foo.txt", NAMES),
        ("--exclude * --include test/* --exclude *foo*", []),
        ("--exclude test-[1]*", ["test-321.txt", "test.txt", "test/foo.txt", "a.md"]),
        ("--exclude test-[!1]*", ["test-123.txt", "test.txt", "test/foo.txt", "a.md"]),
        ("--exclude=*.txt", ["a.md"]),
        # Alone, or first, --include selects, as s5cmd has it; aws-cli would take all.
        ("--include *.md", ["a.md"]),
        ("--include test* --exclude *-1*", ["test-321.txt", "test.txt", "test/foo.txt"]),
    ],
)
def test_the_last_filter_that_matches_wins(options: str, expected: list[str]) -> None:
    """The order of the command line counts. Source: aws-cli, topic s3-filters, and awscli's test_filegenerator."""
    assert taken(options) == expected


def test_a_pattern_may_be_an_absolute_path() -> None:
    """As in aws-cli it is matched against the whole path of a local file."""
    assert taken("--exclude /data/run/test/*", root="/data/run") == [name for name in NAMES if name != "test/foo.txt"]
    assert taken("--exclude /data/*/test/*", root="/data/run") == [name for name in NAMES if name != "test/foo.txt"]
    assert taken("--exclude /other/*", root="/data/run") == NAMES


@pytest.mark.parametrize("pattern", ["!a", "\\!a", "\\a", "\\\\a", "a!", "*"])
def test_two_lists_keep_any_pattern_as_it_is(pattern: str) -> None:
    """Whatever a pattern begins with, the lists that a job keeps say the same as the command line."""
    filters = [Filter(False, pattern), Filter(True, pattern), Filter(False, pattern)]
    assert in_order(*two_lists(filters)) == filters
    assert in_order(*two_lists(filters[1:])) == filters[1:]


def test_the_deciding_filter_is_named() -> None:
    """People are told which of several it was, as it was typed, and its place among them."""
    filters = Filters([], ["*", "!*.txt"])
    assert filters.reason("a.txt") == "--include '*.txt', filter 2 of 2, is the last that matches it"
    assert filters.reason("a.md") == "--exclude '*', filter 1 of 2, is the last that matches it"
    twice = Filters(["a*"], ["!a*", "!a*", "\\!b\\*"])
    assert twice.reason("ab") == "--include 'a*', filter 3 of 4, is the last that matches it"
    assert twice.reason("!b\\c") == r"--exclude '!b\*', filter 4 of 4, is the last that matches it"
    assert Filters().reason("a") == "no filter is given"
    assert Filters([], ["*.o"]).reason("a") == "no filter matches it"
    assert Filters(["*.o"]).reason("a") == "no --include matches it"


@pytest.mark.parametrize("given", ["*.tmp", b"*.tmp"])
def test_one_text_is_no_list_of_filters(given: Any) -> None:
    """One text is refused: as a list of its characters it would have a ``*``, which takes everything."""
    with pytest.raises(UsageError, match=r"not one text; write \[b?'\*\.tmp'\]"):
        Filters(given)
    with pytest.raises(UsageError, match="not one text"):
        Filters((), given)
    with pytest.raises(UsageError, match="not one text"):
        described("s3://bucket-1/", "s3://bucket-2/", kind="copy", include=given)
