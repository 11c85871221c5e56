"""Which replies to a GET may be written to a file, and what the others are called."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.policy.sameness import same_etag
from bulkhaul.wire.reply import check_get, failed_get, stored_checksum
from bulkhaul.wire.values import GetRequest, Target

TARGET = Target("https", "h", 443, "/b/", "us-east-1", fast=True)
RANGE = GetRequest(TARGET, "b", "k", '"e1"', start=100, end=200, size_bytes=1000, whole=False)
WHOLE = GetRequest(TARGET, "b", "k", '"e1"', start=0, end=1000, size_bytes=1000, whole=True)

GOOD_RANGE = {"content-range": "bytes 100-199/1000", "content-length": "100", "etag": '"e1"'}
GOOD_WHOLE = {"content-length": "1000", "etag": '"e1"'}


def verdict(request: GetRequest, status: int, headers: dict[str, str | None]) -> str:
    """Return the error's name, empty if the body may be written; a header of None is left out."""
    present = {name: value for name, value in headers.items() if value is not None}
    info = check_get(request, status, present)
    return info.code if info else ""


def test_the_right_replies_pass() -> None:
    """206 with exactly the range, the total, the length and the ETag; 200 with the whole object."""
    assert verdict(RANGE, 206, {**GOOD_RANGE}) == ""
    assert verdict(WHOLE, 200, {**GOOD_WHOLE}) == ""


def test_a_chunked_reply_without_a_length_passes_to_be_counted() -> None:
    """Only Content-Length may be missing: the caller then counts the bytes itself."""
    assert verdict(RANGE, 206, {**GOOD_RANGE, "content-length": None}) == ""


