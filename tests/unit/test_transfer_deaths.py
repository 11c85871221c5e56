"""What the transfer machine does when workers die, fall silent or talk nonsense."""

from __future__ import annotations

import pytest

from bulkhaul.model.limits import KIB, MIB
from bulkhaul.policy.events import Assign, Fail, HandOver, Heard, Kill, PartDone, Revoke, Spawn, WorkerLost
from bulkhaul.policy.layout import plan_download
from tests.unit.world import LARGE, World, crc_of


def started(**options: int) -> World:
    """Return a world whose workers are all ready."""
    world = World(**options)  # type: ignore[arg-type]
    world.all_ready()
    return world


def test_the_first_workers_are_spawned_once() -> None:
    """As many are started as are needed, each once, and no more than there may be."""
    world = World(workers=3, needed=2)
    assert world.seen == [Spawn(), Spawn()]
    assert world.machine.need_workers(2) == []
    assert world.machine.need_workers(9) == [Spawn()]


def test_no_worker_is_spawned_that_nothing_needs() -> None:
    """An object of no parts needs no worker, and one of a single part needs one."""
    world = World(workers=3, max_in_flight=6, needed=0)
    world.add(plan_download(0))
    world.pass_time(1.0)
    assert world.seen == [HandOver(1)]
    assert not world.machine.alive
    world.add(plan_download(KIB))
    assert world.last == [Spawn()]


@pytest.mark.parametrize(("parts", "workers"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (9, 3)])
def test_as_many_workers_come_as_the_parts_need_connections(parts: int, workers: int) -> None:
    """Parts of one object and of many count alike, leased or not; three workers of two connections are the most."""
    for objects, of in ((1, parts), (parts, 1)):
        world = World(workers=3, max_in_flight=6, needed=0, respawns=0)
        for _ in range(objects):
            world.add(plan_download(of * LARGE, part_size_bytes=LARGE))
            world.all_ready()
        assert len(world.workers) == workers
        world.finish()


def test_nothing_queues_behind_a_connection_while_another_worker_starts() -> None:
    """Small parts are queued ahead, but not while the worker starts that was called for them: it would idle."""
    world = World(workers=2, max_in_flight=4, needed=0)
    world.add(plan_download(4 * KIB, part_size_bytes=KIB))
    world.ready(1)
    assert [one.worker for one in world.leases.values()] == [1, 1]
    world.ready(2)
    assert sorted(one.worker for one in world.leases.values()) == [1, 1, 2, 2]


def test_a_worker_that_died_is_replaced_only_where_it_was_needed() -> None:
    """One worker was needed, so one comes in the place of the dead one; the next part that needs another gets it."""
    world = World(workers=2, max_in_flight=2, needed=0, respawns=1)
    world.add(plan_download(LARGE))
    world.all_ready()
    world.lose(1)
    assert world.last == [Spawn()]
    world.add(plan_download(LARGE))
    assert world.last == [Spawn()]  # the allowance is spent, but this one is no replacement
    world.all_ready()
    world.finish()
    assert [book.outcome for book in world.books.values()] == ["verified"] * 2


def test_only_the_unfinished_parts_of_a_dead_worker_are_fetched_again() -> None:
    """What a dead worker had reported as done stays done; what it still held goes to another, from its start."""
    world = started(workers=2, max_in_flight=4, respawns=0)
    transfer = world.add(plan_download(6 * LARGE, part_size_bytes=LARGE))
    victim = world.leases[1].worker
    finished = {0, 1, 2, 3} - {one.index for one in world.of(transfer) if one.worker == victim}
    for assign in list(world.of(transfer)):
        if assign.worker == victim and assign.index not in finished:
            world.done(assign.lease)
            finished.add(assign.index)
            break
    held = {one.index for one in world.of(transfer) if one.worker == victim}
    survivor = next(worker for worker in world.workers if worker != victim)
    world.lose(victim)
    for assign in list(world.of(transfer)):
        if assign.worker == survivor:
            world.done(assign.lease)
    world.finish()
    attempts = world.books[transfer].attempts
    assert [index for index, count in enumerate(attempts) if count > 1] == sorted(held)
    assert world.books[transfer].outcome == "verified"


def test_a_death_keeps_earlier_attempts_and_forgets_its_own_bytes() -> None:
    """After a broken attempt of 1 MiB and a death at 3 MiB the part continues at 1 MiB, with the CRC of that MiB."""
    world = started(workers=2, max_in_flight=2)
    world.add(plan_download(LARGE + 1, part_size_bytes=LARGE))
    first = next(one for one in world.leases.values() if one.index == 0)
    world.failed(first.lease, MIB, "NetworkError")
    world.pass_time(1.0)
    second = next(one for one in world.leases.values() if one.index == 0)
    world.heard(second.lease, 2 * MIB)
    assert world.machine.received_bytes == 3 * MIB
    world.lose(second.worker)
    assert world.machine.received_bytes == MIB
    world.all_ready()
    third = next(one for one in world.leases.values() if one.index == 0)
    assert (third.start, third.end, third.crc, third.attempt) == (MIB, LARGE, crc_of(1, 0, MIB), 3)


