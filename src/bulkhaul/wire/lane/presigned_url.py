"""Makes presigned URLs without the SDK, by which anybody may do one thing with an object for a limited time."""

from __future__ import annotations

import time

from bulkhaul.model.errors import UsageError
from bulkhaul.model.presigning import Method
from bulkhaul.wire.lane.client import Lane, encoded_query, version_query
from bulkhaul.wire.presigning import require_presignable
from bulkhaul.wire.sigv4 import Signer
from bulkhaul.wire.values import Target


def presign(
    lane: Lane,
    target: Target,
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
    credentials = lane.credentials
    encrypts = lane.settings.sse_c_key is not None
    require_presignable(ttl_s, signs=credentials is not None, encrypts=encrypts, subject=subject)
    assert credentials is not None
    try:
        path, query = target.path(key), encoded_query([*version_query(version_id), *lane.payer])
    except UnicodeEncodeError as error:
        raise UsageError("the name is not valid UTF-8", subject, str(error)) from error
    signer = Signer(credentials, target.region)
    signed = signer.presign(
        method,
        target.host_header,
        path,
        query=query,
        ttl_s=int(ttl_s),
        now_s=time.time(),
        content_type=content_type,
    )
    return f"{target.endpoint}{path}?{signed}"


__all__ = ["presign"]
