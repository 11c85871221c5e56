"""A real server, for the pages whose examples need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.process import RunningServer
from tests.servers.weed import weed

from .guide import remove


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    """A real server."""
    with weed() as server:
        yield server


@pytest.fixture
def seaweed(running: RunningServer) -> RunningServer:
    """The same server, with nothing on it."""
    client = running.client()
    for bucket in client.list_buckets()["Buckets"]:
        remove(client, bucket["Name"])
    return running
