"""Opens what the bodies of a load are written to and thrown away: a device or FIFO, or a folder of nameless files."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from bulkhaul.disk.oserrors import local_error


def opened_sink(path: str) -> int:
    """Return the descriptor of a device or FIFO, to which writes wait.

    Raises:
        OSError: it cannot be written to, or nothing reads the FIFO.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # the open of a FIFO would wait for a reader
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):
            raise OSError(errno.ENXIO, "nothing reads this FIFO; start its reader first", path) from error
        raise
    os.set_blocking(fd, True)
    return fd


@contextmanager
def held_sink(path: str) -> Iterator[None]:
    """Make sure that a sink can be written to, and keep a FIFO open: its reader sees one stream, whoever writes.

    Args:
        path: empty for none.

    Raises:
        LocalError: it cannot be written to, or nothing reads the FIFO.
    """
    fd = -1
    try:
        if os.path.isdir(path):
            tempfile.TemporaryFile(dir=path).close()
        elif path:
            fd = opened_sink(path)
    except OSError as error:
        raise local_error(error, path) from error
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


__all__ = ["held_sink", "opened_sink"]
