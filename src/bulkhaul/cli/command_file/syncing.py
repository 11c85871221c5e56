"""Reads a line that syncs as s5cmd means it: a prefix ends in a slash or is a pattern, and all else is one object."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from bulkhaul.cli.transfer_arguments import SCHEME, WILDCARD
from bulkhaul.model.errors import UsageError

_SIZE_ONLY = ("--size-only", "-size-only")


def sync_words(arguments: Sequence[str], parsed: click.Context) -> tuple[str, list[str], dict[str, Any]]:
    """Return the command that a line which syncs comes to, its words, and parameters that are other than those say.

    Of one object or file that is ``cp``, which replaces what differs; of everything else ``sync``.

    Args:
        parsed: what sync makes of the words.

    Raises:
        UsageError: it means something that bulkhaul cannot do.
    """
    if parsed.params["job_name"] is not None:
        raise UsageError("--job goes with a command of its own, and not with a line")
    paths = parsed.params["paths"]
    if len(paths) != 2:
        return "sync", list(arguments), {}  # which says what is missing
    if _is_one(paths[0]):
        if parsed.params["delete"]:
            raise UsageError("--delete means nothing for one object; end a prefix or a folder in a slash")
        rule = "if_size_differs" if parsed.params["size_only"] else "if_differs"
        return "cp", [word for word in arguments if word not in _SIZE_ONLY], {rule: True}
    return "sync", list(arguments), {}


def _is_one(source: str) -> bool:
    if source.startswith(SCHEME):
        key = source.removeprefix(SCHEME).partition("/")[2]
        return bool(key) and not key.endswith("/") and not WILDCARD.search(key)
    return os.path.lexists(source) and not os.path.isdir(source)
