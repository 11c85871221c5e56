"""Carries out a command over objects: engine, lines, display, signals; it must not know the command line.

engine ─▶ feed (a thread) ─▶ main thread ─▶ report ─▶ stdout, stderr
                                  ├──────▶ display, 8 times a second
                                  ╰── looks at the noted signal
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time

from bulkhaul.cli.background_iterator import BackgroundIterator
from bulkhaul.cli.interruption import Interruption
from bulkhaul.cli.job import Job
from bulkhaul.cli.line_stream import LineStream
from bulkhaul.cli.logs import log_to
from bulkhaul.cli.progress import TICK_S, Display, shows_on
from bulkhaul.cli.report import TransferReport
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.threads import no_thread
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.results import TransferResult

LAST_FLUSH_S = 0.5
"""How long an interrupted command tries to get rid of its last lines."""

LOOK_UP_S = 0.025
"""How often a signal is looked for; less than the engine waits at the end of an input whose writer it may have hit."""

__all__ = ["Job", "carry_out"]


def carry_out(
    job: Job, forkserver: ForkserverProcess, *, as_json: bool, quiet: bool, progress: bool, log_level: str
) -> int:
    """Do it, say what happened, and return the exit code."""
    gc.freeze()  # the imports are done, and stay
    gc.enable()
    hidden = quiet or job.dry_run or job.to_stdout or job.quietly
    display = Display() if progress and not hidden and os.isatty(2) else None
    run = _Run(job, display, as_json=as_json, quiet=quiet)
    log_to(run.err, log_level)
    try:
        with Engine(job.settings, forkserver=forkserver) as engine:
            status = run.follow(engine)
    except TransferError as error:
        status = run.failed(error)
    except RuntimeError as error:
        if (known := no_thread(error)) is None:
            raise
        status = run.failed(known)
    return run.conclude(status)


class _Run:
    """One run of the command: what goes where, and how it ends.

    Attributes:
        err: takes lines for stderr, from any thread.
    """

    def __init__(self, job: Job, display: Display | None, *, as_json: bool, quiet: bool) -> None:
        self._began_s = time.monotonic()
        self._job = job
        self._display = display
        self._engine: Engine | None = None
        self._interruption = Interruption(self._kill_workers)
        self._interruption.install()
        self._stdout, self._stderr = LineStream(1), LineStream(2)
        self.err = display.above if display else self._stderr.write
        out = display.above if display and shows_on(1) else self._stdout.write
        self._report = TransferReport(
            self.err if job.to_stdout else out,
            self.err,
            operation=job.operation,
            as_json=as_json,
            quiet=quiet or (job.to_stdout and not job.dry_run),
            dry_run=job.dry_run,
            remains=job.remains,
        )

    def follow(self, engine: Engine) -> int:
        """Report results until there are no more, or until a signal or a lost reader; return the exit code."""
        self._engine = engine
        feed = BackgroundIterator(lambda: self._job.results(engine))
        try:
            self._report_all(feed, engine)
        except BrokenPipeError:
            return 1  # nobody reads any more: stop, quietly
        except OSError as error:
            self.err(f"bulkhaul: error: the output cannot be written: {error.strerror}\n")
            return 1
        finally:
            engine.close()  # what ends the thread of the feed, once it has put what the engine had handed it
            feed.abandon()
            feed.join(LAST_FLUSH_S)
        if not feed.ended:
            return self._interrupted(feed, engine)
        if isinstance(feed.error, TransferError):
            return self.failed(feed.error)
        if isinstance(feed.error, BrokenPipeError):
            return 1  # as above: what the engine writes to stdout has lost its reader
        if feed.error is not None:
            raise feed.error
        return 1 if self._report.counts.failed else 0

    def failed(self, error: TransferError) -> int:
        """Report a failure of the job as a whole; return the exit code."""
        self._report.ended(_failure(self._job, error.info))
        return error.exit_code

    def conclude(self, status: int) -> int:
        """Write the last lines and return the exit code."""
        self._report.summary(time.monotonic() - self._began_s, success=status == 0)
        if self._display is not None:
            self._display.close()
        try:
            while not self._flush(LAST_FLUSH_S) and not self._interruption.signum:
                pass
        except OSError:
            return status or 1  # the lines are lost, and with them what the caller wanted to know
        return status

    def _report_all(self, feed: BackgroundIterator[TransferResult], engine: Engine) -> None:
        next_tick_s = time.monotonic() + TICK_S
        while not feed.ended and not self._interruption.signum:
            if self._stdout.full or self._stderr.full:
                self._flush(TICK_S)
            elif (result := feed.take(LOOK_UP_S)) is not None:
                self._report.ended(result)
            if feed.idle:
                self._flush(0.0)
            if self._display is not None and time.monotonic() >= next_tick_s:
                self._display.update(engine.progress())
                next_tick_s = time.monotonic() + TICK_S
        if self._display is not None:
            self._display.update(engine.progress())

    def _interrupted(self, feed: BackgroundIterator[TransferResult], engine: Engine) -> int:
        """Report what had ended before the signal came, and count what had not."""
        while (result := feed.take(0.0)) is not None:
            self._report.ended(result)
        unfinished = max(0, engine.progress().planned_objects - self._report.counts.planned)
        self._report.cancelled(unfinished, self._interruption.name)
        return self._interruption.exit_code

    def _flush(self, timeout_s: float) -> bool:
        done = self._stdout.flush(timeout_s)
        return self._stderr.flush(timeout_s) and done

    def _kill_workers(self) -> None:
        for pid in self._engine.worker_pids if self._engine else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _failure(job: Job, failure: ErrorInfo) -> TransferResult:
    where = job.source if job.source.startswith("s3://") else job.destination
    bucket, _, key = where.removeprefix("s3://").partition("/")
    return TransferResult(source=job.source, destination=job.destination, bucket=bucket, key=key, failure=failure)
