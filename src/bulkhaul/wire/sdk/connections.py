"""Teaches the SDK's connections what its HTTP library does not know of replies; it must not know requests.

Interim replies are passed over, as RFC 9110 §15.2 wants: http.client does so with status 100 alone, and takes any other
1xx for the reply itself. A document is read to a bound: the SDK holds it in memory, however long it is. What is read
piece by piece, the body of an object, has none.
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

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""Longest document of a reply. A page of 1,000 keys has under 4 MiB, if each of them is as long as a key can be."""


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
    """Return a response whose ``stream``, by which the SDK reads documents, ends at the bound."""
    # Weak, for a response that held itself would wait for the garbage collector.
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
    """Have a client's connections do so; botocore has no setting for it, and tests watch that this one works."""
    client._endpoint.http_session._pool_classes_by_scheme.update({"http": _Pool, "https": _SecurePool})
