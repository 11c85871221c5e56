"""Defines what counts when two sides are compared for good, and reads it from a command line."""

from __future__ import annotations

from typing import Literal

import msgspec

from bulkhaul.model.errors import UsageError

Level = Literal["size", "etag", "checksum"]

LEVELS: tuple[Level, ...] = ("size", "etag", "checksum")
"""What bytes are compared by; each includes the ones before it."""

EXTRAS = ("metadata", "tags")
"""What is compared beside the bytes, of objects."""


class Rules(msgspec.Struct, frozen=True):
    """What counts.

    Attributes:
        level: ``size``; ``etag``: no stored checksums; ``checksum``: everything.
        read: read both sides where nothing else decides.
        read_all: read both sides whatever else is known.
        part_size_bytes: of the uploads in parts, where somebody says.
    """

    level: Level = "checksum"
    read: bool = False
    read_all: bool = False
    part_size_bytes: int | None = None


def parse_rules(
    compare: str, *, read: bool = False, read_all: bool = False, part_size_bytes: int | None = None
) -> tuple[Rules, frozenset[str]]:
    """Return the rules that a comma list names, and what else of ``EXTRAS`` is compared.

    >>> parse_rules("checksum,tags")[1]
    frozenset({'tags'})

    Raises:
        UsageError: it names something else, or two levels.
    """
    named = [word.strip() for word in compare.split(",")]
    for word in named:
        if word not in (*LEVELS, *EXTRAS):
            raise UsageError(f"{word!r} is no way to compare; choose from {', '.join((*LEVELS, *EXTRAS))}")
    levels = [level for level in LEVELS if level in named]
    if len(levels) > 1:
        raise UsageError(f"{' and '.join(levels)} exclude each other; the later one includes the earlier")
    level: Level = levels[0] if levels else "checksum"
    if level == "size" and (read or read_all):
        raise UsageError("where only sizes are compared nothing is read; leave --compare size or --read out")
    return Rules(level, read, read_all, part_size_bytes), frozenset(named) & frozenset(EXTRAS)
