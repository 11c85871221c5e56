"""Disks that are full, read-only or lying, and what others put in the way: a typed error, and nothing is left."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import resource
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from bulkhaul.disk.landing import temp_name
from bulkhaul.errors import TransferError
from bulkhaul.model.settings import Timeouts
from tests.engines import PART_BYTES, Rig, assert_nothing_held, keys, running_engine, running_rig, temp_files
from tests.faultserver import MIB, Stall, make_object
from tests.patience import PATIENCE_S

BODY = random.Random(26).randbytes(8 * MIB)
STORED = make_object(BODY, part_size_bytes=5 * MIB, algorithm="CRC32C")
SMALL = make_object(BODY[:300_000], algorithm="CRC32C")


@pytest.fixture(scope="module", params=["mapped", "written"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine of each landing, with `--fsync`; its bucket holds a large and a small object."""
    with running_rig(tmp_path_factory.mktemp("disk"), landing=request.param, fsync=True) as running:
        running.server.store.put("bucket", "dir/large", STORED)
        running.server.store.put("bucket", "dir/small", SMALL)
        yield running


def refused(rig: Rig, path: Path, kind: type[TransferError], key: str = "dir/large") -> TransferError:
    """Restore to a path that refuses; returns the error, after a look at what is left."""
    with pytest.raises(kind) as caught:
        rig.engine.download(f"s3://bucket/{key}", path)
    assert type(caught.value) is kind
    assert_nothing_held(rig.engine, path.parent)
    return caught.value


def free_bytes(folder: Path) -> int:
    """Return the free space of a folder's file system."""
    found = os.statvfs(folder)
    return found.f_bfree * found.f_bsize


# Full disks


def test_full_disk(rig: Rig, small_disk: Path) -> None:
    """Rows 3 and 31: an object without room is refused before a byte is fetched, and its space comes back."""
    before, asked = free_bytes(small_disk), len(rig.server.requests_for("GetObject"))
    error = refused(rig, small_disk / "restored", errors.DiskFull)
    assert "no space left" in str(error)
    assert list(small_disk.iterdir()) == []
    if os.path.ismount(small_disk):  # else other programs write there, too
        assert free_bytes(small_disk) >= before - 64 * 1024
    assert len(rig.server.requests_for("GetObject")) == asked


def test_full_disk_among_many(rig: Rig, small_disk: Path) -> None:
    """A full disk ends the run, and leaves nothing in pieces: what is there is whole."""
    with pytest.raises(errors.DiskFull):
        list(rig.engine.download_many("s3://bucket/dir/", small_disk))
    assert {path.read_bytes() for path in small_disk.iterdir()} <= {SMALL.body}


def test_disk_fills_up_in_the_middle(tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 32: without fallocate a full disk shows in the middle of a write; it is an error and no SIGBUS."""
    monkeypatch.setattr("bulkhaul.disk.landing._allocate", lambda *_: False)
    with running_rig(tmp_path) as rig:
        rig.restore(SMALL)
        workers = rig.engine.worker_pids
        if not os.path.ismount(small_disk):
            for pid in workers:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (6 * MIB, 6 * MIB))
        rig.server.store.put("bucket", "large", STORED)
        with pytest.raises(errors.LocalError, match=r"no space|larger than"):
            rig.engine.download("s3://bucket/large", small_disk / "restored")
        assert list(small_disk.iterdir()) == []
        assert rig.engine.worker_pids == workers


@pytest.mark.parametrize(("landing", "mapped"), [("auto", False), ("written", False), ("mapped", True)])
def test_what_is_mapped(tmp_path: Path, landing: str, mapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are mapped where that was asked for and nowhere else, however many workers there are."""
    asked: list[int] = []

    def maps(fd: int) -> bool:
        asked.append(fd)
        return True

    monkeypatch.setattr("bulkhaul.disk.landing._maps", maps)
    with running_rig(tmp_path, landing=landing, workers=6) as rig:
        restored = rig.restore(STORED)
        restored.succeeded()
    assert restored.path.read_bytes() == BODY
    assert bool(asked) is mapped


def test_limit_of_file_size(tmp_path: Path) -> None:
    """A worker that may not write as far (RLIMIT_FSIZE) reports it; the signal for it does not kill."""
    with running_rig(tmp_path, landing="written") as rig:
        rig.restore(SMALL)
        workers = rig.engine.worker_pids
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (MIB, MIB))
        rig.restore(STORED, old=b"old").failed(errors.LocalError)
        assert rig.engine.worker_pids == workers


