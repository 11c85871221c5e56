"""Syncs that keep the times of files in metadata: on the way up, from there on the way down, and to compare by."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkhaul import Engine
from bulkhaul.errors import UsageError
from bulkhaul.jobs.explain import explain
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.model.preserving import Kept
from tests.engines import keys, running_engine, serving
from tests.faultserver import Status, make_object
from tests.syncing import OURS, THEIRS, Place

TIME_NS = 1_234_567_890_123_456_789
TEXT = "1234567890.123456789"
FUTURE_NS = 4_000_000_000_000_000_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A bucket, a folder, and an engine that keeps times and modes."""
    settings = {"preserve_times": True, "preserve_mode": True}
    with serving() as server, running_engine(server.endpoint_url, keys(), **settings) as engine:
        yield Place(server, engine, tmp_path / "here")


def operations(place: Place, since: int) -> list[str]:
    """Return what the server was asked since so many requests, but for listings."""
    return [one.operation for one in place.server.requests[since:] if one.operation != "ListObjectsV2"]


def test_there_and_back(place: Place, tmp_path: Path) -> None:
    """Times and modes go up and come down; a second run in each direction moves nothing."""
    place.make("a", "deep/b", "empty", body=b"x")
    (place.here / "empty").write_bytes(b"")
    for name in ("a", "deep/b", "empty"):
        os.utime(place.here / name, ns=(TIME_NS, TIME_NS))
    (place.here / "a").chmod(0o640)
    assert len(place.sync(str(place.here), OURS)) == 3
    assert {one.metadata["mtime"] for one in place.server.store.in_bucket("bucket").values()} == {TEXT}
    before = len(place.server.requests)
    assert place.sync(str(place.here), OURS) == []
    assert operations(place, before) == []
    back = tmp_path / "back"
    assert len(place.sync(OURS, str(back))) == 3
    assert {(back / name).stat().st_mtime_ns for name in ("a", "deep/b", "empty")} == {TIME_NS}
    assert stat.S_IMODE((back / "a").stat().st_mode) == 0o640
    counts, before = SyncCounts(), len(place.server.requests)
    assert place.sync(OURS, str(back), counts=counts) == []
    assert (counts.compared, counts.unchanged) == (3, 3)
    assert operations(place, before) == ["HeadObject"] * 3


def test_an_object_that_keeps_no_time(place: Place) -> None:
    """Its file has the time that the listing tells, so the next run asks for nothing."""
    place.put("ours/a")
    assert len(place.sync(OURS, str(place.here))) == 1
    before = len(place.server.requests)
    assert place.sync(OURS, str(place.here)) == []
    assert operations(place, before) == []
    os.utime(place.here / "a", (1, 1))
    [result] = place.sync(OURS, str(place.here))
    assert result.reason == "the file's time is not that of the object"


@pytest.mark.parametrize("change", ["the file", "the object"])
def test_what_was_changed_is_found(place: Place, change: str) -> None:
    """A file with another time than its object keeps, and an object that was stored anew, are different."""
    place.server.store.put("bucket", "ours/a", make_object(b"old", metadata={"mtime": TEXT}))
    assert len(place.sync(OURS, str(place.here))) == 1
    if change == "the file":
        (place.here / "a").write_bytes(b"new")
    else:
        place.server.store.put("bucket", "ours/a", make_object(b"new", metadata={"mtime": "1234567890.124"}))
    [result] = place.sync(OURS, str(place.here))
    assert result.ok
    assert result.reason == "the file's time is not the one that the object keeps"
    assert (place.here / "a").read_bytes() == (b"old" if change == "the file" else b"new")


def test_a_file_of_the_future_goes_up_once(place: Place) -> None:
    """By the listing it is newer than its object for ever; the object keeps its very time, so it is the same."""
    place.make("a")
    os.utime(place.here / "a", ns=(FUTURE_NS, FUTURE_NS))
    assert len(place.sync(str(place.here), OURS)) == 1
    assert place.sync(str(place.here), OURS) == []
    os.utime(place.here / "a", ns=(FUTURE_NS, FUTURE_NS + 1_000_000_000))
    [result] = place.sync(str(place.here), OURS)
    assert result.reason == "the file's time is not the one that the object keeps"


