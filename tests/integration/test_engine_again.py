"""Engines that are started and closed at awkward moments: by signal handlers, twice, on a second loop, when dropped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from bulkhaul import AsyncEngine, Engine, errors
from bulkhaul.engine.own_thread import OwnThread
from bulkhaul.engine.unclosed import open_engines
from tests.engines import aws_environment, descendants, eventually, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("real_workers")


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with one object, and the keys for it in the environment."""
    with serving() as running, aws_environment(keys()):
        running.store.put("bucket", "key", make_object(b"hello"))
        yield running


@contextlib.contextmanager
def at_line(number: int, struck_by: signal.Signals) -> Iterator[list[int]]:
    """Have a signal strike when so many lines of ``OwnThread._start`` have begun; what is given tells at which line."""
    struck: list[int] = []
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code is not OwnThread._start.__code__:
            return None
        if event == "line" and not struck:
            lines += 1
            if lines > number:
                struck.append(frame.f_lineno)
                signal.raise_signal(struck_by)
        return trace

    traced_before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield struck
    finally:
        sys.settrace(traced_before)


@pytest.mark.parametrize("while_it", ["starts", "closes"])
def test_a_signal_handler_may_close_it(server: FaultServer, monkeypatch: pytest.MonkeyPatch, while_it: str) -> None:
    """On the thread that just starts or closes it: both return, and it is closed."""
    engine = Engine(endpoint_url=server.endpoint_url, workers=1)
    kept = AsyncEngine.start if while_it == "starts" else AsyncEngine.close
    calls: list[int] = []

    async def interrupted(self: AsyncEngine) -> Any:
        if not calls:
            calls.append(1)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            await asyncio.sleep(0.2)  # the handler runs in the main thread, which waits for this
        return await kept(self)

    before = signal.signal(signal.SIGUSR1, lambda *_: engine.close())
    try:
        if while_it == "closes":
            engine.head("s3://bucket/key")
        monkeypatch.setattr(AsyncEngine, "start" if while_it == "starts" else "close", interrupted)
        engine.start() if while_it == "starts" else engine.close()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert calls
    assert "closed" in repr(engine)
    with pytest.raises(errors.UsageError, match="closed"):
        engine.head("s3://bucket/key")


@pytest.mark.parametrize("does", ["close", "use"])
def test_a_signal_handler_may_strike_at_any_line_of_a_start(server: FaultServer, does: str) -> None:
    """Closed by it, the engine is closed, and nobody is warned of one that was left open; used by it, it works."""
    found: list[bool] = []

    def act(*_: object) -> None:
        if does == "close":
            engine.close()
        else:
            found.append(engine.exists("s3://bucket/key"))

    threads = set(threading.enumerate())
    before = signal.signal(signal.SIGUSR1, act)
    try:
        for line in range(100):
            engine = Engine(endpoint_url=server.endpoint_url, workers=1)
            with at_line(line, signal.SIGUSR1) as struck:
                engine.start()
            assert ("closed" in repr(engine)) == (bool(struck) and does == "close")
            engine.close()
            assert engine not in open_engines
            if not struck:
                break
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert line > 5
    assert found == [True] * line if does == "use" else found == []
    assert "bulkhaul-loop" not in [thread.name for thread in set(threading.enumerate()) - threads]


