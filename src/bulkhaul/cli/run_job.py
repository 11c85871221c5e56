"""Runs a command that reports what became of each object: cp, mv, sync, verify, cat, pipe, rm, run, job.

engine ─▶ job (a thread) ─▶ main thread ─▶ report ─▶ stdout, stderr
                                 ├──────▶ display, 8 times a second
                                 ╰── looks for a signal
"""

from __future__ import annotations

import os
import time

import msgspec

from bulkhaul.cli.background_iterator import BackgroundIterator
from bulkhaul.cli.job import KEPT, Job
from bulkhaul.cli.progress import TICK_S, Display, shows_on
from bulkhaul.cli.run import LAST_LINES_S, LOOK_UP_S, Run
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.model.archives import RestoreCounts
from bulkhaul.model.errors import TransferError
from bulkhaul.model.results import Progress, TransferResult
from bulkhaul.policy.selection import named_object

AGAIN = "run the same command again when they are there"

GO_ON = f"that takes minutes to days, and is not ended by Ctrl-C: {AGAIN}"


def carry_out(
    job: Job, forkserver: ForkserverProcess | None, *, as_json: bool, quiet: bool, progress: bool, log_level: str
) -> int:
    """Carry out the job, report it, and return the exit code."""
    # Bytes of objects must not mix with the display where both go to a terminal.
    hidden = quiet or job.dry_run or job.quietly or (job.to_stdout and os.isatty(1))
    shown = progress and not hidden and os.isatty(2) and os.environ.get("TERM") != "dumb"
    display = Display() if shown else None
    return _JobRun(job, forkserver, display, as_json=as_json, quiet=quiet, log_level=log_level).exit_code()