def test_a_part_that_kills_two_workers_fails_its_transfer() -> None:
    """The second death with the same part ends the transfer as WorkerDied, and names the part and the reason."""
    world = started(workers=1, max_in_flight=1)
    transfer = world.add(plan_download(3 * LARGE, part_size_bytes=LARGE))
    world.lose(1, "signal 11")
    assert not world.found(Fail)
    world.all_ready()
    world.lose(2, "signal 7")
    (fail,) = world.found(Fail)
    assert (fail.transfer, fail.error.code) == (transfer, "WorkerDied")
    assert "part 1" in fail.error.message
    assert "signal 7" in fail.error.message


def test_other_transfers_survive_a_poisonous_part() -> None:
    """A part that kills two workers takes only its own transfer with it."""
    world = started(workers=1, max_in_flight=2, respawns=9)
    poison = world.add(plan_download(LARGE))
    world.lose(world.leases[1].worker)
    good = world.add(plan_download(2 * LARGE, part_size_bytes=LARGE))
    world.all_ready()
    for assign in world.of(good):
        world.done(assign.lease)
    world.lose(world.of(poison)[0].worker)
    world.finish()
    assert (world.books[poison].outcome, world.books[good].outcome) == ("failed", "verified")


def test_small_parts_that_waited_their_turn_are_not_blamed() -> None:
    """Of eight small parts queued at a worker of one connection, a death counts against the first alone."""
    world = started(workers=1, max_in_flight=1, respawns=9)
    waiting = [world.add(plan_download(KIB)) for _ in range(4)]
    assert len(world.leases) == 4
    world.lose(1)
    world.all_ready()
    order = [one.transfer for one in world.leases.values()]
    world.lose(2)
    failed = [fail.transfer for fail in world.found(Fail)]
    assert order[0] == waiting[0]
    assert failed == [waiting[0]]
    world.finish()
    assert [world.books[transfer].outcome for transfer in waiting] == ["failed", *["verified"] * 3]


def test_nothing_is_asked_of_a_dead_worker() -> None:
    """When a death fails a transfer, its other leases at the dead worker are not revoked: nobody could answer."""
    world = started(workers=1, max_in_flight=2)
    world.add(plan_download(2 * LARGE, part_size_bytes=LARGE))
    world.lose(1)
    world.all_ready()
    instructions = world.machine.handle(WorkerLost(2, "signal 9"), now_s=world.now_s)
    assert not [one for one in instructions if isinstance(one, Revoke)]
    assert [one.error.code for one in instructions if isinstance(one, Fail)] == ["WorkerDied"]


def test_the_budget_for_new_workers_is_spent_exactly() -> None:
    """With a budget of 3, three new workers come for four deaths; then every transfer fails as WorkerDied."""
    world = World(workers=1, respawns=3)
    waiting = [world.add(plan_download(LARGE)), world.add(plan_download(KIB))]
    for _ in range(3):
        world.lose(world.starting[0], "exit 3")
        assert world.last == [Spawn()]
    world.lose(world.starting[0], "exit 3")
    fails = world.found(Fail)
    assert [(fail.transfer, fail.error.code) for fail in fails] == [(one, "WorkerDied") for one in waiting]
    assert all("exit 3" in fail.error.message for fail in fails)
    assert len(world.all_found(Spawn)) == 4


def test_a_part_that_arrives_refills_the_budget_for_new_workers() -> None:
    """Deaths count against a run that gets nowhere, not against a long one with work done between them."""
    world = World(workers=1, max_in_flight=1, respawns=1)
    transfer = world.add(plan_download(6 * LARGE, part_size_bytes=LARGE))
    for part in range(5):
        world.all_ready()
        world.done(next(iter(world.leases)))
        world.lose(next(iter(world.workers)), f"death {part}")
        assert world.last == [Spawn()]
    world.all_ready()
    world.finish()
    assert world.books[transfer].outcome == "verified"


def test_a_smaller_crew_goes_on_when_the_budget_is_spent() -> None:
    """As long as one worker lives, a spent budget fails nothing."""
    world = started(workers=2, max_in_flight=2, respawns=0)
    transfer = world.add(plan_download(3 * LARGE, part_size_bytes=LARGE))
    world.lose(1)
    assert not world.found(Spawn)
    assert not world.found(Fail)
    world.finish()
    assert world.books[transfer].outcome == "verified"


