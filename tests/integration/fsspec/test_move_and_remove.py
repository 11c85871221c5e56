"""Moves and removals through the file system: nothing is lost that was not named, or is not somewhere else for sure."""

from __future__ import annotations

from typing import Any

import pyarrow.fs
import pytest
from fsspec.asyn import sync

from bulkhaul import ObjectOptions
from bulkhaul.fsspec import BulkhaulFileSystem
from bulkhaul.fsspec.many import removed_below
from tests.faultserver import FaultServer, ReplaceObject, Status, make_object, reply_lost
from tests.integration.fsspec.places import asked
from tests.servers.process import RunningServer

Counted = tuple[FaultServer, BulkhaulFileSystem]


def below(fs: BulkhaulFileSystem, folder: str) -> dict[str, bytes]:
    """Return the objects below a folder, by what their names are in it, and what is in them."""
    return {name[len(folder) + 1 :]: fs.cat_file(name) for name in fs.find(folder)}


def test_a_folder_moves_with_all_that_is_in_it(fs: BulkhaulFileSystem) -> None:
    """By its name with and without a slash, into a folder that is there, and by pyarrow; one file as well."""
    tree = {"1": b"1", "s/2": b"2", "s/t/3": b"3"}
    fs.pipe({f"bucket/mv/a/{name}": body for name, body in tree.items()})
    fs.mv("bucket/mv/a", "bucket/mv/b", recursive=True)
    assert (fs.exists("bucket/mv/a"), below(fs, "bucket/mv/b")) == (False, tree)
    fs.mv("bulkhaul://bucket/mv/b/", "bulkhaul://bucket/mv/c/", recursive=True)
    assert (fs.exists("bucket/mv/b"), below(fs, "bucket/mv/c")) == (False, tree)
    fs.pipe("bucket/mv/d/x", b"x")
    fs.mv("bucket/mv/c", "bucket/mv/d", recursive=True)
    assert below(fs, "bucket/mv/d") == {"x": b"x"} | {f"c/{name}": body for name, body in tree.items()}
    where = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    where.move("bucket/mv/d/c", "bucket/mv/e")
    where.move("bucket/mv/d/x", "bucket/mv/f")
    assert below(fs, "bucket/mv/e") == tree
    assert fs.cat("bucket/mv/f") == b"x"
    fs.mv("bucket/mv/f", "bucket/mv/g")
    fs.mv("bucket/mv/e/*", "bucket/mv/h/", recursive=True)
    assert below(fs, "bucket/mv") == {"g": b"x"} | {f"h/{name}": body for name, body in tree.items()}


def test_the_marks_of_folders_move_with_them(server: RunningServer, fs: BulkhaulFileSystem) -> None:
    """On SeaweedFS, which copies none: alone, and beside files."""
    client = server.client()
    for key in ("marked/a/", "marked/d/sub/"):
        client.put_object(Bucket="bucket", Key=key)
    fs.pipe("bucket/marked/d/x", b"x")
    for source, target in (("a", "b"), ("d", "e")):
        fs.mv(f"bucket/marked/{source}", f"bucket/marked/{target}", recursive=True)
    listed = client.list_objects_v2(Bucket="bucket", Prefix="marked/")["Contents"]
    assert [one["Key"] for one in listed] == ["marked/b/", "marked/e/sub/", "marked/e/x"]
    assert fs.ls("bucket/marked", detail=False) == ["bucket/marked/b", "bucket/marked/e"]


MARKED = {"d/": b"", "d/a": b"1", "d/sub/": b"", "d/sub/none//": b""}


def with_marks(server: FaultServer) -> None:
    """Have a folder with marks in one bucket, and another bucket."""
    server.store.add_bucket("other")
    for key, body in MARKED.items():
        server.store.put("bucket", key, make_object(body, metadata={"owner": "us"}))


