"""Uploads whose program, workers or service end in the middle: what was sent counts, and nothing else is trusted."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.disk.pending import scan
from bulkhaul.model.objects import Content
from bulkhaul.model.settings import Timeouts
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.testing.faultserver.contents import BytesContent
from tests.engines import PART_BYTES, aws_environment, eventually, is_alive, keys
from tests.faultserver import CutReceiving, Fault, StallReceiving, Status, ToldChecksum, hang_before_head
from tests.integration.test_coordinator_death import parent_of
from tests.integration.test_processes import Witness
from tests.patience import PATIENCE_S, SOON_S
from tests.s3_client import crc
from tests.writing import LIMITS, Site, WriteRig, engine_at, running_write_rig, serving_site

PARTS = 8
BODY = random.Random(41).randbytes((PARTS - 1) * PART_BYTES + 777)
CREATE, COMPLETE, ABORT = "CreateMultipartUpload", "CompleteMultipartUpload", "AbortMultipartUpload"
#: The two connections are held in these two, so that parts 1, 2 and 4 are there and nothing else is.
HELD = (3, 5)
THERE = {1, 2, 4}
THRESHOLD_BYTES = 2 * PART_BYTES
#: Parts that are too long to be queued at a worker.
LONG: dict[str, Any] = {"part_size_bytes": PART_BYTES, "multipart_threshold_bytes": THRESHOLD_BYTES}
PATIENT = Timeouts(read_s=30.0, lease_s=30.0, heartbeat_s=30.0)

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])

PROGRAM = """
import json, sys
from bulkhaul import Engine
from bulkhaul.model.limits import S3Limits
path, url, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
limits = S3Limits(min_part_bytes=settings.pop("min_part_bytes"))
with Engine(workers=2, concurrency=2, limits=limits, **settings) as engine:
    while len(engine.worker_pids) < 2:  # two at once need both workers
        both = [engine.start_task(engine.aio.upload_bytes, b"", "s3://bucket/started") for _ in range(2)]
        assert all(one.result().ok for one in both)
    print(*engine.worker_pids, flush=True)
    print("sent", engine.upload(path, url).etag, flush=True)
"""


@contextmanager
def program(rig: Site, path: Path, **settings: Any) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run PROGRAM, which uploads a file to ``key``; yields it with its workers and their forkserver."""
    chosen = {
        "endpoint_url": rig.server.endpoint_url,
        **LONG,
        "min_part_bytes": LIMITS.min_part_bytes,
        "state_dir": str(rig.state),
        **settings,
    }
    command = [sys.executable, "-c", PROGRAM, str(path), "s3://bucket/key", json.dumps(chosen)]
    with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            workers = [int(word) for word in process.stdout.readline().split()]
            assert len(workers) == 2
            yield process, [*workers, parent_of(workers[0])]
        finally:
            process.kill()


def source_of(rig: Site) -> Path:
    """Return the file that is uploaded."""
    path = rig.folder / "source.bin"
    path.write_bytes(BODY)
    return path


def hold(at: tuple[int, ...] = HELD, *, until: threading.Event | None = None) -> list[Fault]:
    """Return the faults that stop, once, the reading of these parts at their beginning."""
    return [
        StallReceiving(operation="UploadPart", key="key", part=part, attempt="every", times=1, until=until)
        for part in at
    ]


def kill_tree(process: subprocess.Popen[str], others: list[int]) -> None:
    """Kill a program with its workers and their forkserver, all at once."""
    for pid in (process.pid, *others):
        with contextlib.suppress(ProcessLookupError):  # it has ended with the program, in the same instant
            os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
    eventually(lambda: not any(map(is_alive, others)), "a part of the killed program lives on")


