"""Decides which ranges of an object are read for those that a caller wants: near ones together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.policy.storerules import asks_for_bytes, outside

Span = tuple[int, int]
"""``[start, end)``, in bytes."""

NEAR_BYTES = MIB
"""Ranges no farther apart are read together. Source: object_store (obstore), OBJECT_STORE_COALESCE_DEFAULT."""

MOST_BYTES = 16 * MIB
"""Read together at most, as the gaps are read too: many small ranges, each just near the next, would be all of it."""


def wanted_spans(ranges: Iterable[Span], subject: str) -> list[Span]:
    """Return the ranges of a caller, checked.

    Raises:
        UsageError: one is no pair of whole numbers.
        RangeNotSatisfiable: one ends before it starts, or starts before the object.
    """
    spans: list[Span] = []
    for one in ranges:
        if not isinstance(one, tuple | list) or len(one) != 2:
            raise UsageError(f"a range is a pair (start, end), not {one!r}", subject)
        asks_for_bytes(one[0], one[1], subject)
        spans.append((one[0], one[1]))
    return spans


def require_within(spans: Iterable[Span], size_bytes: int, subject: str) -> None:
    """Make sure that an object can fill the ranges; an empty one is nowhere.

    Raises:
        RangeNotSatisfiable: it cannot.
    """
    for start, end in spans:
        if start < end and end > size_bytes:
            raise outside(start, end, subject)


class Group(NamedTuple):
    """Ranges that are read together.

    Attributes:
        span: what is read.
        wanted: the ranges in it.
    """

    span: Span
    wanted: list[Span]


def grouped(spans: Iterable[Span], *, near_bytes: int = NEAR_BYTES, most_bytes: int = MOST_BYTES) -> list[Group]:
    """Return what is read for these ranges, in order; an empty range needs nothing.

    >>> grouped([(10, 12), (0, 4), (5, 8), (3, 3)], near_bytes=1)
    [Group(span=(0, 8), wanted=[(0, 4), (5, 8)]), Group(span=(10, 12), wanted=[(10, 12)])]
    """
    groups: list[Group] = []
    for start, end in sorted({span for span in spans if span[0] < span[1]}):
        if groups:
            (first, last), wanted = groups[-1]
            longer = start - last <= near_bytes and end - first <= most_bytes
            if end <= last or longer:
                wanted.append((start, end))
                groups[-1] = Group((first, max(last, end)), wanted)
                continue
        groups.append(Group((start, end), [(start, end)]))
    return groups


def to_the_end(start: int, size_bytes: int, subject: str) -> Span:
    """Return the range from ``start`` to the end of an object; at its end it is empty.

    Raises:
        RangeNotSatisfiable: it starts beyond the object.
    """
    if start > size_bytes:
        raise outside(start, size_bytes, subject)
    return start, size_bytes


def check_length(length: int, subject: str) -> None:
    """Make sure that so many bytes can be asked for.

    Raises:
        UsageError: it is no whole number, or a negative one.
    """
    if type(length) is not int or length < 0:
        raise UsageError(f"a length is a whole number of bytes, not {length!r}", subject)
