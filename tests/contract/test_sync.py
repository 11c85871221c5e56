"""Syncs in every direction: what is moved and what is not, names and places that meet, order, and what is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from bulkhaul.disk.folder import DestinationTree
from bulkhaul.errors import OtherError, UsageError
from bulkhaul.jobs.explain import explain
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.syncing import sync, sync_async
from bulkhaul.model.rows import Action
from bulkhaul.model.settings import Settings
from bulkhaul.policy.comparison import Entry
from bulkhaul.testing.faultserver.faults import Delivery
from bulkhaul.testing.faultserver.http1 import Reply
from tests.engines import running_engine, serving
from tests.faultserver import Exchange, Fault, RawBody, make_object
from tests.syncing import DELETE, OURS, THEIRS, Place, told


@dataclass(frozen=True, kw_only=True)
class HeldPages(Fault):
    """Holds every page of a listing but the first, until an event."""

    operation: str | None = "ListObjectsV2"
    attempt: int | Literal["every"] = "every"
    until: threading.Event

    def addresses(self, exchange: Exchange) -> bool:
        """Take what begins later."""
        later = exchange.request.query.keys() & {"start-after", "continuation-token"}
        return bool(later) and super().addresses(exchange)

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Send nothing of the body before the event."""
        return replace(delivery, pause=(0, self.until))


def test_the_first_page_is_moved_before_the_next_one_is_there(place: Place) -> None:
    """Nothing waits for the end of the listings: the first object is there while they are held up."""
    place.put(*(f"ours/{number:04}" for number in range(2500)))
    listed = threading.Event()
    place.server.add_fault(HeldPages(key="ours/", until=listed))
    results = sync(place.engine, OURS, str(place.here))
    first = next(results)
    assert first.ok
    assert not listed.is_set()
    listed.set()
    assert sum(one.ok for one in results) == 2499


@pytest.mark.parametrize("direction", ["down", "up", "copy"])
def test_a_second_run_moves_nothing(place: Place, direction: str) -> None:
    """What one run has moved is equal for the next one, whose requests are listings alone."""
    names = ["a", "a.b", "deep/er/c", "é"]
    source, destination = OURS, THEIRS
    if direction == "up":
        place.make(*names)
        source = str(place.here)
    else:
        place.put(*(f"ours/{name}" for name in names))
    if direction == "down":
        destination = str(place.here)
    assert len(place.sync(source, destination)) == len(names)
    counts, before = SyncCounts(), len(place.server.requests)
    assert place.sync(source, destination, counts=counts) == []
    assert (counts.compared, counts.unchanged) == (len(names), len(names))
    assert {one.operation for one in place.server.requests[before:]} == {"ListObjectsV2"}


def test_a_download_gets_the_time_of_its_object(place: Place) -> None:
    """That is how the next run knows it again; a file that was changed here since is replaced."""
    at = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)
    place.server.store.put("bucket", "ours/a", replace(make_object(b"there"), last_modified=at))
    place.sync(OURS, str(place.here))
    assert os.stat(place.here / "a").st_mtime == at.timestamp()
    (place.here / "a").write_bytes(b"HERE!")
    [result] = place.sync(OURS, str(place.here))
    assert "time" in result.reason
    assert (place.here / "a").read_bytes() == b"there"


@pytest.mark.parametrize("compare", ["etag", "checksum", "size,mtime,checksum"])
@pytest.mark.parametrize("direction", ["down", "up", "copy"])
def test_the_same_size_with_other_bytes(place: Place, direction: str, compare: str) -> None:
    """Bytes that changed without size or time are found where bytes are compared."""
    place.put("ours/a", "ours/b", "theirs/a", body=b"old")
    place.put("theirs/b", body=b"new")
    source, destination = OURS, THEIRS
    if direction != "copy":
        place.sync(OURS if direction == "down" else THEIRS, str(place.here))
        if direction == "down":
            kept = os.stat(place.here / "b")
            (place.here / "b").write_bytes(b"new")
            os.utime(place.here / "b", ns=(kept.st_mtime_ns, kept.st_mtime_ns))
            destination = str(place.here)
        else:
            source, destination = str(place.here), OURS
    assert place.sync(source, destination) == []
    [result] = place.sync(source, destination, SyncOptions(compare=compare))
    assert (result.source.rpartition("/")[2], result.ok) == ("b", True)
    assert place.sync(source, destination, SyncOptions(compare=compare)) == []


