"""Open folders: what is known of them is asked once."""

from __future__ import annotations

import os
from pathlib import Path

from bulkhaul.disk.folder import open_folder


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
