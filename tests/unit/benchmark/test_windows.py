"""Windows of long runs: as many as of an hour, and together they hold what all the seconds held."""

from __future__ import annotations

import numpy as np
import pytest

from bulkhaul.benchmark.counting import steady_part
from bulkhaul.benchmark.results import Window
from bulkhaul.benchmark.windows import BINS, STEPS, Windows

HOUR_S = 3600


def second(at: int, done: int, latency_ms: float) -> tuple[Window, np.ndarray]:
    """Return a second in which so many requests took so long, and one more failed."""
    bins = np.zeros(BINS, dtype=np.int64)
    bins[int(np.log2(latency_ms * 1000) * STEPS)] = done
    window = Window(
        at_s=float(at),
        length_s=1.0,
        done={"get": done} if at % 2 else {"put": done},
        moved_bytes={"get": 10 * done},
        failed=1,
        p50_ms=latency_ms,
        p99_ms=latency_ms,
        cpu=float(at % 2),
        lag_ms=float(at),
        in_flight=at,
        waiting=0,
    )
    return window, bins


def kept(seconds: int, done: int = 10) -> list[Window]:
    """Return the windows of a run in which every other second is slower."""
    windows = Windows()
    for at in range(seconds):
        windows.add(*second(at, done, 10.0 if at % 2 else 1000.0))
    return windows.all()


def test_an_hour_has_one_a_second() -> None:
    """Nothing is taken together."""
    windows = kept(HOUR_S)
    assert [window.length_s for window in windows] == [1.0] * HOUR_S
    assert windows[7].p50_ms == pytest.approx(10, rel=0.011)
    assert (windows[7].done, windows[7].at_s, windows[7].cpu) == ({"get": 10}, 7, 1)


@pytest.mark.parametrize(("seconds", "length"), [(HOUR_S + 1, 2), (2 * HOUR_S, 2), (2 * HOUR_S + 1, 4)])
def test_longer_runs_have_longer_ones(seconds: int, length: int) -> None:
    """They are of one length, but the last one; they follow each other; and no request is lost or counted twice."""
    windows = kept(seconds)
    assert len(windows) <= HOUR_S
    assert {window.length_s for window in windows[:-1]} == {length}
    assert [window.at_s for window in windows] == [length * at for at in range(len(windows))]
    assert windows[-1].at_s + windows[-1].length_s == seconds
    assert sum(sum(window.done.values()) for window in windows) == 10 * seconds
    assert sum(window.moved_bytes["get"] for window in windows) == 100 * seconds
    assert sum(window.failed for window in windows) == seconds


def test_what_a_longer_one_says() -> None:
    """Percentiles of all its requests, the mean of rates, the worst lag, and what was in flight at its end."""
    windows = Windows()
    for at in range(2 * HOUR_S):
        windows.add(*second(at, 97 if at % 2 else 3, 10.0 if at % 2 else 1000.0))
    one = windows.all()[100]
    assert one.done == {"get": 97, "put": 3}
    assert one.p50_ms == pytest.approx(10, rel=0.011)
    assert one.p99_ms == pytest.approx(1000, rel=0.011), "3 of 100 took so long"
    assert (one.cpu, one.lag_ms, one.in_flight) == (0.5, 201.0, 201)


def test_a_long_run_is_steady_after_its_warm_up() -> None:
    """The part that counts begins where it began, to within two windows."""
    windows = Windows()
    for at in range(8_000):
        windows.add(*second(at, 1000 if at >= 1000 else 500 + at // 4, 10.0))
    part = steady_part(windows.all(), 8_000.0)
    assert part.reached
    assert part.from_s == pytest.approx(1000, abs=50)
    assert part.to_s == 8_000
