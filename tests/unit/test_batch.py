"""Many pieces of work: side by side, each counted once, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing

import pytest

from bulkhaul.engine.transfers import batch as batch_module
from bulkhaul.engine.transfers.batch import (
    GROUP_SLOTS,
    MAX_QUEUED,
    MAX_SMALL_SLOTS,
    MAX_WAITING,
    SMALL_OBJECT_BYTES,
    Batch,
    Group,
    Outlet,
    Piece,
)
from bulkhaul.engine.transfers.plan_ahead import AHEAD
from bulkhaul.model.errors import CredentialsError, ErrorInfo, NetworkError, NotFound
from bulkhaul.model.limits import MIB
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from tests.patience import PATIENCE_S

SETTINGS = Settings(workers=2, concurrency=4)
Work = Callable[[], Coroutine[None, None, TransferResult]]


def planned(number: int, size_bytes: int = 1) -> TransferResult:
    """Return what is known of an object before the work."""
    key = f"k{number}"
    return TransferResult(source=f"s3://b/{key}", destination=key, bucket="b", key=key, size=size_bytes)


def plan_of(
    pieces: Sequence[Piece | Group], error: Exception | None = None
) -> Callable[[], AsyncGenerator[Piece | Group, None]]:
    """Return a plan of these pieces, which may fail at its end."""

    async def plan() -> AsyncGenerator[Piece | Group, None]:
        for piece in pieces:
            yield piece
        if error is not None:
            raise error

    return plan


async def results_of(batch: Batch) -> list[TransferResult]:
    """Return all results of a run."""
    async with aclosing(batch.run()) as results:
        return [result async for result in results]


def test_every_piece_ends_once_and_is_counted() -> None:
    """planned = verified + failed + skipped, whatever happens to one of them (I8)."""

    async def play() -> None:
        async def works() -> TransferResult:
            return planned(1)

        async def fails() -> TransferResult:
            raise NetworkError("gone", "s3://b/k2")

        async def breaks() -> TransferResult:
            raise ZeroDivisionError

        refused = TransferResult(
            source="s3://b/k4", destination="", bucket="b", key="k4", failure=ErrorInfo("UnsafeKey", "no")
        )
        left = TransferResult(source="s3://b/k5", destination="", bucket="b", key="k5", skipped="nothing in it")
        works_, fails_, breaks_ = Piece(planned(1), works), Piece(planned(2), fails), Piece(planned(3), breaks)
        batch = Batch(SETTINGS, plan_of([works_, fails_, breaks_, Piece(refused), Piece(left)]))
        results = {result.key: result for result in await results_of(batch)}
        failures = {key: result.failure.code for key, result in results.items() if result.failure is not None}
        assert failures == {"k2": "NetworkError", "k3": "OtherError", "k4": "UnsafeKey"}
        total = batch.progress
        ended = (total.verified_objects, total.failed_objects, total.skipped_objects)
        assert (total.planned_objects, *ended, total.planning_done) == (5, 1, 3, 1, True)
        assert total.planned_bytes == 3

    asyncio.run(play())


class Crowd:
    """Pieces that wait for each other until as many are under way as are expected.

    Attributes:
        peak: the most that were under way at a time.
    """

    def __init__(self, most: int, size_bytes: int) -> None:
        self.peak = 0
        self._most = most
        self._size_bytes = size_bytes
        self._at_once = 0
        self._full = asyncio.Event()

    async def work(self) -> TransferResult:
        """Do one piece."""
        self._at_once += 1
        self.peak = max(self.peak, self._at_once)
        if self._at_once == self._most:
            self._full.set()
        await self._full.wait()
        await asyncio.sleep(0.001)
        self._at_once -= 1
        return planned(0, self._size_bytes)


@pytest.mark.parametrize(
    ("concurrency", "size_bytes", "most"),
    [
        (4, SMALL_OBJECT_BYTES, 32),
        (4, SMALL_OBJECT_BYTES + 1, 4),
        (4, 1 << 40, 4),
        (80, 64 * MIB - 1, 80),
        (80, 64 * MIB, 20),
        (80, 1 << 40, 8),
    ],
)
def test_pieces_under_way_are_bounded_by_settings(concurrency: int, size_bytes: int, most: int) -> None:
    """Small objects have eight slots for each request in flight, large ones one; those in parts take one a part (I7).

    However many parts there are, eight objects are under way, if there may be as many requests.
    """

    async def play() -> None:
        pieces = Crowd(most, size_bytes)
        settings = Settings(concurrency=concurrency)
        batch = Batch(settings, plan_of([Piece(planned(n, size_bytes), pieces.work) for n in range(100)]))
        async with asyncio.timeout(20):
            assert len(await results_of(batch)) == 100
        assert pieces.peak == most

    asyncio.run(play())


@pytest.mark.parametrize(("files", "most"), [(1024, 288), (128, 21), (16, 8)])
def test_objects_under_way_share_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int
) -> None:
    """Large and small ones together, at three files each beside half of the limit, or beside 160."""
    monkeypatch.setattr(batch_module, "descriptors", lambda: files)

    async def play() -> None:
        pieces = Crowd(most, 1)
        sizes = [SMALL_OBJECT_BYTES, SMALL_OBJECT_BYTES + 1] * most
        batch = Batch(Settings(concurrency=400), plan_of([Piece(planned(0, size), pieces.work) for size in sizes]))
        async with asyncio.timeout(20):
            assert len(await results_of(batch)) == 2 * most
        assert pieces.peak == most

    asyncio.run(play())


def test_a_plan_that_fails_is_told_after_what_it_has_begun() -> None:
    """The error of the plan comes when every piece has ended, and all of their results have come."""

    async def play() -> None:
        async def work() -> TransferResult:
            await asyncio.sleep(0.01)
            return planned(1)

        batch = Batch(SETTINGS, plan_of([Piece(planned(1), work)], NotFound("no such bucket", "s3://b")))
        async with aclosing(batch.run()) as results:
            assert (await anext(results)).key == "k1"
            with pytest.raises(NotFound, match="no such bucket"):
                await anext(results)

    asyncio.run(play())


def test_a_run_that_ends_early_tells_what_was_done() -> None:
    """What outlasts the cancellation, or waits for the caller, is told before the error of the run."""
    count = MAX_WAITING + 8

    async def play() -> None:
        done, all_quick = 0, asyncio.Event()

        async def quick() -> TransferResult:
            nonlocal done
            done += 1
            if done == count:
                all_quick.set()
            return planned(0)

        async def outlasts() -> TransferResult:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return planned(1)
            raise AssertionError

        async def fails() -> TransferResult:
            await all_quick.wait()
            raise CredentialsError("gone")

        pieces = [Piece(planned(2), fails), Piece(planned(1), outlasts), *[Piece(planned(0), quick)] * count]
        told: list[str] = []
        batch = Batch(SETTINGS, plan_of(pieces))
        async with asyncio.timeout(PATIENCE_S), aclosing(batch.run()) as results:
            told.append((await anext(results)).key)
            await all_quick.wait()

            async def rest() -> None:
                async for result in results:
                    told.extend([result.key])

            with pytest.raises(CredentialsError):
                await rest()
        assert (told.count("k0"), told.count("k1"), told.count("k2")) == (count, 1, 0)
        assert batch.progress.verified_objects == count + 1

    asyncio.run(play())


def test_a_plan_is_known_before_its_work_ends() -> None:
    """The totals are those of all that was listed, and final, while the first objects are still under way."""

    async def play() -> None:
        gate = asyncio.Event()

        async def work() -> TransferResult:
            await gate.wait()
            return planned(0, 64 * MIB)

        batch = Batch(SETTINGS, plan_of([Piece(planned(n, 64 * MIB), work) for n in range(1000)]))
        async with aclosing(batch.run()) as results:
            first = asyncio.ensure_future(anext(results))
            async with asyncio.timeout(20):
                while not batch.progress.planning_done:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            total = batch.progress
            assert (total.planned_objects, total.planned_bytes) == (1000, 1000 * 64 * MIB)
            assert total.verified_objects == 0
            gate.set()
            await first

    asyncio.run(play())


def test_leaving_early_cancels_what_is_under_way_and_lets_go() -> None:
    """A run that is left waits until every piece has let go, and then lets go of what they shared."""

    async def play() -> None:
        told: list[str] = []

        async def quick() -> TransferResult:
            return planned(0)

        async def slow() -> TransferResult:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                told.append("let go")
                raise
            return planned(1)

        pieces = [Piece(planned(1), slow), Piece(planned(0), quick)]
        batch = Batch(SETTINGS, plan_of(pieces), at_end=lambda: told.append("end"))
        async with aclosing(batch.run()) as results:
            async for result in results:
                assert result.key == "k0"
                break
        assert told == ["let go", "end"]
        assert not batch.under_way

    asyncio.run(play())


def test_a_dry_run_does_no_work() -> None:
    """What would be done is told, and nothing is."""

    async def play() -> None:
        async def work() -> TransferResult:
            raise AssertionError("it was done")

        batch = Batch(SETTINGS, plan_of([Piece(planned(n), work) for n in range(3)]))
        assert [result.key async for result in batch.planned()] == ["k0", "k1", "k2"]

    asyncio.run(play())


@pytest.mark.parametrize("working", [True, False], ids=["work", "nothing to do"])
def test_slow_caller_holds_the_plan_up(*, working: bool) -> None:
    """A caller that takes nothing stops the run after a bounded number of results, and loses none of them (I7, I8)."""
    total = 2 * AHEAD

    async def play() -> None:
        async def works() -> TransferResult:
            return planned(0)

        left = TransferResult(source="s", destination="", bucket="b", key="k", skipped="nothing in it")
        batch = Batch(SETTINGS, plan_of([Piece(planned(0), works) if working else Piece(left)] * total))
        async with aclosing(batch.run()) as results:
            await anext(results)
            seen = -1
            while seen != batch.progress.planned_objects or seen <= MAX_WAITING:
                seen = batch.progress.planned_objects
                await asyncio.sleep(0.05)
            assert AHEAD <= seen < AHEAD + 2 * MAX_WAITING
            assert len([result async for result in results]) == total - 1

    asyncio.run(play())


def test_objects_of_a_group_end_each_in_its_own_way() -> None:
    """Of a group each object is counted once: ended together, gone on alone, or failed with the group's work."""

    async def play() -> None:
        async def alone() -> TransferResult:
            return planned(2)

        async def together(outlet: Outlet) -> None:
            outlet.end(0, planned(1))
            outlet.alone(1, alone)
            raise NetworkError("gone")

        batch = Batch(SETTINGS, plan_of([Group([planned(1), planned(2), planned(3)], together)]))
        results = {result.key: result for result in await results_of(batch)}
        assert {key: result.failure.code for key, result in results.items() if result.failure} == {"k3": "NetworkError"}
        total = batch.progress
        assert (total.planned_objects, total.verified_objects, total.failed_objects) == (3, 2, 1)
        assert total.planned_bytes == 3

    asyncio.run(play())


