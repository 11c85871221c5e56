"""The one retry rule: after which failures, and how long after them, a part or a request is tried again."""

from __future__ import annotations

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.events import TransferAdded
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.outage import Outage
from bulkhaul.policy.pacing import RetryBudget, Throttling
from bulkhaul.policy.patience import Host, Patience
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window
from tests.unit.world import LARGE, World

REFUSED = ErrorInfo("NetworkError", "refused", unreached=True)
RESET = ErrorInfo("NetworkError", "reset")
BROKEN_OFF = ErrorInfo("NetworkError", "7 bytes short", status=206)
BAD_GATEWAY = ErrorInfo("ServerError", "bad gateway", status=502)
FAILED = ErrorInfo("ServerError", "it failed", status=500)
FAILED_FOR_5_S = ErrorInfo("ServerError", "it failed", status=500, retry_after_s=5.0)
FAILED_FOR_1_H = ErrorInfo("ServerError", "it failed", status=500, retry_after_s=3600.0)
STALLED = ErrorInfo("StallTimeout", "no bytes for 30 s")
UNEXPECTED = ErrorInfo("UnexpectedReply", "another range", status=206)
CORRUPTED = ErrorInfo("BodyCorrupted", "bad digest", status=400)
EXPIRED = ErrorInfo("ExpiredCredentials", "expired", status=400)
SLOW_DOWN = ErrorInfo("Throttled", "slow down", status=503)
SLOW_DOWN_7_S = ErrorInfo("Throttled", "slow down", status=503, retry_after_s=7.0)
SLOW_DOWN_1_H = ErrorInfo("Throttled", "slow down", status=503, retry_after_s=3600.0)
NOT_FOUND = ErrorInfo("NotFound", "no such key", status=404)
DISK_FULL = ErrorInfo("DiskFull", "no space")


class Longest:
    """Randomness that always takes the far end of the interval."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return the far end."""
        return b


def a_host(*, tokens: int = 500, retry_for_s: float = 60.0) -> Host:
    """Return a host of 64 requests that bears a storm for 60 s."""
    rng = Longest()
    throttling = Throttling(Window(64, first=64), 60.0, rng)
    return Host(Outage(retry_for_s, rng), throttling, RetryBudget(tokens), 64, rng)


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (FAILED, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0]),
        (BROKEN_OFF, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0]),
        (STALLED, [0.1, 0.2, 0.4, 0.8]),
        (CORRUPTED, [0.1, 0.2]),
        (UNEXPECTED, [0.1]),
        (EXPIRED, [0.0]),
        (NOT_FOUND, []),
        (DISK_FULL, []),
        (FAILED_FOR_5_S, [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 6.4, 8.0]),
        (FAILED_FOR_1_H, [20.0] * 8),
        (SLOW_DOWN, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *[8.0] * 6]),
        (SLOW_DOWN_7_S, [7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 8.0, 8.0]),
        (SLOW_DOWN_1_H, [60.0]),
        (REFUSED, [0.0] * 60),
    ],
)
def test_how_long_each_kind_of_failure_is_borne(error: ErrorInfo, waits: list[float]) -> None:
    """Each failure is waited for as its kind says, or as the service says; when that is used up the error is final."""
    host, patience, now_s = a_host(), Patience(), 1000.0
    for wait_s in waits:
        assert patience.failed(error, now_s, host, in_flight=10) == pytest.approx(wait_s)
        now_s += wait_s or 1.0
    final = patience.failed(error, now_s, host, in_flight=10)
    assert isinstance(final, ErrorInfo)
    assert final.code == error.code


def test_kinds_are_counted_apart() -> None:
    """What was throttled and has failed before is not ended by the first failure of another kind."""
    host, patience = a_host(), Patience()
    for error in [SLOW_DOWN] * 5 + [FAILED] * 8 + [STALLED] * 4 + [UNEXPECTED, CORRUPTED, EXPIRED]:
        assert isinstance(patience.failed(error, 0.0, host, in_flight=10), float)
    assert patience.failed(FAILED, 0.0, host, in_flight=10) == FAILED


