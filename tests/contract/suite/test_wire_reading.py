"""Rows about reading that only the server sees: C8 to C10, C13 to C23, C36, C38, C48 and what failures are called."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkhaul.errors import (
    AccessDenied,
    Conflict,
    EndpointRedirect,
    IntegrityError,
    NetworkError,
    NotFound,
    OtherError,
    PayloadTooLarge,
    PreconditionFailed,
    RangeNotSatisfiable,
    TransferError,
    UnexpectedReply,
)
from bulkhaul.testing.faultserver.http1 import Reply
from tests.faultserver import (
    CutBody,
    Etag,
    Exchange,
    Fault,
    Latency,
    LongRange,
    RawBody,
    Redirect,
    RepeatedListToken,
    ReplaceObject,
    ShortRange,
    StallReceiving,
    Status,
    StoredObject,
    ToldHeader,
    make_object,
)
from tests.faultserver.store import store_of

from .bodies import Deltas, made
from .wired import IN_FLIGHT, LARGE, LARGE_PARTS, OTHER, PART_BYTES, Wired

LISTING = """<ListBucketResult><Name>bucket</Name><Prefix>{0}</Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>
<IsTruncated>{1}</IsTruncated><Contents>{2}</Contents></ListBucketResult>"""


@dataclass(frozen=True, kw_only=True)
class ReplaceAfter(Fault):
    """Puts another object of the same length in the place of the one that was just told of."""

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply:
        """Change the store, and leave the reply."""
        request = exchange.request
        store_of(exchange).put(request.bucket, request.key, make_object(made(len(LARGE), seed=request.index)))
        return reply


def stored(wire: Wired, key: str, body: bytes) -> StoredObject:
    """Put an object there without asking for it."""
    made_of = make_object(body)
    wire.server.store.put("bucket", key, made_of)
    return made_of


# Listings


@pytest.mark.parametrize(
    ("prefix", "entry"),
    [
        ("c9-no-key/", "<Size>1</Size><LastModified>2024-05-17T12:34:56.000Z</LastModified>"),
        ("c9-no-time/", "<Key>c9-no-time/named</Key><Size>1</Size>"),
    ],
)
def test_c9_an_entry_without_key_or_time_is_an_other_error(wire: Wired, prefix: str, entry: str) -> None:
    """It is told with the prefix, not left out: whoever copies a bucket must not miss it."""
    listing = LISTING.format(prefix, "false", entry).encode()
    fault = wire.fault(prefix, RawBody(operation="ListObjectsV2", body=listing))
    with pytest.raises(OtherError) as caught:
        list(wire.store.list(prefix))
    assert wire.server.fired(fault) == 1
    assert caught.value.subject == f"s3://bucket/{prefix}"


@pytest.mark.parametrize("size", ["", "<Size>-5</Size>", "<Size>1e3</Size>"], ids=["missing", "negative", "no number"])
def test_c9_a_size_that_is_none_is_refused(wire: Wired, size: str) -> None:
    """It is not taken for 0: whoever trusts the listing would make an empty file."""
    entry = f"<Key>c9/a</Key><LastModified>2024-05-17T12:34:56.000Z</LastModified>{size}"
    body = LISTING.format("c9/", "false", entry).encode()
    wire.fault("c9/", RawBody(operation="ListObjectsV2", body=body, attempt="every"))
    with pytest.raises(UnexpectedReply, match=r"Size|value"):
        list(wire.store.list("c9/"))


def test_c10_a_negative_length_is_refused(wire: Wired) -> None:
    """Nonsense is refused, not mended: it is no empty object."""
    stored(wire, "c10", b"")
    wire.fault("c10", ToldHeader(operation="HeadObject", name="Content-Length", value="-5", attempt="every"))
    with pytest.raises(UnexpectedReply, match="Content-Length"):
        wire.store.head("c10")


def test_c8_a_listing_that_goes_on_nowhere_ends(wire: Wired) -> None:
    """Truncated without a token, or with the same one for ever, is an OtherError, after two requests at most."""
    entry = "<Key>c8/a</Key><Size>1</Size><LastModified>2024-05-17T12:34:56.000Z</LastModified>"
    wire.fault("c8/", RawBody(operation="ListObjectsV2", body=LISTING.format("c8/", "true", entry).encode()))
    wire.fault("c8-again/", RepeatedListToken())
    for prefix in ("c8/", "c8-again/"):
        wire.forget()
        with pytest.raises(OtherError, match="listing"):
            list(wire.store.list(prefix))
        assert len(wire.asked("ListObjectsV2")) <= 2


def test_c38_a_probe_is_one_small_question(wire: Wired) -> None:
    """One ListObjectsV2 of at most one key below the caller's prefix."""
    wire.store.probe("some/prefix")
    (asked,) = wire.asked()
    assert (asked.operation, asked.query["max-keys"], asked.query["prefix"]) == ("ListObjectsV2", "1", "some/prefix")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NoSuchBucket", NotFound),
        ("AccessDenied", AccessDenied),
        ("InvalidAccessKeyId", AccessDenied),
        ("InternalError", OtherError),
        ("MalformedXML", OtherError),
    ],
)
def test_c39_a_probe_tells_apart_what_a_caller_maps(wire: Wired, code: str, kind: type[TransferError]) -> None:
    """A missing bucket, missing rights, and all else with its cause; each names the bucket and the prefix."""
    wire.fault(f"c39-{code}", Status(operation="ListObjectsV2", code=code, attempt="every"))
    with pytest.raises(kind) as caught:
        wire.store.probe(f"c39-{code}")
    assert caught.value.subject == f"s3://bucket/c39-{code}"
    assert code in caught.value.cause


