"""Plays a client with its workers against a modelled network: the window and the hedging are the program's own.

    start ─connect, first byte─▶ head ─shared line─▶ body ─the worker's CPU─▶ done ─report─▶ window ─▶ start …

Reports come as those of workers do: the end of a part at once, objects in batches of up to 64, and everything else
with the beat of a worker, four times a second and more often while the window starts. Events are exact, not stepped:
bodies share the line evenly, so one clock of bytes a connection (``_level``) tells when each of them ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from bench.simulation.networks import MIB, Network, Workload
from bulkhaul.policy.delivery import CLOSE_REPORT_S
from bulkhaul.policy.hedging import Hedging
from bulkhaul.policy.pacing import Throttling
from bulkhaul.policy.window import Window

BEAT_S = 0.25
BATCH_ROWS = 64
SAMPLE_S = 0.25
LARGE_BYTES = MIB


class Sized(Protocol):
    """What tells how many requests may be in flight."""

    @property
    def size(self) -> int:
        """Requests in flight at most."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed number of requests in flight, without any pause: the best that a setting can do."""

    size: int


@dataclass(slots=True)
class _Worker:
    last_s: float
    beat: int = 0  # number of the beat that is due
    load_s: float = 0.0
    active: int = 0
    connections: int = 0
    cpu_free_s: float = 0.0
    cpu_s: float = 0.0
    cpu_told_s: float = 0.0
    rows: int = 0
    row_bytes: int = 0
    heads: int = 0
    ttfb_s: float = 0.0
    parts: dict[int, list[float]] = field(default_factory=dict)  # request → [level at its start, size, told]
    hedging: Hedging = field(default_factory=Hedging)


@dataclass(slots=True)
class Run:
    """What came of one run.

    Attributes:
        delivered: float[n], bytes by the end of each quarter of a second.
        sizes: int[n], the window then.
        requests: how many were sent, twins included.
    """

    delivered: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    requests: int = 0
    twins: int = 0
    refused: int = 0
    ttfb_s: list[float] = field(default_factory=list)

    def rate(self, begin_s: float, end_s: float) -> float:
        """Return bytes a second in ``[begin_s, end_s)``, both multiples of ``SAMPLE_S``."""
        at = [0.0, *self.delivered]
        begin, end = round(begin_s / SAMPLE_S), round(end_s / SAMPLE_S)
        return (at[end] - at[begin]) / (end_s - begin_s)