def test_a_file_of_whole_seconds(place: Place) -> None:
    """A file system that cuts times to seconds has the time all the same."""
    place.server.store.put("bucket", "ours/a", make_object(b"x", metadata={"mtime": TEXT}))
    place.make("a")
    os.utime(place.here / "a", (1_234_567_890, 1_234_567_890))
    assert place.sync(OURS, str(place.here)) == []
    os.utime(place.here / "a", (1_234_567_891, 1_234_567_891))
    assert len(place.sync(OURS, str(place.here))) == 1


def test_a_kept_time_of_whole_seconds(place: Place) -> None:
    """A file that was changed in the second that its object keeps goes up again, though its size is the same."""
    place.make("a", body=b"old")
    os.utime(place.here / "a", (4_000_000_000, 4_000_000_000))
    assert len(place.sync(str(place.here), OURS)) == 1
    (place.here / "a").write_bytes(b"new")
    os.utime(place.here / "a", ns=(FUTURE_NS, FUTURE_NS + 789_000_000))
    [result] = place.sync(str(place.here), OURS)
    assert result.reason == "the file's time is not the one that the object keeps"
    assert place.server.store.in_bucket("bucket")["ours/a"].body == b"new"
    assert place.sync(str(place.here), OURS) == []


def test_an_object_that_cannot_be_asked_is_not_equal(place: Place) -> None:
    """What is not known to be the same is moved again."""
    place.server.store.put("bucket", "ours/a", make_object(b"x", metadata={"mtime": TEXT}))
    place.sync(OURS, str(place.here))
    place.server.add_fault(Status(code="AccessDenied", operation="HeadObject"))
    [result] = place.sync(OURS, str(place.here))
    assert "cannot be looked at" in result.reason


def test_bytes_are_compared_where_times_are_kept(place: Place) -> None:
    """``--compare size,mtime,etag`` takes the kept time for the time, and still compares the bytes."""
    place.server.store.put("bucket", "ours/a", make_object(b"old", metadata={"mtime": TEXT}))
    options = SyncOptions(compare="size,mtime,etag")
    place.sync(OURS, str(place.here))
    assert place.sync(OURS, str(place.here), options) == []
    (place.here / "a").write_bytes(b"new")
    os.utime(place.here / "a", ns=(TIME_NS, TIME_NS))
    assert place.sync(OURS, str(place.here)) == []
    [result] = place.sync(OURS, str(place.here), options)
    assert result.reason == "the ETags differ"


def test_copies_compare_what_listings_tell(place: Place) -> None:
    """Between buckets nothing is asked, and what is copied keeps its metadata."""
    at = datetime(2021, 3, 4, tzinfo=UTC)
    stored = replace(make_object(b"x", metadata={"mtime": TEXT}), last_modified=at)
    place.server.store.put("bucket", "ours/a", stored)
    options = SyncOptions(preserve=frozenset({Kept.TIMESTAMPS}))
    assert len(place.sync(OURS, THEIRS, options)) == 1
    assert place.server.store.in_bucket("bucket")["theirs/a"].metadata == {"mtime": TEXT}
    before = len(place.server.requests)
    assert place.sync(OURS, THEIRS) == []
    assert operations(place, before) == []


def test_it_is_explained(place: Place) -> None:
    """``--explain`` asks as the sync does."""
    place.server.store.put("bucket", "ours/a", make_object(b"x", metadata={"mtime": TEXT}))
    place.sync(OURS, str(place.here))

    def explained(engine: Engine) -> tuple[str, str]:
        told = engine.run(explain, engine.aio, engine.aio, OURS, str(place.here), "a", SyncOptions())
        return str(told.action), told.rule

    assert explained(place.engine) == ("skip", "comparison")
    os.utime(place.here / "a", (7, 7))
    assert explained(place.engine) == ("download", "comparison")


def test_what_only_copies_preserve_is_refused(place: Place) -> None:
    """Of uploads and downloads it is no option, and nothing is passed over."""
    place.put("ours/a")
    with pytest.raises(UsageError, match=r"only copies between buckets preserve timestamps .*preserve_times"):
        place.sync(OURS, str(place.here), SyncOptions(preserve=frozenset({Kept.TIMESTAMPS})))
