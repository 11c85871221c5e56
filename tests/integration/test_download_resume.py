"""Downloads whose program is killed: what the temp file holds counts if it is proven, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.disk import boot, download_journal
from bulkhaul.disk.download_journal import journal_name
from bulkhaul.disk.download_records import DownloadState, read_journal
from bulkhaul.disk.locks import has_owner
from bulkhaul.engine.transfers import barrier, download_resume
from bulkhaul.model.objects import Verify
from tests.engines import PART_BYTES, aws_environment, eventually, is_alive, keys, running_engine, serving, temp_files
from tests.faultserver import MIB, CutBody, FaultServer, FlipBit, Stall, StoredObject, make_object
from tests.integration.command import lines, run, start
from tests.integration.test_coordinator_death import parent_of
from tests.patience import PATIENCE_S

PARTS = 8
BODY = random.Random(43).randbytes((PARTS - 1) * PART_BYTES + 777)
#: The program is held in these parts, so that all others are there.
HELD = (2, 5)
THERE = {1, 3, 4, 6, 7, 8}
LEAST_BYTES = 2 * PART_BYTES

# No other journal than that of the large object: the first download brings up both workers.
PROGRAM = """
import sys
from bulkhaul import Engine
from bulkhaul.engine.transfers import barrier, download_resume
endpoint_url, path, part_bytes, barrier_s, landing, fatal = sys.argv[1:]
download_resume.RESUMABLE_BYTES = 2 * int(part_bytes)
barrier.BARRIER_S = float(barrier_s)
if fatal:
    import os, signal
    from bulkhaul.disk import download_journal
    writes = download_journal.DownloadJournal._append
    def dies(journal, record):
        when, name = fatal.split(":")
        if when == "before" and type(record).__name__ == name:
            os.kill(os.getpid(), signal.SIGKILL)
        writes(journal, record)
        if when == "after" and type(record).__name__ == name:
            os.kill(os.getpid(), signal.SIGKILL)
    download_journal.DownloadJournal._append = dies
chosen = {"workers": 2, "concurrency": 8, "part_size_bytes": int(part_bytes), "landing": landing}
with Engine(endpoint_url=endpoint_url, **chosen) as engine:
    print("started", flush=True)
    result = engine.download("s3://bucket/key", path)
