"""Writes the results of a benchmark into their folders: each as soon as a run is over, and its page at the end."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhaul.benchmark.report.writing import write
from bulkhaul.benchmark.results import Result
from bulkhaul.cli import bench_lines as lines
from bulkhaul.cli.lines import json_text
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import UsageError

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines


def folder_of(name: str) -> str:
    """Return the folder of a result where none is given: by what was measured, and when."""
    return f"bench-{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"


class ResultFiles:
    """The results of one command; what fails after a run takes nothing of it away.

    Attributes:
        folders: of each place that is measured; they are made when there is something to write.
    """

    def __init__(self, name: str, places: int, repeat: int) -> None:
        """Take a folder that is new or empty; with several places each has one in it.

        Raises:
            UsageError: something is in it.
            LocalError: it could not be made.
        """
        folder = Path(name)
        _require_free(folder)
        self.folders = [folder / str(number) for number in range(1, places + 1)] if places > 1 else [folder]
        self._repeat = repeat
        self._results: dict[int, Result] = {}

    async def take(self, place: int, result: Result) -> None:
        """Write what was measured until now.

        Raises:
            LocalError: it cannot be written; what was written before stays.
        """
        write(result, self.folders[place], ("json",))
        self._results[place] = result

    async def tell(self, out: Lines, *, operation: str, as_json: bool) -> None:
        """Write the page of each result, and say what is where.

        Raises:
            LocalError: one cannot be written.
        """
        for place, result in sorted(self._results.items()):
            folder = self.folders[place]
            write(result, folder, ("html",))
            if as_json:
                fields = {"operation": operation, **lines.summary_fields(result, str(folder))}
                await out.write(json_text("summary", fields))
            else:
                await out.write(lines.files_line(result, str(folder), self._repeat))


def _require_free(folder: Path) -> None:
    """Make sure that a folder is empty, or can be made.

    Raises:
        UsageError: something is in it.
        LocalError: it could not be made.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty; a result needs a folder of its own")
        require_writable(folder)
    except OSError as error:
        raise local_error(error, str(folder)) from error


def require_writable(folder: Path) -> None:
    """Make sure that files can be made in a folder, which may have to be made before; nothing is changed.

    Raises:
        OSError: they cannot.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