def test_no_checksum_is_not_equal(place: Place) -> None:
    """What cannot be decided is different, and the reason says so."""
    for key in ("ours/a", "theirs/a"):
        place.server.store.put("bucket", key, make_object(b"x"))
    [result] = place.sync(OURS, THEIRS, SyncOptions(compare="checksum", dry_run=True))
    assert "cannot tell" in result.reason


def test_names_that_cannot_be_files(place: Place) -> None:
    """A key that needs a file for a folder fails by name, and so does one that leads out; the rest goes on."""
    place.put("ours/a", "ours/a/b", "ours/a.b", "ours/../up", "ours/c//d", "ours/folder/", body=b"")
    for _ in range(2):
        results = place.sync(OURS, str(place.here))
        failed = {one.key for one in results if one.failure}
        assert failed == {"ours/a/b", "ours/../up", "ours/c//d"}
        assert {one.failure.code for one in results if one.failure} == {"UnsafeKey"}
    assert place.files() == ["a", "a.b"]
    assert not (place.here.parent / "up").exists()


def test_folders_and_what_marks_them(place: Place) -> None:
    """With markers an empty folder comes of each, and goes up as one; a second run finds both there."""
    place.put("ours/full/x", "ours/full/", "ours/vacant/", body=b"")
    markers = SyncOptions(dir_markers=True, delete=True)
    place.sync(OURS, str(place.here), SyncOptions())
    assert not (place.here / "vacant").exists()
    assert told(place.sync(OURS, str(place.here), markers)) == [("download", "")]
    assert (place.here / "vacant").is_dir()
    assert place.sync(OURS, str(place.here), markers) == []
    place.sync(str(place.here), THEIRS, markers)
    assert place.keys("theirs/") == ["full/x", "vacant/"]
    assert place.sync(str(place.here), THEIRS, markers) == []
    (place.here / "vacant").rmdir()
    assert place.sync(str(place.here), THEIRS, SyncOptions(delete=True)) == []
    assert [one.key for one in place.sync(str(place.here), THEIRS, markers)] == ["theirs/vacant/"]


def test_a_marked_folder_stays_when_it_becomes_empty(place: Place) -> None:
    """Deletions leave the folders that the source marks, and a second run finds nothing to do."""
    place.put("ours/a/b/", "ours/kept", body=b"")
    place.make("a/b/x/y", "a/b/z", "c/x")
    markers = SyncOptions(dir_markers=True, delete=True)
    place.sync(OURS, str(place.here), markers)
    assert sorted(str(path.relative_to(place.here)) for path in place.here.rglob("*")) == ["a", "a/b", "kept"]
    assert place.sync(OURS, str(place.here), markers) == []


@pytest.mark.parametrize(("source", "destination"), [("", "in/"), ("in/", "")])
def test_one_side_inside_of_the_other(place: Place, source: str, destination: str) -> None:
    """What lies on both sides is neither copied again nor deleted, however often it is run."""
    place.put("a", "in/b", "in/c")
    for _ in range(2):
        place.sync(f"s3://bucket/{source}", f"s3://bucket/{destination}", DELETE)
    expected = {"": ["a", "in/a"], "in/": ["b", "c", "in/b", "in/c"]}[source]
    assert place.keys("") == expected


def test_no_two_places(place: Place) -> None:
    """A place is not synced with itself, nor a folder with a folder."""
    with pytest.raises(UsageError, match="one place"):
        place.sync(OURS, "s3://bucket/ours")
    with pytest.raises(UsageError, match="both local"):
        place.sync("a", "b")


def test_links_of_a_source(place: Place, tmp_path: Path) -> None:
    """Links are followed, or left out, and then what their names stand for is not deleted."""
    place.make("a")
    (place.here / "link").symlink_to("a")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"x")
    (place.here / "linked").symlink_to(tmp_path / "outside")
    assert told(place.sync(str(place.here), THEIRS)) == [("upload", "a"), ("upload", "link"), ("upload", "x")]
    results = place.sync(str(place.here), THEIRS, SyncOptions(delete=True, follow_symlinks=False))
    assert sorted(one.source.rpartition("/")[2] for one in results if one.skipped) == ["link", "linked"]
    assert place.keys("theirs/") == ["a", "link", "linked/x"]


