"""Deletions of syncs: what cannot be looked at is never deleted, and nothing is while anything is in doubt."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkhaul.errors import OtherError, TransferError
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.jobs.syncing import sync_async
from bulkhaul.model.results import RowResult
from bulkhaul.model.rows import Action
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import error_reply
from tests.faultserver import Exchange, Fault, Status
from tests.syncing import DELETE, OURS, THEIRS, Place, told


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


@pytest.mark.parametrize(("exclude", "fails"), [([], True), (["bad*"], False)])
def test_a_folder_whose_name_can_be_no_key_hides_what_filters_take(
    place: Place, exclude: list[str], fails: bool
) -> None:
    """Nobody looks into it, so that it fails by name unless all below it is excluded."""
    place.make("a.txt")
    os.makedirs(os.fsencode(place.here) + b"/bad\xff")
    results = place.sync(str(place.here), OURS, SyncOptions(include=["*.txt"], exclude=exclude))
    assert sorted(one.ok for one in results) == ([False, True] if fails else [True])
    assert place.keys("ours/") == ["a.txt"]


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


def test_a_file_in_the_place_of_a_folder(place: Place) -> None:
    """It is deleted although what needs the folder has failed for it, and the next run stores that."""
    place.put("ours/a/b", "ours/a/c", "ours/d")
    place.make("a", "a.b", "extra")
    results = place.sync(OURS, str(place.here), DELETE)
    assert sorted(one.key for one in results if one.failure) == ["ours/a/b", "ours/a/c"]
    assert all("run it again" in one.failure.message for one in results if one.failure)
    assert place.files() == ["d"]
    assert all(one.ok for one in place.sync(OURS, str(place.here), DELETE))
    assert place.files() == ["a/b", "a/c", "d"]
    assert place.sync(OURS, str(place.here), DELETE) == []


@pytest.mark.parametrize("options", [SyncOptions(delete=True, exclude=("a",)), SyncOptions()])
def test_a_file_in_the_place_of_a_folder_that_stays(place: Place, options: SyncOptions) -> None:
    """What is in the way and is not deleted itself withholds all deletions, as any failure does."""
    place.put("ours/a/b")
    place.make("a", "extra")
    with pytest.raises(OtherError, match="because 1 failed") if options.delete else contextlib.nullcontext():
        place.sync(OURS, str(place.here), options)
    assert place.files() == ["a", "extra"]


def test_a_file_in_the_place_of_a_folder_and_another_failure(place: Place) -> None:
    """Nothing is deleted while anything else fails."""
    place.put("ours/a/b", "ours/bad")
    place.make("a", "extra")
    place.server.add_fault(Status(code="AccessDenied", operation="GetObject", key="ours/bad", attempt="every"))
    _, error = place.failing(OURS, str(place.here))
    assert "because 1 failed" in str(error)
    assert place.files() == ["a", "extra"]


def test_a_folder_in_the_place_of_a_file(place: Place) -> None:
    """It stays with all that is in it, and the message says what to do."""
    place.put("ours/a")
    place.make("a/x")
    seen, _ = place.failing(OURS, str(place.here))
    assert ["a folder is in the place of the file; remove it" in str(one.failure) for one in seen] == [True]
    assert place.files() == ["a/x"]


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


def test_a_source_that_holds_the_destination_and_nothing_else(place: Place) -> None:
    """What lies in the destination is nothing that the source has, so such a source is an empty one."""
    place.put("in/a", "in/in/b")
    with pytest.raises(OtherError, match=r"the source is empty"):
        place.sync("s3://bucket/", "s3://bucket/in/", DELETE)
    assert place.keys("") == ["in/a", "in/in/b"]


def test_a_source_of_nothing_but_what_is_left_out(place: Place) -> None:
    """Markers of folders, and links that are not followed, are nothing that the source has, either."""
    place.put("theirs/a", "marked/x/", body=b"")
    place.make("kept")
    with pytest.raises(OtherError, match=r"the source is empty"):
        place.sync("s3://bucket/marked/", str(place.here), DELETE)
    assert place.files() == ["kept"]
    (place.here / "link").symlink_to("kept")
    (place.here / "kept").unlink()
    with pytest.raises(OtherError, match=r"the source is empty"):
        place.sync(str(place.here), THEIRS, SyncOptions(delete=True, follow_symlinks=False))
    assert place.keys("theirs/") == ["a"]


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