def test_groups_under_way_are_bounded() -> None:
    """However many groups there are, so many are under way, and none begins while results wait for the caller (I7)."""

    async def play() -> None:
        at_once = peak = begun = 0

        async def together(outlet: Outlet) -> None:
            nonlocal at_once, peak, begun
            at_once, begun = at_once + 1, begun + 1
            peak = max(peak, at_once)
            await asyncio.sleep(0)
            for place in range(64):
                outlet.end(place, planned(place))
            at_once -= 1

        groups = [Group([planned(n) for n in range(64)], together) for _ in range(200)]
        batch = Batch(SETTINGS, plan_of(groups))
        async with aclosing(batch.run()) as results:
            await anext(results)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert begun <= MAX_WAITING // 64 + 2 * GROUP_SLOTS
            assert len([result async for result in results]) == 200 * 64 - 1
        assert peak <= GROUP_SLOTS

    asyncio.run(play())


def test_what_waits_to_go_on_alone_is_bounded() -> None:
    """Where every object goes on alone, and that takes longer than a group, groups wait for those that wait (I7)."""
    groups_of, size = 100, 64

    async def play() -> None:
        handed_on = ended = peak = 0

        async def alone() -> TransferResult:
            nonlocal ended
            for _ in range(20):
                await asyncio.sleep(0)
            ended += 1
            return planned(ended)

        async def together(outlet: Outlet) -> None:
            nonlocal handed_on, peak
            for place in range(size):
                outlet.alone(place, alone)
            handed_on += size
            peak = max(peak, handed_on - ended)

        groups = [Group([planned(n) for n in range(size)], together) for _ in range(groups_of)]
        assert len(await results_of(Batch(SETTINGS, plan_of(groups)))) == groups_of * size
        assert peak <= MAX_QUEUED + GROUP_SLOTS * size + MAX_SMALL_SLOTS < groups_of * size

    asyncio.run(play())


def test_leaving_early_cancels_groups_and_what_went_on_alone() -> None:
    """A run that is left waits until a group and its objects have let go."""

    async def play() -> None:
        let_go: list[str] = []

        async def alone() -> TransferResult:
            try:
                await asyncio.Event().wait()
            finally:
                let_go.append("alone")
            return planned(2)

        async def together(outlet: Outlet) -> None:
            outlet.end(0, planned(1))
            outlet.alone(1, alone)
            try:
                await asyncio.Event().wait()
            finally:
                let_go.append("together")

        batch = Batch(SETTINGS, plan_of([Group([planned(1), planned(2), planned(3)], together)]))
        async with aclosing(batch.run()) as results:
            await anext(results)
            await asyncio.sleep(0)
        assert sorted(let_go) == ["alone", "together"]

    asyncio.run(play())
