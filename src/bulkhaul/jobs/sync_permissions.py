"""Tries what a sync would find missing at its end only, or with each object; listing, GET and PUT show at once."""

from __future__ import annotations

from collections.abc import Collection

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.permissions import check_permissions
from bulkhaul.jobs.places import ObjectSide, Sides
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.model.preserving import Kept
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.permissions import Side, needed
from bulkhaul.policy.selection import selector

_AT_ONCE = frozenset({"s3:GetObject", "s3:PutObject"})


async def require_late_permissions(
    engine: AsyncEngine,
    origin: AsyncEngine,
    sides: Sides,
    options: SyncOptions,
    *,
    preserve: Collection[Kept],
    stored: ObjectOptions | None,
) -> None:
    """Make sure that nothing is missing of what a sync preserves and deletes; a dry run tries what reads.

    Args:
        origin: asks the service of the source.

    Raises:
        MissingPermission: the message names the action, and where it is needed.
    """
    places: dict[Side, tuple[str, str]] = {}
    if isinstance(sides.source, ObjectSide):
        places["source"] = (sides.source.bucket, sides.listed)
    if isinstance(sides.destination, ObjectSide):
        places["destination"] = (sides.destination.bucket, sides.destination.base)
    deletes = options.delete and "destination" in places
    late = needed([sides.action], preserve=preserve, deletes=deletes)
    takes = selector(sides.selection, options.include, options.exclude)
    base = sides.source.base
    await check_permissions(
        engine,
        [need for need in late if need.action not in _AT_ONCE],
        source=places.get("source"),
        destination=places.get("destination"),
        origin=origin,
        stored=stored,
        takes=lambda key: takes(key.removeprefix(base)),
        writes=not options.dry_run,
    )
