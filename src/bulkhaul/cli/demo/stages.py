"""Runs the stages of the demo one after the other, each in a thread, and shows the progress of each."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bulkhaul.cli.background_iterator import BackgroundIterator
from bulkhaul.cli.interruption import Interruption
from bulkhaul.cli.progress import TICK_S
from bulkhaul.policy.sizes import format_size

T = TypeVar("T")


class Interrupted(Exception):
    """A signal came; the demo must close what is open and end."""


class Stages:
    """Shows progress on stderr: a bar per stage on a terminal, else a line when the stage is done."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption
        self._bars = Progress(
            TextColumn("{task.description:22}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the last state of the bars. Safe to call twice."""
        self._bars.stop()

    def run(
        self,
        name: str,
        items: Callable[[], Iterator[T]],
        *,
        total_bytes: int = 0,
        done: Callable[[list[T]], int] | None = None,
    ) -> tuple[list[T], float]:
        """Take all items of one stage; return them and the seconds that it took.

        Args:
            done: returns the bytes that are done, from the items so far; ``total_bytes`` goes with it.

        Raises:
            Interrupted: a signal came.
            Exception: whatever the iterator raised.
        """
        began_s = time.monotonic()
        task = self._bars.add_task(name, total=total_bytes or None, note="")
        feed, taken = BackgroundIterator(items), list[T]()
        next_tick_s = began_s
        try:
            while not feed.ended:
                if self._interruption.signum:
                    raise Interrupted
                if (item := feed.take(TICK_S)) is not None:
                    taken.append(item)
                if time.monotonic() >= next_tick_s:
                    self._show(task, done(taken) if done else 0, total_bytes, time.monotonic() - began_s)
                    next_tick_s = time.monotonic() + TICK_S
        finally:
            feed.abandon()
        if feed.error is not None:
            raise feed.error
        seconds = time.monotonic() - began_s
        self._show(task, total_bytes, total_bytes, seconds)
        self._bars.update(task, total=total_bytes or 1, completed=total_bytes or 1, refresh=True)
        if self._bars.disable:
            sys.stderr.write(f"{name}: {_note(total_bytes, total_bytes, seconds)}\n")
        return taken, seconds

    def _show(self, task: TaskID, done_bytes: int, total_bytes: int, seconds: float) -> None:
        self._bars.update(task, completed=done_bytes, note=_note(done_bytes, total_bytes, seconds), refresh=True)


def _note(done_bytes: int, total_bytes: int, seconds: float) -> str:
    """Return the text about what a stage has done so far.

    >>> _note(1024**3, 2 * 1024**3, 2.0), _note(0, 0, 1.25)
    ('1.0 GiB of 2.0 GiB  512.0 MiB/s  2.0 s', '1.2 s')
    """
    if not total_bytes:
        return f"{seconds:.1f} s"
    rate = f"{format_size(done_bytes / seconds)}/s" if seconds > 0 else ""
    return f"{format_size(done_bytes)} of {format_size(total_bytes)}  {rate}  {seconds:.1f} s"
