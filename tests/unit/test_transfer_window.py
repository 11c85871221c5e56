"""The transfer machine and its window: who gets how many connections, and what the window is told of leases."""

from __future__ import annotations

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.policy.events import Assign, Heard, PartDone, PartFailed, Resize, Revoke, TransferAdded
from bulkhaul.policy.layout import Layout, plan_download
from bulkhaul.policy.window import Window
from tests.unit.world import LARGE, World

ROWS = 64
BATCH = Layout(ROWS * 16 * KIB, ROWS * 16 * KIB, whole=True)


class Settable(Window):
    """A window whose size a test sets, and which notes what it is told."""

    def __init__(self, size: int) -> None:
        super().__init__(1024, first=size)
        self.began_requests = self.ended = self.lost = self.heads = self.broken = 0
        self.moves: list[tuple[float, float, int]] = []
        self.loads: list[tuple[float, float]] = []
        self.told_s: list[float] = []

    def began(self, now_s: float, requests: int = 1) -> None:
        """Note it."""
        self.began_requests += requests

    def let_go(self, now_s: float, requests: int = 1) -> None:
        """Note it."""
        self.lost += requests

    def moved(
        self, since_s: float, now_s: float, moved_bytes: int, *, ended: int = 0, heads: int = 0, ttfb_sum_s: float = 0.0
    ) -> None:
        """Note it."""
        self.ended += ended
        self.heads += heads
        if moved_bytes:
            self.moves.append((since_s, now_s, moved_bytes))

    def told(self, until_s: float) -> None:
        """Note it."""
        self.told_s.append(until_s)

    def broke(self, now_s: float) -> bool:
        """Note it."""
        self.broken += 1
        return False

    def saturated(self, now_s: float, share: float, *, lag_s: float = 0.0) -> None:
        """Note it."""
        self.loads.append((share, lag_s))

    def tick(self, now_s: float) -> None:
        """Decide nothing."""


def ready(window: Window, *, workers: int = 2) -> World:
    """Return a world whose workers are ready."""
    world = World(workers=workers, window=window)
    world.all_ready()
    return world


def connections(world: World) -> list[int]:
    """Return how many each worker has."""
    return [side.connections for side in world.workers.values()]


def test_leases_follow_the_window() -> None:
    """As many large parts are out as the window says, after each change of it, and no more."""
    window = Settable(4)
    world = ready(window)
    world.add(plan_download(60 * LARGE, part_size_bytes=LARGE))
    for size in (4, 11, 24):
        window.size = size
        world.pass_time(0.1)
        assert (len(world.leases), sum(connections(world))) == (size, size)
    window.size = 6
    world.pass_time(0.1)
    assert connections(world) == [3, 3]
    for lease in list(world.leases)[:-1]:
        world.done(lease)
        assert len(world.leases) >= 6
    assert len(world.leases) == 6


@pytest.mark.parametrize(("most_bytes", "expected"), [(5 * LARGE, 5), (LARGE, 2), (None, 8)])
def test_few_parts_are_begun_where_bytes_are_bounded(most_bytes: int | None, expected: int) -> None:
    """So many bytes of parts are out and two parts at least, also after a worker has died with some of them."""
    window = Settable(8)
    window.most_bytes = most_bytes
    world = ready(window)
    world.add(plan_download(20 * LARGE, part_size_bytes=LARGE))
    assert len(world.leases) == expected
    world.lose(next(iter(world.workers)))
    world.all_ready()
    world.pass_time(1.0)
    assert len(world.leases) == expected
    world.finish()
    assert world.sound


def test_small_objects_are_not_bounded_by_bytes() -> None:
    """As many as the window says are out, as long as they hold few bytes."""
    window = Settable(8)
    window.most_bytes = LARGE
    world = ready(window)
    for _ in range(20):
        world.add(plan_download(10 * KIB, part_size_bytes=LARGE))
    assert len(world.leases) >= 8


def test_a_size_that_does_not_divide_is_spread_exactly() -> None:
    """Nine connections on four workers are nine, and one never has less than one."""
    window = Settable(9)
    world = ready(window, workers=4)
    assert connections(world) == [3, 2, 2, 2]
    window.size = 1
    world.pass_time(0.1)
    assert connections(world) == [1, 1, 1, 1]
    world.add(plan_download(9 * LARGE, part_size_bytes=LARGE))
    assert len(world.leases) == 1


