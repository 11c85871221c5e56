"""The messages by which log records of workers reach the coordinator, where Python's ``logging`` takes them.

coordinator ─▶ worker   TellRequests
worker ─▶ coordinator   Told, at most a few a second, with as many lines as fit
"""

from __future__ import annotations

import msgspec

MOST_LINES = 100
"""Lines of one Told: at up to 1000 bytes each they fit a frame."""


class TellRequests(msgspec.Struct, tag=True, frozen=True):
    """Tell of each request from now on, or not any more."""

    on: bool


class Told(msgspec.Struct, tag=True, frozen=True):
    """What requests a worker has made since its last Told.

    Attributes:
        lines: (Unix time, text).
        dropped: requests that no line tells of, as there were too many.
    """

    lines: list[tuple[float, str]] = []
    dropped: int = 0
