"""Numbers and texts of replies: taken for what they are, or refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import OtherError, UnexpectedReply
from bulkhaul.wire import told

NO_NUMBERS = [
    "",
    "-5",
    "-0",
    "+1",
    "1_0",
    "0x1",
    " 1",
    "1 ",
    "1.0",
    "1e3",
    "nan",
    "inf",
    "\u0661",
    "\u00b2",
    "1, 1",
    "9" * 20,
]


@pytest.mark.parametrize("value", [*NO_NUMBERS, None, -1, 2**63, 1.0, True, b"1"], ids=repr)
def test_what_is_no_number_is_refused(value: object) -> None:
    """Only ASCII digits, from 0 to what a signed 64-bit number holds; nothing is clamped, rounded or guessed."""
    with pytest.raises(UnexpectedReply, match="Size"):
        told.number(value, "Size", "s3://b/k")


@given(st.integers(0, 2**63 - 1))
def test_numbers_are_what_they_say(value: int) -> None:
    """Every length that there can be is taken exactly."""
    assert told.number(str(value), "Size") == told.number(value, "Size") == value


def test_a_number_has_a_bound() -> None:
    """A part number beyond all bounds would be memory to fill."""
    assert told.number("100000", "PartNumber", most=told.MAX_PART_NUMBER) == 100_000
    with pytest.raises(UnexpectedReply):
        told.number("100001", "PartNumber", most=told.MAX_PART_NUMBER)


@pytest.mark.parametrize(
    "value", ['"d41d8"', 'W/"d41d8"', "d41d8-2", '"a b"', '"\xfc"', '"' + "x" * 512 + '"'], ids=lambda text: text[:9]
)
def test_etags_are_kept_as_they_are(value: str) -> None:
    """Opaque, with or without quotes, weak or strong."""
    assert told.etag(value) == value
    assert told.etags(['"a"', value, "b"]) == ['"a"', value, "b"]


@pytest.mark.parametrize("value", [None, "", '""'])
def test_an_empty_etag_is_none(value: str | None) -> None:
    """A pair of quotes says as little as no header at all."""
    assert told.etag(value) == ""
    if value is not None:
        assert told.etags(['"a"', value]) == ['"a"', ""]


@pytest.mark.parametrize(
    "value",
    ['"a", "b"', 'a"b', '"a', '"a\n"', "a\nb", '"a"\n', '"\u20ac"', "a b", "x" * 513, '"' + "x" * 513 + '"', 5],
    ids=repr,
)
def test_what_is_no_etag_is_refused(value: object) -> None:
    """Two of them, a torn one, control characters, or one that would fill a frame between processes."""
    with pytest.raises(UnexpectedReply, match="ETag"):
        told.etag(value)
    if isinstance(value, str):
        with pytest.raises(UnexpectedReply, match="ETag"):
            told.etags(['"a"', value, '"b"'])


def test_keys_begin_with_what_was_asked_for() -> None:
    """A listing that brings other keys is refused: on its word objects are deleted."""
    assert told.key("a//b", "a//") == "a//b"
    with pytest.raises(UnexpectedReply, match="does not begin with"):
        told.key("a/b", "a//")
    with pytest.raises(OtherError, match="without a key"):
        told.key("", "")
    with pytest.raises(UnexpectedReply):
        told.key("x" * 4097, "")


@pytest.mark.parametrize("value", ["x" * 11, "a\x00", "a\x1b[2J", "a\x85", "\ud800", 7], ids=repr)
def test_texts_have_a_bound_and_no_control_characters(value: object) -> None:
    """An id that is longer than any, or that would do things to a terminal, is none."""
    with pytest.raises(UnexpectedReply):
        told.text(value, "VersionId", most=10)


@pytest.mark.parametrize("value", ["x" * 16384, "a\nb", "a\x85b", "\x01"], ids=lambda text: repr(text[:9]))
def test_a_listing_may_go_on_after_any_key(value: str) -> None:
    """Many services name the last key as where it goes on, and a key may hold any character."""
    assert told.marker(value, "NextMarker") == value


@pytest.mark.parametrize("value", ["x" * 16385, "\ud800", 7], ids=lambda value: repr(value)[:9])
def test_what_is_no_marker_is_refused(value: object) -> None:
    """What would fill a frame between processes, or cannot be sent back."""
    with pytest.raises(UnexpectedReply, match="NextMarker"):
        told.marker(value, "NextMarker")


def test_headers_and_metadata_have_a_bound_together() -> None:
    """What no object has is refused before it is copied between processes."""
    told.bounded(["x" * 1000], {"a": "b" * 2000})
    with pytest.raises(UnexpectedReply, match="headers and metadata"):
        told.bounded(["x"] * 10, {str(number): "b" * 1000 for number in range(60)})
