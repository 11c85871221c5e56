"""Transfers through the SDK: how long replies take to begin is told, and the number in flight finds itself."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from bulkhaul.model.limits import KIB
from bulkhaul.model.settings import Settings
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.sdk_transport import SdkTransport
from bulkhaul.wire.transport import TransportError
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest, Target
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN, running_rig, serving
from tests.faultserver import Latency, Status, make_object
from tests.unit.peer import Kept

LATENCY_S = 0.2


def test_replies_that_begin_are_told_with_the_time_that_they_took() -> None:
    """Those that report success, of GETs and PUTs; a refused request tells nothing of what the service can bear."""
    with serving() as server:
        server.store.put("bucket", "key", make_object(b"0123456789"))
        for operation in ("GetObject", "PutObject"):
            server.add_fault(Latency(operation=operation, key="key", seconds=LATENCY_S))
        server.add_fault(Status(key="refused", code="AccessDenied"))
        settings = Settings(endpoint_url=server.endpoint_url, region="us-east-1")
        first_bytes = FirstBytes()
        transport = SdkTransport(settings, SdkClient(settings), first_bytes=first_bytes)
        transport.use(Credentials(ACCESS_KEY, SECRET_KEY, TOKEN))
        target = Target("http", "127.0.0.1", server.port, "/bucket/", "us-east-1", fast=True)

        async def play() -> None:
            sink = Kept()
            await transport.get(GetRequest(target, "bucket", "key", "", 2, 6, 10, whole=False), sink)
            assert sink.bytes == b"2345"
            count, sum_s = first_bytes.take()
            assert count == 1
            assert sum_s >= LATENCY_S
            await transport.put(PutRequest(target, "bucket", "key"), memoryview(b"other"), lambda _at, _left: None)
            count, sum_s = first_bytes.take()
            assert count == 1
            assert sum_s >= LATENCY_S
            with pytest.raises(TransportError):
                await transport.get(GetRequest(target, "bucket", "refused", "", 0, 1, 1, whole=False), Kept())
            assert first_bytes.take() == (0, 0.0)

        asyncio.run(play())


def test_the_number_in_flight_grows_as_far_as_the_threads_go(tmp_path: Path) -> None:
    """At a distance eight requests are too few for the SDK too; each keeps a thread, of which a worker has sixteen."""
    with running_rig(tmp_path, transport="sdk", workers=2, part_size_bytes=64 * KIB) as rig:
        rig.restore(random.Random(7).randbytes(200 * 64 * KIB), Latency(operation="GetObject", seconds=LATENCY_S))
        assert 8 < rig.server.max_in_flight_of("GetObject") <= 2 * 16
