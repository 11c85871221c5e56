"""Says whether a presigned URL can be made at all, whoever makes it."""

from __future__ import annotations

from bulkhaul.model.errors import CredentialsError, OtherError, Unsupported
from bulkhaul.model.limits import MAX_PRESIGN_S


def require_presignable(ttl_s: float, *, signs: bool, encrypts: bool, subject: str) -> None:
    """Raise unless an object can be had by a presigned URL.

    Args:
        signs: there are credentials to sign with.
        encrypts: a customer's key goes with the requests (SSE-C).

    Raises:
        OtherError: ``ttl_s`` is not 1 to 604,800.
        CredentialsError: there is nothing to sign with.
        Unsupported: the object's key (SSE-C) would have to come with the request.
    """
    if not 1 <= ttl_s <= MAX_PRESIGN_S or ttl_s != int(ttl_s):
        raise OtherError(f"a presigned URL lives 1 to {MAX_PRESIGN_S} whole seconds, not {ttl_s}", subject)
    if not signs:
        raise CredentialsError("a presigned URL needs credentials to sign it with", subject)
    if encrypts:
        raise Unsupported("whoever uses a presigned URL does not send the SSE-C key that the object needs", subject)


__all__ = ["require_presignable"]