# Downloads


def test_c13_an_empty_object_is_not_fetched(wire: Wired, tmp_path: Path) -> None:
    """HEAD says that it is empty, and that is all that is asked."""
    stored(wire, "c13", b"")
    wire.store.get_to_file("c13", tmp_path / "file")
    assert [one.operation for one in wire.asked()] == ["HeadObject"]
    assert (tmp_path / "file").read_bytes() == b""


def test_c14_one_get_up_to_a_part_and_ranges_beyond(wire: Wired, tmp_path: Path) -> None:
    """A part at most is one GET; what is larger comes in ranges that tile it, no more at once than is allowed."""
    stored(wire, "c14-one", made(PART_BYTES))
    stored(wire, "c14-more", LARGE)
    wire.store.get_to_file("c14-one", tmp_path / "one")
    wire.store.get_to_file("c14-more", tmp_path / "more")
    assert len(wire.asked("GetObject", key="c14-one")) == 1
    ranges = sorted(one.range for one in wire.asked("GetObject", key="c14-more") if one.range)
    starts = range(0, len(LARGE), PART_BYTES)
    assert ranges == [(start, min(start + PART_BYTES, len(LARGE))) for start in starts]
    assert wire.server.max_in_flight_of("GetObject") <= IN_FLIGHT


@pytest.mark.parametrize("fault", [ShortRange(attempt="every"), LongRange(attempt="every")], ids=["short", "long"])
def test_c16_a_range_of_another_length_fails(wire: Wired, tmp_path: Path, fault: ShortRange | LongRange) -> None:
    """What is not exactly the range is not written, however consistent its headers are."""
    stored(wire, "c16", LARGE)
    key = f"c16-{type(fault).__name__}"
    stored(wire, key, LARGE)
    wire.fault(key, fault)
    with pytest.raises((IntegrityError, OtherError)):
        wire.store.get_to_file(key, tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_c17_every_get_is_conditional(wire: Wired, tmp_path: Path) -> None:
    """Each carries the ETag that HEAD told; one of an object without an ETag carries none."""
    etag = stored(wire, "c17", LARGE).etag
    stored(wire, "c17-no-etag", LARGE)
    wire.fault("c17-no-etag", Etag(operation=None, etag=None, attempt="every"))
    for key, condition in (("c17", f'"{etag}"'), ("c17-no-etag", None)):
        wire.store.get_to_file(key, tmp_path / key)
        gets = wire.asked("GetObject", key=key)
        assert len(gets) == LARGE_PARTS
        assert {one.headers.get("if-match") for one in gets} == {condition}
        assert (tmp_path / key).read_bytes() == LARGE


@pytest.mark.parametrize("new", [OTHER, OTHER[: 2 * PART_BYTES + 1], OTHER[:10], OTHER * 2, b""], ids=len)
def test_c18_an_object_that_is_replaced_is_fetched_anew(wire: Wired, tmp_path: Path, new: bytes) -> None:
    """After a 412 everything begins again with a fresh HEAD; the file is the new object, progress adds up to it."""
    key = f"c18-{len(new)}"
    stored(wire, key, LARGE)
    told = threading.Event()
    wire.fault(key, StallReceiving(operation="GetObject", nth=3, until=told))
    fault = wire.fault(key, ReplaceObject(replacement=new, nth=3))
    deltas = Deltas()

    def progress(delta_bytes: int) -> None:
        deltas(delta_bytes)
        if deltas.total_bytes >= 2 * PART_BYTES:  # the parts before it
            told.set()

    result = wire.store.get_to_file(key, tmp_path / "file", progress=progress)
    assert wire.server.fired(fault) == 1
    assert (tmp_path / "file").read_bytes() == new
    assert os.listdir(tmp_path) == ["file"]
    assert (result.size, result.etag) == (len(new), f'"{make_object(new).etag}"')
    assert len(wire.asked("HeadObject")) == 2
    assert deltas.total_bytes == len(new)
    assert len(new) < len(LARGE) or min(deltas.seen) > 0, "bytes were taken back that nobody lost"


def test_c18_an_object_that_is_replaced_twice_fails(wire: Wired, tmp_path: Path) -> None:
    """The second 412 is PreconditionFailed, named; the destination is untouched and there is no third cycle."""
    stored(wire, "c18-twice", LARGE)
    wire.fault("c18-twice", ReplaceAfter(operation="HeadObject", attempt="every"))
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(PreconditionFailed) as caught:
        wire.store.get_to_file("c18-twice", tmp_path / "file")
    assert caught.value.subject == "s3://bucket/c18-twice"
    assert len(wire.asked("HeadObject")) == 2
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_c18_no_other_failure_begins_anew(wire: Wired, tmp_path: Path) -> None:
    """An object that is deleted meanwhile is NotFound, after one HEAD."""
    stored(wire, "c18-gone", LARGE)
    wire.fault("c18-gone", ReplaceObject(replacement=None, nth=3))
    with pytest.raises(NotFound):
        wire.store.get_to_file("c18-gone", tmp_path / "file")
    assert len(wire.asked("HeadObject")) == 1
    assert os.listdir(tmp_path) == []


def test_c19_the_first_failure_fails_the_call(wire: Wired, tmp_path: Path) -> None:
    """A range that is refused is the error of the call; the others are let go and the temp file is removed."""
    stored(wire, "c19", LARGE * 8)
    wire.fault("c19", Latency(seconds=0.1))
    wire.fault("c19", Status(code="AccessDenied", start=PART_BYTES))
    with pytest.raises(AccessDenied) as caught:
        wire.store.get_to_file("c19", tmp_path / "file")
    assert caught.value.subject == "s3://bucket/c19"
    assert os.listdir(tmp_path) == []
    assert len(wire.asked("GetObject")) < 8 * LARGE_PARTS / 2, "most ranges were never asked for"
    later = len(wire.asked())
    assert wire.store.get_bytes_range("c19", 0, 5) == LARGE[:5]
    assert len(wire.asked()) == later + 1, "ranges were still asked for after the call had failed"


# Into memory


def test_c20_the_whole_object_is_one_unconditional_get(wire: Wired) -> None:
    """However large: no HEAD, no range, no condition."""
    stored(wire, "c20", LARGE)
    assert wire.store.get_bytes("c20") == LARGE
    (asked,) = wire.asked()
    assert (asked.operation, asked.range) == ("GetObject", None)
    assert not {"if-match", "if-none-match", "range"} & asked.headers.keys()


def test_c20_a_body_that_breaks_off_is_a_network_error(wire: Wired) -> None:
    """Once is asked again; every time is NetworkError with its cause, never a short body."""
    stored(wire, "c20-once", LARGE)
    wire.fault("c20-once", CutBody(after_bytes=1000))
    assert wire.store.get_bytes("c20-once") == LARGE
    stored(wire, "c20-every", LARGE)
    wire.fault("c20-every", CutBody(after_bytes=1000, attempt="every"))
    with pytest.raises(NetworkError) as caught:
        wire.store.get_bytes("c20-every")
    assert caught.value.cause


def test_c21_ranges_without_bytes_ask_nothing(wire: Wired) -> None:
    """Neither an empty range nor one that is none is a request."""
    stored(wire, "c21", LARGE)
    assert wire.store.get_bytes_range("c21", 7, 7) == b""
    for start, end in ((5, 4), (-1, 3)):
        with pytest.raises(RangeNotSatisfiable):
            wire.store.get_bytes_range("c21", start, end)
    assert wire.asked() == []


def test_c22_a_range_is_one_get(wire: Wired) -> None:
    """One GET of exactly this range, and no HEAD; a 416 is not asked twice and carries the caller's range."""
    stored(wire, "c22", LARGE)
    assert wire.store.get_bytes_range("c22", 10, 20) == LARGE[10:20]
    (asked,) = wire.asked()
    assert (asked.operation, asked.headers["range"]) == ("GetObject", "bytes=10-19")
    wire.forget()
    with pytest.raises(RangeNotSatisfiable) as caught:
        wire.store.get_bytes_range("c22", len(LARGE), len(LARGE) + 1)
    assert (caught.value.info.status, caught.value.subject) == (416, "s3://bucket/c22")
    assert len(wire.asked()) == 1


@pytest.mark.parametrize("fault", [ShortRange(attempt="every"), LongRange(attempt="every")], ids=["short", "long"])
def test_c23_another_length_is_never_a_success(wire: Wired, fault: ShortRange | LongRange) -> None:
    """A 206 that brings less or more than was asked is an error."""
    key = f"c23-{type(fault).__name__}"
    stored(wire, key, LARGE)
    wire.fault(key, fault)
    with pytest.raises((RangeNotSatisfiable, IntegrityError)) as caught:
        wire.store.get_bytes_range(key, 10, 20)
    assert caught.value.subject == f"s3://bucket/{key}"


# Deleting


def test_c36_a_delete_looks_first(wire: Wired) -> None:
    """HEAD, then DELETE; a missing object is not deleted."""
    stored(wire, "c36", b"x")
    wire.store.delete("c36")
    assert [one.operation for one in wire.asked()] == ["HeadObject", "DeleteObject"]
    wire.forget()
    with pytest.raises(NotFound):
        wire.store.delete("c36")
    assert [one.operation for one in wire.asked()] == ["HeadObject"]


def test_c36_an_object_that_vanishes_after_the_look_is_deleted(wire: Wired) -> None:
    """Somebody else was quicker: that is success."""
    stored(wire, "c36-race", b"x")
    fault = wire.fault("c36-race", ReplaceObject(operation="DeleteObject", replacement=None))
    wire.store.delete("c36-race")
    assert wire.server.fired(fault) == 1


# What failures are called


def refused(wire: Wired, operation: str, call: Callable[[str], object], code: str, status: int = 0) -> TransferError:
    """Return what a call raises when the service answers ``operation`` with this error, every time."""
    key = f"refused-{operation}-{code}-{status}"
    stored(wire, key, LARGE)
    wire.fault(key, Status(operation=operation, code=code, status=status, attempt="every"))
    with pytest.raises(TransferError) as caught:
        call(key)
    assert caught.value.subject == f"s3://bucket/{key}"
    return caught.value


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchKey", 404, NotFound),
        ("NoSuchUpload", 404, NotFound),
        ("NoSuchBucket", 404, NotFound),
        ("AccessDenied", 403, AccessDenied),
        ("SignatureDoesNotMatch", 403, AccessDenied),
        ("PreconditionFailed", 412, PreconditionFailed),
        ("ConditionalRequestConflict", 409, Conflict),
        ("OperationAborted", 409, Conflict),
        ("EntityTooLarge", 400, PayloadTooLarge),
        ("EntityTooLarge", 413, PayloadTooLarge),
        ("MalformedXML", 400, OtherError),
        ("InvalidArgument", 400, OtherError),
        ("InternalError", 500, OtherError),
    ],
)
def test_c57_each_refusal_of_a_put_has_its_type(wire: Wired, code: str, status: int, kind: type[TransferError]) -> None:
    """C50 to C54 and C57, through the store: the status decides, then the code; all else is OtherError."""
    error = refused(wire, "PutObject", lambda key: wire.store.put_bytes(key, b"x"), code, status)
    assert isinstance(error, kind)
    if kind is not OtherError:
        assert not isinstance(error, OtherError)
    assert (error.info.status, error.info.service_code) == (status, code)


