"""Tells what a benchmark does while it goes on: to people, to a terminal that is watched, and as lines of JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bulkhaul.benchmark.metrics import Metrics
from bulkhaul.benchmark.place import Cleaned
from bulkhaul.benchmark.results import Floors, Run, Window
from bulkhaul.cli import bench_lines as lines
from bulkhaul.cli.lines import json_text
from bulkhaul.cli.progress import terminal_columns
from bulkhaul.model.errors import TransferError

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines

STEPS = {
    "prepare": "storing the objects",
    "probe": "probing the endpoint by plain sockets",
    "find concurrency": "finding how many connections bring most",
    "clean": "deleting the objects",
}


class Teller:
    """Tells what a benchmark does: lines of JSON, or lines for people and one that changes on a terminal."""

    def __init__(
        self,
        out: Lines,
        *,
        as_json: bool,
        quiet: bool,
        repeat: int = 1,
        seconds: float = 0.0,
        metrics: Metrics | None = None,
    ) -> None:
        """Write to ``out``; a run takes so many seconds, 0 if nobody knows."""
        self._metrics = metrics
        self._out = out
        self._repeat = repeat
        self._seconds = seconds
        self._as_json = as_json
        self._quiet = quiet
        self._watched = not as_json and not quiet and os.isatty(2) and os.environ.get("TERM") != "dumb"
        self._shown = False
        self._left: list[str] = []  # URLs below which objects are that are to be deleted
        self._cleans_on = False

    async def began(self, what: str) -> None:
        """A step has begun."""
        if what == "clean" and self._out.interrupted:
            await self.cleans_on()
        elif not self._as_json and not self._quiet:
            self._clear()
            self._out.error(f"{STEPS[what]}\n")

    async def tried(self, connections: int, requests_per_s: float) -> None:
        """A number of connections was tried."""
        if not self._as_json and not self._quiet:
            self._out.error(f"  {connections} connections: {requests_per_s:,.0f} requests/s\n")

    async def probed(self, floors: Floors | None, why_not: str) -> None:
        """The floors are known, or why there are none."""
        if self._as_json or self._quiet:
            return
        self._out.error(lines.floors_line(floors) if floors else f"no floors: {why_not}\n")

    async def window(self, number: int, window: Window) -> None:
        """A second of a run is over."""
        if self._metrics is not None:
            self._metrics.window(number, window)
        if self._as_json and not self._quiet:
            await self._out.write(lines.window_json(number, window))
        elif self._watched:
            line = lines.window_line(number, self._repeat, window, self._seconds)
            self._out.error(f"{lines.CLEARED}{line[: terminal_columns() - 1]}")
            self._shown = True

    async def ended(self, run: Run) -> None:
        """A run is over."""
        self._clear()
        await self._out.write(lines.run_json(run) if self._as_json else lines.run_lines(run))

    async def made(self, url: str) -> None:
        """Objects are stored below this URL, and deleted at the end."""
        self._left.append(url)
        self._out.last_words(lines.left_line(self._left))

    async def kept(self, url: str) -> None:
        """Objects are stored below this URL, and stay there."""
        await self._out.write(json_text("prefix", {"prefix": url}) if self._as_json else lines.kept_line(url))

    async def cleans_on(self) -> None:
        """It was interrupted, and deletes what it stored all the same."""
        if not self._cleans_on:
            self._clear()
            self._out.error(lines.cleans_on_line(self._left))
        self._cleans_on = True

    async def cleaned(self, cleaned: Cleaned, url: str) -> None:
        """What the benchmark stored was deleted."""
        self._left.remove(url)
        self._out.last_words(lines.left_line(self._left) if self._left else "")
        if cleaned.stayed_count or cleaned.failed_count or cleaned.unsettled:
            self._out.error(lines.cleaned_lines(cleaned, url))

    async def left(self, url: str, error: TransferError) -> None:
        """What the benchmark stored could not be deleted."""
        self._clear()
        self._out.error(lines.not_deleted_line(url, error))

    def _clear(self) -> None:
        if self._shown:
            self._out.error(lines.CLEARED)
            self._shown = False
