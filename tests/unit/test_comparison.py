"""Whether two sides of a key differ: every comparator in every direction, and that what is unknown is never equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import UsageError
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.model.rows import Action
from bulkhaul.policy.comparison import (
    Compare,
    Entry,
    Unknown,
    checksum_difference,
    etag_difference,
    kept_difference,
    listed_difference,
    parse_compare,
    plain_md5,
)

MS = 1_000_000
NOON_MS = 1_715_947_200_000  # 2024-05-17T12:00:00Z
MD5, OTHER_MD5 = "d41d8cd98f00b204e9800998ecf8427e", "0cc175b9c0f1b6a831c399e269772661"


def file(at_ms: int, size_bytes: int = 7) -> Entry:
    """Return a file that was modified so long after noon."""
    return Entry("k", size_bytes, mtime_ns=(NOON_MS + at_ms) * MS)


def stored(at_ms: int | None, size_bytes: int = 7, etag: str = "") -> Entry:
    """Return an object that was stored so long after noon; None where nobody tells when."""
    noon = datetime(2024, 5, 17, 12, tzinfo=UTC)
    at = None if at_ms is None else noon + timedelta(milliseconds=at_ms)
    return Entry("k", size_bytes, last_modified=at, etag=etag)


def differ(compare: str, action: Action, source: Entry, destination: Entry) -> bool:
    """Tell whether the listings of two sides differ."""
    return bool(listed_difference(parse_compare(compare), action)(source, destination))


DOWN, UP, COPY = Action.DOWNLOAD, Action.UPLOAD, Action.COPY


@pytest.mark.parametrize(
    ("compare", "action", "source", "destination", "expected"),
    [
        ("size,mtime", DOWN, stored(0), file(0), False),
        ("size,mtime", DOWN, stored(0), file(1000), True),  # changed here
        ("size,mtime", DOWN, stored(1000), file(0), True),  # changed there
        ("size,mtime", DOWN, stored(0), file(0, 8), True),
        ("size,mtime", DOWN, stored(None), file(0), True),
        ("size,mtime", DOWN, stored(123), file(123), False),
        ("size,mtime", DOWN, stored(123), file(124), True),
        ("size,mtime", DOWN, stored(123), file(0), False),  # the file system cut it to the second
        ("size,mtime", DOWN, stored(123), file(1000), True),
        ("size,mtime", UP, file(0), stored(5000), False),
        ("size,mtime", UP, file(5000), stored(0), True),
        ("size,mtime", UP, file(700), stored(0), False),  # told in whole seconds
        ("size,mtime", UP, file(1000), stored(0), True),
        ("size,mtime", UP, file(701), stored(700), True),
        ("size,mtime", UP, file(0), stored(None), True),
        ("size,mtime", UP, file(0, 8), stored(5000), True),
        ("size,mtime", COPY, stored(0), stored(9000), False),
        ("size,mtime", COPY, stored(9000), stored(0), True),
        ("size,mtime", COPY, stored(None), stored(0), True),
        ("size", DOWN, stored(0), file(9000), False),
        ("size", DOWN, stored(0, 8), file(0), True),
        ("size", UP, file(9000), stored(None), False),
        ("etag", COPY, stored(9000, etag=f'"{MD5}"'), stored(0, etag=MD5), False),
        ("etag", COPY, stored(0, etag=f'"{MD5}"'), stored(0, etag=f'"{OTHER_MD5}"'), True),
        ("etag", COPY, stored(0, etag=f'"{MD5}-2"'), stored(0, etag=f'"{MD5}-2"'), True),
        ("etag", COPY, stored(0), stored(0), True),
        ("etag", COPY, stored(0, 8, etag=MD5), stored(0, etag=MD5), True),
        ("etag,mtime", COPY, stored(9000, etag=MD5), stored(0, etag=MD5), True),
    ],
)
def test_listings(compare: str, action: Action, source: Entry, destination: Entry, expected: bool) -> None:
    """Sizes always, times by the direction and in the coarser unit, ETags if they are plain."""
    assert differ(compare, action, source, destination) is expected


@given(st.integers(-(10**7), 10**7), st.integers(-(10**7), 10**7))
def test_a_download_has_the_time_of_its_object(object_ms: int, file_ms: int) -> None:
    """A file is as its object only with the same second; with the same time it always is."""
    equal = not differ("mtime", DOWN, stored(object_ms), file(file_ms))
    assert equal or object_ms != file_ms
    assert not equal or object_ms // 1000 == file_ms // 1000


@pytest.mark.parametrize(
    ("kept_ns", "file_ns", "equal"),
    [
        (123_456_789, 123_456_789, True),
        (123_456_789, 123_456_700, True),  # the file system keeps less: 100 ns
        (123_456_789, 123_456_000, True),
        (123_456_789, 123_000_000, True),
        (123_456_789, 120_000_000, True),  # exFAT: 10 ms
        (123_456_789, 0, True),
        (1_123_456_789, 0, False),  # FAT's 2 s are no unit: another second is another time
        (3_000_000_000, 2_000_000_000, False),
        (2_123_456_789, 0, False),
        (123_456_789, 100_000_000, False),
        (-876_543_211, -1_000_000_000, True),
        (123_456_789, 123_456_788, False),
        (123_456_789, 123_999_999, False),
        (123_456_789, 124_000_000, False),
        (123_456_789, 1_000_000_000, False),
        (0, 789_000_000, False),  # the object keeps less than the file tells
        (456, 999_000_000, False),
        (123_000_000, 123_456_789, False),
        (123_456_000, 123_456_789, False),
    ],
)
def test_kept_times(kept_ns: int, file_ns: int, equal: bool) -> None:
    """A file has the kept time if it has the very one, or that cut by its file system; never one that tells more."""
    assert (kept_difference(NOON_MS * MS + kept_ns, NOON_MS * MS + file_ns, "they differ") == "") is equal


@pytest.mark.parametrize("action", [DOWN, UP, COPY])
def test_the_reason_is_told(action: Action) -> None:
    """What differs is said with both numbers, so that people need not look them up."""
    reason = listed_difference(Compare(), action)(Entry("k", 5), Entry("k", 6))
    assert "5" in reason
    assert "6" in reason


@pytest.mark.parametrize("text", ["", "size,", "sizes", "md5", "size;mtime"])
def test_no_such_comparator(text: str) -> None:
    """A word that is none is refused, and the message names those that are."""
    with pytest.raises(UsageError, match="size, mtime, etag, checksum"):
        parse_compare(text)


def crc(value: str, algorithm: str = "CRC32", kind: ChecksumKind = ChecksumKind.FULL_OBJECT) -> Checksum:
    """Return a stored checksum."""
    return Checksum(algorithm, value, kind)


PARTS, UNTOLD = ChecksumKind.COMPOSITE, ChecksumKind.UNKNOWN


@pytest.mark.parametrize(
    ("source", "destination", "equal"),
    [
        (crc("AAAA"), crc("AAAA"), True),
        (crc("AAAA"), crc("AAAB"), False),
        (crc("AAAA"), crc("AAAA", "CRC32C"), False),
        (crc("AAAA"), crc("AAAA", kind=PARTS), False),
        (crc("AAAA-2", kind=PARTS), crc("AAAA-2", kind=PARTS), True),
        (crc("AAAA-2", kind=PARTS), crc("AAAA-3", kind=PARTS), False),
        (crc("AAAA", kind=UNTOLD), crc("AAAB", kind=UNTOLD), False),
        (None, crc("AAAA"), False),
        (crc("AAAA"), None, False),
        (None, None, False),
    ],
)
def test_checksums(source: Checksum | None, destination: Checksum | None, equal: bool) -> None:
    """Only checksums of one algorithm and kind can be equal; what cannot be decided is different, and says so."""
    reason = checksum_difference(source, destination)
    assert (reason == "") is equal


@pytest.mark.parametrize("etag", ["", '"', f'"{MD5}-1"', f'W/"{MD5}"', MD5.upper(), MD5 + "0", f"{MD5}\n"])
def test_no_plain_etag(etag: str) -> None:
    """Only an ETag that is the MD5 of the bytes tells anything."""
    assert plain_md5(etag) == ""
    assert etag_difference(etag, etag) != ""


def test_what_lies_below_the_unknown() -> None:
    """A name that may be a folder hides all that begins with it and a slash."""
    assert Unknown("a", "").below == Unknown("a/", "").below == "a/"
