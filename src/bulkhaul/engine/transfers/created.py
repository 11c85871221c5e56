"""Creates an object unless it exists, so that no call loses against its own retry.

Each call puts a token into the object's metadata. Where the reply to a write was lost, a HEAD tells by it whose the
object is. It is asked for only where that is open: after a first try that was answered, only if the answer was a 409
that names no other writer.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from bulkhaul.engine.transfers.result import stored_result
from bulkhaul.model.errors import Conflict, NetworkError, NotFound, OtherError, PreconditionFailed, TransferError
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions, Stored

ANOTHER_WRITER = "ConditionalRequestConflict"
"""The code of the one 409 that says so. Source: S3 API, PutObject, If-None-Match."""

_log = logging.getLogger("bulkhaul")

Write = Callable[[ObjectOptions], Awaitable[TransferResult]]
Head = Callable[[ObjectRef], Awaitable[ObjectHead]]


async def created(write: Write, head: Head, ref: ObjectRef, options: ObjectOptions, size_bytes: int) -> TransferResult:
    """Create an object by a write that fails if it exists.

    Args:
        write: puts the object, with these options.
        size_bytes: of what it puts. An object of another length is not this call's, whatever its token.

    Raises:
        PreconditionFailed: somebody else's object is there.
        Conflict: somebody else was writing it, or the service refused with a 409 of another cause.
        TransferError: it cannot be told, or the service refused.
    """
    token = secrets.token_hex(16)
    try:
        return await write(msgspec.structs.replace(options, content=options.content.with_token(token)))
    except PreconditionFailed as error:
        if error.info.attempts <= 1:
            raise
        refusal: TransferError = error
    except Conflict as error:
        if error.info.service_code == ANOTHER_WRITER:
            _log.info("%s was being written by somebody else: %s", ref.url, error)
            if error.info.attempts <= 1:
                raise
        refusal = error
    except (NetworkError, OtherError) as error:
        if not error.retryable:
            raise
        refusal = error
    try:
        found = await head(ref)
    except NotFound:
        raise refusal from None
    if found.token == token and found.size == size_bytes:
        stored = Stored(found.etag, version_id=found.version_id)
        return stored_result(ref, found.size, stored, 1, max(refusal.info.attempts - 1, 0))
    if isinstance(refusal, Conflict) and refusal.info.service_code != ANOTHER_WRITER:
        # Its cause may be another one, such as a folder of that name: only an object in the way is an answer.
        raise PreconditionFailed("the object exists; it is somebody else's", ref.url) from refusal
    raise refusal
