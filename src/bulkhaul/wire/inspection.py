"""Decides how an object is asked for by HEAD: again where a refusal has no body to say why, or may be about a header.

A 400 without a reason is followed by a GET of one byte: its refusal is the reason; if it is answered, HEAD is sent once
more. A refusal that may be about the checksum that HEAD asks for is followed by a HEAD without it; a reply that was
unpacked on the way, by a HEAD that asks for the bytes as they are stored.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress

import msgspec

from bulkhaul.model.errors import RangeNotSatisfiable, TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.replies.object_head import object_head
from bulkhaul.wire.reply import transcoded


class Head(msgspec.Struct, frozen=True):
    """Send HEAD; ``checksum`` if it asks for the stored checksum, too."""

    checksum: bool


class FirstByte(msgspec.Struct, frozen=True):
    """Send GET for the first byte; nobody looks at it."""


Step = Head | FirstByte
Headers = Mapping[str, str]


def inspection(key: str, learned: Learned, host: str, subject: str) -> Generator[Step, Headers, ObjectHead]:
    """Yield the requests that tell of an object and get the headers of each reply, names in lower case; return it.

    Args:
        learned: whether ``host`` takes the question for the checksum, and whether it unpacks. Requests say that they
            take the bytes packed as soon as it is known to unpack them.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    packed = learned.unpacks(host)
    headers = yield from _asked(learned, host)
    if transcoded(headers) is not None and not packed:
        learned.has_unpacked(host)
        headers = yield from _asked(learned, host)
    return object_head(key, headers, subject)


def _asked(learned: Learned, host: str) -> Generator[Step, Headers, Headers]:
    wanted = Head(learned.takes(host, CHECKSUM_MODE))
    try:
        return (yield wanted)
    except TransferError as error:
        failure = error
    if failure.info.status == 400 and not failure.info.service_code:
        # The GET may be answered where it finds the bucket's region: HEAD works there, too.
        with suppress(RangeNotSatisfiable):  # the object exists, and is empty
            yield FirstByte()
        try:
            return (yield wanted)
        except TransferError as error:
            failure = error
    if not (wanted.checksum and may_go_without(host, failure.info)):
        raise failure
    headers = yield Head(checksum=False)
    learned.does_without(host, CHECKSUM_MODE)
    return headers


__all__ = ["FirstByte", "Head", "Step", "inspection"]
