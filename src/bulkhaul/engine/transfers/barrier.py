"""Flushes the temp file of a download now and then, so that a power failure costs minutes of work and not all of it.

fdatasync(temp file) ─▶ record in the journal ─▶ fdatasync(journal)

Each flush has a thread, and files that it opens anew: nothing ever waits for it, neither a part that arrives nor the
publication. A duplicated descriptor would keep the lock of the temp file until a flush ends, and take an error away
from the flush before the publication, as the kernel tells it once to each open file (fsync(2)).
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable

from bulkhaul.disk.download_journal import DownloadJournal
from bulkhaul.disk.folder import flush

BARRIER_S = 30.0
"""Seconds from one barrier to the next. The kernel writes dirty pages back after 30 s by itself (proc(5),
dirty_expire_centisecs), so the disk has little more to write; and a download that takes no longer has none."""


class Barrier:
    """The flushes of one temp file.

    Attributes:
        failure: of a flush: pages may be lost that no later flush would tell of.
    """

    def __init__(self, fd: int, folder_fd: int, journal: DownloadJournal) -> None:
        """Take a temp file and its journal; both are opened anew for as long as a flush takes."""
        self.failure: OSError | None = None
        self._fd = fd
        self._folder_fd = folder_fd
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._last_s = time.monotonic()
        self._busy = False
        self._named = False  # the names of both files are on the disk

    def look(self) -> None:
        """Begin a flush if it is time for one; called when a part has arrived."""
        if not self._busy and time.monotonic() - self._last_s >= BARRIER_S:
            self._busy = True
            parts = self._journal.parts
            self._in_thread([(self._fd, os.fdatasync)], lambda: self._synced(parts))

    def _synced(self, parts: int) -> None:
        if self._journal.fd >= 0:
            try:
                self._journal.synced(parts)
            except OSError:
                self._ended()  # the parts count as not synced: that is all
                return
            names = [] if self._named else [(self._folder_fd, flush)]
            self._in_thread([(self._journal.fd, os.fdatasync), *names], self._recorded)

    def _recorded(self) -> None:
        self._named = True
        self._ended()

    def _ended(self) -> None:
        self._last_s = time.monotonic()
        self._busy = False

    def _in_thread(self, work: list[tuple[int, Callable[[int], None]]], then: Callable[[], None]) -> None:
        """Flush descriptors in a thread, and go on; where no thread or descriptor can be had, at the next barrier."""
        twins: list[tuple[int, Callable[[int], None]]] = []
        try:
            for fd, flushes in work:
                twins.append((os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC), flushes))
            threading.Thread(target=self._flush, args=(twins, then), name="bulkhaul-barrier", daemon=True).start()
        except (OSError, RuntimeError):
            for twin, _ in twins:
                os.close(twin)
            self._ended()

    def _flush(self, twins: list[tuple[int, Callable[[int], None]]], then: Callable[[], None]) -> None:
        failure: OSError | None = None
        for twin, flushes in twins:
            try:
                flushes(twin)
            except OSError as error:
                failure = error
            finally:
                os.close(twin)
        try:
            self._loop.call_soon_threadsafe(self._flushed, failure, then)
        except RuntimeError:
            return  # the loop has ended, and the download with it

    def _flushed(self, failure: OSError | None, then: Callable[[], None]) -> None:
        if failure is None:
            then()
        else:
            self.failure = failure  # and there is no other one
