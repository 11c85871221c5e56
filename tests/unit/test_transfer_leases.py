"""Who gets which part and for how long, and how transfers end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bulkhaul.model.limits import GIB, KIB, MIB
from bulkhaul.policy.crew import SMALL_PART_DEPTH
from bulkhaul.policy.events import Assign, Fail, HandOver, Heard, Kill, Revoke
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.parttable import LISTED_PARTS, new_part_table
from tests.unit.world import LARGE, World


def started(*, workers: int = 2, max_in_flight: int = 4) -> World:
    """Return a world whose workers are all ready."""
    world = World(workers=workers, max_in_flight=max_in_flight)
    world.all_ready()
    return world


def test_large_parts_take_one_connection_each_and_spread_evenly() -> None:
    """Two workers of two connections get two large parts each, in order, and no fifth."""
    world = started()
    world.add(plan_download(9 * LARGE, part_size_bytes=LARGE))
    assert [one.index for one in world.leases.values()] == [0, 1, 2, 3]
    assert Counter(one.worker for one in world.leases.values()) == {1: 2, 2: 2}


def test_no_more_large_parts_are_in_flight_than_was_asked_for() -> None:
    """Concurrency 3 on two workers of two connections is 3 requests, not 4."""
    world = started(max_in_flight=3)
    world.add(plan_download(9 * LARGE, part_size_bytes=LARGE))
    assert len(world.leases) == 3


def test_small_parts_are_queued_ahead_of_the_connections() -> None:
    """Small parts hide the hop to the coordinator: a worker holds up to eight for each connection."""
    world = started(workers=1, max_in_flight=2)
    for _ in range(40):
        world.add(plan_download(16 * KIB))
    assert len(world.leases) == 2 * SMALL_PART_DEPTH == 16


def test_objects_are_leased_in_the_order_they_came() -> None:
    """The first object's parts go first, so that objects finish one after the other."""
    world = started(workers=1)
    for _ in range(2):
        world.add(plan_download(3 * LARGE, part_size_bytes=LARGE))
    while world.leases:
        world.done(next(iter(world.leases)))
    assert [(one.transfer, one.index) for one in world.all_found(Assign)] == [(t, i) for t in (1, 2) for i in range(3)]


def test_an_empty_object_is_verified_without_any_lease() -> None:
    """Size 0: no GET, straight to publication (C13)."""
    world = started()
    transfer = world.add(plan_download(0))
    assert world.last == [HandOver(transfer)]
    world.close(transfer)
    assert not world.machine.holds(transfer)


def test_a_transfer_is_verified_when_the_last_part_is_in() -> None:
    """HandOver comes with the last PartDone, whichever part it is, and never twice."""
    world = started()
    transfer = world.add(plan_download(4 * LARGE, part_size_bytes=LARGE))
    for lease in (3, 1, 4):
        world.done(lease)
        assert not world.found(HandOver)
    world.done(2)
    assert world.last == [HandOver(transfer)]
    assert world.machine.received_bytes == 4 * LARGE


def test_received_bytes_count_every_byte_once() -> None:
    """Heartbeats, a break, a continuation and a repeat of part of it add up to what is in place."""
    world = started(workers=1, max_in_flight=1)
    world.add(plan_download(LARGE))
    for reached, expected in ((MIB, MIB), (3 * MIB, 3 * MIB), (2 * MIB, 3 * MIB)):
        world.heard(1, reached)
        assert world.machine.received_bytes == expected
    world.failed(1, 2 * MIB, "NetworkError")
    assert world.machine.received_bytes == 2 * MIB
    world.pass_time(0.2)
    world.done(2)
    assert world.machine.received_bytes == LARGE


def test_a_report_beyond_the_lease_is_not_believed() -> None:
    """A heartbeat that claims more bytes than the lease has changes no total."""
    world = started()
    world.add(plan_download(LARGE))
    world.machine.handle(Heard(world.leases[1].worker, ((1, LARGE + 1),)), now_s=world.now_s)
    assert world.machine.received_bytes == 0


# Deadlines


def speak_for(world: World, seconds: float) -> None:
    """Let time pass while every worker sends heartbeats without progress."""
    end_s = world.now_s + seconds
    while world.now_s < end_s:
        world.now_s = min(end_s, world.now_s + 2.0)
        world.speak()
    world.pass_time(0.0)


def test_a_part_without_progress_is_taken_from_its_worker() -> None:
    """After lease_s without a byte the lease is revoked, once, and moves when its holder has let go."""
    world = started(workers=2, max_in_flight=2)
    world.add(plan_download(LARGE))
    holder = world.leases[1].worker
    speak_for(world, world.timeouts.lease_s - 1.0)
    assert not world.last
    speak_for(world, 1.0)
    assert world.last == [Revoke(holder, 1)]
    speak_for(world, 2.0)
    assert world.last == []
    assert world.books[1].attempts == [1]
    world.failed(1, 0, "StallTimeout")
    speak_for(world, 1.0)
    assert world.books[1].attempts == [2]


def test_progress_moves_the_deadline() -> None:
    """A slow part that brings a byte now and then stays where it is."""
    world = started(workers=1)
    world.add(plan_download(LARGE))
    for reached in range(1, 8):
        speak_for(world, world.timeouts.lease_s - 1.0)
        world.heard(1, reached)
    assert not world.all_found(Revoke)