def test_another_account_or_endpoint(place: Place) -> None:
    """Between two services the bytes pass through this machine, and the comparison is the same."""
    url = place.server.endpoint_url
    with serving() as elsewhere, running_engine(url, part_size_bytes=None) as engine:
        elsewhere.store.put("bucket", "ours/a", make_object(b"afar"))
        origin = engine.beside(Settings(endpoint_url=elsewhere.endpoint_url))
        for expected in ([None], []):
            assert [one.failure for one in sync(engine, OURS, OURS, origin=origin)] == expected
    stored = place.server.store.get("bucket", "ours/a")
    assert stored is not None
    assert stored.body == b"afar"


def test_a_source_that_lies_in_the_destination_under_another_name(place: Place) -> None:
    """The same server by another host name: what is copied is not deleted as what only the destination has."""
    place.put("src/a", "src/b", "z")
    with running_engine(place.server.endpoint_url, part_size_bytes=None) as engine:
        origin = engine.beside(Settings(endpoint_url=place.server.endpoint_url.replace("127.0.0.1", "localhost")))
        with pytest.raises(OtherError, match="SRC seems to lie in DEST under another name"):
            list(sync(engine, "s3://bucket/src/", "s3://bucket/", DELETE, origin=origin))
    assert place.keys("") == ["a", "b", "src/a", "src/b", "z"]


def test_a_file_system_that_folds_case(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys that would be one file there: the first has it, the second fails by name, and nothing is deleted."""
    monkeypatch.setattr(DestinationTree, "folds_case", lambda _: True)
    place.put("ours/Notes", body=b"first")
    place.put("ours/notes", "ours/x/É", "ours/x/e\u0301", body=b"second")
    place.make("extra")
    results, error = place.failing(OURS, str(place.here))
    assert {one.key for one in results if one.failure} == {"ours/notes", "ours/x/É"}
    assert "because 2 failed" in str(error)
    assert place.files() == ["Notes", "extra", "x/e\u0301"]
    assert (place.here / "Notes").read_bytes() == b"first"


def test_a_dry_run_that_is_left_early_lets_go_of_its_listings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its results are closed, no listing is under way any more."""
    ended: list[str] = []

    async def endless(_root: str, *_: object, **__: object) -> AsyncGenerator[list[Entry], None]:
        try:
            yield [Entry("a", 1, 1), Entry("b", 1, 1)]
            await asyncio.Event().wait()
        finally:
            ended.append("source")

    monkeypatch.setattr("bulkhaul.jobs.comparing.file_pages", endless)

    async def first() -> list[str]:
        dry = SyncOptions(dry_run=True)
        async with contextlib.aclosing(sync_async(place.engine.aio, str(place.here), THEIRS, dry)) as results:
            assert (await anext(results)).key == "theirs/a"
        return list(ended)

    assert place.engine.run(first) == ["source"]


# Order


def listing(*keys: str) -> bytes:
    """Return a page that lists keys in this order."""
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    head = f"<Name>bucket</Name><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>"
    return f'<?xml version="1.0"?><ListBucketResult>{head}{rows}</ListBucketResult>'.encode()


def test_a_listing_out_of_order(place: Place) -> None:
    """A service that lists in no order is compared as any other."""
    place.put("ours/b", "ours/a", "theirs/a", "theirs/b", "theirs/c")
    page = listing("theirs/c", "theirs/a", "theirs/b")
    place.server.add_fault(RawBody(body=page, operation="ListObjectsV2", key="theirs/", attempt="every", times=1))
    results = place.sync(OURS, THEIRS, SyncOptions(delete=True, dry_run=True, compare="size"))
    assert [(one.action, one.key) for one in results] == [(Action.DELETE, "theirs/c")]


# Telling


def test_a_dry_run_tells_everything_and_does_nothing(place: Place) -> None:
    """Each action is told with its reason, and neither side is touched."""
    place.put("ours/a", "ours/b", "ours/../up", body=b"long")
    place.make("b", "extra")
    before = {path: os.stat(path) for path in place.here.rglob("*")}
    options = SyncOptions(delete=True, dry_run=True, exclude=("..*",))
    results = place.sync(OURS, str(place.here), options)
    assert [(one.action, one.reason.split(":")[0]) for one in results] == [
        (Action.DOWNLOAD, "it is not at the destination"),
        (Action.DOWNLOAD, "the sizes differ"),
        (Action.DELETE, "it is not at the source"),
    ]
    after = {path: os.stat(path) for path in place.here.rglob("*")}
    assert {path: (one.st_ino, one.st_mtime_ns) for path, one in before.items()} == {
        path: (one.st_ino, one.st_mtime_ns) for path, one in after.items()
    }
    place.sync(OURS, str(place.here / "new"), SyncOptions(dry_run=True))
    assert not (place.here / "new").exists()
    assert all(stat.S_ISREG(one.st_mode) for one in after.values())


@pytest.mark.parametrize(
    ("key", "action", "rule", "reason"),
    [
        ("same", "skip", "comparison", "alike"),
        ("longer", "download", "comparison", "sizes differ"),
        ("new", "download", "presence", "not at the destination"),
        ("s3://bucket/ours/new", "download", "presence", "not at the destination"),
        ("extra", "delete", "deletion", "not at the source"),
        ("x.tmp", "skip", "filter", "--exclude '*.tmp'"),
        ("../up", "skip", "name", '".." segment'),
        ("folder/", "skip", "name", "--dir-markers"),
        ("none", "skip", "presence", "neither side"),
    ],
)
def test_the_rule_that_decides(place: Place, key: str, action: str, rule: str, reason: str) -> None:
    """One key is explained by the rule that decides about it."""
    place.put("ours/same", "ours/longer", "ours/new", "ours/x.tmp", "ours/../up", "ours/folder/")
    place.sync(OURS, str(place.here), SyncOptions(include=("same", "longer")))
    place.put("ours/longer", body=b"more")
    place.make("extra")
    options = SyncOptions(delete=True, exclude=("*.tmp",))
    aio = place.engine.aio
    told = place.engine.run(explain, aio, aio, OURS, str(place.here), key, options)
    assert (told.action, told.rule) == (action, rule)
    assert reason in told.reason


@pytest.mark.parametrize(
    ("key", "action", "rule"),
    [
        ("linked/x", "skip", "presence"),
        ("linked/y", "skip", "presence"),
        ("linked", "skip", "presence"),
        ("a", "upload", "presence"),
        ("extra", "delete", "deletion"),
    ],
)
def test_what_is_explained_behind_a_link_is_what_is_done(
    place: Place, tmp_path: Path, key: str, action: str, rule: str
) -> None:
    """What lies behind a link that is not followed is neither uploaded nor deleted, and that is what is told."""
    place.make("a")
    place.put("theirs/linked/x", "theirs/linked/y", "theirs/extra", body=b"other")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"x")
    (place.here / "linked").symlink_to(tmp_path / "outside")
    options = SyncOptions(delete=True, follow_symlinks=False)
    aio = place.engine.aio
    said = place.engine.run(explain, aio, aio, str(place.here), THEIRS, key, options)
    assert (said.action, said.rule) == (action, rule)
    did = {one.source.rpartition("/")[2]: one.action for one in place.sync(str(place.here), THEIRS, options)}
    assert did.get(key.rpartition("/")[2], Action.SKIP) == action


