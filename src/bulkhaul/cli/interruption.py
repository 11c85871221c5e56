"""Ctrl-C, SIGTERM and SIGHUP: the first one asks, the second one leaves at once; it must not know what is under way.

The handler only notes the signal, and the main thread looks at the note several times a second: nothing is ever
thrown into the middle of other code.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """What signals have asked for since ``install``.

    Attributes:
        signum: the first signal that came, 0 while there was none.
    """

    def __init__(self, last_words: Callable[[], None]) -> None:
        """Take what the second signal does before the process is gone; it must not wait for anything."""
        self.signum = 0
        self._last_words = last_words

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal ended."""
        return 128 + self.signum

    @property
    def name(self) -> str:
        """The name of the signal."""
        return signal.Signals(self.signum).name

    def install(self) -> None:
        """Take over the signals, but those that the parent has us ignore (nohup, background jobs)."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._came)

    def _came(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum:
            self._last_words()
            os._exit(self.exit_code)
        self.signum = signum


def kill(pids: Iterable[int]) -> None:
    """Kill processes at once; one that has ended by itself is no failure."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
