"""Gives a file its name when all of it is written: under that name is the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bulkhaul.disk.state import flush_folder


@contextmanager
def whole_file(path: str, *, lasting: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write into, which replaces what has its name when the block ends well.

    Args:
        lasting: wait until the disk has the file and its name, so that they survive a power failure.

    Raises:
        OSError: it cannot be written; what had the name has it still.
    """
    folder, name = os.path.split(os.path.abspath(path))
    unnamed = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        with open(unnamed, "wb") as file:
            yield file
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(unnamed, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it is not there, or the disk refuses that, too
            os.unlink(unnamed)
        raise
    if lasting:
        flush_folder(folder)