def test_workers_that_come_and_go_share_anew() -> None:
    """One worker alone has all connections; while another starts, and after its death, it has its share."""
    window = Settable(8)
    world = World(workers=2, window=window, needed=1)
    world.all_ready()
    assert connections(world) == [8]
    world.add(plan_download(20 * LARGE, part_size_bytes=LARGE))  # the second one is started for it
    assert connections(world) == [4]
    world.all_ready()
    assert connections(world) == [4, 4]
    assert len(world.leases) == 8
    world.lose(1)
    assert connections(world) == [4]


def test_nothing_is_told_twice_to_a_worker() -> None:
    """A number of connections is sent when it changes, and then only."""
    world = ready(Settable(8))
    world.add(plan_download(20 * LARGE, part_size_bytes=LARGE))
    for _ in range(5):
        world.done(next(iter(world.leases)))
        world.pass_time(0.1)
    assert world.all_found(Resize) == [Resize(1, 4, often=True), Resize(2, 4, often=True)]


def test_after_a_shrink_leases_under_way_keep_their_deadlines() -> None:
    """Eight parts were begun: that the worker has two connections now does not make six of them wait their turn."""
    window = Settable(8)
    world = ready(window, workers=1)
    world.add(plan_download(20 * LARGE, part_size_bytes=LARGE))
    window.size = 2
    for _ in range(24):
        world.now_s += 2.0
        world.speak()
        world.pass_time(0.0)
    assert {one.lease for one in world.all_found(Revoke)} == set(range(1, 9))


def test_after_a_shrink_those_that_wait_are_not_late() -> None:
    """When the leases of the shrink have ended, the queue is measured by the connections that are left."""
    window = Settable(4)
    world = ready(window, workers=1)
    for _ in range(30):
        world.add(plan_download(16 * KIB))
    window.size = 1
    world.pass_time(0.1)
    for lease in list(world.leases)[:10]:
        world.done(lease)
    first = next(iter(world.leases))
    for _ in range(24):
        world.now_s += 2.0
        world.speak()
        world.pass_time(0.0)
    assert [one.lease for one in world.all_found(Revoke)] == [first]


# What the window is told


def test_the_window_is_told_of_parts() -> None:
    """Bytes since the last report about a lease, ends, failures, and the leases of a worker that died."""
    window = Settable(4)
    world = ready(window)
    world.add(plan_download(4 * LARGE, part_size_bytes=LARGE))
    began_s = world.now_s
    world.now_s += 0.25
    world.heard(1, MIB)
    world.now_s += 0.5
    world.heard(1, 3 * MIB)
    world.done(1)
    assert window.moves == [
        (began_s, began_s + 0.25, MIB),
        (began_s + 0.25, began_s + 0.75, 2 * MIB),
        (began_s + 0.75, began_s + 0.75, LARGE - 3 * MIB),
    ]
    assert (window.began_requests, window.ended, window.lost) == (4, 1, 0)
    world.failed(2, MIB, "NetworkError")
    assert (window.ended, window.lost, window.broken) == (1, 1, 1)
    assert window.moves[-1] == (began_s, began_s + 0.75, MIB)
    began = window.began_requests
    world.lose(world.leases[3].worker)
    assert window.lost > 1
    assert window.began_requests >= began


def test_a_failure_that_is_no_broken_connection_is_not_taken_for_crowding() -> None:
    """What the service refuses or breaks off with a status says nothing about the number in flight."""
    window = Settable(4)
    world = ready(window)
    world.add(plan_download(8 * LARGE, part_size_bytes=LARGE))
    world.failed(1, 0, ErrorInfo("ServerError", "it failed", status=500))
    world.failed(2, 0, ErrorInfo("NetworkError", "broke in the body", status=200))
    assert window.broken == 0


