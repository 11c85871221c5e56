"""Every way in which one small file of a batch can fail: it recovers or fails alone, and the others are exact."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.engine.pool.batch_job import BatchJob
from bulkhaul.errors import TransferError
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.batching import FIRST_GROUPS, FIRST_ROWS, SMALL_UPLOAD_BYTES
from tests.batches import watched_batches
from tests.engines import assert_no_secret, eventually
from tests.faultserver import (
    CutHead,
    CutReceiving,
    EarlyReply,
    ErrorXmlWith200,
    ExtraBytes,
    Fault,
    FlipReceivedBit,
    Redirect,
    RefuseChecksums,
    Request,
    StallReceiving,
    Status,
    ToldChecksum,
    hang_before_head,
    make_object,
    reply_lost,
    storm,
)
from tests.patience import PATIENCE_S
from tests.s3_client import crc
from tests.servers import make_certificates
from tests.writing import WriteRig, running_write_rig, serving_writes

COUNT, VICTIM = 30, "07"
SIZE_BYTES = 100_000
BODIES = {f"{number:02}": random.Random(number).randbytes(SIZE_BYTES + number) for number in range(COUNT)}
HALF = SIZE_BYTES // 2
OLD = b"what was there before"


@dataclass(frozen=True)
class Hit:
    """What hits the PUT of the victim, and what must come of it."""

    name: str
    kind: Callable[..., Fault]
    fields: dict[str, Any]
    error: type[TransferError] | None = None


RECOVERED = [
    Hit("reset-before-the-body", CutReceiving, {"after_bytes": 0}),
    Hit("close-before-the-body", CutReceiving, {"after_bytes": 0, "how": "close"}),
    Hit("reset-within-the-body", CutReceiving, {"after_bytes": HALF}),
    Hit("close-within-the-body", CutReceiving, {"after_bytes": HALF, "how": "close"}),
    Hit("early-slow-down-drained", EarlyReply, {"code": "SlowDown", "after_bytes": HALF, "rest": "drain"}),
    Hit("early-slow-down-closed", EarlyReply, {"code": "SlowDown", "after_bytes": HALF}),
    Hit("early-500-before-the-body", EarlyReply, {"code": "InternalError"}),
    Hit("stall-within-the-body", StallReceiving, {"after_bytes": HALF}),
    Hit("stall-before-the-reply", hang_before_head, {}),
    Hit("reply-lost", reply_lost, {"operation": "PutObject"}),
    Hit("reply-reset", reply_lost, {"operation": "PutObject", "how": "reset"}),
    Hit("reply-cut-within-head", CutHead, {"after_bytes": 40}),
    Hit("500-without-effect", Status, {"code": "InternalError"}),
    Hit("500-after-the-effect", Status, {"code": "InternalError", "applied": True}),
    Hit("error-with-200", ErrorXmlWith200, {}),
    Hit("slow-down", Status, {"code": "SlowDown"}),
    Hit("expired", Status, {"code": "ExpiredToken"}),
    Hit("flipped-bit", FlipReceivedBit, {"offset": HALF, "bit": 5}),
    Hit("extra-bytes-after-the-reply", ExtraBytes, {}),
    Hit("stored-otherwise-by-its-own-account", ToldChecksum, {"value": crc("CRC32", b"other")}),
]
REFUSED = [
    Hit("403", Status, {"code": "AccessDenied", "attempt": "every"}, errors.AccessDenied),
    Hit("too-large", EarlyReply, {"code": "EntityTooLarge", "attempt": "every"}, errors.PayloadTooLarge),
    Hit("flipped-bit-for-ever", FlipReceivedBit, {"attempt": "every"}, errors.BodyCorrupted),
    Hit("500-for-ever", Status, {"code": "InternalError", "attempt": "every"}, errors.ServerError),
    Hit("redirect", Redirect, {"attempt": "every"}, errors.EndpointRedirect),
    Hit("teapot", Status, {"code": "Teapot", "status": 418, "attempt": "every"}, errors.OtherError),
]


@pytest.fixture(scope="module", params=["plain", "TLS"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine that writes to a fault server, for the tests of this module."""
    folder, settings, tls = tmp_path_factory.mktemp("written"), {}, None
    if request.param == "TLS":
        certificates = make_certificates(folder)
        settings, tls = {"ca_bundle": str(certificates.ca_bundle)}, certificates.server_context()
    with running_write_rig(folder, server=serving_writes(tls=tls), **settings) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of small files."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, body in BODIES.items():
        (folder / name).write_bytes(body)
    return folder


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of files that each batch has stored."""
    return watched_batches(monkeypatch, "sent")


def upload(
    rig: WriteRig, folder: Path, *faults: Fault, old: bytes | None = None, **options: Any
) -> dict[str, TransferResult]:
    """Upload a folder, the victim under faults, and check what holds of every run."""
    rig.cases += 1
    prefix = f"batch-{rig.cases}/"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if old is not None:
        for name in names:
            rig.server.store.put("bucket", prefix + name, make_object(old))
    addressed = [replace(fault, key=prefix + VICTIM, operation="PutObject") for fault in faults]
    for fault in addressed:
        rig.server.add_fault(fault)
    began_s = time.monotonic()
    found = rig.engine.upload_many(folder, f"s3://bucket/{prefix}", **options)
    results = {result.key.removeprefix(prefix): result for result in found}
    assert time.monotonic() - began_s < PATIENCE_S
    assert [fault for fault in addressed if not rig.server.fired(fault)] == []
    assert sorted(results) == names
    for name, result in results.items():
        assert result.source == str(folder / name)
        if result.ok:
            assert rig.stored(prefix + name) == (folder / name).read_bytes()
            assert result.size == (folder / name).stat().st_size
        else:
            assert result.error is not None
            assert_no_secret(result.error)
            assert rig.stored(prefix + name) == old
    eventually(
        lambda: not any(str(folder) in path for pid in rig.engine.worker_pids for path in open_files(pid)),
        "a worker holds a file or the folder",
    )
    return results


def open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(entry))
        except FileNotFoundError:
            continue
    return found


def last_puts(rig: WriteRig) -> list[Request]:
    """Return the requests of the last run."""
    asked = [one for one in rig.server.requests if one.key.startswith(f"batch-{rig.cases}/")]
    assert {one.operation for one in asked} == {"PutObject"}
    return asked


def puts(rig: WriteRig) -> Counter[str]:
    """Return how often each object of the last run was sent."""
    return Counter(one.key.partition("/")[2] for one in last_puts(rig))


@pytest.mark.parametrize("case", RECOVERED, ids=lambda case: case.name)
def test_recovered(rig: WriteRig, files: Path, case: Hit) -> None:
    """A passing fault costs time and nothing else; the others are sent once."""
    results = upload(rig, files, case.kind(**case.fields), old=OLD)
    assert [result.error for result in results.values() if not result.ok] == []
    assert {(result.integrity, result.parts) for result in results.values()} == {("checksum", 1)}
    others = puts(rig)
    assert 1 <= others.pop(VICTIM) <= 4
    assert sum(others.values()) <= COUNT - 1 + (case.name == "extra-bytes-after-the-reply")


OF_ALL = (errors.EndpointRedirect,)
"""What the next object would meet, too."""


@pytest.mark.parametrize("case", [case for case in REFUSED if case.error in OF_ALL], ids=lambda case: case.name)
def test_what_holds_for_all_ends_the_run(rig: WriteRig, files: Path, case: Hit) -> None:
    """It is raised, once, instead of a failure of each file."""
    assert case.error is not None
    with pytest.raises(case.error):
        upload(rig, files, case.kind(**case.fields))


@pytest.mark.parametrize("case", [case for case in REFUSED if case.error not in OF_ALL], ids=lambda case: case.name)
def test_refused(rig: WriteRig, files: Path, case: Hit) -> None:
    """What cannot be put right fails by its name and alone, and the old object stays."""
    results = upload(rig, files, case.kind(**case.fields), old=OLD if rig.cases % 2 else None)
    victim = results.pop(VICTIM)
    assert type(victim.error) is case.error, victim.error
    assert [result.error for result in results.values() if not result.ok] == []
    others = puts(rig)
    others.pop(VICTIM)
    assert max(others.values()) == 1


def test_batches_are_used(rig: WriteRig, files: Path, sent: list[int]) -> None:
    """The files of a folder and of those below it go together, in few batches, each by one PUT."""
    shutil.copytree(files, files / "below")
    results = upload(rig, files)
    assert all(result.ok for result in results.values())
    assert (sum(sent), set(puts(rig).values())) == (2 * COUNT, {1})
    assert len(sent) <= 2 * -(-COUNT // FIRST_ROWS)


def test_many_files(rig: WriteRig, tmp_path: Path, sent: list[int]) -> None:
    """With many files the batches become larger; every one of them is stored once."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(500):
        (folder / f"{number:03}").write_bytes(b"%d" % number)
    results = upload(rig, folder)
    assert all(result.ok for result in results.values())
    assert (sum(sent), set(puts(rig).values())) == (500, {1})
    assert len(sent) <= FIRST_GROUPS + 8


