"""Every fault of the matrix on one object of a batch: it recovers or fails by itself, and the others are exact.

R: all objects are exact. T: that object alone fails, by the name that it has as a single object. The rig checks after
each run that the faults fired, and that I1, I3 and I5 hold.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.engine.messages.messages import AnyBatch
from bulkhaul.engine.pool.batch_job import BatchJob
from bulkhaul.errors import TransferError
from bulkhaul.model.objects import Verify
from bulkhaul.policy.batching import FLUSHED_ROWS, MAX_ROWS, SMALL_BYTES
from bulkhaul.policy.events import Assign
from tests.engines import QUICK, Rig, assert_no_secret, assert_nothing_held, running_rig
from tests.faultserver import (
    ContentEncoding,
    CutBody,
    CutHead,
    Drip,
    ErrorXmlWith200,
    Etag,
    ExtraBytes,
    Fault,
    FlipBit,
    RawBody,
    Redirect,
    ReplaceObject,
    Request,
    ShortContentLength,
    Stall,
    Status,
    StoredObject,
    clock_skew,
    delete_object,
    hang_before_head,
    make_object,
    storm,
    truncate_object,
)
from tests.faultserver.objects import Algorithm
from tests.patience import PATIENCE_S
from tests.servers import make_certificates

COUNT = 30
VICTIM = 17
SIZE_BYTES = 5000
BODIES = [random.Random(number).randbytes(SIZE_BYTES + number) for number in range(COUNT)]
NEW_BODY = random.Random(99).randbytes(SIZE_BYTES)
OLD = b"what was there before"


@dataclass(frozen=True)
class Case:
    """One row: the faults, and what must come of the object that they hit."""

    name: str
    faults: tuple[Fault, ...]
    error: type[TransferError] | None = None
    body: bytes = b""


RECOVERED = [
    Case("1-reset-before-head", (CutHead(after_bytes=0),)),
    Case("1-close-before-head", (CutHead(after_bytes=0, how="close"),)),
    Case("2-reset-within-head", (CutHead(after_bytes=40),)),
    Case("2-close-within-head", (CutHead(after_bytes=40, how="close"),)),
    Case("3-reset-within-body", (CutBody(after_bytes=1000),)),
    Case("3-reset-twice", (CutBody(after_bytes=1000, attempt=1), CutBody(after_bytes=1000, attempt=2))),
    Case("4-reset-at-last-byte", (CutBody(after_bytes=-1),)),
    Case("4-close-at-last-byte", (CutBody(after_bytes=-1, how="close"),)),
    Case("5-close-within-body", (CutBody(after_bytes=99, how="close"),)),
    Case("5-short-content-length", (ShortContentLength(),)),
    Case("7-extra-bytes", (ExtraBytes(data=b"HTTP/1.1 200 OK\r\n\r\n"),)),
    Case("8-stall-before-head", (hang_before_head(),)),
    Case("8-stall-within-body", (Stall(after_bytes=500),)),
    Case("9-drip", (Drip(bytes_per_s=500),)),
    Case("15-other-etag-once", (Etag(etag="other"),)),
    Case("15-no-etag-once", (Etag(etag=None),)),
    Case("16-replaced-412", (ReplaceObject(replacement=NEW_BODY, nth=1),), body=NEW_BODY),
    Case("16-replaced-if-match-ignored", (ReplaceObject(replacement=NEW_BODY, nth=1, if_match="ignored"),),
         body=NEW_BODY),
    Case("20-flip-once", (FlipBit(offset=77, bit=3),)),
    Case("23-says-gzip", (ContentEncoding(encoding="gzip", attempt="every"),)),
    Case("23-says-aws-chunked", (ContentEncoding(encoding="aws-chunked", attempt="every"),)),
    Case("24-slow-down-thrice", (storm(times=3),)),
    Case("25-500-once", (Status(code="InternalError"),)),
    Case("26-error-with-200-once", (ErrorXmlWith200(),)),
    Case("26-slow-down-with-200-once", (ErrorXmlWith200(code="SlowDown"),)),
]  # fmt: skip

REFUSED = [
    Case("3-reset-within-body-for-ever", (CutBody(after_bytes=1000, attempt="every"),), errors.NetworkError),
    Case("5-short-length", (ShortContentLength(attempt="every"),), errors.UnexpectedReply),
    Case("15-other-etag", (Etag(etag="other", attempt="every"),), errors.PreconditionFailed),
    Case("15-no-etag", (Etag(etag=None, attempt="every"),), errors.PreconditionFailed),
    Case("17-emptied", (truncate_object(nth=1),), None, b""),
    Case("18-deleted", (delete_object(nth=1),), errors.NotFound),
    Case("20-flip-for-ever", (FlipBit(offset=77, attempt="every"),), errors.IntegrityError),
    Case("25-500-for-ever", (Status(code="InternalError", attempt="every"),), errors.ServerError),
    Case("26-error-with-200", (ErrorXmlWith200(attempt="every"),), errors.UnexpectedReply),
    Case("26-hostile-xml", (RawBody(body=b"<!DOCTYPE a [<!ENTITY b 'c'>]><Error>", status=400, attempt="every"),),
         errors.OtherError),
    Case("27-expired-for-ever", (Status(code="ExpiredToken", attempt="every"),), errors.ExpiredCredentials),
    Case("29-clock-skew", (clock_skew(delta_s=7200, operation="GetObject"),), errors.ClockSkew),
    Case("30-redirect", (Redirect(status=301, attempt="every"),), errors.EndpointRedirect),
    Case("403", (Status(code="AccessDenied", attempt="every"),), errors.AccessDenied),
]  # fmt: skip


@pytest.fixture(scope="module", params=["plain", "TLS"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine before a fault server, for the tests of this module."""
    folder = tmp_path_factory.mktemp("restored")
    if request.param == "plain":
        with running_rig(folder) as running:
            yield running
        return
    certificates = make_certificates(tmp_path_factory.mktemp("certificates"))
    with running_rig(folder, tls=certificates.server_context(), ca_bundle=str(certificates.ca_bundle)) as running:
        yield running