def test_progress_begins_anew() -> None:
    """A try that brought much is no failure, and those before it are forgotten."""
    host, patience = a_host(), Patience()
    for _ in range(30):
        for wait_s in (0.1, 0.2):
            assert patience.failed(FAILED, 0.0, host, in_flight=10) == wait_s
        assert patience.failed(FAILED, 0.0, host, in_flight=10, progress=True) == 0.1


def test_the_budget_is_everybodys() -> None:
    """A retry is paid by whoever needs it, and refused to all when nothing is left; throttling costs nothing."""
    host = a_host(tokens=10)
    for _ in range(2):
        assert Patience().failed(FAILED, 0.0, host, in_flight=10) == 0.1
    for _ in range(3):
        assert Patience().failed(FAILED, 0.0, host, in_flight=10) == FAILED
        assert Patience().failed(SLOW_DOWN, 0.0, host, in_flight=10) == 0.1
        assert Patience().failed(EXPIRED, 0.0, host, in_flight=10) == 0.0


def test_anybodys_success_renews_the_patience_with_throttling() -> None:
    """The service works: from the next refusal on it has its 60 s again."""
    host, patience = a_host(), Patience()
    assert patience.failed(SLOW_DOWN, 0.0, host, in_flight=10) == 0.1
    host.throttling.success()
    assert patience.failed(SLOW_DOWN, 59.0, host, in_flight=10) == 0.2
    assert patience.failed(SLOW_DOWN, 118.0, host, in_flight=10) == 0.4
    assert patience.failed(SLOW_DOWN, 119.0, host, in_flight=10) == SLOW_DOWN


def test_a_storm_has_one_clock_for_all() -> None:
    """What is first refused in its 61st second ends at once: many parts would wait one after another."""
    host = a_host()
    Patience().failed(SLOW_DOWN, 0.0, host, in_flight=10)
    assert Patience().failed(SLOW_DOWN, 59.0, host, in_flight=10) == 0.1
    assert Patience().failed(SLOW_DOWN, 61.0, host, in_flight=10) == SLOW_DOWN


def test_a_storm_that_nobody_waited_in_is_forgotten() -> None:
    """A lone request, or the first part of an idle engine, has its 60 s, however the last ones ended."""
    machine = TransferMachine(workers=1, window=Window(1, first=1), timeouts=Timeouts(), rng=Longest())
    assert machine.request_failed(Patience(), SLOW_DOWN, 0.0, requests=1) == 0.1
    assert machine.request_failed(Patience(), SLOW_DOWN, 70.0, requests=2) == SLOW_DOWN
    assert machine.request_failed(Patience(), SLOW_DOWN, 70.0, requests=1) == 0.1
    assert machine.request_failed(Patience(), SLOW_DOWN, 131.0, requests=2) == SLOW_DOWN
    machine.handle(TransferAdded(1, plan_download(1)), now_s=131.0)
    assert machine.request_failed(Patience(), SLOW_DOWN, 131.0, requests=1) == 0.1


def test_what_is_refused_while_others_succeed_ends_too() -> None:
    """Later than in a storm without any success, but not never."""
    host, patience, now_s = a_host(), Patience(), 0.0
    while patience.failed(SLOW_DOWN, now_s, host, in_flight=10) != SLOW_DOWN:
        host.throttling.success()
        now_s += 10.0
    assert now_s == 300.0


def test_the_end_of_an_upload_does_not_wait_for_calm() -> None:
    """An engine that ends has seconds for its aborts; while the endpoint is away they wait like everything else."""
    machine = TransferMachine(workers=1, window=Window(1, first=1), timeouts=Timeouts(), rng=Longest())
    machine.request_failed(Patience(), SLOW_DOWN, 0.0, requests=1)
    assert machine.host.admit(0.0) > 0
    assert machine.host.admit(0.0, ending=True) == 0
    machine.request_failed(Patience(), REFUSED, 0.0, requests=1)
    assert machine.host.admit(0.0, ending=True) > 0


