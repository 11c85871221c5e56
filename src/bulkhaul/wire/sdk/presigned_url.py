"""Makes presigned URLs, by which anybody may do one thing with an object for a limited time."""

from __future__ import annotations

from bulkhaul.model.presigning import Method
from bulkhaul.wire.presigning import require_presignable
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def presign(
    sdk: SdkClient,
    bucket: str,
    key: str,
    version_id: str,
    ttl_s: int,
    *,
    method: Method = "GET",
    content_type: str = "",
) -> str:
    """Return a URL for one method and one object for ``ttl_s`` seconds; the object need not exist (C37).

    Args:
        content_type: that a PUT must come with, empty for any.

    Raises:
        OtherError: ``ttl_s`` is not 1 to 604,800.
        CredentialsError: there is nothing to sign with.
        Unsupported: the object's key (SSE-C) would have to come with the request.
    """
    subject = f"s3://{bucket}/{key}"
    require_presignable(ttl_s, signs=sdk.signs, encrypts=sdk.encrypts, subject=subject)
    sdk.require_unrewritten(key)
    url: str = call(
        sdk.client.generate_presigned_url,
        subject=subject,
        ClientMethod=f"{method.lower()}_object",
        Params=object_names(bucket, key, version_id) | ({"ContentType": content_type} if content_type else {}),
        ExpiresIn=int(ttl_s),
    )
    return url


__all__ = ["presign"]
