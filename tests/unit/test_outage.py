"""When an endpoint counts as away, who asks it meanwhile, and when it is given up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import KIB
from bulkhaul.policy.events import Fail
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.outage import MAX_BROKEN, MAX_VAIN, PAUSE_CAP_S, STALE_S, Outage, sign_of
from tests.unit.world import LARGE, World

REFUSED = ErrorInfo("NetworkError", "refused", cause="ConnectionRefusedError", unreached=True)
RESET = ErrorInfo("NetworkError", "reset")
BAD_GATEWAY = ErrorInfo("ServerError", "bad gateway", status=502)


class Longest:
    """Randomness that always takes the far end of the interval."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return the far end."""
        return b


def fetching(objects: int, *, connections: int = 2, retry_for_s: float = 60.0) -> World:
    """Return a world with one worker and so many objects of one large part."""
    world = World(workers=1, max_in_flight=connections, rng=Longest(), retry_for_s=retry_for_s)
    world.all_ready()
    for _ in range(objects):
        world.add(plan_download(LARGE, part_size_bytes=LARGE))
    return world


def next_try(world: World) -> None:
    """Let time pass until the machine wants to be woken."""
    world.now_s = world.machine.next_wake_s()
    world.speak()
    world.pass_time(0.0)


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (REFUSED, "unreached"),
        (RESET, "broken"),
        (BAD_GATEWAY, "broken"),
        (ErrorInfo("ServerError", "gateway timeout", status=504), "broken"),
        (ErrorInfo("ServerError", "internal", status=500), "answered"),
        (ErrorInfo("NotFound", "no such key", status=404), "answered"),
        (ErrorInfo("StallTimeout", "no bytes for 30 s"), "none"),
        (ErrorInfo("NetworkError", "the connection was closed, 7 bytes short", status=206), "none"),
        (ErrorInfo("DiskFull", "no space"), "none"),
    ],
)
def test_only_failures_to_connect_and_broken_connections_are_signs_of_an_outage(error: ErrorInfo, sign: str) -> None:
    """A reply of the service, a slow one and what fails on this machine say nothing of an outage."""
    assert sign_of(error) == sign


def test_one_refused_connection_is_enough() -> None:
    """Where no connection can be made, the endpoint is away for all."""
    outage = Outage(60.0, Longest())
    assert outage.failed(REFUSED, 5.0, in_flight=64)
    assert outage.away
    assert outage.began_s == 5.0


@pytest.mark.parametrize("retry_for_s", [0.5, 2.0, 61.0])
def test_the_last_try_is_made_when_the_time_is_over(retry_for_s: float) -> None:
    """Not a pause later, however long that pause would be; it is given up when that try has failed."""
    outage, now_s, tries = Outage(retry_for_s, Longest()), 5.0, 0
    while outage.failed(REFUSED, now_s, in_flight=1) and outage.patient(now_s):
        now_s, tries = outage.next_try_s, tries + 1
        outage.sent(now_s)
    assert now_s == 5.0 + retry_for_s
    assert tries >= 2


@pytest.mark.parametrize("in_flight", [1, 4, MAX_BROKEN, 512])
def test_connections_that_break_count_when_all_of_them_do(in_flight: int) -> None:
    """As many breaks in a row as requests are in flight, eight at most: fewer are failures of their requests."""
    outage = Outage(60.0, Longest())
    enough = min(in_flight, MAX_BROKEN)
    told = [outage.failed(RESET, float(n), in_flight=in_flight) for n in range(enough)]
    assert told == [False] * (enough - 1) + [True]


def test_an_answer_in_between_means_that_the_endpoint_is_there() -> None:
    """Breaks count in a row only: a reply, be it a refusal, begins the count anew and ends an outage."""
    outage = Outage(60.0, Longest())
    for _ in range(7):
        outage.failed(RESET, 1.0, in_flight=64)
    assert not outage.failed(ErrorInfo("AccessDenied", "no", status=403), 1.0, in_flight=64)
    assert not outage.failed(RESET, 1.0, in_flight=64)
    assert outage.failed(REFUSED, 2.0, in_flight=64)
    outage.answered()
    assert not outage.away
    assert outage.admits(2.0)


