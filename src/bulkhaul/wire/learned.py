"""Remembers which optional features of requests an endpoint has refused, so that they are left out from then on.

    a request with the feature is refused ─▶ the same without it works ─▶ left out, for this host

Nothing is probed, so a service that takes everything sees no extra request. Each worker learns for itself.
"""

from __future__ import annotations

from typing import Final

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.endpoints import is_within, profile_for

CHECKSUM_MODE: Final = "x-amz-checksum-mode"
OBJECT_SIZE: Final = "x-amz-mp-object-size"
BATCHES: Final = "DeleteObjects"
PAGES_V2: Final = "ListObjectsV2"
RESTORE_STATUS: Final = "x-amz-optional-object-attributes"
_PACKED: Final = "objects as they are stored"


class Learned:
    """What was learnt, by host."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str, int], ErrorInfo | None] = {}
        self._refused: set[tuple[str, str]] = set()
        self._failures: dict[tuple[str, str], int] = {}
        self._manners: dict[str, tuple[bool, bool]] = {}  # of many GETs to a few hosts

    def manner(self, host: str) -> tuple[bool, bool]:
        """Return how GETs are made: (they ask for the checksum, they must say that they take gzip)."""
        known = self._manners.get(host)
        if known is None:
            known = self._manners[host] = (self.takes(host, CHECKSUM_MODE), self.unpacks(host))
        return known

    def takes(self, host: str, what: str) -> bool:
        """Whether requests are to have the feature ``what``."""
        if what == CHECKSUM_MODE and profile_for(host).checksum is None:
            return False  # documented to refuse it, like every header about checksums
        return (host, what) not in self._refused

    def unpacks(self, host: str) -> bool:
        """Whether the host unpacks what is stored gzipped, unless a request says that it takes gzip.

        Requests to other hosts do not say it: a proxy would then compress what is stored plain.
        """
        return is_within(host, "googleapis.com") or (host, _PACKED) in self._refused

    def has_unpacked(self, host: str) -> None:
        """Remember that the host unpacks."""
        self._refused.add((host, _PACKED))
        self._manners.clear()

    def does_without(self, host: str, what: str) -> None:
        """Remember that a request failed with the feature and worked without it."""
        self._refused.add((host, what))
        self._manners.clear()

    def knows_reason(self, host: str, bucket: str, status: int) -> bool:
        """Whether it was tried to find out why HEADs of a bucket's objects are refused so."""
        return (host, bucket, status) in self._reasons

    def reason(self, host: str, bucket: str, status: int) -> ErrorInfo | None:
        """Return why they are, with the credentials in force; None where that cannot be found out."""
        return self._reasons.get((host, bucket, status))

    def has_reason(self, host: str, bucket: str, status: int, reason: ErrorInfo | None) -> None:
        """Remember it."""
        self._reasons[host, bucket, status] = reason

    def forget_reasons(self) -> None:
        """Forget them: what was refused with the last credentials says nothing of the next ones."""
        self._reasons.clear()

    def failed(self, host: str, what: str) -> int:
        """Count a failure that may be temporary, and return how many there were in a row."""
        self._failures[host, what] = count = self._failures.get((host, what), 0) + 1
        return count

    def worked(self, host: str, what: str) -> None:
        """Forget the failures."""
        self._failures.pop((host, what), None)


__all__ = ["BATCHES", "CHECKSUM_MODE", "OBJECT_SIZE", "PAGES_V2", "RESTORE_STATUS", "Learned"]
