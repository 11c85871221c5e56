"""Plans the copy of a listing: one piece of work a key."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_selected import list_selected
from bulkhaul.engine.transfers.batch import Piece
from bulkhaul.engine.transfers.relay import same_bucket
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.policy.selection import Source

CopyOne = Callable[[ObjectRef, ObjectRef], Coroutine[None, None, TransferResult]]


async def copy_pieces(
    source_control: Control,
    source: Source,
    takes: Callable[[str], bool],
    control: Control,
    bucket: str,
    prefix: str,
    copy: CopyOne,
) -> AsyncGenerator[Piece, None]:
    """Yield the work of each key that a listing selects.

    Where the destination lies in the source, what is in it is skipped: the listing would come upon the copies, and
    copy them again, without end.

    Args:
        source_control: asks the service of the source.
        control: asks the service of the destination.
        prefix: put before what is left of each key.

    Raises:
        NotFound: nothing is selected.
        TransferError: the listing failed.
    """
    within = source_control is control or await same_bucket(source_control, control, bucket)
    nested = within and bucket == source.bucket and prefix != source.base and prefix.startswith(source.base)
    async with contextlib.aclosing(list_selected(source_control, source, takes)) as found:
        async for remote in found:
            head = remote.head
            ref = ObjectRef(bucket, prefix + head.key.removeprefix(source.base))
            result = result_of(remote.ref, head, ref.url, ref)
            if not ref.key:
                failure = ErrorInfo("UsageError", "its key would be empty", remote.ref.url)
                yield Piece(msgspec.structs.replace(result, failure=failure))
            elif nested and head.key.startswith(prefix):
                yield Piece(msgspec.structs.replace(result, skipped="it lies in the destination"))
            else:
                yield Piece(result, functools.partial(copy, remote.ref, ref))
