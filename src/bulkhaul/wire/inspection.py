"""Decides how an object or a bucket is asked for by HEAD: again where a refusal has no body to say why.

    403 or 404 without a reason  ─▶ a GET of one byte, whose refusal is the reason; once a bucket, then that is known,
                                 but not that there is no such bucket: it may be made
    400 without a reason         ─▶ the same; if it is answered, HEAD is sent once more
    maybe about the checksum     ─▶ HEAD without asking for it
    unpacked on the way          ─▶ HEAD that asks for the bytes as they are stored

No request is made more where HEAD succeeds. A reason is taken only where it has the status of the refusal.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress

import msgspec

from bulkhaul.model.errors import WRONG_KEYS, ErrorInfo, RangeNotSatisfiable, TransferError, error_of
from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.wire.classify import DELETE_MARKER
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.replies.object_head import object_head
from bulkhaul.wire.reply import transcoded


class Head(msgspec.Struct, frozen=True):
    """Send HEAD; ``checksum`` if it asks for the stored checksum, too."""

    checksum: bool


class FirstByte(msgspec.Struct, frozen=True):
    """Send GET for the first byte of an object, or for the first key of a bucket; nobody looks at it."""


Step = Head | FirstByte
Headers = Mapping[str, str]

_OF_THE_BUCKET = WRONG_KEYS | {"ExpiredToken"}
"""Reasons that hold for whatever is asked of a bucket with the same credentials."""

_NO_BUCKET_CODE = "NoSuchBucket"

_BARE = frozenset({403, 404})
"""Statuses of refusals that may have several reasons, which only a body tells."""

_NO_BUCKET = "there is no such bucket; check its name and the endpoint"

_NO_KEY = "there is no such key; check its spelling"

_BUCKET_IS_THERE = ErrorInfo("NotFound", _NO_KEY, service_code="NoSuchKey")
"""What a 404 means where anything was found before."""


def inspection(
    key: str, learned: Learned, host: str, subject: str, *, version: bool = False
) -> Generator[Step, Headers, ObjectHead]:
    """Yield the requests that tell of an object and get the headers of each reply, names in lower case; return it.

    Args:
        learned: whether ``host`` takes the question for the checksum, and whether it unpacks. Requests say that they
            take the bytes packed as soon as it is known to unpack them.
        version: it is asked for by its version.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    packed = learned.unpacks(host)
    bucket = _bucket(subject)
    try:
        headers = yield from _asked(learned, host)
        if transcoded(headers) is not None and not packed:
            learned.has_unpacked(host)
            headers = yield from _asked(learned, host)
    except TransferError as error:
        raise (yield from _explained(error, learned, host, subject, version=version)) from None
    learned.has_reason(host, bucket, 404, _BUCKET_IS_THERE)
    return object_head(key, headers, subject)


def bucket_inspection(learned: Learned, host: str, subject: str) -> Generator[Step, Headers, Headers]:
    """Likewise for a bucket; return the headers of the reply to HEAD.

    Raises:
        TransferError: the service or the connection failed.
    """
    try:
        return (yield Head(checksum=False))
    except TransferError as error:
        if error.info.status == 404:  # of a bucket, that has one reason
            raise error_of(msgspec.structs.replace(error.info, message=_NO_BUCKET)) from error
        raise (yield from _explained(error, learned, host, subject)) from None


def _bucket(subject: str) -> str:
    return subject.removeprefix("s3://").partition("/")[0]


def _explained(
    failure: TransferError, learned: Learned, host: str, subject: str, *, version: bool = False
) -> Generator[Step, Headers, TransferError]:
    """Return the failure with its reason, as far as that can be found out."""
    status = failure.info.status
    if status not in _BARE or failure.info.service_code or failure.info.code not in ("AccessDenied", "NotFound"):
        return failure
    if failure.info.message == DELETE_MARKER:
        return failure  # a delete marker has said so
    bucket = _bucket(subject)
    if learned.knows_reason(host, bucket, status):
        return _known(failure, learned.reason(host, bucket, status), subject, version=version)
    try:
        yield FirstByte()
    except TransferError as error:
        if error.info.service_code and error.info.status == status:
            if error.info.service_code != _NO_BUCKET_CODE:  # it may be made at any time, so each asks for itself
                learned.has_reason(host, bucket, status, error.info)
            return error
        if error.info.status != 416 and not error.info.service_code:
            return failure  # it told nothing, so the next one may ask again
    learned.has_reason(host, bucket, status, None)
    return failure


def _known(failure: TransferError, reason: ErrorInfo | None, subject: str, *, version: bool) -> TransferError:
    """Return a later failure at the same bucket with what was found out before, if it holds for this one, too."""
    if reason is None:
        return failure
    if reason.service_code in _OF_THE_BUCKET:
        return error_of(msgspec.structs.replace(reason, subject=subject))
    if reason.service_code == "NoSuchKey" and not version:  # the bucket is there
        return error_of(msgspec.structs.replace(failure.info, message=_NO_KEY, service_code="NoSuchKey"))
    return failure


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


__all__ = ["FirstByte", "Head", "Step", "bucket_inspection", "inspection"]