@pytest.mark.parametrize(
    ("name", "status", "change", "expected"),
    [
        ("200 with the whole object", 200, {"content-range": None, "content-length": "1000"}, "RangeIgnored"),
        ("200 although the range fits", 200, {}, "RangeIgnored"),
        ("204", 204, {}, "RangeIgnored"),
        ("200 and error XML", 200, {"content-type": "application/xml", "content-length": "237"}, "UnexpectedReply"),
        ("200 and chunked error XML", 200, {"content-type": "text/xml", "content-length": None}, "UnexpectedReply"),
        ("no Content-Range", 206, {"content-range": None}, "RangeIgnored"),
        ("shorter", 206, {"content-range": "bytes 100-198/1000", "content-length": "99"}, "UnexpectedReply"),
        ("longer", 206, {"content-range": "bytes 100-200/1000", "content-length": "101"}, "UnexpectedReply"),
        ("shifted", 206, {"content-range": "bytes 101-200/1000"}, "UnexpectedReply"),
        ("another total", 206, {"content-range": "bytes 100-199/1001"}, "UnexpectedReply"),
        ("unknown total", 206, {"content-range": "bytes 100-199/*"}, "UnexpectedReply"),
        ("unsatisfied", 206, {"content-range": "bytes */1000"}, "UnexpectedReply"),
        ("another unit", 206, {"content-range": "lines 100-199/1000"}, "UnexpectedReply"),
        ("two ranges", 206, {"content-range": "bytes 100-199/1000, bytes 0-1/1000"}, "UnexpectedReply"),
        ("multipart", 206, {"content-range": None, "content-type": "multipart/byteranges"}, "RangeIgnored"),
        ("empty Content-Range", 206, {"content-range": ""}, "UnexpectedReply"),
        ("length too short", 206, {"content-length": "99"}, "UnexpectedReply"),
        ("length too long", 206, {"content-length": "101"}, "UnexpectedReply"),
        ("length of nothing", 206, {"content-length": "0"}, "UnexpectedReply"),
        ("another ETag", 206, {"etag": '"e2"'}, "ObjectChanged"),
        ("weak ETag", 206, {"etag": 'W/"e1"'}, "ObjectChanged"),
        ("no ETag", 206, {"etag": None}, "ObjectChanged"),
        ("empty ETag", 206, {"etag": ""}, "ObjectChanged"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_ranged_get_believes_nothing_else(
    name: str, status: int, change: dict[str, str | None], expected: str
) -> None:
    """Status, range, total, length and ETag are each compared; whatever differs is an error (I2)."""
    assert verdict(RANGE, status, {**GOOD_RANGE, **change}) == expected, name


@pytest.mark.parametrize(
    ("status", "change", "expected"),
    [
        (206, {"content-range": "bytes 0-999/1000"}, "UnexpectedReply"),
        (203, {}, "UnexpectedReply"),
        (204, {}, "UnexpectedReply"),
        (200, {"content-length": "999"}, "UnexpectedReply"),
        (200, {"content-length": "1001"}, "UnexpectedReply"),
        (200, {"content-length": "237", "content-type": "application/xml", "etag": None}, "UnexpectedReply"),
        (200, {"etag": '"e2"'}, "ObjectChanged"),
        (200, {"etag": None}, "ObjectChanged"),
    ],
)
def test_a_get_of_the_whole_object_believes_nothing_else(
    status: int, change: dict[str, str | None], expected: str
) -> None:
    """Only 200 with the object's exact length and ETag is written."""
    assert verdict(WHOLE, status, {**GOOD_WHOLE, **change}) == expected


def test_an_object_without_an_etag_is_fetched_without_one() -> None:
    """Where the endpoint never told an ETag, none is required, and one that appears does no harm."""
    request = msgspec.structs.replace(RANGE, etag="")
    assert verdict(request, 206, {**GOOD_RANGE, "etag": None}) == ""
    assert verdict(request, 206, {**GOOD_RANGE}) == ""


def test_a_changed_object_is_told_before_its_length_is_blamed() -> None:
    """An object replaced by one of another size is ObjectChanged, which restarts, not a wrong reply."""
    changed = {"content-range": "bytes 100-199/1001", "content-length": "100", "etag": '"e2"'}
    assert verdict(RANGE, 206, {**changed}) == "ObjectChanged"
    assert verdict(WHOLE, 200, {"content-length": "900", "etag": '"e2"'}) == "ObjectChanged"


@given(st.integers(0, 10**13), st.integers(1, 10**10), st.integers(0, 10**13))
def test_exactly_the_range_that_was_asked_for_passes(start: int, length: int, rest: int) -> None:
    """RFC 9110 §14.4: the header's end is inclusive; one byte off in any number is refused."""
    size = start + length + rest
    request = msgspec.structs.replace(RANGE, start=start, end=start + length, size_bytes=size)

    def told(first: int, last: int, total: int) -> str:
        headers = {"content-range": f"bytes {first}-{last}/{total}", "content-length": str(length), "etag": '"e1"'}
        return verdict(request, 206, {**headers})

    last = start + length - 1
    assert told(start, last, size) == ""
    for wrong in ((start + 1, last, size), (start, last + 1, size), (start, last - 1, size), (start, last, size + 1)):
        assert told(*wrong) == "UnexpectedReply"


@given(st.text(max_size=60))
@example("bytes 1-2/" + "9" * 5000)
@example("bytes " + "9" * 5000 + "-2/3")
def test_no_content_range_breaks_the_check(text: str) -> None:
    """Whatever the header says, the answer is a verdict, never an exception."""
    assert verdict(RANGE, 206, {**GOOD_RANGE, "content-range": text}) == "UnexpectedReply"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('"a"', '"a"', True),
        ('"a"', "a", True),
        ('"a"', '"b"', False),
        ('"a"', 'W/"a"', False),
        ('"A"', '"a"', False),
        ('"a-2"', '"a"', False),
    ],
)
def test_etags_are_opaque(one: str, other: str, same: bool) -> None:
    """Compared character by character; only missing quotes are forgiven."""
    assert same_etag(one, other) is same is same_etag(other, one)


# Failures


def document(code: str) -> bytes:
    """Return an S3 error document."""
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>why &amp; how</Message></Error>'
    return xml.encode()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (412, "PreconditionFailed", "ObjectChanged"),
        (412, "", "ObjectChanged"),
        (404, "NoSuchKey", "NotFound"),
        (416, "InvalidRange", "RangeNotSatisfiable"),
        (503, "SlowDown", "Throttled"),
        (400, "ExpiredToken", "ExpiredCredentials"),
        (500, "InternalError", "ServerError"),
        (304, "", "OtherError"),
    ],
)
def test_a_failed_get_has_the_error_of_its_document(status: int, code: str, expected: str) -> None:
    """412 means that the object is another one now (C18); all else is as everywhere."""
    headers = {"x-amz-request-id": "r", "x-amz-id-2": "h"}
    info = failed_get(RANGE, status, headers, document(code) if code else b"")
    assert (info.code, info.status, info.service_code) == (expected, status, code)
    assert (info.request_id, info.host_id) == ("r", "h")


