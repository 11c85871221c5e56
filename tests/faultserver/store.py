"""What the server holds: buckets, objects, uploads in progress.

Job: keep state, and the ways in which a fault may bend it. Must not know requests or replies.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import quote

from bulkhaul.testing.faultserver.faults import Exchange

from .archives import Archives
from .contents import MIB
from .objects import StoredObject
from .uploads import Uploads

#: Every part but the last. Source: S3 User Guide, "Amazon S3 multipart upload limits".
MIN_PART_SIZE_BYTES = 5 * MIB


class Store:
    """Buckets with their objects. Every method is one step, so any thread may call it."""

    def __init__(self, base_url: str, *, min_part_size_bytes: int = MIN_PART_SIZE_BYTES) -> None:
        self.min_part_size_bytes = min_part_size_bytes
        self.uploads = Uploads()
        self.archives = Archives()
        self._base_url = base_url
        self._objects: dict[tuple[str, str], StoredObject] = {}
        self._aliases: dict[str, str] = {}
        self._buckets: set[str] = set()
        self._ignoring_if_match: set[tuple[str, str]] = set()
        self._undeletable: list[tuple[str, str, str]] = []

    def add_bucket(self, bucket: str) -> None:
        """Let a bucket exist, even if it is empty."""
        self._buckets.add(bucket)

    def alias(self, name: str, bucket: str) -> None:
        """Let a bucket have one more name, as by an access point; copies between the two are not seen through."""
        self._aliases[name] = bucket

    def has_bucket(self, bucket: str) -> bool:
        """Tell whether a bucket exists."""
        return self._named(bucket) in self._buckets

    def put(self, bucket: str, key: str, stored: StoredObject) -> None:
        """Add or replace an object."""
        self._buckets.add(self._named(bucket))
        self._objects[self._named(bucket), key] = stored

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, or None."""
        return self._objects.get((self._named(bucket), key))

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        self._objects.pop((self._named(bucket), key), None)

    def in_bucket(self, bucket: str) -> dict[str, StoredObject]:
        """Return the objects of a bucket by key."""
        named = self._named(bucket)
        return {key: stored for (owner, key), stored in list(self._objects.items()) if owner == named}

    def ignore_if_match(self, bucket: str, key: str) -> None:
        """Answer this key's requests as if they had no If-Match."""
        self._ignoring_if_match.add((bucket, key))

    def honours_if_match(self, bucket: str, key: str) -> bool:
        """Tell whether If-Match counts for this key."""
        return (bucket, key) not in self._ignoring_if_match

    def refuse_deletes(self, bucket: str, pattern: str, code: str) -> None:
        """Refuse to delete keys that fnmatch the pattern, with an error of this code."""
        self._undeletable.append((bucket, pattern, code))

    def refusal_to_delete(self, bucket: str, key: str) -> str | None:
        """Return the code of the error that deleting a key meets, or None."""
        codes = (code for owner, pattern, code in self._undeletable if owner == bucket and fnmatchcase(key, pattern))
        return next(codes, None)

    def url_of(self, bucket: str, key: str) -> str:
        """Return the path-style URL of an object."""
        return f"{self._base_url}/{bucket}/{quote(key, safe='/~')}"

    def _named(self, bucket: str) -> str:
        return self._aliases.get(bucket, bucket)


@dataclass(frozen=True, slots=True)
class StoreExchange(Exchange):
    """One request with the store that it is answered from."""

    store: Store


def store_of(exchange: Exchange) -> Store:
    """Return the store that a fault may look at and change."""
    assert isinstance(exchange, StoreExchange)
    return exchange.store
