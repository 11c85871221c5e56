"""Shows the total progress on a terminal, on one line that is updated while objects arrive.

    12.4 GiB of 18.0 GiB  1.1 GiB/s  37 of 52 objects  ETA 0:00:05

Other lines for the same terminal must go through ``above``, or they would break up the display.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bulkhaul.model.results import Progress
from bulkhaul.policy.sizes import format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import Task, TaskID

TICK_S = 0.125
"""Time between two looks at the engine: often enough to look smooth, and cheap."""


class Display:
    """A progress bar on stderr. rich is imported with the first update, when the transfer is on its way."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._above: list[str] = []

    def above(self, lines: str | bytes) -> None:
        """Print whole lines above the bar, with the next update."""
        self._above.append(lines if isinstance(lines, str) else lines.decode(errors="replace"))

    def update(self, progress: Progress, note: str = "") -> None:
        """Show what is done of what is planned; show nothing while the user may be typing an MFA code.

        Args:
            note: what else is to be shown.
        """
        if not progress.resolved:
            return
        bar, task = self._opened()
        self._print_above(bar)
        total = progress.planned_bytes if progress.planning_done and progress.planned_bytes else None
        bar.update(
            task, completed=progress.received_bytes, total=total, amount=amount_text(progress) + note, refresh=False
        )
        bar.refresh()

    def close(self) -> None:
        """Print the remaining lines and leave the last state of the bar."""
        if self._bar is None:
            sys.stderr.write("".join(self._above))
            sys.stderr.flush()
        else:
            self._print_above(self._bar)
            self._bar.stop()

    def _opened(self) -> tuple[Bar, TaskID]:
        if self._bar is None or self._task is None:
            self._bar = _make_bar()
            self._task = self._bar.add_task("", total=None, amount="")
            self._bar.start()
        return self._bar, self._task

    def _print_above(self, bar: Bar) -> None:
        if not self._above:
            return
        from rich.text import Text

        lines, self._above = "".join(self._above), []
        bar.console.print(Text(lines.removesuffix("\n")), soft_wrap=True)


def amount_text(progress: Progress) -> str:
    """Return how many objects have ended, of how many; ``+`` marks a total that still grows.

    >>> amount_text(Progress(planned_objects=3, verified_objects=1, failed_objects=1, planning_done=True))
    '2 of 3 objects, 1 failed'
    >>> amount_text(Progress(planned_objects=1000))
    '0 of 1000+ objects'
    """
    ended = progress.verified_objects + progress.failed_objects + progress.skipped_objects
    more = "" if progress.planning_done else "+"
    failed = f", {progress.failed_objects} failed" if progress.failed_objects else ""
    return f"{ended} of {progress.planned_objects}{more} object{'s' * (progress.planned_objects != 1)}{failed}"


def shows_on(fd: int) -> bool:
    """Whether lines written to ``fd`` appear on the terminal that the display is on."""
    try:
        return os.isatty(fd) and os.isatty(2) and os.path.sameopenfile(fd, 2)
    except OSError:
        return False


def _make_bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column
    from rich.text import Text

    class Volume(ProgressColumn):
        """Bytes that have arrived, of how many, and their rate."""

        def render(self, task: Task) -> Text:
            total = f" of {format_size(task.total)}" if task.total is not None else ""
            rate = f"  {format_size(task.finished_speed or task.speed or 0)}/s"
            return Text(f"{format_size(task.completed)}{total}{rate}")

    return Bar(
        BarColumn(bar_width=None, table_column=Column(max_width=40)),  # the one that shrinks where it is narrow
        Volume(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[amount]}", table_column=Column(no_wrap=True)),
        TextColumn("ETA", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
