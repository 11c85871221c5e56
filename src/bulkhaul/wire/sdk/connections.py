"""Makes the SDK's connections skip interim replies, and refuse documents that would fill the memory.

Interim replies (1xx) come before the reply itself (RFC 9110 §15.2); http.client skips status 100 alone. The SDK reads
a document whole, however long it is, so there is a bound; the body of an object is read in pieces, and has none.
"""

from __future__ import annotations

import functools
import http.client
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.wire.documents import MAX_DOCUMENT_BYTES


class _FinalResponse(http.client.HTTPResponse):
    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc] # not in the type stubs
        return version, 100 if 101 < status < 200 else status, reason


class _Guarded:
    response_class = _FinalResponse

    def getresponse(self) -> Any:
        return _bounded(super().getresponse())  # type: ignore[misc] # of the connection that it is mixed into


class _Connection(_Guarded, AWSHTTPConnection):  # type: ignore[misc] # botocore has no types
    pass


class _SecureConnection(_Guarded, AWSHTTPSConnection):  # type: ignore[misc] # botocore has no types
    pass


def _bounded(response: Any) -> Any:
    """Bound ``stream`` of a response, by which the SDK reads documents."""
    # A weak reference: a response that held itself would stay until the garbage collector runs.
    response.stream = functools.partial(_stream, weakref.ref(response))
    return response


def _stream(response: Callable[[], Any], *arguments: Any, **more: Any) -> Iterator[bytes]:
    length, whole = 0, response()
    for piece in type(whole).stream(whole, *arguments, **more):
        length += len(piece)
        if length > MAX_DOCUMENT_BYTES:
            raise UnexpectedReply(f"the reply is a document of more than {MAX_DOCUMENT_BYTES >> 20} MiB")
        yield piece


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc] # botocore has no types
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):  # type: ignore[misc] # botocore has no types
    ConnectionCls = _SecureConnection


def pass_over_interim_replies(client: Any) -> None:
    """Give a client such connections. botocore has no setting for it; a test watches that the private name works."""
    client._endpoint.http_session._pool_classes_by_scheme.update({"http": _Pool, "https": _SecurePool})