@contextmanager
def held(
    rig: Site, path: Path, there: set[int] = THERE, *, at: tuple[int, ...] = HELD, until: threading.Event | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run PROGRAM until it is held in two parts, and ``there`` are acknowledged and written down."""
    faults = hold(at, until=until)
    for fault in faults:
        rig.server.add_fault(fault)
    with program(rig, path) as (process, others):
        eventually(lambda: all(map(rig.server.fired, faults)), "the two parts did not come")
        eventually(lambda: recorded(rig) == there, "other parts came than the two that are held")
        yield process, others


def interrupt(rig: Site, path: Path) -> None:
    """Have a program upload ``path``, and kill all of it when parts 1, 2 and 4 are acknowledged and written down."""
    with held(rig, path) as (process, others):
        kill_tree(process, others)
    (upload_id,) = rig.pending("key")
    (found,) = rig.journals("key")
    assert found.state is not None
    assert (found.locked, found.state.upload_id) == (False, upload_id)


def kill_after_completion(rig: Site, path: Path) -> None:
    """Have a program upload ``path``, and kill all of it when the object is there and nobody was told."""
    rig.server.add_fault(hang_before_head(operation=COMPLETE))
    with program(rig, path) as (process, others):
        eventually(lambda: rig.stored("key") == BODY, "no object came")
        kill_tree(process, others)


def recorded(rig: Site) -> set[int]:
    """Return the parts that the only journal tells of: none while its first record is being written."""
    states = [one.state for one in scan(str(rig.state / "uploads"))]
    return {number for state in states if state is not None for number in state.parts}


@dataclass(frozen=True)
class Again:
    """A second upload of the same file: its result, and what was asked for it."""

    result: TransferResult
    asked: Counter[str]
    sent: list[int]


def again(rig: Site, path: Path, *, named: int = 0, **settings: Any) -> Again:
    """Upload the file once more with an engine of its own, and check that nothing is left (I3)."""
    with engine_at(rig, **{**LONG, "timeouts": PATIENT, **settings}) as second:
        before = len(rig.server.requests)
        result = second.engine.upload(path, "s3://bucket/key")
        asked = [one for one in rig.server.requests[before:] if one.key == "key"]
        second.assert_nothing_left("key", named=named)
    sent = sorted(one.part_number or 0 for one in asked if one.operation == "UploadPart")
    return Again(result, Counter(one.operation for one in asked), sent)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Site]:
    """A fault server; engines come later, when programs have died."""
    with serving_site(tmp_path) as site:
        yield site


@BOTH
def test_killed_and_resumed(rig: Site, transport: str) -> None:
    """After a SIGKILL of everything the same upload sends the missing parts alone, and the object is exact."""
    path = source_of(rig)
    interrupt(rig, path)
    second = again(rig, path, transport=transport)
    assert second.sent == [3, 5, 6, 7, 8]
    assert second.asked == {"ListParts": 1, "UploadPart": 5, COMPLETE: 1}
    assert (second.result.integrity, second.result.parts, rig.stored("key")) == ("checksum", PARTS, BODY)
    assert second.result.resumed_bytes == len(THERE) * PART_BYTES


def test_progress_of_a_resumed_upload(rig: Site) -> None:
    """Progress begins with what the service has, never falls, and comes to the length of the file."""
    path = source_of(rig)
    interrupt(rig, path)
    moved: list[int] = []
    with engine_at(rig, **LONG, timeouts=PATIENT) as second:
        second.engine.upload(path, "s3://bucket/key", progress=moved.append)
    assert (moved[0], sum(moved)) == (len(THERE) * PART_BYTES, len(BODY))
    assert min(moved) > 0


def test_killed_twice(rig: Site) -> None:
    """An upload that was resumed can be killed and resumed again."""
    path = source_of(rig)
    interrupt(rig, path)
    # Part 8 is so short that it may be queued behind another one: it cannot be held for itself.
    with held(rig, path, THERE | {3, 5}, at=(6, 7)) as (process, others):
        kill_tree(process, others)
    second = again(rig, path)
    result, asked, sent = second.result, second.asked, second.sent
    assert (sent, asked[CREATE], rig.stored("key")) == ([6, 7, 8], 0, BODY)
    assert result.integrity == "checksum"


def test_source_changed_in_between(rig: Site) -> None:
    """Parts of a file that has changed are not used: the old upload is aborted, and all is sent."""
    path = source_of(rig)
    interrupt(rig, path)
    (old,) = rig.pending("key")
    changed = bytearray(BODY)
    changed[10] ^= 1
    path.write_bytes(changed)  # the same length, another time of modification
    second = again(rig, path)
    result, asked, sent = second.result, second.asked, second.sent
    assert (sent, asked[CREATE], asked[COMPLETE]) == (list(range(1, PARTS + 1)), 1, 1)
    assert [one.upload_id for one in rig.server.requests_for(ABORT, "key")] == [old]
    assert (rig.stored("key"), result.integrity) == (bytes(changed), "checksum")


def test_other_options_in_between(rig: Site) -> None:
    """An upload that was begun with other options is not continued: the object would be described wrongly."""
    path = source_of(rig)
    interrupt(rig, path)
    options = ObjectOptions(content=Content(metadata={"colour": "red"}))
    with engine_at(rig, **LONG) as second:
        second.engine.upload(path, "s3://bucket/key", options)
        second.assert_nothing_left("key")
    stored = rig.server.store.get("bucket", "key")
    assert stored is not None
    assert (stored.body, stored.metadata["colour"]) == (BODY, "red")
    assert len(rig.server.requests_for(ABORT, "key")) == 1


@pytest.mark.parametrize("how", ["other bytes", "cut short", "gone"])
def test_parts_are_checked(rig: Site, how: str) -> None:
    """A part that the service holds otherwise than the file does is sent again."""
    path = source_of(rig)
    interrupt(rig, path)
    (upload_id,) = rig.pending("key")
    parts = rig.server.store.uploads.get("bucket", "key", upload_id).parts
    if how == "gone":
        del parts[2]
    else:
        body = bytearray(BODY[PART_BYTES : 2 * PART_BYTES])
        body[99] ^= 1
        content = BytesContent(bytes(body) if how == "other bytes" else bytes(body[:-1]))
        # A store that keeps no checksum of parts: only the ETag and the length tell.
        parts[2] = replace(parts[2], content=content, md5=bytes(16), checksums={"CRC32": "AAAAAA=="})
    second = again(rig, path)
    result, asked, sent = second.result, second.asked, second.sent
    assert (sent, asked[CREATE]) == ([2, 3, 5, 6, 7, 8], 0)
    assert (rig.stored("key"), result.integrity) == (BODY, "checksum")


def test_upload_that_is_gone(rig: Site) -> None:
    """Where the service has given the upload up meanwhile, another one is begun."""
    path = source_of(rig)
    interrupt(rig, path)
    uploads = rig.server.store.uploads
    (upload_id,) = rig.pending("key")
    uploads.complete(uploads.get("bucket", "key", upload_id))  # forgotten, without an object
    second = again(rig, path)
    asked, sent = second.asked, second.sent
    assert (sent, asked[CREATE], rig.stored("key")) == (list(range(1, PARTS + 1)), 1, BODY)


def test_not_to_be_resumed(rig: Site) -> None:
    """With ``resume=False`` the interrupted upload is aborted and a new one begun."""
    path = source_of(rig)
    interrupt(rig, path)
    (old,) = rig.pending("key")
    second = again(rig, path, resume=False)
    asked, sent = second.asked, second.sent
    assert (sent, asked[CREATE], rig.stored("key")) == (list(range(1, PARTS + 1)), 1, BODY)
    assert [one.upload_id for one in rig.server.requests_for(ABORT, "key")] == [old]


def test_resuming_that_fails_keeps_what_is_there(rig: Site) -> None:
    """A service that cannot be asked for the parts does not cost them: a later run resumes."""
    path = source_of(rig)
    interrupt(rig, path)
    rig.server.add_fault(Status(code="SignatureDoesNotMatch", operation="ListParts"))
    with engine_at(rig, **LONG) as second, pytest.raises(errors.AccessDenied):
        second.engine.upload(path, "s3://bucket/key")
    assert len(rig.pending("key")) == len(rig.journals("key")) == 1
    third = again(rig, path)
    assert (third.sent, third.asked[CREATE], rig.stored("key")) == ([3, 5, 6, 7, 8], 0, BODY)


def test_killed_after_the_completion(rig: Site) -> None:
    """Row 40: where Complete took effect and nobody was told, the object is known by its token; nothing is sent."""
    path = source_of(rig)
    kill_after_completion(rig, path)
    (found,) = rig.journals("key")
    assert found.state is not None
    assert found.state.completing
    second = again(rig, path)
    result, asked, sent = second.result, second.asked, second.sent
    assert (sent, asked) == ([], Counter({"HeadObject": 1}))
    stored = rig.server.store.get("bucket", "key")
    assert stored is not None
    assert (rig.stored("key"), result.etag.strip('"'), result.integrity) == (BODY, stored.etag, "checksum")


def test_killed_after_another_object_was_completed(rig: Site) -> None:
    """The token tells whose object it is, and its checksum whether it is the right one."""
    path = source_of(rig)
    kill_after_completion(rig, path)
    rig.server.add_fault(ToldChecksum(operation="HeadObject", value=crc("CRC32", b"other")))
    with engine_at(rig, **LONG) as second, pytest.raises(errors.IntegrityError, match="upload it again"):
        second.engine.upload(path, "s3://bucket/key")
    assert rig.journals("key") == []
    third = again(rig, path)
    assert (third.sent, rig.stored("key")) == (list(range(1, PARTS + 1)), BODY)


def test_other_checksum_is_asked_for(rig: Site) -> None:
    """An upload that was begun with another checksum than the one wanted now is given up."""
    path = source_of(rig)
    interrupt(rig, path)
    second = again(rig, path, checksum_algorithm="CRC32C")
    assert (second.sent, second.asked[CREATE], rig.stored("key")) == (list(range(1, PARTS + 1)), 1, BODY)
    stored = rig.server.store.get("bucket", "key")
    assert stored is not None
    assert stored.checksums == {"CRC32C": crc("CRC32C", BODY)}


def test_killed_before_the_completion_took_effect(rig: Site) -> None:
    """Where Complete had no effect, it is sent again, with all the parts that are there."""
    path = source_of(rig)
    lost = CutReceiving(operation=COMPLETE, how="stall")
    rig.server.add_fault(lost)
    with program(rig, path) as (process, others):
        rig.server.wait_for(lambda s: bool(s.fired(lost)))
        kill_tree(process, others)
    second = again(rig, path)
    result, asked, sent = second.result, second.asked, second.sent
    assert (sent, asked[CREATE], asked[COMPLETE]) == ([], 0, 1)
    assert (rig.stored("key"), result.integrity) == (BODY, "checksum")


def test_killed_while_creating(rig: Site) -> None:
    """An upload whose id was never learnt is not guessed: its intent stays, and the next one can be resumed."""
    path = source_of(rig)
    rig.server.add_fault(hang_before_head(operation=CREATE))
    with program(rig, path) as (process, others):
        eventually(lambda: bool(rig.pending("key")), "no upload was created")
        kill_tree(process, others)
    (orphan,) = rig.pending("key")
    with held(rig, path) as (process, others):
        kill_tree(process, others)
    second = again(rig, path, named=1)
    assert (second.sent, second.asked[CREATE]) == ([3, 5, 6, 7, 8], 0)
    assert (rig.stored("key"), second.result.integrity) == (BODY, "checksum")
    assert rig.pending("key") == [orphan]
    (intent,) = rig.journals("key")
    assert intent.state is not None
    assert intent.state.upload_id == ""


def test_two_programs_at_once(rig: Site) -> None:
    """Two uploads to one key at the same time do not meet: each completes its own, and one of the objects is there."""
    path, other = source_of(rig), rig.folder / "other.bin"
    other.write_bytes(BODY[::-1])
    go_on = threading.Event()
    with held(rig, path, until=go_on) as (process, _), engine_at(rig, **LONG) as second:
        result = second.engine.upload(other, "s3://bucket/key")
        assert (result.integrity, rig.stored("key")) == ("checksum", BODY[::-1])
        go_on.set()
        assert process.stdout is not None
        assert process.stdout.readline().startswith("sent")
        assert process.wait(PATIENCE_S) == 0
        second.assert_nothing_left("key")
    assert rig.stored("key") == BODY
    assert rig.server.requests_for(ABORT, "key") == rig.server.requests_for("ListParts", "key") == []
    by_upload = Counter(one.upload_id for one in rig.server.requests_for("UploadPart", "key"))
    assert sorted(by_upload.values()) == [PARTS, PARTS]


def test_coordinator_is_killed(rig: Site) -> None:
    """Within a second of the program's SIGKILL its workers are gone, and nothing is sent any more."""
    path = source_of(rig)
    with held(rig, path) as (process, others):
        process.kill()
        eventually(lambda: not any(map(is_alive, others)), f"{others} live on", timeout_s=SOON_S)
    assert again(rig, path).sent == [3, 5, 6, 7, 8]


# Workers


@contextmanager
def two_connections(folder: Path, **settings: Any) -> Iterator[WriteRig]:
    """Two workers with one connection each, so that each holds exactly one part at a time."""
    with running_write_rig(folder, **{"concurrency": 2, "timeouts": PATIENT, **LONG, **settings}) as rig:
        yield rig
        rig.assert_nothing_left("key")


def begin(rig: WriteRig, *, until: threading.Event) -> Future[TransferResult]:
    """Begin an upload and return when both workers are held in a part, until an event."""
    path, faults = source_of(rig), hold(until=until)
    for fault in faults:
        rig.server.add_fault(fault)
    future = rig.engine.start_task(rig.engine.aio.upload, path, "s3://bucket/key")
    eventually(lambda: all(map(rig.server.fired, faults)), "the two parts did not come")
    return future


def attempts(rig: WriteRig) -> dict[int, int]:
    """Return how often each part was sent."""
    return dict(Counter(one.part_number or 0 for one in rig.server.requests_for("UploadPart", "key")))


@BOTH
def test_one_worker_is_killed(tmp_path: Path, transport: str) -> None:
    """Row 35: SIGKILL of one worker costs its part alone, which is sent again, and the object is exact."""
    with two_connections(tmp_path, transport=transport) as rig:
        go_on = threading.Event()
        future = begin(rig, until=go_on)
        os.kill(rig.engine.worker_pids[0], signal.SIGKILL)
        go_on.set()
        result = future.result(timeout=PATIENCE_S)
        assert (result.integrity, rig.stored("key"), result.retries) == ("checksum", BODY, 1)
        counts = attempts(rig)
        assert sorted(counts[part] for part in HELD) == [1, 2]
        assert all(count == 1 for part, count in counts.items() if part not in HELD)


def test_all_workers_are_killed(tmp_path: Path) -> None:
    """SIGKILL of all workers at once costs what they held."""
    with two_connections(tmp_path) as rig:
        go_on = threading.Event()
        future = begin(rig, until=go_on)
        for pid in rig.engine.worker_pids:
            os.kill(pid, signal.SIGKILL)
        go_on.set()
        assert (future.result(timeout=PATIENCE_S).integrity, rig.stored("key")) == ("checksum", BODY)
        assert {part for part, count in attempts(rig).items() if count > 1} == set(HELD)


def test_stopped_worker(tmp_path: Path) -> None:
    """Row 36: a worker that falls silent is killed and dead before its part is sent by another one."""
    quick = Timeouts(read_s=30.0, lease_s=30.0, heartbeat_s=3.0)
    with two_connections(tmp_path, timeouts=quick) as rig:
        go_on = threading.Event()
        future = begin(rig, until=go_on)
        witness = Witness(operation="UploadPart", key="key", attempt=2, pid=rig.engine.worker_pids[0])
        rig.server.add_fault(witness)
        os.kill(witness.pid, signal.SIGSTOP)
        eventually(lambda: not is_alive(witness.pid), "the silent worker lives on")
        go_on.set()
        assert (future.result(timeout=PATIENCE_S).integrity, rig.stored("key")) == ("checksum", BODY)
        assert witness.found_dead == [True]


@BOTH
def test_cancelled(tmp_path: Path, transport: str) -> None:
    """Cancelling an upload ends it within seconds, and aborts it at the service."""
    quick = Timeouts(read_s=30.0, lease_s=30.0, release_s=0.5)
    with two_connections(tmp_path, transport=transport, timeouts=quick) as rig:
        future = begin(rig, until=threading.Event())
        began_s = time.monotonic()
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(timeout=PATIENCE_S)
        eventually(lambda: not rig.pending("key"), "the upload was not aborted")
        eventually(lambda: not rig.journals("key"), "its journal is left")
        assert time.monotonic() - began_s < SOON_S
        assert rig.stored("key") is None
        assert rig.engine.upload(rig.folder / "source.bin", "s3://bucket/key").integrity == "checksum"


def test_cancelled_while_creating(tmp_path: Path) -> None:
    """An upload that is cancelled while it is being created is given up as soon as its id is known."""
    with two_connections(tmp_path) as rig:
        go_on = threading.Event()
        rig.server.add_fault(StallReceiving(operation=CREATE, until=go_on))
        future = rig.engine.start_task(rig.engine.aio.upload, source_of(rig), "s3://bucket/key")
        rig.server.wait_for(lambda s: bool(s.requests_for(CREATE, "key")))
        future.cancel()
        go_on.set()
        eventually(lambda: bool(rig.server.requests_for(ABORT, "key")), "the upload was not aborted")
        eventually(lambda: not rig.journals("key"), "its journal is left")


def test_closed_in_the_middle(tmp_path: Path) -> None:
    """Closing an engine ends its uploads; what could not be aborted any more, a journal names."""
    with running_write_rig(tmp_path, concurrency=2, timeouts=PATIENT, **LONG) as rig:
        future = begin(rig, until=threading.Event())
        began_s = time.monotonic()
        rig.engine.close()
        assert time.monotonic() - began_s < SOON_S
        with pytest.raises((errors.Cancelled, CancelledError)):
            future.result(timeout=PATIENCE_S)
        named = [one.state.upload_id for one in rig.journals("key") if one.state is not None]
        assert named == rig.pending("key")
        assert rig.stored("key") is None


# The folder of the journals


@pytest.mark.parametrize("kind", ["below a file", "read-only"])
def test_no_place_for_a_journal(tmp_path: Path, closed: Path, kind: str) -> None:
    """Without a journal no upload is created; the error names the variable that chooses the folder."""
    (tmp_path / "file").write_bytes(b"")
    state = tmp_path / "file" / "state" if kind == "below a file" else closed / "state"
    with running_write_rig(tmp_path / "rig", **LONG, state_dir=str(state)) as rig:
        with pytest.raises(errors.LocalError, match="BULKHAUL_STATE_DIR"):
            rig.engine.upload(source_of(rig), "s3://bucket/key")
        assert {one.operation for one in rig.server.requests} <= {"HeadBucket"}
        small = rig.folder / "small"
        small.write_bytes(b"small")
        assert rig.engine.upload(small, "s3://bucket/small").integrity == "checksum"
