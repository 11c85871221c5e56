"""The totals of a run are those that SeaweedFS has counted meanwhile: requests of each operation, and bytes, exactly.

SeaweedFS counts HEADs among its GETs; first bytes it counts of GETs alone, and so tells the two apart.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest

from bulkhaul.benchmark.results import Run
from bulkhaul.model.workloads import Operation, Workload
from tests.integration.benchmark.measuring import counted_run, signed_as
from tests.servers.process import RunningServer
from tests.servers.weed import weed

SAMPLE = re.compile(r'SeaweedFS_s3_(\w+)\{bucket="bench"(?:,code="(\d+)")?(?:,type="(\w+)")?\} (\S+)')

OBJECTS = 40


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """SeaweedFS, with a bucket, that tells what it counts."""
    with weed() as running:
        running.client().create_bucket(Bucket="bench")
        yield running


def counted(server: RunningServer) -> Counter[str]:
    """Return what the server has counted of the bucket; it counts a request just after it has answered it."""
    before: Counter[str] = Counter()
    while before != (now := _sampled(server.metrics_url)) or not now:
        before = now
        time.sleep(0.05)
    return now


def _sampled(url: str) -> Counter[str]:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - it is on this machine
        text: str = reply.read().decode()
    found = (SAMPLE.fullmatch(line) for line in text.splitlines())
    return Counter({" ".join(filter(None, one.groups()[:3])): int(float(one[4])) for one in found if one})


def grown(server: RunningServer, monkeypatch: pytest.MonkeyPatch, workload: Workload) -> tuple[Run, Counter[str]]:
    """Return a run, and by how much the server's counts grew within it."""
    with signed_as(server, monkeypatch):
        run, before, after = counted_run(server.endpoint_url, workload, lambda: counted(server))
    assert not run.failures
    after.subtract(before)
    return run, after


def done(run: Run, operation: Operation) -> int:
    """Return how many requests were made, all of the run over."""
    return sum(window.done.get(operation, 0) for window in run.windows)


def moved_bytes(run: Run, operation: Operation) -> int:
    """Return the bytes that they moved."""
    return sum(window.moved_bytes.get(operation, 0) for window in run.windows)


@pytest.mark.parametrize(
    "mix", [{"get": 1}, {"put": 1}, {"list": 1}, {"get": 5, "put": 3, "stat": 2, "list": 1}],
    ids=["get", "put", "list", "mixed"],
)  # fmt: skip
def test_requests_and_bytes(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, mix: dict[Operation, float]
) -> None:
    """Each request is in the counts of both, and each byte."""
    workload = Workload(mix=mix, size="uniform:1KiB..64KiB", objects=OBJECTS, concurrency=8, duration_s=1)
    run, server_counts = grown(server, monkeypatch, workload)
    assert done(run, "get") == server_counts["time_to_first_byte_millisecond_count GET"]
    assert done(run, "get") + done(run, "stat") == server_counts["request_total 200 GET"]
    assert done(run, "put") == server_counts["request_total 200 PUT"] == server_counts["uploaded_objects"]
    assert done(run, "list") == server_counts["request_total 200 LIST"]
    assert moved_bytes(run, "get") == server_counts["bucket_traffic_sent_bytes_total"]
    assert moved_bytes(run, "put") == server_counts["bucket_traffic_received_bytes_total"]
    assert all(done(run, operation) for operation in mix)


def test_deletions(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object is deleted once, and stored again for the next run, which is no part of the measurement."""
    workload = Workload(mix={"delete": 1}, size="1KiB", objects=OBJECTS, concurrency=8)
    run, server_counts = grown(server, monkeypatch, workload)
    assert done(run, "delete") == OBJECTS == server_counts["request_total 204 DELETE"]
    assert server_counts["request_total 200 PUT"] == OBJECTS
    assert server_counts["request_total 200 GET"] == done(run, "put") == 0