def test_the_window_is_told_of_rows() -> None:
    """A batch counts its rows: as they arrive, and once each; those that fail are let go."""
    window = Settable(4)
    world = ready(window, workers=1)
    (lease,) = [
        one
        for one in world.machine.handle(TransferAdded(1, BATCH, requests=ROWS), now_s=world.now_s)
        if isinstance(one, Assign)
    ]
    now_s = world.now_s
    reached = ((lease.lease, 20 * 16 * KIB),)
    world.machine.handle(Heard(1, reached, ((lease.lease, 20),), heads=24, ttfb_sum_s=1.0), now_s=now_s + 0.2)
    assert (window.began_requests, window.ended, window.heads) == (ROWS, 20, 24)
    event = PartFailed(
        1, lease.lease, 50 * 16 * KIB, 0, ErrorInfo("NetworkError", "reset"), answered=50, failures=3, left=14
    )
    world.machine.handle(event, now_s=now_s + 0.4)
    assert (window.ended, window.lost, window.broken) == (50, 14, 3)
    again = world.machine.handle(Heard(1), now_s=now_s + 2.0)
    (lease,) = [one for one in again if isinstance(one, Assign)]
    assert window.began_requests == ROWS + 14
    world.machine.handle(PartDone(1, lease.lease, 14 * 16 * KIB, 0, answered=13), now_s=now_s + 2.2)
    assert (window.ended, window.lost) == (63, 15)


def test_the_load_is_that_of_all_workers() -> None:
    """Heartbeats tell the share of CPU of each; the window learns their mean, and the lag of the one that spoke."""
    window = Settable(4)
    world = ready(window)
    world.send(Heard(1, share=1.0))
    world.send(Heard(2, share=0.5))
    world.send(Heard(1))
    assert window.loads == [(0.5, 0.0), (0.75, 0.0)]


def test_a_loop_that_is_late_once_is_not_overrun() -> None:
    """Other programs delay a loop now and then; the window learns by how much one worker was late twice in a row."""
    window = Settable(4)
    world = ready(window)
    for worker, lag_s in ((1, 0.3), (2, 0.4), (1, 0.0), (1, 0.3), (1, 0.5), (1, 0.0)):
        world.send(Heard(worker, share=0.5, lag_s=lag_s))
    assert [lag_s for _, lag_s in window.loads] == [0.0, 0.0, 0.0, 0.0, 0.3, 0.0]


def test_workers_report_often_while_the_window_starts() -> None:
    """Each is told so with its first connections, and to stop when a size is held."""
    window = Settable(8)
    world = ready(window)
    assert world.all_found(Resize) == [Resize(1, 4, often=True), Resize(2, 4, often=True)]
    window._start = None
    world.send(Heard(1))
    assert world.all_found(Resize)[2:] == [Resize(1, 4, often=False), Resize(2, 4, often=False)]


def test_what_was_told_by_all_who_have_work_is_known() -> None:
    """The window learns up to when; a worker without work has nothing to tell, and one that was idle nothing before."""
    window = Settable(2)
    world = ready(window)
    world.add(plan_download(20 * LARGE, part_size_bytes=LARGE))
    first, second = sorted(world.leases, key=lambda lease: world.leases[lease].worker)
    began_s = world.now_s
    handle = world.machine.handle
    handle(Heard(1, ((first, 1),)), now_s=began_s + 0.2)
    assert window.told_s == [began_s]
    handle(Heard(2, ((second, 1),)), now_s=began_s + 0.3)
    assert window.told_s == [began_s, began_s + 0.2]


def test_rows_that_waited_count_from_the_last_report_of_all_on() -> None:
    """A batch that was queued behind another moved nothing before its worker last told of all that it has."""
    window = Settable(1)
    world = ready(window, workers=1)
    handle, began_s = world.machine.handle, world.now_s
    first, second = (
        one.lease
        for transfer in (1, 2)
        for one in handle(TransferAdded(transfer, BATCH, requests=ROWS), now_s=began_s)
        if isinstance(one, Assign)
    )
    handle(Heard(1, ((first, MIB), (second, 0)), ((first, ROWS), (second, 0))), now_s=began_s + 1.0)
    handle(Heard(1, ((second, 16 * KIB),), ((second, 1),)), now_s=began_s + 1.1)
    assert window.moves == [(began_s, began_s + 1.0, MIB), (began_s + 1.0, began_s + 1.1, 16 * KIB)]


def test_the_load_is_a_share_of_the_cores_that_may_be_used() -> None:
    """Four workers that share two cores use all of them with half a CPU each."""
    window = Settable(8)
    window.cores = 2
    world = ready(window, workers=4)
    for worker in list(world.workers):
        world.send(Heard(worker, share=0.5, lag_s=0.0))
    assert window.loads[-1] == (1.0, 0.0)
