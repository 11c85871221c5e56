"""HEAD of an object."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bulkhaul.model.errors import RangeNotSatisfiable, TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.replies.object_head import object_head
from bulkhaul.wire.sdk.calls import call, object_names, reply_headers
from bulkhaul.wire.sdk.client import SdkClient


def head_object(sdk: SdkClient, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells of an object, its checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    names = object_names(bucket, key, version_id)
    reply = _asked_head(sdk, names, subject)
    headers = reply_headers(reply)
    if sdk.unpacked(headers):
        reply = _asked_head(sdk, names, subject)
        headers = reply_headers(reply)
    # The SDK removes the header Expires if it is no date.
    return object_head(key, {**headers, "expires": str(reply.get("ExpiresString", ""))}, subject)


def _asked_head(sdk: SdkClient, names: Mapping[str, str], subject: str) -> Mapping[str, Any]:
    """Send HEAD, and again where a refusal has no body to say why, or may be about the checksum that it asks for."""

    def ask() -> Mapping[str, Any]:
        mode = {"ChecksumMode": "ENABLED"} if sdk.takes(CHECKSUM_MODE) else {}
        reply: Mapping[str, Any] = call(sdk.client.head_object, subject=subject, **mode, **names)
        return reply

    try:
        return ask()
    except TransferError as error:
        failure = error
    if failure.info.status == 400 and not failure.info.service_code:
        # A GET of one byte is refused with a reason; or it finds the bucket's region, where HEAD then works, too.
        with suppress(RangeNotSatisfiable):  # the object exists, and is empty
            call(sdk.client.get_object, subject=subject, Range="bytes=0-0", **names)["Body"].close()
        try:
            return ask()
        except TransferError as error:
            failure = error
    if not (sdk.takes(CHECKSUM_MODE) and sdk.may_do_without(failure)):
        raise failure
    reply: Mapping[str, Any] = call(sdk.client.head_object, subject=subject, **names)
    sdk.does_without(CHECKSUM_MODE)
    return reply


__all__ = ["head_object"]
