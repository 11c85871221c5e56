"""Temp files: locked by their owner from their creation on, whoever looks at them meanwhile."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bulkhaul.disk import landing as landings
from bulkhaul.disk.landing import TMPFS_MAGIC, Landing, file_system_of
from bulkhaul.disk.locks import has_owner
from bulkhaul.disk.sweep import remove_temp, stale_temps
from bulkhaul.model.errors import DiskFull, LocalError


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    """The folder of a destination."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def create(folder_fd: int) -> Landing:
    """Make a temp file of 4 bytes for the destination ``name``."""
    return Landing.create(folder_fd, "name", "name", 4, allocate=False, prefer_mapped=False)


def after_creation(monkeypatch: pytest.MonkeyPatch, then: Callable[[str], None], *, times: int = 1) -> None:
    """Do something with the path of each of the first temp files, in the instant between its creation and its lock."""
    really, left = os.open, [times]

    def opened(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = really(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_EXCL and left[0]:
            left[0] -= 1
            then(f"/proc/self/fd/{dir_fd}/{path}")
        return fd

    monkeypatch.setattr("os.open", opened)


def test_a_look_at_its_creation_takes_no_temp_file_away(
    tmp_path: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``cleanup --temp-files`` holds a shared lock while it looks: the owner waits, and leaves no other file behind."""
    looking: list[threading.Timer] = []

    def look(path: str) -> None:
        file = os.open(path, os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_SH)
        looking.append(threading.Timer(0.005, os.close, [file]))
        looking[0].start()

    after_creation(monkeypatch, look)
    landing = create(folder_fd)
    looking[0].join()
    assert len(os.listdir(tmp_path)) == 1
    assert list(stale_temps(str(tmp_path))) == []
    landing.discard()
    assert os.listdir(tmp_path) == []


def test_a_temp_file_that_another_one_owns_is_left_for_a_new_one(
    tmp_path: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the lock first, and whether he removes the file or not: one remains, and its maker owns it."""
    taken: list[int] = []

    def take(path: str) -> None:
        taken.append(os.open(path, os.O_RDONLY))
        fcntl.flock(taken[-1], fcntl.LOCK_EX)

    after_creation(monkeypatch, take)
    landing = create(folder_fd)
    os.close(taken[0])
    monkeypatch.undo()
    after_creation(monkeypatch, lambda path: os.unlink(path), times=3)
    other = create(folder_fd)
    assert len(os.listdir(tmp_path)) == 2
    assert list(stale_temps(str(tmp_path))) == []
    landing.discard()
    other.discard()
    assert os.listdir(tmp_path) == []


def test_a_stale_temp_file_that_another_one_looks_at_is_removed(tmp_path: Path) -> None:
    """Two commands that clear the same folder do not take each other for the owner of what is stale."""
    temp = tmp_path / ".name.bulkhaul-0123456789abcdef.tmp"
    temp.touch()
    with temp.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        release = threading.Timer(0.005, fcntl.flock, [file, fcntl.LOCK_UN])
        release.start()
        assert remove_temp(str(temp))
        release.join()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "lands"), [(errno.ENOLCK, True), (errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_locks_that_cannot_be_had(
    tmp_path: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch, number: int, lands: bool
) -> None:
    """A file system without locks takes objects all the same; one that fails to lock leaves nothing behind."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    if lands:
        create(folder_fd).discard()
    else:
        with pytest.raises(LocalError, match="EIO"):
            create(folder_fd)
    assert os.listdir(tmp_path) == []


def test_the_lock_lives_as_long_as_the_landing(tmp_path: Path, folder_fd: int) -> None:
    """A later run takes the temp file of one that has ended, and of no other one."""
    landing = create(folder_fd)
    (name,) = os.listdir(tmp_path)
    with (tmp_path / name).open("rb") as file:
        assert has_owner(file.fileno())
        landing.discard()
        assert not has_owner(file.fileno())


MIB = 1 << 20


@pytest.mark.parametrize(("mapped", "blocks"), [(False, 0), (True, 8 * MIB // 512)])
def test_in_memory_only_what_is_mapped_is_allocated(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch, mapped: bool, blocks: int
) -> None:
    """Blocks in memory are cleared when they are allocated, which takes longer than to fetch what is written there."""
    monkeypatch.setattr(landings, "file_system_of", lambda _: TMPFS_MAGIC)
    landing = Landing.create(folder_fd, "name", "name", 8 * MIB, allocate=True, prefer_mapped=mapped)
    found = os.fstat(landing.fd)
    landing.discard()
    assert found.st_size == 8 * MIB
    assert blocks <= found.st_blocks <= blocks + 64


def test_in_memory_too_little_room_shows_at_once(
    tmp_path: Path, folder_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nothing is allocated: an object with room for all but a byte is refused, and leaves nothing."""
    monkeypatch.setattr(landings, "file_system_of", lambda _: TMPFS_MAGIC)
    room = os.statvfs_result((4096, 4096, 1000, 500, 400, 0, 0, 0, 0, 255))
    monkeypatch.setattr("os.fstatvfs", lambda _: room)
    Landing.create(folder_fd, "name", "name", 400 * 4096, allocate=True, prefer_mapped=False).discard()
    with pytest.raises(DiskFull):
        Landing.create(folder_fd, "name", "name", 400 * 4096 + 1, allocate=True, prefer_mapped=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc", "/dev", "."])
def test_the_kind_of_a_file_system_is_what_stat_says(place: str) -> None:
    """The same number as of coreutils."""
    said = subprocess.run(["stat", "-f", "-c", "%t", place], capture_output=True, text=True, check=True).stdout
    fd = os.open(place, os.O_RDONLY)
    try:
        assert file_system_of(fd) == int(said, 16)
    finally:
        os.close(fd)
