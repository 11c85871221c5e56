"""Makes the folder that a transfer needs, and takes it away if it still holds nothing when the transfer has ended."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from bulkhaul.disk.folder_use import TRIES, open_in_use, take_away
from bulkhaul.disk.oserrors import local_error


class MadeFolders:
    """The folders that one transfer has made by their paths."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def make(self, folder: str) -> int:
        """Make a folder, and those above it that are missing; return it open, for the caller to close.

        Raises:
            LocalError: it cannot be made or opened; what was made for it is taken away.
        """
        try:
            return self._opened(folder)
        except BaseException:
            self.drop_empty()
            raise

    def _opened(self, folder: str) -> int:
        for tries_left in reversed(range(TRIES)):
            missing, above = [], folder.rstrip("/") or folder
            while above and not os.path.lexists(above):
                missing.append(above)
                above = os.path.dirname(above)
            try:
                os.makedirs(folder, exist_ok=True)
                return open_in_use(folder)
            except (FileNotFoundError, FileExistsError) as error:
                # Another transfer has taken one of them away, as it was empty; what is no folder stays.
                if os.path.lexists(folder.rstrip("/")) and not os.path.isdir(folder):  # a file: a folder would do
                    raise local_error(NotADirectoryError(errno.ENOTDIR, ""), folder) from error
                if not tries_left:
                    raise local_error(error, folder) from error
            except OSError as error:
                raise local_error(error, folder) from error
            finally:
                self._made = missing + self._made
        raise AssertionError("the last try has returned or raised")

    def drop_empty(self, fd: int | None = None) -> None:
        """Take away what was made, holds nothing and is used by nobody else, from the inside out.

        Args:
            fd: what ``make`` has returned; None if it has not.
        """
        for depth, folder in enumerate(self._made):
            if not depth and fd is not None:
                take_away(fd, folder)
                continue
            with contextlib.suppress(OSError):  # gone already
                above_fd = open_in_use(folder)
                try:
                    take_away(above_fd, folder)
                finally:
                    os.close(above_fd)


@contextlib.contextmanager
def made_above(path: str) -> Iterator[None]:
    """Make the folder that a file goes into; a path that ends in a slash is that folder itself.

    Raises:
        LocalError: it cannot be made.
    """
    folder = os.path.dirname(path)
    if not folder:
        yield
        return
    made = MadeFolders()
    fd = made.make(folder)
    try:
        yield
    finally:
        made.drop_empty(fd)
        os.close(fd)
