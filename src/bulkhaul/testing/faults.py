"""Says how a server shall misbehave: one function for each way, to be given to ``FaultServer.misbehaving``.

Each hits the first ``times`` requests of an operation, by S3's name of it (None: of any), for keys that match a
pattern of fnmatch (None: all), and is over then.
"""

from __future__ import annotations

from bulkhaul.testing.faultserver.faults import Fault
from bulkhaul.testing.faultserver.on_reply import Etag, FlipBit
from bulkhaul.testing.faultserver.on_service import ErrorXmlWith200, Status
from bulkhaul.testing.faultserver.on_wire import CutBody, Stall


def slow_down(
    times: int = 1, *, operation: str | None = None, key: str | None = None, retry_after_s: int | None = None
) -> Fault:
    """Return a fault that answers 503 SlowDown; ``retry_after_s`` says in a header when to ask again."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return Status(code="SlowDown", headers=headers, attempt="every", times=times, operation=operation, key=key)


def refusal(
    code: str, *, times: int = 1, operation: str | None = None, key: str | None = None, status: int = 0
) -> Fault:
    """Return a fault that answers with an error of S3, such as ``AccessDenied``.

    ``status`` is 0 for the usual one of the code.
    """
    return Status(code=code, status=status, attempt="every", times=times, operation=operation, key=key)


def error_in_200(operation: str, code: str = "InternalError", *, times: int = 1, key: str | None = None) -> Fault:
    """Return a fault that answers 200 with an error document, as S3 may to CopyObject and CompleteMultipartUpload.

    Source: S3 API Reference, "CopyObject".
    """
    return ErrorXmlWith200(code=code, attempt="every", times=times, operation=operation, key=key)


def cut_body(
    after_bytes: int = 0, *, times: int = 1, operation: str | None = "GetObject", key: str | None = None
) -> Fault:
    """Return a fault that resets the connection after so many bytes of a reply's body.

    A negative number counts from the end: -1 is all but the last byte. A shorter body is left alone.
    """
    return CutBody(after_bytes=after_bytes, attempt="every", times=times, operation=operation, key=key)


def stall(
    seconds: float,
    *,
    after_bytes: int = 0,
    times: int = 1,
    operation: str | None = "GetObject",
    key: str | None = None,
) -> Fault:
    """Return a fault that stops for a while after so many bytes of a reply's body, and then goes on."""
    return Stall(seconds=seconds, after_bytes=after_bytes, attempt="every", times=times, operation=operation, key=key)


def other_etag(
    etag: str = "0" * 32, *, times: int = 1, operation: str | None = "GetObject", key: str | None = None
) -> Fault:
    """Return a fault that tells another ETag (without quotes) than the object has, as if it had been replaced."""
    return Etag(etag=etag, attempt="every", times=times, operation=operation, key=key)


def corrupt_byte(
    offset: int = 0, *, times: int = 1, operation: str | None = "GetObject", key: str | None = None
) -> Fault:
    """Return a fault that sends one byte of an object wrong; it hits replies that hold the byte."""
    return FlipBit(offset=offset, attempt="every", times=times, operation=operation, key=key)
