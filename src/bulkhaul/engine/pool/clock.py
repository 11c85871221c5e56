"""Calls back at regular ticks, and at one instant in between; notices when the whole process was stopped meanwhile."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

TICK_S = 0.25
"""How often deadlines are looked at."""

PAUSE_S = 4 * TICK_S
"""A tick that comes later than this was held up by a pause of this process (stopped, suspended)."""


class Clock:
    """The timers of one engine."""

    def __init__(
        self,
        *,
        on_tick: Callable[[float], None],
        on_wake: Callable[[], None],
        guard: Callable[[Callable[..., object]], Callable[..., object]],
    ) -> None:
        """Take what is called.

        Args:
            on_tick: called with how long this process was paused since the last tick, 0 if it was not.
            on_wake: called at the instant of ``wake_at``.
            guard: wraps what the loop calls.
        """
        self._on_tick = on_tick
        self._on_wake = on_wake
        self._ticks, self._wakes = guard(self._tick), guard(self._wake)
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._last_tick_s = self._loop.time()
        self._tick_timer: asyncio.TimerHandle | None = None
        self._wake_timer: asyncio.Handle | None = None
        self._wake_s = math.inf

    def start(self) -> None:
        """Tick now, and from now on."""
        self._tick()

    def stop(self) -> None:
        """Call nothing any more."""
        for timer in (self._tick_timer, self._wake_timer):
            if timer is not None:
                timer.cancel()
        self._tick_timer = self._wake_timer = None
        self._stopped = True

    def wake_at(self, wake_s: float) -> None:
        """Call ``on_wake`` at an instant; an instant after the next tick is left to the tick."""
        if self._stopped or (wake_s == math.inf and self._wake_timer is None):
            return
        if self._wake_timer is not None and self._wake_s <= max(wake_s, self._loop.time()):
            return
        if self._wake_timer is not None:
            self._wake_timer.cancel()
            self._wake_timer = None
        if wake_s < self._loop.time() + TICK_S:
            # Its instant is kept here: for one that is due, uvloop returns a handle without any.
            self._wake_timer, self._wake_s = self._loop.call_at(wake_s, self._wakes), wake_s

    def _tick(self) -> None:
        now_s = self._loop.time()
        late_s = now_s - self._last_tick_s - TICK_S
        self._last_tick_s = now_s
        self._on_tick(late_s if late_s > PAUSE_S else 0.0)
        if not self._stopped:
            self._tick_timer = self._loop.call_later(TICK_S, self._ticks)

    def _wake(self) -> None:
        self._wake_timer = None
        self._on_wake()
