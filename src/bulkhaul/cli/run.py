"""Runs a command to its exit code, however it ends: success, failure, a signal, output that cannot be written.

A reader that pauses (``| less``) holds up the command's output only: the engine goes on, and Ctrl-C still works.
The two kinds of command are in ``run_job`` and ``run_query``.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
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
"""How long an interrupted command tries to write its last lines."""

COLLECT_EVERY = 20_000
"""New containers between two looks for garbage, as in a worker. Each object of many makes ten, none of them in a cycle:
with Python's 700 the looks would take 4 us of CPU time an object, a tenth of what it costs this process."""

LOOK_UP_S = 0.025
"""How often we look for a signal. The engine waits longer than this at the end of stdin: Ctrl-C may also have ended the
program that writes there, and then the input is not whole."""


class Run(ABC):
    """One run of a command.

    Attributes:
        engine: does the work, None before it is made; a second signal kills its workers.
        interruption: the signals that came.
        stdout, stderr: where lines go.
        last_words: told on stderr when a second signal ends the process; empty for nothing.
        reader_left: nobody reads the output any more.
        err: takes lines for stderr, from any thread.
    """

    def __init__(self, *, log_level: str = "warning", err: Callable[[str], None] | None = None) -> None:
        """Handle signals and logs from now on; a display takes the lines for stderr by ``err``."""
        gc.freeze()  # what was imported stays for good
        gc.set_threshold(COLLECT_EVERY)
        gc.enable()
        self.engine: Engine | AsyncEngine | None = None
        self.last_words = ""
        self.interruption = Interruption(self._break_off)
        self.interruption.install()
        self.stdout, self.stderr = LineStream(1), LineStream(2)
        self.err = err or self.stderr.write
        log_to(self.err, log_level, full=lambda: self.stderr.full)
        self.reader_left = False
        self._told_lost = False  # the line about lost output is written

    def exit_code(self) -> int:
        """Do the work, tell how it ended, and return the exit code."""
        try:
            status = self.work()
        except BrokenPipeError:
            self.reader_left = True
            status = 1  # stop, quietly
        except TransferError as error:
            status = self._fail(error)
        except OSError as error:
            self.err(output_lost_line(error))
            self._told_lost = True
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
            BrokenPipeError: the reader of the output has left.
            OSError: the output cannot be written.
        """

    @abstractmethod
    def tell(self, error: TransferError) -> None:
        """Write the lines about a failure of the work as a whole."""

    def finish(self, status: int) -> int:
        """Write the last lines, however slowly they are read, but after a signal not for long; return the exit code."""
        try:
            while not self.flush(LAST_LINES_S) and not self.interruption.signum:
                pass
        except BrokenPipeError:
            return status or 1  # the reader has missed lines, so this is no success
        except OSError as error:
            if not self._told_lost:
                self.stderr.write(output_lost_line(error))
            with contextlib.suppress(OSError):  # stderr is lost too
                self.stderr.flush(LAST_LINES_S)
            return status or 1
        return status

    def flush(self, timeout_s: float) -> bool:
        """Write what can be written within the time; return False if something is left.

        Raises:
            BrokenPipeError: the reader has left.
            OSError: the disk behind it is full, or gone.
        """
        try:
            told = self.stderr.flush(timeout_s)  # first: it may say why stdout cannot be written
        finally:
            done = self.stdout.flush(timeout_s)
        return told and done

    def _break_off(self) -> None:
        kill(self.engine.worker_pids if self.engine else ())
        with contextlib.suppress(OSError):  # stderr is lost
            if self.last_words and select.select([], [2], [], 0)[1]:
                os.write(2, self.last_words.encode())

    def _fail(self, error: TransferError) -> int:
        self.tell(error)
        return error.exit_code
