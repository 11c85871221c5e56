"""Writes the journal of one download, beside its temp file: what a later run needs to go on with it.

    create ─▶ allocated ─▶ part*, synced* ─▶ verified ─▶ (rename) ─▶ published ─▶ remove
       └──────────┴─────────────┴───────────────┴──▶ close, or a crash: ``disk.download_pending`` finds it

The name follows from that of the destination, so one download to it at a time has a journal, and holds its lock. The
coordinator alone writes here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os

from bulkhaul.disk.download_records import (
    Allocated,
    DataSynced,
    PartArrived,
    Plan,
    Published,
    Rebooted,
    Record,
    Verified,
    frame,
)
from bulkhaul.disk.frames import write_at
from bulkhaul.disk.landing import file_system_of
from bulkhaul.disk.locks import NO_LOCKS, create_locked, remove_owned

_RENUMBERED = frozenset({0x65735546, 0x4D44, 0x2011BAB0, 0x01021997, 0x517B, 0xFF534D42, 0xFE534D42})
"""File systems that may give a file another inode number later: FUSE, VFAT, exFAT, 9P, SMB. Source: statfs(2) and the
kernel's include/uapi/linux/magic.h."""

_MODE = 0o600


def journal_name(destination: str) -> str:
    """Return the file name under which a later download to the same name looks."""
    return f".bulkhaul-{hashlib.blake2b(os.fsencode(destination), digest_size=16).hexdigest()}.journal"


def keeps_inodes(fd: int) -> bool:
    """Whether the file system of an open file knows it by the same inode number later."""
    return file_system_of(fd) not in _RENUMBERED


class DownloadJournal:
    """An open journal, locked by this process until it is closed.

    Every method that writes may raise OSError: the download can go on, but is not to be resumed.

    Attributes:
        fd: of its file; -1 once it is closed.
        parts: how many records of parts it holds.
    """

    def __init__(self, fd: int, folder_fd: int, name: str, length_bytes: int, parts: int) -> None:
        """Take over an open and locked file; ``folder_fd`` stays open as long as the journal."""
        self.fd = fd
        self.parts = parts
        self._folder_fd = folder_fd
        self._name = name
        self._length_bytes = length_bytes

    @classmethod
    def create(cls, folder_fd: int, plan: Plan) -> DownloadJournal | None:
        """Write down that a temp file was made.

        Returns:
            None where there can be none: the name is taken, or the file system has no locks.

        Raises:
            OSError: the folder refuses.
        """
        name = journal_name(plan.destination)
        try:
            fd = create_locked(name, _MODE, folder_fd=folder_fd)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return None
            raise
        if fd is None:
            return None
        journal = cls(fd, folder_fd, name, 0, 0)
        try:
            journal._append(plan)
        except OSError:
            journal.remove()
            raise
        return journal

    def allocated(self, *, mapped: bool) -> None:
        """Write down that the temp file has its length, and whether workers may map it."""
        self._append(Allocated(mapped))

    def part(self, number: int, crc: int, size_bytes: int) -> None:
        """Write down a part whose bytes are in the temp file."""
        self._append(PartArrived(number, crc, size_bytes))
        self.parts += 1

    def synced(self, parts: int) -> None:
        """Write down that the first ``parts`` records of parts are on the disk for good."""
        self._append(DataSynced(parts))

    def rebooted(self, boot: str) -> None:
        """Write down that this is another boot of the machine."""
        self._append(Rebooted(boot))

    def verified(self) -> None:
        """Write down that the whole was checked."""
        self._append(Verified())

    def published(self) -> None:
        """Write down that the destination has the object, and remove the journal; its folder may refuse that."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                self._append(Published())
            self.remove()

    def remove(self) -> None:
        """Remove the journal, and let go of it; one that cannot be removed is cleared by a later run."""
        try:
            with contextlib.suppress(OSError):
                remove_owned(self.fd, self._name, folder_fd=self._folder_fd)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the journal; its file stays for a later run. Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _append(self, record: Record) -> None:
        if self.fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        data = frame(record)
        write_at(self.fd, data, self._length_bytes)
        self._length_bytes += len(data)
