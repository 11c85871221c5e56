"""A server that goes away for a while and comes back: everything that was under way is done in the end.

Real requests to a real store, through a gate that refuses or resets every connection for as long as a test says.
"""

from __future__ import annotations

import functools
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bulkhaul import Engine, TransferResult, errors
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Timeouts
from tests.engines import aws_environment, eventually
from tests.integration import command
from tests.patience import PATIENCE_S
from tests.servers import Gate, RunningServer, gate, weed
from tests.servers.gate import How

MIB = 1024 * 1024
SMALL, LARGE_BYTES = 400, 48 * MIB
LARGE = random.Random(3).randbytes(LARGE_BYTES)
#: Slow enough for an outage to strike in the middle of a large object, on a quick machine too.
BYTES_PER_S = 40 * MIB

Begun = Callable[[], None]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A SeaweedFS with small objects and a large one."""
    with weed() as running:
        client = running.client()
        client.create_bucket(Bucket="bucket")
        for number in range(SMALL):
            client.put_object(Bucket="bucket", Key=f"small/{number:04}", Body=content(number))
        client.put_object(Bucket="bucket", Key="large", Body=LARGE)
        yield running


@pytest.fixture
def way(server: RunningServer) -> Iterator[Gate]:
    """The gate in front of it."""
    with gate(server.port, bytes_per_s=BYTES_PER_S) as between:
        yield between


def content(number: int) -> bytes:
    """Return the body of a small object."""
    return b"%d" % number * 100


def engine_behind(way: Gate, folder: Path, retry_for_s: float = 60.0) -> Engine:
    """Return an engine that asks through the gate."""
    return Engine(
        endpoint_url=way.endpoint_url, workers=2, state_dir=str(folder / "state"), retry_for_s=retry_for_s,
        part_size_bytes=8 * MIB, multipart_threshold_bytes=16 * MIB, timeouts=Timeouts(),
    )  # fmt: skip


def all_done(results: Iterator[TransferResult], begun: Begun, *, after: int) -> int:
    """Take all results, none of which may be a failure, and return how many came."""
    count = 0
    for result in results:
        assert result.error is None, result.error
        count += 1
        if count == after:
            begun()
    return count


# What an outage strikes. Each tells when it is in the middle of its work, and checks what came of it.


def small_downloads(engine: Engine, folder: Path, begun: Begun) -> None:
    """Restore many small objects."""
    restored = engine.download_many("s3://bucket/small/", folder / "small")
    assert all_done(restored, begun, after=20) == SMALL
    for number in range(SMALL):
        assert (folder / f"small/{number:04}").read_bytes() == content(number)


def large_download(engine: Engine, folder: Path, begun: Begun) -> None:
    """Restore an object of several parts."""
    progress = when_some_moved(begun)
    engine.run(lambda: engine.aio.download("s3://bucket/large", folder / "large", progress=progress))
    assert (folder / "large").read_bytes() == LARGE


def small_uploads(engine: Engine, folder: Path, begun: Begun) -> None:
    """Store many small files."""
    source = folder / "up"
    source.mkdir()
    for number in range(SMALL // 2):
        (source / f"{number:04}").write_bytes(content(number))
    prefix = f"s3://bucket/{folder.name}/up/"
    assert all_done(engine.upload_many(source, prefix), begun, after=10) == SMALL // 2
    for number in range(0, SMALL // 2, 37):
        store = engine.aio.control
        assert engine.run(store.read, ObjectRef("bucket", f"{folder.name}/up/{number:04}")) == content(number)


def large_upload(engine: Engine, folder: Path, begun: Begun) -> None:
    """Store a file of several parts."""
    path, url = folder / "to-send", f"s3://bucket/{folder.name}/sent"
    path.write_bytes(LARGE)
    progress = when_some_moved(begun)
    engine.run(lambda: engine.aio.upload(path, url, progress=progress))
    assert engine.run(engine.aio.control.read, ObjectRef("bucket", f"{folder.name}/sent")) == LARGE


def questions(engine: Engine, folder: Path, begun: Begun) -> None:
    """Ask what there is, one after the other."""
    del folder
    control = engine.aio.control
    for number in range(SMALL):
        head = engine.run(control.head, ObjectRef("bucket", f"small/{number:04}"))
        assert head.size == len(content(number))
        if number == 20:
            begun()
    assert sum(len(page) for page in engine.each(control.pages("bucket", "small/"))) == SMALL


def copies(engine: Engine, folder: Path, begun: Begun) -> None:
    """Have the service copy many objects."""
    destination = f"s3://bucket/{folder.name}/copies/"
    assert all_done(engine.copy_many("s3://bucket/small/", destination), begun, after=10) == SMALL
    control = engine.aio.control
    assert sum(len(page) for page in engine.each(control.pages("bucket", f"{folder.name}/copies/"))) == SMALL


WORK = (small_downloads, large_download, small_uploads, large_upload, questions, copies)


def when_some_moved(begun: Begun) -> Callable[[int], None]:
    """Return a progress callback that tells when the work is in its middle."""
    moved: list[int] = []

    def more(count: int) -> None:
        if sum(moved) <= 4 * MIB < sum(moved) + count:
            begun()
        moved.append(count)

    return more


def strike(way: Gate, how: How, seconds: float, *works: Callable[[], None], begun: list[threading.Event]) -> None:
    """Do all the work, with the server away from when all of it has begun, and see that none failed."""
    with ThreadPoolExecutor(len(works)) as threads:
        doing = [threads.submit(work) for work in works]
        try:
            for event, work in zip(begun, doing, strict=True):
                eventually(lambda e=event, w=work: e.is_set() or w.done(), "it never began", timeout_s=PATIENCE_S)  # type: ignore[misc]
            assert not all(work.done() for work in doing), "the outage came too late to strike anything"
            way.away(how)
            time.sleep(seconds)
        finally:
            way.back()
        for work in doing:
            work.result(timeout=PATIENCE_S)


@pytest.mark.parametrize("how", ["refuse", "reset"])
@pytest.mark.parametrize("work", WORK, ids=lambda work: str(work.__name__))
def test_short_outage(server: RunningServer, way: Gate, tmp_path: Path, work: Callable[..., None], how: How) -> None:
    """Half a second without the server, in the middle of any work, fails nothing."""
    event = threading.Event()
    with aws_environment(server.keys()), engine_behind(way, tmp_path) as engine:
        strike(way, how, 0.5, lambda: work(engine, tmp_path, event.set), begun=[event])


@pytest.mark.parametrize(("seconds", "how"), [(5.0, "reset"), (5.0, "refuse"), (30.0, "refuse")])
def test_long_outage(
    server: RunningServer, way: Gate, tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: float, how: How
) -> None:
    """All kinds of work together survive it; it is told of once, and so is its end."""
    events = [threading.Event() for _ in WORK]
    with aws_environment(server.keys()), engine_behind(way, tmp_path) as engine:
        works = []
        for work, event in zip(WORK, events, strict=True):
            folder = tmp_path / f"{how}-{seconds:.0f}-{work.__name__}"
            folder.mkdir()
            works.append(functools.partial(work, engine, folder, event.set))
        with caplog.at_level(logging.WARNING, "bulkhaul"):
            strike(way, how, seconds, *works, begun=events)
    told = [record.getMessage() for record in caplog.records if "endpoint" in record.getMessage()]
    assert len(told) == 2, told
    assert way.endpoint_url in told[0]
    assert re.fullmatch(r"the endpoint is back after \d+\.\d s", told[1])


def test_endpoint_that_stays_away(server: RunningServer, way: Gate, tmp_path: Path) -> None:
    """After the time that was asked for, everything fails together, with the remedy, and nothing is left."""
    way.away("refuse")
    with aws_environment(server.keys()), engine_behind(way, tmp_path, 3.0) as engine:
        began_s = time.monotonic()
        with pytest.raises(errors.NetworkError, match="--endpoint-url"):
            engine.download("s3://bucket/large", tmp_path / "large")
        assert time.monotonic() - began_s >= 3.0
    assert list(tmp_path.iterdir()) == []


def test_no_patience(server: RunningServer, way: Gate, tmp_path: Path) -> None:
    """With ``--retry-for 0`` a command whose endpoint is away says so without waiting for it."""
    way.away("refuse")
    done = command.run(
        "cp", "--retry-for", "0", "--endpoint-url", way.endpoint_url, "s3://bucket/large", tmp_path / "large",
        variables={**server.keys(), "AWS_SESSION_TOKEN": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "check --endpoint-url and the network" in done.stderr
    assert "trying again" not in done.stderr


@pytest.mark.parametrize("words", [("ls", "s3://bucket/small/"), ("cp", "s3://bucket/large")])
def test_command_tells(server: RunningServer, way: Gate, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A command whose endpoint is away says so after two seconds, and that it is back, and ends well."""
    way.away("refuse")
    if words[0] == "cp":
        words = (*words, str(tmp_path))
    variables = {**server.keys(), "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": way.endpoint_url}
    running = command.start(*words, variables=variables)
    assert running.stderr is not None
    try:
        line = running.stderr.readline()
        assert f"the endpoint {way.endpoint_url} cannot be reached" in line
        assert "--retry-for" in line
        way.back()
        _, told = running.communicate(timeout=PATIENCE_S)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0
    assert "the endpoint is back after" in told