def test_a_storm_that_hits_all(rig: WriteRig, files: Path) -> None:
    """A storm makes the batches wait as a whole, and then everything is exact."""
    rig.server.add_fault(storm(times=8, operation="PutObject"))
    assert all(result.ok for result in upload(rig, files).values())


def test_sizes_at_the_bound(rig: WriteRig, tmp_path: Path) -> None:
    """Empty files, those of one byte and those at and above the bound are exact, side by side."""
    folder = tmp_path / "sizes"
    folder.mkdir()
    for size in (0, 1, SMALL_UPLOAD_BYTES - 1, SMALL_UPLOAD_BYTES, SMALL_UPLOAD_BYTES + 1, 3 * SMALL_UPLOAD_BYTES):
        (folder / f"{size}").write_bytes(random.Random(size).randbytes(size))
    results = upload(rig, folder)
    assert {result.integrity for result in results.values()} == {"checksum"}


def test_options_and_content_types(rig: WriteRig, tmp_path: Path) -> None:
    """Every object has the options of the run, and a content type by its name if none was given."""
    folder = tmp_path / "typed"
    folder.mkdir()
    for name in ("a.html", "b.json", "c"):
        (folder / name).write_bytes(b"x")
    options = ObjectOptions(
        content=Content(cache_control="no-store", metadata={"who": "me"}), storage_class="STANDARD_IA"
    )
    upload(rig, folder, options=options)
    sent = {
        one.key.rpartition("/")[2]: one.headers
        for one in rig.server.requests_for("PutObject")
        if f"batch-{rig.cases}/" in one.key
    }
    assert {name: headers.get("content-type") for name, headers in sent.items()} == {
        "a.html": "text/html", "b.json": "application/json", "c": None,
    }  # fmt: skip
    for headers in sent.values():
        assert (headers["cache-control"], headers["x-amz-meta-who"]) == ("no-store", "me")
        assert headers["x-amz-storage-class"] == "STANDARD_IA"
    given = ObjectOptions(content=Content(content_type="text/x-mine"))
    upload(rig, folder, options=given)
    assert {one.headers["content-type"] for one in last_puts(rig)} == {"text/x-mine"}


