"""Runs one async piece of work with a small engine, for commands that ask and print; it must not know what.

    engine ─▶ work ─▶ Lines ─▶ stdout        a failure ─▶ one line on stderr, and with --json one on stdout

A reader that pauses (``| less``) holds the work up and nothing else: the engine goes on, and Ctrl-C is heard: the
work is cancelled, and whoever looks at the exit code, stderr or the JSON is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import click
import msgspec

from bulkhaul.cli import early
from bulkhaul.cli.interruption import Interruption
from bulkhaul.cli.line_stream import LineStream
from bulkhaul.cli.logs import log_to
from bulkhaul.cli.standard_streams import require_stdout
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.errors import ErrorInfo, TransferError, error_of
from bulkhaul.model.settings import Settings
from bulkhaul.policy.naming import printable

CONCURRENCY = 2
"""Requests in flight: one, and the next one ahead of it."""

_PAUSES_S = (0.001, 0.002, 0.005, 0.02)
"""Waits for a reader that is behind: short ones first, as most of them are only a little slower."""

LOOK_UP_S = 0.025
"""How often a signal is looked for."""

LAST_LINES_S = 0.5
"""How long an interrupted command tries to get rid of its last lines."""

Work = Callable[[AsyncEngine, "Lines"], Awaitable[int]]


class Lines:
    """Whole lines on their way to stdout."""

    def __init__(self) -> None:
        self._stream = LineStream(1)

    async def write(self, text: str) -> None:
        """Write lines; ends when all of them have left.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: the disk behind stdout is full, or gone.
        """
        self._stream.write(text)
        waits = 0
        while not self._stream.flush(0.0):
            await asyncio.sleep(_PAUSES_S[min(waits, len(_PAUSES_S) - 1)])
            waits += 1

    async def last(self, text: str) -> None:
        """Write the lines of a command that was interrupted; a reader that pauses or has left does not get them."""
        with contextlib.suppress(TimeoutError, BrokenPipeError):
            await asyncio.wait_for(self.write(text), LAST_LINES_S)


def ask(
    ctx: click.Context,
    work: Work,
    settings: Settings,
    *,
    operation: str,
    as_json: bool = False,
    workers: int = 1,
) -> NoReturn:
    """Run ``work``, which returns the exit code, and end the command with it.

    Args:
        operation: names the command in the JSON of a failure.
        workers: processes that ask: with two, one reads a page while the other one asks for the next.

    Raises:
        click.UsageError: stdout is closed, and nobody would see the answer.
    """
    require_stdout()
    small = msgspec.structs.replace(settings, workers=workers, concurrency=CONCURRENCY)
    forkserver = early.take()
    gc.enable()  # the imports are done

    engine = AsyncEngine(small, forkserver=forkserver)
    interruption = Interruption(lambda: _kill(engine.worker_pids))
    interruption.install()
    log_to(functools.partial(click.echo, nl=False, err=True), "warning")

    async def asked(lines: Lines) -> int:
        async with engine:
            return await work(engine, lines)

    async def run() -> int:
        lines = Lines()
        task = asyncio.create_task(asked(lines))
        try:
            if await _interrupted(task, interruption):
                text = f"interrupted by {interruption.name}"
                click.echo(f"bulkhaul: {text}", err=True)
                if as_json:
                    await lines.last(failure_line(operation, ErrorInfo("Cancelled", text)))
                return interruption.exit_code
            return await task
        except BrokenPipeError:
            return 1  # nobody reads any more: stop, quietly
        except TransferError as error:
            click.echo(f"bulkhaul: error: {printable(str(error))}", err=True)
            if as_json:
                await lines.write(failure_line(operation, error.info))
            return error.exit_code
        except OSError as error:
            click.echo(f"bulkhaul: error: the output cannot be written: {error.strerror}", err=True)
            return 1

    ctx.exit(_run(run))


async def _interrupted(task: asyncio.Task[int], interruption: Interruption) -> bool:
    """Wait for the end of a task, which a signal cancels; tell whether one did."""
    while not task.done():
        await asyncio.wait([task], timeout=LOOK_UP_S)
        if interruption.signum and task.cancel():
            await asyncio.wait([task])
            return task.cancelled() or task.exception() is not None
    return False


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, signal.SIGKILL)


def _run(work: Callable[[], Awaitable[int]]) -> int:
    import uvloop

    async def outcome() -> int:
        return await work()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(outcome())


def json_text(fields: dict[str, Any]) -> str:
    """Return one line of JSON, in ASCII: whatever a key holds, it is valid everywhere."""
    return json.dumps(fields) + "\n"


def failure_line(operation: str, failure: ErrorInfo) -> str:
    """Return the line of JSON for a command that failed as a whole."""
    error = {"code": failure.code, "message": str(error_of(failure))}
    return json_text({"operation": operation, "success": False, "error": error})


def refuse(error: TransferError) -> NoReturn:
    """Turn what is wrong with the command line into click's own error; raise anything else as it is.

    Raises:
        click.UsageError: the command line makes no sense.
        click.ClickException: it does, and still cannot be carried out.
    """
    kind = click.UsageError if error.exit_code == click.UsageError.exit_code else click.ClickException
    raise kind(printable(str(error))) from error