def test_a_transfer_that_comes_when_no_worker_can_fails_at_once() -> None:
    """Without a worker and without a budget an object is refused, not kept waiting; an empty one needs nobody."""
    world = started(workers=1, respawns=0)
    world.lose(1)
    full, empty = world.add(plan_download(1)), world.add(plan_download(0))
    assert [world.books[one].outcome for one in (full, empty)] == ["failed", ""]
    assert world.books[empty].verifying


def test_parts_rejected_when_no_worker_can_fetch_them_fail_the_transfer() -> None:
    """Verification may find a part wrong after the last worker died: the transfer then fails, it does not hang."""
    world = started(workers=1, respawns=0)
    transfer = world.add(plan_download(LARGE))
    world.done(1)
    world.lose(1)
    world.reject(transfer, 0)
    assert world.books[transfer].outcome == "failed"


def test_a_silent_worker_is_killed_and_its_parts_move_only_when_it_is_reaped() -> None:
    """SIGSTOP: silence for heartbeat_s leads to Kill; until WorkerLost the part stays with its owner (I6)."""
    world = started(workers=2, max_in_flight=2)
    world.add(plan_download(3 * LARGE, part_size_bytes=LARGE))
    stopped = world.leases[1]
    other = next(worker for worker in world.workers if worker != stopped.worker)
    world.now_s += world.timeouts.heartbeat_s - 0.1
    world.send(Heard(other))
    world.pass_time(0.0)
    assert not world.found(Kill)
    world.pass_time(0.1)
    (kill,) = world.found(Kill)
    assert kill.worker == stopped.worker
    assert "silence" in kill.reason
    for assign in [one for one in world.leases.values() if one.worker == other]:
        world.done(assign.lease)
    assert stopped.index not in [one.index for one in world.found(Assign)]
    for _ in range(5):
        world.send(Heard(other))
        world.pass_time(1.0)
    assert world.leases[stopped.lease] == stopped
    assert len(world.all_found(Kill)) == 1
    world.lose(stopped.worker)
    world.done(next(one.lease for one in world.leases.values() if one.worker == other))
    assert world.books[1].attempts[stopped.index] == 2


def test_a_pause_of_the_coordinator_itself_kills_nobody() -> None:
    """After this process was suspended for a minute, forgiving the pause keeps every worker and lease."""
    world = started(workers=2)
    world.add(plan_download(2 * LARGE, part_size_bytes=LARGE))
    world.machine.forgive_pause(60.0)
    world.pass_time(60.0)
    assert world.last == []
    world.pass_time(world.timeouts.heartbeat_s)
    assert len(world.found(Kill)) == 2


@pytest.mark.parametrize("off", [-1, 1])
def test_a_worker_that_reports_another_length_is_killed_and_keeps_its_lease(off: int) -> None:
    """PartDone with a wrong length proves nothing about who still writes: kill first, reassign when reaped."""
    world = started(workers=2, max_in_flight=2)
    world.add(plan_download(LARGE + 1, part_size_bytes=LARGE))
    liar = world.leases[1]
    world.send(PartDone(liar.worker, liar.lease, LARGE + off, 1))
    assert [kill.worker for kill in world.found(Kill)] == [liar.worker]
    world.send(PartDone(liar.worker, liar.lease, LARGE + off, 1))
    assert world.last == []
    assert world.leases[liar.lease] == liar
    world.lose(liar.worker)
    assert world.books[1].kept[0] == 0
    world.finish()
    assert world.books[1].attempts[0] == 2


def test_a_killed_worker_may_still_answer_but_gets_nothing_new() -> None:
    """Between Kill and its end a worker's replies count, and no lease is given to it."""
    world = started(workers=1, max_in_flight=1)
    world.add(plan_download(2 * LARGE, part_size_bytes=LARGE))
    world.pass_time(world.timeouts.heartbeat_s)
    assert world.found(Kill)
    world.done(1)
    assert not world.found(Assign)
    assert world.machine.in_flight == 0
    world.finish()
    assert world.books[1].attempts == [1, 1]


def test_a_reply_that_comes_after_its_worker_was_reaped_changes_nothing() -> None:
    """A late PartDone of a dead worker is counted and otherwise ignored."""
    world = started(workers=2, max_in_flight=2)
    world.add(plan_download(LARGE))
    first = world.leases[1]
    world.lose(first.worker)
    world.send(world.done_event(first))
    assert (world.machine.late_events, world.machine.received_bytes) == (1, 0)
    assert [one.attempt for one in world.leases.values()] == [2]


def test_blameless_deaths_cost_nothing() -> None:
    """Workers that had to go with their forkserver count neither against a part nor against the budget for new ones."""
    world = started(workers=1, max_in_flight=1, respawns=1)
    transfer = world.add(plan_download(3 * LARGE, part_size_bytes=LARGE))
    for _ in range(5):
        (worker,) = world.workers
        world.lose(worker, blameless=True)
        world.all_ready()
    assert not world.found(Fail)
    world.finish()
    assert world.books[transfer].outcome == "verified"