def restore(
    rig: Rig, stored: list[StoredObject], *faults: Fault, old: bytes | None = None
) -> tuple[dict[str, TransferResult], Path]:
    """Restore objects as one batch, the victim under faults, and check what holds of every run."""
    rig.cases += 1
    prefix = f"batch-{rig.cases}/"
    for number, one in enumerate(stored):
        rig.server.store.put("bucket", f"{prefix}{number:03}", one)
    addressed = [replace(fault, key=f"{prefix}{VICTIM:03}") for fault in faults]
    for fault in addressed:
        rig.server.add_fault(fault)
    folder = rig.folder / prefix
    if old is not None:
        folder.mkdir()
        for number in range(len(stored)):
            (folder / f"{number:03}").write_bytes(old)
    began_s = time.monotonic()
    results = {
        result.key.removeprefix(prefix): result for result in rig.engine.download_many(f"s3://bucket/{prefix}", folder)
    }
    assert time.monotonic() - began_s < PATIENCE_S
    assert [fault for fault in addressed if not rig.server.fired(fault)] == []
    assert sorted(results) == [f"{number:03}" for number in range(len(stored))]
    for name, result in results.items():
        if result.ok:
            kept = rig.server.store.get("bucket", prefix + name)
            assert kept is not None
            assert (folder / name).read_bytes() == kept.body, "the destination is not the object"
        else:
            assert result.error is not None
            assert_no_secret(result.error)
            assert result.error.subject == f"s3://bucket/{prefix}{name}"
            assert (folder / name).exists() is (old is not None), "a failure left something at the destination"
            assert old is None or (folder / name).read_bytes() == old, "a failure changed the destination"
    assert_nothing_held(rig.engine, folder)
    return results, folder


def gets(rig: Rig) -> Counter[str]:
    """Return how often each object of the last run was asked for, by the last part of its key."""
    prefix = f"batch-{rig.cases}/"
    return Counter(one.key.removeprefix(prefix) for one in asked(rig) if one.operation == "GetObject")


def asked(rig: Rig) -> list[Request]:
    """Return the requests of the last run that were about its objects."""
    prefix = f"batch-{rig.cases}/"
    found = [one for one in rig.server.requests if one.key.startswith(prefix) and one.operation != "ListObjectsV2"]
    assert {one.operation for one in found} <= {"GetObject", "HeadObject", "GetObjectAttributes"}
    return found


