"""File systems that refuse: small ones and read-only ones, mounted where that is allowed, imitated elsewhere."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulkhaul.disk import landing
from tests import fork_server
from tests.faultserver import MIB
from tests.integration.browser import installed

SMALL_DISK_BYTES = 6 * MIB

collect_ignore = [] if installed() else ["test_benchmark_page.py"]


def pytest_report_header() -> str:
    """Say whether the page of a benchmark is looked at: no package of Python brings a browser."""
    return f"browser: {installed() or 'none; the page of benchmarks is left out (apt-get install chromium)'}"


@pytest.fixture(scope="session", autouse=True)
def workers_are_forked() -> Iterator[None]:
    """What forks them, and commands, starts before any test looks at processes and descriptors."""
    with fork_server.forked_workers():
        yield


@pytest.fixture(scope="module")
def real_workers() -> Iterator[None]:
    """Engines start an interpreter for their workers, as those of users do: for tests of processes."""
    with fork_server.real_workers():
        yield


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[bool]:
    """Mount a tmpfs for the time of a test; tells whether that was permitted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "bulkhaul-test", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that has room for 6 MiB."""
    folder = tmp_path / "small"
    with mounted(folder, f"size={SMALL_DISK_BYTES}") as real:
        if not real:
            monkeypatch.setattr(landing, "_allocate", _full)
        yield folder


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a file system that is read-only."""
    folder, opening, making = tmp_path / "closed", os.open, os.mkdir

    def refuse(path: str, dir_fd: int | None) -> None:
        above = os.path.dirname(path) if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        if above == str(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open_(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            refuse(path, dir_fd)
        return opening(path, flags, mode, dir_fd=dir_fd)

    def mkdir(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        refuse(path, dir_fd)
        making(path, mode, dir_fd=dir_fd)

    with mounted(folder, "ro") as real:
        if not real:
            monkeypatch.setattr("os.open", open_)
            monkeypatch.setattr("os.mkdir", mkdir)
        yield folder


@pytest.fixture
def mounted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that another one is mounted on, as containers are given files."""
    path, given = tmp_path / "a file", tmp_path / "given"
    path.write_bytes(b"below")
    given.write_bytes(b"given")
    done = subprocess.run(["mount", "--bind", str(given), str(path)], capture_output=True, check=False)
    rename = os.rename

    def refuse(source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        if target == path.name:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    if done.returncode:
        monkeypatch.setattr("os.rename", refuse)
    try:
        yield path
    finally:
        if not done.returncode:
            subprocess.run(["umount", str(path)], check=True)


def _full(fd: int, size_bytes: int, _mapped: bool) -> bool:
    """Allocate as a disk of ``SMALL_DISK_BYTES`` would."""
    if size_bytes > SMALL_DISK_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.posix_fallocate(fd, 0, size_bytes)
    return True
