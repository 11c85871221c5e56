"""Keeps documents in a bucket, as JSON, and tries again where a service is busy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bulkhaul import IntegrityError, ObjectStore, TransferError

T = TypeVar("T")


class Shelf:
    """Documents by name."""

    def __init__(self, store: ObjectStore, *, tries: int = 3, pause_s: float = 0.05) -> None:
        self._store = store
        self._tries = tries
        self._pause_s = pause_s

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Store a document under a name."""
        self._patiently(lambda: self._store.put_bytes(f"{name}.json", json.dumps(document).encode()))

    def load(self, name: str) -> dict[str, Any]:
        """Return the document of a name."""
        found: dict[str, Any] = json.loads(self._patiently(lambda: self._store.get_bytes(f"{name}.json")))
        return found

    def names(self) -> list[str]:
        """Return the names of all documents."""
        return self._patiently(lambda: [info.key.removesuffix(".json") for info in self._store.list()])

    def _patiently(self, work: Callable[[], T]) -> T:
        for left in reversed(range(self._tries)):
            try:
                return work()
            except TransferError as error:
                if not left or not (error.retryable or isinstance(error, IntegrityError)):
                    raise
            time.sleep(self._pause_s)
        raise AssertionError("there is at least one try")
