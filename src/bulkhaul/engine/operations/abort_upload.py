"""Aborts a multipart upload, again and again until the service lists no part of it.

    abort ─▶ look for parts ─▶ none: gone
      ▲            ╰─ some are listed: they arrived after the abort ─╮
      ╰─────────────────────────── pause ────────────────────────────╯

Where parts may not be listed, the aborts that the service has confirmed must do.
"""

from __future__ import annotations

import asyncio

import msgspec

from bulkhaul.engine.messages.requests import AbortUpload, ListParts
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.errors import WRONG_KEYS, NotFound, OtherError, TransferError
from bulkhaul.model.objects import ObjectRef

ABORTS = 6
"""Aborts of one upload at most. AWS: a part that was under way may land after an abort; abort until none is listed."""

ABORT_PAUSE_S = 0.2
"""The first pause between two aborts; each further one is longer by as much."""


class Aborted(msgspec.Struct, frozen=True):
    """What became of an upload that the service has confirmed to be aborted.

    Attributes:
        gone: nothing of it is left, as far as can be seen.
        unseen: why the search for parts that are left failed; None if it did not.
    """

    gone: bool
    unseen: TransferError | None = None


def not_offered(error: TransferError) -> bool:
    """Whether the service lacks an operation or these credentials may not use it, so that a second try is useless."""
    info = error.info
    if info.code == "AccessDenied":
        return info.service_code not in WRONG_KEYS
    return info.code == "Unsupported" or (info.code, info.status) in (("ServerError", 500), ("OtherError", 400))


def parts_left(subject: str) -> OtherError:
    """Return the error for an upload of which every abort has left something."""
    return OtherError("parts of the upload are listed however often it is aborted; try again later", subject)


async def abort_until_gone(
    requests: Requests, ref: ObjectRef, upload_id: str, *, looks: int = 1, listable: bool = True
) -> Aborted:
    """Abort an upload until the service lists no part of it. An upload that is gone already is no error.

    Args:
        looks: how many listings in a row must be empty: two where parts were under way a moment ago. Where parts
            cannot be listed, how many aborts are sent.
        listable: parts may be listed; False where the service is known to refuse that.

    Raises:
        TransferError: the service has confirmed no abort.
    """
    empty, confirmed = 0, False
    for attempt in range(ABORTS):
        if attempt:
            await asyncio.sleep(ABORT_PAUSE_S * attempt)
        try:
            await requests.ask(AbortUpload(ref.bucket, ref.key, upload_id), ref.url)
            confirmed = True
            left = await _has_parts(requests, ref, upload_id) if listable else None
            listable = left is not None
            empty = 0 if left else empty + 1
        except TransferError as error:
            if not confirmed:
                raise
            return Aborted(gone=False, unseen=error)
        if empty == looks:
            return Aborted(gone=True)
    return Aborted(gone=False)


async def _has_parts(requests: Requests, ref: ObjectRef, upload_id: str) -> bool | None:
    """Return whether any part is listed, None if parts may not be listed."""
    try:
        return bool((await requests.ask(ListParts(ref.bucket, ref.key, upload_id), ref.url)).parts)
    except NotFound:
        return False
    except TransferError as error:
        if not_offered(error):
            return None
        raise
