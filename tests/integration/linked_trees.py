"""A tree of files, and of links to files, to a folder and to nothing, and what is found of one like it."""

from __future__ import annotations

import os
from pathlib import Path

LINKS = {"link": "a", "deep/up": "../a", "deep/same": "x", "dir": "deep", "gone": "nowhere"}
FILES = {"a": b"A", "deep/x": b"X"}


def make_tree(folder: Path) -> Path:
    """Make files, and links to files, to a folder and to nothing."""
    (folder / "deep").mkdir(parents=True)
    for name, body in FILES.items():
        (folder / name).write_bytes(body)
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)
        os.utime(folder / name, ns=(1_500_000_000_000_000_001,) * 2, follow_symlinks=False)
    return folder


def links(folder: Path) -> dict[str, str]:
    """Return every link below a folder and where it leads."""
    return {str(path.relative_to(folder)): str(path.readlink()) for path in folder.rglob("*") if path.is_symlink()}


def plain(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder that is no link, by its own path."""
    return {
        str(Path(top, name).relative_to(folder)): Path(top, name).read_bytes()
        for top, _, names in os.walk(folder)
        for name in names
        if not Path(top, name).is_symlink()
    }
