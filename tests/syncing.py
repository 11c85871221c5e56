"""A bucket, a folder and an engine between them, for tests of syncs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bulkhaul import Engine
from bulkhaul.errors import OtherError
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.syncing import sync
from bulkhaul.model.results import RowResult
from tests.faultserver import FaultServer, make_object

DELETE = SyncOptions(delete=True)
OURS, THEIRS = "s3://bucket/ours/", "s3://bucket/theirs/"


@dataclass
class Place:
    """A server, an engine that asks it, and a folder that does not exist yet."""

    server: FaultServer
    engine: Engine
    here: Path

    def put(self, *keys: str, body: bytes = b"x") -> None:
        """Store objects."""
        for key in keys:
            self.server.store.put("bucket", key, make_object(body, algorithm="CRC32"))

    def make(self, *names: str, body: bytes = b"x") -> None:
        """Make files, older than any object."""
        for name in names:
            path = self.here / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            os.utime(path, (1, 1))

    def keys(self, prefix: str) -> list[str]:
        """Return what is stored below a prefix."""
        found = self.server.store.in_bucket("bucket")
        return sorted(key.removeprefix(prefix) for key in found if key.startswith(prefix))

    def files(self) -> list[str]:
        """Return the files in the folder."""
        return sorted(str(path.relative_to(self.here)) for path in self.here.rglob("*") if not path.is_dir())

    def sync(
        self, source: str, destination: str, options: SyncOptions | None = None, counts: SyncCounts | None = None
    ) -> list[RowResult]:
        """Sync, and return the results."""
        return list(sync(self.engine, source, destination, options, counts=counts))

    def failing(self, source: str, destination: str) -> tuple[list[RowResult], OtherError]:
        """Sync with deletions, which must fail in the end; return what was told before, and the error."""
        seen: list[RowResult] = []
        try:
            for one in sync(self.engine, source, destination, DELETE):
                seen.append(one)  # noqa: PERF402 - what came before the error counts
        except OtherError as error:
            return seen, error
        raise AssertionError("it did not fail")


def told(results: list[RowResult]) -> list[tuple[str, str]]:
    """Return what was done with which key or file."""
    return sorted((str(one.action), (one.source or one.destination).rpartition("/")[2]) for one in results)
