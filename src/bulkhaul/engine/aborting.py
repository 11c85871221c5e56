"""Gives a multipart upload up until nothing of it is left; it must not know journals, or why it is given up."""

from __future__ import annotations

import asyncio

from bulkhaul.engine.asking import Desk
from bulkhaul.engine.protocol import AbortUpload, ListParts
from bulkhaul.model.errors import NotFound
from bulkhaul.model.objects import ObjectRef

ABORTS = 6
"""Aborts of one upload at most. AWS: a part that was under way may land after an abort; abort until none is listed."""

ABORT_PAUSE_S = 0.2


async def abort_until_gone(desk: Desk, ref: ObjectRef, upload_id: str, *, looks: int = 1) -> bool:
    """Abort an upload until the service lists no part of it; one that is gone already is no error.

    Args:
        looks: listings in a row that must be empty; two where parts were under way a moment ago.

    Returns:
        Whether nothing is left of it.

    Raises:
        TransferError: the service refused.
    """
    empty = 0
    for attempt in range(ABORTS):
        if attempt:
            await asyncio.sleep(ABORT_PAUSE_S * attempt)
        await desk.ask(AbortUpload(ref.bucket, ref.key, upload_id), ref.url)
        empty = 0 if await _has_parts(desk, ref, upload_id) else empty + 1
        if empty == looks:
            return True
    return False


async def _has_parts(desk: Desk, ref: ObjectRef, upload_id: str) -> bool:
    try:
        return bool((await desk.ask(ListParts(ref.bucket, ref.key, upload_id), ref.url)).uploaded)
    except NotFound:
        return False