@pytest.mark.parametrize("why", ["interrupted", "refused"])
def test_a_start_that_does_not_succeed_may_be_repeated(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Nothing of it is left, and the next start is a start, also that of the first operation."""
    before = set(descendants())
    with Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
        beside = engine.beside(engine.settings)
    kept = AsyncEngine.start

    async def late(self: AsyncEngine) -> Any:
        await kept(self)
        await self.exists("s3://bucket/key")  # so that it has a worker
        if self is beside and why == "refused":
            raise errors.OtherError("no descriptors")
        if self is beside:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await asyncio.sleep(PATIENCE_S)

    monkeypatch.setattr(AsyncEngine, "start", late)
    with pytest.raises(KeyboardInterrupt if why == "interrupted" else errors.OtherError):
        engine.start()
    monkeypatch.setattr(AsyncEngine, "start", kept)
    assert set(descendants()) <= before
    assert engine not in open_engines
    assert engine.exists("s3://bucket/key")
    assert engine.run(beside.exists, "s3://bucket/key")
    engine.close()
    assert set(descendants()) <= before


def test_a_new_start_is_a_new_start(server: FaultServer) -> None:
    """An end that was in a hurry does not hurry the next one, and engines beside it start with it."""
    engine = Engine(endpoint_url=server.endpoint_url, workers=1).start()
    beside = engine.beside(engine.settings)
    engine._hurry()
    engine.close()
    with engine.start():
        assert not engine.aio._life._hurried
        assert engine.run(beside.exists, "s3://bucket/key")
    assert "closed" in repr(beside)


def test_a_start_while_it_is_closed_is_refused(server: FaultServer) -> None:
    """It would return an engine that is about to end. Several may close it at a time; each waits for the end."""

    async def use() -> None:
        before = set(descendants())
        engine = await AsyncEngine(endpoint_url=server.endpoint_url, workers=1).start()
        await engine.head("s3://bucket/key")
        received = engine.progress().received_bytes
        closing = [asyncio.create_task(engine.close()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(errors.UsageError, match="being closed"):
            await engine.start()
        await asyncio.gather(*closing)
        assert set(descendants()) <= before
        assert engine.progress().received_bytes == received
        assert await (await engine.start()).exists("s3://bucket/key")
        await engine.close()

    asyncio.run(use())


@pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")
def test_an_engine_on_a_second_loop_says_so(server: FaultServer) -> None:
    """Each ``asyncio.run`` makes a loop; once it is closed the engine starts on the next one."""
    before = set(descendants())
    engine = AsyncEngine(endpoint_url=server.endpoint_url, workers=1)
    assert asyncio.run(engine.exists("s3://bucket/key"))
    with pytest.raises(errors.UsageError, match="another event loop"):
        asyncio.run(engine.exists("s3://bucket/key"))
    asyncio.run(engine.close())
    assert set(descendants()) <= before

    async def again() -> bool:
        async with engine:
            return await engine.exists("s3://bucket/key")

    assert asyncio.run(again())
    gc.collect()


def test_a_second_loop_beside_the_first_is_told_so(server: FaultServer) -> None:
    """Also while both are open; the engine goes on where it runs. Nothing else of asyncio is what the caller gets."""
    engine = AsyncEngine(endpoint_url=server.endpoint_url, workers=1)

    async def each() -> list[str]:
        return [one.key async for one in engine.list("s3://bucket/")]

    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert first.run(engine.exists("s3://bucket/key"))
        for work in (lambda: engine.exists("s3://bucket/key"), lambda: engine.get_bytes("s3://bucket/key"), each):
            with pytest.raises(errors.UsageError, match="another event loop"):
                second.run(asyncio.wait_for(work(), PATIENCE_S))
        assert first.run(engine.get_bytes("s3://bucket/key")) == b"hello"
        first.run(engine.close())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_dropped_engine_leaves_the_loop_as_it_was(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """No number of a closed descriptor stays with the program's loop, where it would hide the next socket."""
    before = set(descendants())

    async def use() -> None:
        loop = asyncio.get_running_loop()
        held = set(loop._selector.get_map())  # type: ignore[attr-defined]
        engine = AsyncEngine(endpoint_url=server.endpoint_url, workers=1)
        await engine.head("s3://bucket/key")
        del engine
        gc.collect()
        for _ in range(int(PATIENCE_S / 0.02)):
            if set(loop._selector.get_map()) <= held:  # type: ignore[attr-defined]
                break
            await asyncio.sleep(0.02)
        assert set(loop._selector.get_map()) <= held  # type: ignore[attr-defined]
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.send(b"x")
            assert await asyncio.wait_for(loop.sock_recv(ours, 1), PATIENCE_S) == b"x"

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.EpollSelector())) as runner:
        runner.run(use())
    eventually(lambda: set(descendants()) <= before, "processes are left")
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio" and one.levelname == "ERROR"] == []
