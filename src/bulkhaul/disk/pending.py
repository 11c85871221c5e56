"""Finds the journals that earlier runs left behind, and takes them over.

A journal whose lock is free has no owner any more. A file that is no journal of ours, or cannot be read, is reported
and stays.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import msgspec

from bulkhaul.disk.frames import Flaw, read_all
from bulkhaul.disk.journal import JOURNAL_NAME, Journal, journal_name
from bulkhaul.disk.locks import has_owner, open_locked, remove_owned
from bulkhaul.disk.records import JournalState, read_journal
from bulkhaul.disk.state import state_error

MAX_JOURNAL_BYTES = 64 * 1024 * 1024
"""A longer file is not read: 10,000 parts take about 1 MiB."""

_NO_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})
"""What opening a symlink, a folder or a socket says."""


class FoundJournal(msgspec.Struct, frozen=True):
    """One file of the state folder.

    Attributes:
        state: None if there is none to be read; then ``flaw`` says why.
        locked: its owner lives.
    """

    path: str
    state: JournalState | None
    locked: bool = False
    flaw: Flaw | None = None


def open_for_resume(folder: str, endpoint: str, bucket: str, key: str) -> tuple[Journal, JournalState] | None:
    """Take over the journal of an interrupted upload to this key; None if there is none, or its owner lives.

    Raises:
        LocalError: the folder refuses.
    """
    claimed = claim(os.path.join(folder, journal_name(endpoint, bucket, key)))
    if claimed is not None:
        intent = claimed[1].intent
        if (intent.endpoint, intent.bucket, intent.key) != (endpoint, bucket, key):
            claimed[0].close()  # its file was renamed
            return None
    return claimed


def claim(path: str) -> tuple[Journal, JournalState] | None:
    """Take over a journal without waiting; a torn tail is cut off, and records are appended from there.

    Returns:
        None if it is gone, its owner lives, or it is none of ours; also if its upload has ended or never was, and then
        it is removed.

    Raises:
        LocalError: the disk refuses.
    """
    try:
        fd = _opened(path)
        if fd is None:
            return None
        journal = None
        try:
            state, whole_bytes = _read(fd)
            if isinstance(state, JournalState) and not state.ended:
                os.ftruncate(fd, whole_bytes)
                journal = Journal(fd, path, whole_bytes)
                return journal, state
            if state is Flaw.EMPTY or isinstance(state, JournalState):
                remove_owned(fd, path)
            return None
        finally:
            if journal is None:
                os.close(fd)
    except OSError as error:
        raise state_error(error, path) from error


def scan(folder: str) -> Iterator[FoundJournal]:
    """Look at every file of the state folder, in order of names; waits for no lock and changes nothing.

    Raises:
        LocalError: the folder cannot be read.
    """
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise state_error(error, folder) from error
    for name in names:
        path = os.path.join(folder, name)
        if not JOURNAL_NAME.fullmatch(name):
            yield FoundJournal(path, None, flaw=Flaw.FOREIGN)
        elif (found := _looked_at(path)) is not None:
            yield found


def discard_journal(path: str) -> bool:
    """Remove a journal that has no owner, whichever upload it names.

    Returns:
        False if its owner lives, it is gone, or it is none that can be read: such a file stays.

    Raises:
        LocalError: the disk refuses.
    """
    try:
        fd = _opened(path)
        if fd is None:
            return False
        try:
            state, _ = _read(fd)
            if isinstance(state, Flaw) and state is not Flaw.EMPTY:
                return False
            remove_owned(fd, path)
            return True
        finally:
            os.close(fd)
    except OSError as error:
        raise state_error(error, path) from error


def _opened(path: str) -> int | None:
    try:
        return open_locked(path)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise


def _looked_at(path: str) -> FoundJournal | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None  # finished since the listing
    except OSError as error:
        flaw = Flaw.FOREIGN if error.errno in _NO_FILE else Flaw.UNREADABLE
        return FoundJournal(path, None, flaw=flaw)
    try:
        locked = has_owner(fd)
        state, _ = _read(fd)
    except OSError:
        return FoundJournal(path, None, flaw=Flaw.UNREADABLE)
    finally:
        os.close(fd)
    if isinstance(state, Flaw):
        return FoundJournal(path, None, locked, state)
    return FoundJournal(path, state, locked)


def _read(fd: int) -> tuple[JournalState | Flaw, int]:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return Flaw.FOREIGN, 0
    data = read_all(fd, MAX_JOURNAL_BYTES)
    return (Flaw.FOREIGN, 0) if data is None else read_journal(data)
