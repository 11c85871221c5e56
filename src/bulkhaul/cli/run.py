"""Runs a command to its exit code, however it ends: signals, failures, readers that pause or leave, last lines.

A reader that pauses (``| less``) holds the command up and nothing else: the engine goes on, and Ctrl-C is heard.
``run_job`` and ``run_query`` say what the work is.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable

from bulkhaul.cli.interruption import Interruption, kill
from bulkhaul.cli.line_stream import LineStream
from bulkhaul.cli.lines import output_lost_line
from bulkhaul.cli.logs import log_to
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.threads import no_thread
from bulkhaul.model.errors import TransferError

LAST_LINES_S = 0.5
"""How long an interrupted command tries to get rid of its last lines."""

LOOK_UP_S = 0.025
"""How often a signal is looked for; less than the engine waits at the end of an input whose writer it may have hit."""


class Run(ABC):
    """One run of a command.

    Attributes:
        engine: what does the work, None before it is made; a second signal kills its workers.
        interruption: the signals that came.
        stdout, stderr: lines on their way out.
        err: takes lines for stderr, from any thread.
    """

    def __init__(self, *, log_level: str = "warning", err: Callable[[str], None] | None = None) -> None:
        """Take over signals and logs; ``err`` is for a display that has stderr to itself."""
        gc.freeze()  # the imports are done, and stay
        gc.enable()
        self.engine: Engine | AsyncEngine | None = None
        self.interruption = Interruption(lambda: kill(self.engine.worker_pids if self.engine else ()))
        self.interruption.install()
        self.stdout, self.stderr = LineStream(1), LineStream(2)
        self.err = err or self.stderr.write
        log_to(self.err, log_level)

    def exit_code(self) -> int:
        """Do the work, tell how it ended, and return the exit code."""
        try:
            status = self.work()
        except BrokenPipeError:
            status = 1  # nobody reads any more: stop, quietly
        except TransferError as error:
            status = self._fail(error)
        except OSError as error:
            self.err(output_lost_line(error))
            status = 1
        except RuntimeError as error:
            if (known := no_thread(error)) is None:
                raise
            status = self._fail(known)
        return self.finish(status)

    @abstractmethod
    def work(self) -> int:
        """Do the work, and close its engine; return the exit code.

        Raises:
            TransferError: it failed as a whole.
            BrokenPipeError: nobody reads the output any more.
            OSError: the output cannot be written.
        """

    @abstractmethod
    def tell(self, error: TransferError) -> None:
        """Write the lines about a failure of the work as a whole."""

    def finish(self, status: int) -> int:
        """Write what is left, however slowly it is read, but not for long after a signal; return the exit code."""
        try:
            while not self.flush(LAST_LINES_S) and not self.interruption.signum:
                pass
        except BrokenPipeError:
            return status or 1  # the lines are lost, and with them what the caller wanted to know
        except OSError as error:
            if status == 0:  # else it was told already that not all is well
                self.stderr.write(output_lost_line(error))
                self.stderr.flush(LAST_LINES_S)
            return status or 1
        return status

    def flush(self, timeout_s: float) -> bool:
        """Write what can be written within the time; False if something is left.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: the disk behind it is full, or gone.
        """
        try:
            told = self.stderr.flush(timeout_s)  # first, as it may tell why stdout cannot be written
        finally:
            done = self.stdout.flush(timeout_s)
        return told and done

    def _fail(self, error: TransferError) -> int:
        self.tell(error)
        return error.exit_code
