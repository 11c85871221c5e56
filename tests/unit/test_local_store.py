"""What a store in a folder adds to the contract: paths, links, durability, and what other programs do to its files."""

from __future__ import annotations

import errno
import os
import pickle
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bulkhaul
from bulkhaul.disk import landing
from bulkhaul.disk.chunks import CHUNK_BYTES
from bulkhaul.errors import (
    DiskFull,
    LocalError,
    NotFound,
    PreconditionFailed,
    UnsafeKey,
    Unsupported,
    UsageError,
)
from bulkhaul.store.local import LocalStore
from bulkhaul.store.protocol import ObjectStore

if TYPE_CHECKING:
    PROOF: ObjectStore = LocalStore("")  # the type checker's test: every method, with its types

TEMP = ".a.bulkhaul-0123456789abcdef.tmp"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The empty folder of a store, with something beside it."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"outside")
    return tmp_path / "shelf"


@pytest.fixture
def store(folder: Path) -> LocalStore:
    """A store in that folder."""
    return LocalStore(folder)


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    """Return the keys that are listed, in their order."""
    return [info.key for info in store.list(prefix)]


def test_it_is_a_public_name() -> None:
    """Users import it from the package itself."""
    assert bulkhaul.LocalStore is LocalStore
    assert "LocalStore" in bulkhaul.__all__


def test_an_object_is_a_file_at_the_path_that_its_key_is(store: LocalStore, folder: Path) -> None:
    """Other programs find it there, and what they put there is an object."""
    store.put_bytes("2024/a.txt", b"ours")
    assert (folder / "2024" / "a.txt").read_bytes() == b"ours"
    (folder / "theirs").write_bytes(b"theirs")
    assert store.get_bytes("theirs") == b"theirs"
    assert keys(store) == ["2024/a.txt", "theirs"]
    assert store.head("theirs").metadata == {}


def test_a_listing_is_in_the_order_of_the_bytes_of_keys(store: LocalStore) -> None:
    """As S3 lists them: a folder sorts by its name and a slash, and not by code units of any kind."""
    made = ["a", "a!", "b/c", "b!", "b0", "b/ü", "b/z", "😀", "\uffee", "B"]
    for key in made:
        store.put_bytes(key, b"x")
    assert keys(store) == sorted(made, key=str.encode)


def test_a_prefix_is_compared_character_by_character(store: LocalStore) -> None:
    """C7, with keys that can be paths together: a prefix is no folder, and is never resolved as a path."""
    for key in ("ab/1", "ab/2", "aaa", "b", "A"):
        store.put_bytes(key, b"x")
    assert keys(store, "a") == ["aaa", "ab/1", "ab/2"]
    assert keys(store, "ab/") == ["ab/1", "ab/2"]
    assert keys(store, "ab/2") == ["ab/2"]
    for none in ("ab/2/", "ab//", "/", "./", "../shelf/a", "ab/../a", "b/x", "x" * 300 + "/", "a\0/"):
        assert keys(store, none) == []


def test_only_the_named_object_is_deleted(store: LocalStore, folder: Path) -> None:
    """C36; the folders that it leaves empty are gone with it, and no other."""
    for key in ("a/b/c", "a/bb", "d/e"):
        store.put_bytes(key, b"x")
    store.delete("a/b/c")
    assert keys(store) == ["a/bb", "d/e"]
    assert sorted(os.listdir(folder / "a")) == ["bb"]
    store.delete("d/e")
    assert sorted(os.listdir(folder)) == ["a"]
    store.put_bytes("d", b"a file where a folder was")
    assert keys(store) == ["a/bb", "d"]


@pytest.mark.parametrize(
    "key", ["/a", "a/", "a//b", ".", "..", "../outside/file", "a/../b", "./a", "n" * 256, "a\0b", f"a/{TEMP}"]
)
def test_a_key_that_is_no_path_is_refused(store: LocalStore, tmp_path: Path, key: str) -> None:
    """By every method, and nothing is made or found outside."""
    calls: list[Callable[[], object]] = [
        lambda: store.head(key),
        lambda: store.get_bytes(key),
        lambda: store.get_bytes_range(key, 0, 0),
        lambda: store.get_to_file(key, tmp_path / "restored"),
        lambda: store.put_bytes(key, b"x"),
        lambda: store.put_path(key, tmp_path / "outside" / "file"),
        lambda: store.put_if_absent(key, b"x"),
        lambda: store.copy("kept", key),
        lambda: store.copy(key, "kept"),
        lambda: store.delete(key),
        lambda: store.presigned_get_url(key, 60),
    ]
    store.put_bytes("kept", b"kept")
    for call in calls:
        with pytest.raises(UnsafeKey):
            call()
    assert keys(store) == ["kept"]
    assert sorted(os.listdir(tmp_path)) == ["outside", "shelf"]
    assert os.listdir(tmp_path / "outside") == ["file"]


