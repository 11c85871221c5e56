"""Reads what the workers of a load have recorded: requests as numpy rows, meters, and kinds of failures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.messages.load_run import FAILURE, FAILURES, METER, METERS, ROW, ROWS, FailureKind, Meter, frames
from bulkhaul.model.errors import DiskFull
from bulkhaul.model.limits import MIB
from bulkhaul.policy.sizes import format_size

FIELDS = np.dtype(
    [
        ("operation", "u1"),
        ("failure", "u1"),
        ("status", "<u2"),
        ("lane", "<u2"),
        ("size_class", "<u2"),
        ("place", "<u4"),
        ("moved_bytes", "<u8"),
        ("due_ns", "<i8"),
        ("began_ns", "<i8"),
        ("turn_ns", "<i8"),
        ("ended_ns", "<i8"),
    ]
)
"""A row of ``ROW``."""

assert FIELDS.itemsize == ROW.size

Rows = npt.NDArray[np.void]

READ_BYTES = 4 << 20
"""Of a spool that is read at once; a frame is shorter."""


LEAST_FREE_BYTES = 16 * MIB
"""A load ends while so much is left on the disk of the spools: others need it, too, and so does the end of the load.
100,000 requests a second take it in three."""


def spool_folder() -> str:
    """Return the folder of spools: that of temporary files.

    Raises:
        LocalError: there is none that can be written.
    """
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise local_error(error, "the folder of temporary files") from error


def require_room() -> None:
    """Make sure that a load can record its requests, or go on with that.

    Raises:
        DiskFull: the disk is nearly full.
        LocalError: there is no folder of temporary files.
    """
    folder = spool_folder()
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES:
        text = (
            f"less than {format_size(LEAST_FREE_BYTES)} are left here, where each request of a benchmark takes"
            f" {ROW.size} bytes; free some, or name another folder by TMPDIR"
        )
        raise DiskFull(text, folder)


class Spool:
    """The spool of one worker.

    Attributes:
        fd: what the worker writes to.
        kinds: of failures, by their numbers, as far as they were read.
    """

    def __init__(self, folder: str, schedule: bytes = b"") -> None:
        """Make a file without a name, with a schedule at its head.

        Raises:
            OSError: the folder refuses.
        """
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - ``close`` closes it
        try:
            self._file.write(schedule)
            self._file.flush()
        except OSError:
            self._file.raw.close()  # not what could not be written
            raise
        self._begins = self._read_to = len(schedule)
        self.fd = self._file.fileno()
        self.kinds: dict[int, FailureKind] = {}

    def new(self) -> Iterator[Rows | Meter]:
        """Yield what has come since the last call."""
        while data := os.pread(self.fd, READ_BYTES, self._read_to):
            end = 0
            for kind, body, end in frames(data):  # noqa: B007 - where the last whole frame ends is looked at below
                if kind == ROWS:
                    yield np.frombuffer(body, dtype=FIELDS)
                elif kind == METER:
                    yield METERS.decode(body)
                elif kind == FAILURE:
                    told = FAILURES.decode(body)
                    self.kinds.setdefault(told.number, told)
            if not end:
                return  # a frame that is not whole yet
            self._read_to += end

    def again(self) -> Iterator[Rows | Meter]:
        """Yield everything from the beginning on."""
        self._read_to = self._begins
        yield from self.new()

    def close(self) -> None:
        """Give the disk's room back."""
        self._file.close()
