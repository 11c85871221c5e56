"""What the transfer machine does when a part fails: again, later, elsewhere, or not at all."""

from __future__ import annotations

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.policy.events import Assign, Fail, RefreshCredentials, Revoke
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.softceiling import HOLD_S
from tests.unit.world import FINAL_CODES, LARGE, World, crc_of


class Scripted:
    """Randomness that takes a fixed share of each interval and remembers what was asked."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float, /) -> float:
        """Return the share of [a, b]."""
        self.asked.append((a, b))
        return a + (b - a) * self.share


def fetching(*sizes: int, rng: Scripted | None = None, connections: int = 2) -> World:
    """Return a world with one worker that fetches one transfer of large parts for every size."""
    world = World(workers=1, max_in_flight=connections, rng=rng or Scripted(0.0))
    world.all_ready()
    for size in sizes:
        world.add(plan_download(size, part_size_bytes=LARGE))
    return world


def fail_again(world: World, code: str, times: int, *, transfer: int = 1, received: int = 0) -> None:
    """Let the lease of a transfer of one part fail so often, after it was given anew each time."""
    for _ in range(times):
        (assign,) = world.of(transfer)
        world.failed(assign.lease, received, code)
        world.speak()
        world.pass_time(0.001)


def test_a_broken_part_continues_at_the_byte_it_reached() -> None:
    """The next lease begins where the bytes ended, and carries the CRC of what came before."""
    world = fetching(2 * LARGE, connections=1)
    world.failed(1, 1_000_001, "NetworkError")
    (assign,) = world.of(1)
    assert (assign.index, assign.start, assign.end) == (0, 1_000_001, LARGE)
    assert (assign.crc, assign.attempt) == (crc_of(1, 0, 1_000_001), 2)


def test_a_failure_after_the_last_byte_fetches_the_lease_again() -> None:
    """A part that failed although all its bytes came is in doubt: it is asked for again, never as an empty range."""
    world = fetching(LARGE)
    world.failed(1, LARGE, "NetworkError")
    (assign,) = world.of(1)
    assert (assign.start, assign.end, assign.crc) == (0, LARGE, 0)


def test_backoff_is_full_jitter_over_doubling_intervals() -> None:
    """The n-th failure waits uniform(0, 0.1 * 2^(n-1)) s, and the next lease comes then and not before."""
    rng = Scripted(0.5)
    world = fetching(LARGE, rng=rng)
    for failures in range(1, 9):
        world.speak()
        world.failed(world.of(1)[0].lease, 0, "ServerError")
        longest = min(8.0, 0.1 * 2 ** (failures - 1))
        assert rng.asked[-1] == pytest.approx((0.0, longest))
        due_s = world.machine.next_wake_s()
        assert due_s == pytest.approx(world.now_s + longest / 2)
        world.now_s = due_s - 0.001
        world.speak()
        world.pass_time(0.0)
        assert not world.of(1), "not before its time"
        world.pass_time(0.002)
        assert len(world.of(1)) == 1
    assert world.machine.next_wake_s() == float("inf")


@pytest.mark.parametrize(
    ("code", "allowed"), [("ServerError", 8), ("StallTimeout", 4), ("UnexpectedReply", 1), ("BodyCorrupted", 2)]
)
def test_failures_without_progress_are_bounded_by_kind(code: str, allowed: int) -> None:
    """As many failures of a kind as its rule allows are retried; the next one fails the transfer with that error."""
    world = fetching(LARGE)
    fail_again(world, code, allowed)
    assert not world.books[1].outcome
    world.failed(world.of(1)[0].lease, 0, ErrorInfo(code, "once too often"))
    (fail,) = world.found(Fail)
    assert (fail.error.code, fail.error.message) == (code, "once too often")


def test_a_part_whose_connection_always_breaks_fails_beside_others_that_arrive() -> None:
    """Eight broken connections in a row are retried; the ninth fails the object, for the endpoint serves others."""
    world = fetching(LARGE, *[LARGE] * 10)
    for failures in range(1, 10):
        world.failed(world.of(1)[0].lease, 0, "NetworkError")
        assert bool(world.books[1].outcome) == (failures == 9)
        world.done(next(lease for lease, held in world.leases.items() if held.transfer != 1))
        world.speak()
        world.pass_time(2.0)  # several within a second would be taken for crowding
    assert world.books[1].error is not None
    assert world.books[1].error.code == "NetworkError"


def test_an_endpoint_that_breaks_every_mebibyte_still_delivers() -> None:
    """Progress starts the count of failures anew: 60 breaks of 1 MiB each bring 61 MiB."""
    world = World(workers=1, max_in_flight=1, rng=Scripted(0.0))
    world.all_ready()
    world.add(plan_download(61 * MIB, part_size_bytes=61 * MIB))
    fail_again(world, "NetworkError", 60, received=MIB)
    world.done(world.of(1)[0].lease)
    assert world.books[1].verifying


@pytest.mark.parametrize("code", sorted(FINAL_CODES))
def test_a_final_error_is_never_tried_again(code: str) -> None:
    """What no retry mends fails the transfer at once, as it is."""
    world = fetching(LARGE)
    error = ErrorInfo(code, "for good", subject="s3://b/k", status=404)
    world.failed(1, 0, error)
    assert world.last == [Fail(1, error)]


def test_a_failing_transfer_waits_until_every_lease_is_let_go() -> None:
    """Fail comes after the last holder has answered, not with the error: nobody may still write its file."""
    world = fetching(3 * LARGE, connections=3)
    world.failed(1, 0, "NotFound")
    assert {one.lease for one in world.found(Revoke)} == {2, 3}
    assert not world.found(Fail)
    world.done(2)
    assert not world.found(Fail)
    world.failed(3, 5, "Cancelled")
    (fail,) = world.found(Fail)
    assert fail.error.code == "NotFound", "the first error is the reason"
    assert world.machine.received_bytes == 0


@pytest.mark.parametrize("later", ["NetworkError", "ExpiredCredentials", "UnexpectedReply"])
@pytest.mark.parametrize(("earlier", "times"), [("NetworkError", 8), ("Throttled", 12)])
def test_each_kind_of_failure_has_its_own_count(earlier: str, times: int, later: str) -> None:
    """A part that was throttled or reset before is not failed by the first failure of another kind."""
    if earlier == later:
        times = 7
    world = fetching(LARGE)
    fail_again(world, earlier, times)
    world.failed(world.of(1)[0].lease, 0, later)
    assert not world.found(Fail)


def test_the_host_wide_budget_bounds_all_retries_together() -> None:
    """500 tokens at 5 a retry pay for 100 retries, however many objects ask; the next failure is final."""
    world = World(workers=1, max_in_flight=64, rng=Scripted(0.0))
    world.all_ready()
    for _ in range(40):
        world.add(plan_download(KIB))
    retried = 0
    while not world.all_found(Fail):
        lease = next(iter(world.leases))
        world.failed(lease, 0, "ServerError")
        retried += not world.found(Fail)
    assert retried == 100


def test_successes_refill_the_budget() -> None:
    """Each success gives one token back, up to the capacity."""
    world = fetching(LARGE, *[LARGE] * 6, connections=1)
    world.failed(1, 0, "ServerError")
    assert world.machine.budget.tokens == 495
    for expected in (496, 497, 498, 499, 500, 500):
        world.done(next(iter(world.leases)))
        assert world.machine.budget.tokens == expected


# Throttling


def test_slow_down_takes_down_what_is_in_flight_once_a_storm() -> None:
    """Eight replies of one storm are one signal: it falls to 0.8 of 0.93 of the eight that were under way."""
    world = fetching(8 * LARGE, connections=8)
    for lease in list(world.leases):
        world.failed(lease, 0, ErrorInfo("Throttled", "slow down", retry_after_s=30.0))
    assert world.machine.window.size == 5


def test_a_storm_holds_back_parts_that_it_did_not_hit() -> None:
    """Fresh parts wait like refused ones, ever longer, or the service would see no difference; a success ends that."""
    world = fetching(20 * LARGE, rng=Scripted(1.0), connections=1)
    for pause_s in (0.1, 0.2, 0.4):
        world.failed(next(iter(world.leases)), 0, "Throttled")
        assert not world.leases
        assert world.machine.next_wake_s() == world.now_s + pause_s
        world.speak()
        world.pass_time(max(pause_s, HOLD_S))
        assert len(world.leases) == 1
    world.done(next(iter(world.leases)))
    world.failed(next(iter(world.leases)), 0, "Throttled")
    assert world.machine.next_wake_s() <= world.now_s + 0.1


def test_retry_after_is_obeyed_up_to_the_patience() -> None:
    """A part waits as long as the service asked, but an hour is cut to throttle_s."""
    world = fetching(LARGE, LARGE)
    world.failed(1, 0, ErrorInfo("Throttled", "slow down", retry_after_s=7.0))
    assert world.machine.next_wake_s() == world.now_s + 7.0
    world.failed(2, 0, ErrorInfo("Throttled", "slow down", retry_after_s=3600.0))
    world.now_s += 7.0
    world.speak()
    world.pass_time(0.0)
    assert world.machine.next_wake_s() == world.now_s - 7.0 + world.timeouts.throttle_s


def test_a_storm_is_outlived_within_the_patience() -> None:
    """Throttling for 59 s is retried however often it happens; at 60 s without one success it is final."""
    world = fetching(LARGE)
    for _ in range(59):
        world.failed(world.of(1)[0].lease, 0, "Throttled")
        world.now_s += 0.5
        world.speak()
        world.pass_time(0.5)
    assert not world.books[1].outcome
    world.now_s += 0.5
    world.speak()
    world.pass_time(0.5)
    world.failed(world.of(1)[0].lease, 0, "Throttled")
    assert [fail.error.code for fail in world.found(Fail)] == ["Throttled"]
    assert world.machine.budget.tokens == 500, "throttling is not paid from the retry budget"


def test_one_success_renews_the_patience() -> None:
    """Any part that arrives shows that the service works: the minute begins anew."""
    world = fetching(LARGE, LARGE, LARGE)
    world.failed(1, 0, "Throttled")
    world.now_s += 59.0
    world.speak()
    world.done(next(iter(world.leases)))
    world.now_s += 59.0
    world.speak()
    world.pass_time(0.0)
    world.failed(next(iter(world.leases)), 0, "Throttled")
    assert not world.found(Fail)


def test_an_old_storm_does_not_shorten_the_patience_with_a_new_one() -> None:
    """After a transfer was stopped in a storm, one that comes ten minutes later is not failed by its first 503."""
    world = fetching(LARGE)
    world.failed(1, 0, "Throttled")
    world.abort(1)
    world.failed(world.of(1)[0].lease, 0, "Cancelled")
    world.now_s += 600.0
    world.speak()
    second = world.add(plan_download(LARGE))
    world.failed(world.of(second)[0].lease, 0, "Throttled")
    assert not world.found(Fail)


# Credentials


def test_expired_credentials_are_refreshed_once_and_the_parts_go_on() -> None:
    """Four leases that expire together ask for one refresh; nothing is leased until it came, then all at once."""
    world = fetching(4 * LARGE, connections=4)
    world.add(plan_download(LARGE))
    for lease in list(world.leases):
        world.failed(lease, 0, "ExpiredCredentials")
    assert world.all_found(RefreshCredentials) == [RefreshCredentials(0)]
    assert not world.leases
    assert world.machine.next_wake_s() == float("inf")
    world.replace_credentials()
    assert sorted(one.index for one in world.found(Assign) if one.transfer == 1) == [0, 1, 2, 3]
    assert not list(world.all_found(Fail))


def test_a_lease_of_the_old_generation_asks_for_no_second_refresh() -> None:
    """A reply that was under way while the credentials changed is retried with the new ones."""
    world = fetching(2 * LARGE)
    world.failed(1, 0, "ExpiredCredentials")
    world.replace_credentials()
    world.failed(2, 0, "ExpiredCredentials")
    assert world.all_found(RefreshCredentials) == [RefreshCredentials(0)]
    assert sorted(one.index for one in world.of(1)) == [0, 1]


def test_fresh_credentials_that_are_refused_too_are_final() -> None:
    """Expired again straight after a refresh: the transfer fails, it does not refresh for ever."""
    world = fetching(LARGE)
    world.failed(1, 0, "ExpiredCredentials")
    world.replace_credentials()
    world.failed(world.of(1)[0].lease, 0, "ExpiredCredentials")
    assert [fail.error.code for fail in world.found(Fail)] == ["ExpiredCredentials"]


# Waking up


def test_a_due_retry_without_a_free_connection_asks_for_no_wake_up() -> None:
    """When a due retry must wait for a connection, the next wake-up does not lie in the past: nobody spins on it."""
    world = fetching(LARGE, LARGE, rng=Scripted(1.0), connections=1)
    world.failed(1, 0, "ServerError")
    assert world.machine.next_wake_s() == world.now_s + 0.1
    world.speak()
    world.pass_time(0.2)
    assert not world.of(1), "the only connection is busy with the other object"
    assert world.machine.next_wake_s() > world.now_s
    world.done(world.of(2)[0].lease)
    assert len(world.of(1)) == 1