def test_a_file_and_a_folder_cannot_have_one_name(store: LocalStore) -> None:
    """The second of the two is refused, whichever it is, and the first one stays."""
    store.put_bytes("a", b"file")
    store.put_bytes("d/e", b"below")
    for put in (store.put_bytes, store.put_if_absent):
        with pytest.raises(LocalError):
            put("a/b", b"x")
        with pytest.raises(LocalError, match="folder"):
            put("d", b"x")
    with pytest.raises(LocalError):
        store.copy("a", "d")
    for missing in ("a/b", "d", "d/e/f"):
        with pytest.raises(NotFound):
            store.head(missing)
        with pytest.raises(NotFound):
            store.delete(missing)
    assert {key: store.get_bytes(key) for key in keys(store)} == {"a": b"file", "d/e": b"below"}


def test_what_is_no_file_is_no_object(store: LocalStore, folder: Path, tmp_path: Path) -> None:
    """Links, FIFOs, temp files and names that are no text are neither listed nor found, and never followed."""
    (folder / "link").symlink_to(tmp_path / "outside" / "file")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "fifo")
    (folder / TEMP).write_bytes(b"half")
    (folder / "empty").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"no text")
    assert keys(store) == []
    assert keys(store, "linked/") == []
    for key in ("link", "linked/file", "nowhere", "fifo", "empty"):
        with pytest.raises(NotFound):
            store.get_bytes(key)
        with pytest.raises(NotFound):
            store.delete(key)
        with pytest.raises(LocalError):
            store.put_if_absent(key, b"x")
    with pytest.raises(LocalError):
        store.put_bytes("linked/new", b"x")
    store.put_bytes("link", b"replaced")
    assert store.get_bytes("link") == b"replaced"
    assert os.listdir(tmp_path / "outside") == ["file"]
    assert (tmp_path / "outside" / "file").read_bytes() == b"outside"


