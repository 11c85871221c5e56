"""The transfer machine and batches: one lease that stands for many requests, and what its end tells of the host."""

from __future__ import annotations

import random

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.crew import BATCHED_AHEAD
from bulkhaul.policy.events import (
    Assign,
    Event,
    Fail,
    HandOver,
    Heard,
    Instruction,
    Kill,
    PartDone,
    PartFailed,
    Revoke,
    Tick,
    TransferAdded,
    TransferClosed,
    WorkerLost,
    WorkerReady,
)
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window

ROWS, ROW_BYTES = 64, 16 * KIB
BATCH = Layout(ROWS * ROW_BYTES, ROWS * ROW_BYTES, whole=True)
PART = Layout(4 * MIB, 4 * MIB, whole=True)
THROTTLED = ErrorInfo("Throttled", "slow down", status=503)
BROKEN = ErrorInfo("NetworkError", "reset")
UNREACHED = ErrorInfo("NetworkError", "refused", unreached=True)


class Machine:
    """A machine with its workers ready, and a clock that a test sets."""

    def __init__(self, *, workers: int = 2, connections: int = 4) -> None:
        size = workers * connections
        self.machine = TransferMachine(
            workers=workers, window=Window(size, first=size), timeouts=Timeouts(), rng=random.Random(3)
        )
        self.now_s = 1000.0
        self.transfers = 0
        self.machine.need_workers(workers)
        self.workers = workers
        for worker in range(1, workers + 1):
            self.send(WorkerReady(worker))

    def send(self, event: Event, after_s: float = 0.0) -> list[Instruction]:
        """Send an event and return what is instructed."""
        self.now_s += after_s
        return self.machine.handle(event, now_s=self.now_s)

    def tick(self, after_s: float) -> list[Instruction]:
        """Let time pass with every worker alive, and return what is instructed."""
        self.now_s += after_s
        out = [one for worker in range(1, self.workers + 1) for one in self.send(Heard(worker))]
        return out + self.send(Tick())

    def next_leases(self) -> list[Assign]:
        """Let time pass until anything is leased."""
        for _ in range(100):
            if found := leases(self.tick(1.0)):
                return found
        raise AssertionError("nothing is leased any more")

    def add(self, layout: Layout = BATCH, requests: int = ROWS) -> list[Assign]:
        """Plan a transfer and return its leases."""
        self.transfers += 1
        return leases(self.send(TransferAdded(self.transfers, layout, requests=requests)))


def leases(instructions: list[Instruction]) -> list[Assign]:
    """Return the leases among instructions."""
    return [one for one in instructions if isinstance(one, Assign)]


def test_each_worker_holds_two_batches() -> None:
    """Two batches are queued at each worker, spread evenly, so that one is there when the other ends."""
    world = Machine()
    held = [lease for _ in range(7) for lease in world.add()]
    assert [lease.worker for lease in held] == [1, 2, 1, 2]
    assert world.machine.in_flight == 2 * BATCHED_AHEAD == 4 * ROWS
    done = PartDone(1, held[0].lease, BATCH.size_bytes, 0, answered=ROWS)
    assert [lease.worker for lease in leases(world.send(done))] == [1]


def test_parts_do_not_wait_for_all_rows_of_batches() -> None:
    """Beside batches each worker still takes parts: a batch counts as one lease then."""
    world = Machine()
    for _ in range(4):
        world.add()
    assert [len(world.add(PART, 1)) for _ in range(6)] == [1, 1, 1, 1, 0, 0]


def test_a_batch_of_many_connections_has_more_ahead() -> None:
    """A worker of many connections gets as many batches as keep all of them busy."""
    world = Machine(workers=1, connections=64)
    assert sum(len(world.add()) for _ in range(20)) == 64 * 8 // ROWS


def test_a_batch_that_is_done_is_handed_over_and_counted() -> None:
    """All bytes of its rows count as received, less those that were lost when it is closed."""
    world = Machine()
    (lease,) = world.add()
    world.send(Heard(lease.worker, ((lease.lease, 5 * ROW_BYTES),)))
    assert world.machine.received_bytes == 5 * ROW_BYTES
    out = world.send(PartDone(lease.worker, lease.lease, BATCH.size_bytes, 0, answered=ROWS - 2))
    assert [one for one in out if isinstance(one, HandOver)] == [HandOver(1)]
    world.send(TransferClosed(1, kept=True, lost_bytes=2 * ROW_BYTES))
    assert world.machine.received_bytes == (ROWS - 2) * ROW_BYTES


def test_a_batch_of_another_length_gets_its_worker_killed() -> None:
    """A worker that reports an end without naming every row is not believed."""
    world = Machine()
    (lease,) = world.add()
    out = world.send(PartDone(lease.worker, lease.lease, BATCH.size_bytes - 1, 0, answered=ROWS))
    assert [one.worker for one in out if isinstance(one, Kill)] == [lease.worker]


