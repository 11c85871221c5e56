"""What a call to a store may ask for: keys, metadata, ranges, lifetimes and sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.errors import OtherError, PayloadTooLarge, RangeNotSatisfiable, TransferError, UsageError
from bulkhaul.model.limits import S3Limits
from bulkhaul.model.objects import Content
from bulkhaul.policy.storerules import (
    RESERVED_METADATA_BYTES,
    asks_for_bytes,
    check_key,
    check_object_size,
    check_ttl,
    content_of,
    exact_size,
    flat,
    outside,
)


@pytest.mark.parametrize("key", ["a", "/", "a//b", "../x", "a/", "ü" * 512, "k" * 1024, "%2F?#\n"])
def test_any_key_of_up_to_1024_bytes_is_taken(key: str) -> None:
    """C1: keys are not judged, only measured: nothing is said against any that S3 takes."""
    check_key(key)
    assert len(key.encode()) <= 1024


@pytest.mark.parametrize("key", ["", "k" * 1025, "ü" * 513, "\ud800"])
def test_what_names_no_object_is_refused(key: str) -> None:
    """An empty key would address the bucket; too long a one, or one outside Unicode, nothing at all."""
    with pytest.raises(UsageError, match="key"):
        check_key(key)


def test_metadata_names_become_lower_case() -> None:
    """C5: as S3 keeps them; values and their order stay, and the disposition goes beside them."""
    content = content_of('attachment; filename="a b"', {"Owner": "Ann, B", "x-Count": "1"})
    assert content == Content(
        content_disposition='attachment; filename="a b"', metadata={"owner": "Ann, B", "x-count": "1"}
    )
    assert list(content.metadata) == ["owner", "x-count"]
    assert content_of() == Content()


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": "x\r\nx-amz-acl: public-read"},
        {"a": "x\ny"},
        {"a": "x\ry"},
        {"a": "nul\0"},
        {"a": "\x7f"},
        {"a": "ü"},
        {"a": " x"},
        {"a": "x\t"},
        {"ü": "a"},
        {"": "a"},
        {"a b": "a"},
        {"a:b": "a"},
        {"a\r\nb": "a"},
        {"A": "1", "a": "2"},
        {"Bulkhaul-Token": "1"},
    ],
    ids=repr,
)
def test_metadata_that_would_not_arrive_unchanged_is_refused(metadata: dict[str, str]) -> None:
    """C5: no line break reaches a header, and nothing is silently cut, merged or re-encoded."""
    with pytest.raises(UsageError, match="metadata"):
        content_of(metadata=metadata)


@pytest.mark.parametrize("disposition", ["a\r\nb", "attachment; filename=ü", "inline "])
def test_a_disposition_obeys_the_rules_of_a_header(disposition: str) -> None:
    """C4: a disposition is a header like any other."""
    with pytest.raises(UsageError, match="content_disposition"):
        content_of(disposition)


@pytest.mark.parametrize(
    "metadata", [{"k": "v" * 2047}, {"k" * 1024: "v" * 1024}, {"a" * 10: "b" * 1014, "c": "d" * 1023}]
)
def test_2048_bytes_of_metadata_are_allowed_and_no_more(metadata: dict[str, str]) -> None:
    """C5: the sum over every name and value, without the prefix of the headers, is at most 2 KB."""
    assert sum(len(name) + len(value) for name, value in content_of(metadata=metadata).metadata.items()) == 2048
    with pytest.raises(UsageError, match="2049 bytes"):
        content_of(metadata=metadata | {"z": ""})
    with pytest.raises(UsageError, match="2050 bytes"):
        content_of(metadata=metadata, reserved_bytes=2)


def test_the_reserve_holds_a_token() -> None:
    """C28: the token is 16 bytes in hexadecimal, under its name."""
    assert len("bulkhaul-token" + "0123456789abcdef" * 2) == RESERVED_METADATA_BYTES


@pytest.mark.parametrize(
    "body",
    [b"", b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4], memoryview(b"abcd").cast("H")],
    ids=["empty", "bytes", "bytearray", "slice", "numbers"],
)
def test_a_body_is_a_view_of_its_bytes(body: bytes | bytearray | memoryview) -> None:
    """C24: whatever the buffer's items are, its length is in bytes."""
    view = flat(body)
    assert (view.itemsize, len(view), bytes(view)) == (1, len(bytes(body)), bytes(body))


def test_a_scattered_body_is_refused() -> None:
    """C24: a slice with a step is no run of bytes that could be sent as it is."""
    with pytest.raises(UsageError, match="one after another"):
        flat(memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("ttl_s", [1, 60, 604800])
def test_a_url_may_live_up_to_a_week(ttl_s: int) -> None:
    """C37: both ends of 1..604800 are included."""
    check_ttl(ttl_s)
    assert 1 <= ttl_s <= 7 * 86400


@pytest.mark.parametrize("ttl_s", [0, -5, 604801, 1.5, True, "60", None])
def test_any_other_lifetime_is_an_other_error(ttl_s: int) -> None:
    """C37: not even a number that could be rounded, since the caller would get another lifetime than asked for."""
    with pytest.raises(OtherError, match="1 to 604800") as caught:
        check_ttl(ttl_s)
    assert type(caught.value) is OtherError


@given(st.integers(-3, 8), st.integers(-3, 8))
def test_a_range_asks_for_bytes_if_it_has_any(start: int, end: int) -> None:
    """C21: empty asks nothing; backwards, or from before the object, is RangeNotSatisfiable with the caller's range."""
    if 0 <= start <= end:
        assert asks_for_bytes(start, end) == (start != end)
    else:
        with pytest.raises(RangeNotSatisfiable) as caught:
            asks_for_bytes(start, end, "s3://b/k")
        assert f"[{start}, {end})" in str(caught.value)
        assert caught.value.subject == "s3://b/k"


def test_an_unfilled_range_is_named() -> None:
    """C22: the error carries the range that the caller gave, and the object."""
    error: TransferError = outside(5, 9, "s3://b/k")
    assert (type(error), error.subject) == (RangeNotSatisfiable, "s3://b/k")
    assert "[5, 9)" in error.message


def test_an_object_may_have_5_tib_and_no_byte_more() -> None:
    """C42, C54: the limit itself is allowed; above it the text names it in its largest exact unit."""
    check_object_size(5 * 1024**4)
    with pytest.raises(PayloadTooLarge, match="5497558138881 bytes, more than the 5 TiB"):
        check_object_size(5 * 1024**4 + 1)
    check_object_size(5 * 1024**4 + 1, limits=S3Limits(max_object_bytes=48 * 1024**4))
    with pytest.raises(PayloadTooLarge, match="than the 1 KiB") as caught:
        check_object_size(1025, "s3://b/k", limits=S3Limits(max_object_bytes=1024))
    assert caught.value.subject == "s3://b/k"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (5 * 1024**3, "5 GiB"),
        (1024**3 + 1024**2, "1025 MiB"),
        (1024, "1 KiB"),
        (1023, "1023 B"),
        (2 * 1024**4, "2 TiB"),
    ],
)
def test_a_size_is_told_in_its_largest_exact_unit(size_bytes: int, text: str) -> None:
    """C54: never rounded."""
    assert exact_size(size_bytes) == text
