"""The journal of an upload: whatever happens to its file, what is read is what was written, up to some record."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.disk.frames import MAX_BODY_BYTES, Flaw
from bulkhaul.disk.journal import JOURNAL_NAME, Journal, journal_name
from bulkhaul.disk.locks import has_owner, take_lock
from bulkhaul.disk.pending import FoundJournal, claim, discard_journal, open_for_resume, scan
from bulkhaul.disk.records import (
    VERSION,
    Begun,
    Completing,
    Ended,
    Intent,
    JournalState,
    PartSent,
    Record,
    frame,
    read_frames,
    read_journal,
)
from bulkhaul.disk.state import flush_folder, state_folder, state_path
from bulkhaul.errors import DiskFull, LocalError
from bulkhaul.model.files import SourceIdentity

INTENT = Intent(
    version=VERSION,
    endpoint="https://s3.example",
    bucket="bucket",
    key="a/ключ",
    token="9f0c",
    source=SourceIdentity(device=1, inode=2, size_bytes=3, mtime_ns=4),
    part_size_bytes=16 << 20,
    algorithm="CRC64NVME",
    options_digest="ab12",
    began_s=1.5,
)
PLACE = (INTENT.endpoint, INTENT.bucket, INTENT.key)
HEADER_BYTES = 8

numbers = st.integers(1, 10_000)
records = st.one_of(
    st.builds(Begun, upload_id=st.text(max_size=40), algorithm=st.sampled_from(["", "CRC32", "CRC64NVME"])),
    st.builds(PartSent, number=numbers, etag=st.text(max_size=40), crc=st.integers(0, 2**64 - 1), size_bytes=numbers),
    st.just(Completing()),
)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A state folder of this test's own."""
    return state_folder(str(tmp_path / "state"))


def begun_and_left(folder: str, *, upload_id: str = "id-1") -> str:
    """Leave a journal as an interrupted upload does; returns its path."""
    journal = Journal.create(folder, INTENT, resumable=True)
    journal.begun(upload_id, "CRC32C")
    journal.part(1, '"e1"', 11, 5)
    journal.close()
    return journal.path


def resumed(folder: str) -> tuple[Journal, JournalState]:
    """Take over the journal of the one place that the tests know."""
    found = open_for_resume(folder, *PLACE)
    assert found is not None
    return found


# What is written and read


def test_every_record_reads_back(folder: str) -> None:
    """A later run learns all that was written: upload, parts (the last record of a number wins), completing."""
    journal = Journal.create(folder, INTENT, resumable=True)
    journal.begun("id-1", "CRC32C")
    journal.part(2, '"old"', 1, 5)
    journal.part(7, '"e7"', 2**64 - 1, 3)
    journal.part(2, '"new"', 2, 5)
    journal.completing()
    journal.close()
    later, state = resumed(folder)
    parts = {2: PartSent(2, '"new"', 2, 5), 7: PartSent(7, '"e7"', 2**64 - 1, 3)}
    assert state == JournalState(INTENT, "id-1", "CRC32C", parts, completing=True)
    later.close()


def test_upload_that_has_no_name_yet(folder: str) -> None:
    """An Intent alone says that an upload may exist, without a name; the algorithm is the one asked for."""
    Journal.create(folder, INTENT, resumable=True).close()
    later, state = resumed(folder)
    assert state == JournalState(INTENT, "", "CRC64NVME", {}, completing=False)
    later.close()


def test_second_upload_forgets_parts_of_the_first(folder: str) -> None:
    """Parts belong to their upload: after another one was begun, none of the first is offered to it."""
    begun_and_left(folder)
    journal, _ = resumed(folder)
    journal.completing()
    journal.begun("id-2", "CRC32")
    journal.part(3, '"e3"', 9, 5)
    journal.close()
    later, state = resumed(folder)
    assert state == JournalState(INTENT, "id-2", "CRC32", {3: PartSent(3, '"e3"', 9, 5)}, completing=False)
    later.close()