# Stored checksums


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-amz-checksum-crc32": ""}, None),
        ({"x-amz-checksum-type": "FULL_OBJECT"}, None),
        ({"x-amz-checksum-crc32": "y/Q5Jg=="}, Checksum("CRC32", "y/Q5Jg==")),
        ({"x-amz-checksum-crc32c": "4waSgw==", "x-amz-checksum-type": "FULL_OBJECT"}, Checksum("CRC32C", "4waSgw==")),
        ({"x-amz-checksum-crc64nvme": "rosUhgp5mIg="}, Checksum("CRC64NVME", "rosUhgp5mIg=")),
        ({"x-amz-checksum-sha1": "x"}, Checksum("SHA1", "x")),
        ({"x-amz-checksum-sha256": "x"}, Checksum("SHA256", "x")),
        (
            {"x-amz-checksum-sha256": "x", "x-amz-checksum-type": "COMPOSITE"},
            Checksum("SHA256", "x", ChecksumKind.COMPOSITE),
        ),
        ({"x-amz-checksum-crc32": "DUoRhQ==-3"}, Checksum("CRC32", "DUoRhQ==-3", ChecksumKind.COMPOSITE)),
        (
            {"x-amz-checksum-crc32": "DUoRhQ==", "etag": '"e-3"'},
            Checksum("CRC32", "DUoRhQ==", ChecksumKind.UNKNOWN),
        ),
        ({"x-amz-checksum-crc32": "DUoRhQ==", "etag": "e-3"}, Checksum("CRC32", "DUoRhQ==", ChecksumKind.UNKNOWN)),
        ({"x-amz-checksum-crc32": "x", "x-amz-checksum-type": "?"}, Checksum("CRC32", "x", ChecksumKind.UNKNOWN)),
        ({"x-amz-checksum-crc64nvme": "x", "etag": '"e-3"'}, Checksum("CRC64NVME", "x")),
        ({"x-amz-checksum-crc32": "x", "x-amz-checksum-type": "FULL_OBJECT", "etag": '"e-3"'}, Checksum("CRC32", "x")),
        ({"x-amz-checksum-sha256": "x", "x-amz-checksum-crc32": "y"}, Checksum("CRC32", "y")),
        ({"x-amz-checksum-sha1": "x", "x-amz-checksum-crc64nvme": "y"}, Checksum("CRC64NVME", "y")),
        ({"x-amz-checksum-xxhash3": "x"}, Checksum("XXHASH3", "x")),
        ({"x-amz-checksum-mode": "ENABLED", "x-amz-sdk-checksum-algorithm": "CRC32"}, None),
        ({"x-amz-meta-checksum-crc32": "y"}, None),
    ],
)
def test_the_stored_checksum_is_read_from_the_headers(headers: dict[str, str], expected: Checksum | None) -> None:
    """Algorithm, value and kind; a "-N" suffix marks a composite one where the type header is missing."""
    assert stored_checksum(headers) == expected
