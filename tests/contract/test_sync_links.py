"""Syncs that store links: up, down and up again, with deletions that know them, and never out of the destination."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.explain import explain
from bulkhaul.jobs.places import sides_of
from bulkhaul.jobs.sync_deletions import SyncDeletions
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from tests.engines import keys, running_engine, serving
from tests.faultserver import make_object
from tests.syncing import DELETE, OURS, THEIRS, Place, told

LINKS = {"a-link": "a", "deep/up": "../a", "deep/x": "nowhere", "folder": "deep"}
FILES = ["a", "a-link-1", "a-link.b", "deep/file", "deep/x.bin"]
STORED = sorted([*FILES, *(f"{name}.rclonelink" for name in LINKS)])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A bucket, a folder, and an engine that stores links."""
    with serving() as server, running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        yield Place(server, engine, tmp_path / "here")


def make_tree(place: Place) -> None:
    """Make files, and links whose names sort otherwise than those of their objects."""
    place.make(*FILES)
    for name, target in LINKS.items():
        link(place, name, target)


def link(place: Place, name: str, target: str) -> None:
    """Make a link that is older than any object."""
    path = place.here / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    os.utime(path, (1, 1), follow_symlinks=False)


def links(folder: Path) -> dict[str, str]:
    """Return every link below a folder and where it leads."""
    return {str(path.relative_to(folder)): os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}


def files(folder: Path) -> list[str]:
    """Return every file below a folder that is no link, by its own path."""
    found = (Path(top, name) for top, _, names in os.walk(folder) for name in names)
    return sorted(str(path.relative_to(folder)) for path in found if not path.is_symlink())


def body(place: Place, key: str) -> bytes:
    """Return what an object holds."""
    return place.server.store.in_bucket("bucket")[key].body


def test_there_and_back(place: Place, tmp_path: Path) -> None:
    """Links go up as what they are and come down so; a second run in each direction moves and deletes nothing."""
    make_tree(place)
    assert len(place.sync(str(place.here), OURS, DELETE)) == len(STORED)
    assert place.keys("ours/") == STORED
    assert {name: body(place, f"ours/{name}.rclonelink").decode() for name in LINKS} == LINKS
    back = tmp_path / "back"
    assert all(one.ok for one in place.sync(OURS, str(back), DELETE))
    assert (links(back), files(back)) == (LINKS, FILES)
    for source, destination in ((str(place.here), OURS), (OURS, str(back))):
        for compare in ("size,mtime", "size", "etag", "checksum"):
            counts = SyncCounts()
            options = SyncOptions(delete=True, compare=compare)
            assert place.sync(source, destination, options, counts=counts) == []
            assert (counts.compared, counts.unchanged) == (len(STORED), len(STORED))


@pytest.mark.parametrize("compare", ["size,mtime", "etag", "checksum"])
def test_a_link_that_leads_elsewhere(place: Place, tmp_path: Path, compare: str) -> None:
    """It is stored anew, though its target is as long, and made anew at the other end."""
    link(place, "l", "aa")
    back, options = tmp_path / "back", SyncOptions(compare=compare)
    place.sync(str(place.here), OURS)
    key = "ours/l.rclonelink"
    stored = place.server.store.in_bucket("bucket")[key]
    place.server.store.put("bucket", key, replace(stored, last_modified=datetime(2021, 3, 4, tzinfo=UTC)))
    place.sync(OURS, str(back))
    (place.here / "l").unlink()
    (place.here / "l").symlink_to("bb")
    if compare == "size,mtime":
        os.utime(place.here / "l", (4e9, 4e9), follow_symlinks=False)
    assert told(place.sync(str(place.here), OURS, options)) == [("upload", "l")]
    assert told(place.sync(OURS, str(back), options)) == [("download", "l.rclonelink")]
    assert links(back) == {"l": "bb"}


def test_deletions_know_links(place: Place, tmp_path: Path) -> None:
    """What only the destination has goes, its links too; what a link leads to stays."""
    make_tree(place)
    back = tmp_path / "back"
    place.sync(str(place.here), OURS)
    place.sync(OURS, str(back))
    (place.here / "folder").unlink()
    (place.here / "deep" / "up").unlink()
    gone = ["folder.rclonelink", "deep/up.rclonelink"]
    assert sorted(one.key for one in place.sync(str(place.here), OURS, DELETE)) == sorted(f"ours/{one}" for one in gone)
    assert told(place.sync(OURS, str(back), DELETE)) == [("delete", "folder"), ("delete", "up")]
    assert links(back) == {name: target for name, target in LINKS.items() if f"{name}.rclonelink" not in gone}
    assert files(back) == FILES


