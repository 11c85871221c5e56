"""Barriers of a download: what they cover, in which order, and that nobody waits for them."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from bulkhaul.disk.download_journal import DownloadJournal, journal_name
from bulkhaul.disk.download_records import DownloadState, read_journal
from bulkhaul.disk.locks import has_owner, take_lock
from bulkhaul.engine.transfers import barrier
from bulkhaul.engine.transfers.barrier import Barrier
from tests.patience import PATIENCE_S
from tests.unit.test_download_journal import PLAN


def synced(path: Path) -> int:
    """Return how many records of parts the journal says are on the disk."""
    state, _ = read_journal(path.read_bytes())
    assert isinstance(state, DownloadState)
    return state.synced


def test_what_a_barrier_covers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It covers the parts that had come when it began, and says so between the flushes of file and journal."""
    monkeypatch.setattr(barrier, "BARRIER_S", 0.0)
    calls: list[tuple[str, int]] = []
    go_on = threading.Event()
    all_called: list[asyncio.Future[None]] = []
    path = tmp_path / journal_name("big")

    def flush(fd: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{fd}")).name
        calls.append((name, synced(path)))
        if name == "temp":
            assert go_on.wait(PATIENCE_S)
        if len(calls) == 3:
            all_called[0].get_loop().call_soon_threadsafe(all_called[0].set_result, None)

    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr(os, "fsync", flush)

    async def download() -> None:
        all_called.append(asyncio.get_running_loop().create_future())
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        temp_fd = os.open(tmp_path / "temp", os.O_CREAT | os.O_RDWR)
        journal = DownloadJournal.create(folder_fd, PLAN)
        assert journal is not None
        flushes = Barrier(temp_fd, folder_fd, journal)
        for number in (1, 2):
            journal.part(number, 7, 10)
        flushes.look()
        journal.part(3, 7, 10)  # while the flush is under way: nobody knows whether that sees it
        flushes.look()  # one at a time
        go_on.set()
        await all_called[0]
        journal.close()
        os.close(temp_fd)
        os.close(folder_fd)

    asyncio.run(asyncio.wait_for(download(), PATIENCE_S))
    assert calls == [("temp", 0), (path.name, 2), (tmp_path.name, 2)]


def test_no_barrier_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that takes less than the time between two barriers has none."""
    monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("it was flushed"))

    async def download() -> None:
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        journal = DownloadJournal.create(folder_fd, PLAN)
        assert journal is not None
        flushes = Barrier(folder_fd, folder_fd, journal)
        before = set(threading.enumerate())  # of another test, one may be ending
        journal.part(1, 7, 10)
        flushes.look()
        assert set(threading.enumerate()) <= before
        journal.close()
        os.close(folder_fd)

    asyncio.run(download())


def test_a_flush_is_of_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts, a download that was let go of can be taken up: the temp file has no owner any more.

    The kernel tells an error once to each open file, and a duplicated descriptor is the same one: the flush before the
    publication would find none.
    """
    monkeypatch.setattr(barrier, "BARRIER_S", 0.0)
    flushing, go_on = threading.Event(), threading.Event()

    def flush(_: int) -> None:
        flushing.set()
        assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(os, "fdatasync", flush)

    async def download() -> None:
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        temp_fd = os.open(tmp_path / "temp", os.O_CREAT | os.O_RDWR)
        assert take_lock(temp_fd)
        journal = DownloadJournal.create(folder_fd, PLAN)
        assert journal is not None
        journal.part(1, 7, 10)
        Barrier(temp_fd, folder_fd, journal).look()
        assert await asyncio.to_thread(flushing.wait, PATIENCE_S)
        os.close(temp_fd)
        with (tmp_path / "temp").open("rb") as file:
            assert not has_owner(file.fileno())
        go_on.set()
        journal.close()
        os.close(folder_fd)

    asyncio.run(asyncio.wait_for(download(), PATIENCE_S))
