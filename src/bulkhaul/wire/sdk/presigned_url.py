"""Makes presigned URLs, by which anybody may GET an object for a limited time."""

from __future__ import annotations

from bulkhaul.model.errors import CredentialsError, OtherError, Unsupported
from bulkhaul.model.limits import MAX_PRESIGN_S
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def presign_get(sdk: SdkClient, bucket: str, key: str, version_id: str, ttl_s: int) -> str:
    """Return a URL by which anybody may GET an object for ``ttl_s`` seconds; the object need not exist (C37).

    Raises:
        OtherError: ``ttl_s`` is not 1 to 604,800.
        CredentialsError: there is nothing to sign with.
        Unsupported: the object's key (SSE-C) would have to come with the request.
    """
    subject = f"s3://{bucket}/{key}"
    if not 1 <= ttl_s <= MAX_PRESIGN_S or ttl_s != int(ttl_s):
        raise OtherError(f"a presigned URL lives 1 to {MAX_PRESIGN_S} whole seconds, not {ttl_s}", subject)
    if not sdk.signs:
        raise CredentialsError("a presigned URL needs credentials to sign it with", subject)
    if sdk.encrypts:
        raise Unsupported("who fetches by a presigned URL does not send the SSE-C key that the object needs", subject)
    sdk.require_unrewritten(key)
    url: str = call(
        sdk.client.generate_presigned_url,
        subject=subject,
        ClientMethod="get_object",
        Params=object_names(bucket, key, version_id),
        ExpiresIn=int(ttl_s),
    )
    return url


__all__ = ["presign_get"]
