"""Makes file systems of a server."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bulkhaul.fsspec import BulkhaulFileSystem
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN
from tests.faultserver import FaultServer
from tests.servers.process import RunningServer


def options(server: RunningServer) -> dict[str, Any]:
    """Return the storage options for a server, by the names that s3fs has for them."""
    return {
        "key": server.access_key,
        "secret": server.secret_key,
        "client_kwargs": {"endpoint_url": server.endpoint_url, "region_name": "us-east-1"},
        "workers": 2,
    }


def file_system(server: RunningServer, **more: Any) -> BulkhaulFileSystem:
    """Return a file system of a server."""
    fs: BulkhaulFileSystem = BulkhaulFileSystem(**options(server), **more)
    return fs


def keys_of_faultserver() -> dict[str, Any]:
    """Return the storage options that a fault server takes, but for its URL."""
    return {"key": ACCESS_KEY, "secret": SECRET_KEY, "token": TOKEN, "region": "us-east-1", "workers": 2}


def asked(server: FaultServer, since: int) -> Counter[str]:
    """Return how often each operation was asked for after the first ``since`` requests."""
    return Counter(request.operation for request in server.requests[since:])
