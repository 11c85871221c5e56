"""Defines the values of archived objects: how they are to be brought back, and what a request for that came to."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

ONGOING: Final = "ongoing"
"""What ``ObjectHead.restore`` says while an object is brought back; afterwards it is until when the copy stays."""

MAX_DAYS: Final = 2**31 - 1
"""Longest stay of a restored copy. Source: S3 API Reference, RestoreRequest: Days is an integer of 32 bits."""


class Tier(StrEnum):
    """How fast, and for how much money. Source: S3 User Guide, "Understanding archive retrieval options".

    ``EXPEDITED``: 1 to 5 minutes, not from DEEP_ARCHIVE. ``STANDARD``: 3 to 5 hours, from DEEP_ARCHIVE 12. ``BULK``: 5
    to 12 hours, from DEEP_ARCHIVE 48; the cheapest.
    """

    EXPEDITED = "EXPEDITED"
    STANDARD = "STANDARD"
    BULK = "BULK"


class RestoreAnswer(StrEnum):
    """What a request to restore an object came to.

    ``BEGUN``: the object is brought back now. ``UNDER_WAY``: it was being brought back already. ``EXTENDED``: it was
    there already, and stays for the new number of days.
    """

    BEGUN = "begun"
    UNDER_WAY = "under way"
    EXTENDED = "extended"


class RestoreOptions(msgspec.Struct, frozen=True):
    """How archived objects are brought back. ``days``: how long a restored copy stays at least."""

    tier: Tier = Tier.STANDARD
    days: int = 7


class RestoreCounts(msgspec.Struct):
    """What became of the archived objects of a run so far.

    Attributes:
        requested: those that the service was asked for, or that were being brought back already.
        waiting: those that are not there yet.
        ready: those that could be read, and were handed on to be moved.
        again: how often one could not be read after all, so that it was handed on twice.
    """

    requested: int = 0
    waiting: int = 0
    ready: int = 0
    again: int = 0
