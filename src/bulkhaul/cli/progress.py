"""Shows the total progress on a terminal, on one line that is updated while objects arrive.

    ━━━━━━━━━━━───────  12.4 GiB of 18.0 GiB  1.1 GiB/s  37 of 52 objects  ETA 0:00:05

A ``+`` marks a total that still grows. Where the terminal is narrow, the bar and the rate are left out first,
and of one object its count.
Other lines for the same terminal must go through ``above``, or they would break up the display.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from bulkhaul.model.results import Progress
from bulkhaul.policy.recent_rate import SMALL_BYTES, RecentRate
from bulkhaul.policy.sizes import format_size

TICK_S = 0.125
"""Time between two looks at the engine: often enough to look smooth, and cheap."""

BAR_COLUMNS = (10, 40)
"""Fewest and most columns of a bar."""

_GAP = "  "

_ASCII = str.maketrans("━─", "#-")
"""The bar where the terminal does not take UTF-8."""

_CLEAR = "\r\x1b[J"
"""Erases from the beginning of the line to the end of the screen. Source: ECMA-48, ED."""


class Display:
    """A line of progress on stderr; it fits the terminal at each update, also after that was resized."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic, columns: Callable[[], int] | None = None) -> None:
        """Take a clock, in seconds, and what tells how wide the terminal is."""
        self._now_s = now_s
        self._columns = columns or terminal_columns
        self._rate = RecentRate()
        self._shown = ""
        self._above: list[str] = []

    def above(self, lines: str | bytes) -> None:
        """Print whole lines above the display, with the next update."""
        self._above.append(lines if isinstance(lines, str) else lines.decode(errors="replace"))

    def update(self, progress: Progress, note: str = "") -> None:
        """Show what is done of what is planned; show nothing while the user may be typing an MFA code.

        Args:
            note: what else is to be shown.
        """
        if not progress.resolved:
            return
        self._rate.add(self._now_s(), progress.received_bytes, ended_objects(progress))
        columns = self._columns()
        line = progress_line(progress, self._rate, columns - 1, note)
        self._write(self._cleared(columns) + self._taken_above() + line)
        self._shown = line

    def settle(self) -> None:
        """Print the remaining lines, and leave the last state of the display below them; what comes follows it."""
        if self._shown:
            self._write(f"{self._cleared(self._columns())}{self._taken_above()}{self._shown}\n")
            self._shown = ""
        else:
            self._write(self._taken_above())

    def _cleared(self, columns: int) -> str:
        """Return what erases the line that is shown, which has several rows if the terminal has become narrower."""
        if not self._shown:
            return ""
        rows_above = (len(self._shown) - 1) // max(columns, 1)
        return (f"\x1b[{rows_above}A" if rows_above else "") + _CLEAR

    def _taken_above(self) -> str:
        lines, self._above = "".join(self._above), []
        return lines

    @staticmethod
    def _write(text: str) -> None:
        if "utf" not in (sys.stderr.encoding or "").lower():
            text = text.translate(_ASCII)
        sys.stderr.write(text)
        sys.stderr.flush()


def progress_line(progress: Progress, rate: RecentRate, columns: int, note: str = "") -> str:
    """Return as much of the progress as fits into so many columns, in one line."""
    ended, done_bytes = ended_objects(progress), progress.received_bytes
    known = progress.planning_done and progress.planned_objects > 0
    over = known and ended >= progress.planned_objects
    small = progress.planned_bytes <= SMALL_BYTES * progress.planned_objects and progress.planned_objects > 1
    volume = volume_text(progress)
    speed = f"{format_size(rate.bytes_per_s)}/s" if volume else ""
    if small:
        speed = _joined(", ", speed, f"{rate.objects_per_s:.0f} objects/s")
    objects = amount_text(progress) + note
    left_s = rate.left_s(progress.planned_bytes - done_bytes, progress.planned_objects - ended)
    sized = progress.planned_bytes > 0 or progress.planned_objects > 1
    eta = ""
    if known and sized and not over:
        eta = f"ETA {timedelta(seconds=round(left_s))}" if left_s is not None else "ETA -:--:--"
    full = _joined(_GAP, volume, speed, objects, eta)
    room = min(columns - len(full) - len(_GAP), BAR_COLUMNS[1])
    if known and sized and room >= BAR_COLUMNS[0]:
        by_objects = small or not progress.planned_bytes
        part = ended / progress.planned_objects if by_objects else done_bytes / progress.planned_bytes
        return _joined(_GAP, bar_text(part, room, whole=over), full)
    shorter = [_joined(_GAP, volume, objects, eta), _joined(_GAP, objects, eta), _joined(_GAP, volume, eta)]
    if known and progress.planned_objects == 1 and volume:  # of one object the count says nothing
        shorter = [_joined(_GAP, volume, speed, eta), _joined(_GAP, volume, eta), volume]
    for line in (full, *shorter):
        if len(line) <= columns:
            return line
    return (objects if len(objects) <= columns else volume)[: max(columns, 0)]


def bar_text(part: float, columns: int, *, whole: bool) -> str:
    """Return a bar that is full at the end alone.

    >>> bar_text(0.5, 10, whole=False), bar_text(1.0, 10, whole=False), bar_text(0.99, 10, whole=True)
    ('━━━━━─────', '━━━━━━━━━─', '━━━━━━━━━━')
    """
    filled = columns if whole else min(int(part * columns), columns - 1)
    return "━" * filled + "─" * (columns - filled)


def volume_text(progress: Progress) -> str:
    """Return how many bytes there are, of how many; empty where no bytes are moved.

    >>> volume_text(Progress(planned_objects=1, planned_bytes=2048, received_bytes=1024))
    '1.0 KiB of 2.0+ KiB'
    >>> volume_text(Progress(planned_objects=1, received_bytes=1024, planning_done=True))
    '1.0 KiB'
    """
    if not progress.planned_bytes and not progress.received_bytes:
        return ""
    done = format_size(progress.received_bytes)
    if progress.planned_bytes < progress.received_bytes:
        return done
    number, unit = format_size(progress.planned_bytes).split()
    return f"{done} of {number}{'' if progress.planning_done else '+'} {unit}"


def ended_objects(progress: Progress) -> int:
    """Return how many objects have ended, in whatever way."""
    return progress.verified_objects + progress.failed_objects + progress.skipped_objects


def amount_text(progress: Progress) -> str:
    """Return how many objects have ended, of how many; ``+`` marks a total that still grows.

    >>> amount_text(Progress(planned_objects=3, verified_objects=1, failed_objects=1, planning_done=True))
    '2 of 3 objects, 1 failed'
    >>> amount_text(Progress(planned_objects=1000))
    '0 of 1000+ objects'
    """
    more = "" if progress.planning_done else "+"
    failed = f", {progress.failed_objects} failed" if progress.failed_objects else ""
    total = f"{progress.planned_objects}{more} object{'s' * (progress.planned_objects != 1)}"
    return f"{ended_objects(progress)} of {total}{failed}"


def shows_on(fd: int) -> bool:
    """Whether lines written to ``fd`` appear on the terminal that the display is on."""
    try:
        return os.isatty(fd) and os.isatty(2) and os.path.sameopenfile(fd, 2)
    except OSError:
        return False


def terminal_columns() -> int:
    """Return how wide the terminal on stderr is now; ``COLUMNS`` stands in where it does not tell."""
    try:
        columns = os.get_terminal_size(2).columns
    except OSError:
        columns = 0
    return columns or shutil.get_terminal_size().columns


def _joined(gap: str, *parts: str) -> str:
    return gap.join(filter(None, parts))
