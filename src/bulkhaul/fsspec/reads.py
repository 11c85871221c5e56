"""Reads parts of objects into memory, as slices of Python: cut at the end of the object."""

from __future__ import annotations

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.errors import RangeNotSatisfiable
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectRef

WHOLE_BYTES = MIB
"""An object that is shorter is read whole: what is too much of it takes less time than to ask for its length."""


async def part(aio: AsyncEngine, ref: ObjectRef, start: int, end: int | None, version_id: str) -> bytes:
    """Return the bytes that ``[start:end]`` of the whole object would be, as Python slices: cut at its end."""
    if end is not None and 0 <= start < end:
        try:  # one request, where the object is long enough
            return await aio.control.read(ref, start, end, version_id=version_id)
        except RangeNotSatisfiable:  # it ends before, so all of it is less than that
            if end <= WHOLE_BYTES:
                return (await aio.get_bytes(ref, version_id=version_id))[start:end]
    head = await aio.head(ref, version_id=version_id)
    start, end, _ = slice(start, end).indices(head.size)
    return await aio.control.read(ref, start, end, etag=head.etag, version_id=version_id) if start < end else b""