# What is in the way


def plant_fifo(path: Path) -> None:
    """Put a FIFO there."""
    os.mkfifo(path)


def plant_folder(path: Path) -> None:
    """Put a folder with something in it there."""
    path.mkdir()
    (path / "inside").write_bytes(b"kept")


def plant_socket(path: Path) -> None:
    """Put a socket there."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize("plant", [plant_fifo, plant_folder, plant_socket])
def test_no_regular_file(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path], None]
) -> None:
    """Row 43: what is no regular file is neither opened nor replaced, before a byte is fetched."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    plant(Path("small"))
    before = os.lstat("small")
    asked = len(rig.server.requests_for("GetObject"))
    with pytest.raises(errors.LocalError, match=r"regular file|a folder is"):
        rig.engine.download("s3://bucket/dir/small", f"{tmp_path}/")
    after = os.lstat("small")
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert len(rig.server.requests_for("GetObject")) == asked
    assert temp_files(tmp_path) == []


def test_device(rig: Rig) -> None:
    """A device is never replaced by a file."""
    refused_path = Path("/dev/null")
    with pytest.raises(errors.LocalError, match="regular file"):
        rig.engine.download("s3://bucket/dir/small", refused_path)
    assert stat.S_ISCHR(refused_path.stat().st_mode)


def link_to_fifo(path: Path) -> None:
    """Put a link to a link to a FIFO there."""
    os.mkfifo(path.parent / "fifo")
    (path.parent / "between").symlink_to("fifo")
    path.symlink_to("between")


def link_to_device(path: Path) -> None:
    """Put a link to a device there."""
    path.symlink_to("/dev/null")


def link_to_stream(path: Path) -> None:
    """Put a link to an open file there, as /dev/stdout is one where stdout is a file."""
    path.symlink_to("/proc/self/exe")


@pytest.mark.parametrize("plant", [link_to_fifo, link_to_device, link_to_stream])
def test_link_to_what_is_no_file(rig: Rig, tmp_path: Path, plant: Callable[[Path], None]) -> None:
    """A link that leads to a FIFO, a device or an open stream is not replaced; nothing is asked, and `-` is named."""
    link = tmp_path / "restored"
    plant(link)
    before, asked = os.lstat(link).st_ino, len(rig.server.requests)
    with pytest.raises(errors.LocalError, match="use `-`"):
        rig.engine.download("s3://bucket/dir/small", link)
    assert os.lstat(link).st_ino == before
    assert len(rig.server.requests) == asked
    assert temp_files(tmp_path) == []


def test_link_to_a_device_among_many(rig: Rig, tmp_path: Path) -> None:
    """In a folder of many objects it is refused by name, and the others arrive."""
    (tmp_path / "small").symlink_to("/dev/null")
    results = {one.key: one.error for one in rig.engine.download_many("s3://bucket/dir/", tmp_path)}
    assert results["dir/large"] is None
    assert "use `-`" in str(results["dir/small"])
    assert (tmp_path / "small").is_symlink()


def test_mount_point(rig: Rig, mounted_file: Path) -> None:
    """A file that something is mounted on cannot be replaced: told before a byte is fetched, where mounts are told."""
    before, asked = mounted_file.read_bytes(), len(rig.server.requests)
    with pytest.raises(errors.LocalError, match=r"it is a mount point.*use `-`"):
        rig.engine.download("s3://bucket/dir/small", mounted_file)
    assert mounted_file.read_bytes() == before
    assert temp_files(mounted_file.parent) == []
    if before == b"given":
        assert len(rig.server.requests) == asked


def test_mount_point_among_many(rig: Rig, tmp_path: Path, mounted_file: Path) -> None:
    """Among many it fails by name with the same words, and the others arrive."""
    rig.server.store.put("bucket", "many/a file", SMALL)
    rig.server.store.put("bucket", "many/z", SMALL)
    before = mounted_file.read_bytes()
    results = {one.key: one.error for one in rig.engine.download_many("s3://bucket/many/", tmp_path)}
    assert results["many/z"] is None
    assert "it is a mount point" in str(results["many/a file"])
    assert mounted_file.read_bytes() == before
    assert temp_files(tmp_path) == []


