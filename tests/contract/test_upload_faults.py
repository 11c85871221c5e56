"""Every way in which a write can go wrong, for each transport, whole and in parts: recovered, or refused by name.

R: the object is exact in spite of the fault. T: a typed error, and what was there before is untouched.
``WriteRig.watch`` checks each time that the fault fired, that the object is the source or the old one,
that pending uploads and journals name each other, that nothing is held, and that no secret is shown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from bulkhaul import errors
from bulkhaul.errors import TransferError
from bulkhaul.model.settings import Timeouts
from tests.faultserver import (
    MIB,
    CutHead,
    CutReceiving,
    EarlyReply,
    ErrorXmlWith200,
    Etag,
    ExtraBytes,
    Fault,
    FlipReceivedBit,
    IgnoreChecksums,
    LandLate,
    NoChecksumTypes,
    OnlyWhitespace,
    Redirect,
    RefuseChecksums,
    SlowReceiving,
    StallReceiving,
    Status,
    ToldChecksum,
    ToldHeader,
    clock_skew,
    hang_before_head,
    make_object,
    reply_lost,
    storm,
)
from tests.patience import PATIENCE_S
from tests.s3_client import crc
from tests.writing import HASTY, PART_BYTES, WriteRig, running_write_rig, serving_writes

Shape = Literal["whole", "parts"]
OLD = b"what was there before"
HALF = PART_BYTES // 2
PARTS = 5
#: Parts of one length, so that a fault fits the whole body and a part alike.
OTHER = crc("CRC32", b"other")
BODIES: dict[Shape, bytes] = {
    "whole": random.Random(31).randbytes(PART_BYTES),
    "parts": random.Random(32).randbytes((PARTS - 1) * PART_BYTES + 4321),
}
COMPLETE = "CompleteMultipartUpload"
CREATE = "CreateMultipartUpload"

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])


@pytest.fixture(scope="module", params=["fast", "sdk"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine of one transport that writes to a fault server, for the tests of this module."""
    with running_write_rig(tmp_path_factory.mktemp("written"), transport=request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def fresh_budget(request: pytest.FixtureRequest) -> None:
    """Give each test the whole budget for retries: what one spends is no business of the next."""
    if "rig" in request.fixturenames:
        rig: WriteRig = request.getfixturevalue("rig")
        coordinator = rig.engine.aio._life.running()
        budget = coordinator.dispatcher.machine.budget
        budget.tokens = budget.capacity


def body_of(shape: Shape, kind: Callable[..., Fault], **fields: Any) -> Fault:
    """Return a fault that hits the one PUT, or the PUT of part 2."""
    address: dict[str, Any] = {"operation": "PutObject"} if shape == "whole" else {"operation": "UploadPart", "part": 2}
    return kind(**address, **fields)


@dataclass(frozen=True)
class Hit:
    """What hits the body's PUT, and what must come of it."""

    name: str
    kind: Callable[..., Fault]
    fields: dict[str, Any]
    error: type[TransferError] | None = None
    says: str = ""
    max_puts: int = 2


RECOVERED = [
    Hit("reset-before-the-body", CutReceiving, {"after_bytes": 0}),
    Hit("close-before-the-body", CutReceiving, {"after_bytes": 0, "how": "close"}),
    Hit("reset-within-the-body", CutReceiving, {"after_bytes": HALF}),
    Hit("close-within-the-body", CutReceiving, {"after_bytes": HALF, "how": "close"}),
    Hit("reset-after-the-body-without-effect", CutReceiving, {"after_bytes": PART_BYTES}),
    Hit("early-slow-down-drained", EarlyReply, {"code": "SlowDown", "after_bytes": HALF, "rest": "drain"}),
    Hit("early-slow-down-closed", EarlyReply, {"code": "SlowDown", "after_bytes": HALF}),
    Hit("early-slow-down-reset", EarlyReply, {"code": "SlowDown", "after_bytes": HALF, "rest": "reset"}),
    Hit("early-500-before-the-body", EarlyReply, {"code": "InternalError"}),
    Hit("early-request-timeout", EarlyReply, {"code": "RequestTimeout", "after_bytes": HALF}),
    Hit("stall-within-the-body", StallReceiving, {"after_bytes": HALF}),
    Hit("pause-within-the-body", StallReceiving, {"after_bytes": HALF, "seconds": 0.3}, max_puts=1),
    Hit("stall-before-the-reply", hang_before_head, {}),
    Hit("reply-lost", reply_lost, {}),
    Hit("reply-reset", reply_lost, {"how": "reset"}),
    Hit("reply-cut-within-head", CutHead, {"after_bytes": 40}),
    Hit("500-without-effect", Status, {"code": "InternalError"}),
    Hit("500-after-the-effect", Status, {"code": "InternalError", "applied": True}),
    Hit("error-with-200", ErrorXmlWith200, {}),
    Hit("error-with-200-after-the-effect", ErrorXmlWith200, {"applied": True}),
    Hit("slow-down", Status, {"code": "SlowDown", "headers": {"Retry-After": "0.3"}}),
    Hit("flipped-bit", FlipReceivedBit, {"offset": HALF, "bit": 5}),
    Hit("flipped-bit-twice", FlipReceivedBit, {"attempt": "every", "times": 2}, max_puts=3),
    Hit("extra-bytes-after-the-reply", ExtraBytes, {}, max_puts=1),
    Hit("stored-otherwise-by-its-own-account", ToldChecksum, {"value": OTHER}),
    Hit("slow-receiver", SlowReceiving, {"bytes_per_s": 600_000}, max_puts=1),
]
REFUSED = [
    Hit("403", Status, {"code": "AccessDenied"}, errors.AccessDenied, max_puts=1),
    Hit("early-403", EarlyReply, {"code": "AccessDenied", "after_bytes": HALF}, errors.AccessDenied, max_puts=1),
    # A reset may overtake the reply that was sent before it; then it is the next try that hears.
    Hit(
        "early-403-unread",
        EarlyReply,
        {"code": "AccessDenied", "rest": "reset", "attempt": "every"},
        errors.AccessDenied,
        max_puts=9 + 8,
    ),
    Hit("too-large", EarlyReply, {"code": "EntityTooLarge"}, errors.PayloadTooLarge, max_puts=1),
    Hit("flipped-bit-for-ever", FlipReceivedBit, {"attempt": "every"}, errors.BodyCorrupted, "BadDigest", 3),
    Hit("500-for-ever", Status, {"code": "InternalError", "attempt": "every"}, errors.ServerError, "500", 9),
    # Nine tries, and one more for each connection that may have been closed while it was idle.
    Hit("reset-for-ever", CutReceiving, {"after_bytes": 0, "attempt": "every"}, errors.NetworkError, max_puts=60),
    Hit("error-with-200-for-ever", ErrorXmlWith200, {"attempt": "every"}, errors.ServerError, max_puts=9),
    Hit("slow-down-for-ever", Status, {"code": "SlowDown", "attempt": "every"}, errors.Throttled, max_puts=200),
    Hit("redirect", Redirect, {}, errors.EndpointRedirect, max_puts=3),
    Hit("clock-skew", Status, {"code": "RequestTimeTooSkewed"}, errors.ClockSkew, max_puts=1),
    Hit("no-such-bucket", Status, {"code": "NoSuchBucket"}, errors.NotFound, max_puts=1),
    Hit("teapot", Status, {"code": "Teapot", "status": 418}, errors.OtherError, "418", 1),
]


def names(cases: list[Hit]) -> list[str]:
    """Return the ids of cases."""
    return [case.name for case in cases]


def puts_of_one_part(requests: list[Any]) -> int:
    """Return how often the part that was asked for most often was."""
    counts: dict[Any, int] = {}
    for one in requests:
        counts[one.part_number] = counts.get(one.part_number, 0) + 1
    return max(counts.values())


@pytest.mark.parametrize("shape", ["whole", "parts"])
@pytest.mark.parametrize("case", RECOVERED, ids=names(RECOVERED))
def test_recovered(rig: WriteRig, shape: Shape, case: Hit) -> None:
    """A passing fault costs time and nothing else: the object is exact, and the service confirmed its checksum."""
    body = BODIES[shape]
    written = rig.upload(body, body_of(shape, case.kind, **case.fields), old=OLD)
    result = written.succeeded()
    assert (result.size, result.integrity) == (len(body), "checksum")
    assert result.parts == (1 if shape == "whole" else PARTS)
    puts = written.of("PutObject") + written.of("UploadPart")
    # Extra bytes that are late are taken for the reply to the next request on their connection, which is sent again.
    most = case.max_puts + (case.kind is ExtraBytes)
    assert case.max_puts <= puts_of_one_part(puts) <= most
    assert result.retries <= most - 1  # a request on a connection that had been closed idle is no retry
    assert written.seconds < PATIENCE_S


@pytest.mark.parametrize("shape", ["whole", "parts"])
@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_refused(rig: WriteRig, shape: Shape, case: Hit) -> None:
    """What cannot be put right fails by its name, within its budget, and the old object stays."""
    written = rig.upload(BODIES[shape], body_of(shape, case.kind, **case.fields), old=OLD if rig.cases % 2 else None)
    assert case.error is not None
    error = written.failed(case.error)
    assert error.subject == f"s3://bucket/{written.key}"
    assert case.says in str(error)
    assert puts_of_one_part(written.of("PutObject") + written.of("UploadPart")) <= case.max_puts
    assert written.seconds < PATIENCE_S
    assert len(written.of(COMPLETE)) == 0


@pytest.mark.parametrize("shape", ["whole", "parts"])
def test_service_that_tells_another_checksum_for_ever(rig: WriteRig, shape: Shape) -> None:
    """A service that checks nothing, and tells that it holds other bytes, is not believed to have stored the object."""
    key, faults = rig.new_key(body_of(shape, ToldChecksum, value=OTHER, attempt="every"))
    path = rig.folder / key
    path.write_bytes(BODIES[shape])
    with pytest.raises(errors.BodyCorrupted, match=f"stored other bytes than were sent .cause: CRC32 {OTHER}, "):
        rig.engine.upload(path, f"s3://bucket/{key}")
    assert rig.server.fired(faults[0]) == 3
    rig.assert_nothing_left(key)


def test_conditional_write_of_other_bytes(rig: WriteRig) -> None:
    """It cannot be made good by another try, and is not taken for this call's own object."""
    key, faults = rig.new_key(ToldChecksum(operation="PutObject", value=OTHER, attempt="every"))
    url = f"s3://bucket/{key}"
    with pytest.raises(errors.IntegrityError, match="stored other bytes than were sent") as caught:
        rig.engine.upload_bytes(b"mine", url, only_if_absent=True)
    assert (caught.value.retryable, rig.server.fired(faults[0])) == (False, 1)


def test_object_with_another_checksum(rig: WriteRig) -> None:
    """What Complete tells of the whole object is compared with the parts that were sent."""
    key, faults = rig.new_key(ToldChecksum(operation=COMPLETE, value=OTHER))
    path = rig.folder / key
    path.write_bytes(BODIES["parts"])
    with pytest.raises(errors.IntegrityError, match=f"stored an object with CRC32 {OTHER}, .* upload it again"):
        rig.engine.upload(path, f"s3://bucket/{key}")
    assert rig.server.fired(faults[0]) == 1
    rig.assert_nothing_left(key)


# Create, complete, abort


@dataclass(frozen=True)
class Step:
    """What hits the other requests of an upload in parts, and what must come of it."""

    name: str
    faults: tuple[Fault, ...]
    error: type[TransferError] | None = None
    completes: int = 1
    named: int = 0


RECOVERED_STEPS = [
    Step("create-slow-down", (Status(code="SlowDown", operation=CREATE),)),
    Step("create-refused-connection", (CutReceiving(operation=CREATE),)),
    Step("create-500-without-effect", (Status(code="InternalError", operation=CREATE),)),
    Step("create-reply-lost", (reply_lost(operation=CREATE),), named=1),
    Step("create-hangs", (hang_before_head(operation=CREATE),), named=1),
    Step("create-500-after-the-effect", (Status(code="InternalError", operation=CREATE, applied=True),), named=1),
    Step("complete-slow-down", (storm(operation=COMPLETE, times=2),), completes=3),
    Step("complete-500", (Status(code="InternalError", operation=COMPLETE),), completes=2),
    Step("complete-500-after-the-effect", (Status(code="InternalError", operation=COMPLETE, applied=True),),
         completes=2),
    Step("complete-404-after-the-effect", (Status(code="NoSuchUpload", operation=COMPLETE, applied=True),)),
    Step("complete-error-with-200", (ErrorXmlWith200(operation=COMPLETE),), completes=2),
    Step("complete-error-with-200-after-the-effect", (ErrorXmlWith200(operation=COMPLETE, applied=True),),
         completes=2),
    Step("complete-whitespace-and-document", (OnlyWhitespace(document=True),)),
    Step("complete-whitespace-alone", (OnlyWhitespace(),), completes=2),
    Step("complete-reply-lost", (reply_lost(operation=COMPLETE),), completes=2),
    Step("complete-reply-reset", (reply_lost(operation=COMPLETE, how="reset"),), completes=2),
    Step("complete-hangs", (hang_before_head(operation=COMPLETE),), completes=2),
    Step("complete-reset-before", (CutReceiving(operation=COMPLETE),), completes=2),
    Step("complete-reply-lost-and-head-fails",
         (reply_lost(operation=COMPLETE), Status(code="InternalError", operation="HeadObject")), completes=2),
]  # fmt: skip
REFUSED_STEPS = [
    Step("create-403", (Status(code="AccessDenied", operation=CREATE),), errors.AccessDenied, 0),
    Step("create-501", (Status(code="NotImplemented", operation=CREATE, attempt="every"),), errors.Unsupported, 0),
    Step("create-500-for-ever", (Status(code="InternalError", operation=CREATE, attempt="every"),),
         errors.ServerError, 0),
    Step("create-refused-for-ever", (CutReceiving(operation=CREATE, attempt="every"),), errors.NetworkError, 0),
    Step("part-without-etag", (Etag(etag=None, operation="UploadPart", part=2, attempt="every"),),
         errors.UnexpectedReply, 0),
    Step("part-with-another-etag", (Etag(etag="other", operation="UploadPart", part=2),), errors.OtherError),
    Step("part-finds-no-upload", (Status(code="NoSuchUpload", operation="UploadPart", part=3),), errors.NotFound, 0),
    Step("complete-403", (Status(code="AccessDenied", operation=COMPLETE),), errors.AccessDenied),
    Step("complete-412", (Status(code="PreconditionFailed", operation=COMPLETE),), errors.PreconditionFailed),
    Step("complete-too-small", (Status(code="EntityTooSmall", operation=COMPLETE),), errors.OtherError),
    Step("complete-404-without-effect", (Status(code="NoSuchUpload", operation=COMPLETE),), errors.NotFound),
    Step("complete-500-for-ever", (Status(code="InternalError", operation=COMPLETE, attempt="every"),),
         errors.ServerError, 9),
    Step("abort-fails-too",
         (Status(code="AccessDenied", operation="UploadPart", part=2),
          Status(code="AccessDenied", operation="AbortMultipartUpload", attempt="every")),
         errors.AccessDenied, 0, named=1),
    Step("abort-fails-for-a-while",
         (Status(code="AccessDenied", operation="UploadPart", part=2),
          Status(code="InternalError", operation="AbortMultipartUpload")), errors.AccessDenied, 0),
    Step("abort-whose-reply-is-lost",
         (Status(code="AccessDenied", operation="UploadPart", part=2), reply_lost(operation="AbortMultipartUpload")),
         errors.AccessDenied, 0),
]  # fmt: skip


@pytest.mark.parametrize("step", RECOVERED_STEPS, ids=[step.name for step in RECOVERED_STEPS])
def test_step_recovered(rig: WriteRig, step: Step) -> None:
    """Whatever befalls Create or Complete, one object comes of it, and an upload that nobody was told of is named."""
    written = rig.upload(BODIES["parts"], *step.faults, old=OLD, named=step.named)
    result = written.succeeded()
    assert (result.size, result.integrity, result.parts) == (len(BODIES["parts"]), "checksum", PARTS)
    assert len(written.of(COMPLETE)) == step.completes
    assert len(written.of("UploadPart")) == PARTS
    stored = rig.server.store.get("bucket", written.key)
    assert stored is not None
    assert result.etag.strip('"') == stored.etag


@pytest.mark.parametrize("step", REFUSED_STEPS, ids=[step.name for step in REFUSED_STEPS])
def test_step_refused(rig: WriteRig, step: Step) -> None:
    """A refusal of Create, a part or Complete ends the upload by its name, and leaves no part of it behind."""
    written = rig.upload(BODIES["parts"], *step.faults, old=OLD if rig.cases % 2 else None, named=step.named)
    assert step.error is not None
    error = written.failed(step.error)
    assert error.subject == f"s3://bucket/{written.key}"
    assert len(written.of(COMPLETE)) == step.completes
    assert written.seconds < PATIENCE_S


def test_late_part(rig: WriteRig) -> None:
    """Row 41: a part that lands after the abort is aborted as well, until the service lists none."""
    late = LandLate(part=2)
    written = rig.upload(BODIES["parts"], late, Status(code="AccessDenied", operation="UploadPart", part=4))
    written.failed(errors.AccessDenied)
    assert len(written.of("AbortMultipartUpload")) >= 2
    assert written.of("ListParts")[-1].status == 404


def test_a_completed_upload_is_not_taken_for_another(rig: WriteRig) -> None:
    """Row 40: where the object at the key has another token, a Complete that finds no upload has failed."""
    key, faults = rig.new_key(Status(code="NoSuchUpload", operation=COMPLETE))
    rig.server.store.put("bucket", key, make_object(BODIES["parts"], metadata={"bulkhaul-token": "f" * 32}))
    path = rig.folder / key
    path.write_bytes(BODIES["parts"])
    written = rig.watch(
        lambda: rig.engine.upload(path, f"s3://bucket/{key}"), key, BODIES["parts"], faults, BODIES["parts"]
    )
    written.failed(errors.NotFound)


@pytest.mark.parametrize("shape", ["whole", "parts"])
def test_memory_is_sent_like_a_file(rig: WriteRig, shape: Shape) -> None:
    """Bytes survive the same faults as a file."""
    body = BODIES[shape]
    faults = [body_of(shape, CutReceiving, after_bytes=HALF), body_of(shape, FlipReceivedBit, attempt=2)]
    key, addressed = rig.new_key(*faults, old=OLD)
    written = rig.watch(lambda: rig.engine.upload_bytes(body, f"s3://bucket/{key}"), key, body, addressed, OLD)
    assert written.succeeded().integrity == "checksum"


def test_storm_slows_the_host_down(rig: WriteRig) -> None:
    """Row 24: while the service asks to slow down, all uploads together ask less often, and all succeed."""
    body = BODIES["parts"]
    key, addressed = rig.new_key(storm(operation="UploadPart", for_s=HASTY.throttle_s / 4))
    path = rig.folder / key
    path.write_bytes(body)
    written = rig.watch(lambda: rig.engine.upload(path, f"s3://bucket/{key}"), key, body, addressed, OLD)
    assert written.succeeded().integrity == "checksum"
    refused = [one for one in written.of("UploadPart") if one.status == 503]
    first_s = refused[0].arrived_s
    early = sum(one.arrived_s - first_s < 0.1 for one in refused)
    assert early >= 1
    assert len(refused) < 100


def test_conditional_write(rig: WriteRig) -> None:
    """A write on condition that there is no object leaves an old one alone, and creates a new one."""
    key, _ = rig.new_key(old=OLD)
    url = f"s3://bucket/{key}"
    refused = rig.watch(lambda: rig.engine.upload_bytes(b"mine", url, only_if_absent=True), key, b"mine", [], OLD)
    refused.failed(errors.PreconditionFailed)
    assert len(refused.of("PutObject")) == 1
    fresh, _ = rig.new_key()
    work = rig.watch(
        lambda: rig.engine.upload_bytes(b"", f"s3://bucket/{fresh}", only_if_absent=True), fresh, b"", [], None
    )
    assert work.succeeded().size == 0


def test_a_conditional_write_does_not_lose_against_its_own_retry(rig: WriteRig) -> None:
    """The reply to the write was lost, and the repetition is refused: the object is this call's all the same."""
    key, faults = rig.new_key(reply_lost(operation="PutObject"))
    result = rig.engine.put_bytes(f"s3://bucket/{key}", b"mine", only_if_absent=True)
    assert rig.server.fired(faults[0]) == 1
    stored = rig.server.store.get("bucket", key)
    assert stored is not None
    assert (stored.body, result.etag, result.size) == (b"mine", f'"{stored.etag}"', 4)


@pytest.mark.parametrize("size_bytes", [4, 300_000, 3_000_000])
def test_a_conditional_write_found_by_its_token_ends_like_any_other(
    rig: WriteRig, tmp_path: Path, size_bytes: int
) -> None:
    """The progress that is told sums up to the size, and a move removes its file."""
    body, file = b"m" * size_bytes, tmp_path / "file"
    file.write_bytes(body)
    for source in ("memory", "file"):
        key, faults = rig.new_key(reply_lost(operation="PutObject"))
        url, told = f"s3://bucket/{key}", list[int]()
        if source == "memory":
            result = rig.engine.upload_bytes(body, url, only_if_absent=True, progress=told.append)
        else:
            result = rig.engine.upload(file, url, only_if_absent=True, move=True, progress=told.append)
            assert (result.source, file.exists()) == (str(file), False)
        assert (rig.server.fired(faults[0]), rig.stored(key)) == (1, body)
        assert (result.failure, result.size, sum(told)) == (None, size_bytes, size_bytes)


def test_a_move_on_condition_keeps_its_file_where_the_object_is_somebody_elses(rig: WriteRig, tmp_path: Path) -> None:
    """Also after a lost reply: what is there has another token."""
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    key, _ = rig.new_key(CutReceiving(operation="PutObject", after_bytes=1), old=OLD)
    with pytest.raises(errors.PreconditionFailed):
        rig.engine.upload(file, f"s3://bucket/{key}", only_if_absent=True, move=True)
    assert (file.read_bytes(), rig.stored(key)) == (b"mine", OLD)


def test_an_object_of_another_length_is_not_taken_for_what_was_sent(rig: WriteRig, tmp_path: Path) -> None:
    """Although it has the token of the call: the write whose reply was lost has failed."""
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    shorter = ToldHeader(name="Content-Length", value="3", operation="HeadObject", attempt="every")
    key, _ = rig.new_key(reply_lost(operation="PutObject"), shorter)
    with pytest.raises(errors.PreconditionFailed):
        rig.engine.upload(file, f"s3://bucket/{key}", only_if_absent=True, move=True)
    assert file.read_bytes() == b"mine"


# Deadlines of a body that nobody reads


@BOTH
def test_stall_while_the_body_is_sent(tmp_path: Path, transport: str) -> None:
    """A server that stops reading in the middle is given up after ``read_s``, and the body is sent anew."""
    body = random.Random(33).randbytes(12 * MIB)
    with sending_slowly(tmp_path, transport, read_s=2.0) as rig:
        written = rig.upload(body, StallReceiving(after_bytes=MIB))
        assert written.succeeded().integrity == "checksum"
        assert 2.0 <= written.seconds < PATIENCE_S / 2


@BOTH
def test_answer_while_nobody_reads_the_rest(tmp_path: Path, transport: str) -> None:
    """A refusal that comes while the server reads no more counts at once, unless the reset overtakes it."""
    body = random.Random(33).randbytes(12 * MIB)
    with sending_slowly(tmp_path, transport, read_s=PATIENCE_S) as rig:
        refused = rig.upload(body, EarlyReply(code="AccessDenied", after_bytes=MIB, rest="reset", attempt="every"))
        refused.failed(errors.AccessDenied)
        assert refused.seconds < PATIENCE_S / 2


@contextmanager
def sending_slowly(folder: Path, transport: str, *, read_s: float) -> Iterator[WriteRig]:
    """Run an engine that sends large bodies whole, and that waits for nothing but ``read_s`` less than a minute."""
    timeouts = Timeouts(read_s=read_s, lease_s=PATIENCE_S, ack_s=PATIENCE_S, heartbeat_s=PATIENCE_S)
    server = serving_writes(receive_buffer_bytes=64 * 1024)
    settings: dict[str, Any] = {"transport": transport, "timeouts": timeouts}
    with running_write_rig(folder, server=server, multipart_threshold_bytes=16 * MIB, **settings) as rig:
        yield rig


# Checksums that an endpoint does not take


@BOTH
@pytest.mark.parametrize("code", ["InvalidArgument", "NotImplemented", "InvalidRequest"])
def test_endpoint_that_refuses_checksums(tmp_path: Path, transport: str, code: Any) -> None:
    """Uploads go without what the endpoint refuses, say so, and do not ask it again."""
    with running_write_rig(tmp_path, transport=transport) as rig:
        rig.server.add_fault(RefuseChecksums(code=code))
        for shape in ("parts", "whole", "parts"):
            first = rig.upload(BODIES[shape], old=OLD)
            assert first.succeeded().integrity == "length"
        asked = [one for one in rig.server.requests if one.status in (400, 501)]
        assert len(asked) == 1


@pytest.mark.parametrize("how", ["stream", "copy", "relay"])
def test_every_direction_goes_without_checksums(tmp_path: Path, how: str) -> None:
    """An endpoint that refuses checksums takes streams, copies and relays in parts all the same."""
    body = BODIES["parts"]
    with running_write_rig(tmp_path) as rig:
        rig.server.add_fault(RefuseChecksums())
        rig.server.store.put("bucket", "source", make_object(body))
        key, url = "case-1", "s3://bucket/case-1"

        def work() -> Any:
            if how == "copy":
                return rig.engine.copy("s3://bucket/source", url)
            if how == "relay":
                return rig.engine.copy("s3://bucket/source", url, origin=rig.engine.aio)
            (tmp_path / "stream").write_bytes(body)
            with (tmp_path / "stream").open("rb") as file:
                return rig.engine.upload_stream(file.fileno(), url)

        assert rig.watch(work, key, body, []).succeeded().size == len(body)
        assert len([one for one in rig.server.requests if one.status in (400, 501)]) == 1


@BOTH
def test_refusals_that_are_about_something_else(tmp_path: Path, transport: str) -> None:
    """A body that is refused for its own sake is not sent once more without its checksum."""
    with running_write_rig(tmp_path, transport=transport) as rig:
        for shape, fault in (
            ("whole", Status(code="InvalidStorageClass", operation="PutObject")),
            ("whole", Status(code="MetadataTooLarge", operation="PutObject")),
            ("parts", Status(code="EntityTooSmall", operation=COMPLETE)),
            ("parts", Etag(etag="other", operation="UploadPart", part=2)),
        ):
            written = rig.upload(BODIES["whole" if shape == "whole" else "parts"], fault)
            written.failed(errors.OtherError)
            assert len(written.of("PutObject") + written.of(CREATE)) == 1
        assert rig.upload(BODIES["whole"]).succeeded().integrity == "checksum"


@BOTH
def test_endpoint_that_ignores_checksums(tmp_path: Path, transport: str) -> None:
    """What the service did not confirm is not called verified."""
    with running_write_rig(tmp_path, transport=transport) as rig:
        rig.server.add_fault(IgnoreChecksums())
        for shape in ("whole", "parts"):
            written = rig.upload(BODIES["whole" if shape == "whole" else "parts"])
            assert written.succeeded().integrity == "length"


@BOTH
@pytest.mark.parametrize("echo", [True, False])
def test_endpoint_that_knows_no_checksum_types(tmp_path: Path, transport: str, *, echo: bool) -> None:
    """A service that makes a checksum of checksums gets those of the parts at Complete, and none of the object."""
    with running_write_rig(tmp_path, transport=transport) as rig:
        rig.server.add_fault(NoChecksumTypes(echo=echo))
        written = rig.upload(BODIES["parts"])
        assert (written.succeeded().integrity, written.succeeded().retries) == ("length", 0)
        assert (len(written.of(CREATE)), len(written.of(COMPLETE))) == (1, 1)
        stored = rig.server.store.get("bucket", written.key)
        assert stored is not None
        assert (stored.checksum_type, list(stored.checksums)) == ("COMPOSITE", ["CRC32"])


@BOTH
def test_wrong_clock(tmp_path: Path, transport: str) -> None:
    """Row 29: a clock that is wrong is named with its difference, after one request."""
    with running_write_rig(tmp_path, transport=transport) as rig:
        for shape, operation in (("whole", "PutObject"), ("parts", CREATE)):
            written = rig.upload(
                BODIES["whole" if shape == "whole" else "parts"], clock_skew(delta_s=7200, operation=operation)
            )
            assert "differs by -7" in str(written.failed(errors.ClockSkew))
            assert len(written.requests) == 1


@BOTH
def test_time_is_a_budget(tmp_path: Path, transport: str) -> None:
    """Row 25: a service that always fails costs a bounded time, however many parts there are."""
    fault = Status(code="InternalError", operation="UploadPart", attempt="every")
    with running_write_rig(tmp_path, transport=transport, concurrency=4) as rig:
        written = rig.upload(BODIES["parts"] * 3, fault)
    written.failed(errors.ServerError)
    assert written.seconds < PATIENCE_S
    # Nine tries of each part that was begun: one a request in flight, and one that waits for its turn.
    assert len(written.of("UploadPart")) <= 9 * (4 + 1)
