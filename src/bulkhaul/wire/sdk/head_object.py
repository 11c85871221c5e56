"""HEAD of an object."""

from __future__ import annotations

from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire.inspection import FirstByte, Step, inspection
from bulkhaul.wire.sdk.calls import call, object_names, reply_headers
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.steps import carried_out


def head_object(sdk: SdkClient, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells of an object, its checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    names = object_names(bucket, key, version_id)

    def make(step: Step) -> dict[str, str]:
        if isinstance(step, FirstByte):
            reply = call(sdk.client.get_object, subject=subject, Range="bytes=0-0", **names)
            reply["Body"].close()
            return reply_headers(reply)
        mode = {"ChecksumMode": "ENABLED"} if step.checksum else {}
        reply = call(sdk.client.head_object, subject=subject, **mode, **names)
        # The SDK removes the header Expires if it is no date.
        return reply_headers(reply) | {"expires": str(reply.get("ExpiresString", ""))}

    return carried_out(inspection(key, sdk.learned, sdk.hostname, subject, version=bool(version_id)), make)


__all__ = ["head_object"]