def test_wrong_bytes_forgive_no_failure() -> None:
    """A part that is fetched again has the failures that it had."""
    host, patience = a_host(), Patience()
    for _ in range(8):
        patience.failed(FAILED, 0.0, host, in_flight=10)
    patience.lost_worker()
    patience.reject()
    assert patience.lost_worker()
    assert patience.failed(FAILED, 0.0, host, in_flight=10) == FAILED


def test_throttling_keeps_everybody_calm() -> None:
    """The window is cut once a storm, and the calm grows with each cut until a success."""
    host, patience = a_host(), Patience()
    for now_s, calm_s in ((10.0, 0.1), (10.1, 0.1), (11.0, 0.2), (12.0, 0.4)):
        patience.failed(SLOW_DOWN, now_s, host, in_flight=10)
        assert host.throttling.calm_until_s == pytest.approx(now_s + calm_s)
    host.throttling.success()
    patience.failed(SLOW_DOWN, 13.0, host, in_flight=10)
    assert host.throttling.calm_until_s == pytest.approx(13.1)


def test_an_endpoint_that_is_away_costs_nothing() -> None:
    """Neither the budget nor tries of its own; at the end it says what was waited for."""
    host, patience = a_host(), Patience()
    for now_s in range(60):
        assert patience.failed(REFUSED, float(now_s), host, in_flight=10) == 0.0
    assert (host.budget.tokens, patience.failures) == (500, {})
    final = patience.failed(REFUSED, 60.0, host, in_flight=10)
    assert isinstance(final, ErrorInfo)
    assert final.message == "the endpoint could not be reached for 60 s; check --endpoint-url and the network"


def test_two_dead_workers_are_enough() -> None:
    """What kills two workers would kill the next one."""
    patience = Patience()
    assert patience.lost_worker()
    assert not patience.lost_worker()
    assert Patience(deaths=1).lost_worker(unsure=1)
    assert patience.deaths == 2


def tries_of_a_part(error: ErrorInfo) -> tuple[list[float], ErrorInfo | None]:
    """Let one part fail whenever it is leased; return the instants of the leases and what it ends with."""
    world = World(workers=1, max_in_flight=1, rng=Longest())
    world.all_ready()
    world.add(plan_download(LARGE, part_size_bytes=LARGE))
    tries: list[float] = []
    while not world.books[1].outcome:
        for lease in list(world.leases):
            tries.append(world.now_s - 1000.0)
            world.failed(lease, 0, error)
        if world.refreshing is not None:
            world.replace_credentials()
        if not world.leases and not world.books[1].outcome:
            world.now_s = world.machine.next_wake_s()
            world.speak()
            world.pass_time(0.0)
    return tries, world.books[1].error


def tries_of_a_request(error: ErrorInfo) -> tuple[list[float], ErrorInfo]:
    """Let one request fail whenever it goes out; return the instants at which it went and what it ends with."""
    machine = TransferMachine(workers=1, window=Window(1, first=1), timeouts=Timeouts(), rng=Longest())
    now_s, patience = 1000.0, Patience()
    tries: list[float] = []
    while True:
        while wait_s := machine.host.admit(now_s):
            now_s += wait_s
        tries.append(now_s - 1000.0)
        wait = machine.request_failed(patience, error, now_s, requests=1)
        if isinstance(wait, ErrorInfo):
            return tries, wait
        now_s += wait


@pytest.mark.parametrize(
    "error",
    [
        REFUSED,
        RESET,
        BROKEN_OFF,
        BAD_GATEWAY,
        FAILED,
        FAILED_FOR_5_S,
        FAILED_FOR_1_H,
        STALLED,
        UNEXPECTED,
        CORRUPTED,
        EXPIRED,
        SLOW_DOWN,
        SLOW_DOWN_7_S,
        SLOW_DOWN_1_H,
        NOT_FOUND,
        DISK_FULL,
    ],
    ids=lambda error: f"{error.code}-{error.status}-{error.retry_after_s:g}",
)
def test_a_request_and_a_part_are_tried_alike(error: ErrorInfo) -> None:
    """For every kind of failure both go out at the same instants, and end with the same words."""
    part_tries, part_error = tries_of_a_part(error)
    request_tries, request_error = tries_of_a_request(error)
    assert request_tries == pytest.approx(part_tries)
    assert request_error == part_error