def test_c52_a_412_without_a_condition_is_precondition_failed(wire: Wired) -> None:
    """It is not taken for an answer where nothing was asked."""
    error = refused(wire, "GetObject", wire.store.get_bytes, "PreconditionFailed", 412)
    assert isinstance(error, PreconditionFailed)


def test_c53_a_409_is_a_conflict(wire: Wired) -> None:
    """Kept apart from PreconditionFailed: another write was under way, and may fail."""
    error = refused(wire, "PutObject", lambda key: wire.store.put_bytes(key, b"x"), "ConditionalRequestConflict", 409)
    assert type(error) is Conflict


def test_c54_too_large_for_one_request_names_the_limit(wire: Wired) -> None:
    """The text states 5 GiB, in its largest exact unit."""
    error = refused(wire, "PutObject", lambda key: wire.store.put_bytes(key, b"x"), "EntityTooLarge", 400)
    assert "5 GiB" in error.message


def test_c55_a_416_is_told_with_the_callers_range(wire: Wired) -> None:
    """Whatever the service says of the range, the caller's own is in the text."""
    error = refused(wire, "GetObject", lambda key: wire.store.get_bytes_range(key, 3, 9), "InvalidRange", 416)
    assert isinstance(error, RangeNotSatisfiable)
    assert "[3, 9)" in error.message


def test_c57_a_redirect_is_an_other_error_and_is_not_followed_for_ever(wire: Wired) -> None:
    """A bucket that lives elsewhere is told after a few requests."""
    stored(wire, "c57-redirect", b"x")
    wire.fault("c57-redirect", Redirect(operation=None, status=301))
    for call in (wire.store.get_bytes, wire.store.head):
        with pytest.raises(EndpointRedirect) as caught:
            call("c57-redirect")
        assert isinstance(caught.value, OtherError)
    assert len(wire.asked()) < 10
