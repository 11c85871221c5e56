"""A real server for the file system."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bulkhaul.fsspec import BulkhaulFileSystem
from tests.integration.fsspec.places import file_system
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
