"""Temporary files for which there is no room: each keeper says where these lie, and what to do."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from bulkhaul.disk import seen_names
from bulkhaul.disk.newest_first import NewestFirst
from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.disk.temporary import uses_temporary_files
from bulkhaul.errors import DiskFull, LocalError
from bulkhaul.jobs.parked_rows import ParkedRows
from bulkhaul.jobs.spool import SortedEntries, SpooledEntries
from bulkhaul.jobs.waiting_rows import Waiting, WaitingRows
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectVersion
from bulkhaul.policy.comparison import Entry


@pytest.fixture
def no_room() -> Iterator[None]:
    """Let no file of this process grow beyond 8 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handled)


def kept(keeper: str) -> tuple[Callable[[int], object], Callable[[], None]]:
    """Return what adds something to a keeper, by its number, and what closes that."""
    name = "x" * 1000
    match keeper:
        case "waiting":
            waiting = WaitingRows()
            row = Row(n=0, action=Action.DOWNLOAD, source=f"s3://b/{name}")
            return lambda n: waiting.add([Waiting(replace(row, n=n), "b", f"{n}")]), waiting.close
        case "parked":
            parked = ParkedRows()
            row = Row(n=0, action=Action.DOWNLOAD, source=f"s3://b/{name}")
            return lambda n: parked.add(0, [replace(row, n=n)]), parked.close
        case "versions":
            versions = NewestFirst()
            return lambda n: versions.add(ObjectVersion(name, f"{n}")), versions.close
        case "sorted":
            entries = SortedEntries()
            return lambda n: entries.add([Entry(f"{n}{name}", 1)]), entries.close
        case "spool":
            spool = SpooledEntries()
            return lambda n: spool.add(Entry(name, 1)), spool.close
        case _:
            seen, sign = SeenNames(), 1 if keeper == "names" else -1
            return lambda n: seen.earlier(f"{10**9 + sign * n}", name), seen.close


@pytest.mark.usefixtures("no_room")
@pytest.mark.parametrize("keeper", ["names", "names in no order", "spool", "sorted", "waiting", "parked", "versions"])
def test_each_keeper_tells(keeper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder and the variable, and what was kept can be closed after it."""
    monkeypatch.setattr(seen_names, "SPOOLED_IN_MEMORY", 10)
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108
    add, close = kept(keeper)

    def fill() -> None:
        for number in range(20_000):
            add(number)

    with pytest.raises(LocalError, match=r"^/tmp: a temporary file cannot be kept; .* set TMPDIR"):
        fill()
    close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), DiskFull),
        (OSError(errno.EIO, os.strerror(errno.EIO)), LocalError),
        (sqlite3.OperationalError("database or disk is full"), DiskFull),
        (sqlite3.OperationalError("disk I/O error"), LocalError),
        (ValueError("a bug"), ValueError),
    ],
)
def test_what_each_error_becomes(error: Exception, kind: type[Exception]) -> None:
    """A full disk is one; what is no error of a file stays what it is."""

    @uses_temporary_files
    def fail() -> None:
        raise error

    with pytest.raises(kind) as raised:
        fail()
    assert type(raised.value) is kind