def test_without_delete_extra_links_stay(place: Place) -> None:
    """Nobody asked for more."""
    place.put("ours/a")
    link(place, "mine", "a")
    assert told(place.sync(OURS, str(place.here))) == [("download", "a")]
    assert links(place.here) == {"mine": "a"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "y/../../z", ""])
def test_a_target_that_leads_out(place: Place, target: str) -> None:
    """No such link is made, this is told by name, and nothing is deleted."""
    place.put("ours/d/x.rclonelink", body=target.encode())
    place.put("ours/file")
    place.make("extra")
    results, error = place.failing(OURS, str(place.here))
    failed = {one.key: one.failure.code for one in results if one.failure is not None}
    assert failed == {"ours/d/x.rclonelink": "UnsafeKey"}
    assert "nothing was deleted" in str(error)
    assert (links(place.here), files(place.here)) == ({}, ["extra", "file"])


def test_a_link_and_a_file_of_one_name(place: Place) -> None:
    """Of two objects that would be one path the file is made, and the link fails by name; so each run."""
    place.put("ours/x", "ours/x-y", "ours/l/below")
    place.put("ours/x.rclonelink", "ours/l.rclonelink", body=b"x-y")
    for _ in range(2):
        failed = {one.key: one.failure.message for one in place.sync(OURS, str(place.here)) if one.failure is not None}
        assert failed.keys() == {"ours/x.rclonelink", "ours/l/below"}
        assert "would be a link where the key 'ours/x' is a file" in failed["ours/x.rclonelink"]
        assert "needs a folder where the key 'ours/l.rclonelink' is a link" in failed["ours/l/below"]
    assert (links(place.here), files(place.here)) == ({"l": "x-y"}, ["x", "x-y"])


def test_a_link_takes_the_place_of_a_file(place: Place) -> None:
    """The file that only the destination has is deleted, and the next run makes the link."""
    place.put("ours/x.rclonelink", body=b"y")
    place.make("x")
    [blocked, deleted] = place.sync(OURS, str(place.here), DELETE)
    assert blocked.failure is not None
    assert (deleted.action, deleted.ok, files(place.here)) == ("delete", True, [])
    assert [one.ok for one in place.sync(OURS, str(place.here), DELETE)] == [True]
    assert links(place.here) == {"x": "y"}


def test_a_file_takes_the_place_of_a_link(place: Place, tmp_path: Path) -> None:
    """The link is replaced, what it led to is not touched, and the deletion finds nothing to do."""
    (tmp_path / "outside").write_bytes(b"mine")
    place.put("ours/x", body=b"file")
    link(place, "x", str(tmp_path / "outside"))
    assert all(one.ok for one in place.sync(OURS, str(place.here), DELETE))
    assert (place.here / "x").read_bytes() == b"file"
    assert not (place.here / "x").is_symlink()
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert place.sync(OURS, str(place.here), DELETE) == []


def test_a_file_that_is_named_as_a_stored_link(place: Place) -> None:
    """On the way up it fails by name, as it would come back as a link; at a destination it is left alone."""
    place.make("x.rclonelink", "file")
    results = place.sync(str(place.here), OURS)
    failed = {Path(one.source).name: one.failure.message for one in results if one.failure is not None}
    assert failed.keys() == {"x.rclonelink"}
    assert "would come back as a link" in failed["x.rclonelink"]
    assert place.keys("ours/") == ["file"]
    place.put("theirs/x.rclonelink", "theirs/file", body=b"target")
    assert all(one.ok for one in place.sync(THEIRS, str(place.here), DELETE))
    assert (links(place.here), files(place.here)) == ({"x": "target"}, ["file", "x.rclonelink"])


def test_filters_take_the_names_of_links(place: Place) -> None:
    """On both sides alike, so that what is excluded is neither moved nor deleted."""
    link(place, "l", "a")
    place.make("a")
    options = SyncOptions(delete=True, exclude=("l", "other"))
    place.put("ours/other.rclonelink")
    assert told(place.sync(str(place.here), OURS, options)) == [("upload", "a")]
    assert place.keys("ours/") == ["a", "other.rclonelink"]
    assert told(place.sync(OURS, str(place.here), options)) == [("download", "a")]
    assert links(place.here) == {"l": "a"}
    engine = place.engine
    said = engine.run(explain, engine.aio, engine.aio, OURS, str(place.here), "other.rclonelink", options)
    assert (said.action, said.rule) == ("skip", "filter")