print("done", result.resumed_bytes, flush=True)
"""


@contextmanager
def program(
    server: FaultServer, path: Path, *, barrier_s: float = 1e9, landing: str = "auto", fatal: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Run PROGRAM, which downloads ``key``; at the end it and all that it has started are dead."""
    words = [server.endpoint_url, str(path), str(PART_BYTES), str(barrier_s), landing, fatal]
    with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill the program with its workers and their forkserver, and wait until all are dead."""
    others = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and _below(one.name, process.pid)]
    for pid in (process.pid, *others):
        with contextlib.suppress(ProcessLookupError):  # it has ended with the program, in the same instant
            os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
    eventually(lambda: not any(map(is_alive, others)), "a part of the killed program lives on")


def _below(pid: str, ancestor: int) -> bool:
    try:
        above = int(pid)
        while above > 1:
            above = parent_of(above)
            if above == ancestor:
                return True
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


@dataclass
class Site:
    """A server with an object, and the path that it is restored to."""

    server: FaultServer
    path: Path

    @property
    def journal(self) -> Path:
        """Where the journal lies."""
        return self.path.parent / journal_name(self.path.name)

    @property
    def temp(self) -> Path:
        """The temp file that the journal names."""
        state = self.state()
        assert state is not None
        return self.path.parent / state.plan.temp

    def state(self) -> DownloadState | None:
        """Return what the journal says, None without one."""
        if not self.journal.exists():
            return None
        state, _ = read_journal(self.journal.read_bytes())
        return state if isinstance(state, DownloadState) else None

    def recorded(self) -> set[int]:
        """Return the parts that the journal tells of."""
        state = self.state()
        return {part.number for part, _ in state.parts} if state is not None else set()

    def put(self, body: bytes = BODY, **more: Any) -> StoredObject:
        """Store the object."""
        stored = make_object(body, **more)
        self.server.store.put("bucket", "key", stored)
        return stored

    def hold(self, at: tuple[int, ...] = HELD, until: threading.Event | None = None) -> None:
        """Stop, once, the replies with these parts in their middle."""
        for number in at:
            start = (number - 1) * PART_BYTES
            self.server.add_fault(
                Stall(key="key", start=start, attempt="every", times=1, after_bytes=PART_BYTES // 2, until=until)
            )

    def interrupt(self, there: set[int] = THERE, *, at: tuple[int, ...] = HELD, landing: str = "auto") -> None:
        """Have a program download the object, and kill all of it when the parts ``there`` are written down."""
        self.hold(at)
        with program(self.server, self.path, landing=landing) as process:
            eventually(lambda: self.recorded() == there, "other parts came than those that are not held")
            kill_tree(process)
        assert not self.path.exists()

    def ranges(self) -> list[tuple[int, int]]:
        """Return what was asked for of the object so far."""
        gets = self.server.requests_for("GetObject", "key")
        return [(get.range[0], get.bytes_sent) for get in gets if get.range is not None]


@dataclass(frozen=True)
class Again:
    """A second download: its result, and the numbers of the parts that were asked for."""

    result: TransferResult
    fetched: list[int]
    sent_bytes: int


def again(site: Site, body: bytes = BODY, **settings: Any) -> Again:
    """Download once more with an engine of its own; nothing is left but the object (I1, I3)."""
    before = len(site.ranges())
    with running_engine(site.server.endpoint_url, **settings) as engine:
        result = engine.download("s3://bucket/key", site.path)
    asked = site.ranges()[before:]
    assert site.path.read_bytes() == body
    assert temp_files(site.path.parent) == []
    # Each once: on a busy machine a slow reply is asked for again, and a killed program's last request is seen late.
    parts = sorted({1 + start // PART_BYTES for start, _ in asked})
    return Again(result, parts, sum(sent for _, sent in asked))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """An object of 8 parts, which is large enough for a journal."""
    monkeypatch.setattr(download_resume, "RESUMABLE_BYTES", LEAST_BYTES)
    caplog.set_level(logging.INFO, "bulkhaul")
    folder = tmp_path / "out"
    folder.mkdir()
    with serving() as server:
        one = Site(server, folder / "restored")
        one.put(algorithm="CRC32")
        yield one


CHECKSUMS: dict[str, dict[str, Any]] = {
    "full object": {"algorithm": "CRC32"},
    "composite": {"algorithm": "SHA256", "part_size_bytes": 2 * PART_BYTES},
    "none": {},
}


@pytest.mark.parametrize("stored", CHECKSUMS.values(), ids=CHECKSUMS)
def test_killed_and_resumed(site: Site, stored: dict[str, Any]) -> None:
    """After a SIGKILL of everything the same download fetches the missing parts alone, and the file is exact."""
    site.put(**stored)
    site.interrupt()
    inode = site.temp.stat().st_ino
    second = again(site)
    assert second.fetched == [2, 5]
    assert second.sent_bytes == 2 * PART_BYTES
    assert second.result.resumed_bytes == len(BODY) - 2 * PART_BYTES
    assert second.result.parts == PARTS
    assert site.path.stat().st_ino == inode
    assert second.result.integrity == ("checksum" if stored else "etag")


def test_mapped(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Parts that were received into mapped windows count; a file that was not made to be mapped is not mapped."""
    site.interrupt(landing="mapped")
    assert again(site, landing="mapped").fetched == [2, 5]
    site.path.unlink()
    site.interrupt(at=(1, 6), there={2, 3, 4, 5, 7, 8})
    begins_anew(site, caplog, "mapped", landing="mapped")


def test_progress_of_a_resumed_download(site: Site) -> None:
    """Progress begins with what is there, never falls, and comes to the length of the object."""
    site.interrupt()
    moved: list[int] = []
    with running_engine(site.server.endpoint_url) as engine:
        engine.download("s3://bucket/key", site.path, progress=moved.append)
        assert engine.progress().received_bytes == len(BODY)
    assert moved[0] >= len(BODY) - 2 * PART_BYTES
    assert min(moved) > 0
    assert sum(moved) == len(BODY)


