"""Journals of downloads: what they say after any cut, which parts are trusted when, and what a sweep leaves alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bulkhaul.disk.download_journal import DownloadJournal, journal_name
from bulkhaul.disk.download_pending import has_journal, interrupted, open_for_resume
from bulkhaul.disk.download_records import (
    VERSION,
    Allocated,
    DataSynced,
    DownloadState,
    PartArrived,
    Plan,
    Published,
    Rebooted,
    Record,
    Verified,
    Wanted,
    frame,
    read_journal,
)
from bulkhaul.disk.frames import Flaw
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.sweep import Sweeper, remove_temp, stale_temps
from bulkhaul.engine.transfers.download_resume import _misfit
from bulkhaul.errors import LocalError

WANTED = Wanted("http://s3.example", "bucket", "key", "", '"etag"', 100, 10, "", "CRC32")
PLAN = Plan(VERSION, ".big.bulkhaul-0123456789abcdef.tmp", "big", 1, 2, "first", 5.0, WANTED)
PARTS = [PartArrived(number, number * 7, 10) for number in range(1, 6)]
RECORDS: list[Record] = [
    *(PLAN, Allocated(False), PARTS[0], PARTS[1], DataSynced(1), PARTS[2]),
    *(Rebooted("second"), PARTS[3], DataSynced(3), PARTS[4], Verified(), Published()),
]


def state_of(records: list[Record]) -> DownloadState:
    """Return what a journal of these records says."""
    state, whole = read_journal(b"".join(map(frame, records)))
    assert whole == sum(len(frame(record)) for record in records)
    assert isinstance(state, DownloadState)
    return state


def test_any_cut_leaves_the_records_before_it() -> None:
    """Wherever the tail is torn, the records that are whole count, and nothing else."""
    frames = [frame(record) for record in RECORDS]
    data = b"".join(frames)
    for cut in range(len(data)):
        count, end = 0, 0
        while count < len(frames) and end + len(frames[count]) <= cut:
            end += len(frames[count])
            count += 1
        state, whole = read_journal(data[:cut])
        if count:
            assert (state, whole) == (state_of(RECORDS[:count]), end)
        else:
            assert (state, whole) == (Flaw.EMPTY, 0)


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", Flaw.EMPTY),
        (bytes(500), Flaw.EMPTY),
        (b"hello, this is no journal of anybody", Flaw.FOREIGN),
        (b"\xff" + frame(PLAN)[1:] + frame(PARTS[0]), Flaw.FOREIGN),
        (frame(PARTS[0]) + frame(PLAN), Flaw.FOREIGN),
        (frame(msgspec.structs.replace(PLAN, version=VERSION + 1)), Flaw.VERSION),
    ],
)
def test_what_is_no_journal(data: bytes, flaw: Flaw) -> None:
    """What does not begin with a whole plan of this version says nothing."""
    assert read_journal(data) == (flaw, 0)


def numbers(records: list[Record], boot: str) -> set[int]:
    """Return the parts that are worth looking at in this boot."""
    return set(state_of(records).trusted(boot))


def test_which_parts_are_trusted() -> None:
    """In the boot that wrote them all parts are, in another one those that a barrier covers: by count, not by place."""
    assert numbers(RECORDS[:6], "first") == {1, 2, 3}
    assert numbers(RECORDS[:6], "second") == {1}
    assert numbers(RECORDS[:8], "second") == {1, 4}
    assert numbers(RECORDS[:8], "third") == {1}
    assert numbers(RECORDS[:10], "third") == {1, 2, 3}
    assert numbers(RECORDS[:10], "second") == {1, 2, 3, 4, 5}
    assert numbers(RECORDS[:6], "") == {1}, "where no boot is known, none is the same"
    assert numbers([PLAN, PARTS[0], DataSynced(99), PARTS[1]], "third") == {1}, "no barrier covers what follows it"


def test_the_last_record_of_a_part_counts() -> None:
    """A part that came twice has the checksum of the second time."""
    again = PartArrived(1, 99, 10)
    assert state_of([PLAN, PARTS[0], again]).trusted("first") == {1: again}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """An open folder."""
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def left(folder_fd: int, path: Path) -> tuple[DownloadJournal, Landing]:
    """Make a temp file of 100 bytes and a journal that names it; both are held."""
    landing = Landing.create(folder_fd, "big", str(path / "big"), 100, allocate=False, prefer_mapped=False)
    found = os.fstat(landing.fd)
    plan = msgspec.structs.replace(PLAN, temp=landing.temp, device=found.st_dev, inode=found.st_ino)
    journal = DownloadJournal.create(folder_fd, plan)
    assert journal is not None
    return journal, landing


def test_one_owner(folder: int, tmp_path: Path) -> None:
    """While a run holds the journal nobody takes it over, and nobody makes another one; then the next run does."""
    journal, landing = left(folder, tmp_path)
    journal.allocated(mapped=False)
    journal.part(3, 8, 10)
    assert has_journal(folder, "big")
    assert open_for_resume(folder, "big") is None
    assert DownloadJournal.create(folder, PLAN) is None
    assert list(interrupted(str(tmp_path), os.listdir(tmp_path))) == []
    journal.close()
    landing.keep()
    found = open_for_resume(folder, "big")
    assert found is not None
    second, state = found
    assert isinstance(state, DownloadState)
    assert (state.mapped, set(state.trusted("first")), second.parts) == (False, {3}, 1)
    second.part(4, 9, 10)
    second.published()
    assert not has_journal(folder, "big")
    second.close()


def test_appended_behind_a_torn_tail(folder: int, tmp_path: Path) -> None:
    """What was torn is cut off before anything is written after it."""
    journal, landing = left(folder, tmp_path)
    journal.part(1, 8, 10)
    journal.close()
    landing.keep()
    path = tmp_path / journal_name("big")
    path.write_bytes(path.read_bytes()[:-2] + b"blocks of an older file" * 9)
    found = open_for_resume(folder, "big")
    assert found is not None
    found[0].part(2, 9, 10)
    found[0].close()
    state, whole = read_journal(path.read_bytes())
    assert isinstance(state, DownloadState)
    assert ({part.number for part, _ in state.parts}, whole) == ({2}, path.stat().st_size)


def test_a_sweep_leaves_what_can_be_resumed(folder: int, tmp_path: Path) -> None:
    """A temp file that a journal names stays, even if the journal is of a later version; without one it goes."""
    journal, landing = left(folder, tmp_path)
    journal.close()
    landing.keep()
    path, temp = tmp_path / journal_name("big"), tmp_path / landing.temp
    state, _ = read_journal(path.read_bytes())
    assert isinstance(state, DownloadState)
    assert Sweeper().sweep(folder) == []
    assert list(stale_temps(str(tmp_path))) == []
    assert not remove_temp(str(temp))
    path.write_bytes(frame(msgspec.structs.replace(state.plan, version=VERSION + 1)))
    assert Sweeper().sweep(folder) == []
    path.write_bytes(frame(PLAN))  # it names a temp file that is gone
    assert Sweeper().sweep(folder) == [landing.temp]
    assert os.listdir(tmp_path) == []


def test_a_sweep_removes_what_was_never_begun(folder: int, tmp_path: Path) -> None:
    """A journal without a whole plan goes; one that cannot be read stays."""
    (tmp_path / journal_name("torn")).write_bytes(frame(PLAN)[:20])
    foreign = tmp_path / journal_name("foreign")
    foreign.write_bytes(b"hello, this is no journal of anybody")
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    Sweeper().sweep(folder)
    assert list(tmp_path.iterdir()) == [foreign]


@pytest.mark.parametrize(
    "temp", ["../.big.bulkhaul-0123456789abcdef.tmp", "passwd", "a/.b.bulkhaul-0123456789abcdef.tmp"]
)
def test_no_journal_leads_elsewhere(folder: int, tmp_path: Path, temp: str) -> None:
    """What a journal names is opened only if it has the name of a temp file in the same folder."""
    with pytest.raises(LocalError, match="no temp file"):
        Landing.reopen(folder, "big", str(tmp_path / "big"), temp, 100, inode=1, device=None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"endpoint": "http://other.example"}, "of another object"),
        ({"bucket": "other"}, "of another object"),
        ({"key": "other"}, "of another object"),
        ({"version_id": "2"}, "has changed"),
        ({"etag": '"other"'}, "has changed"),
        ({"size_bytes": 101}, "has changed"),
        ({"part_size_bytes": 20}, "other parts"),
        ({"cuts": "digest"}, "other parts"),
        ({"algorithm": "CRC32C"}, "other parts"),
    ],
)
def test_only_the_same_download_goes_on(change: dict[str, object], why: str) -> None:
    """The same bytes under another version, or cut otherwise, are another download; nothing is when none is wanted."""
    assert _misfit(WANTED, WANTED, resume=True) == ""
    assert why in _misfit(WANTED, msgspec.structs.replace(WANTED, **change), resume=True)
    assert "--no-resume" in _misfit(WANTED, WANTED, resume=False)
    assert _misfit(WANTED, None, resume=True)
