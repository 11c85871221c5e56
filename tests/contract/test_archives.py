"""Archived objects from end to end: refused, asked for, waited for, read, and gone again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bulkhaul.errors import Archived, RetrievalUnavailable, TransferError, Unsupported, UsageError
from bulkhaul.model.archives import RestoreAnswer, Tier
from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.archives import Next, State, archival, next_of
from tests.engines import Rig, running_engine, running_rig
from tests.faultserver import NoStartAfter, RefuseHeader, Status, make_object
from tests.faultserver.archives import DAY_S, HOUR_S
from tests.servers import RunningServer, moto

BODY = random.Random(11).randbytes(5000)
ATTRIBUTES = "x-amz-optional-object-attributes"


@pytest.fixture(params=["fast", "sdk"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """An engine of one worker and one transport."""
    with running_rig(tmp_path, transport=request.param, workers=1) as running:
        yield running


def put(rig: Rig, key: str, storage_class: str = "GLACIER", **changes: object) -> str:
    """Store an object in an archive, and return its URL."""
    rig.server.store.put("bucket", key, replace(make_object(BODY), storage_class=storage_class, **changes))  # type: ignore[arg-type]
    return f"s3://bucket/{key}"


def listed(rig: Rig, prefix: str) -> list[ObjectHead]:
    """Return what a listing tells that asks for the status of restores."""
    pages = rig.engine.aio.control.pages("bucket", prefix, restores=True)
    return [head for page in rig.engine.each(pages) for head in page]


def state(rig: Rig, url: str) -> State:
    """Return the state of an object, which listing and HEAD tell alike."""
    now_s = rig.server.store.archives.now_s
    key = url.removeprefix("s3://bucket/")
    by_listing, by_head = archival(listed(rig, key)[0], now_s=now_s), archival(rig.engine.head(url), now_s=now_s)
    assert by_listing == by_head
    return by_head.state


def refused(rig: Rig, url: str) -> TransferError:
    """Return why an object cannot be downloaded; nothing is left of the try."""
    path = rig.folder / "refused"
    with pytest.raises(Archived, match="--restore") as caught:
        rig.engine.download(url, path)
    assert not path.exists()
    assert caught.value.subject == url
    return caught.value


@pytest.mark.parametrize(
    ("storage_class", "tier", "hours"),
    [("GLACIER", Tier.STANDARD, 5), ("GLACIER", Tier.BULK, 12), ("GLACIER", Tier.EXPEDITED, 1),
     ("DEEP_ARCHIVE", Tier.BULK, 48)],
)  # fmt: skip
def test_an_object_is_restored_read_and_archived_again(rig: Rig, storage_class: str, tier: Tier, hours: int) -> None:
    """At each moment: what it is, what it needs, and what a request, a download and a copy come to."""
    url = put(rig, "k", storage_class)
    archives, engine = rig.server.store.archives, rig.engine
    refused(rig, url)
    with pytest.raises(Archived):
        engine.copy(url, "s3://bucket/copy")
    assert state(rig, url) is State.ARCHIVED
    assert engine.restore(url, days=2, tier=tier) is RestoreAnswer.BEGUN
    assert engine.restore(url, days=2, tier=tier) is RestoreAnswer.UNDER_WAY
    assert state(rig, url) is State.RESTORING
    refused(rig, url)
    archives.advance(hours * HOUR_S)
    assert state(rig, url) is State.RESTORED
    assert engine.download(url, rig.folder / "restored").size == len(BODY)
    assert (rig.folder / "restored").read_bytes() == BODY
    engine.copy(url, "s3://bucket/copy")
    head = engine.head(url)
    now_s = archives.now_s
    until_s = archival(head, now_s=now_s).until_s
    # It stays two days from when it was there, which was at some time in these hours, up to the next midnight.
    assert 2 * DAY_S - hours * HOUR_S <= until_s - now_s <= 3 * DAY_S
    assert next_of(archival(head, now_s=now_s), now_s=now_s) is Next.MOVE
    archives.advance(until_s - now_s - 60)
    assert next_of(archival(engine.head(url), now_s=archives.now_s), now_s=archives.now_s) is Next.EXTEND
    assert engine.restore(url, days=2, tier=tier) is RestoreAnswer.EXTENDED
    archives.advance(2 * DAY_S)
    assert state(rig, url) is State.RESTORED
    archives.advance(2 * DAY_S)
    assert state(rig, url) is State.ARCHIVED
    refused(rig, url)


def test_an_archived_object_is_asked_for_once(rig: Rig) -> None:
    """Waiting seconds does not mend it, so no try is repeated."""
    url = put(rig, "once")
    refused(rig, url)
    assert len(rig.server.requests_for("GetObject", "once")) <= 1


def test_one_of_many_is_archived(rig: Rig) -> None:
    """It fails by its name, and the others arrive."""
    for number in range(20):
        put(rig, f"many/{number:02}", "GLACIER" if number == 7 else "STANDARD")
    results = list(rig.engine.download_many("s3://bucket/many/", rig.folder / "many"))
    assert {result.key: type(result.error) for result in results if result.error} == {"many/07": Archived}
    assert len(results) == 20
    assert len(list((rig.folder / "many").iterdir())) == 19


def test_what_is_in_no_archive_needs_no_restore(rig: Rig) -> None:
    """GLACIER_IR is read as it is; a request to restore it is Unsupported, and so it is for any other class."""
    for storage_class in ("GLACIER_IR", "STANDARD", "STANDARD_IA"):
        url = put(rig, storage_class, storage_class)
        assert state(rig, url) is State.READABLE
        rig.engine.download(url, rig.folder / storage_class)
        with pytest.raises(Unsupported, match="no archive"):
            rig.engine.restore(url, days=1)


def test_an_archive_of_intelligent_tiering_shows_in_head(rig: Rig) -> None:
    """Its class tells nothing; restored it is readable for good."""
    url = put(rig, "tiered", "INTELLIGENT_TIERING", headers={"x-amz-archive-status": "ARCHIVE_ACCESS"})
    archives, engine = rig.server.store.archives, rig.engine
    refused(rig, url)
    assert archival(listed(rig, "tiered")[0], now_s=archives.now_s).state is State.READABLE
    assert archival(engine.head(url), now_s=archives.now_s).state is State.ARCHIVED
    assert engine.restore(url, days=0) is RestoreAnswer.BEGUN
    assert state(rig, url) is State.RESTORING
    archives.advance(5 * HOUR_S)
    assert state(rig, url) is State.READABLE
    engine.download(url, rig.folder / "tiered")


def test_no_capacity_is_told_at_once(rig: Rig) -> None:
    """One request, no retry, and the next request of another tier is answered."""
    url = put(rig, "busy")
    fault = Status(code="GlacierExpeditedRetrievalNotAvailable", operation="RestoreObject")
    rig.server.add_fault(fault)
    with pytest.raises(RetrievalUnavailable):
        rig.engine.restore(url, days=1, tier=Tier.EXPEDITED)
    assert len(rig.server.requests_for("RestoreObject", "busy")) == 1
    assert rig.engine.restore(url, days=1, tier=Tier.STANDARD) is RestoreAnswer.BEGUN


def test_a_lost_answer_is_asked_for_again(rig: Rig) -> None:
    """The request may be repeated: the object is under way, whoever asked for it."""
    url = put(rig, "lost")
    rig.server.add_fault(Status(code="InternalError", operation="RestoreObject", applied=True))
    assert rig.engine.restore(url, days=1) is RestoreAnswer.UNDER_WAY


def test_a_service_that_refuses_the_question_is_listed(rig: Rig) -> None:
    """Without it; the question is put to it once, and HEAD still tells."""
    url = put(rig, "p/a")
    put(rig, "p/b")
    rig.server.add_fault(RefuseHeader(name=ATTRIBUTES))
    rig.engine.restore(url, days=1)
    for _ in range(3):
        assert [(head.key, head.restore) for head in listed(rig, "p/")] == [("p/a", ""), ("p/b", "")]
    assert len([one for one in rig.server.requests if ATTRIBUTES in one.headers]) <= 2  # by both kinds of listings
    assert archival(rig.engine.head(url), now_s=rig.server.store.archives.now_s).state is State.RESTORING


@pytest.mark.parametrize("split", [True, False], ids=["side-by-side", "one-stream"])
def test_many_pages_tell_each_status(rig: Rig, split: bool) -> None:
    """Whether pages are asked for side by side or one after the other; most entries have none."""
    if not split:
        rig.server.add_fault(NoStartAfter(code="SignatureDoesNotMatch"))
    for number in range(600):
        put(rig, f"pages/{number:03}")
    asked = {f"pages/{number:03}" for number in range(0, 600, 45)}
    for key in asked:
        rig.engine.restore(f"s3://bucket/{key}", days=1)
    for ahead in (True, False):
        pages = rig.engine.aio.control.pages("bucket", "pages/", max_keys=20, ahead=ahead, restores=True)
        heads = [head for page in rig.engine.each(pages) for head in page]
        assert len(heads) == 600
        assert {head.key for head in heads if head.restore} == asked


@pytest.mark.parametrize("days", [-1, 1.5, True, 2**31])
def test_days_are_whole_days(rig: Rig, days: int) -> None:
    """Anything else is a mistake of the call, and asks nothing."""
    with pytest.raises(UsageError, match="days"):
        rig.engine.restore("s3://bucket/k", days=days)
    assert rig.server.requests_for("RestoreObject") == []


# moto, which restores at once


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A moto with a bucket."""
    with moto() as running:
        running.client().create_bucket(Bucket="bucket")
        yield running


@pytest.mark.parametrize("transport", ["fast", "sdk"])
def test_moto_restores(server: RunningServer, tmp_path: Path, transport: str) -> None:
    """An implementation that we did not write takes the request, and tells what we read."""
    key = f"archived-{transport}"
    server.client().put_object(Bucket="bucket", Key=key, Body=BODY, StorageClass="DEEP_ARCHIVE")
    url = f"s3://bucket/{key}"
    with running_engine(server.endpoint_url, server.environment(), transport=transport, workers=1) as engine:
        with pytest.raises(Archived):
            engine.download(url, tmp_path / "file")
        head = engine.head(url)
        assert archival(head, now_s=0).state is State.ARCHIVED
        assert engine.restore(url, days=3, tier=Tier.BULK) is RestoreAnswer.BEGUN
        assert engine.restore(url, days=3, tier=Tier.BULK) is RestoreAnswer.EXTENDED
        assert archival(engine.head(url), now_s=0).state is State.RESTORED
        engine.download(url, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == BODY
        pages = engine.each(engine.aio.control.pages("bucket", key, restores=True))
        assert [(one.key, one.storage_class) for page in pages for one in page] == [(key, "DEEP_ARCHIVE")]
