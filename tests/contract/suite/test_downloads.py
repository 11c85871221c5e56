"""What get_to_file does to the disk: C11 to C14, C16 to C18, C48, C49."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bulkhaul import ObjectStore
from bulkhaul.errors import NotFound, OtherError

from .bodies import Deltas, made
from .subjects import Subject

BODY = made(1000)


def test_c11_the_parent_folder_must_exist(store: ObjectStore, tmp_path: Path) -> None:
    """No folder is made for the caller: without it the download is an OtherError and leaves nothing."""
    store.put_bytes("key", BODY)
    with pytest.raises(OtherError):
        store.get_to_file("key", tmp_path / "missing" / "file")
    assert os.listdir(tmp_path) == []


def test_c11_a_file_is_no_parent_folder(store: ObjectStore, tmp_path: Path) -> None:
    """A parent that is a file is an OtherError, and the file stays as it was."""
    store.put_bytes("key", BODY)
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OtherError):
        store.get_to_file("key", tmp_path / "file" / "below")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_c12_a_download_leaves_one_file(store: ObjectStore, tmp_path: Path) -> None:
    """The destination has the object's bytes, nothing else is left beside it, and the result says what was done."""
    stored = store.put_bytes("dir/key", BODY)
    result = store.get_to_file("dir/key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["file"]
    assert result.ok
    assert (result.key, result.size, result.etag) == ("dir/key", 1000, stored.etag)
    assert result.destination == str(tmp_path / "file")
    assert result.integrity is not None


def test_c12_the_path_may_be_text(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is a str or a Path, and may be relative to the current folder."""
    store.put_bytes("key", BODY)
    monkeypatch.chdir(tmp_path)
    store.get_to_file("key", "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_c12_a_rename_replaces_the_destination(store: ObjectStore, tmp_path: Path) -> None:
    """The old file is replaced, never written over: whoever holds it open or linked keeps the old bytes."""
    store.put_bytes("key", BODY)
    (tmp_path / "file").write_bytes(b"old and to be kept by the link")
    os.link(tmp_path / "file", tmp_path / "link")
    store.get_to_file("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert (tmp_path / "link").read_bytes() == b"old and to be kept by the link"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_c12_the_file_has_the_mode_of_a_new_one(store: ObjectStore, tmp_path: Path, umask: int) -> None:
    """The umask decides, not the temp file that it was."""
    store.put_bytes("key", BODY)
    before = os.umask(umask)
    try:
        store.get_to_file("key", tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


def test_c12_a_failure_leaves_the_destination_untouched(store: ObjectStore, tmp_path: Path) -> None:
    """What was there stays, what was not there is not made, and no temp file is left."""
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        with pytest.raises(NotFound):
            store.get_to_file("missing", tmp_path / name)
    assert (tmp_path / "old").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["old"]


def test_c12_a_folder_is_never_replaced(store: ObjectStore, tmp_path: Path) -> None:
    """A folder in the place of the file is an OtherError, and keeps what is in it."""
    store.put_bytes("key", BODY)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_bytes(b"old")
    with pytest.raises(OtherError):
        store.get_to_file("key", tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == ["kept"]


def test_c13_an_empty_object_is_an_empty_file(store: ObjectStore, tmp_path: Path) -> None:
    """It replaces what was there, and progress is never told of it."""
    store.put_bytes("empty", b"")
    (tmp_path / "file").write_bytes(b"old")
    deltas = Deltas()
    result = store.get_to_file("empty", tmp_path / "file", progress=deltas)
    assert (tmp_path / "file").read_bytes() == b""
    assert os.listdir(tmp_path) == ["file"]
    assert (result.size, deltas.seen) == (0, [])


def test_c14_a_large_object_comes_in_parts(subject: Subject, tmp_path: Path) -> None:
    """Every byte of every part is in its place, and progress adds up to the size."""
    body = made(subject.large_bytes)
    stored = subject.store.put_bytes("key", body)
    deltas = Deltas()
    result = subject.store.get_to_file("key", tmp_path / "file", progress=deltas)
    assert (tmp_path / "file").read_bytes() == body
    assert (result.size, result.etag) == (len(body), stored.etag)
    assert deltas.total_bytes == len(body)


@pytest.mark.parametrize("extra_bytes", [-1, 0, 1])
@pytest.mark.parametrize("parts", [1, 2])
def test_c16_sizes_around_a_part_arrive_exactly(subject: Subject, tmp_path: Path, parts: int, extra_bytes: int) -> None:
    """No byte is lost or doubled where one part ends and the next begins."""
    body = made(parts * subject.part_size_bytes + extra_bytes, seed=parts)
    subject.store.put_bytes("key", body)
    result = subject.store.get_to_file("key", tmp_path / "file")
    assert result.size == len(body)
    assert (tmp_path / "file").read_bytes() == body


def test_c17_a_download_of_what_is_overwritten_is_of_one_version(subject: Subject, tmp_path: Path) -> None:
    """Overwritten while it is fetched, the file is wholly the old object or wholly the new one; progress adds up."""
    versions = [made(subject.large_bytes, seed=1), made(subject.large_bytes, seed=2)]
    begun = threading.Event()
    etags = [subject.store.put_bytes("key", versions[0]).etag]

    def overwrite() -> None:
        begun.wait(60)
        etags.append(subject.store.put_bytes("key", versions[1]).etag)

    deltas = Deltas()

    def progress(delta_bytes: int) -> None:
        deltas(delta_bytes)
        begun.set()

    writer = threading.Thread(target=overwrite)
    writer.start()
    try:
        result = subject.store.get_to_file("key", tmp_path / "file", progress=progress)
    finally:
        begun.set()
        writer.join()
    found = (tmp_path / "file").read_bytes()
    assert found in versions
    assert result.etag == etags[versions.index(found)]
    assert deltas.total_bytes == len(found)
    assert subject.store.get_bytes("key") == versions[1]


def test_c18_a_download_after_an_overwrite_is_of_the_new_object(store: ObjectStore, tmp_path: Path) -> None:
    """Nothing of an earlier download, not even its size, is used for the next one of the same key."""
    for body in (BODY, made(1000, seed=1), made(10)):
        etag = store.put_bytes("key", body).etag
        result = store.get_to_file("key", tmp_path / "file")
        assert (result.size, result.etag) == (len(body), etag)
        assert (tmp_path / "file").read_bytes() == body


def test_c48_progress_of_a_download_is_told_in_deltas(subject: Subject, tmp_path: Path) -> None:
    """A small object and a large one: every delta is some bytes more, and their sum is the size."""
    for size_bytes in (1, subject.part_size_bytes, subject.large_bytes):
        subject.store.put_bytes("key", made(size_bytes))
        deltas = Deltas()
        subject.store.get_to_file("key", tmp_path / "file", progress=deltas)
        assert deltas.total_bytes == size_bytes
        assert min(deltas.seen) > 0
