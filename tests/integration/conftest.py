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
from tests.faultserver import MIB

SMALL_DISK_BYTES = 6 * MIB


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
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing can be made."""
    folder = tmp_path / "read-only"
    with mounted(folder, "ro") as real:
        if not real:
            folder.chmod(0o555)
        yield folder


@pytest.fixture
def mounted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that another one is mounted on, as containers are given files."""
    path, given = tmp_path / "a file", tmp_path / "given"
    path.write_bytes(b"below")
    given.write_bytes(b"given")
    done = subprocess.run(["mount", "--bind", str(given), str(path)], capture_output=True, check=False)
    if done.returncode:
        monkeypatch.setattr("bulkhaul.disk.landing.os.rename", _busy)
    try:
        yield path
    finally:
        if not done.returncode:
            subprocess.run(["umount", str(path)], check=True)


def _busy(*_: object, **__: object) -> None:
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _full(fd: int, size_bytes: int) -> bool:
    """Allocate as a disk of ``SMALL_DISK_BYTES`` would."""
    if size_bytes > SMALL_DISK_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.posix_fallocate(fd, 0, size_bytes)
    return True