def everything(server: FaultServer) -> list[str]:
    """Return what is stored, each with its metadata and what it holds as it was made."""
    found = {
        f"{bucket}/{key}": one for bucket in ("bucket", "other") for key, one in server.store.in_bucket(bucket).items()
    }
    for name, one in found.items():
        assert (one.metadata["owner"], one.body) == ("us", b"" if name.endswith("/") else b"1")
    return sorted(found)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("bucket/d", "bucket/n", ["bucket/n/", "bucket/n/a", "bucket/n/sub/", "bucket/n/sub/none//"]),
        ("bucket/d/sub", "bucket/n", ["bucket/d/", "bucket/d/a", "bucket/n/", "bucket/n/none//"]),
        ("bucket/d/*", "bucket/n/", ["bucket/d/", "bucket/n/a", "bucket/n/sub/", "bucket/n/sub/none//"]),
        (["bucket/d/a", "bucket/d/sub"], "bucket/n/", ["bucket/d/", "bucket/n/a", "bucket/n/none//", "bucket/n/sub/"]),
        ("bucket/", "other", ["other/d/", "other/d/a", "other/d/sub/", "other/d/sub/none//"]),
        ("bucket/d/", "other/", ["bucket/d/", "other/a", "other/sub/", "other/sub/none//"]),
    ],
)
def test_no_mark_is_lost(counted: Counted, source: str | list[str], target: str, expected: list[str]) -> None:
    """However it is named, it comes to its folder's new name with its metadata; that of a bucket can have none."""
    server, fs = counted
    with_marks(server)
    fs.mv(source, target, recursive=True)
    assert everything(server) == expected


def test_a_mark_that_holds_bytes_fails_the_move(counted: Counted) -> None:
    """It is somebody's file; and no folder moves into itself, though nothing but its mark is there."""
    server, fs = counted
    with_marks(server)
    before = everything(server)
    with pytest.raises(ValueError, match="nothing was moved"):
        fs.mv("bucket/d/sub", "bucket/d/sub/x", recursive=True)
    assert everything(server) == before
    server.store.put("bucket", "d/note/", make_object(b"data"))
    with pytest.raises(ValueError, match=r"'bucket/d/note/' ends in a slash and holds bytes.*nothing was moved"):
        fs.mv("bucket/d", "bucket/n", recursive=True)
    assert sorted(server.store.in_bucket("bucket")) == sorted([*MARKED, "d/note/"])


def test_a_mark_that_holds_bytes_at_the_new_name_fails_the_move(counted: Counted) -> None:
    """It is somebody's file there, too, and nothing is moved; a mark without bytes is in nobody's way."""
    server, fs = counted
    with_marks(server)
    before = everything(server)
    server.store.put("bucket", "n/sub/", make_object(b"data"))
    with pytest.raises(ValueError, match=r"'bucket/n/sub/' ends in a slash and holds bytes.*nothing was moved"):
        fs.mv("bucket/d/", "bucket/n/", recursive=True)
    assert server.store.in_bucket("bucket")["n/sub/"].body == b"data"
    server.store.delete("bucket", "n/sub/")
    assert everything(server) == before
    server.store.put("bucket", "n/sub/", make_object(b""))
    fs.mv("bucket/d/", "bucket/n/", recursive=True)
    assert everything(server) == ["bucket/n/", "bucket/n/a", "bucket/n/sub/", "bucket/n/sub/none//"]


def test_a_mark_stays_until_its_copy_is_stored(counted: Counted) -> None:
    """Where the service refuses the new one."""
    server, fs = counted
    with_marks(server)
    server.add_fault(Status(code="AccessDenied", operation="PutObject", key="n/sub/", attempt="every"))
    with pytest.raises(PermissionError):
        fs.mv("bucket/d", "bucket/n", recursive=True)
    assert "bucket/d/sub/" in everything(server)


def test_a_mark_that_comes_during_a_move_stays(counted: Counted) -> None:
    """It was not there when the move was planned: it is not moved, and not removed."""
    server, fs = counted
    with_marks(server)
    mark = make_object(b"", metadata={"owner": "us"})
    comes = ReplaceObject(replacement=mark, other_key="d/new/", operation="ListObjectsV2", key="d/", nth=2)
    server.add_fault(comes)
    fs.mv("bucket/d", "bucket/n", recursive=True)
    assert server.fired(comes) == 1
    moved = [f"bucket/n/{key[2:]}" for key in sorted(MARKED)]
    assert everything(server) == ["bucket/d/new/", *moved]


def test_a_mark_that_goes_during_a_move_is_no_failure(counted: Counted) -> None:
    """Somebody else has removed it; the others are moved."""
    server, fs = counted
    with_marks(server)
    goes = ReplaceObject(replacement=None, operation="HeadObject", key="d/sub/")
    server.add_fault(goes)
    fs.mv("bucket/d", "bucket/n", recursive=True)
    assert server.fired(goes) == 1
    assert everything(server) == ["bucket/n/", "bucket/n/a", "bucket/n/sub/none//"]