def objects() -> list[StoredObject]:
    """Return the objects of a batch."""
    return [make_object(body, algorithm="CRC64NVME") for body in BODIES]


@pytest.mark.parametrize("case", RECOVERED, ids=lambda case: case.name)
def test_recovered(rig: Rig, case: Case) -> None:
    """A passing fault of one object costs time and nothing else; nearly all others are asked for once."""
    results, folder = restore(rig, objects(), *case.faults, old=OLD if rig.cases % 2 else None)
    assert [result.error for result in results.values() if not result.ok] == []
    assert (folder / f"{VICTIM:03}").read_bytes() == (case.body or BODIES[VICTIM])
    assert {result.integrity for name, result in results.items() if name != f"{VICTIM:03}"} == {"checksum"}
    others = gets(rig)
    assert others.pop(f"{VICTIM:03}") <= 6
    # Bytes that follow a reply late are met by the next object of that connection.
    assert sum(others.values()) <= COUNT - 1 + (case.name == "7-extra-bytes")


OF_ALL = (errors.ExpiredCredentials, errors.ClockSkew, errors.EndpointRedirect)
"""What the next object would meet, too."""


@pytest.mark.parametrize("case", [case for case in REFUSED if case.error in OF_ALL], ids=lambda case: case.name)
def test_what_holds_for_all_ends_the_run(rig: Rig, case: Case) -> None:
    """It is raised, once, instead of a failure of each object."""
    assert case.error is not None
    with pytest.raises(case.error):
        restore(rig, objects(), *case.faults)


@pytest.mark.parametrize("case", [case for case in REFUSED if case.error not in OF_ALL], ids=lambda case: case.name)
def test_refused(rig: Rig, case: Case) -> None:
    """What cannot be put right fails by its name and alone."""
    results, folder = restore(rig, objects(), *case.faults, old=OLD if rig.cases % 2 else None)
    victim = results.pop(f"{VICTIM:03}")
    assert [result.error for result in results.values() if not result.ok] == []
    if case.error is None:
        assert victim.error is None
        assert (folder / f"{VICTIM:03}").read_bytes() == case.body
    else:
        assert type(victim.error) is case.error, victim.error
    others = gets(rig)
    others.pop(f"{VICTIM:03}")
    assert max(others.values()) == 1


@pytest.mark.parametrize(
    ("algorithm", "integrity"),
    [("CRC32", "checksum"), ("CRC32C", "checksum"), ("CRC64NVME", "checksum"), ("SHA256", "checksum"), (None, "etag")],
)
def test_every_object_is_asked_for_once(rig: Rig, algorithm: Algorithm | None, integrity: str) -> None:
    """A batch has one GET an object, conditional on its ETag, no HEAD, and the integrity of a single download."""
    stored = [make_object(body, algorithm=algorithm) for body in BODIES]
    results, _ = restore(rig, stored)
    assert {result.integrity for result in results.values()} == {integrity}
    assert {(result.parts, result.retries) for result in results.values()} == {(1, 0)}
    assert (set(gets(rig).values()), len(gets(rig))) == ({1}, COUNT)
    assert {one.operation for one in asked(rig)} == {"GetObject"}
    assert {one.headers["if-match"] for one in asked(rig)} == {f'"{one.etag}"' for one in stored}


def test_a_line_so_slow_that_no_object_is_whole_for_long(tmp_path: Path) -> None:
    """Bytes of objects that are not whole yet are progress: nothing is taken from its worker and fetched twice."""
    timeouts = msgspec.structs.replace(QUICK, lease_s=3.0)
    with running_rig(tmp_path, timeouts=timeouts, workers=1, concurrency=8) as rig:
        rig.server.add_fault(Drip(bytes_per_s=25_000, attempt="every"))
        results, _ = restore(rig, [make_object(BODIES[0] * 32, algorithm="CRC32")] * 8)
        assert {(result.ok, result.retries) for result in results.values()} == {(True, 0)}
        assert set(gets(rig).values()) == {1}