def test_a_listing_that_cannot_be_whole_fails(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read is an error with its path: no listing is silently a part of one."""
    store.put_bytes("a", b"x")
    store.put_bytes("closed/b", b"x")
    scandir = os.scandir
    refuses = iter([False, True])

    def refusing(fd: int) -> Any:
        if next(refuses):
            raise OSError(errno.EACCES, "Permission denied")
        return scandir(fd)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(LocalError, match="permission denied") as caught:
        keys(store)
    assert caught.value.subject == f"{store.folder}/closed/"


def test_an_abandoned_listing_leaves_nothing_open(store: LocalStore) -> None:
    """Whatever was taken of it."""
    for number in range(20):
        store.put_bytes(f"a/b/{number}", b"x")
    before = len(os.listdir("/proc/self/fd"))
    listing = store.list()
    assert next(listing).key == "a/b/0"
    listing.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


class Recorded:
    """What was flushed and named, in its order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        for name in ("fsync", "rename", "link", "mkdir", "unlink"):
            monkeypatch.setattr(os, name, self._recording(name, getattr(os, name)))

    def _recording(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(what: Any, *args: Any, **kwargs: Any) -> Any:
            shown = name
            if name == "fsync":
                shown = "fsync folder" if stat.S_ISDIR(os.fstat(what).st_mode) else "fsync file"
            self.calls.append(shown)
            return real(what, *args, **kwargs)

        return call


def test_a_put_is_on_disk_when_it_returns(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes before the name, the folder after it, and each new folder in the one above."""
    recorded = Recorded(monkeypatch)
    store.put_bytes("a", b"x")
    assert recorded.calls == ["fsync file", "rename", "fsync folder"]
    recorded.calls.clear()
    store.put_bytes("b/c", b"x")
    assert recorded.calls == ["mkdir", "fsync folder", "fsync file", "rename", "fsync folder"]
    recorded.calls.clear()
    assert store.put_if_absent("d", b"x")
    assert recorded.calls == ["fsync file", "link", "fsync folder", "unlink"]
    recorded.calls.clear()
    store.delete("d")
    assert recorded.calls == ["unlink", "fsync folder"]


def no_links(*_: object, **__: object) -> None:
    """A file system without hard links."""
    raise OSError(errno.EPERM, "Operation not permitted")


def test_without_hard_links_a_rename_that_replaces_nothing_creates(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many at once one gets True, and nothing else is left."""
    monkeypatch.setattr(os, "link", no_links)
    start = threading.Barrier(8)

    def race(racer: int) -> bool:
        start.wait(60)
        return store.put_if_absent("key", b"racer %d" % racer)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert store.get_bytes("key") == b"racer %d" % won.index(True)
    assert os.listdir(folder) == ["key"]


def test_where_a_name_can_only_be_replaced_nothing_is_created(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsupported says so: a lock that two hold is none."""
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(landing, "RENAME_NOREPLACE", 1 << 20)  # the kernel refuses a flag that it does not know
    with pytest.raises(Unsupported, match="file system"):
        store.put_if_absent("key", b"x")
    assert os.listdir(folder) == []


def test_a_link_whose_answer_was_lost_is_ours(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS: the server linked, its answer was lost, and the client's second try finds the name taken."""
    link = os.link

    def twice(*args: Any, **kwargs: Any) -> None:
        link(*args, **kwargs)
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", twice)
    assert store.put_if_absent("key", b"x") is True
    monkeypatch.undo()
    assert store.put_if_absent("key", b"y") is False
    assert keys(store) == ["key"]


def test_each_content_has_an_etag_of_its_own(store: LocalStore) -> None:
    """Also of the same length, within one tick of the file system's clock, and with the same inode again."""
    etags = {store.put_bytes("key", b"%04d" % number).etag for number in range(200)}
    assert len(etags) == 200


def test_what_another_program_writes_in_place_has_another_etag(store: LocalStore, folder: Path) -> None:
    """As far as its length or its time shows it."""
    etag = store.put_bytes("key", b"abc").etag
    (folder / "key").write_bytes(b"xyz")
    assert store.head("key").etag != etag


def test_a_temp_file_of_a_killed_process_is_removed(store: LocalStore, folder: Path) -> None:
    """By the next one that stores something in that folder; one that a process still holds stays."""
    (folder / TEMP).write_bytes(b"half")
    store.put_bytes("key", b"x")
    assert os.listdir(folder) == ["key"]


def test_an_object_that_is_written_in_place_is_fetched_anew_once(
    store: LocalStore, folder: Path, tmp_path: Path
) -> None:
    """C17, C18: the file is of one content; after the second time the destination is as it was."""
    new = b"new" * CHUNK_BYTES
    store.put_bytes("key", bytes(2 * CHUNK_BYTES))

    told: list[int] = []

    def overwrite(delta_bytes: int) -> None:
        told.append(delta_bytes)
        if (folder / "key").stat().st_size < len(new):
            (folder / "key").write_bytes(new)

    result = store.get_to_file("key", tmp_path / "file", progress=overwrite)
    assert (tmp_path / "file").read_bytes() == new
    assert (result.size, sum(told)) == (len(new), len(new))
    store.put_bytes("key", bytes(2 * CHUNK_BYTES))
    (tmp_path / "file").write_bytes(b"old")

    def grow(_: int) -> None:
        with (folder / "key").open("ab") as file:
            file.write(bytes(2 * CHUNK_BYTES))

    with pytest.raises(PreconditionFailed):
        store.get_to_file("key", tmp_path / "file", progress=grow)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["file", "outside", "shelf"]


def test_a_full_disk_leaves_the_old_object(store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DiskFull, no temp file, and the key has what it had."""
    store.put_bytes("key", b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskFull):
        store.put_bytes("key", b"new")
    with pytest.raises(DiskFull):
        store.put_if_absent("other", b"new")
    assert os.listdir(folder) == ["key"]
    assert store.get_bytes("key") == b"old"


def test_where_no_metadata_can_be_kept_none_is_lost(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without attributes: Unsupported, and nothing is stored; without metadata all is well."""

    def none(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", none)
    monkeypatch.setattr(os, "getxattr", none)
    with pytest.raises(Unsupported, match="metadata"):
        store.put_bytes("key", b"x", metadata={"a": "b"})
    assert os.listdir(folder) == []
    store.put_bytes("key", b"x")
    assert store.head("key").metadata == {}


def test_puts_and_deletes_in_one_folder_do_not_hinder_each_other(store: LocalStore) -> None:
    """A folder that is removed because it is empty is made again for whoever needs it."""

    def work(worker: int) -> None:
        for number in range(60):
            key = f"a/b/{worker}-{number}"
            store.put_bytes(key, b"x")
            store.delete(key)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert keys(store) == []
    assert os.listdir(store.folder) == []


def test_a_store_is_pickled_by_its_folder(store: LocalStore, folder: Path) -> None:
    """And compared by it; a closed one is open again where it is unpickled."""
    store.put_bytes("key", b"x")
    store.close()
    with pytest.raises(UsageError, match="closed"):
        store.head("key")
    again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
    assert (again == store, hash(again)) == (True, hash(store))
    assert again.get_bytes("key") == b"x"
    assert store != LocalStore(folder / "other")
    assert store != 5


def test_the_folder_is_the_one_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the working folder of that moment; a link to a folder may be given."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "link").symlink_to("shelf")
    monkeypatch.chdir(tmp_path)
    store = LocalStore("link")
    monkeypatch.chdir("/")
    store.put_bytes("key", b"x")
    assert (tmp_path / "shelf" / "key").read_bytes() == b"x"
    assert store.folder == str(tmp_path / "link")
