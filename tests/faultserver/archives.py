"""Archived objects: which were asked for, when each is there, and when its copy goes; by a clock that tests move.

Job: the state of each restore. Must not know requests, but for the document of RestoreObject.

    archives.advance(5 * HOUR_S)         # what was asked for by STANDARD is there
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bulkhaul.testing.faultserver.replies import S3Error, element

from .objects import StoredObject

HOUR_S = 3600
DAY_S = 24 * HOUR_S
#: Storage classes that have to be restored. Source: S3 User Guide, "Understanding S3 Glacier storage classes".
_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
#: Header of an object of INTELLIGENT_TIERING that has to be. Source: S3 API Reference, HeadObject.
_ARCHIVE_STATUS = "x-amz-archive-status"
#: The longest of each. Source: S3 User Guide, "Understanding archive retrieval options".
_SECONDS: Mapping[str, int] = {"Expedited": 300, "Standard": 5 * HOUR_S, "Bulk": 12 * HOUR_S}
_SECONDS_DEEP: Mapping[str, int] = {"Standard": 12 * HOUR_S, "Bulk": 48 * HOUR_S}


@dataclass(slots=True)
class _Restore:
    stored: StoredObject
    ready: datetime
    until: datetime | None


class Archives:
    """The restores of a store. Every method is one step, so any thread may call it."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._restores: dict[tuple[str, str], _Restore] = {}

    def advance(self, seconds: float) -> None:
        """Move the clock of the archives ahead."""
        self._ahead += timedelta(seconds=seconds)

    @property
    def now_s(self) -> float:
        """What that clock shows, in seconds since the epoch."""
        return self._now.timestamp()

    @property
    def _now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC) + self._ahead

    def ask(self, name: tuple[str, str], stored: StoredObject, days: int, tier: str) -> int:
        """Begin a restore, or let a copy stay longer, and return the status that says which.

        Raises:
            S3Error: the object is in no archive, or is being restored, or its archive has no such tier.
        """
        if not _is_archived(stored):
            raise S3Error("InvalidObjectState", "Restore is not allowed for the object's current storage class")
        found = self._of(name, stored)
        if found is not None and found.ready > self._now:
            raise S3Error("RestoreAlreadyInProgress", "Object restore is already in progress")
        seconds = _SECONDS_DEEP if stored.storage_class == "DEEP_ARCHIVE" else _SECONDS
        if tier not in seconds or bool(days) == (_ARCHIVE_STATUS in stored.headers):
            raise S3Error("MalformedXML", "Retrieval option is not supported by this storage class")
        there = found is not None
        ready = self._now if there else self._now + timedelta(seconds=seconds[tier])
        self._restores[name] = _Restore(stored, ready, _midnight_after(ready + timedelta(days=days)) if days else None)
        return 200 if there else 202

    def is_readable(self, name: tuple[str, str], stored: StoredObject) -> bool:
        """Tell whether the bytes of an object can be read now."""
        found = self._of(name, stored)
        return not _is_archived(stored) or (found is not None and found.ready <= self._now)

    def headers(self, name: tuple[str, str], stored: StoredObject) -> dict[str, str]:
        """Return what HEAD tells of a restore, names in lower case; one without a text hides what was stored."""
        found = self._of(name, stored)
        if found is None:
            return {}
        if found.ready > self._now:
            return {"x-amz-restore": 'ongoing-request="true"'}
        if found.until is None:
            return {_ARCHIVE_STATUS: ""}
        return {"x-amz-restore": f'ongoing-request="false", expiry-date="{found.until:%a, %d %b %Y %H:%M:%S GMT}"'}

    def listed(self, name: tuple[str, str], stored: StoredObject) -> str:
        """Return what a listing tells of a restore that is asked for it, as XML; empty if there is none."""
        found = self._of(name, stored)
        if found is None:
            return ""
        fields = [element("IsRestoreInProgress", found.ready > self._now)]
        if found.ready <= self._now and found.until is not None:
            fields.append(element("RestoreExpiryDate", f"{found.until:%Y-%m-%dT%H:%M:%S.000Z}"))
        return element("RestoreStatus", *fields)

    def _of(self, name: tuple[str, str], stored: StoredObject) -> _Restore | None:
        """Return the restore of this very object, if it is under way or its copy is still there."""
        found = self._restores.get(name)
        gone = found is None or found.stored is not stored or (found.until is not None and found.until <= self._now)
        return None if gone else found


def _is_archived(stored: StoredObject) -> bool:
    return stored.storage_class in _CLASSES or _ARCHIVE_STATUS in stored.headers


def _midnight_after(instant: datetime) -> datetime:
    """Round up to the next midnight UTC. Source: S3 User Guide, "Restoring an archived object"."""
    return (instant + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
