"""Reads the ACL of an object."""

from __future__ import annotations

from bulkhaul.model.preserving import Acl
from bulkhaul.wire.replies.object_acl import acl_of
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def object_acl(sdk: SdkClient, bucket: str, key: str, version_id: str) -> Acl:
    """Return the ACL of an object.

    Raises:
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    subject = f"s3://{bucket}/{key}"
    reply = call(sdk.client.get_object_acl, subject=subject, **object_names(bucket, key, version_id))
    return acl_of(reply, subject)


__all__ = ["object_acl"]
