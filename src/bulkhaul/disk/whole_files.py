"""Gives a file its name when all of it is written: under that name is the old content or the new one, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bulkhaul.disk.folder import open_folder
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import UsageError


@contextmanager
def whole_file(path: str, *, lasting: bool = False, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name, and replaces what has it, only when the block ends without an error.

    Args:
        lasting: wait until the disk has the file and its name, so that they survive a power failure.
        mode: permission bits in any case; None for those that other programs' files have.

    Raises:
        LocalError: its folder does not exist, or it cannot be written; what had its name still has it.
        DurabilityUnknown: it has its name, but the folder could not be flushed.
        UsageError: the path ends in a slash.
    """
    folder, name = os.path.split(path)
    if not name:
        raise UsageError("a file needs a name", path)
    handle = open_folder(folder or ".")
    try:
        landing = Landing.create(handle.fd, name, path, 0, allocate=False, prefer_mapped=False)
        try:
            with os.fdopen(os.dup(landing.fd), "wb") as out:
                yield out  # which the block may close
            landing.grew_to(os.fstat(landing.fd).st_size)
            inherited = handle.inherited_mode()
            usual = published_mode() if inherited is None else inherited
            landing.publish(mode=usual, fsync=lasting, inherits=inherited is not None, kept_mode=mode)
        except OSError as error:
            raise local_error(error, path) from error
        finally:
            landing.discard()
    finally:
        handle.release()
