"""Removal of local files: only the very file that was listed, never through a link, and the folders it leaves empty."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkhaul.disk.removal import Removal
from bulkhaul.errors import LocalError
from bulkhaul.model.files import SourceIdentity


def make(root: Path, *names: str) -> dict[str, SourceIdentity]:
    """Make files, and return what a listing would tell of each."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return {name: identity(root / name) for name in names}


def identity(path: Path) -> SourceIdentity:
    """Return which file a path leads to."""
    found = os.lstat(path)
    return SourceIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def left(root: Path) -> list[str]:
    """Return everything below a folder."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def remove(root: Path, listed: dict[str, SourceIdentity]) -> None:
    """Remove all of them, in order."""
    removal = Removal(str(root))
    try:
        for name in sorted(listed):
            removal.remove(name, listed[name])
    finally:
        removal.close()


def test_files_and_the_folders_that_they_leave_empty(tmp_path: Path) -> None:
    """A folder goes with its last file, and so does the one above it, but none that was empty before, nor the root."""
    root = tmp_path / "root"
    listed = make(root, "a.b", "a/b/c", "a/b/d", "a0", "kept/x", "kept/y")
    (root / "vacant").mkdir()
    remove(root, {name: listed[name] for name in ("a.b", "a/b/c", "a/b/d", "a0", "kept/x")})
    assert left(root) == ["kept", "kept/y", "vacant"]
    remove(root, {"kept/y": listed["kept/y"]})
    assert left(root) == ["vacant"]
    (root / "vacant").rmdir()
    remove(root, make(root, "last"))
    assert root.is_dir()


def changed(path: Path) -> None:
    """Write other bytes of the same length, with the same time."""
    kept = os.stat(path)
    path.unlink()
    (path.parent / "takes its inode").touch()
    path.write_text("?" * kept.st_size)
    os.utime(path, ns=(kept.st_mtime_ns, kept.st_mtime_ns))


def touched(path: Path) -> None:
    """Have it modified later."""
    os.utime(path, ns=(1, os.stat(path).st_mtime_ns + 1))


def grown(path: Path) -> None:
    """Append to it, and keep its time."""
    kept = os.stat(path).st_mtime_ns
    path.write_text(path.read_text() + "+")
    os.utime(path, ns=(kept, kept))


def linked(path: Path) -> None:
    """Put a link in its place that leads to it."""
    path.rename(path.parent / "moved")
    path.symlink_to("moved")


def became_a_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("happens", [changed, touched, grown, linked, became_a_folder])
def test_another_file_stays(tmp_path: Path, happens: Callable[[Path], None]) -> None:
    """What is no longer the file that was listed stays, and is an error that names it."""
    listed = make(tmp_path, "folder/file")
    happens(tmp_path / "folder" / "file")
    before = left(tmp_path)
    with pytest.raises(LocalError, match="folder/file"):
        remove(tmp_path, listed)
    assert left(tmp_path) == before


def test_a_link_on_the_way_leads_nowhere(tmp_path: Path) -> None:
    """A folder that became a link is not entered: what lies behind it is no part of the root."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    make(root, "folder/file")
    listed = make(outside, "file")
    (root / "folder" / "file").unlink()
    (root / "folder").rmdir()
    (root / "folder").symlink_to(outside)
    with pytest.raises(LocalError):
        remove(root, {"folder/file": listed["file"]})
    assert left(outside) == ["file"]


def test_what_is_gone_is_gone(tmp_path: Path) -> None:
    """A file that vanished, or its folder, is no error; no descriptor is left open."""
    listed = make(tmp_path, "a", "b/c")
    (tmp_path / "a").unlink()
    (tmp_path / "b" / "c").unlink()
    (tmp_path / "b").rmdir()
    held = len(os.listdir("/proc/self/fd"))
    remove(tmp_path, listed)
    assert len(os.listdir("/proc/self/fd")) == held