def test_a_storm_that_hits_all(rig: Rig) -> None:
    """Every object of a batch is refused once: the batch waits as a whole, and then all are exact."""
    rig.server.add_fault(storm(times=8))
    results, _ = restore(rig, objects())
    assert all(result.ok for result in results.values())


def test_an_object_that_is_too_much_for_ever(tmp_path: Path) -> None:
    """The batch waits with it for a while; it fails by itself, and all others are exact, each asked for once."""
    with running_rig(tmp_path, timeouts=msgspec.structs.replace(QUICK, throttle_s=1.0)) as rig:
        results, _ = restore(rig, objects(), Status(code="SlowDown", attempt="every"))
        assert type(results.pop(f"{VICTIM:03}").error) is errors.Throttled
        assert all(result.ok for result in results.values())
        others = gets(rig)
        others.pop(f"{VICTIM:03}")
        assert max(others.values()) == 1


def test_expired_credentials_in_the_middle(rig: Rig) -> None:
    """A refusal for expired credentials renews them once, and what was not begun goes on."""
    results, _ = restore(rig, objects(), Status(code="ExpiredToken"))
    assert all(result.ok for result in results.values())


def test_sizes_at_the_bound(rig: Rig) -> None:
    """Empty objects, those of one byte and those at and above the bound are exact, side by side."""
    sizes = [0, 1, 65_535, 65_536, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 3 * SMALL_BYTES]
    whole = random.Random(5).randbytes(max(sizes))
    results, _ = restore(rig, [make_object(whole[:size], algorithm="CRC32") for size in sizes])
    assert [result.integrity for result in results.values() if result.size] == ["checksum"] * 7
    assert [results[f"{number:03}"].size for number in range(len(sizes))] == sizes


def test_composite_checksums_are_checked_alone(rig: Rig) -> None:
    """A checksum of checksums does not suffice by itself: such objects get their parts asked for, as single ones do."""
    stored = [make_object(body, part_size_bytes=2000, algorithm="CRC32C", checksum_type="COMPOSITE") for body in BODIES]
    results, _ = restore(rig, stored)
    assert {result.integrity for result in results.values()} == {"checksum"}


@pytest.mark.parametrize("verify", [Verify.NONE, Verify.FULL])
def test_other_checks(tmp_path: Path, verify: Verify) -> None:
    """With --verify none the level is that of the ETag; with full each object is looked at first."""
    with running_rig(tmp_path, verify=verify) as rig:
        results, _ = restore(rig, [make_object(body, algorithm="CRC32") for body in BODIES])
        assert {result.integrity for result in results.values()} == {"etag" if verify is Verify.NONE else "checksum"}
        heads = [one for one in rig.server.requests if one.operation == "HeadObject"]
        assert len(heads) == (0 if verify is Verify.NONE else COUNT)


def test_the_sdk_transport_takes_no_batches(tmp_path: Path) -> None:
    """With --transport sdk each object goes the ordinary way, and is as exact."""
    with running_rig(tmp_path, transport="sdk") as rig:
        results, _ = restore(rig, objects(), CutBody(after_bytes=1000))
        assert all(result.ok for result in results.values())


def test_flushed_files(tmp_path: Path) -> None:
    """With --fsync everything is as exact, onto nothing and onto old files."""
    with running_rig(tmp_path, fsync=True) as rig:
        for old in (None, OLD):
            results, _ = restore(rig, objects(), CutBody(after_bytes=1000), old=old)
            assert all(result.ok for result in results.values())


@pytest.mark.parametrize(("fsync", "most"), [(False, MAX_ROWS), (True, FLUSHED_ROWS)])
def test_files_that_wait_to_be_flushed_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fsync: bool, most: int
) -> None:
    """A worker has the files of a batch open until they are flushed, so such a batch is short: ulimit -n may be low."""
    leased: list[int] = []
    real = BatchJob.lease

    def lease(self: BatchJob, assign: Assign) -> AnyBatch:
        made = real(self, assign)
        leased.append(len(made.rows))
        return made

    monkeypatch.setattr(BatchJob, "lease", lease)
    with running_rig(tmp_path, fsync=fsync, workers=1) as rig:
        results, _ = restore(rig, [make_object(b"%d" % number) for number in range(2 * MAX_ROWS)])
        assert all(result.ok for result in results.values())
    assert max(leased) == most
