"""How a command that asks and prints ends its work: at a lost output, at a signal, and in which order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bulkhaul.cli.line_stream import LineStream
from bulkhaul.cli.run import LOOK_UP_S
from bulkhaul.cli.run_query import Lines, _Query
from bulkhaul.model.settings import Settings
from tests.patience import PATIENCE_S


class SlowEngine:
    """Stands for an engine that takes longer to close than the command waits at once."""

    def __init__(self) -> None:
        self.closed = False
        self.worker_pids: list[int] = []

    async def __aenter__(self) -> None:
        """Start nothing."""

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.sleep(4 * LOOK_UP_S)
        self.closed = True


class Started:
    """A query with an engine that does nothing, and pipes for its output."""

    def __init__(self, work: Callable[[Started, Lines], Awaitable[int]]) -> None:
        self.query = _Query(
            lambda _engine, lines: work(self, lines),
            Settings(),
            SimpleNamespace(close=lambda: None),  # type: ignore[arg-type]
            operation="ls",
            as_json=True,
        )
        self.engine = SlowEngine()
        self.query.engine = self.query._engine = self.engine  # type: ignore[assignment]
        (self.out, out), (self.err, err) = os.pipe(), os.pipe()
        self.ends = {self.out, out, self.err, err}
        self.query.stdout, self.query.stderr = LineStream(out), LineStream(err)
        self.query.err = self.query.stderr.write

    def lose(self, end: int) -> None:
        """Have the reader of stdout or stderr leave."""
        self.ends.remove(end)
        os.close(end)

    def outcome(self) -> tuple[int | BaseException, bool, list[str]]:
        """Run the query to its end: (exit code or failure, whether the engine was closed by then, complaints)."""
        complaints: list[str] = []

        async def answered() -> tuple[int | BaseException, bool]:
            asyncio.get_running_loop().set_exception_handler(lambda _loop, about: complaints.append(about["message"]))
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await self.query._answered(), self.engine.closed
            except OSError as error:
                return error.with_traceback(None), self.engine.closed

        outcome, closed = asyncio.run(answered())
        gc.collect()  # a failure that nobody has looked at is told when its task is collected
        return outcome, closed, complaints


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[Started, Lines], Awaitable[int]]], Started]]:
    """Return what makes a query; afterwards its pipes, and the handlers of signals and logs, are put away."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    logger = logging.getLogger("bulkhaul")
    log = (logger.handlers[:], logger.level, logger.propagate)
    made: list[Started] = []

    def make(work: Callable[[Started, Lines], Awaitable[int]]) -> Started:
        made.append(Started(work))
        return made[-1]

    yield make
    for one in made:
        for end in one.ends:
            os.close(end)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logger.handlers[:], logger.level, logger.propagate = log
    gc.unfreeze()


def test_lost_stdout(start: Any) -> None:
    """The work finds that the reader has left; the engine closes in peace, and the failure is the work's own."""

    async def work(started: Started, lines: Lines) -> int:
        started.lose(started.out)
        await lines.write("a line\n")
        return 0

    outcome, closed, complaints = start(work).outcome()
    assert (type(outcome), closed, complaints) == (BrokenPipeError, True, [])


def test_lost_stderr(start: Any) -> None:
    """Work that would go on without its log is cancelled, and the engine is closed before the failure is told."""

    async def work(started: Started, _lines: Lines) -> int:
        started.lose(started.err)
        started.query.err("a warning\n")
        await asyncio.sleep(PATIENCE_S)
        return 0

    outcome, closed, complaints = start(work).outcome()
    assert (type(outcome), closed, complaints) == (BrokenPipeError, True, [])


def test_failure_beside_a_lost_stderr(start: Any) -> None:
    """Work that fails while it is cancelled is looked at: its own failure is the one that is told."""

    async def work(started: Started, _lines: Lines) -> int:
        started.lose(started.err)
        started.query.err("a warning\n")
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            raise OSError("the disk")

    outcome, closed, complaints = start(work).outcome()
    assert (str(outcome), closed, complaints) == ("the disk", True, [])


def test_lines_after_a_signal(start: Any) -> None:
    """What is logged while interrupted work ends is written at once: a second signal would drop it."""
    seen: list[bytes] = []

    async def work(started: Started, _lines: Lines) -> int:
        started.query.interruption.signum = signal.SIGINT
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            started.query.err("a late warning\n")
            await asyncio.sleep(4 * LOOK_UP_S)
            os.set_blocking(started.err, False)
            seen.append(os.read(started.err, 100))
        return 0

    outcome, closed, complaints = start(work).outcome()
    assert (outcome, closed, complaints) == (130, True, [])
    assert seen == [b"a late warning\n"]


def test_last_words_to_a_closed_stderr(start: Any) -> None:
    """A second signal ends the process, whoever has closed its stderr."""

    async def work(_started: Started, _lines: Lines) -> int:
        return 0

    query = start(work).query
    query.last_words = "objects are left\n"
    stderr = os.dup(2)
    os.close(2)
    try:
        query._break_off()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def test_signal_and_lost_output(start: Any) -> None:
    """Ctrl-C often ends the reader too: the exit code is that of the signal all the same."""

    async def work(started: Started, _lines: Lines) -> int:
        started.lose(started.err)
        started.query.interruption.signum = signal.SIGINT
        started.query.err("a warning\n")
        await asyncio.sleep(PATIENCE_S)
        return 0

    outcome, closed, complaints = start(work).outcome()
    assert (outcome, closed, complaints) == (130, True, [])