def test_what_is_not_moved_stays(fs: BulkhaulFileSystem) -> None:
    """Beyond a depth, and where a move would put an object in the place of one that is moved, or of another."""
    tree = {"1": b"1", "s/2": b"2"}
    fs.pipe({f"bucket/stay/e/{name}": body for name, body in tree.items()})
    fs.mv("bucket/stay/e", "bucket/stay/f", recursive=True, maxdepth=1)
    assert (below(fs, "bucket/stay/e"), below(fs, "bucket/stay/f")) == ({"s/2": b"2"}, {"1": b"1"})
    fs.pipe({"bucket/stay/e/1": b"1", "bucket/stay/g/1": b"other"})
    everything = below(fs, "bucket/stay")
    for sources, target in (
        ("bucket/stay/e", "bucket/stay/e/s"),
        ("bucket/stay/e/1", "bucket/stay/e/"),
        (["bucket/stay/e/1", "bucket/stay/g/1"], "bucket/stay/h/"),
        (["bucket/stay/e/1", "bucket/stay/g/1"], ["bucket/stay/g/1", "bucket/stay/h"]),
    ):
        with pytest.raises(ValueError, match="nothing was moved"):
            fs.mv(sources, target, recursive=True)
    with pytest.raises(ValueError, match="name them"):
        fs.mv("*", "bucket/all", recursive=True)
    with pytest.raises(IsADirectoryError):
        fs.mv("bucket/stay/e", "bucket/stay/x")
    with pytest.raises(FileNotFoundError):
        fs.mv("bucket/stay/none", "bucket/stay/x")
    fs.mv("bulkhaul://bucket/stay/e/1", "bucket/stay/e/1")
    assert below(fs, "bucket/stay") == everything


def test_no_pattern_stands_for_buckets_in_a_removal(fs: BulkhaulFileSystem) -> None:
    """They are named, or nothing is removed."""
    fs.mkdir("spare-bucket")
    fs.pipe({"spare-bucket/x": b"x", "bucket/kept": b"kept"})
    for pattern in ("*", "spare*", "*/x", ["bucket/kept", "*/x"]):
        for named in ({}, {"recursive": True}, {"recursive": True, "maxdepth": 2}):
            with pytest.raises(ValueError, match="name them"):
                fs.rm(pattern, **named)
    assert fs.cat(["spare-bucket/x", "bucket/kept"]) == {"spare-bucket/x": b"x", "bucket/kept": b"kept"}
    fs.rm("spare-bucket", recursive=True)


def test_a_name_that_looks_like_a_pattern_is_that_object(fs: BulkhaulFileSystem) -> None:
    """Where there is one; else it is the pattern."""
    fs.pipe({f"bucket/br/{name}": b"x" for name in ("a[1].txt", "a1.txt", "b1")})
    fs.mv("bucket/br/a[1].txt", "bucket/br/c[1]")
    assert fs.find("bucket/br") == [f"bucket/br/{name}" for name in ("a1.txt", "b1", "c[1]")]
    fs.pipe("bucket/br/a[1].txt", b"x")
    fs.rm("bucket/br/a[1].txt")
    assert fs.find("bucket/br") == [f"bucket/br/{name}" for name in ("a1.txt", "b1", "c[1]")]
    fs.rm("bucket/br/a[1].txt")
    assert fs.find("bucket/br") == ["bucket/br/b1", "bucket/br/c[1]"]


def test_a_removal_keeps_to_its_depth(fs: BulkhaulFileSystem) -> None:
    """And leaves what is deeper."""
    fs.pipe({"bucket/depth/1": b"1", "bucket/depth/s/2": b"2"})
    fs.rm("bucket/depth", recursive=True, maxdepth=1)
    assert fs.find("bucket/depth") == ["bucket/depth/s/2"]


def test_a_bucket_that_is_gone_fails_a_removal(counted: Counted) -> None:
    """Where it has gone since it was looked at; a folder in which nothing lies is removed already."""
    _, fs = counted
    for name, failures in (("no-bucket", ["NotFound"]), ("bucket/none", [])):
        failed = sync(fs.loop, fs._asked, removed_below, name)
        assert [result.failure.code for result in failed.values()] == failures