def ended_early(
    lease: Assign, error: ErrorInfo, *, through: int, failures: int = 1, left: int | None = None
) -> PartFailed:
    """Return the end of a batch after ``through`` rows."""
    left = ROWS - through if left is None else left
    bytes_ = through * ROW_BYTES
    return PartFailed(
        lease.worker, lease.lease, bytes_, 0, error, answered=through, failures=failures, left=left, kept_bytes=bytes_
    )


def test_what_was_not_begun_is_leased_again() -> None:
    """After an early end the rest goes out as a smaller lease, and what came stays counted."""
    world = Machine()
    (lease,) = world.add()
    out = leases(world.send(ended_early(lease, BROKEN, through=10)))
    (again,) = out or world.next_leases()
    assert (again.start, again.end) == (10 * ROW_BYTES, BATCH.size_bytes)
    assert (world.machine.in_flight, world.machine.received_bytes) == (ROWS - 10, 10 * ROW_BYTES)


def test_a_storm_in_a_batch_shrinks_the_window() -> None:
    """Throttled rows take down what is in flight and hold everything back, until one worker has one connection."""
    world = Machine()
    (lease,) = world.add()
    world.send(ended_early(lease, THROTTLED, through=0, failures=4))
    assert world.machine.window.size == 5  # 8 were in flight, 0.93 of them are borne, and it falls to 0.8 of those
    for _ in range(8):
        (again,) = world.next_leases()
        world.send(ended_early(again, THROTTLED, through=0, failures=4))
    assert world.machine.window.size == 1
    assert len(world.next_leases()) == 1


def test_successes_of_a_batch_count_one_by_one() -> None:
    """The budget of retries and the window get back as much as from as many single objects."""
    world = Machine()
    (lease,) = world.add()
    world.machine.budget.tokens = 100
    world.send(PartDone(lease.worker, lease.lease, BATCH.size_bytes, 0, answered=ROWS))
    assert world.machine.budget.tokens == 100 + ROWS


def test_an_outage_is_noticed_once() -> None:
    """Eight connections that break in a row, four of each batch, are one outage; then one row goes out a pause."""
    world = Machine()
    (first,), (second,) = world.add(), world.add()
    world.send(ended_early(first, BROKEN, through=0, failures=4))
    assert not world.machine.outage.away
    world.send(ended_early(second, BROKEN, through=0, failures=4))
    assert world.machine.outage.away
    assert [lease.single for lease in world.next_leases()] == [True]


def test_rows_that_came_show_that_the_endpoint_is_there() -> None:
    """Broken connections among rows that came are no outage."""
    world = Machine()
    (lease,) = world.add()
    for through in range(1, 12):
        out = leases(world.send(ended_early(lease, BROKEN, through=1, failures=4, left=ROWS - through)))
        assert not world.machine.outage.away
        (lease,) = out or world.next_leases()


def test_an_outage_that_lasts_fails_the_batch_and_keeps_what_came() -> None:
    """After the time to wait for an endpoint the batch fails; rows that came before stay counted."""
    world = Machine()
    (lease,) = world.add()
    world.send(ended_early(lease, BROKEN, through=10))
    failed: list[Fail] = []
    for _ in range(400):
        out = world.tick(0.5)
        for again in leases(out):
            out += world.send(ended_early(again, UNREACHED, through=0, left=ROWS - 10))
        failed += [one for one in out if isinstance(one, Fail)]
        if failed:
            break
    assert [one.error.code for one in failed] == ["NetworkError"]
    assert world.machine.received_bytes == 10 * ROW_BYTES


@pytest.mark.parametrize("blameless", [False, True])
def test_a_batch_whose_workers_die(blameless: bool) -> None:
    """A batch with which two workers died fails; deaths that are nobody's fault do not count."""
    world = Machine(workers=1)
    (lease,) = world.add()
    world.send(Heard(1, ((lease.lease, 7 * ROW_BYTES),)))
    for worker in (1, 2):
        out = world.send(WorkerLost(worker, "signal 9", blameless))
        assert world.machine.received_bytes == 0
        if worker == 1:
            assert [one.end for one in leases(world.send(WorkerReady(2)))] == [BATCH.size_bytes]
    assert [one.error.code for one in out if isinstance(one, Fail)] == ([] if blameless else ["WorkerDied"])


def test_a_batch_that_waits_its_turn_is_not_late() -> None:
    """The deadline of a batch begins when the batches before it are through; each row that ends moves it."""
    world = Machine(workers=1)
    (first,), (second,) = world.add(), world.add()
    for row in range(1, 9):
        out = world.send(Heard(1, ((first.lease, row * ROW_BYTES),)), after_s=20.0)
        out += world.send(Tick())
        assert [one for one in out if isinstance(one, Revoke)] == []
    out = []
    for _ in range(12):
        world.send(Heard(1), after_s=4.0)
        out += world.send(Tick())
    assert [one.lease for one in out if isinstance(one, Revoke)] == [first.lease]
    assert second.lease != first.lease