def test_what_is_no_plain_file(rig: WriteRig, files: Path, tmp_path: Path) -> None:
    """Links are followed one by one, what is no file fails by name, and the plain files beside them go together."""
    (tmp_path / "elsewhere").write_bytes(b"behind a link")
    (files / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(files / "fifo")
    rig.cases += 1
    results = {one.source: one for one in rig.engine.upload_many(files, f"s3://bucket/batch-{rig.cases}/")}
    assert type(results.pop(str(files / "fifo")).error) is errors.LocalError
    assert all(one.ok for one in results.values())
    assert rig.stored(f"batch-{rig.cases}/link") == b"behind a link"


@pytest.mark.parametrize("change", ["grown", "cut", "replaced-by-a-link", "gone", "unreadable"])
def test_files_that_are_not_as_they_were_listed(
    tmp_path: Path, files: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has changed between the listing and its turn is not sent from the batch: it goes the ordinary way."""
    victim = files / VICTIM

    def disturb() -> None:
        match change:
            case "grown":
                victim.write_bytes(BODIES[VICTIM] + b"more")
            case "cut":
                victim.write_bytes(b"less")
            case "replaced-by-a-link":
                victim.unlink()
                victim.symlink_to(files / "08")
            case "gone":
                victim.unlink()
            case "unreadable":
                victim.unlink()
                victim.mkdir()

    real = BatchJob.lease

    def lease(self: BatchJob, assign: Any) -> Any:
        disturbed.set()
        return real(self, assign)

    disturbed = threading.Event()

    def leasing(self: BatchJob, assign: Any) -> Any:
        if not disturbed.is_set():
            disturb()
        return lease(self, assign)

    monkeypatch.setattr(BatchJob, "lease", leasing)
    with running_write_rig(tmp_path / "rig") as rig:
        results = {one.key: one for one in rig.engine.upload_many(files, "s3://bucket/")}
        victim_result = results.pop(VICTIM)
        assert all(one.ok for one in results.values())
        if change in ("gone", "unreadable"):
            assert type(victim_result.error) is errors.LocalError
            assert rig.stored(VICTIM) is None
        else:
            assert victim_result.ok
            assert rig.stored(VICTIM) == victim.read_bytes()


def test_an_endpoint_that_takes_no_checksums(tmp_path: Path, files: Path) -> None:
    """What is learnt by one file alone is kept to by the batches after it: all are stored."""
    refusing = serving_writes(faults=[RefuseChecksums()])
    with running_write_rig(tmp_path / "rig", server=refusing) as rig:
        results = list(rig.engine.upload_many(files, "s3://bucket/"))
        assert [one.error for one in results if not one.ok] == []
        assert {name: rig.stored(name) for name in BODIES} == BODIES


def test_a_worker_is_killed(tmp_path: Path, files: Path) -> None:
    """What a dead worker had not reported is sent again by another one."""
    go_on = threading.Event()
    with running_write_rig(tmp_path / "rig", workers=1) as rig, ThreadPoolExecutor(1) as thread:
        rig.server.add_fault(StallReceiving(operation="PutObject", key=VICTIM, after_bytes=HALF, until=go_on))
        future = thread.submit(lambda: list(rig.engine.upload_many(files, "s3://bucket/")))
        rig.server.wait_for(lambda server: any(one.faults for one in server.requests_for("PutObject", VICTIM)))
        (worker,) = rig.engine.worker_pids
        os.kill(worker, signal.SIGKILL)
        go_on.set()
        results = future.result(PATIENCE_S)
        assert [one.error for one in results if not one.ok] == []
        assert {name: rig.stored(name) for name in BODIES} == BODIES


def test_the_sdk_transport_takes_no_batches(tmp_path: Path, files: Path, sent: list[int]) -> None:
    """With --transport sdk, or a limit of the bandwidth, each file goes the ordinary way."""
    for settings in ({"transport": "sdk"}, {"bandwidth_bytes_per_s": 1 << 30}):
        with running_write_rig(tmp_path / next(iter(settings)), **settings) as rig:
            assert all(one.ok for one in rig.engine.upload_many(files, "s3://bucket/"))
            assert {name: rig.stored(name) for name in BODIES} == BODIES
    assert sent == []


def test_a_move_removes_each_file(tmp_path: Path, files: Path, sent: list[int]) -> None:
    """A move looks at each object before it removes the file: no batch does that."""
    with running_write_rig(tmp_path / "rig") as rig:
        assert all(one.ok for one in rig.engine.upload_many(files, "s3://bucket/", move=True))
        assert list(files.iterdir()) == []
    assert sent == []
