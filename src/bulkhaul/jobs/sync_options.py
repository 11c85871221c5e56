"""Defines how a sync is done, and what it has seen; apart from the rest, so that commands need not wait for that."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bulkhaul.model.archives import RestoreCounts, RestoreOptions
from bulkhaul.model.preserving import Kept


class SyncOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a sync is done.

    Attributes:
        delete: delete at the destination what the source does not have.
        max_delete: at most so many, ``N``, or so much of what the destination has, ``N%``; if it would be more, nothing
            is deleted. Empty for no limit, but then an empty source deletes nothing.
        compare: a comma list of ``size``, ``mtime``, ``etag``, ``checksum``.
        include, exclude: patterns for the paths below both sides.
        follow_symlinks: take what links of a local source lead to; else leave them out. With the setting
            ``store_links`` they are stored, and made, themselves.
        dir_markers: make empty folders of objects that mark folders, and the other way round.
        preserve: what copies between buckets keep, or fail; uploads and downloads keep what the settings
            ``preserve_times`` and ``preserve_mode`` say.
        restore: how archived objects of the source are brought back; None leaves each of them a failure.
        dry_run: tell what would be done, and do nothing.
    """

    delete: bool = False
    max_delete: str = ""
    compare: str = "size,mtime"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    follow_symlinks: bool = True
    dir_markers: bool = False
    preserve: frozenset[Kept] = frozenset()
    restore: RestoreOptions | None = None
    dry_run: bool = False


class SyncCounts(msgspec.Struct):
    """What a sync has seen so far.

    Attributes:
        compared: names that both sides have.
        unchanged: those of them that do not differ.
        found: names that the source has, as far as they are selected, and not left out for what they are.
        costs: of a dry run: requests by class, as ``policy.costs`` tells them, and bytes by route.
        at_destination: names that the destination has, as far as they are selected.
        restores: what became of archived objects.
    """

    compared: int = 0
    unchanged: int = 0
    found: int = 0
    at_destination: int = 0
    costs: dict[str, int] = {}
    restores: RestoreCounts = msgspec.field(default_factory=RestoreCounts)
