"""A real server for the file system, and one that keeps count of requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bulkhaul.fsspec import BulkhaulFileSystem
from tests.engines import serving
from tests.faultserver import FaultServer
from tests.integration.fsspec.places import file_system, keys_of_faultserver
from tests.servers.process import RunningServer
from tests.servers.weed import weed


@pytest.fixture(scope="package")
def server() -> Iterator[RunningServer]:
    """SeaweedFS with a bucket."""
    with weed() as running:
        running.client().create_bucket(Bucket="bucket")
        yield running


@pytest.fixture
def fs(server: RunningServer) -> BulkhaulFileSystem:
    """Its file system."""
    return file_system(server)


@pytest.fixture
def counted() -> Iterator[tuple[FaultServer, BulkhaulFileSystem]]:
    """A server that keeps odd keys as they are and tells what was asked, and its file system."""
    with serving() as server:
        yield server, BulkhaulFileSystem(endpoint_url=server.endpoint_url, **keys_of_faultserver())
