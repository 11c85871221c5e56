"""Bodies are written beside the loop: a disk or reader that stands still holds up nothing but the ends of bodies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.distant_server.launch import distant_server

from bulkhaul.benchmark.results import Run
from bulkhaul.engine.worker.load_disk import AHEAD_BYTES, Disk, Written
from bulkhaul.model.errors import LocalError
from bulkhaul.model.limits import KIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.model.workloads import Workload
from bulkhaul.wire.http1 import Connection
from tests.engines import eventually
from tests.integration.benchmark.measuring import measured, statistics
from tests.patience import PATIENCE_S

PAUSE_S = 3.5


@contextmanager
def pausing_reader(path: Path) -> Iterator[None]:
    """Read a FIFO until nobody writes any more, but for a pause after the first bytes."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    keeper = os.open(path, os.O_WRONLY)  # or it would end before the load begins

    def read() -> None:
        os.read(fd, 1)
        time.sleep(PAUSE_S)
        while os.read(fd, 1 << 20):
            pass

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        os.write(keeper, b"1")
        os.close(keeper)
        thread.join()
        os.close(fd)


def test_a_sink_that_pauses(tmp_path: Path) -> None:
    """No worker falls silent, no request stalls, and no first byte waits for the sink; bodies do."""
    timeouts = Timeouts(heartbeat_s=2.0, read_s=2.0)
    with (
        pausing_reader(tmp_path / "sink"),
        distant_server(["--keep", "--latency-ms", "5", "--rate", "200"]) as server,
    ):
        workload = Workload(
            mix={"get": 1},
            size="weights:8MiB=3,4KiB=1",
            objects=16,
            concurrency=4,
            duration_s=2,
            folder=str(tmp_path / "sink"),
        )
        result = measured(server.endpoint, workload, timeouts=timeouts, workers=1)
    (run,) = result.runs
    assert not run.failures
    assert longest_ms(run, first_byte=False) > 1000 * (PAUSE_S - 1)
    assert longest_ms(run, first_byte=True) < 1000
    assert run.limit.name == "disk", run.limit


def test_a_fifo_is_one_stream(tmp_path: Path) -> None:
    """An ordinary reader gets the bodies of all runs, and the end of the file after the last one."""
    os.mkfifo(tmp_path / "sink")
    workload = Workload(
        mix={"get": 1},
        size="64KiB",
        objects=16,
        concurrency=4,
        duration_s=1,
        repeat=2,
        folder=str(tmp_path / "sink"),
    )
    with (
        distant_server(["--keep", "--latency-ms", "20"]) as server,
        (tmp_path / "read").open("wb") as read,
        subprocess.Popen(["cat", tmp_path / "sink"], stdout=read) as reader,
    ):
        try:
            eventually(lambda: waits(reader, "cat"), "cat does not wait for a writer")
            result = measured(server.endpoint, workload, workers=1)
            assert reader.wait(PATIENCE_S) == 0
        finally:
            reader.kill()  # else it would wait for a writer for ever
    assert not any(run.failures for run in result.runs)
    moved_bytes = sum(sum(window.moved_bytes.values()) for run in result.runs for window in run.windows)
    assert 0 < moved_bytes == (tmp_path / "read").stat().st_size


def waits(process: subprocess.Popen[bytes], program: str) -> bool:
    """Whether a process runs this program by now, and waits: proc(5), comm and state of /proc/PID/stat."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    return f"({program}) S" in stat


def longest_ms(run: Run, *, first_byte: bool) -> float:
    """Return the longest time to the first byte, or of a whole request."""
    found = [one.first_byte if first_byte else one.whole for one in run.measured]
    return max(one.max_ms for one in found if one is not None)


def test_a_fifo_that_nothing_reads(tmp_path: Path) -> None:
    """It is an error at once; its open would wait for a reader for ever."""
    os.mkfifo(tmp_path / "sink")
    workload = Workload(mix={"get": 1}, size="1KiB", objects=4, concurrency=2, folder=str(tmp_path / "sink"))
    with distant_server(["--keep"]) as server:
        with pytest.raises(LocalError, match="nothing reads this FIFO") as caught:
            measured(server.endpoint, workload)
        assert statistics(server.endpoint)["requests"] == 1, "nothing but the question for the statistics"
    assert str(tmp_path / "sink") in str(caught.value)


class Reading(asyncio.Transport):
    """A transport without a socket, that can be paused."""

    is_paused = False

    def pause_reading(self) -> None:
        """Read no more."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Read on."""
        self.is_paused = False

    def is_closing(self) -> bool:
        """It is open."""
        return False


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A connection is held once 16 MiB wait for the disk, and let go when half of that is written."""
    os.mkfifo(tmp_path / "sink")
    reader = os.open(tmp_path / "sink", os.O_RDONLY | os.O_NONBLOCK)
    block = 256 * KIB

    def drain(count: int) -> None:
        os.set_blocking(reader, True)
        while count:
            count -= len(os.read(reader, min(count, block)))

    async def work() -> None:
        disk, connection, transport = Disk(str(tmp_path / "sink")), Connection(), Reading()
        connection.pauses.begin(transport)
        sink = Written(memoryview(bytearray(block)), disk)
        sink.lent(connection)
        received = 0
        while not transport.is_paused:
            sink.received(block)
            received += block
        assert received == AHEAD_BYTES
        await asyncio.to_thread(drain, AHEAD_BYTES // 2 + block)
        async with asyncio.timeout(PATIENCE_S):
            while transport.is_paused:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        rest = asyncio.create_task(sink.settled())
        await asyncio.to_thread(drain, AHEAD_BYTES // 2 - block)
        await asyncio.wait_for(rest, PATIENCE_S)
        disk.close()

    asyncio.run(work())
    os.close(reader)


def test_a_sink_that_breaks(tmp_path: Path) -> None:
    """What waits for it ends with its error."""
    os.mkfifo(tmp_path / "sink")
    reader = os.open(tmp_path / "sink", os.O_RDONLY | os.O_NONBLOCK)

    async def work() -> None:
        sink = Written(memoryview(bytearray(256 * KIB)), Disk(str(tmp_path / "sink")))
        sink.received(256 * KIB)
        rest = asyncio.create_task(sink.settled())
        os.set_blocking(reader, True)
        await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        await asyncio.wait_for(rest, PATIENCE_S)

    with pytest.raises(BrokenPipeError):
        asyncio.run(work())