def test_pauses_grow_to_their_cap_and_one_request_goes_out_after_each() -> None:
    """0.1, 0.2, 0.4 … 2 s lie between requests, whoever sends them."""
    outage = Outage(60.0, Longest())
    now_s = 100.0
    outage.failed(REFUSED, now_s, in_flight=1)
    pauses = []
    for _ in range(8):
        pauses.append(outage.next_try_s - now_s)
        assert not outage.admits(outage.next_try_s - 0.001)
        now_s = outage.next_try_s
        assert outage.admits(now_s)
        outage.sent(now_s)
        assert not outage.admits(now_s)
        assert outage.failed(REFUSED, now_s, in_flight=1)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, PAUSE_CAP_S, PAUSE_CAP_S, PAUSE_CAP_S])


def test_patience_ends_after_the_time_that_was_asked_for() -> None:
    """Until then a failure is waited out; then it is told, with how long it was and what to do."""
    outage = Outage(60.0, Longest())
    outage.failed(REFUSED, 100.0, in_flight=1)
    assert outage.patient(159.9)
    assert not outage.patient(160.0)
    told = outage.given_up(REFUSED, 160.4)
    assert told.message == "the endpoint could not be reached for 60 s; check --endpoint-url and the network"
    assert (told.code, told.cause) == ("NetworkError", "ConnectionRefusedError")


def test_without_patience_what_cannot_be_reached_fails_at_once() -> None:
    """With 0 nobody waits; a connection that merely broke is tried again by the rules of single failures."""
    outage = Outage(0.0, Longest())
    assert outage.failed(REFUSED, 1.0, in_flight=1)
    assert not outage.patient(1.0)
    assert outage.admits(1.0)
    assert not outage.failed(RESET, 1.0, in_flight=1)


def test_a_later_failure_is_another_outage() -> None:
    """Whoever asks again long after an outage was given up is waited for anew."""
    outage = Outage(60.0, Longest())
    outage.failed(REFUSED, 0.0, in_flight=1)
    outage.failed(REFUSED, 29.0, in_flight=1)
    outage.failed(REFUSED, 58.0, in_flight=1)
    assert outage.began_s == 0.0
    outage.failed(REFUSED, 58.0 + STALE_S, in_flight=1)
    assert outage.began_s == 58.0 + STALE_S


@given(st.lists(st.sampled_from(["refused", "reset", "answer", "send", "time"]), max_size=200), st.integers(0, 2**32))
def test_whatever_happens_somebody_may_ask_again_soon(story: list[str], seed: int) -> None:
    """No story leaves requests shut out for longer than the longest pause, and an answer lets all of them go."""
    outage, now_s = Outage(60.0, random.Random(seed)), 0.0
    for what in story:
        if what == "refused":
            outage.failed(REFUSED, now_s, in_flight=4)
        elif what == "reset":
            outage.failed(RESET, now_s, in_flight=4)
        elif what == "answer":
            outage.answered()
            assert outage.admits(now_s)
        elif what == "send" and outage.admits(now_s):
            outage.sent(now_s)
        now_s += 0.3
        assert outage.admits(now_s + PAUSE_CAP_S)


# In the state machine


def test_many_objects_survive_an_outage_without_spending_anything() -> None:
    """1,000 refused connections cost neither the budget nor any object's own tries."""
    world = fetching(40, connections=8, retry_for_s=3600.0)
    for _ in range(1000):
        if not world.leases:
            next_try(world)
        world.failed(next(iter(world.leases)), 0, REFUSED)
        world.now_s += 0.0001
    assert world.machine.budget.tokens == 500
    assert not world.all_found(Fail)
    world.finish()
    assert {book.outcome for book in world.books.values()} == {"verified"}


