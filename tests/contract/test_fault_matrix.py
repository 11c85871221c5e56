"""Every way in which a reply can be wrong, for each transport and landing: recovered, or refused by name.

R: the bytes are exact in spite of the fault. T: a typed error, and the destination is untouched.
F: an error that no second request could mend, after few requests. ``Rig.restore`` checks each time
that the fault fired and that I1, I3 and I5 hold.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from bulkhaul import errors
from bulkhaul.errors import TransferError
from tests.engines import PART_BYTES, Rig
from tests.faultserver import (
    MIB,
    ChecksumOnRange,
    ContentEncoding,
    CutBody,
    CutHead,
    Drip,
    ErrorXmlWith200,
    Etag,
    ExtraBytes,
    Fault,
    FlipBit,
    FullBody200,
    LongRange,
    NoContentRange,
    RawBody,
    Redirect,
    ReplaceObject,
    ShiftedRange,
    ShortContentLength,
    ShortRange,
    Stall,
    Status,
    StoredObject,
    WrongTotal,
    clock_skew,
    delete_object,
    hang_before_head,
    make_object,
    storm,
    truncate_object,
)
from tests.patience import PATIENCE_S

# Eight parts, the last one odd; the ETag is a multipart one, so that it promises no MD5.
SIZE_BYTES = 7 * PART_BYTES + 12345
BODY = random.Random(7).randbytes(SIZE_BYTES)
NEW_BODY = BODY[::-1]
BARE = make_object(BODY, part_size_bytes=8 * MIB)
WHOLE_CRC = make_object(BODY, part_size_bytes=8 * MIB, algorithm="CRC64NVME")
PART_CRCS = make_object(BODY, part_size_bytes=8 * MIB, algorithm="CRC32C", checksum_type="COMPOSITE")
# A part in the middle: what follows it is in flight on other connections.
AT = 4 * PART_BYTES
LATE = PART_BYTES * 3 // 4
OLD = b"what was there before"


@dataclass(frozen=True)
class Case:
    """One row of the matrix: the faults, the object they hit, and what must come of it."""

    name: str
    faults: tuple[Fault, ...]
    stored: StoredObject = BARE
    integrity: str = "etag"
    error: type[TransferError] = TransferError
    says: str = ""
    max_gets: int = 0


RECOVERED = [
    Case("1-reset-before-head", (CutHead(after_bytes=0, start=AT),)),
    Case("1-close-before-head", (CutHead(after_bytes=0, how="close", start=AT),)),
    Case("2-reset-within-head", (CutHead(after_bytes=40, start=AT),)),
    Case("2-close-within-head", (CutHead(after_bytes=40, how="close", start=AT),)),
    Case("3-reset-within-body", (CutBody(after_bytes=LATE, start=AT),), WHOLE_CRC, "checksum"),
    Case("4-close-at-last-byte", (CutBody(after_bytes=-1, how="close", start=AT),), WHOLE_CRC, "checksum"),
    Case("4-reset-at-last-byte", (CutBody(after_bytes=-1, start=AT),)),
    Case("5-close-within-body", (CutBody(after_bytes=99, how="close", start=AT),)),
    Case("5-short-content-length", (ShortContentLength(start=AT),)),
    Case("7-extra-bytes", (ExtraBytes(data=b"HTTP/1.1 206 Partial Content\r\n\r\n", start=AT),)),
    Case("8-stall-before-head", (hang_before_head(start=AT),)),
    Case("8-stall-within-body", (Stall(after_bytes=LATE, start=AT),), WHOLE_CRC, "checksum"),
    Case("9-drip", (Drip(bytes_per_s=5000, start=AT),)),
    Case("11-short-range-once", (ShortRange(start=AT),)),
    Case("11-long-range-once", (LongRange(start=AT),)),
    Case("12-shifted-range-once", (ShiftedRange(by_bytes=512, start=AT),)),
    Case("13-wrong-total-once", (WrongTotal(start=AT),)),
    Case("13-unknown-total-once", (WrongTotal(by_bytes=None, start=AT),)),
    Case("15-other-etag-once", (Etag(etag="other", start=AT),)),
    Case("15-no-etag-once", (Etag(etag=None, start=AT),)),
    Case("16-replaced-412", (ReplaceObject(replacement=NEW_BODY, nth=3),)),
    Case("16-replaced-if-match-ignored", (ReplaceObject(replacement=NEW_BODY, nth=3, if_match="ignored"),)),
    Case("19-flip-under-part-checksum", (FlipBit(offset=AT + 77, bit=3),), PART_CRCS, "checksum"),
    Case("21-object-checksum-on-206", (ChecksumOnRange(),), WHOLE_CRC, "checksum"),
    Case("22-composite-checksum-on-206", (ChecksumOnRange(),), PART_CRCS, "checksum"),
    Case("23-says-gzip", (ContentEncoding(encoding="gzip", attempt="every"),), WHOLE_CRC, "checksum"),
    Case("23-says-aws-chunked", (ContentEncoding(encoding="aws-chunked", attempt="every"),)),
    Case("24-slow-down-thrice", (storm(times=3),)),
    Case("25-500-once", (Status(code="InternalError", start=AT),)),
    Case("25-500-to-head", (Status(code="InternalError", operation="HeadObject"),)),
    Case("26-error-with-200-once", (ErrorXmlWith200(start=AT),)),
    Case("26-slow-down-with-200-once", (ErrorXmlWith200(code="SlowDown", start=AT),)),
    Case("reset-of-head-request", (CutHead(after_bytes=0, operation="HeadObject"),)),
]

REFUSED = [
    Case("10-full-body", (FullBody200(attempt="every"),), error=errors.RangeIgnored, says="200", max_gets=8),
    Case("11-short-range", (ShortRange(start=AT, attempt="every"),), error=errors.UnexpectedReply),
    Case("11-long-range", (LongRange(start=AT, attempt="every"),), error=errors.UnexpectedReply),
    Case("12-shifted-range", (ShiftedRange(start=AT, attempt="every"),), error=errors.UnexpectedReply),
    Case(
        "12-shifted-range-that-lies",
        (ShiftedRange(start=AT, by_bytes=-512, honest=False, attempt="every"),),
        WHOLE_CRC,
        error=errors.IntegrityError,
        says=WHOLE_CRC.checksums["CRC64NVME"],
    ),
    Case("13-wrong-total", (WrongTotal(start=AT, attempt="every"),), error=errors.UnexpectedReply),
    Case("5-short-length", (ShortContentLength(start=AT, attempt="every"),), error=errors.UnexpectedReply),
    Case("14-no-content-range", (NoContentRange(start=AT),), error=errors.RangeIgnored, max_gets=12),
    Case("15-other-etag", (Etag(etag="other", attempt="every"),), error=errors.PreconditionFailed),
    Case("15-no-etag", (Etag(etag=None, attempt="every"),), error=errors.PreconditionFailed),
    Case(
        "16-replaced-again-and-again",
        tuple(ReplaceObject(replacement=b"%d" % n + NEW_BODY[1:], nth=n) for n in (2, 10)),
        error=errors.PreconditionFailed,
        says="changed",
    ),
    Case("17-emptied", (truncate_object(nth=3),), error=errors.RangeNotSatisfiable, max_gets=14),
    Case("18-deleted", (delete_object(nth=3),), error=errors.NotFound, max_gets=14),
    Case(
        "19-flip-under-part-checksum-for-ever",
        (FlipBit(offset=AT + 77, attempt="every"),),
        PART_CRCS,
        error=errors.IntegrityError,
        says=PART_CRCS.part_checksums["CRC32C"][0],
    ),
    Case(
        "20-flip-under-object-checksum",
        (FlipBit(offset=AT + 77),),
        WHOLE_CRC,
        error=errors.IntegrityError,
        says=WHOLE_CRC.checksums["CRC64NVME"],
    ),
    Case("25-500-for-ever", (Status(code="InternalError", start=AT, attempt="every"),), error=errors.ServerError,
         max_gets=12 + 8),
    Case("26-error-with-200", (ErrorXmlWith200(attempt="every"),), error=errors.UnexpectedReply, max_gets=24),
    Case("26-hostile-xml", (RawBody(body=b"<!DOCTYPE a [<!ENTITY b 'c'>]><Error>", status=400, start=AT),),
         error=errors.OtherError),
    Case("403-mid-transfer", (Status(code="AccessDenied", start=AT),), error=errors.AccessDenied, max_gets=12),
]  # fmt: skip

FATAL = [
    Case("29-clock-skew", (clock_skew(delta_s=7200),), error=errors.ClockSkew, says="-7"),
    Case("30-301-loop", (Redirect(status=301, operation="HeadObject"),), error=errors.EndpointRedirect),
    Case("30-307-loop", (Redirect(status=307, operation="HeadObject"),), error=errors.EndpointRedirect),
    Case("access-denied", (Status(code="AccessDenied", operation="HeadObject"),), error=errors.AccessDenied),
]


def names(cases: list[Case]) -> list[str]:
    """Return the ids of cases."""
    return [case.name for case in cases]


@pytest.mark.parametrize("case", RECOVERED, ids=names(RECOVERED))
def test_recovered(rig: Rig, case: Case) -> None:
    """A passing fault costs time and nothing else: the bytes are exact, and the integrity level is honest."""
    outcome = rig.restore(case.stored, *case.faults, old=OLD)
    result = outcome.succeeded()
    assert (result.size, result.integrity) == (SIZE_BYTES, case.integrity)
    assert outcome.seconds < PATIENCE_S
    by_part: dict[int, int] = {}
    for get in outcome.gets:
        by_part[get.part] = by_part.get(get.part, 0) + 1
    assert max(by_part.values()) <= 5


@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_refused(rig: Rig, case: Case) -> None:
    """What cannot be put right fails by its name, within its budget, and leaves the destination as it was."""
    outcome = rig.restore(case.stored, *case.faults, old=OLD if rig.cases % 2 else None)
    error = outcome.failed(case.error)
    assert error.subject == f"s3://bucket/case-{rig.cases}"
    assert case.says in str(error)
    assert outcome.seconds < PATIENCE_S
    assert len(outcome.gets) <= (case.max_gets or 40)


@pytest.mark.parametrize("case", FATAL, ids=names(FATAL))
def test_fatal(rig: Rig, case: Case) -> None:
    """What no second request could mend is not asked again: no GET but that of a byte which tells why, three in all."""
    outcome = rig.restore(case.stored, *case.faults, old=OLD)
    error = outcome.failed(case.error)
    assert case.says in str(error)
    assert [get for get in outcome.gets if get.range != (0, 1)] == []
    assert len(outcome.requests) <= 3


@pytest.mark.parametrize("status", [301, 307])
def test_redirected_get(rig: Rig, status: int) -> None:
    """A redirect in the middle of a transfer is refused like one before it, and never followed."""
    fault = Redirect(status=307 if status == 307 else 301, start=AT)
    outcome = rig.restore(BARE, fault, old=OLD)
    outcome.failed(errors.EndpointRedirect)
    assert len([get for get in outcome.gets if get.faults]) == 1


def test_clock_skew_of_gets(rig: Rig) -> None:
    """A clock that is wrong in the middle of a transfer is named with its difference, and not tried again."""
    outcome = rig.restore(BARE, clock_skew(delta_s=7200, operation="GetObject"), old=OLD)
    assert "differs by -7" in str(outcome.failed(errors.ClockSkew))
    assert len(outcome.gets) <= 12


def test_cut_body_goes_on_where_it_broke(rig: Rig) -> None:
    """After a cut the same part is asked for from a later byte on, with the same If-Match."""
    outcome = rig.restore(WHOLE_CRC, CutBody(after_bytes=LATE, how="close", start=AT))
    assert outcome.succeeded().integrity == "checksum"
    first, second = [get for get in outcome.gets if get.range is not None and get.range[1] == AT + PART_BYTES]
    assert first.range == (AT, AT + PART_BYTES)
    assert second.range is not None
    assert AT < second.range[0] <= AT + LATE
    assert first.headers["if-match"] == second.headers["if-match"] == f'"{WHOLE_CRC.etag}"'


def test_extra_bytes_cost_the_connection(rig: Rig) -> None:
    """A connection on which more came than was announced is not used again.

    Only the fast transport can promise it: the SDK's reader swallows what came with the end of the body.
    """
    if rig.engine.settings.transport == "sdk":
        rig.restore(BARE, ExtraBytes(start=AT)).succeeded()
        return
    outcome = rig.restore(BARE, ExtraBytes(start=AT))
    outcome.succeeded()
    (spoilt,) = [get for get in outcome.gets if get.faults]
    later = [one for one in rig.server.requests if one.index > spoilt.index]
    assert spoilt.connection_id not in {one.connection_id for one in later}


def test_every_request_is_conditional(rig: Rig) -> None:
    """Each GET of a part asks for exactly its range, on condition of the ETag that HEAD told."""
    outcome = rig.restore(BARE)
    outcome.succeeded()
    assert sorted(get.range or (0, 0) for get in outcome.gets) == [
        (start, min(start + PART_BYTES, SIZE_BYTES)) for start in range(0, SIZE_BYTES, PART_BYTES)
    ]
    assert {get.headers.get("if-match") for get in outcome.gets} == {f'"{BARE.etag}"'}


@pytest.mark.parametrize(
    "fault",
    [CutBody(after_bytes=100), CutBody(after_bytes=-1, how="close"), ErrorXmlWith200(), Etag(etag="other"),
     ShortContentLength(), storm(times=2), Status(code="InternalError"), Stall(after_bytes=10), ExtraBytes()],
    ids=lambda fault: fault.kind,
)  # fmt: skip
def test_small_object_recovered(rig: Rig, fault: Fault) -> None:
    """An object of one part, which is fetched whole, survives the same faults."""
    outcome = rig.restore(make_object(BODY[:5000], algorithm="CRC32C"), fault, old=OLD)
    assert outcome.succeeded().integrity == "checksum"
    assert all(get.range is None for get in outcome.gets if get.attempt == 1)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FlipBit(offset=4999, attempt="every"), errors.IntegrityError),
        (ShortContentLength(attempt="every"), errors.UnexpectedReply),
        (Etag(etag=None, attempt="every"), errors.PreconditionFailed),
        (ErrorXmlWith200(attempt="every"), errors.UnexpectedReply),
        (delete_object(nth=1), errors.NotFound),
        (Status(code="InternalError", attempt="every"), errors.ServerError),
    ],
    ids=["flip", "short", "etag", "xml", "deleted", "500"],
)
def test_small_object_refused(rig: Rig, fault: Fault, kind: type[TransferError]) -> None:
    """An object of one part fails by the same names, and leaves the destination as it was."""
    rig.restore(make_object(BODY[:5000], algorithm="CRC32C"), fault, old=OLD).failed(kind)
