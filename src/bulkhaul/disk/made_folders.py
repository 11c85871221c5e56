"""Makes folders that a transfer needs, and takes away those of them that still hold nothing when it has ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bulkhaul.disk.oserrors import local_error


class MadeFolders:
    """The folders that one transfer has made by their paths."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def make(self, folder: str) -> None:
        """Make a folder, and those above it that are missing.

        Raises:
            LocalError: it cannot be made.
        """
        missing, above = [], folder.rstrip("/") or folder
        while above and not os.path.lexists(above):
            missing.append(above)
            above = os.path.dirname(above)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise local_error(error, folder) from error
        finally:
            self._made = missing + self._made

    def drop_empty(self) -> None:
        """Take away what was made and holds nothing, from the inside out."""
        for folder in self._made:
            with contextlib.suppress(OSError):  # it holds something, as it should
                os.rmdir(folder)


@contextlib.contextmanager
def made_above(path: str) -> Iterator[None]:
    """Make the folder that a file goes into; a path that ends in a slash is that folder itself.

    Raises:
        LocalError: it cannot be made.
    """
    made = MadeFolders()
    try:
        if folder := os.path.dirname(path):
            made.make(folder)
        yield
    finally:
        made.drop_empty()
