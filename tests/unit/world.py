"""A coordinator and its workers, played in memory: performs what the machine instructs, and watches that it may.

Knows only the vocabulary of policy.events and what it promises. Every instruction is checked when it comes, every
total after each event; so a test drives events through here and every invariant is watched on the way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TypeVar

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.crew import SMALL_PART_BYTES, SMALL_PART_DEPTH
from bulkhaul.policy.events import (
    Assign,
    CredentialsReplaced,
    Event,
    Fail,
    HandOver,
    Heard,
    Instruction,
    Kill,
    PartDone,
    PartFailed,
    PartsRejected,
    RefreshCredentials,
    Resize,
    Revoke,
    Spawn,
    Tick,
    TransferAborted,
    TransferAdded,
    TransferClosed,
    WorkerLost,
    WorkerReady,
)
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.pacing import Randomness
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window

T = TypeVar("T")

LARGE = 4 * MIB
"""A part that is not queued ahead of a worker's connections."""

FINAL_CODES = frozenset({"NotFound", "AccessDenied", "IntegrityError", "RangeIgnored", "ObjectChanged", "DiskFull"})
"""Failures that no retry mends: the transfer must fail."""


def crc_of(transfer: int, index: int, count: int) -> int:
    """Return the checksum that workers report for the first ``count`` bytes of a part; 0 of nothing, as for CRCs."""
    return (count * 2_654_435_761 + transfer * 97 + index * 13 + 1) % 2**32 if count else 0


@dataclass
class WorkerSide:
    """What a worker process holds: its leases with the bytes that it reported of each."""

    connections: int = 0
    often: bool = False
    leases: dict[int, Assign] = field(default_factory=dict)
    doomed: bool = False


@dataclass
class Book:
    """What is known of one transfer outside the machine."""

    layout: Layout
    kept: list[int]
    done: list[bool]
    attempts: list[int]
    owner: dict[int, int] = field(default_factory=dict)  # part index -> lease
    verifying: bool = False
    rejected: bool = False
    must_fail: bool = False
    outcome: str = ""
    error: ErrorInfo | None = None