def test_frame_is_as_documented() -> None:
    """A frame is length and CRC-32 (over length and body), little-endian, then msgpack tagged with the type."""
    data = frame(Begun("id", "CRC32"))
    length, crc = struct.unpack_from("<II", data)
    body = data[HEADER_BYTES:]
    assert length == len(body)
    assert crc == zlib.crc32(data[:4] + body)
    assert msgspec.msgpack.decode(body) == {"type": "Begun", "upload_id": "id", "algorithm": "CRC32"}


@given(written=st.lists(records, max_size=12), cut=st.integers(0, 4000))
@example(written=[Begun("x", ""), Completing()], cut=0)
def test_any_cut_leaves_a_prefix(written: list[Record], cut: int) -> None:
    """A journal that ends at any byte reads as the records that are whole before it."""
    frames = [frame(record) for record in [INTENT, *written]]
    data = b"".join(frames)[:cut]
    whole, total = 0, 0
    while whole < len(frames) and total + len(frames[whole]) <= len(data):
        total += len(frames[whole])
        whole += 1
    assert read_frames(data) == ([INTENT, *written][:whole], total)


@given(
    written=st.lists(records, min_size=1, max_size=12), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_any_flipped_bit_leaves_a_prefix(written: list[Record], place: float, bit: int) -> None:
    """Damage hides the record that it hits and what follows, and never changes one."""
    frames = [frame(record) for record in [INTENT, *written]]
    data = bytearray(b"".join(frames))
    at = int(place * len(data))
    data[at] ^= 1 << bit
    hit, total = 0, 0
    while total + len(frames[hit]) <= at:
        total += len(frames[hit])
        hit += 1
    assert read_frames(bytes(data)) == ([INTENT, *written][:hit], total)


@given(
    written=st.lists(records, max_size=8),
    more=st.lists(records, min_size=1, max_size=4),
    cut=st.integers(0, 300),
    garbage=st.binary(max_size=20),
)
def test_resume_appends_after_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, written: list[Record], more: list[Record], cut: int, garbage: bytes
) -> None:
    """After a torn tail, whatever it is, a resumed journal reads back as the whole records and the new ones."""
    folder = str(tmp_path_factory.mktemp("journal"))
    intent = frame(INTENT)
    tail = b"".join(frame(record) for record in written)
    kept = intent + tail[: max(0, len(tail) - cut)]
    path = os.path.join(folder, journal_name(*PLACE))
    Path(path).write_bytes(kept + garbage)
    whole, _ = read_frames(kept + garbage)
    journal, _ = resumed(folder)
    for record in more:
        match record:
            case Begun():
                journal.begun(record.upload_id, record.algorithm)
            case PartSent():
                journal.part(record.number, record.etag, record.crc, record.size_bytes)
            case _:
                journal.completing()
    journal.close()
    expected = [*whole, *more]
    assert read_frames(Path(path).read_bytes()) == (expected, sum(len(frame(record)) for record in expected))


def test_what_follows_damage_is_never_revived(folder: str) -> None:
    """A record behind a damaged one is gone for good, even where a new one takes exactly the damaged one's place."""
    path = begun_and_left(folder)
    kept = Path(path).read_bytes()
    lost, behind, new = (frame(PartSent(number, "", 0, 1)) for number in (2, 3, 4))
    Path(path).write_bytes(kept + lost[:-1] + b"\xff" + behind)
    journal, _ = resumed(folder)
    journal.part(4, "", 0, 1)
    journal.close()
    assert Path(path).read_bytes() == kept + new


TORN_INTENTS = {
    "nothing": b"",
    "half a header": frame(INTENT)[:5],
    "half a body": frame(INTENT)[:-1],
    "zeros": bytes(4096),
    "right length, data lost": frame(INTENT)[:8] + bytes(len(frame(INTENT)) - 8),
}