class Client:
    """One run: an endless supply of requests, or so many that ``wanted`` wait for their end at a time."""

    def __init__(
        self,
        network: Network,
        workload: Workload,
        window: Window | Fixed,
        *,
        seed: int,
        hedges: bool = True,
        wanted: int = 1 << 30,
    ) -> None:
        self._network = network
        self._workload = workload
        self._sized: Sized = window
        self._window = window if isinstance(window, Window) else None
        self._hedges = hedges
        self._wanted = wanted
        self._rng = Random(seed)
        self._throttling = Throttling(self._window, 60.0, self._rng) if self._window else None
        self._events: list[tuple[float, int, str, Any]] = []
        self._ticket = 0
        self._active = 0
        self._next = 0
        self._taken = 0
        self._again: list[int] = []  # sizes of what was refused
        self._level, self._level_s, self._flow = 0.0, 0.0, 0.0
        self._bodies: list[tuple[float, int, tuple[int, int, _Worker]]] = []
        self._tokens, self._tokens_s = network.burst, 0.0
        self._done_bytes = 0.0
        beats = [(index + 0.5) * CLOSE_REPORT_S / network.workers for index in range(network.workers)]
        self._workers = [_Worker(0.0) for _ in beats]
        self.run = Run()
        for worker, first_s in zip(self._workers, beats, strict=True):
            if self._window:
                self._at(first_s, "beat", (worker, 0))
        self._often = self._window is not None and self._window.starting
        self._at(SAMPLE_S, "sample", None)

    def play(self, seconds: float) -> Run:
        """Run for so many simulated seconds and return what came of it."""
        self._fill(0.0)
        handlers: dict[str, Callable[[float, Any], None]] = {
            "head": self._head, "body": self._body, "done": self._done, "beat": self._beat, "sample": self._sample,
            "refused": self._refused, "twin": self._twin, "calm": self._calm,
        }  # fmt: skip
        events, bodies = self._events, self._bodies
        while True:
            body_s = float("inf")
            if bodies:
                body_s = self._level_s + max(0.0, bodies[0][0] - self._level) / self._flow
            if events and events[0][0] <= body_s:
                now_s, _, kind, what = heapq.heappop(events)
                if now_s > seconds + 1e-9:
                    return self.run
                handlers[kind](now_s, what)
            else:
                if body_s > seconds + 1e-9:
                    return self.run
                self._advance(body_s)
                _, _, what = heapq.heappop(bodies)
                self._reflow()
                self._ended_body(body_s, what)

    def _at(self, when_s: float, kind: str, what: Any) -> None:
        self._ticket += 1
        heapq.heappush(self._events, (when_s, self._ticket, kind, what))

    # The line

    def _advance(self, now_s: float) -> None:
        self._level += self._flow * (now_s - self._level_s)
        self._level_s = now_s

    def _reflow(self) -> None:
        network = self._network
        shared = network.shared_bytes_per_s / network.crowd(self._active) / max(1, len(self._bodies))
        self._flow = min(network.connection_bytes_per_s, shared)

    # Requests

    def _fill(self, now_s: float) -> None:
        if self._window:
            self._look_at_start(now_s)
        if self._throttling is not None and now_s < self._throttling.calm_until_s:
            return
        while self._active < self._sized.size and self._out() < self._wanted:
            self._start(now_s)

    def _out(self) -> int:
        """Return how many requests the coordinator waits for: those that ended are, until it is told."""
        return self._window.outstanding if self._window else self._active

    def _start(self, now_s: float) -> None:
        network, rng = self._network, self._rng
        worker = self._workers[self._next % len(self._workers)]
        self._next += 1
        sizes = self._workload.sizes_bytes
        if self._again:
            size = self._again.pop()
        else:
            size = sizes[self._taken % len(sizes)]
            self._taken += 1
        self._active += 1
        worker.active += 1
        if self._window:
            self._window.began(now_s)
        slow_s = 0.0
        sent_s = now_s
        if worker.active > worker.connections:
            worker.connections += 1
            sent_s += network.connect_rtts * network.rtt_s
            slow_s = network.slow_start_s(size)
        self.run.requests += 1
        first_s = network.first_byte_s(rng)
        if network.limit_per_s is not None and not self._admitted(sent_s):
            self._at(sent_s + first_s, "refused", (size, worker))
            return
        if self._hedges and first_s > (after_s := worker.hedging.after_s()):
            self._at(sent_s + after_s, "twin", (sent_s, first_s, slow_s, size, worker))
            return
        self._at(sent_s + first_s, "head", (first_s, slow_s, size, worker))

    def _admitted(self, now_s: float) -> bool:
        limit = self._network.limit_per_s
        assert limit is not None
        if now_s > self._tokens_s:
            self._tokens = min(self._network.burst, self._tokens + limit * (now_s - self._tokens_s))
            self._tokens_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _twin(self, now_s: float, what: tuple[float, float, float, int, _Worker]) -> None:
        sent_s, first_s, slow_s, size, worker = what
        if worker.hedging.take():
            self.run.twins += 1
            self.run.requests += 1
            other_s = now_s - sent_s + self._network.connect_rtts * self._network.rtt_s
            first_s = min(first_s, other_s + self._network.first_byte_s(self._rng))
        self._at(sent_s + first_s, "head", (first_s, slow_s, size, worker))

    def _head(self, now_s: float, what: tuple[float, float, int, _Worker]) -> None:
        first_s, slow_s, size, worker = what
        worker.heads += 1
        worker.ttfb_s += first_s
        worker.hedging.note(first_s)
        if len(self.run.ttfb_s) < 50_000:
            self.run.ttfb_s.append(first_s)
        if slow_s:
            self._at(now_s + slow_s, "body", (size, worker))
        else:
            self._body(now_s, (size, worker))

    def _body(self, now_s: float, what: tuple[int, _Worker]) -> None:
        size, worker = what
        self._advance(now_s)
        self._ticket += 1
        number = self._ticket
        heapq.heappush(self._bodies, (self._level + size, number, (number, size, worker)))
        if size >= LARGE_BYTES:
            worker.parts[number] = [self._level, size, 0.0]
        self._reflow()

    def _ended_body(self, now_s: float, what: tuple[int, int, _Worker]) -> None:
        _, _, worker = what
        cost_s = self._network.request_cpu_s * self._network.crowd(self._active)
        worker.cpu_s += cost_s
        worker.cpu_free_s = max(now_s, worker.cpu_free_s) + cost_s
        self._at(worker.cpu_free_s, "done", what)

    def _done(self, now_s: float, what: tuple[int, int, _Worker]) -> None:
        number, size, worker = what
        self._leave(worker)
        self._done_bytes += size
        if size >= LARGE_BYTES:
            _, _, told = worker.parts.pop(number)
            if self._window:
                self._tell(now_s, worker)
                self._window.moved(worker.last_s, now_s, int(size - told), ended=1)
                self._succeeded()
        elif self._window:
            worker.rows += 1
            worker.row_bytes += size
            if worker.rows >= BATCH_ROWS:
                self._tell(now_s, worker)
        self._fill(now_s)

    def _leave(self, worker: _Worker) -> None:
        self._active -= 1
        worker.active -= 1

    def _refused(self, now_s: float, what: tuple[int, _Worker]) -> None:
        size, worker = what
        self._again.append(size)
        self._leave(worker)
        self.run.refused += 1
        if self._window and self._throttling:
            self._throttling.slow_down(now_s, in_flight=self._active + 1)
            self._window.let_go(now_s)
            self._at(self._throttling.calm_until_s, "calm", None)
        self._fill(now_s)

    def _calm(self, now_s: float, _what: None) -> None:
        self._fill(now_s)

    # Reports

    def _tell(self, now_s: float, worker: _Worker) -> None:
        """Report what has ended and begun; since the last beat, or the last batch."""
        assert self._window is not None
        if worker.rows or worker.heads:
            self._window.moved(
                worker.last_s, now_s, worker.row_bytes, ended=worker.rows, heads=worker.heads, ttfb_sum_s=worker.ttfb_s
            )
            if worker.rows:
                self._succeeded()
        worker.rows = worker.row_bytes = worker.heads = 0
        worker.ttfb_s = 0.0

    def _succeeded(self) -> None:
        if self._throttling:
            self._throttling.success()

    def _beat(self, now_s: float, what: tuple[_Worker, int]) -> None:
        worker, number = what
        assert self._window is not None
        if number != worker.beat:
            return  # another has taken its place
        self._advance(now_s)
        self._tell(now_s, worker)
        moved = 0.0
        for part in worker.parts.values():
            reached = min(part[1], self._level - part[0])
            moved += reached - part[2]
            part[2] = reached
        if moved:
            self._window.moved(worker.last_s, now_s, int(moved))
        worker.last_s = now_s
        self._window.told(min(one.last_s for one in self._workers))
        if now_s >= worker.load_s + BEAT_S:
            used_s = worker.cpu_s - max(0.0, worker.cpu_free_s - now_s)
            self._window.saturated(now_s, (used_s - worker.cpu_told_s) / max(1e-9, now_s - worker.load_s))
            worker.cpu_told_s, worker.load_s = used_s, now_s
        self._window.tick(now_s)
        self._beat_later(worker, now_s + (CLOSE_REPORT_S if self._often else BEAT_S))
        self._fill(now_s)

    def _beat_later(self, worker: _Worker, when_s: float) -> None:
        worker.beat += 1
        self._at(when_s, "beat", (worker, worker.beat))

    def _look_at_start(self, now_s: float) -> None:
        """Have workers report as often as the window needs it."""
        assert self._window is not None
        often, self._often = self._often, self._window.starting
        if self._often and not often:
            for worker in self._workers:
                self._beat_later(worker, now_s + CLOSE_REPORT_S)

    def _sample(self, now_s: float, _what: None) -> None:
        self._advance(now_s)
        under_way = sum(
            min(part[1], self._level - part[0]) for worker in self._workers for part in worker.parts.values()
        )
        self.run.delivered.append(self._done_bytes + under_way)
        self.run.sizes.append(self._sized.size)
        self._at(now_s + SAMPLE_S, "sample", None)
