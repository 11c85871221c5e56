"""Declares the options that say what becomes of symbolic links, and makes one choice of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.click_extensions import adding, section

if TYPE_CHECKING:
    from collections.abc import Sequence

_selection = section("Selection")

symlinks_option = _selection(
    "--symlinks",
    type=click.Choice(["follow", "skip", "store"]),
    help="The same as follow or skip; store: a link is an object NAME.rclonelink, and a download makes it again.",
)

link_options = adding(
    _selection(
        "--follow-symlinks/--no-follow-symlinks",
        "follow_symlinks",
        default=None,
        help="Upload what symbolic links lead to, or leave them out, SRC itself too.  [default: follow them; mv enters"
        " no links to folders]",
    ),
    symlinks_option,
)
"""Of cp and mv."""

followed_options = adding(
    _selection(
        "--follow-symlinks/--no-follow-symlinks",
        "follow_symlinks",
        default=None,
        help="Upload what symbolic links lead to, or leave them out.  [default: follow them]",
    ),
    symlinks_option,
)
"""Of what takes folders only."""


stored_links_option = _selection(
    "--symlinks",
    type=click.Choice(["store"]),
    help="Of all lines: a link is an object NAME.rclonelink, and a download makes it again.",
)
"""Of ``run``, whose lines share one engine."""


def take_links(given: dict[str, Any], *, download: bool, several: bool = False, sources: Sequence[str] = ()) -> None:
    """Make of ``--symlinks`` what ``--follow-symlinks`` says, and the setting that has links stored.

    Args:
        given: the options, with what ``take_choice`` has made of them.
        sources: what is transferred, for what links can be stored of.

    Raises:
        click.UsageError: it says two things, or nothing that this transfer can do.
    """
    said = given.pop("symlinks", None)
    given["links_stored"] = said == "store"  # beside the setting, which goes to the engine
    if said is None:
        return
    if given["follow_symlinks"] is not None:
        raise click.UsageError("--symlinks and --follow-symlinks say the same; leave one of the two out.")
    if said == "store":
        unsure = [source for source in sources if not _holds_no_link(source, given)]
        if unsure and (several or given.get("choice")):
            text = (
                f"--symlinks store takes one SRC, and nothing that chooses by what exists at DEST, where there may be"
                f" links: {unsure[0]}. Transfer it by itself, without -n, -s, -u, --if-etag-differ and --flatten, or by"
                " sync; or leave --symlinks store out."
            )
            raise click.UsageError(text)
        given["store_links"] = True
    elif download:
        raise click.UsageError(f"--symlinks {said} means nothing for a download.")
    given["follow_symlinks"] = said == "follow"


def _holds_no_link(source: str, given: dict[str, Any]) -> bool:
    """Whether a source is surely one file or one object, and neither a link nor stored as one."""
    from bulkhaul.policy.links import names_link
    from bulkhaul.policy.selection import parse_source

    if names_link(source):
        return False
    if not source.startswith("s3://"):
        return os.path.isfile(source) and not os.path.islink(source)
    return not parse_source(source, recursive=given["recursive"], literal=given["raw"], marker=given["raw"]).many