class World:
    """Plays everything around one TransferMachine.

    Attributes:
        sound: whether everything held so far.
        seen: every instruction so far, in order.
        last: the instructions of the last event.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        max_in_flight: int = 4,
        respawns: int | None = None,
        rng: Randomness | None = None,
        timeouts: Timeouts | None = None,
        retry_for_s: float = 60.0,
        needed: int | None = None,
        window: Window | None = None,
    ) -> None:
        """Play the part of what is around a machine.

        Args:
            needed: workers that are started at once; None for all.
            window: how much may be in flight; None for one that begins with ``max_in_flight``.
        """
        self.timeouts = timeouts or Timeouts()
        self.machine = TransferMachine(
            workers=workers,
            window=window or Window(max_in_flight, first=max_in_flight),
            timeouts=self.timeouts,
            rng=rng or random.Random(7),
            respawns=respawns,
            retry_for_s=retry_for_s,
        )
        self.now_s = 1000.0
        self.wanted = workers
        self.respawns_left = max(4, 2 * workers) if respawns is None else respawns
        self.starting: list[int] = []
        self.workers: dict[int, WorkerSide] = {}
        self.reached: dict[int, int] = {}  # lease -> bytes told by Heard
        self.ended: list[tuple[int, Assign]] = []  # (worker, lease) that were let go or died
        self.books: dict[int, Book] = {}
        self.refreshing: int | None = None
        self.refreshed: set[int] = set()
        self.revoked: set[int] = set()
        self.killed: set[int] = set()
        self.sound = True
        self.seen: list[Instruction] = []
        self.last: list[Instruction] = []
        self._worker_ids = 0
        self._spawned = 0
        self._leases_ever: set[int] = set()
        self._perform(self.machine.need_workers(workers if needed is None else needed))

    # What tests look at

    @property
    def leases(self) -> dict[int, Assign]:
        """Every lease that a worker holds, by id, oldest first."""
        held = {lease: assign for side in self.workers.values() for lease, assign in side.leases.items()}
        return dict(sorted(held.items()))

    def of(self, transfer: int) -> list[Assign]:
        """Return the leases held of one transfer, oldest first."""
        return [lease for lease in self.leases.values() if lease.transfer == transfer]

    def found(self, kind: type[T]) -> list[T]:
        """Return the instructions of one kind among the last ones."""
        return [one for one in self.last if isinstance(one, kind)]

    def all_found(self, kind: type[T]) -> list[T]:
        """Return the instructions of one kind among all so far."""
        return [one for one in self.seen if isinstance(one, kind)]

    @property
    def open(self) -> list[int]:
        """Transfers without an outcome."""
        return [transfer for transfer, book in self.books.items() if not book.outcome]

    # Events

    def all_ready(self) -> None:
        """Let every worker that is starting become ready."""
        for worker in list(self.starting):
            self.ready(worker)

    def ready(self, worker: int) -> None:
        """A worker has started."""
        self.starting.remove(worker)
        self.workers[worker] = WorkerSide()
        self.send(WorkerReady(worker))

    def lose(self, worker: int, reason: str = "signal 9", *, blameless: bool = False) -> None:
        """A worker, ready or not, is dead."""
        if worker in self.starting:
            self.starting.remove(worker)
        else:
            for lease, assign in self.workers.pop(worker).leases.items():
                self._let_go(worker, assign)
                self.reached.pop(lease, None)
        self.respawns_left += blameless
        self.send(WorkerLost(worker, reason, blameless))

    def add(self, layout: Layout, *, sends: bool = False) -> int:
        """Plan another object and return its transfer."""
        transfer, n_parts = len(self.books) + 1, len(layout)
        self.books[transfer] = Book(layout, [0] * n_parts, [False] * n_parts, [0] * n_parts)
        self.send(TransferAdded(transfer, layout, sends=sends))
        return transfer

    def heard(self, lease: int, reached: int) -> None:
        """The worker of a lease says how many bytes of it have come."""
        assign = self.leases[lease]
        self.reached[lease] = max(self.reached.get(lease, 0), reached)
        self.send(Heard(assign.worker, ((lease, reached),)))

    def speak(self) -> None:
        """Every living worker sends a heartbeat without news."""
        for worker in list(self.workers):
            self.send(Heard(worker))

    def done(self, lease: int) -> None:
        """A worker fulfils a lease."""
        assign = self.leases[lease]
        book = self.books[assign.transfer]
        part = book.layout[assign.index]
        self._release(assign)
        book.kept[assign.index] = part.size_bytes
        book.done[assign.index] = True
        self._spawned = min(self._spawned, self.wanted)  # who gets on may replace as many workers again
        self.send(self.done_event(assign))

    def done_event(self, assign: Assign) -> PartDone:
        """Return what the worker of a lease says when it is fulfilled."""
        size = self.books[assign.transfer].layout[assign.index].size_bytes
        crc = crc_of(assign.transfer, assign.index, size)
        return PartDone(assign.worker, assign.lease, assign.end - assign.start, crc)

    def failed(self, lease: int, received: int, error: ErrorInfo | str) -> None:
        """A worker lets go of a lease after ``received`` bytes of it; all of them and a failure are in doubt."""
        info = ErrorInfo(error, "it failed") if isinstance(error, str) else error
        assign = self.leases[lease]
        book = self.books[assign.transfer]
        self._release(assign)
        if received < assign.end - assign.start:
            book.kept[assign.index] += received
        if info.code in FINAL_CODES:
            book.must_fail = True
        crc = crc_of(assign.transfer, assign.index, book.kept[assign.index])
        self.send(PartFailed(assign.worker, lease, received, crc, info))

    def reject(self, transfer: int, *indices: int) -> None:
        """Verification finds parts to be wrong."""
        book = self.books[transfer]
        book.verifying = False
        if book.rejected:
            book.must_fail = True
        else:
            for index in indices:
                book.kept[index], book.done[index] = 0, False
        book.rejected = True
        self.send(PartsRejected(transfer, indices, ErrorInfo("IntegrityError", "the checksum differs")))

    def close(self, transfer: int, *, kept: bool = True) -> None:
        """Verification has ended: the object is at its destination, or it is not."""
        self.books[transfer].verifying = False
        self.books[transfer].outcome = "verified" if kept else "failed"
        self.send(TransferClosed(transfer, kept))

    def abort(self, transfer: int, code: str = "Cancelled") -> None:
        """A transfer must stop."""
        book = self.books[transfer]
        if not book.verifying and not book.outcome:
            book.must_fail = True
        self.send(TransferAborted(transfer, ErrorInfo(code, "it was stopped")))

    def replace_credentials(self) -> None:
        """Every worker has the next credentials."""
        self.refreshing = None
        self.send(CredentialsReplaced(self.machine.generation + 1))

    def pass_time(self, seconds: float) -> None:
        """Time passes, and the machine is told."""
        self.now_s += seconds
        self.send(Tick())

    def send(self, event: Event) -> None:
        """Hand any event to the machine, perform what it instructs, and check all totals."""
        self.sound = False
        self._perform(self.machine.handle(event, now_s=self.now_s))
        self.check()
        self.sound = True

    def finish(self, rounds: int = 2000) -> None:
        """Be kind from here on, until every transfer has ended; fails if that never comes."""
        for _ in range(rounds):
            if not self.open:
                break
            if self.refreshing is not None:
                self.replace_credentials()
            for worker in [w for w, side in self.workers.items() if side.doomed]:
                self.lose(worker)
            self.all_ready()
            self.speak()
            for lease in self.leases:
                if lease in self.leases:
                    self.done(lease)
            for transfer in [t for t, book in self.books.items() if book.verifying]:
                self.close(transfer)
            self.pass_time(1.0)
        assert not self.open, f"never ended: {self.open}"
        assert self.machine.in_flight == 0

    # Instructions, each with what must hold when it comes

    def _perform(self, instructions: list[Instruction]) -> None:
        self.last = instructions
        self.seen += instructions
        for one in instructions:
            match one:
                case Assign():
                    self._assigned(one)
                case Resize():
                    assert one.connections >= 1, "a lease that waits at a worker has its turn"
                    side = self.workers[one.worker]
                    assert (one.connections, one.often) != (side.connections, side.often), "nothing is told twice"
                    side.connections, side.often = one.connections, one.often
                case Revoke():
                    assert one.lease in self.workers[one.worker].leases, "a lease is revoked at its holder"
                    assert one.lease not in self.revoked, "once is enough"
                    self.revoked.add(one.lease)
                case Kill():
                    assert one.worker in self.workers
                    assert one.worker not in self.killed
                    self.killed.add(one.worker)
                    self.workers[one.worker].doomed = True
                case Spawn():
                    self._spawn()
                case RefreshCredentials():
                    assert one.generation not in self.refreshed, "one refresh a generation"
                    assert self.refreshing is None
                    self.refreshed.add(one.generation)
                    self.refreshing = one.generation
                case HandOver():
                    book = self.books[one.transfer]
                    assert not book.outcome
                    assert not book.verifying
                    assert not book.must_fail
                    assert all(book.done)
                    assert not book.owner
                    book.verifying = True
                case Fail():
                    book = self.books[one.transfer]
                    assert not book.outcome
                    assert not book.verifying
                    assert not book.owner
                    book.outcome, book.error = "failed", one.error
                    assert not self.machine.holds(one.transfer)

    def _assigned(self, assign: Assign) -> None:
        book, side = self.books[assign.transfer], self.workers[assign.worker]
        part = book.layout[assign.index]
        kept = book.kept[assign.index]
        assert assign.lease not in self._leases_ever
        assert not side.doomed, "a worker that is being killed gets nothing"
        assert self.refreshing is None, "nothing is signed with expired credentials"
        assert not (book.outcome)
        assert not (book.verifying)
        assert not (book.must_fail)
        assert assign.index not in book.owner, "a part has one owner"
        assert not book.done[assign.index]
        assert (assign.start, assign.end) == (part.start + kept, part.end)
        assert assign.start < assign.end, "a lease asks for something"
        assert assign.crc == crc_of(assign.transfer, assign.index, kept)
        book.attempts[assign.index] += 1
        assert assign.attempt == book.attempts[assign.index]
        depth = SMALL_PART_DEPTH if part.size_bytes <= SMALL_PART_BYTES else 1
        assert len(side.leases) < side.connections * depth
        assert depth > 1 or len(self.leases) < self.machine.window.size
        book.owner[assign.index] = assign.lease
        side.leases[assign.lease] = assign
        self._leases_ever.add(assign.lease)

    def _spawn(self) -> None:
        self._spawned += 1
        assert self._spawned <= self.wanted + self.respawns_left
        self._worker_ids += 1
        self.starting.append(self._worker_ids)
        assert len(self.starting) + sum(not side.doomed for side in self.workers.values()) <= self.wanted

    def _release(self, assign: Assign) -> None:
        del self.workers[assign.worker].leases[assign.lease]
        self.reached.pop(assign.lease, None)
        self._let_go(assign.worker, assign)

    def _let_go(self, worker: int, assign: Assign) -> None:
        del self.books[assign.transfer].owner[assign.index]
        self.ended.append((worker, assign))

    def check(self) -> None:
        """Assert what must hold between any two events."""
        held = self.leases
        assert self.machine.in_flight == len(held)
        if type(self.machine.window) is Window:  # and not one that only notes what it is told
            assert self.machine.window.outstanding == len(held), "it counts what is under way, and nothing else"
        in_place = sum(sum(book.kept) for book in self.books.values() if book.outcome != "failed")
        assert self.machine.received_bytes == in_place + sum(self.reached.values())
        assert self.machine.received_bytes <= sum(book.layout.size_bytes for book in self.books.values())
        if self.workers and not self.starting:
            connections = sum(side.connections for side in self.workers.values())
            assert connections == max(self.machine.window.size, len(self.workers)), "together they are the window"
        for worker, side in self.workers.items():
            assert self.machine.transfers_of(worker) == {one.transfer for one in side.leases.values()}
        for transfer, book in self.books.items():
            assert self.machine.holds(transfer) == (not book.outcome)
