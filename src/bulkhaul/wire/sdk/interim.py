"""Teaches the SDK's connections to pass over interim replies, as RFC 9110 §15.2 wants; it must not know requests.

http.client passes over replies with status 100 alone, and takes any other 1xx for the reply itself.
"""

from __future__ import annotations

import http.client
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)


class _FinalResponse(http.client.HTTPResponse):
    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc] # not in the type stubs
        return version, 100 if 101 < status < 200 else status, reason


class _Connection(AWSHTTPConnection):  # type: ignore[misc] # botocore has no types
    response_class = _FinalResponse


class _SecureConnection(AWSHTTPSConnection):  # type: ignore[misc] # botocore has no types
    response_class = _FinalResponse


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc] # botocore has no types
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):  # type: ignore[misc] # botocore has no types
    ConnectionCls = _SecureConnection


def pass_over_interim_replies(client: Any) -> None:
    """Have a client's connections do so; botocore has no setting for it, and tests watch that this one works."""
    client._endpoint.http_session._pool_classes_by_scheme.update({"http": _Pool, "https": _SecurePool})
