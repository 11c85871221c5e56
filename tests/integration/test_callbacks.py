"""No exception ends in a callback of the loop: whichever one raises, everything that is under way ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import os
import random
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bulkhaul import AsyncEngine, errors
from bulkhaul.engine.loop.last_resort import Guarded
from bulkhaul.engine.pool.credentials import RefreshableCredentials
from tests.engines import aws_environment, descendants, keys, serving, temp_files
from tests.faultserver import MIB, FaultServer, Status, make_object
from tests.patience import PATIENCE_S
from tests.writing import open_files

PART_BYTES = 5 * MIB
BODY = random.Random(66).randbytes(2 * PART_BYTES + 1)
STORED = make_object(BODY, part_size_bytes=PART_BYTES, algorithm="CRC32")
LIMIT_S = 30.0
CLOSES = "call_soon bulkhaul.engine.transfers.stream._close"
"""The callback that gives memory back; no other one, if it fails, may leave some."""

Called = Callable[..., object]


class WatchedLoop(uvloop.Loop):
    """A loop that knows which of its callbacks are the engine's, and can make one of them fail.

    Attributes:
        seen: where each kind was registered, and what it calls.
        victim: the one that raises from ``armed`` on.
        hits: how often it has raised.
        kept: what it would have done instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.victim = ""
        self.armed = False
        self.hits = 0
        self.kept: list[Called] = []

    def _looked_at(self, how: str, callback: Called) -> Called:
        inner = callback.callback if isinstance(callback, Guarded) else callback
        plain: Any = inner
        while isinstance(plain, functools.partial):
            plain = plain.func
        module, name = getattr(plain, "__module__", "") or "", getattr(plain, "__qualname__", "")
        if not module.startswith("bulkhaul."):
            return callback
        label = f"{how} {module}.{name}"
        self.seen.add(label)
        if label != self.victim:
            return callback

        def failing(*arguments: object) -> None:
            if not self.armed:
                inner(*arguments)
                return
            self.hits += 1
            self.kept.append(functools.partial(inner, *arguments))
            raise RuntimeError("injected")

        # It raises as a function of the callback's own module would.
        globals_ = failing.__globals__ | {"__name__": module}
        placed = types.FunctionType(failing.__code__, globals_, closure=failing.__closure__)
        if not isinstance(callback, Guarded):
            return placed
        guarded = copy.copy(callback)
        guarded.callback = placed
        return guarded

    def call_soon(self, callback: Called, *arguments: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Look at what futures and the engine have called."""
        return super().call_soon(self._looked_at("call_soon", callback), *arguments, context=context)

    def call_later(self, delay: float, callback: Called, *arguments: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Look at a timer."""
        return super().call_later(delay, self._looked_at("call_later", callback), *arguments, context=context)

    def call_at(self, when: float, callback: Called, *arguments: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Look at a timer."""
        return super().call_at(when, self._looked_at("call_at", callback), *arguments, context=context)

    def add_reader(self, fd: Any, callback: Called, *arguments: Any) -> None:  # type: ignore[override]
        """Look at what reads."""
        super().add_reader(fd, self._looked_at("add_reader", callback), *arguments)

    def add_writer(self, fd: Any, callback: Called, *arguments: Any) -> None:  # type: ignore[override]
        """Look at what writes."""
        super().add_writer(fd, self._looked_at("add_writer", callback), *arguments)


async def everything(loop: WatchedLoop, server: FaultServer, folder: Path, *, arm_late: bool) -> None:
    """Move bytes in every direction, and lose workers and a forkserver on the way.

    Raises:
        TransferError: a part of it failed.
    """
    loop.armed = not arm_late
    settings: dict[str, Any] = {"workers": 2, "part_size_bytes": PART_BYTES, "multipart_threshold_bytes": PART_BYTES}
    async with AsyncEngine(endpoint_url=server.endpoint_url, **settings) as engine:
        await engine.upload_bytes(b"some bytes", "s3://bucket/first")
        await engine.download("s3://bucket/key", folder / "first")
        loop.armed = True
        kill(engine.worker_pids[:1])
        async with asyncio.TaskGroup() as group:
            group.create_task(_quietly(engine.download("s3://bucket/key", folder / "second")))
            group.create_task(_quietly(engine.upload_bytes(bytes(2 * PART_BYTES), "s3://bucket/up")))
            group.create_task(_quietly(engine.copy("s3://bucket/key", "s3://bucket/copied")))
            group.create_task(_quietly(_many(engine, folder / "many")))
            group.create_task(_quietly(_stream(engine, folder)))
        kill(map(_parent_of, engine.worker_pids))
        await engine.download("s3://bucket/key", folder / "third")
        assert (folder / "third").read_bytes() == BODY
        # A death that nobody reports.
        kill(map(_parent_of, engine.worker_pids), signal.SIGSTOP)
        kill(engine.worker_pids[:1])
        await engine.download("s3://bucket/key", folder / "fourth")
        kill(engine.worker_pids[:1], signal.SIGSTOP)  # it must be killed at the end


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, if they are there."""
    for pid in set(pids) - {0}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def _quietly(work: Any) -> None:
    """Wait for work that may fail: the others are to go on."""
    with contextlib.suppress(errors.TransferError):
        await work


async def _many(engine: AsyncEngine, folder: Path) -> None:
    async with contextlib.aclosing(engine.download_many("s3://bucket/many/", folder)) as results:
        async for _ in results:
            pass


async def _stream(engine: AsyncEngine, folder: Path) -> None:
    with (folder / "zeros").open("w+b") as file:
        file.truncate(2 * PART_BYTES + 1)
        await engine.upload_stream(file.fileno(), "s3://bucket/stream")


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def run(folder: Path, victim: str, *, arm_late: bool) -> tuple[WatchedLoop, BaseException | None]:
    """Run everything with one failing callback; it must end in time, and leave no process and no file."""
    folder.mkdir()
    before, memory = set(descendants()), memory_held()
    error: BaseException | None = None
    began_s = time.monotonic()
    with filled_server() as server, asyncio.Runner(loop_factory=WatchedLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, WatchedLoop)
        loop.victim = victim

        async def within() -> None:
            async with asyncio.timeout(LIMIT_S):
                await everything(loop, server, folder, arm_late=arm_late)

        try:
            runner.run(within())
        except Exception as raised:  # noqa: BLE001 - looked at below
            error = raised
        assert loop.get_exception_handler() is None
    assert not isinstance(error, TimeoutError), f"{victim}: it hangs"
    assert time.monotonic() - began_s < LIMIT_S + 5
    assert set(descendants()) <= before, f"{victim}: processes are left"
    assert temp_files(folder) == [], f"{victim}: temp files are left"
    for close in loop.kept if victim == CLOSES else ():
        close()
    assert memory_held() <= memory, f"{victim}: memory is left"
    return loop, error


def memory_held() -> int:
    """Return how many pieces of the engine's anonymous memory this process has open."""
    return sum(name.startswith("/memfd:bulkhaul") for name in open_files(os.getpid()))


@contextlib.contextmanager
def filled_server() -> Iterator[FaultServer]:
    """Run a server with one object of several parts and many small ones, one of which is given at the second try."""
    with serving() as server, aws_environment(keys()):
        server.store.put("bucket", "key", STORED)
        for number in range(10):
            server.store.put("bucket", f"many/{number}", make_object(b"small"))
        for attempt in (1, 2):  # in its batch, and by itself
            server.add_fault(Status(code="InternalError", operation="GetObject", key="many/3", attempt=attempt))
        yield server


def test_every_callback_of_the_engine(tmp_path: Path) -> None:
    """Each callback that the engine gives to the loop raises in a run of its own: an error or success, never a hang."""
    sound, error = run(tmp_path / "sound", "", arm_late=False)
    assert error is None
    assert {label.split()[0] for label in sound.seen} >= {"call_soon", "call_later", "call_at", "add_reader"}
    assert len(sound.seen) >= 8
    struck = set[str]()
    for number, victim in enumerate(sorted(sound.seen)):
        for arm_late in (False, True):
            loop, error = run(tmp_path / f"{number}-{arm_late}", victim, arm_late=arm_late)
            assert error is None or isinstance(error, errors.TransferError), f"{victim}: {error!r}"
            if loop.hits and error is not None:
                assert "injected" in str(error) or "closed" in str(error), f"{victim}: {error}"
                struck.add(victim)
    assert len(struck) > len(sound.seen) / 2, f"of {sound.seen} only {struck} were told of"


def test_background_tasks_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that nobody waits for and that fails by a defect ends the engine's transfers; they do not wait for it."""

    async def failing(_credentials: RefreshableCredentials, _worker: int, _generation: int) -> None:
        raise ZeroDivisionError("injected")

    monkeypatch.setattr(RefreshableCredentials, "_resolve", failing)
    _, error = run(tmp_path / "task", "", arm_late=False)
    assert isinstance(error, errors.TransferError)
    assert "ZeroDivisionError: injected" in str(error)


def test_callbacks_of_others(tmp_path: Path) -> None:
    """What the caller's own callbacks raise goes to the caller's handler and ends no transfer; ours goes to both."""
    heard: list[str] = []

    def broken() -> None:
        raise ValueError("the caller's")

    async def story(server: FaultServer) -> None:
        loop = asyncio.get_running_loop()

        def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            heard.append(str(context["exception"]))

        loop.set_exception_handler(handler)
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=1) as engine:
            loop.call_soon(broken)
            await engine.download("s3://bucket/key", tmp_path / "one")
            assert heard == ["the caller's"]
            placed = types.FunctionType(broken.__code__, {"__name__": "bulkhaul.engine.new", "ValueError": ValueError})
            loop.call_soon(placed)
            with pytest.raises(errors.OtherError, match="internal error"):
                await engine.download("s3://bucket/key", tmp_path / "two")
        assert heard == ["the caller's", "the caller's"]
        assert loop.get_exception_handler() is handler

    with filled_server() as server:
        asyncio.run(story(server))
    assert (tmp_path / "one").read_bytes() == BODY


WORKER = """
import asyncio, sys
from bulkhaul.engine.worker.process import _end_in_the_open

async def story():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_in_the_open)
    if sys.argv[1] == "callback":
        loop.call_soon(int, "no number")
    elif sys.argv[1] == "reader":
        import os
        reading, writing = os.pipe()
        os.write(writing, b"x")
        loop.add_reader(reading, int, "no number")
    else:
        loop.create_future().set_exception(ValueError("nobody looks at it"))
    await asyncio.sleep(0.2)
    print("lives on")

import uvloop
uvloop.run(story())
"""


@pytest.mark.parametrize(("what", "status"), [("callback", 70), ("reader", 70), ("future", 0)])
def test_callbacks_of_a_worker(what: str, status: int) -> None:
    """A callback that fails in a worker ends it, in the open; a failed future that nobody looks at does not."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, what], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == status
    assert ("Traceback" in done.stderr) is bool(status)
    assert ("lives on" in done.stdout) is not bool(status)