@pytest.mark.parametrize("content", TORN_INTENTS.values(), ids=TORN_INTENTS)
def test_torn_intent_is_no_upload(folder: str, content: bytes) -> None:
    """A journal whose Intent was not written in full is empty, gives way to a new one, and may be discarded."""
    path = os.path.join(folder, journal_name(*PLACE))
    Path(path).write_bytes(content)
    assert list(scan(folder)) == [FoundJournal(path, None, flaw=Flaw.EMPTY)]
    assert open_for_resume(folder, *PLACE) is None
    assert not os.path.exists(path)
    Path(path).write_bytes(content)
    assert discard_journal(path)
    assert not os.path.exists(path)


ALIEN = {
    "text": (b"hello, this is no journal of anybody", Flaw.FOREIGN),
    "damaged Intent, upload begun": (b"\xff" + frame(INTENT)[1:] + frame(Begun("x", "")), Flaw.FOREIGN),
    "damaged Intent body, upload begun": (frame(INTENT)[:-1] + b"\xff" + frame(Begun("x", "")), Flaw.FOREIGN),
    "begins with another record": (frame(Begun("x", "")) + frame(INTENT), Flaw.FOREIGN),
    "next version": (frame(msgspec.structs.replace(INTENT, version=VERSION + 1)), Flaw.VERSION),
}


def framed(value: object) -> bytes:
    """Return any value in a frame, as a later version may write it."""
    body = msgspec.msgpack.encode(value)
    return struct.pack("<II", len(body), zlib.crc32(struct.pack("<I", len(body)) + body)) + body


ALIEN["version that we cannot decode"] = (framed({"type": "Intent", "version": 9, "place": []}), Flaw.VERSION)
ALIEN["unknown record"] = (frame(INTENT) + framed({"type": "Paused"}), Flaw.FOREIGN)
ALIEN["whole frame of no map"] = (framed([1, 2]), Flaw.FOREIGN)


@pytest.mark.parametrize(("content", "flaw"), ALIEN.values(), ids=ALIEN)
def test_what_we_cannot_read_stays(folder: str, content: bytes, flaw: Flaw) -> None:
    """A file that is none of ours is reported, neither resumed nor changed nor removed, and a new upload goes on."""
    path = os.path.join(folder, journal_name(*PLACE))
    Path(path).write_bytes(content)
    assert list(scan(folder)) == [FoundJournal(path, None, flaw=flaw)]
    assert open_for_resume(folder, *PLACE) is None
    assert claim(path) is None
    assert not discard_journal(path)
    journal = Journal.create(folder, INTENT, resumable=True)
    assert journal.path != path
    journal.finish()
    assert Path(path).read_bytes() == content


def test_endless_file_is_not_read(folder: str) -> None:
    """A file that is longer than any journal is reported without being read into memory."""
    path = os.path.join(folder, journal_name(*PLACE))
    Path(path).write_bytes(frame(INTENT))
    os.truncate(path, 1 << 40)
    assert list(scan(folder)) == [FoundJournal(path, None, flaw=Flaw.FOREIGN)]


def test_journal_of_another_object(folder: str) -> None:
    """A journal that lies under another object's name is not resumed for it."""
    path = begun_and_left(folder)
    other = os.path.join(folder, journal_name(INTENT.endpoint, INTENT.bucket, "other"))
    os.rename(path, other)
    assert open_for_resume(folder, INTENT.endpoint, INTENT.bucket, "other") is None
    claimed = claim(other)
    assert claimed is not None
    claimed[0].close()


def test_too_long_record_is_refused(folder: str) -> None:
    """A record that reading would take as damage is never written."""
    journal = Journal.create(folder, INTENT, resumable=True)
    with pytest.raises(LocalError, match="too long"):
        journal.begun("x" * (MAX_BODY_BYTES + 1), "")
    journal.begun("id", "")
    journal.close()
    later, state = resumed(folder)
    assert state.upload_id == "id"
    later.close()


# Names, modes, links


def test_files_are_private_and_named_by_digest(folder: str) -> None:
    """Only the owner may read a journal, whatever the umask; its name tells nothing of the key."""
    before = os.umask(0)
    try:
        journal = Journal.create(folder, INTENT, resumable=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(journal.path).st_mode) == 0o600
    assert JOURNAL_NAME.fullmatch(os.path.basename(journal.path))
    assert os.path.basename(journal.path) == journal_name(*PLACE)
    journal.close()


