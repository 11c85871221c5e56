"""Downloads through the file system: where files may be, which versions come, in how many requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bulkhaul.errors import TransferError, UnsafeKey
from bulkhaul.fsspec import BulkhaulFileSystem
from tests.faultserver import FaultServer
from tests.integration.fsspec.places import asked
from tests.servers.process import RunningServer

Counted = tuple[FaultServer, BulkhaulFileSystem]


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, and what is in them."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize("key", ["tr/../../evil", "tr/a/../../../evil", "tr//evil", "tr/./evil"])
def test_no_key_leads_out_of_the_folder(counted: Counted, tmp_path: Path, key: str) -> None:
    """A key that is no path below the destination is a failure; the others are there, and nothing lies outside."""
    _, fs = counted
    fs.pipe({"bucket/tr/x": b"1", "bucket/tr/y/z": b"2", f"bucket/{key}": b"evil"})
    target = tmp_path / "a/b/c"
    with pytest.raises(OSError, match="evil") as caught:
        fs.get("bucket/tr/", f"{target}/", recursive=True)
    assert isinstance(caught.value.__cause__, UnsafeKey)
    assert files_below(tmp_path) == {"a/b/c/x": b"1", "a/b/c/y/z": b"2"}


def test_one_key_alone_does_not_lead_out(counted: Counted, tmp_path: Path) -> None:
    """Neither where it is all that there is."""
    _, fs = counted
    fs.pipe("bucket/tr/../../evil", b"evil")
    (tmp_path / "a/b").mkdir(parents=True)
    with pytest.raises(OSError, match="evil"):
        fs.get("bucket/tr/", f"{tmp_path}/a/b/", recursive=True)
    assert files_below(tmp_path) == {}


def test_an_object_that_a_disk_cannot_hold_is_a_failure(counted: Counted, tmp_path: Path) -> None:
    """An object of a folder's name is not left out in silence; read into memory, both are there."""
    _, fs = counted
    fs.pipe({"bucket/of/d": b"object", "bucket/of/d/x": b"in folder", "bucket/of/e": b"e"})
    for source in ("bucket/of", "bucket/of/*"):
        with pytest.raises(OSError, match=r"'d' is a file") as caught:
            fs.get(source, str(tmp_path / "out"), recursive=True)
        assert isinstance(caught.value.__cause__, UnsafeKey)
    assert fs.cat("bucket/of", recursive=True) == {
        "bucket/of/d": b"object",
        "bucket/of/d/x": b"in folder",
        "bucket/of/e": b"e",
    }


def test_the_version_that_is_named_comes(fs: BulkhaulFileSystem, server: RunningServer, tmp_path: Path) -> None:
    """By every method that reads; an option that there is not is refused."""
    client = server.client()
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket="versions", Key="k", Body=b"old")["VersionId"]
    client.put_object(Bucket="versions", Key="k", Body=b"newer")
    file = tmp_path / "file"
    for target, read in (("file", file), (".", tmp_path / "k")):
        fs.get("versions/k", str(tmp_path / target), version_id=old)
        assert read.read_bytes() == b"old"
    fs.get("versions/k", str(file), version_id=None)
    assert file.read_bytes() == b"newer"
    fs.get_file("versions/k", str(file), version_id=old)
    assert file.read_bytes() == b"old"
    assert fs.cat_file("versions/k", version_id=old) == fs.cat("versions/k", version_id=old) == b"old"
    assert fs.cat_file("versions/k", -2, version_id=old) == fs.cat_file("versions/k", 1, 9, version_id=old) == b"ld"
    assert fs.info("versions/k", version_id=old)["size"] == 3
    with fs.open("versions/k", version_id=old) as opened:
        assert opened.read() == b"old"
    client.delete_object(Bucket="versions", Key="k")
    fs.get("versions/k", str(file), version_id=old)
    assert file.read_bytes() == b"old"
    with pytest.raises(ValueError, match="one object"):
        fs.get("versions", str(tmp_path / "all"), recursive=True, version_id=old)
    for call in (fs.get, fs.get_file):
        with pytest.raises(TypeError, match="nonsense"):
            call("versions/k", str(file), nonsense=1)


def test_what_a_listing_tells_is_not_asked_for_again(counted: Counted, tmp_path: Path) -> None:
    """Small objects of a folder or a pattern cost a listing, and one GET each."""
    server, fs = counted
    fs.pipe({f"bucket/many/{n:02}": b"%d" % n for n in range(40)})
    for number, source in enumerate(("bucket/many/", "bucket/many/*")):
        before = len(server.requests)
        target = tmp_path / str(number)
        fs.get(source, f"{target}/", recursive=number == 0)
        assert files_below(target) == {f"{n:02}": b"%d" % n for n in range(40)}
        found = asked(server, before)
        assert found.pop("ListObjectsV2") <= 2
        assert found == {"GetObject": 40}


def test_an_object_that_is_replaced_meanwhile_comes_as_it_is(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the listing told of it is no condition."""
    _, fs = counted
    fs.pipe({"bucket/live/a": b"a", "bucket/live/b": b"old"})
    find = fs._find

    async def listed_then_replaced(path: str, **named: Any) -> Any:
        found = await find(path, **named)
        await fs._pipe_file("bucket/live/b", b"new and longer")
        return found

    monkeypatch.setattr(fs, "_find", listed_then_replaced)
    fs.get("bucket/live/", str(tmp_path / "out"), recursive=True)
    assert files_below(tmp_path / "out") == {"a": b"a", "b": b"new and longer"}


def test_local_failures_have_their_number(fs: BulkhaulFileSystem, tmp_path: Path) -> None:
    """One file or many."""
    there = tmp_path / "there"
    there.write_bytes(b"x")
    missing = str(tmp_path / "missing")
    for source, target in ((missing, "bucket/1"), ([missing, str(there)], ["bucket/local/1", "bucket/local/2"])):
        with pytest.raises(FileNotFoundError):
            fs.put(source, target)
    fs.pipe({"bucket/local/a": b"a", "bucket/local/b": b"b"})
    with pytest.raises(NotADirectoryError) as caught:
        fs.get("bucket/local/", f"{there}/", recursive=True)
    assert isinstance(caught.value.__cause__, TransferError)
    assert os.path.isfile(there)


def test_a_range_beyond_a_short_object_asks_for_no_length(counted: Counted) -> None:
    """It costs the GET that was too long, and one of all that there is."""
    server, fs = counted
    fs.pipe("bucket/short", b"0123456789")
    before = len(server.requests)
    assert fs.cat_file("bucket/short", 0, 100) == b"0123456789"
    assert fs.cat_file("bucket/short", 4, 100) == b"456789"
    assert fs.cat_file("bucket/short", 40, 100) == b""
    assert asked(server, before) == {"GetObject": 6}
