"""Declares the options that say how two places are compared, for verify and for jobs of that kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.click_extensions import adding, section

if TYPE_CHECKING:
    from bulkhaul.jobs.verify_options import VerifyOptions

_comparison = section("Comparison")

comparison_options = adding(
    _comparison(
        "--compare",
        metavar="LIST",
        help="size, etag or checksum; between buckets also metadata and tags, with commas between them."
        "  [default: checksum]",
    ),
    _comparison("--read", is_flag=True, help="Read both sides through where nothing cheaper decides."),
    _comparison("--read-all", is_flag=True, help="Read both sides through, whatever checksums are stored."),
)


def take_comparison(given: dict[str, Any], kind: str) -> VerifyOptions | None:
    """Remove the options from ``given``; return how a job compares, None for those of another kind.

    Raises:
        click.UsageError: they are given for another kind.
        UsageError: they make no sense.
    """
    compare, read, read_all = given.pop("compare"), given.pop("read"), given.pop("read_all")
    if kind != "verify":
        if compare is not None or read or read_all:
            raise click.UsageError("--compare, --read and --read-all go with --kind verify.")
        return None
    from bulkhaul.jobs.verify_options import VerifyOptions

    return VerifyOptions(compare=compare or "checksum", read=read, read_all=read_all)