def test_names_differ_where_objects_do() -> None:
    """Endpoint, bucket and key are told apart even where their texts run together."""
    places = [("e", "ab", "c"), ("e", "a", "bc"), ("ea", "b", "c"), ("e", "ab", "c\0"), ("e", "ab", "C")]
    assert len({journal_name(*place) for place in places}) == len(places)


def test_streams_get_names_of_their_own(folder: str) -> None:
    """What cannot be resumed does not lie in the way of what can."""
    streams = [Journal.create(folder, INTENT, resumable=False) for _ in range(3)]
    assert open_for_resume(folder, *PLACE) is None
    journal = Journal.create(folder, INTENT, resumable=True)
    assert os.path.basename(journal.path) == journal_name(*PLACE)
    assert len({one.path for one in [journal, *streams]}) == 4
    assert all(JOURNAL_NAME.fullmatch(name) for name in os.listdir(folder))
    for one in [journal, *streams]:
        one.finish()
    assert os.listdir(folder) == []


def linked(target: Path) -> Callable[[str], None]:
    """Return what plants a symlink to ``target``."""
    return lambda path: os.symlink(target, path)


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "FIFO"])
def test_planted_files_are_not_touched(folder: str, tmp_path: Path, kind: str) -> None:
    """What somebody put in a journal's place is neither followed nor waited for, and an upload takes another name."""
    victim = tmp_path / "victim"
    if kind != "dangling link":
        victim.write_bytes(frame(INTENT))
    plant: dict[str, Callable[[str], None]] = {
        "link": linked(victim), "dangling link": linked(victim), "folder": os.mkdir, "FIFO": os.mkfifo,
    }  # fmt: skip
    path = os.path.join(folder, journal_name(*PLACE))
    plant[kind](path)
    found = list(scan(folder))
    assert [(one.path, one.state, one.flaw) for one in found] == [(path, None, Flaw.FOREIGN)]
    assert open_for_resume(folder, *PLACE) is None
    assert not discard_journal(path)
    journal = Journal.create(folder, INTENT, resumable=True)
    assert journal.path != path
    journal.finish()
    assert os.path.lexists(path)
    assert victim.exists() == (kind != "dangling link")


# Locks


def test_living_owner_keeps_its_journal(folder: str) -> None:
    """While its owner lives, a journal is seen as locked, and nobody resumes, claims or discards it."""
    owner = Journal.create(folder, INTENT, resumable=True)
    owner.begun("id-1", "")
    state = JournalState(INTENT, "id-1", "", {}, completing=False)
    assert list(scan(folder)) == [FoundJournal(owner.path, state, locked=True)]
    assert open_for_resume(folder, *PLACE) is None
    assert claim(owner.path) is None
    assert not discard_journal(owner.path)
    second = Journal.create(folder, INTENT, resumable=True)
    assert second.path != owner.path
    second.finish()
    owner.close()
    owner.close()
    assert list(scan(folder)) == [FoundJournal(owner.path, state)]
    later, again = resumed(folder)
    assert again == state
    assert open_for_resume(folder, *PLACE) is None, "resuming takes the lock as well"
    later.finish()


def test_scan_changes_nothing(folder: str) -> None:
    """Looking leaves a torn tail, an empty journal and files of others as they are."""
    path = begun_and_left(folder)
    with open(path, "ab") as file:
        file.write(b"torn")
    Path(folder, "notes.txt").write_bytes(b"mine")
    empty = Path(folder, f"{'0' * 32}.journal")
    empty.touch()
    before = {name: Path(folder, name).read_bytes() for name in os.listdir(folder)}
    found = {os.path.basename(one.path): one for one in scan(folder)}
    assert found["notes.txt"].flaw is Flaw.FOREIGN
    assert found[empty.name].flaw is Flaw.EMPTY
    mine = found[os.path.basename(path)].state
    assert mine is not None
    assert mine.parts == {1: PartSent(1, '"e1"', 11, 5)}
    assert {name: Path(folder, name).read_bytes() for name in os.listdir(folder)} == before


