"""Syncs that meet trouble: what cannot be looked at is never deleted, and nothing is while anything is in doubt."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from bulkhaul import Engine
from bulkhaul.errors import OtherError, TransferError, UsageError
from bulkhaul.jobs.explain import explain
from bulkhaul.jobs.sync import sync, sync_async
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.model.results import RowResult
from bulkhaul.model.rows import Action
from bulkhaul.model.settings import Settings
from tests.engines import running_engine, serving
from tests.faultserver import Exchange, Fault, FaultServer, RawBody, Status, make_object
from tests.faultserver.faults import Delivery
from tests.faultserver.http1 import Reply
from tests.faultserver.replies import error_reply

DELETE = SyncOptions(delete=True)
OURS, THEIRS = "s3://bucket/ours/", "s3://bucket/theirs/"


@dataclass
class Place:
    """A server, an engine that asks it, and a folder that does not exist yet."""

    server: FaultServer
    engine: Engine
    here: Path

    def put(self, *keys: str, body: bytes = b"x") -> None:
        """Store objects."""
        for key in keys:
            self.server.store.put("bucket", key, make_object(body, algorithm="CRC32"))

    def make(self, *names: str, body: bytes = b"x") -> None:
        """Make files, older than any object."""
        for name in names:
            path = self.here / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            os.utime(path, (1, 1))

    def keys(self, prefix: str) -> list[str]:
        """Return what is stored below a prefix."""
        found = self.server.store.in_bucket("bucket")
        return sorted(key.removeprefix(prefix) for key in found if key.startswith(prefix))

    def files(self) -> list[str]:
        """Return the files in the folder."""
        return sorted(str(path.relative_to(self.here)) for path in self.here.rglob("*") if not path.is_dir())

    def sync(
        self, source: str, destination: str, options: SyncOptions | None = None, counts: SyncCounts | None = None
    ) -> list[RowResult]:
        """Sync, and return the results."""
        return list(sync(self.engine, source, destination, options, counts=counts))

    def failing(self, source: str, destination: str) -> tuple[list[RowResult], OtherError]:
        """Sync with deletions, which must fail in the end; return what was told before, and the error."""
        seen: list[RowResult] = []
        try:
            for one in sync(self.engine, source, destination, DELETE):
                seen.append(one)  # noqa: PERF402 - what came before the error counts
        except OtherError as error:
            return seen, error
        raise AssertionError("it did not fail")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FaultServer, Engine]]:
    """A server and an engine that asks it, for all tests of this module."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        yield server, engine


@pytest.fixture
def place(served: tuple[FaultServer, Engine], tmp_path: Path) -> Place:
    """An empty bucket, and a folder of its own."""
    server, engine = served
    for key in server.store.in_bucket("bucket"):
        server.store.delete("bucket", key)
    return Place(server, engine, tmp_path / "here")


def told(results: list[RowResult]) -> list[tuple[str, str]]:
    """Return what was done with which key or file."""
    return sorted((str(one.action), (one.source or one.destination).rpartition("/")[2]) for one in results)


def lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every folder of this name refuse to be read, whoever runs the tests."""
    opening = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("/locked"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return opening(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr("os.open", refuse)


@dataclass(frozen=True, kw_only=True)
class NoSecondPage(Fault):
    """Refuses every page of a listing but the first."""

    operation: str | None = "ListObjectsV2"

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer what begins later."""
        if exchange.request.query.keys() & {"start-after", "continuation-token"}:
            return error_reply(403, "AccessDenied", "no more", exchange.request.key, {})
        return None


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


# Deletions


def test_what_only_the_destination_has_goes_last(place: Place) -> None:
    """Everything is moved before anything is deleted, in the order of rows."""
    place.put("ours/z", "theirs/a")
    results = place.sync(OURS, THEIRS, DELETE)
    assert [(one.action, one.key) for one in results] == [(Action.COPY, "theirs/z"), (Action.DELETE, "theirs/a")]
    assert all(one.ok for one in results)
    assert place.keys("theirs/") == ["z"]


def test_a_folder_that_cannot_be_read_is_not_missing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local folder that refuses fails by name, and no object is deleted, below it or anywhere."""
    place.make("a", "locked/x", "locked.b")
    place.put("theirs/a", "theirs/locked/x", "theirs/locked/y", "theirs/extra")
    lock(monkeypatch)
    seen, error = place.failing(str(place.here), THEIRS)
    assert "nothing was deleted" in str(error)
    assert f"{place.here}/locked" in str(error)
    assert [one.source for one in seen if one.failure] == [f"{place.here}/locked/"]
    assert place.keys("theirs/") == ["a", "extra", "locked.b", "locked/x", "locked/y"]


def test_an_excluded_folder_need_not_be_readable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is excluded altogether does not matter, and is not deleted either."""
    place.make("a", "locked/x")
    place.put("theirs/locked/x", "theirs/extra")
    lock(monkeypatch)
    results = place.sync(str(place.here), THEIRS, SyncOptions(delete=True, exclude=("locked/*",)))
    assert told(results) == [("delete", "extra"), ("upload", "a")]
    assert place.keys("theirs/") == ["a", "locked/x"]


