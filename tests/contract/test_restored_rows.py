"""Rows whose objects are archived: asked for, waited for by a clock that tests move, and moved once they are there."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bulkhaul import TransferResult
from bulkhaul.engine.transfers.rows import PlannedRow
from bulkhaul.jobs.archives import Ready, WallClock, only_restored, restored
from bulkhaul.model.archives import RestoreCounts, RestoreOptions, Tier
from bulkhaul.model.errors import TransferError
from bulkhaul.model.rows import Action, Row
from tests.engines import Rig, running_engine, running_rig
from tests.faultserver import RefuseHeader, Status, make_object, storm
from tests.faultserver.archives import DAY_S, HOUR_S, Archives
from tests.faultserver.objects import StoredObject
from tests.patience import PATIENCE_S
from tests.servers import moto

BODY = random.Random(12).randbytes(3000)
ATTRIBUTES = "x-amz-optional-object-attributes"
STANDARD = RestoreOptions(Tier.STANDARD, days=2)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine in front of a fault server."""
    with running_rig(tmp_path, workers=1) as running:
        yield running


class MovedClock:
    """A clock of the archives' that goes ahead whenever nothing else happens.

    Attributes:
        waits: how long each wait for the next round was to be, in seconds.
        still: what has to happen before it moves.
    """

    def __init__(self, archives: Archives) -> None:
        self._archives = archives
        self.waits: list[float] = []
        self.still: Callable[[], bool] = lambda: False
        self.passing: Callable[[], None] = lambda: None

    def now_s(self) -> float:
        """Return what the archives' clock shows."""
        return self._archives.now_s

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait for the event for a moment, and else move the clock to the end of the wait."""
        while seconds is None or self.still():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await event.wait()
                    return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await event.wait()
                return
        self.waits.append(seconds)
        self.passing()
        self._archives.advance(seconds)


class Hasty(WallClock):
    """The clock of the machine, where a wait is short."""

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait for an event, for a moment at most."""
        self._ahead = getattr(self, "_ahead", 0.0) + (seconds or 0.0)
        await super().wait(event, 0.05)

    def now_s(self) -> float:
        """Return the time, with the waits that were left out."""
        return super().now_s() + getattr(self, "_ahead", 0.0)


def put(rig: Rig, key: str, storage_class: str = "GLACIER", **changes: Any) -> StoredObject:
    """Store an object."""
    stored = replace(make_object(BODY), storage_class=storage_class, **changes)
    rig.server.store.put("bucket", key, stored)
    return stored


def rows_of(rig: Rig, classes: dict[str, str]) -> list[Row]:
    """Store objects of these classes, and return the rows that a listing makes of them."""
    rows = []
    for n, (key, storage_class) in enumerate(classes.items()):
        stored = put(rig, key, storage_class)
        rows.append(row_of(rig, n, key, size=len(BODY), etag=stored.etag, storage_class=storage_class))
    return rows


def row_of(rig: Rig, n: int, key: str, **told: Any) -> Row:
    """Return the row that downloads a key."""
    return Row(
        n=n, action=Action.DOWNLOAD, source=f"s3://bucket/{key}", destination=str(rig.folder / "out" / key), **told
    )


def carried_out(
    rig: Rig,
    rows: Sequence[Row],
    clock: MovedClock,
    options: RestoreOptions = STANDARD,
    counts: RestoreCounts | None = None,
    move: Callable[[Ready], AsyncGenerator[TransferResult, None]] | None = None,
) -> Iterator[TransferResult]:
    """Download rows, and yield the results as they come."""
    engine = rig.engine.aio
    transfer = move or functools.partial(engine.download_rows, root=rig.folder / "out")
    pages: Sequence[Sequence[PlannedRow]] = [rows[at : at + 1000] for at in range(0, len(rows), 1000)]
    yield from rig.engine.each(restored(engine.control, pages, transfer, options, counts=counts, clock=clock))


def asked(rig: Rig, operation: str, prefix: str = "") -> list[str]:
    """Return the keys that an operation was asked for."""
    return [one.key or "" for one in rig.server.requests_for(operation) if (one.key or "").startswith(prefix)]