def test_filters_of_syncs_and_of_copies_are_alike(place: Place, tmp_path: Path) -> None:
    """``--include l`` takes the link of this name, whoever moves it and whereto; the suffix is no part of it."""
    link(place, "l", "a")
    place.make("a")
    only = SyncOptions(include=("l",))
    assert len(place.sync(str(place.here), OURS, only)) == 1
    assert len(list(place.engine.upload_many(str(place.here), THEIRS, include=("l",)))) == 1
    assert place.keys("") == ["ours/l.rclonelink", "theirs/l.rclonelink"]
    place.put("ours/b", "theirs/b")
    back, there = tmp_path / "back", tmp_path / "there"
    assert len(place.sync(OURS, str(back), only)) == 1
    assert len(list(place.engine.download_many(THEIRS, str(there), include=("l",)))) == 1
    assert links(back) == links(there) == {"l": "a"}
    assert files(back) == files(there) == []
    with_suffix = SyncOptions(include=("*.rclonelink",), delete=True)
    assert place.sync(str(place.here), "s3://bucket/third/", with_suffix) == []


def test_a_pattern_of_the_source_names_objects(place: Place) -> None:
    """It is a part of the URL, and says which keys are meant."""
    place.put("ours/a", "ours/l.rclonelink", body=b"a")
    place.make("extra")
    link(place, "more", "extra")
    done = place.sync(OURS + "*.rclonelink", str(place.here), DELETE)
    assert told(done) == [("delete", "more"), ("download", "l.rclonelink")]
    assert links(place.here) == {"l": "a"}
    assert files(place.here) == ["extra"]


def test_a_file_that_is_named_as_a_stored_link_can_be_left_out(place: Place) -> None:
    """Its name is all its own, so a filter takes it whole, and an object of that name is never deleted."""
    place.make("x.rclonelink", "file")
    os.mkfifo(place.here / "pipe.rclonelink")
    kept = ["file", "pipe.rclonelink", "x.rclonelink"]
    extra = ["a.rclonelink", "x.rclonelink/below", "x/below", "z.rclonelink"]
    place.put(*(f"ours/{name}" for name in [*kept, *extra]))
    options = SyncOptions(exclude=("x.rclonelink", "pipe.r*"), delete=True)
    results = place.sync(str(place.here), OURS, options)
    assert sorted((one.action, one.key) for one in results) == [("delete", f"ours/{name}") for name in extra]
    assert place.keys("ours/") == kept
    assert place.sync(str(place.here), OURS, SyncOptions(exclude=("*.rclonelink",), delete=True)) == []
    assert place.keys("ours/") == kept


def test_dry_runs_and_explanations(place: Place) -> None:
    """Both say what would be done with a link, by either of its names."""
    link(place, "l", "a")
    place.make("b")
    [one, _] = sorted(
        place.sync(str(place.here), OURS, SyncOptions(dry_run=True)), key=lambda one: one.key, reverse=True
    )
    assert (one.source, one.key) == (str(place.here / "l"), "ours/l.rclonelink")
    assert place.keys("") == []
    for key in ("l", "l.rclonelink", str(place.here / "l")):
        engine = place.engine
        said = engine.run(explain, engine.aio, engine.aio, str(place.here), OURS, key, SyncOptions())
        assert (said.name, said.action, said.rule) == ("l.rclonelink", "upload", "presence")
    place.sync(str(place.here), OURS)
    said = engine.run(explain, engine.aio, engine.aio, str(place.here), OURS, "l", SyncOptions())
    assert (said.action, said.rule) == ("skip", "comparison")


def test_explanations_go_by_the_source(place: Place) -> None:
    """A name that is an object at the source is that one, whatever the destination has; a whole URL is its object."""
    place.put("ours/k", "ours/l.rclonelink", body=b"a")
    link(place, "k", "elsewhere")
    link(place, "only", "a")
    engine = place.engine

    def explained(key: str) -> tuple[str, str]:
        said = engine.run(explain, engine.aio, engine.aio, OURS, str(place.here), key, DELETE)
        return said.name, str(said.action)

    assert explained("k") == explained("s3://bucket/ours/k") == ("k", "download")
    assert explained("l") == explained("l.rclonelink") == ("l.rclonelink", "download")
    assert explained("only") == ("only.rclonelink", "delete")
    assert explained("k.rclonelink") == explained(str(place.here / "k")) == ("k.rclonelink", "delete")
    assert explained("s3://bucket/ours/l") == ("l", "skip")