def test_scan_of_no_folder(tmp_path: Path) -> None:
    """Where nothing was ever uploaded there is nothing to find."""
    assert list(scan(str(tmp_path / "none"))) == []


def test_one_of_many_resumes(folder: str) -> None:
    """However many try at once, while others keep looking, exactly one takes a free journal over."""
    path = begun_and_left(folder)
    stop, start = threading.Event(), threading.Barrier(8)
    taken: list[Journal] = []

    def look() -> None:
        while not stop.is_set():
            assert [one.path for one in scan(folder)] == [path]

    def take() -> None:
        start.wait()
        if (found := open_for_resume(folder, *PLACE)) is not None:
            taken.append(found[0])

    watchers = [threading.Thread(target=look) for _ in range(2)]
    takers = [threading.Thread(target=take) for _ in range(8)]
    for thread in [*watchers, *takers]:
        thread.start()
    for thread in takers:
        thread.join()
    stop.set()
    for thread in watchers:
        thread.join()
    assert len(taken) == 1
    taken[0].finish()


def test_somebody_who_looks_is_no_owner(folder: str) -> None:
    """Two who look do not take each other for the owner of a journal."""
    path = begun_and_left(folder)
    with open(path, "rb") as first:
        fcntl.flock(first, fcntl.LOCK_SH)
        assert [one.locked for one in scan(folder)] == [False]
        release = threading.Timer(0.005, fcntl.flock, [first, fcntl.LOCK_UN])
        release.start()
        journal, _ = resumed(folder)  # goes on as soon as the other one has looked
        release.join()
    journal.close()