def test_killed_twice(site: Site) -> None:
    """A download that was resumed can be killed and resumed again."""
    site.interrupt({1, 3, 4, 6, 8}, at=(2, 5, 7))
    site.interrupt({1, 3, 4, 5, 6, 8}, at=(2, 7))
    assert again(site).fetched == [2, 7]


def is_held(temp: Path) -> bool:
    """Whether a process holds the temp file."""
    with temp.open("rb") as file:
        return has_owner(file.fileno())


RECORDS = ("Allocated", "PartArrived", "Verified", "Published")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("record", ["Plan", *RECORDS])
def test_killed_at_each_record(site: Site, when: str, record: str) -> None:
    """Wherever it is killed, the destination has nothing or the object, and the next run makes it whole."""
    with program(site.server, site.path, fatal=f"{when}:{record}") as process:
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    eventually(lambda: not any(map(is_held, site.path.parent.glob(".*.tmp"))), "a worker of the killed run lives on")
    published = record == "Published"
    assert site.path.exists() == published
    there = site.recorded()
    fetched = again(site).fetched
    assert len(fetched) == (PARTS if published else PARTS - len(there))
    assert record not in ("PartArrived", "Verified") or (len(there) > 0) == (
        (when, record) != ("before", "PartArrived")
    )


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random(site: Site, seed: int) -> None:
    """Kills at any instant, one after the other: in the end the object is exact, and no kept part came twice."""
    chance = random.Random(seed)
    for _ in range(3):
        with program(site.server, site.path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if not chance.random() < 0.2:
                threading.Event().wait(chance.uniform(0, 0.4))
            kill_tree(process)
    there = site.recorded()
    if site.path.exists():
        assert site.path.read_bytes() == BODY
    second = again(site)
    assert second.fetched == sorted(set(range(1, PARTS + 1)) - there)


def damage(path: Path, at: int) -> None:
    """Flip one bit."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_damaged_bytes_are_fetched_again(site: Site) -> None:
    """A part that the journal names counts only if the file still holds its bytes."""
    site.interrupt()
    damage(site.temp, 3 * PART_BYTES + 5)
    damage(site.temp, len(BODY) - 1)
    assert again(site).fetched == [2, 4, 5, 8]


def begins_anew(site: Site, caplog: pytest.LogCaptureFixture, why: str, body: bytes = BODY, **settings: Any) -> None:
    """The next download fetches all of it, and says why."""
    caplog.clear()
    second = again(site, body, **settings)
    assert (second.fetched, second.result.resumed_bytes) == (list(range(1, PARTS + 1)), 0)
    assert any("begins anew" in one and why in one for one in caplog.messages), caplog.messages


def truncate(temp: Path) -> None:
    """Cut the temp file by one byte."""
    os.truncate(temp, len(BODY) - 1)


def replace(temp: Path) -> None:
    """Put a copy in its place."""
    twin = temp.parent / "twin"
    twin.write_bytes(temp.read_bytes())
    twin.chmod(0o600)
    twin.rename(temp)


def open_to_others(temp: Path) -> None:
    """Let others write."""
    temp.chmod(0o666)


def link(temp: Path) -> None:
    """Give it a second name."""
    os.link(temp, temp.parent.parent / "second name")


TEMPS = {truncate: "bytes instead of", replace: "replaced", open_to_others: "own", link: "own", Path.unlink: "gone"}


@pytest.mark.parametrize(("change", "why"), TEMPS.items(), ids=[one.__name__ for one in TEMPS])
def test_another_temp_file(
    site: Site, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None], why: str
) -> None:
    """A temp file that was cut, replaced, opened to others, linked or removed is not gone on with."""
    site.interrupt()
    change(site.temp)
    begins_anew(site, caplog, why)


def test_another_object(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Parts of an object that was replaced are not used."""
    site.interrupt()
    other = random.Random(44).randbytes(len(BODY))
    site.put(other, algorithm="CRC32")
    begins_anew(site, caplog, "changed", other)


def test_a_small_object_in_its_place(site: Site) -> None:
    """What a large object has left at this destination goes when a small one is restored to it."""
    site.interrupt()
    site.put(b"small")
    with running_engine(site.server.endpoint_url) as engine:
        engine.download("s3://bucket/key", site.path)
    assert (site.path.read_bytes(), temp_files(site.path.parent)) == (b"small", [])


def test_other_settings(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Another checksum cannot prove the parts that are there."""
    site.interrupt()
    begins_anew(site, caplog, "checked otherwise", verify=Verify.NONE)


def test_not_to_resume(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Where it is not asked for, what an earlier run has left is removed, and nothing is written down."""
    site.interrupt()
    begins_anew(site, caplog, "--no-resume", resume=False)


@pytest.mark.parametrize("damaged", ["torn tail", "torn plan", "foreign", "next version"])
def test_damaged_journal(site: Site, damaged: str) -> None:
    """Of a torn journal what is whole counts; one that cannot be read counts for nothing."""
    site.interrupt()
    data = site.journal.read_bytes()
    if damaged == "torn tail":
        site.journal.write_bytes(data[:-3])
        assert len(again(site).fetched) == len(HELD) + 1
        return
    site.journal.write_bytes({"torn plan": data[:40], "foreign": b"\xff" + data[1:], "next version": b""}[damaged])
    assert again(site).fetched == list(range(1, PARTS + 1))


def test_journal_of_others(site: Site) -> None:
    """A journal that others may write is not believed; it stays, and this run has none."""
    site.interrupt()
    site.journal.chmod(0o666)
    with running_engine(site.server.endpoint_url) as engine:
        result = engine.download("s3://bucket/key", site.path)
    assert result.resumed_bytes == 0
    assert site.path.read_bytes() == BODY
    assert site.journal.exists()


def test_locked_journal(site: Site) -> None:
    """A second run to the same path has a temp file of its own, while the first one holds the journal."""
    go_on = threading.Event()
    site.hold(until=go_on)
    with program(site.server, site.path) as process:
        eventually(lambda: site.recorded() == THERE, "other parts came than those that are not held")
        theirs = {site.journal.name, site.temp.name}
        before = len(site.ranges())
        with running_engine(site.server.endpoint_url) as engine:
            result = engine.download("s3://bucket/key", site.path)
        assert (result.resumed_bytes, site.path.read_bytes() == BODY) == (0, True)
        assert len(site.ranges()) - before >= PARTS
        assert set(temp_files(site.path.parent)) == theirs
        go_on.set()
        assert process.wait(PATIENCE_S) == 0
    assert site.path.read_bytes() == BODY
    assert temp_files(site.path.parent) == []


def test_after_a_reboot_without_a_barrier(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a reboot only what was flushed counts: without a barrier nothing."""
    site.interrupt()
    other = tmp_path / "boot_id"
    other.write_text("another boot\n")
    monkeypatch.setattr(boot, "BOOT_ID", other)
    assert again(site).fetched == list(range(1, PARTS + 1))


def test_after_a_reboot_with_a_barrier(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a reboot what was flushed is looked at, and counts if its bytes are there."""
    site.hold()
    with program(site.server, site.path, barrier_s=0.0) as process:
        eventually(lambda: site.recorded() == THERE, "other parts came than those that are not held")
        eventually(lambda: (state := site.state()) is not None and state.synced > 0, "no barrier came")
        kill_tree(process)
    state = site.state()
    assert state is not None
    synced = {part.number for part, _ in state.parts[: state.synced]}
    damage(site.temp, (min(synced) - 1) * PART_BYTES)
    other = tmp_path / "boot_id"
    other.write_text("another boot\n")
    monkeypatch.setattr(boot, "BOOT_ID", other)
    kept = synced - {min(synced)}
    assert again(site).fetched == sorted(set(range(1, PARTS + 1)) - kept)


def test_after_a_reboot_on_a_full_disk(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A journal that takes no record is given up, and the download goes on: the temp file has all its blocks."""
    site.hold()
    with program(site.server, site.path, barrier_s=0.0) as process:
        eventually(lambda: site.recorded() == THERE, "other parts came than those that are not held")
        eventually(lambda: (state := site.state()) is not None and state.synced > 0, "no barrier came")
        kill_tree(process)
    state = site.state()
    assert state is not None
    kept = {part.number for part, _ in state.parts[: state.synced]}
    other = tmp_path / "boot_id"
    other.write_text("another boot\n")
    monkeypatch.setattr(boot, "BOOT_ID", other)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download_journal, "write_at", full)
    assert again(site).fetched == sorted(set(range(1, PARTS + 1)) - kept)


def test_a_lost_network_keeps_what_came(site: Site) -> None:
    """A failure that says nothing against the parts keeps them, and its message says how to go on."""
    for number in HELD:
        start = (number - 1) * PART_BYTES
        site.server.add_fault(CutBody(key="key", start=start, attempt="every", after_bytes=1))
    with running_engine(site.server.endpoint_url, concurrency=8) as engine:
        with pytest.raises(errors.NetworkError, match="are kept: run the same again") as caught:
            engine.download("s3://bucket/key", site.path)
        assert f"bulkhaul cleanup --temp-files {site.path.parent}" in str(caught.value)
        assert engine.progress().left_objects == 1
    there = site.recorded()
    assert (there <= THERE, bool(there), site.path.exists()) == (True, True, False)


def test_an_engine_that_ends_keeps_what_came(site: Site) -> None:
    """Ctrl-C ends an engine like this: the parts stay, the journal's lock is free, and the next run goes on."""
    site.hold()
    with running_engine(site.server.endpoint_url, concurrency=8) as engine:
        engine.start_task(engine.aio.download, "s3://bucket/key", site.path)
        eventually(lambda: site.recorded() == THERE, "other parts came than those that are not held")
    assert engine.progress().left_objects == 1
    assert again(site).fetched == [2, 5]


def test_ended_while_it_looks_at_what_is_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that ends before the parts of an earlier run are proven leaves them as they were."""
    site.interrupt()
    looking, go_on, really = threading.Event(), threading.Event(), download_resume._crc_of

    def slowly(*args: Any) -> int | None:
        looking.set()
        assert go_on.wait(PATIENCE_S)
        return really(*args)

    monkeypatch.setattr(download_resume, "_crc_of", slowly)
    with running_engine(site.server.endpoint_url) as engine:
        engine.start_task(engine.aio.download, "s3://bucket/key", site.path)
        assert looking.wait(PATIENCE_S)
        threading.Timer(0.2, go_on.set).start()
    assert (engine.progress().left_objects, site.recorded()) == (1, THERE)
    assert again(site).fetched == [2, 5]


def test_failures_that_make_parts_useless(site: Site) -> None:
    """An object whose bytes are wrong leaves nothing behind."""
    site.server.add_fault(FlipBit(key="key", offset=PART_BYTES, attempt="every"))
    with running_engine(site.server.endpoint_url) as engine, pytest.raises(errors.IntegrityError):
        engine.download("s3://bucket/key", site.path)
    assert list(site.path.parent.iterdir()) == []


def test_order_of_the_last_steps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is flushed before the rename, the folder after it, and only then the journal goes."""
    calls: list[str] = []
    for name in ("fsync", "rename", "unlink"):
        real = getattr(os, name)

        def call(*args: Any, _name: str = name, _real: Any = real, **more: Any) -> Any:
            what = os.readlink(f"/proc/self/fd/{args[0]}") if _name == "fsync" else str(args[0])
            if "bulkhaul-" in what or what == str(site.path.parent):
                kind = "folder" if what == str(site.path.parent) else what.rpartition(".")[2]
                calls.append(f"{_name} {kind}")
            return _real(*args, **more)

        monkeypatch.setattr(os, name, call)
    with running_engine(site.server.endpoint_url, fsync=True) as engine:
        engine.download("s3://bucket/key", site.path)
    assert calls == ["fsync tmp", "rename tmp", "fsync folder", "unlink journal"]


def test_a_barrier_that_fails(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses to flush, nothing is published: no later flush would tell what was lost."""

    def refuse(_: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(barrier, "BARRIER_S", 0.0)
    monkeypatch.setattr(os, "fdatasync", refuse)
    with running_engine(site.server.endpoint_url) as engine, pytest.raises(errors.LocalError):
        engine.download("s3://bucket/key", site.path)
    assert list(site.path.parent.iterdir()) == []


def test_small_objects_have_no_journal(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the threshold nothing is written down: a restart costs less."""
    monkeypatch.setattr(download_resume, "RESUMABLE_BYTES", len(BODY) + 1)
    made: list[object] = []
    monkeypatch.setattr(download_journal.DownloadJournal, "create", lambda *args: made.append(args))
    again(site)
    assert made == []


def test_the_command_is_interrupted_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C says that what came is kept and how to go on; the same command says how much of it was there."""
    part_bytes = 16 * MIB
    body = random.Random(47).randbytes(4 * part_bytes + 5)
    variables = {"BULKHAUL_STATE_DIR": str(tmp_path / "state")}
    path = tmp_path / "restored"
    with serving() as server:
        words = ("cp", "s3://bucket/key", str(path), "--endpoint-url", server.endpoint_url, "--json")
        one = Site(server, path)
        one.put(body, algorithm="CRC32")
        server.add_fault(Stall(key="key", start=part_bytes, after_bytes=1, times=1))
        with start(*words, variables=variables) as process:
            eventually(lambda: one.recorded() == {1, 3, 4, 5}, "other parts came than those that are not held")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert "run the same command again to go on" in out
        assert "no partial file" not in out + err
        assert lines(out)[1]["failed"] == 1
        assert one.recorded() == {1, 3, 4, 5}
        done = run(*words, variables=variables)
        (line,), _ = lines(done.stdout)
        assert line["resumed_bytes"] == 3 * part_bytes + 5
    assert path.read_bytes() == body
    assert sorted(os.listdir(tmp_path)) == ["restored"]


@pytest.mark.parametrize("command", ["cp", "sync", "job"])
def test_the_command_is_killed_and_goes_on(tmp_path: Path, command: str) -> None:
    """After SIGKILL the same command fetches only what is not there, and says so; a job says so in its report, too."""
    part_bytes = 16 * MIB
    body = random.Random(47).randbytes(4 * part_bytes + 5)
    folder, job = tmp_path / "restored", str(tmp_path / "job")
    folder.mkdir()
    with serving() as server:
        at = ("--endpoint-url", server.endpoint_url)
        words = {
            "cp": ("cp", "s3://bucket/a/key", f"{folder}/key", *at),
            "sync": ("sync", "s3://bucket/a/", str(folder), *at),
            "job": ("job", "run", job, *at),
        }[command]
        server.store.put("bucket", "a/key", make_object(body, algorithm="CRC32"))
        if command == "job":
            assert run("job", "create", job, "s3://bucket/a/", folder, "--kind", "copy", *at).returncode == 0
        server.add_fault(Stall(key="a/key", start=part_bytes, after_bytes=1, times=1))
        one = Site(server, folder / "key")
        with start(*words) as process:
            eventually(lambda: one.recorded() == {1, 3, 4, 5}, "other parts came than those that are not held")
            process.kill()
            process.communicate(timeout=PATIENCE_S)
        asked = len(server.requests_for("GetObject"))
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert "(resumed: 48.0 MiB of 64.0 MiB were there)" in done.stdout
        assert [each.range for each in server.requests_for("GetObject")[asked:]] == [(part_bytes, 2 * part_bytes)]
        if command == "job":
            (row,) = map(json.loads, run("job", "report", job, *at).stdout.splitlines())
            assert row["resumed_bytes"] == 3 * part_bytes + 5
    assert (folder / "key").read_bytes() == body
    assert sorted(os.listdir(folder)) == ["key"]
