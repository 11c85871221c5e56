"""The transfer state machine with parts that an earlier run has left: only the others are leased."""

from __future__ import annotations

import random

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.events import (
    Assign,
    HandOver,
    Instruction,
    PartDone,
    PartsRejected,
    TransferAdded,
    TransferClosed,
    WorkerReady,
)
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window

PARTS = 6
LAYOUT = Layout(10 * PARTS - 3, 10)
KEPT = ((0, 70), (2, 72), (3, 73), (5, 75))
KEPT_BYTES = 37


@pytest.fixture
def machine() -> TransferMachine:
    """A machine with one worker that takes all there is."""
    one = TransferMachine(workers=1, window=Window(32, first=32), timeouts=Timeouts(), rng=random.Random(1))
    one.need_workers(1)
    one.handle(WorkerReady(1), now_s=0.0)
    return one


def leases(out: list[Instruction]) -> list[Assign]:
    """Return the leases among instructions."""
    return [one for one in out if isinstance(one, Assign)]


def finish(machine: TransferMachine, lease: Assign, crc: int = 1) -> list[Instruction]:
    """Let the worker fulfil a lease."""
    return machine.handle(PartDone(1, lease.lease, lease.end - lease.start, crc), now_s=1.0)


def test_only_the_others_are_leased(machine: TransferMachine) -> None:
    """Parts that are there are never leased, wherever they lie; they count as moved from the start."""
    given = leases(machine.handle(TransferAdded(1, LAYOUT, kept=KEPT), now_s=0.0))
    assert [(one.index, one.start, one.end) for one in given] == [(1, 10, 20), (4, 40, 50)]
    assert machine.received_bytes == machine.transfer(1).moved_bytes == KEPT_BYTES
    assert finish(machine, given[0], 71) == []
    assert HandOver(1) in finish(machine, given[1], 74)
    assert list(machine.transfer(1).table["crc"]) == [70, 71, 72, 73, 74, 75]
    machine.handle(TransferClosed(1, kept=True), now_s=2.0)
    assert machine.received_bytes == LAYOUT.size_bytes


def test_nothing_is_missing(machine: TransferMachine) -> None:
    """Where every part is there, the transfer is handed over at once."""
    every = tuple((index, index) for index in range(PARTS))
    out = machine.handle(TransferAdded(1, LAYOUT, kept=every), now_s=0.0)
    assert (leases(out), HandOver(1) in out) == ([], True)
    machine.handle(TransferClosed(1, kept=False), now_s=2.0)
    assert machine.received_bytes == 0


def test_a_kept_part_that_is_rejected(machine: TransferMachine) -> None:
    """A part that was there and proves to be wrong is leased like any other one."""
    every = tuple((index, index) for index in range(PARTS))
    machine.handle(TransferAdded(1, LAYOUT, kept=every), now_s=0.0)
    (lease,) = leases(machine.handle(PartsRejected(1, (2,), ErrorInfo("IntegrityError", "wrong")), now_s=1.0))
    assert (lease.index, lease.start, lease.end) == (2, 20, 30)
    assert machine.received_bytes == LAYOUT.size_bytes - 10
    assert HandOver(1) in finish(machine, lease)


def test_the_next_transfer_has_its_turn(machine: TransferMachine) -> None:
    """A transfer whose last parts are kept leaves the queue with its last missing one."""
    first = leases(machine.handle(TransferAdded(1, LAYOUT, kept=KEPT[1:]), now_s=0.0))
    second = leases(machine.handle(TransferAdded(2, LAYOUT), now_s=0.0))
    assert [one.index for one in first] == [0, 1, 4]
    assert [one.transfer for one in second] == [2] * PARTS