def test_sizes_are_those_of_the_listing(counted: Counted) -> None:
    """``du`` asks for no object, and a removal for many at a time."""
    server, fs = counted
    names = [f"bucket/du/{n:02}" for n in range(40)]
    fs.pipe(dict.fromkeys(names, b"12345"))
    before = len(server.requests)
    assert fs.du("bucket/du") == 200
    assert fs.du("bucket/du", total=False) == dict.fromkeys(names, 5)
    assert fs.du("bucket/du/07") == 5
    assert asked(server, before)["HeadObject"] <= 2
    copies = [f"bucket/copy/{n:02}" for n in range(40)]
    fs.copy("bucket/du/", "bucket/copy/", recursive=True)
    assert fs.find("bucket/copy") == copies


def test_what_is_appended_to_keeps_its_tags_and_class(fs: BulkhaulFileSystem, server: RunningServer) -> None:
    """And takes no other writer's object away."""
    stored_as = ObjectOptions(tags={"a": "b"}, storage_class="STANDARD_IA")
    fs.pipe_file("bucket/append/x", b"1", options=stored_as)
    with fs.open("bucket/append/x", "ab") as file:
        file.write(b"2")
    client = server.client()
    at: dict[str, Any] = {"Bucket": "bucket", "Key": "append/x"}
    assert client.get_object_tagging(**at)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert client.head_object(**at)["StorageClass"] == "STANDARD_IA"
    assert fs.cat("bucket/append/x") == b"12"
    for name in ("x", "new"):
        file = fs.open(f"bucket/append/{name}", "ab")
        file.write(b"3")
        fs.pipe(f"bucket/append/{name}", b"other")
        with pytest.raises(OSError, match="somebody else"):
            file.close()
        assert fs.cat(f"bucket/append/{name}") == b"other"


def test_names_that_can_be_none(fs: BulkhaulFileSystem) -> None:
    """Calls that mean nothing are refused before anything is asked; what cannot be is not there."""
    calls: list[Any] = [lambda: fs.mkdir(""), lambda: fs.rmdir(""), lambda: fs.sign("bucket/x", 99_999_999)]
    for call in calls:
        with pytest.raises(ValueError, match=r"name one|cannot live"):
            call()
    for name in ("No Bucket!", "No Bucket!/x"):
        assert (fs.exists(name), fs.isdir(name), fs.isfile(name)) == (False, False, False)
    fs.pipe("bucket/plain", b"x")
    with pytest.raises(NotADirectoryError):
        fs.rmdir("bucket/plain")
    assert fs.exists("bucket/plain")
    refused: list[dict[str, Any]] = [{"anon": "false"}, {"requester_pays": "no"}]
    for wrong in refused:
        with pytest.raises(ValueError, match="True or False"):
            BulkhaulFileSystem(**wrong)


def test_a_file_is_created_only_once(counted: Counted, tmp_path: Any) -> None:
    """By one conditional PUT that streams it, longer than what is held in memory."""
    server, fs = counted
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(65 * 1024 * 1024)
    before = len(server.requests)
    fs.put_file(str(file), "bucket/once", mode="create")
    found = asked(server, before)
    assert (found["PutObject"], found["CreateMultipartUpload"]) == (1, 0)
    assert fs.size("bucket/once") == 65 * 1024 * 1024
    with pytest.raises(FileExistsError):
        fs.put(str(file), "bucket/once", mode="create")


def test_what_is_created_is_not_taken_for_somebody_elses(counted: Counted, tmp_path: Any) -> None:
    """Where the reply was lost, and the repetition was refused: by put, by pipe, and by a file."""
    server, fs = counted
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("put", "pipe", "open"):
        lost = reply_lost(operation="PutObject", key=name)
        server.add_fault(lost)
        if name == "put":
            fs.put_file(str(tmp_path / "file"), "bucket/put", mode="create")
        elif name == "pipe":
            fs.pipe_file("bucket/pipe", b"mine", mode="create")
        else:
            with fs.open("bucket/open", "xb") as file:
                file.write(b"mine")
        assert (fs.cat(f"bucket/{name}"), server.fired(lost)) == (b"mine", 1)
