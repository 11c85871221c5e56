"""When a worker reports: with its heartbeat, and more often while it is asked to and has something under way."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bulkhaul.engine.messages.messages import Load
from bulkhaul.engine.worker.heartbeat import Heartbeat


class World:
    """A loop with a clock of its own, and a worker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.late_s = 0.0
        self.is_busy = False
        self.told: list[tuple[float, Load | None]] = []
        self._timers: list[tuple[float, int, Callable[[], None], list[bool]]] = []
        loop = SimpleNamespace(time=lambda: self.now_s, call_at=self._call_at)
        monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
        self.heart = Heartbeat(lambda load: self.told.append((self.now_s, load)), lambda: self.is_busy)
        self.heart.start()

    def _call_at(self, when_s: float, callback: Callable[[], None]) -> Any:
        cancelled = [False]
        heapq.heappush(self._timers, (when_s, len(self._timers), callback, cancelled))
        return SimpleNamespace(cancel=lambda: cancelled.__setitem__(0, True))

    def pass_time(self, seconds: float) -> list[float]:
        """Let time pass and return how long after the world's beginning reports were made in it, in milliseconds."""
        seen, until_s = len(self.told), self.now_s + seconds
        while self._timers and self._timers[0][0] + self.late_s <= until_s + 1e-6:
            when_s, _, callback, cancelled = heapq.heappop(self._timers)
            if not cancelled[0]:
                self.now_s = when_s + self.late_s
                callback()
        self.now_s = until_s
        return [round((at_s - 100.0) * 1000) for at_s, _ in self.told[seen:]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose worker has just begun."""
    return World(monkeypatch)


def test_it_reports_four_times_a_second_whatever_is_under_way(world: World) -> None:
    """That is the sign of life."""
    assert world.pass_time(1.0) == [0, 250, 500, 750, 1000]
    world.is_busy = True
    world.heart.work_came()
    assert world.pass_time(0.5) == [1250, 1500]


def test_it_reports_often_while_it_is_asked_to_and_busy(world: World) -> None:
    """From the moment on that there is work, with heartbeats between; no more than that when it is idle again."""
    world.pass_time(0.0)
    world.heart.report_often(True)
    assert world.pass_time(0.26) == [250], "it has nothing to tell"
    world.is_busy = True
    world.heart.work_came()
    assert world.pass_time(0.15) == [310, 360, 410]
    world.is_busy = False
    assert world.pass_time(0.4) == [460, 500, 750]


def test_it_stops_reporting_often(world: World) -> None:
    """The coordinator says when the window has found its size."""
    world.is_busy = True
    world.pass_time(0.0)
    world.heart.report_often(True)
    assert world.pass_time(0.125) == [50, 100]
    world.heart.report_often(False)
    assert world.pass_time(0.4) == [150, 250, 500]


def test_only_heartbeats_have_a_load_and_it_has_the_longest_lag(world: World) -> None:
    """A share of a CPU over so short a time as that between two reports is chance."""
    world.is_busy = True
    world.pass_time(0.0)
    world.heart.report_often(True)
    world.pass_time(0.06)
    world.late_s = 0.03
    world.pass_time(0.1)
    world.late_s = 0.0
    world.pass_time(0.3)
    beats = [(round((at_s - 100.0) * 1000), load) for at_s, load in world.told if load is not None]
    assert [at_ms for at_ms, _ in beats] == [0, 250]
    assert beats[1][1].lag_s == pytest.approx(0.03)
    assert len(world.told) > 4
