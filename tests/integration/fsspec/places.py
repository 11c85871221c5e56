"""Makes file systems of a server."""

from __future__ import annotations

from typing import Any

from bulkhaul.fsspec import BulkhaulFileSystem
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