def test_a_folder_that_cannot_be_read_hides_what_filters_take(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that no pattern takes may hold what one takes."""
    place.make("a.b", "locked/x.b")
    place.put("theirs/locked/x.b", "theirs/extra.b")
    lock(monkeypatch)
    with pytest.raises(OtherError, match=r"nothing was deleted.*locked"):
        place.sync(str(place.here), THEIRS, SyncOptions(delete=True, include=("*.b",)))
    assert place.keys("theirs/") == ["a.b", "extra.b", "locked/x.b"]


def test_a_destination_folder_that_cannot_be_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything deleted here when part of the destination could not be looked at."""
    place.put("ours/a")
    place.make("locked/x", "extra")
    lock(monkeypatch)
    with pytest.raises(OtherError, match=r"nothing was deleted.*locked"):
        place.sync(OURS, str(place.here), DELETE)
    assert place.files() == ["a", "extra", "locked/x"]


@pytest.mark.parametrize("broken", ["from", "to"])
def test_a_listing_that_fails_midway(place: Place, broken: str) -> None:
    """A listing that breaks off is an error; nothing is deleted, and the error says so."""
    prefix = f"broken-{broken}/"
    source, destination = (prefix, "theirs/") if broken == "from" else ("ours/", prefix)
    place.put(*(f"{prefix}{number:04}" for number in range(1500)), f"{source}b", f"{destination}extra")
    fault = NoSecondPage(key=prefix)
    place.server.add_fault(fault)
    with pytest.raises(TransferError, match="nothing was deleted"):
        place.sync(f"s3://bucket/{source}", f"s3://bucket/{destination}", DELETE)
    assert place.server.fired(fault)
    assert "extra" in place.keys(destination)


def test_a_transfer_that_fails(place: Place) -> None:
    """One failed transfer withholds all deletions: what replaces them may not be there."""
    place.put("ours/a", "ours/bad", "theirs/extra")
    place.server.add_fault(Status(code="AccessDenied", operation="CopyObject", key="theirs/bad", attempt="every"))
    place.server.add_fault(Status(code="AccessDenied", operation="GetObject", key="ours/bad", attempt="every"))
    seen, error = place.failing(OURS, THEIRS)
    assert "nothing was deleted (1 would be), because 1 failed" in str(error)
    assert [(one.key, one.ok) for one in seen if not one.ok] == [("theirs/bad", False)]
    assert place.keys("theirs/") == ["a", "extra"]


@pytest.mark.parametrize(("limit", "expected"), [("1", False), ("2", True), ("49%", False), ("50%", True)])
def test_no_more_than_was_allowed(place: Place, limit: str, expected: bool) -> None:
    """More deletions than the limit are none at all, and the message says how many and what to type."""
    place.put("ours/a", "ours/b", "theirs/a", "theirs/b", "theirs/x", "theirs/y")
    options = SyncOptions(delete=True, max_delete=limit)
    if expected:
        place.sync(OURS, THEIRS, options)
    else:
        with pytest.raises(OtherError, match=r"2 of 4.*give --max-delete 2"):
            place.sync(OURS, THEIRS, options)
    assert place.keys("theirs/") == (["a", "b"] if expected else ["a", "b", "x", "y"])


def test_an_empty_source(place: Place) -> None:
    """A source in which nothing is found deletes nothing, unless that is asked for in so many words."""
    place.put("theirs/a", "theirs/b")
    with pytest.raises(OtherError, match=r"the source is empty.*--max-delete 2"):
        place.sync("s3://bucket/mistyped/", THEIRS, DELETE)
    assert place.keys("theirs/") == ["a", "b"]
    place.sync("s3://bucket/mistyped/", THEIRS, SyncOptions(delete=True, max_delete="2"))
    assert place.keys("theirs/") == []


def test_an_object_that_was_replaced_stays(place: Place) -> None:
    """What is deleted is what was listed: an object that was written meanwhile is another one."""
    place.put("ours/a", "theirs/extra")

    async def replacing() -> list[RowResult]:
        found = []
        async with contextlib.aclosing(sync_async(place.engine.aio, OURS, THEIRS, DELETE)) as results:
            async for one in results:
                found.append(one)
                if one.action is Action.COPY:  # the listings have ended, and nothing is deleted before it is taken
                    place.put("theirs/extra", body=b"new")
        return found

    copied, deleted = place.engine.run(replacing)
    assert copied.ok
    assert deleted.failure is not None
    assert deleted.failure.code == "PreconditionFailed"
    assert place.keys("theirs/") == ["a", "extra"]


def test_links_at_the_destination_are_left_alone(place: Place, tmp_path: Path) -> None:
    """Neither a link nor what it leads to is deleted, and a folder behind one is not looked into."""
    place.put("ours/a")
    place.make("extra")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (place.here / "link").symlink_to(tmp_path / "outside")
    (place.here / "dangling").symlink_to("nowhere")
    os.mkfifo(place.here / "fifo")
    results = place.sync(OURS, str(place.here), DELETE)
    assert [(one.action, one.ok) for one in results] == [(Action.DOWNLOAD, True), (Action.DELETE, True)]
    assert sorted(os.listdir(place.here)) == ["a", "dangling", "fifo", "link"]
    assert os.listdir(tmp_path / "outside") == ["kept"]


# What is moved


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