def test_owner_that_finishes_at_the_last_moment(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is removed after it was opened and before it is locked is gone, not resumed."""
    path = begun_and_left(folder)

    def too_late(fd: int) -> bool:
        Path(path).unlink(missing_ok=True)
        return take_lock(fd)

    monkeypatch.setattr("bulkhaul.disk.locks.take_lock", too_late)
    assert claim(path) is None
    assert os.listdir(folder) == []


def test_cleanup_races_creation(folder: str) -> None:
    """A cleanup that discards what looks empty never takes the journal away from the upload that is creating it."""
    stop = threading.Event()

    def clean() -> None:
        while not stop.is_set():
            for name in os.listdir(folder):
                discard_journal(os.path.join(folder, name))

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(300):
            journal = Journal.create(folder, INTENT, resumable=True)
            journal.part(1, "", 0, 1)
            assert read_frames(Path(journal.path).read_bytes())[0] == [INTENT, PartSent(1, "", 0, 1)]
            journal.close()
    finally:
        stop.set()
        cleaner.join()


# Ends


def test_finish_removes_the_journal(folder: str) -> None:
    """A finished upload leaves nothing; finishing a journal that somebody removed is no error."""
    path = begun_and_left(folder)
    journal, _ = resumed(folder)
    journal.finish()
    assert os.listdir(folder) == []
    assert not discard_journal(path)
    gone = Journal.create(folder, INTENT, resumable=True)
    os.unlink(gone.path)
    gone.finish()


def test_finish_leaves_another_file_in_its_place(folder: str) -> None:
    """Only the journal itself is removed, not what somebody has put in its place."""
    journal = Journal.create(folder, INTENT, resumable=True)
    os.rename(journal.path, journal.path + ".away")
    Path(journal.path).write_bytes(b"other")
    journal.finish()
    assert Path(journal.path).read_bytes() == b"other"


def test_journal_that_cannot_be_removed(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it says that its upload is over: no later run resumes or aborts it."""
    journal = Journal.create(folder, INTENT, resumable=True)
    journal.begun("id", "")
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", refuse(errno.EACCES))
        with pytest.raises(LocalError, match="BULKHAUL_STATE_DIR"):
            journal.finish()
    [found] = scan(folder)
    assert found.state is not None
    assert found.state.ended
    assert not found.locked
    assert open_for_resume(folder, *PLACE) is None
    assert os.listdir(folder) == []


# Disks


def refuse(number: int) -> Callable[..., object]:
    """Return a system call that fails."""

    def call(*_args: object, **_kwargs: object) -> object:
        raise OSError(number, os.strerror(number))

    return call


def test_begun_is_on_disk_when_it_returns(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload's name is flushed, then the folder that names its journal; parts are not flushed, Completing is."""
    trace: list[str] = []
    real_write, real_sync = os.pwrite, os.fsync

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        trace.append("write")
        return real_write(fd, data, offset)

    def fsync(fd: int) -> None:
        trace.append("fsync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "fsync file")
        real_sync(fd)

    monkeypatch.setattr("os.pwrite", pwrite)
    monkeypatch.setattr("os.fsync", fsync)
    journal = Journal.create(folder, INTENT, resumable=True)
    trace.clear()
    journal.begun("id", "")
    assert trace == ["write", "fsync file", "fsync folder"]
    trace.clear()
    journal.part(1, "", 0, 1)
    assert trace == ["write"]
    trace.clear()
    journal.completing()
    assert trace == ["write", "fsync file"]
    journal.close()


@pytest.mark.parametrize("step", ["begun", "completing"])
def test_failed_flush_is_an_error(folder: str, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """What must be on the disk and may not be there is never passed over."""
    journal = Journal.create(folder, INTENT, resumable=True)
    monkeypatch.setattr("os.fsync", refuse(errno.EIO))
    with pytest.raises(LocalError, match="EIO"):
        journal.begun("id", "") if step == "begun" else journal.completing()
    journal.close()


def test_folder_without_flush(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has nothing to flush for a folder says EINVAL, which is no error; any other answer is."""
    monkeypatch.setattr("os.fsync", refuse(errno.EINVAL))
    flush_folder(folder)
    monkeypatch.setattr("os.fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="error"):
        flush_folder(folder)


def test_full_disk_in_the_middle_of_a_record(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that did not fit is an error, and does not spoil those before or after it."""
    journal = Journal.create(folder, INTENT, resumable=True)
    journal.begun("id", "")
    real = os.pwrite
    answers: Iterator[int] = iter([5, 0])

    def half(fd: int, data: bytes, offset: int) -> int:
        count = next(answers)
        return real(fd, data[:count], offset)

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", half)
        with pytest.raises(DiskFull, match="BULKHAUL_STATE_DIR"):
            journal.part(1, "x" * 100, 2**63, 1)
    journal.part(2, "", 0, 1)
    journal.close()
    later, state = resumed(folder)
    assert state.parts == {2: PartSent(2, "", 0, 1)}
    assert state.upload_id == "id"
    later.close()


def test_full_disk_at_creation(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Intent that does not fit is an error; what is left of it is free and empty."""
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse(errno.ENOSPC))
        with pytest.raises(DiskFull):
            Journal.create(folder, INTENT, resumable=True)
    [found] = scan(folder)
    assert (found.flaw, found.locked) == (Flaw.EMPTY, False)


def test_file_system_without_locks(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without locks two runs could share an upload: it is refused, with the remedy, and leaves no file."""
    monkeypatch.setattr("fcntl.flock", refuse(errno.ENOLCK))
    with pytest.raises(LocalError, match=r"no locks; set BULKHAUL_STATE_DIR"):
        Journal.create(folder, INTENT, resumable=True)
    assert os.listdir(folder) == []


def test_unreadable_journal_is_reported(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One journal that the disk refuses does not hide the others from a scan."""
    path = begun_and_left(folder)
    monkeypatch.setattr("os.pread", refuse(errno.EIO))
    assert list(scan(folder)) == [FoundJournal(path, None, flaw=Flaw.UNREADABLE)]
    with pytest.raises(LocalError, match="EIO"):
        open_for_resume(folder, *PLACE)
    with open(path, "rb") as file:
        assert not has_owner(file.fileno()), "the lock went with the error"


# The folder


def test_setting_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting, then BULKHAUL_STATE_DIR, then XDG_STATE_HOME (absolute ones only), then ~/.local/state."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("BULKHAUL_STATE_DIR", str(tmp_path / "own"))
    assert state_folder(str(tmp_path / "set")) == str(tmp_path / "set" / "uploads")
    assert state_folder(None) == str(tmp_path / "own" / "uploads")
    monkeypatch.setenv("BULKHAUL_STATE_DIR", "")
    assert state_folder(None) == str(tmp_path / "xdg" / "bulkhaul" / "uploads")
    home = str(tmp_path / "home" / ".local" / "state" / "bulkhaul" / "uploads")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder(None) == home
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_folder(None) == home
    assert state_folder(None) == home, "it may exist"


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_a_home_that_is_none_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    """Without a HOME the system's entry counts; without that there is an error with the remedy, and no folder."""
    for name in ("XDG_STATE_HOME", "BULKHAUL_STATE_DIR", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.chdir(tmp_path)
    assert state_path(None) == os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".local/state/bulkhaul/uploads")

    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for ask in (state_path, state_folder):
        with pytest.raises(LocalError, match=r"no home folder is known.*set BULKHAUL_STATE_DIR"):
            ask(None)
    assert os.listdir(tmp_path) == []
    assert state_path(str(tmp_path / "set")) == str(tmp_path / "set" / "uploads")
    assert os.listdir(tmp_path) == []


def test_folder_is_private(tmp_path: Path) -> None:
    """Nobody else may list the journals, or the folders that were made for them."""
    made = state_folder(str(tmp_path / "a" / "b"))
    for path in (made, tmp_path / "a" / "b", tmp_path / "a"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


def test_new_folders_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder that was made is flushed into the one above it: else a power failure takes the journals along."""
    flushed: list[str] = []
    monkeypatch.setattr("os.fsync", lambda fd: flushed.append(os.readlink(f"/proc/self/fd/{fd}")))
    state_folder(str(tmp_path / "a" / "b"))
    assert flushed == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]


def test_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be made or written is an error that names the variable to set."""
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="set BULKHAUL_STATE_DIR") as caught:
        state_folder(str(tmp_path / "file"))
    assert str(tmp_path / "file" / "uploads") in str(caught.value)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "uploads").touch()
    with pytest.raises(LocalError, match="set BULKHAUL_STATE_DIR"):
        state_folder(str(tmp_path / "taken"))
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(LocalError, match="permission denied; set BULKHAUL_STATE_DIR"):
        state_folder(str(tmp_path / "unwritable"))


def test_a_file_system_that_makes_no_folders() -> None:
    """Where the folder above exists and the file system makes none below it, that is said, and tried no longer."""
    with pytest.raises(LocalError, match="set BULKHAUL_STATE_DIR") as caught:
        state_folder("/proc/no-such-process")
    assert caught.value.__cause__.__class__ is FileNotFoundError


def test_ended_journal_reads_as_ended() -> None:
    """An Ended record survives whatever was written before it."""
    state, _ = read_journal(frame(INTENT) + frame(Begun("x", "")) + frame(Ended()))
    assert isinstance(state, JournalState)
    assert state.ended


class EarlierIntent(Intent, tag="Intent", frozen=True, kw_only=True):
    """An Intent as it was written when it told the region, and the process that began the upload."""

    region: str
    boot_id: str
    pid: int


def test_journal_with_fields_of_an_earlier_time_is_read() -> None:
    """What an Intent no longer has is passed over: the upload of an earlier run can be resumed and aborted."""
    fields = {name: getattr(INTENT, name) for name in INTENT.__struct_fields__}
    earlier = EarlierIntent(**fields, region="eu-west-1", boot_id="b", pid=77)
    data = frame(earlier) + frame(Begun("id", "CRC64NVME"))
    assert b"boot_id" in data
    assert read_journal(data) == (JournalState(INTENT, "id", "CRC64NVME", {}, completing=False), len(data))