class _JobRun(Run):
    """The run of a job."""

    def __init__(
        self,
        job: Job,
        forkserver: ForkserverProcess | None,
        display: Display | None,
        *,
        as_json: bool,
        quiet: bool,
        log_level: str,
    ) -> None:
        super().__init__(log_level=log_level, err=display.above if display else None)
        self._began_s = time.monotonic()
        self._job = job
        self._forkserver = forkserver
        self._display = display
        self._quiet = quiet
        self._told = False
        self._all_taken = False
        out = display.above if display and shows_on(1) else self.stdout.write
        self._report = job.report(
            self.err if job.to_stdout else out,
            self.err,
            operation=job.operation,
            as_json=as_json,
            quiet=quiet or (job.to_stdout and not job.dry_run),
            dry_run=job.dry_run,
            remains=job.remains,
            **({"full_list": job.full_list} if job.full_list else {}),
        )

    def work(self) -> int:
        """Report results until there are no more or a signal comes; return the exit code."""
        with Engine(self._job.settings, forkserver=self._forkserver) as engine:
            self.engine = engine
            results = BackgroundIterator(lambda: self._job.results(engine))
            try:
                self._report_all(results, engine)
            finally:
                engine.close()  # ends the thread of the results, after it has queued what the engine had yielded
                results.abandon()
                results.join(LAST_LINES_S)
            if not results.ended:
                return self._interrupted(results, engine)
        if isinstance(results.error, OSError) and not isinstance(results.error, BrokenPipeError):
            raise local_error(results.error)  # of the work, not of the output
        if results.error is not None:
            raise results.error
        if self._job.note:
            self._report.note(self._job.note)
        if self._job.unfinished is not None:
            if why := self._job.unfinished():
                self._report.unsuccessful(why)
            return 1 if why else 0
        if self._job.nothing and not self._report.counts.planned:
            self._report.note(self._job.nothing)
        return 1 if self._report.counts.failed else 0

    def tell(self, error: TransferError) -> None:
        """Report a failure of the job as a whole."""
        source, destination = self._job.source, self._job.destination
        bucket, key = named_object(source if source.startswith("s3://") else destination)
        if isinstance(self.engine, Engine):
            self._report.left(max(0, self._report.unfinished(self._progress(self.engine)) - 1))
        self._report.ended_whole(
            TransferResult(source=source, destination=destination, bucket=bucket, key=key, failure=error.info)
        )

    def finish(self, status: int) -> int:
        """Report the totals and close the display; return the exit code."""
        seen = self._job.seen() if self._job.seen is not None else None
        if (restores := self._job.restores) is not None:
            archived = {"requested": restores.requested, "ready": restores.ready, "waiting": restores.waiting}
            seen = (seen or {}) | archived
        if self._display is not None:
            self._display.settle()  # the summary stands below it
        if not self.reader_left:
            self._report.summary(time.monotonic() - self._began_s, success=status == 0, seen=seen)
        if self._display is not None:
            self._display.settle()
        return super().finish(status)

    def _report_all(self, results: BackgroundIterator[TransferResult], engine: Engine) -> None:
        next_tick_s = time.monotonic() + TICK_S
        while not results.ended and not self.interruption.signum:
            if self.stdout.full or self.stderr.full:
                self.flush(TICK_S)
            elif (result := results.take(LOOK_UP_S)) is not None:
                self._report.ended(result)
            if results.idle:
                self.flush(0.0)
            if self._display is not None and time.monotonic() >= next_tick_s:
                self._show(self._display, engine)
                next_tick_s = time.monotonic() + TICK_S
            self._tell_of_waiting()
        self._all_taken = results.ended and results.error is None
        if self._display is not None:
            self._show(self._display, engine)

    def _progress(self, engine: Engine) -> Progress:
        """Return what is planned and done, with what the engine does not tell.

        That are deletions, objects that are still to be planned, and archived ones of which it does not know yet.
        """
        progress, restores = engine.progress(), self._job.restores
        if self._job.progress is not None:
            return msgspec.structs.replace(self._job.progress(), resolved=progress.resolved or not self._job.asks)
        counts = self._report.counts
        if progress.planned_objects < counts.planned:
            progress = msgspec.structs.replace(
                progress,
                planned_objects=counts.planned,
                verified_objects=counts.verified,
                failed_objects=counts.failed,
                skipped_objects=counts.skipped,
                planning_done=False,
            )
        if not progress.planned_objects or (self._job.grows is not None and self._job.grows()):
            progress = msgspec.structs.replace(progress, planning_done=False)
        if self._all_taken:
            progress = msgspec.structs.replace(progress, planning_done=True)
        if restores is None:
            return progress
        return msgspec.structs.replace(
            progress,
            planned_objects=progress.planned_objects - restores.again + restores.waiting,
            failed_objects=progress.failed_objects - restores.again,
        )

    def _show(self, display: Display, engine: Engine) -> None:
        restores = self._job.restores
        display.update(self._progress(engine), restores_text(restores) if restores is not None else "")

    def _tell_of_waiting(self) -> None:
        """Say once, where no display does, why it takes so long."""
        restores = self._job.restores
        if restores is None or self._told or not restores.requested or not restores.waiting:
            return
        self._told = True
        if self._display is None and not self._quiet:
            self.err(f"bulkhaul: archived objects are being brought back; {GO_ON}\n")

    def _interrupted(self, results: BackgroundIterator[TransferResult], engine: Engine) -> int:
        """Report the objects that had ended before the signal came, and count the others."""
        while (result := results.take(0.0)) is not None:
            self._report.ended(result)
        progress, restores = self._progress(engine), self._job.restores
        remains = KEPT if progress.left_objects else ""
        if restores is not None and restores.waiting:
            remains = f"{remains or self._job.remains}; archived objects that were asked for come all the same: {AGAIN}"
        self._report.cancelled(self._report.unfinished(progress), self.interruption.name, remains)
        return self.interruption.exit_code


def restores_text(restores: RestoreCounts) -> str:
    """Return how far archived objects are, for the display; empty where there are none.

    >>> restores_text(RestoreCounts(requested=5, waiting=3, ready=2))
    ', archived: 5 requested, 3 waiting, 2 ready'
    """
    if not (restores.requested or restores.waiting or restores.ready):
        return ""
    return f", archived: {restores.requested} requested, {restores.waiting} waiting, {restores.ready} ready"
