"""Decides what an archived object needs next: to be asked for, waited for, kept longer, or moved now.

    archived ─▶ REQUEST        restoring ─▶ WAIT        restored until T ─▶ MOVE, or EXTEND if T is too near
    readable ─▶ MOVE                                    T is past ─▶ archived again

Times are seconds since the epoch. Objects of INTELLIGENT_TIERING look readable in listings: that one lies in an archive
shows in a HEAD, or when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from bulkhaul.model.archives import ONGOING, Tier
from bulkhaul.model.objects import ObjectHead

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read as they are; those of GLACIER_IR can. Source: S3 User Guide,
"Understanding S3 Glacier storage classes"."""

FIRST_PAUSE_S = 60.0
"""Between the first questions whether something is there: an expedited retrieval takes 1 to 5 minutes."""

LONGEST_PAUSE_S = 900.0
"""Between later ones: a retrieval takes hours, and a copy stays for a day at least. 10⁶ objects are 1,000 requests."""

PAUSE_GROWTH = 1.5

MOST_VAIN = 8
"""Times in a row that a service which is away is asked later: 47 minutes in all. Who waits for hours outlasts that."""

TIERING = "INTELLIGENT_TIERING"
"""The storage class whose archives show in a HEAD only, and whose objects come back for good."""

MOST_ASKED = 2
"""Requests for one object at most: its copy may go once before it is moved, as when a run was stopped meanwhile."""

SAFETY_S = 3600.0
"""A copy that stays for less is asked for longer before it is moved: transfers may be queued, and take a while."""


class State(StrEnum):
    """Where an object is."""

    READABLE = "readable"
    ARCHIVED = "archived"
    RESTORING = "restoring"
    RESTORED = "restored"


class Next(StrEnum):
    """What is to be done with an object."""

    MOVE = "move"
    REQUEST = "request"
    WAIT = "wait"
    EXTEND = "extend"


class Archival(msgspec.Struct, frozen=True):
    """The state of one object. ``until_s``: when its restored copy goes, 0 for no copy."""

    state: State
    until_s: float = 0.0


def archival(head: ObjectHead, *, now_s: float) -> Archival:
    """Return the state of an object, as a listing that asked for it, or HEAD, tells it.

    Raises:
        ValueError: its ``restore`` is nothing that replies are read as.
    """
    if head.restore == ONGOING:
        return Archival(State.RESTORING)
    if head.storage_class not in ARCHIVES and not head.archive:
        return Archival(State.READABLE)
    until_s = _seconds(head.restore) if head.restore else 0.0
    return Archival(State.RESTORED, until_s) if until_s > now_s else Archival(State.ARCHIVED)


def next_of(found: Archival, *, now_s: float, safety_s: float = SAFETY_S) -> Next:
    """Return what an object needs.

    Args:
        safety_s: how long a copy must stay for it to be moved as it is.
    """
    if found.state is State.ARCHIVED:
        return Next.REQUEST
    if found.state is State.RESTORING:
        return Next.WAIT
    if found.state is State.RESTORED and found.until_s - now_s < safety_s:
        return Next.EXTEND
    return Next.MOVE


def in_moving_order(found: Iterable[tuple[Archival, int]]) -> list[int]:
    """Return the numbers of objects in the order in which they are best moved: the copy that goes first comes first.

    What needs no copy comes last, since it stays; objects that are alike keep their order.

    Args:
        found: state and number of objects that can be read.
    """
    # Sorting is stable. Nothing but a copy ends.
    return [number for _, number in sorted(found, key=lambda one: one[0].until_s or float("inf"))]


def pause_s(asked: int) -> float:
    """Return how long to wait before the status is asked for again, after it was asked for so often.

    >>> [round(pause_s(asked)) for asked in (0, 1, 2, 5, 6, 7, 10**9)]
    [60, 90, 135, 456, 683, 900, 900]
    """
    # Beyond that many the power would not fit into a float.
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * PAUSE_GROWTH ** min(asked, 64))


def looked_at_first(storage_class: str, *, told: bool) -> bool:
    """Whether an object is looked at before it is moved.

    >>> looked_at_first("GLACIER", told=True), looked_at_first("GLACIER_IR", told=True), looked_at_first("", told=False)
    (True, False, True)

    Args:
        told: a listing told what is known of it; else its class is not known.
    """
    return not told or storage_class in ARCHIVES


def tier_refused(storage_class: str, tier: Tier) -> str:
    """Return why objects of a class cannot be brought back so, empty if they can.

    Source: S3 User Guide, "Understanding archive retrieval options".
    """
    if storage_class == "DEEP_ARCHIVE" and tier is Tier.EXPEDITED:
        return "DEEP_ARCHIVE has no expedited retrievals; name another tier, STANDARD or BULK"
    return ""


def _seconds(text: str) -> float:
    """Return an instant in ISO 8601 as seconds since the epoch; services mean UTC where they tell no zone."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


__all__ = [
    "ARCHIVES",
    "FIRST_PAUSE_S",
    "LONGEST_PAUSE_S",
    "MOST_ASKED",
    "MOST_VAIN",
    "SAFETY_S",
    "TIERING",
    "Archival",
    "Next",
    "State",
    "archival",
    "in_moving_order",
    "looked_at_first",
    "next_of",
    "pause_s",
    "tier_refused",
]
