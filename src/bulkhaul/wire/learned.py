"""What endpoints turned out not to take, though it was not needed; it must not know how they are asked.

    a request with it is refused ─▶ the same without it works ─▶ never again, at this host

Nothing is asked for ahead, so services that take it see no request more. Each worker learns for itself.
"""

from __future__ import annotations

from typing import Final

from bulkhaul.policy.endpoints import is_within, profile_for

CHECKSUM_MODE: Final = "x-amz-checksum-mode"
OBJECT_SIZE: Final = "x-amz-mp-object-size"
BATCHES: Final = "DeleteObjects"
PAGES_V2: Final = "ListObjectsV2"
_PACKED: Final = "objects as they are stored"


class Learned:
    """What was learnt, by host."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, str]] = set()
        self._failures: dict[tuple[str, str], int] = {}
        self._manners: dict[str, tuple[bool, bool]] = {}  # of many GETs to a few hosts

    def manner(self, host: str) -> tuple[bool, bool]:
        """Return how GETs are made: whether they ask for the checksum, and whether they must say that gzip is taken."""
        known = self._manners.get(host)
        if known is None:
            known = self._manners[host] = (self.takes(host, CHECKSUM_MODE), self.unpacks(host))
        return known

    def takes(self, host: str, what: str) -> bool:
        """Whether requests are to have it."""
        if what == CHECKSUM_MODE and profile_for(host).checksum is None:
            return False  # documented to refuse it, like every header about checksums
        return (host, what) not in self._refused

    def unpacks(self, host: str) -> bool:
        """Whether the host unpacks what is stored gzipped, unless a request says that it takes gzip.

        Nobody else is told so: a proxy would compress what is stored plain.
        """
        return is_within(host, "googleapis.com") or (host, _PACKED) in self._refused

    def has_unpacked(self, host: str) -> None:
        """Remember that the host does so."""
        self._refused.add((host, _PACKED))
        self._manners.clear()

    def does_without(self, host: str, what: str) -> None:
        """Remember that a request worked without it that had failed with it."""
        self._refused.add((host, what))
        self._manners.clear()

    def failed(self, host: str, what: str) -> int:
        """Count a failure that may pass, and return how many there were in a row."""
        self._failures[host, what] = count = self._failures.get((host, what), 0) + 1
        return count

    def worked(self, host: str, what: str) -> None:
        """Forget the failures."""
        self._failures.pop((host, what), None)


__all__ = ["BATCHES", "CHECKSUM_MODE", "OBJECT_SIZE", "PAGES_V2", "Learned"]
