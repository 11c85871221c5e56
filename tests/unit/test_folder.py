"""Open folders: what is known of them is asked once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulkhaul.disk.folder import DestinationTree, open_folder
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
