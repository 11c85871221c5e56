"""What a workload asks for is what the server gets; what makes no sense is refused before anything is asked."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from bulkhaul.model.workloads import Workload
from tests.faultserver.server import FaultServer
from tests.integration.benchmark.measuring import counted_run
from tests.integration.command import environment


def test_sizes_of_puts() -> None:
    """Half of the bodies that arrive are longer than the median, and their logarithms scatter as asked for."""
    workload = Workload(mix={"put": 1}, size="lognormal:16KiB,sigma=0.5", objects=8, concurrency=8, duration_s=2)
    with FaultServer(buckets=["bench"]) as server:
        run, before, after = counted_run(server.endpoint_url, workload, lambda: len(server.requests))
        put = server.requests[before:after]
        sizes = [request.bytes_received for request in put]
    assert {request.operation for request in put} == {"PutObject"}
    assert sum(window.moved_bytes["put"] for window in run.windows if window.moved_bytes) == sum(sizes)
    logarithms = [math.log(size) for size in sizes]
    close = 4 * 0.5 / math.sqrt(len(sizes))  # four standard errors of a mean; those of the others are like it
    assert len(sizes) > 100
    assert statistics.median(logarithms) == pytest.approx(math.log(16 * 1024), abs=1.3 * close)
    assert statistics.stdev(logarithms) == pytest.approx(0.5, abs=close)


def test_deletions_have_no_rate(tmp_path: Path) -> None:
    """One sentence says so, and no request is made."""
    with FaultServer(buckets=["bench"]) as server:
        words = ["bench", "run", "delete", "s3://bench/", "--rate", "10", "--endpoint-url", server.endpoint_url]
        done = subprocess.run(
            [sys.executable, "-m", "bulkhaul", *words],
            env=environment(AWS_REGION="us-east-1", BULKHAUL_STATE_DIR=str(tmp_path)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert server.requests == ()
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "deletions alone have no rate" in line
