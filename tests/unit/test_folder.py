"""Open folders: what is known of them is asked once."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bulkhaul.disk.folder import DestinationTree, open_folder
from bulkhaul.disk.folder_use import take_away
from bulkhaul.disk.made_folders import MadeFolders, made_above
from bulkhaul.model.errors import LocalError


def test_a_folder_was_vacant_until_it_was_asked(tmp_path: Path) -> None:
    """Files that come later are the run's own; one that was there before may have to keep its mode."""
    folder = open_folder(str(tmp_path))
    try:
        assert folder.was_vacant()
        (tmp_path / "ours").write_bytes(b"")
        assert folder.was_vacant()
        assert os.listdir(folder.fd) == ["ours"]  # the look has left the descriptor as it was
    finally:
        folder.release()
    again = open_folder(str(tmp_path))
    try:
        assert not again.was_vacant()
        (tmp_path / "ours").unlink()
        assert not again.was_vacant()
    finally:
        again.release()


@contextmanager
def used_by_others(path: Path) -> Iterator[None]:
    """Have another run use a folder."""
    tree = DestinationTree(str(path), kept=8)
    try:
        yield
    finally:
        tree.close()


@pytest.mark.parametrize("name", ["new", "new/below"])
def test_a_folder_that_others_use_is_not_taken_away(tmp_path: Path, name: str) -> None:
    """Who has made a folder for nothing leaves it to those who use it; without them it goes."""
    tree = DestinationTree(str(tmp_path / "new"), kept=8)
    tree.folder(("below",)).release()
    with used_by_others(tmp_path / name):
        tree.close()
        assert (tmp_path / name).is_dir()
    assert (tmp_path / "new").is_dir()  # who uses it has not made it

    with made_above(str(tmp_path / "other/f")), used_by_others(tmp_path / "other"):
        pass
    assert not (tmp_path / "other").exists()
    with used_by_others(tmp_path / "third"):
        with made_above(str(tmp_path / "third/f")):
            pass
        assert (tmp_path / "third").is_dir()


def test_a_folder_that_another_program_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``flock FOLDER COMMAND`` does so as long as the command runs; opening, which a loop waits for, hardly waits."""
    fd, pauses_s = os.open(tmp_path, os.O_RDONLY), list[float]()
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", pauses_s.append)
        open_folder(str(tmp_path)).release()
    finally:
        os.close(fd)
    assert 0 < sum(pauses_s) <= 0.01


def test_only_the_folder_that_was_opened_is_taken_away(tmp_path: Path) -> None:
    """Where it is gone by then, another run may use a new one of its name."""
    (tmp_path / "new").mkdir()
    fd = os.open(tmp_path / "new", os.O_RDONLY)
    try:
        (tmp_path / "new").rmdir()
        (tmp_path / "new").mkdir()
        take_away(fd, str(tmp_path / "new"))
        assert (tmp_path / "new").is_dir()
    finally:
        os.close(fd)


def test_a_folder_that_others_make_and_take_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when it was to be made, and is gone when it is looked at: it is made again. A file there fails."""
    make, tries = os.mkdir, iter([FileExistsError(errno.EEXIST, "it was there")])

    def mkdir(path: str, *arguments: Any) -> None:
        for error in tries:
            raise error
        make(path, *arguments)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with made_above(str(tmp_path / "new/f")):
        assert (tmp_path / "new").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="ENOTDIR"), made_above(str(tmp_path / "file/f")):
        pass


@pytest.mark.parametrize("there", ["", "a/"])
def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path, there: str) -> None:
    """Those above it that were made for it go; what was there stays."""
    (tmp_path / there).mkdir(exist_ok=True)
    folder = f"{tmp_path}/a/b/{'x' * 256}"
    with pytest.raises(LocalError, match="name is too long"), made_above(f"{folder}/f"):
        pass
    with pytest.raises(LocalError, match="name is too long"):
        DestinationTree(folder, kept=8)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [there.rstrip("/")] * bool(there)


def test_a_folder_that_is_taken_away_is_made_again(tmp_path: Path) -> None:
    """Many runs into one new folder, each for nothing: none finds it missing while it uses it."""

    def many(_: int) -> None:
        for _ in range(100):
            with made_above(str(tmp_path / "a/b/f")):
                assert (tmp_path / "a" / "b").is_dir()
            tree = DestinationTree(str(tmp_path / "a/b"), kept=8)
            tree.folder(("c",)).release()
            assert (tmp_path / "a" / "b" / "c").is_dir()
            tree.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(many, range(8)))


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    """It is told as that, with what to do, and stays."""
    (tmp_path / "f").write_bytes(b"mine")
    for folder in ("f", "f/", "f/below"):
        with pytest.raises(LocalError, match="is a file, where a folder is needed"):
            MadeFolders().make(f"{tmp_path}/{folder}")
    assert (tmp_path / "f").read_bytes() == b"mine"
