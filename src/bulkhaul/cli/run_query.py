"""Runs a command that asks the service and prints the answer: ls, du, head, presign, cleanup and others.

    engine ─▶ work ─▶ Lines ─▶ stdout        a failure ─▶ one line on stderr, or with --json on stdout

All of it runs on one event loop. The work waits for a reader that is behind before it asks the service for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from bulkhaul.cli.lines import error_line, error_text, interrupted_text
from bulkhaul.cli.run import LOOK_UP_S, Run
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.event_loop import new_event_loop
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.model.errors import Cancelled, TransferError
from bulkhaul.model.settings import Settings

CONCURRENCY = 2
"""Requests in flight: one, and the next one ahead."""

_PAUSES_S = (0.001, 0.002, 0.005, 0.02)
"""Waits for a reader that is behind: short ones first, as most readers are only a little slower than we are."""

Work = Callable[[AsyncEngine, "Lines"], Awaitable[int]]


def ask(
    work: Work,
    settings: Settings,
    forkserver: ForkserverProcess | None,
    *,
    operation: str,
    as_json: bool,
    workers: int | None,
    log_level: str = "warning",
) -> int:
    """Run ``work`` with at most so many workers, tell a failure of it, and return the exit code.

    Args:
        workers: None for as many, and as many requests in flight, as the settings say.
    """
    if workers is not None:
        settings = msgspec.structs.replace(settings, workers=workers, concurrency=CONCURRENCY)
    query = _Query(work, settings, forkserver, operation=operation, as_json=as_json, log_level=log_level)
    return query.exit_code()


class Lines:
    """The output of a query."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def interrupted(self) -> bool:
        """A signal has come; a second one ends the process."""
        return self._run.interruption.signum != 0

    def last_words(self, text: str) -> None:
        """Have lines told on stderr if a second signal ends the process."""
        self._run.last_words = text

    async def write(self, text: str) -> None:
        """Write lines to stdout, and wait until all of them are written.

        Raises:
            BrokenPipeError: the reader has left.
            OSError: the disk behind stdout is full, or gone.
        """
        self._run.stdout.write(text)
        waits = 0
        while not self._run.flush(0.0):
            await asyncio.sleep(_PAUSES_S[min(waits, len(_PAUSES_S) - 1)])
            waits += 1

    async def note(self, text: str) -> None:
        """Tell people something, on stderr, before the next ``write``."""
        self.error(f"bulkhaul: {text}\n")

    def error(self, text: str) -> None:
        """Add lines for stderr; they are written before the next ``write``."""
        self._run.err(text)


class _Query(Run):
    """The run of a query."""

    def __init__(
        self,
        work: Work,
        settings: Settings,
        forkserver: ForkserverProcess | None,
        *,
        operation: str,
        as_json: bool,
        log_level: str = "warning",
    ) -> None:
        super().__init__(log_level=log_level)
        self._work = work
        self._engine = self.engine = AsyncEngine(settings, forkserver=forkserver)
        self._operation = operation
        self._as_json = as_json

    def work(self) -> int:
        """Ask and print; return the exit code."""
        try:
            loop = new_event_loop()
        except OSError as error:
            self._engine.abandon()
            raise local_error(error) from error
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(self._answered())

    def tell(self, error: TransferError) -> None:
        """Write what failed."""
        if self._as_json:
            self.stdout.write(error_text(self._operation, error.info))
        else:
            self.err(error_line(error.info))

    async def _answered(self) -> int:
        """Wait until the work ends; cancel it at a signal, or when nothing can be written to stderr any more.

        The work itself finds out about stdout.
        """
        task = asyncio.create_task(self._in_engine())
        interrupted = False
        lost: OSError | None = None
        while not task.done():
            await asyncio.wait([task], timeout=LOOK_UP_S)
            if self.interruption.signum and not interrupted:
                interrupted = task.cancel()
            if lost is None and not task.done():
                try:
                    self.stderr.flush(0.0)  # also after the signal: a second one drops what is left
                except OSError as error:
                    lost = error
                    task.cancel()
        if interrupted and (task.cancelled() or task.exception() is not None):
            return self._interrupted(None if task.cancelled() else task.exception())
        if lost is not None and task.cancelled():
            raise lost
        return await task

    async def _in_engine(self) -> int:
        async with self._engine:
            return await self._work(self._engine, Lines(self))

    def _interrupted(self, failure: BaseException | None) -> int:
        """Tell the signal, and what failed after it had come."""
        if isinstance(failure, TransferError) and not isinstance(failure, Cancelled):
            self.tell(failure)
        text = interrupted_text(self.interruption.name)
        if self._as_json:
            self.stdout.write(error_text(self._operation, Cancelled(text).info))
        else:
            self.err(f"bulkhaul: {text}\n")
        return self.interruption.exit_code
