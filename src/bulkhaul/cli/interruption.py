"""Handles Ctrl-C, SIGTERM and SIGHUP: the first signal is noted, the second one ends the process at once.

The handler raises no exception into code that is running: the main thread looks at the note several times a second
and cancels the work itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """The signals since ``install``.

    Attributes:
        signum: the first signal that came, 0 while there was none.
    """

    def __init__(self, last_words: Callable[[], None]) -> None:
        """Take what to do at the second signal, right before the process exits; it must not wait for anything."""
        self.signum = 0
        self._last_words = last_words

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect of a program that a signal ended."""
        return 128 + self.signum

    @property
    def name(self) -> str:
        """The name of the signal."""
        return signal.Signals(self.signum).name

    def install(self) -> None:
        """Handle the signals, except those that the parent has set to be ignored (nohup, background jobs)."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._came)

    def _came(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum:
            self._last_words()
            os._exit(self.exit_code)
        self.signum = signum


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL to processes; those that have ended already are passed over."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
