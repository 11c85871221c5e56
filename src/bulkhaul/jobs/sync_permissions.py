"""Tries what a sync would miss at its end only, or with each object; listings, GETs and PUTs show at once."""

from __future__ import annotations

from collections.abc import Collection

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.permissions import check_permissions
from bulkhaul.jobs.places import ObjectSide, Sides
from bulkhaul.model.preserving import Kept
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.permissions import Side, needed


async def require_for_sync(
    engine: AsyncEngine,
    origin: AsyncEngine,
    sides: Sides,
    *,
    delete: bool,
    preserve: Collection[Kept],
    stored: ObjectOptions | None,
    writes: bool = True,
) -> None:
    """Return if nothing is found missing.

    Args:
        origin: asks for the source.
        delete: what only the destination has is to be deleted.
        writes: False to try only what reads.

    Raises:
        MissingPermission: the message names the action, and where it is needed.
        TransferError: a side cannot be asked at all.
    """
    places: dict[Side, tuple[str, str]] = {}
    if isinstance(sides.source, ObjectSide):
        places["source"] = (sides.source.bucket, sides.listed)
    if isinstance(sides.destination, ObjectSide):
        places["destination"] = (sides.destination.bucket, sides.destination.base)
    late = needed([sides.action], preserve=preserve, deletes=delete and "destination" in places)
    await check_permissions(
        engine,
        [need for need in late if need.action not in ("s3:GetObject", "s3:PutObject")],
        source=places.get("source"),
        destination=places.get("destination"),
        origin=origin,
        stored=stored,
        writes=writes,
    )