def test_one_part_goes_out_a_pause_and_all_of_them_after_an_answer() -> None:
    """While the endpoint is away nobody hammers it; the first part that arrives lets the others go at once."""
    world = fetching(20, connections=8)
    for lease in list(world.leases):
        world.failed(lease, 0, REFUSED)
    assert not world.leases
    for _ in range(5):
        next_try(world)
        (lease,) = world.leases
        world.failed(lease, 0, REFUSED)
    next_try(world)
    (lease,) = world.leases
    world.done(lease)
    assert len(world.leases) == 8


def test_bytes_that_come_tell_that_the_endpoint_is_back() -> None:
    """A large part need not be whole before the others may go on."""
    world = fetching(4, connections=4)
    for lease in list(world.leases):
        world.failed(lease, 0, REFUSED)
    next_try(world)
    (lease,) = world.leases
    world.heard(lease, KIB)
    world.pass_time(0.0)
    assert len(world.leases) == 4


def test_bytes_that_leave_tell_nothing_of_the_endpoint() -> None:
    """The kernel takes them, and so does a proxy whose store is away: only an answer lets the others go on."""
    world = World(workers=1, max_in_flight=4, rng=Longest())
    world.all_ready()
    for _ in range(4):
        world.add(plan_download(LARGE, part_size_bytes=LARGE), sends=True)
    for lease in list(world.leases):
        world.failed(lease, 0, REFUSED)
    next_try(world)
    (lease,) = world.leases
    world.heard(lease, LARGE)
    world.pass_time(0.0)
    assert list(world.leases) == [lease]
    world.done(lease)
    assert len(world.leases) == 3


def test_an_endpoint_that_stays_away_fails_everything_with_the_remedy() -> None:
    """After the time that was asked for, all objects fail, without a wait for each."""
    world = fetching(10, connections=4, retry_for_s=30.0)
    began_s = world.now_s
    while world.open:
        if not world.leases:
            next_try(world)
        world.failed(next(iter(world.leases)), 0, REFUSED)
    assert 30.0 <= world.now_s - began_s <= 30.0 + 2 * PAUSE_CAP_S
    errors = [book.error for book in world.books.values()]
    assert all(error is not None and "--endpoint-url" in error.message for error in errors)


def test_connections_that_all_break_are_waited_out_as_well() -> None:
    """A proxy whose store is away takes every connection and drops it: no object's tries or budget pay for it."""
    world = fetching(30, connections=8, retry_for_s=3600.0)
    for _ in range(1000):
        if not world.leases:
            next_try(world)
        world.failed(next(iter(world.leases)), 0, RESET)
        world.now_s += 0.0001
    assert not world.all_found(Fail)
    assert world.machine.budget.tokens > 400
    world.finish()


def test_a_request_that_fails_late_each_time_is_not_made_for_ever() -> None:
    """A gateway that gives up on one slow object after a minute is no outage that begins anew with each failure."""
    world = fetching(1, connections=1)
    tries = 0
    while world.open and tries < 100:
        if not world.leases:
            next_try(world)
        (lease,) = world.leases
        world.now_s += 2 * STALE_S
        world.failed(lease, 0, BAD_GATEWAY)
        tries += 1
    assert tries == MAX_VAIN + 1
    assert world.books[1].error == BAD_GATEWAY


def test_an_object_that_alone_fails_ends_although_others_are_answered() -> None:
    """Each answer to others says that the endpoint is there: what fails alone has its own 60 s and no more."""
    world = fetching(500, connections=2)
    began_s = world.now_s
    while world.books[1].outcome == "" and world.now_s < began_s + 300.0:
        world.now_s += 1.0
        world.speak()
        world.pass_time(0.0)
        for lease, assign in list(world.leases.items()):
            if assign.transfer == 1:
                world.failed(lease, 0, REFUSED)
            elif lease in world.leases:
                world.done(lease)
    assert world.books[1].error == REFUSED
    assert 60.0 <= world.now_s - began_s < 90.0


def test_cancelled_objects_do_not_wait_for_the_endpoint() -> None:
    """Whoever is cancelled during an outage has ended at once."""
    world = fetching(3)
    for lease in list(world.leases):
        world.failed(lease, 0, REFUSED)
    for transfer in (1, 2, 3):
        world.abort(transfer)
    assert not world.open