def explained(place: Place, source: str, destination: str, key: str, options: SyncOptions) -> tuple[str, str, str]:
    """Return what a sync would do with a key, by which rule, and why."""
    engine = place.engine
    said = engine.run(explain, engine.aio, engine.aio, source, destination, key, options)
    return str(said.action), said.rule, said.reason


def test_explanations_of_keys_in_each_others_way(place: Place) -> None:
    """They say what the sync says: a link is no folder, and is not made where a file is."""
    place.put("ours/l/x", "ours/k", "ours/" + "n" * 250 + ".rclonelink")
    place.put("ours/l.rclonelink", "ours/k.rclonelink", body=b"a")
    here, plain = str(place.here), SyncOptions()
    refused = {one.key: one.failure.message for one in place.sync(OURS, here, plain) if one.failure is not None}
    assert sorted(refused) == ["ours/k.rclonelink", "ours/l/x"]
    for name in ("l/x", "k.rclonelink"):
        action, rule, reason = explained(place, OURS, here, name, plain)
        assert (action, rule) == ("skip", "name")
        assert refused[f"ours/{name}"].rpartition(": ")[2] == reason.rpartition(": ")[2]
    assert explained(place, OURS, here, "l/x", SyncOptions(exclude=("l",)))[0] == "download"
    assert explained(place, OURS, here, "k.rclonelink", SyncOptions(include=("k.*",)))[1] == "filter"
    assert explained(place, OURS, here, "n" * 250, plain)[1] != "name"


def test_explanations_of_a_file_that_is_named_as_a_stored_link(place: Place) -> None:
    """They say what the sync says: it fails by name, or a filter of its whole name leaves it out."""
    place.make("x.rclonelink")
    here = str(place.here)
    [failed] = place.sync(here, OURS, SyncOptions(exclude=("x",)))
    assert failed.failure is not None
    told_by = explained(place, here, OURS, "x.rclonelink", SyncOptions(exclude=("x",)))
    assert told_by == ("skip", "name", failed.failure.message)
    left_out = SyncOptions(exclude=("*.rclonelink",))
    assert place.sync(here, OURS, left_out) == []
    assert explained(place, here, OURS, "x.rclonelink", left_out)[:2] == ("skip", "filter")


def test_a_link_at_the_source_keeps_no_object_of_its_name(place: Place) -> None:
    """A later run looks once more before it deletes: the link's object has another name, and a file came back."""
    link(place, "x", "a")
    link(place, "y.rclonelink", "a")
    place.make("came", "came.rclonelink")
    names = ["x", "came", "x.rclonelink", "came.rclonelink", "y.rclonelink"]
    place.put(*(f"ours/{name}" for name in names))

    async def deleted(engine: AsyncEngine) -> list[TransferResult]:
        sides = await sides_of(engine, engine, str(place.here), OURS)
        deletions = SyncDeletions(engine, sides, withheld="", look=True, dir_markers=False)

        async def pages() -> AsyncGenerator[list[Row], None]:
            yield [Row(n=n, action=Action.DELETE, source=f"{OURS}{name}") for n, name in enumerate(names)]

        return [one async for one in deletions.carry(Action.DELETE, pages())]

    results = place.engine.run(deleted, place.engine.aio)
    assert {one.source: bool(one.skipped) for one in results} == {
        f"{OURS}x": False,
        f"{OURS}came": True,
        f"{OURS}x.rclonelink": True,
        f"{OURS}came.rclonelink": True,
        f"{OURS}y.rclonelink": False,
    }
    assert place.keys("ours/") == ["came", "came.rclonelink", "x.rclonelink"]


def test_a_link_that_is_skipped_has_its_object(tmp_path: Path) -> None:
    """Where links are left out, what may be their stored links is no extra: it is not known to be missing."""
    with serving() as server, running_engine(server.endpoint_url, keys()) as engine:
        place = Place(server, engine, tmp_path / "here")
        place.make("a")
        link(place, "l", "a")
        for key in ("ours/l.rclonelink", "ours/gone.rclonelink"):
            server.store.put("bucket", key, make_object(b"a"))
        place.sync(str(place.here), OURS, SyncOptions(delete=True, follow_symlinks=False))
        assert place.keys("ours/") == ["a", "l.rclonelink"]