def listings(rig: Rig) -> int:
    """Return how many pages were asked for with the status of archived objects."""
    return len([one for one in rig.server.requests if ATTRIBUTES in one.headers])


@pytest.fixture
def clock(rig: Rig) -> MovedClock:
    """A clock of the server's archives."""
    return MovedClock(rig.server.store.archives)


def test_what_can_be_read_is_moved_first(rig: Rig, clock: MovedClock) -> None:
    """Archived objects hold up no others; each of them arrives when it is there, and none before."""
    classes = ["STANDARD", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE", "INTELLIGENT_TIERING", "GLACIER"]
    rows = rows_of(rig, {f"{n}-{name}": name for n, name in enumerate(classes)})
    counts = RestoreCounts()
    ended: list[int] = []
    clock.still = lambda: len(ended) < 3
    began_s = clock.now_s()
    moments = {}
    for result in carried_out(rig, rows, clock, counts=counts):
        assert result.failure is None
        ended.append(result.row)
        moments[result.row] = clock.now_s() - began_s
        assert (rig.folder / "out" / result.key).read_bytes() == BODY
    assert set(ended[:3]) == {0, 2, 4}
    assert set(ended[3:5]) == {1, 5}
    assert ended[5:] == [3]
    assert all(moments[n] < 60 for n in (0, 2, 4))
    assert all(5 * HOUR_S <= moments[n] <= 5 * HOUR_S + 1800 for n in (1, 5))
    assert 12 * HOUR_S <= moments[3] <= 12 * HOUR_S + 1800
    assert sorted(asked(rig, "RestoreObject")) == ["1-GLACIER", "3-DEEP_ARCHIVE", "5-GLACIER"]
    assert counts == RestoreCounts(requested=3, waiting=0, ready=3)
    assert clock.waits[:3] == pytest.approx([60, 90, 135], abs=5)
    assert max(clock.waits) <= 900


def test_a_thousand_statuses_a_request(rig: Rig, clock: MovedClock) -> None:
    """A round of 1,100 rows is two pages or three, no HEAD, and never a request for each row."""
    rows = rows_of(rig, {f"many/{n:04}": "GLACIER" for n in range(1100)})
    results = list(carried_out(rig, rows, clock))
    assert len(results) == 1100
    assert {result.failure for result in results} == {None}
    assert asked(rig, "HeadObject") == []
    assert len(asked(rig, "RestoreObject")) == 1100
    assert listings(rig) <= 3 * (len(clock.waits) + 2)


def test_already_in_progress(rig: Rig, clock: MovedClock) -> None:
    """What somebody else has asked for is waited for, and what is there already is moved at once."""
    rows = rows_of(rig, {f"p/{n}": "GLACIER" for n in range(20)})
    for n in range(0, 20, 2):
        rig.engine.restore(f"s3://bucket/p/{n}", days=2)
    rig.server.store.archives.advance(5 * HOUR_S)
    rig.engine.restore("s3://bucket/p/1", days=2)
    before = len(asked(rig, "RestoreObject"))
    ended: list[int] = []
    clock.still = lambda: len(ended) < 10
    for result in carried_out(rig, rows, clock):
        assert result.failure is None
        ended.append(result.row)
    assert set(ended[:10]) == set(range(0, 20, 2))
    assert sorted(asked(rig, "RestoreObject")[before:]) == sorted(f"p/{n}" for n in range(3, 20, 2))


def test_it_goes_on_after_a_stop(rig: Rig, clock: MovedClock) -> None:
    """A run that is stopped while it waits keeps nothing: the next one finds what has come, and asks for nothing."""
    rows = rows_of(rig, {f"p/{n}": "GLACIER" for n in range(12)} | {"q": "STANDARD"})
    clock.still = lambda: True
    first = carried_out(rig, rows, clock)
    assert next(first).key == "q"
    deadline = PATIENCE_S
    while len(asked(rig, "RestoreObject")) < 12 and deadline > 0:
        rig.engine.run(functools.partial(asyncio.sleep, 0.05))
        deadline -= 0.05
    first.close()  # type: ignore[attr-defined]
    assert len(asked(rig, "RestoreObject")) == 12
    rig.server.store.archives.advance(30 * HOUR_S)
    again = MovedClock(rig.server.store.archives)
    results = list(carried_out(rig, rows, again))
    assert {result.failure for result in results} == {None}
    assert len(results) == 13
    assert len(asked(rig, "RestoreObject")) == 12
    assert again.waits == []


def test_a_copy_that_is_about_to_go_is_kept_longer(rig: Rig, clock: MovedClock) -> None:
    """Less than an hour is too little for a transfer that may be queued."""
    rows = rows_of(rig, {"k": "GLACIER"})
    archives = rig.server.store.archives
    rig.engine.restore("s3://bucket/k", days=1)
    archives.advance(5 * HOUR_S)
    until_s = until(rig, "k")
    archives.advance(until_s - archives.now_s - 600)
    assert [result.failure for result in carried_out(rig, rows, clock)] == [None]
    assert len(asked(rig, "RestoreObject")) == 2
    assert until(rig, "k") > until_s + DAY_S


def until(rig: Rig, key: str) -> float:
    """Return until when a copy stays."""
    from bulkhaul.policy.archives import archival

    return archival(rig.engine.head(f"s3://bucket/{key}"), now_s=0).until_s


@pytest.mark.parametrize("times", [1, 2])
def test_a_copy_that_went(rig: Rig, clock: MovedClock, times: int) -> None:
    """It is asked for again, once; the second time its row fails by name, and says what to do."""
    rows = rows_of(rig, {"k": "GLACIER", "readable": "STANDARD"})
    left = times

    async def slow(pages: Ready) -> AsyncGenerator[TransferResult, None]:
        nonlocal left
        async for page in pages:
            for row in page:
                if isinstance(row, Row) and row.storage_class == "GLACIER" and left:
                    left -= 1
                    rig.server.store.archives.advance(5 * DAY_S)
            # The rows themselves are moved by the engine.
            async for result in rig.engine.aio.download_rows([page], rig.folder / "out"):
                yield result

    results = {result.key: result for result in carried_out(rig, rows, clock, move=slow)}
    assert set(results) == {"k", "readable"}
    assert results["readable"].failure is None
    assert len(asked(rig, "RestoreObject")) == 2
    failure = results["k"].failure
    if times == 1:
        assert failure is None
    else:
        assert failure is not None
        assert (failure.code, failure.subject) == ("Archived", "s3://bucket/k")
        assert "--restore-days" in failure.message


def test_a_copy_that_went_while_nobody_looked(rig: Rig, clock: MovedClock) -> None:
    """A machine that slept for days asks again, once, and then tells that the copies do not stay long enough."""
    rows = rows_of(rig, {"k": "GLACIER"})
    clock.passing = lambda: rig.server.store.archives.advance(5 * DAY_S)
    (result,) = carried_out(rig, rows, clock)
    assert len(asked(rig, "RestoreObject")) == 2
    assert result.failure is not None
    assert result.failure.code == "Archived"
    assert "--restore-days" in result.failure.message


@pytest.mark.parametrize(("count", "asking"), [(12, "ListObjectsV2"), (3, "HeadObject")])
def test_an_outage_in_hours_of_waiting(tmp_path: Path, count: int, asking: str) -> None:
    """It ends neither the run nor a row: the status is asked for again later."""
    with running_rig(tmp_path, workers=1, retry_for_s=0.0) as rig:
        clock = MovedClock(rig.server.store.archives)
        away = Status(code="InternalError", operation=asking, attempt="every", times=27)

        def begin() -> None:
            if len(clock.waits) == 3:
                rig.server.add_fault(away)

        clock.passing = begin
        results = list(carried_out(rig, rows_of(rig, {f"{n}": "GLACIER" for n in range(count)}), clock))
        assert [result.failure for result in results] == [None] * count
        assert rig.server.fired(away) == 27
        assert len(asked(rig, "RestoreObject")) == count


def test_a_service_that_stays_away(tmp_path: Path) -> None:
    """After most of an hour the run ends with the error."""
    with running_rig(tmp_path, workers=1, retry_for_s=0.0, retries=0) as rig:
        clock = MovedClock(rig.server.store.archives)
        rows = rows_of(rig, {f"{n:02}": "GLACIER" for n in range(12)})
        rig.server.add_fault(storm(operation="ListObjectsV2", for_s=600.0))
        with pytest.raises(TransferError):
            list(carried_out(rig, rows, clock))
        assert sum(clock.waits) == pytest.approx(47 * 60, abs=60)


def test_no_capacity(rig: Rig, clock: MovedClock) -> None:
    """That object fails and names another tier; the others arrive."""
    rows = rows_of(rig, {f"{n}": "GLACIER" for n in range(12)})
    rig.server.add_fault(Status(code="GlacierExpeditedRetrievalNotAvailable", operation="RestoreObject", key="7"))
    results = list(carried_out(rig, rows, clock, RestoreOptions(Tier.EXPEDITED, days=1)))
    failed = {result.row: result.failure for result in results if result.failure}
    assert len(results) == 12
    assert set(failed) == {7}
    assert failed[7].code == "RetrievalUnavailable"
    assert "--restore STANDARD" in failed[7].message


def test_a_tier_that_the_archive_does_not_have(rig: Rig, clock: MovedClock) -> None:
    """It is told without a request."""
    rows = rows_of(rig, {"deep": "DEEP_ARCHIVE", "flexible": "GLACIER"})
    results = {one.key: one for one in carried_out(rig, rows, clock, RestoreOptions(Tier.EXPEDITED, days=1))}
    assert results["flexible"].failure is None
    failure = results["deep"].failure
    assert failure is not None
    assert "another tier" in failure.message
    assert asked(rig, "RestoreObject") == ["flexible"]


@pytest.mark.parametrize("kind", ["refused", "left out", "not allowed"])
def test_a_listing_that_cannot_tell(rig: Rig, clock: MovedClock, kind: str) -> None:
    """HEAD does: of those that were asked for; and a listing that told nothing is not asked for again."""
    rows = rows_of(rig, {f"p/{n:02}": "GLACIER" for n in range(15)})
    if kind == "refused":
        rig.server.add_fault(RefuseHeader(name=ATTRIBUTES))
    elif kind == "left out":
        rig.server.store.archives.listed = lambda *_: ""  # type: ignore[method-assign]
    else:
        rig.server.add_fault(Status(code="AccessDenied", status=403, operation="ListObjectsV2", times=None))
    results = list(carried_out(rig, rows, clock))
    assert [result.failure for result in results] == [None] * 15
    assert len(asked(rig, "RestoreObject")) == 15
    assert len(asked(rig, "HeadObject")) >= 15
    assert listings(rig) <= 4


def test_an_archive_of_intelligent_tiering(rig: Rig, clock: MovedClock) -> None:
    """It shows when it is read: then it is asked for, without days, and others of the class are moved at once."""
    archived = {"headers": {"x-amz-archive-status": "ARCHIVE_ACCESS"}}
    rows = []
    for n in range(12):
        stored = put(rig, f"{n:02}", "INTELLIGENT_TIERING", **(archived if n % 4 == 0 else {}))
        rows.append(row_of(rig, n, f"{n:02}", size=len(BODY), etag=stored.etag, storage_class="INTELLIGENT_TIERING"))
    ended: list[int] = []
    clock.still = lambda: len(ended) < 9
    for result in carried_out(rig, rows, clock):
        assert result.failure is None
        ended.append(result.row)
    assert set(ended[9:]) == {0, 4, 8}
    assert sorted(asked(rig, "RestoreObject")) == ["00", "04", "08"]
    assert len(ended) == 12


def test_rows_that_tell_nothing(rig: Rig, clock: MovedClock) -> None:
    """Those of a list of keys: each is looked at first; what is not there fails."""
    put(rig, "archived")
    put(rig, "readable", "STANDARD")
    rows = [row_of(rig, n, key) for n, key in enumerate(("archived", "missing", "readable"))]
    results = {one.row: one for one in carried_out(rig, rows, clock)}
    assert [results[n].failure is None for n in range(3)] == [True, False, True]
    assert results[1].failure is not None
    assert results[1].failure.code == "NotFound"
    assert len(asked(rig, "RestoreObject")) == 1


def test_an_object_that_was_replaced_is_not_asked_for(rig: Rig, clock: MovedClock) -> None:
    """A plan means the object that was listed; another one costs money, and is not wanted."""
    (row,) = rows_of(rig, {"k": "GLACIER"})
    (result,) = carried_out(rig, [msgspec.structs.replace(row, etag='"0123456789abcdef0123456789abcdef"')], clock)
    assert result.failure is not None
    assert result.failure.code == "PreconditionFailed"
    assert asked(rig, "RestoreObject") == []


def test_a_weak_etag_means_the_same_object(rig: Rig, clock: MovedClock) -> None:
    """A proxy made it so on the way of the listing: as for every other row, it is not another object."""
    (row,) = rows_of(rig, {"k": "GLACIER"})
    weak = msgspec.structs.replace(row, etag=f"W/{row.etag}")
    (result,) = carried_out(rig, [weak], clock, move=only_restored(rig.engine.aio))
    assert result.failure is None
    assert len(asked(rig, "RestoreObject")) == 1


def test_restored_and_not_moved(rig: Rig, clock: MovedClock) -> None:
    """A row ends when its object can be read; nothing is fetched."""
    rows = rows_of(rig, {"a": "GLACIER", "b": "STANDARD"})
    results = list(carried_out(rig, rows, clock, move=only_restored(rig.engine.aio)))
    assert [(one.row, one.failure) for one in results] == [(1, None), (0, None)]
    assert asked(rig, "GetObject") == []
    assert until(rig, "a") > clock.now_s()


def test_copies(rig: Rig, clock: MovedClock) -> None:
    """Within a service, too."""
    rows = [
        msgspec.structs.replace(row, action=Action.COPY, destination=f"s3://bucket/copy/{row.n}")
        for row in rows_of(rig, {"a": "GLACIER", "b": "STANDARD", "c": "DEEP_ARCHIVE"})
    ]
    results = list(carried_out(rig, rows, clock, move=rig.engine.aio.copy_rows))
    assert [one.failure for one in results] == [None] * 3
    for n in range(3):
        stored = rig.server.store.get("bucket", f"copy/{n}")
        assert stored is not None
        assert stored.body == BODY


def test_what_rows_raise_ends_the_run(rig: Rig, clock: MovedClock) -> None:
    """And nothing of it is left waiting."""
    rows = rows_of(rig, {"a": "GLACIER"})

    async def broken() -> AsyncGenerator[list[Row], None]:
        yield rows
        raise RuntimeError("the plan is broken")

    engine = rig.engine.aio
    transfer = functools.partial(engine.download_rows, root=rig.folder / "out")
    with pytest.raises(RuntimeError, match="broken"):
        list(rig.engine.each(restored(engine.control, broken(), transfer, STANDARD, clock=clock)))


def test_moto_restores_rows(tmp_path: Path) -> None:
    """An implementation that we did not write, whose objects are there as soon as they were asked for."""
    with moto() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        for n in range(20):
            kind = ["STANDARD", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"][n % 4]
            client.put_object(Bucket="bucket", Key=f"p/{n:02}", Body=b"%d" % n, StorageClass=kind)
        with running_engine(server.endpoint_url, server.environment(), workers=1) as engine:
            heads = list(engine.list("s3://bucket/p/"))
            rows = [
                Row(
                    n=n,
                    action=Action.DOWNLOAD,
                    source=f"s3://bucket/{head.key}",
                    destination=str(tmp_path / head.key),
                    size=head.size,
                    etag=head.etag,
                    storage_class=head.storage_class,
                )
                for n, head in enumerate(heads)
            ]
            transfer = functools.partial(engine.aio.download_rows, root=tmp_path)
            rounds = restored(engine.aio.control, [rows], transfer, STANDARD, clock=Hasty())
            results = list(engine.each(rounds))
        assert sorted(one.row for one in results) == list(range(20))
        assert {one.failure for one in results} == {None}
        assert [(tmp_path / f"p/{n:02}").read_bytes() for n in range(20)] == [b"%d" % n for n in range(20)]