def test_missing_parent(rig: Rig, tmp_path: Path) -> None:
    """A folder that does not exist is named, and not made."""
    with pytest.raises(errors.LocalError, match="does not exist"):
        rig.engine.download("s3://bucket/dir/small", tmp_path / "missing" / "restored")
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_place_of_a_folder(rig: Rig, tmp_path: Path) -> None:
    """A file is not taken for a folder, neither by one object nor by many."""
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(errors.LocalError):
        rig.engine.download("s3://bucket/dir/small", tmp_path / "file" / "restored")
    with pytest.raises(errors.LocalError):
        list(rig.engine.download_many("s3://bucket/dir/", tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_read_only_folder(rig: Rig, closed: Path) -> None:
    """A folder in which nothing can be made is refused by name, for one object and for many."""
    assert "the file system is read-only" in str(refused(rig, closed / "restored", errors.LocalError))
    with pytest.raises(errors.LocalError, match="the file system is read-only"):
        list(rig.engine.download_many("s3://bucket/dir/", closed))


def test_symlink_is_replaced(rig: Rig, tmp_path: Path) -> None:
    """A symlink at the destination is replaced by the file; what it pointed to is not touched."""
    (tmp_path / "victim").write_bytes(b"kept")
    for target in ("victim", "nowhere"):
        (tmp_path / "restored").unlink(missing_ok=True)
        (tmp_path / "restored").symlink_to(target)
        rig.engine.download("s3://bucket/dir/large", tmp_path / "restored")
        assert not (tmp_path / "restored").is_symlink()
        assert (tmp_path / "restored").read_bytes() == BODY
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert not (tmp_path / "nowhere").exists()


def test_folder_takes_the_last_segment(rig: Rig, tmp_path: Path) -> None:
    """A folder as the destination, also through a symlink, takes the key's last segment."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    result = rig.engine.download("s3://bucket/dir/small", tmp_path / "link")
    assert result.destination == str(tmp_path / "link" / "small")
    assert (tmp_path / "real" / "small").read_bytes() == SMALL.body


def test_hard_link_keeps_the_old(rig: Rig, tmp_path: Path) -> None:
    """Publishing replaces the name, never the bytes of the old file: another name of it keeps them."""
    (tmp_path / "restored").write_bytes(b"old")
    os.link(tmp_path / "restored", tmp_path / "other")
    rig.engine.download("s3://bucket/dir/small", tmp_path / "restored")
    assert (tmp_path / "other").read_bytes() == b"old"


# Temp files


@pytest.mark.parametrize("plant", [plant_fifo, plant_folder, lambda path: path.symlink_to("victim")],
                         ids=["fifo", "folder", "symlink"])  # fmt: skip
def test_planted_temp_file(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path], None]
) -> None:
    """Whatever has the name of a temp file already is neither followed, opened nor removed."""
    (tmp_path / "victim").write_bytes(b"kept")
    planted = tmp_path / ".restored.bulkhaul-0123456789abcdef.tmp"
    plant(planted)
    before = os.lstat(planted)
    monkeypatch.setattr("secrets.token_hex", lambda _: "0123456789abcdef")
    with pytest.raises(errors.LocalError):
        rig.engine.download("s3://bucket/dir/large", tmp_path / "restored")
    monkeypatch.undo()
    rig.engine.download("s3://bucket/dir/large", tmp_path / "restored")
    assert os.lstat(planted).st_ino == before.st_ino
    assert (tmp_path / "victim").read_bytes() == b"kept"


@pytest.mark.parametrize("length", [112, 113, 143])
def test_file_system_with_short_names(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """Any name that the file system takes can be restored to, and a temp file with a short name is cleared, too."""
    real = os.open

    def short(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if len(os.path.basename(os.fsencode(path))) > 143:  # as eCryptfs
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return real(path, flags, mode, dir_fd=dir_fd)

    stale = tmp_path / temp_name("whatever", 0)
    stale.touch()
    monkeypatch.setattr("os.open", short)
    path = tmp_path / ("n" * length)
    assert rig.engine.download("s3://bucket/dir/small", path).ok
    assert path.read_bytes() == SMALL.body
    assert os.listdir(tmp_path) == [path.name]


def test_stale_temp_file(rig: Rig, tmp_path: Path) -> None:
    """A temp file whose lock is free is cleared by the next run; one that is locked stays, and so do other names."""
    stale = tmp_path / ".restored.bulkhaul-00000000000000aa.tmp"
    held = tmp_path / ".restored.bulkhaul-00000000000000bb.tmp"
    like = tmp_path / ".restored.bulkhaul-00000000000000GG.tmp"
    for path in (stale, held, like):
        path.write_bytes(b"left")
    with held.open("rb") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        rig.engine.download("s3://bucket/dir/small", tmp_path / "restored")
        assert {path.name for path in tmp_path.iterdir()} == {held.name, like.name, "restored"}


def truncate(temp: Path) -> None:
    """Cut the temp file short."""
    os.truncate(temp, 1000)


def replace(temp: Path) -> None:
    """Put another file of the same size in its place."""
    temp.unlink()
    temp.write_bytes(bytes(len(BODY)))


@pytest.mark.parametrize("landing", ["mapped", "written"])
@pytest.mark.parametrize("damage", [truncate, Path.unlink, replace], ids=["truncated", "unlinked", "replaced"])
def test_temp_file_is_damaged(tmp_path: Path, landing: str, damage: Callable[[Path], None]) -> None:
    """Row 33: a temp file that another program damages in the middle is an error; the destination stays as it was."""
    go_on = threading.Event()
    with running_rig(tmp_path, landing=landing, timeouts=Timeouts()) as rig:
        rig.server.store.put("bucket", "key", STORED)
        rig.server.add_fault(Stall(start=4 * PART_BYTES, after_bytes=1000, until=go_on))
        (tmp_path / "restored").write_bytes(b"old")
        future = rig.engine.submit("s3://bucket/key", tmp_path / "restored")
        rig.server.wait_for(lambda s: any(get.faults and get.bytes_sent for get in s.requests_for("GetObject")))
        (name,) = temp_files(tmp_path)
        damage(tmp_path / name)
        go_on.set()
        with pytest.raises(errors.LocalError, match="temp file"):
            future.result(timeout=PATIENCE_S)
        assert (tmp_path / "restored").read_bytes() == b"old"
        assert temp_files(tmp_path) == ([name] if damage is replace else [])  # a stranger's file is not ours to remove
        assert rig.restore(STORED).succeeded().ok


# Publishing


def test_fsync_comes_in_order(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: with `--fsync` the file is flushed before its rename, and the folder after it; without, nothing is."""
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def flush(fd: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def move(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        calls.append("rename")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "rename", move)
    rig.engine.download("s3://bucket/dir/large", tmp_path / "restored")
    assert calls == ["file", "rename", "folder"]
    calls.clear()
    with running_engine(rig.server.endpoint_url, keys()) as engine:
        engine.download("s3://bucket/dir/large", tmp_path / "restored")
    assert calls == ["rename"]


def failing(number: int, *, only_folders: bool = False) -> Callable[..., None]:
    """Return a system call that fails, perhaps only for folders."""

    def fail(fd: object, *_: object, **__: object) -> None:
        if not only_folders or (isinstance(fd, int) and stat.S_ISDIR(os.fstat(fd).st_mode)):
            raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("name", "number", "says"),
    [("fsync", errno.EIO, "cannot be trusted"), ("rename", errno.EACCES, "permission denied"),
     ("fchmod", errno.EPERM, "not permitted"), ("fsync", errno.ENOSPC, "no space left"),
     ("rename", errno.EBUSY, "mount point"), ("rename", errno.EPERM, "immutable"),
     ("rename", errno.EXDEV, "different file systems"), ("rename", errno.EROFS, "read-only"),
     ("rename", errno.ETXTBSY, "a program runs")],
)  # fmt: skip
def test_publishing_fails(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, says: str
) -> None:
    """Row 34: a call that fails before the object has its name leaves the old file and nothing else."""
    (tmp_path / "restored").write_bytes(b"old")
    monkeypatch.setattr(os, name, failing(number))
    with pytest.raises(errors.LocalError, match=says):
        rig.engine.download("s3://bucket/dir/large", tmp_path / "restored")
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("restored", b"old")]
    assert_nothing_held(rig.engine, tmp_path)


def test_folder_cannot_be_flushed(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 34b: the object is published, and the error says that only its durability is unknown."""
    monkeypatch.setattr(os, "fsync", failing(errno.EIO, only_folders=True))
    with pytest.raises(errors.DurabilityUnknown, match="published"):
        rig.engine.download("s3://bucket/dir/large", tmp_path / "restored")
    assert (tmp_path / "restored").read_bytes() == BODY
    assert_nothing_held(rig.engine, tmp_path)


def test_folder_that_has_nothing_to_flush(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers EINVAL to the flush of a folder is not an error."""
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL, only_folders=True))
    assert rig.engine.download("s3://bucket/dir/large", tmp_path / "restored").ok