def test_a_link_at_the_destination_is_explained(place: Place, tmp_path: Path) -> None:
    """What lies behind it is not what the destination has."""
    place.put("ours/a")
    place.here.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"x")
    (place.here / "linked").symlink_to(tmp_path / "outside")
    aio = place.engine.aio
    said = place.engine.run(explain, aio, aio, OURS, str(place.here), "linked/x", DELETE)
    assert (said.action, said.rule) == (Action.SKIP, "deletion")


def test_a_key_below_another_one_is_explained(place: Place) -> None:
    """It cannot be a file where the other is one, unless that is left out."""
    place.put("ours/a", "ours/a/b")
    aio = place.engine.aio
    said = place.engine.run(explain, aio, aio, OURS, str(place.here), "a/b", SyncOptions())
    assert (said.action, said.rule) == (Action.SKIP, "name")
    assert "the key 'ours/a' is a file" in said.reason
    said = place.engine.run(explain, aio, aio, OURS, str(place.here), "a/b", SyncOptions(include=("a/*",)))
    assert (said.action, said.rule) == (Action.DOWNLOAD, "presence")


def test_a_whole_side_is_not_explained(place: Place) -> None:
    """One key is asked for, also where an object marks the folder."""
    place.put("ours/", body=b"")
    aio = place.engine.aio
    for key in ("", OURS):
        with pytest.raises(UsageError, match="name one key"):
            place.engine.run(explain, aio, aio, OURS, str(place.here), key, SyncOptions())
