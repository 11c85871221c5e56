"""Counts the requests of a run second by second while it goes on, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from bulkhaul.benchmark.results import Window
from bulkhaul.benchmark.spools import Rows
from bulkhaul.benchmark.windows import BINS, STEPS, Windows, percentile_ms
from bulkhaul.engine.messages.load_run import Meter
from bulkhaul.model.workloads import OPERATIONS

LATE_S = 2
"""Seconds are closed so long after their end: workers write their rows a quarter of a second after the fact."""


class _Open(msgspec.Struct):
    done: dict[int, int]
    moved_bytes: dict[int, int]
    failed: int
    bins: np.ndarray
    cpu_s: float = 0.0
    lag_s: float = 0.0
    in_flight: dict[int, int] = {}
    waiting: dict[int, int] = {}


class Tally:
    """The windows of one run.

    Attributes:
        done, failed: requests so far.
        moved_bytes: so far.
        windows: what is closed.
    """

    def __init__(self, begins_ns: int) -> None:
        self.windows = Windows()
        self.done = self.failed = self.moved_bytes = 0
        self._begins_ns = begins_ns
        self._open: dict[int, _Open] = {}
        self._closed = 0  # windows that were closed
        self._meters: dict[int, Meter] = {}

    @property
    def retransmits(self) -> int:
        """TCP segments that the workers sent again."""
        return sum(meter.retransmits for meter in self._meters.values())

    @property
    def in_flight(self) -> int:
        """Requests that were under way when the workers told it last."""
        return sum(meter.in_flight for meter in self._meters.values())

    def rows(self, rows: Rows) -> None:
        """Count requests by the second in which they ended."""
        ended = rows["ended_ns"]
        places = np.maximum((ended - self._begins_ns) // 1_000_000_000, self._closed)
        for place in np.unique(places):
            window = self._window(int(place))
            of = rows[places == place]
            good = of[of["failure"] == 0]
            window.failed += len(of) - len(good)
            for operation in np.unique(good["operation"]):
                chosen = good[good["operation"] == operation]
                number, moved = int(operation), int(chosen["moved_bytes"].sum())
                window.done[number] = window.done.get(number, 0) + len(chosen)
                window.moved_bytes[number] = window.moved_bytes.get(number, 0) + moved
                self.moved_bytes += moved
            took_us = np.maximum((good["ended_ns"] - good["due_ns"]) / 1000, 1.0)
            binned = np.minimum((np.log2(took_us) * STEPS).astype(np.int64), BINS - 1)
            window.bins += np.bincount(binned, minlength=BINS)
            self.done += len(good)
            self.failed += len(of) - len(good)

    def meter(self, worker: int, meter: Meter) -> None:
        """Take what a worker tells of itself."""
        last = self._meters.get(worker)
        self._meters[worker] = meter
        place = (meter.at_ns - self._begins_ns) // 1_000_000_000
        if last is None or place < self._closed:
            return
        window = self._window(place)
        window.cpu_s += meter.cpu_s - last.cpu_s
        window.lag_s = max(window.lag_s, meter.lag_s)
        window.in_flight[worker], window.waiting[worker] = meter.in_flight, meter.waiting

    def closed(self, *, all_of_them: bool = False) -> Iterator[Window]:
        """Yield the seconds that are over, in order.

        Args:
            all_of_them: the run is over.
        """
        if not self._open:
            return
        newest_ns = max((meter.at_ns for meter in self._meters.values()), default=self._begins_ns)
        last = max(self._open) if all_of_them else (newest_ns - self._begins_ns) // 1_000_000_000 - LATE_S
        while self._closed <= last:
            window = self._window(self._closed)
            del self._open[self._closed]
            told = _told(self._closed, window)
            self.windows.add(told, window.bins)
            self._closed += 1
            yield told

    def _window(self, place: int) -> _Open:
        window = self._open.get(place)
        if window is None:
            window = self._open[place] = _Open({}, {}, 0, np.zeros(BINS, dtype=np.int64))
        return window


def _told(place: int, window: _Open) -> Window:
    places = np.flatnonzero(window.bins)
    counts = window.bins[places]
    return Window(
        at_s=float(place),
        length_s=1.0,
        done={OPERATIONS[number]: count for number, count in sorted(window.done.items())},
        moved_bytes={OPERATIONS[number]: count for number, count in sorted(window.moved_bytes.items())},
        failed=window.failed,
        p50_ms=percentile_ms(places, counts, 0.50),
        p99_ms=percentile_ms(places, counts, 0.99),
        cpu=round(window.cpu_s, 4),
        lag_ms=round(1000 * window.lag_s, 3),
        in_flight=sum(window.in_flight.values()),
        waiting=sum(window.waiting.values()),
    )