def test_a_worker_that_does_not_let_go_is_killed() -> None:
    """A Revoke that is not answered within release_s leads to one Kill, however it heartbeats."""
    world = started(workers=1)
    world.add(plan_download(LARGE))
    world.abort(1)
    assert [one.lease for one in world.found(Revoke)] == [1]
    world.heard(1, 5)
    speak_for(world, world.timeouts.release_s - 0.5)
    assert not world.all_found(Kill)
    speak_for(world, 0.5)
    assert [one.worker for one in world.found(Kill)] == [1]
    world.lose(1)
    assert [fail.error.code for fail in world.found(Fail)] == ["Cancelled"]


def test_small_parts_that_wait_their_turn_do_not_time_out() -> None:
    """Only the part on a connection has a deadline; those queued behind it have not begun."""
    world = started(workers=1, max_in_flight=1)
    for _ in range(3):
        world.add(plan_download(KIB))
    speak_for(world, world.timeouts.lease_s - 1.0)
    speak_for(world, 2.0)
    assert [one.lease for one in world.all_found(Revoke)] == [1]


# Verification, cancellation


def test_rejected_parts_are_fetched_once_more_from_their_start() -> None:
    """Only the parts found wrong are leased again, whole, with an empty CRC; the rest stays."""
    world = started()
    transfer = world.add(plan_download(4 * LARGE, part_size_bytes=LARGE))
    for lease in range(1, 5):
        world.done(lease)
    world.reject(transfer, 1, 3)
    assert world.machine.received_bytes == 2 * LARGE
    assert [(one.index, one.start, one.crc, one.attempt) for one in world.found(Assign)] == [
        (1, LARGE, 0, 2),
        (3, 3 * LARGE, 0, 2),
    ]
    world.finish()
    assert world.books[transfer].outcome == "verified"


def test_parts_rejected_a_second_time_fail_the_transfer() -> None:
    """What is wrong twice is wrong at the source: Fail with the error of verification, and its bytes are gone."""
    world = started()
    transfer = world.add(plan_download(LARGE))
    world.done(1)
    world.reject(transfer, 0)
    world.done(2)
    assert world.found(HandOver)
    world.reject(transfer, 0)
    assert [(fail.transfer, fail.error.code) for fail in world.found(Fail)] == [(transfer, "IntegrityError")]
    assert world.machine.received_bytes == 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_closed_transfer_counts_only_if_its_bytes_are_kept(kept: bool) -> None:
    """After publication the bytes stay in the total; after a failed one they are taken out again."""
    world = started()
    transfer = world.add(plan_download(LARGE))
    world.done(1)
    world.close(transfer, kept=kept)
    assert world.machine.received_bytes == (LARGE if kept else 0)


def test_a_transfer_that_nobody_works_on_is_aborted_at_once() -> None:
    """Without a lease there is nobody to wait for; its parts are never leased."""
    world = World(workers=1)
    transfer = world.add(plan_download(LARGE))
    world.abort(transfer)
    assert [fail.transfer for fail in world.found(Fail)] == [transfer]
    world.all_ready()
    assert not world.leases


def test_a_transfer_aborted_during_verification_is_not_fetched_again() -> None:
    """Cancelled while it is verified, then found wrong: it must stop, so it fails instead of fetching parts."""
    world = started()
    transfer = world.add(plan_download(LARGE))
    world.done(1)
    world.abort(transfer)
    if not world.books[transfer].outcome:
        world.reject(transfer, 0)
    assert not world.leases
    assert world.books[transfer].outcome == "failed"


def test_events_about_transfers_that_have_ended_change_nothing() -> None:
    """Abort and close may cross the end of a transfer on their way."""
    world = started()
    transfer = world.add(plan_download(LARGE))
    world.failed(1, 0, "NotFound")
    world.abort(transfer)
    assert world.last == []
    world.close(transfer)
    assert world.last == []


# What is known of each part


def test_how_far_each_part_is() -> None:
    """The machine tells which parts are done and which are leased, the transfer's table what came of each."""
    world = started(workers=1, max_in_flight=2)
    world.add(plan_download(3 * LARGE, part_size_bytes=LARGE))
    world.done(1)
    transfer = world.machine.transfer(1)
    assert (transfer.done, transfer.leases) == (1, 2)
    assert {lease.index: world.machine.transfer_of_lease(number, 1) for number, lease in world.leases.items()} == {
        1: 1,
        2: 1,
    }
    table = transfer.table
    assert list(table["bytes"]) == [LARGE, 0, 0]
    assert list(table["attempt"]) == [1, 1, 1]


def test_ten_thousand_parts_take_less_than_half_a_megabyte() -> None:
    """The table of the largest plan is bounded: memory does not follow the object's size (I7)."""
    layout = plan_download(100 * GIB, part_size_bytes=10 * MIB)
    table = new_part_table(len(layout))
    assert isinstance(table, np.ndarray)
    assert 9_000 < len(table) <= 10_000
    assert table.nbytes < 500_000
    assert set(table["bytes"].tolist()) == set(table["attempt"].tolist()) == {0}


@pytest.mark.parametrize("n_parts", [1, 2, LISTED_PARTS, LISTED_PARTS + 1])
def test_tables_of_few_and_of_many_rows_are_alike(n_parts: int) -> None:
    """A table that is kept without numpy reads and writes as a large one does."""
    table = new_part_table(n_parts)
    assert len(table) == len(table["crc"]) == n_parts
    assert isinstance(table, np.ndarray) == (n_parts > LISTED_PARTS)
    last = n_parts - 1
    fresh = {name: table[last][name] for name in ("attempt", "bytes", "crc")}
    assert fresh == {"attempt": 0, "bytes": 0, "crc": 0}
    table[last]["crc"] = 2**64 - 1
    table[last]["attempt"] += 1
    assert (int(table["crc"][last]), int(table["attempt"][last])) == (2**64 - 1, 1)
