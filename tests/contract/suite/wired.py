"""A store in front of the fault server, for rows that only the server sees.

Job: sizes, settings and keys, so that both stores (blocking and async) are opened alike. Must not know any row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bulkhaul import S3Store, TransferResult
from bulkhaul.model.limits import KIB, S3Limits
from tests.engines import ACCESS_KEY, QUICK, SECRET_KEY, TOKEN, aws_environment, keys
from tests.faultserver import Credentials, Fault, FaultServer, Request

from .bodies import made

PART_BYTES = 64 * KIB
THRESHOLD_BYTES = 2 * PART_BYTES
IN_FLIGHT = 3
LARGE_PARTS = 5
LARGE = made(4 * PART_BYTES + 3)
"""Four full parts and a short one."""

OTHER = made(len(LARGE), seed=1)
"""As long as ``LARGE``, and nowhere like it."""

SETTINGS: dict[str, Any] = {
    "workers": 2,
    "concurrency": IN_FLIGHT,
    "part_size_bytes": PART_BYTES,
    "multipart_threshold_bytes": THRESHOLD_BYTES,
    "limits": S3Limits(min_part_bytes=PART_BYTES),
    "timeouts": QUICK,
    "retry_for_s": 2.0,
}


@dataclass
class Wired:
    """A store and the server that it asks.

    Attributes:
        state: the folder of the journals of uploads.
    """

    server: FaultServer
    store: S3Store
    state: Path
    seen: int = 0

    def fault(self, key: str, fault: Fault) -> Fault:
        """Add a fault for one key alone, and return it."""
        addressed = replace(fault, key=key)
        self.server.add_fault(addressed)
        return addressed

    def asked(self, *operations: str, key: str | None = None) -> list[Request]:
        """Return the requests since the last call of ``forget``, in order of arrival."""
        return [
            one
            for one in self.server.requests[self.seen :]
            if (not operations or one.operation in operations) and key in (None, one.key)
        ]

    def forget(self) -> None:
        """Look only at what is asked from now on."""
        self.seen = len(self.server.requests)

    def assert_nothing_left(self) -> None:
        """No upload is pending, and no journal is left of one."""
        assert self.server.store.uploads.pending("bucket") == []
        assert self.journals() == []

    def journals(self) -> list[Path]:
        """Return the journals of uploads that nobody ended."""
        return [path for path in self.state.rglob("*") if path.is_file()]


@contextmanager
def wired_server(state: Path) -> Iterator[FaultServer]:
    """Run a fault server with an empty bucket, whose keys are in the environment."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, accept_tokens=(TOKEN,))
    with (
        FaultServer(buckets=["bucket"], credentials=credentials, min_part_size_bytes=PART_BYTES) as server,
        aws_environment({**keys(), "BULKHAUL_STATE_DIR": str(state)}),
    ):
        yield server


@contextmanager
def wired(state: Path) -> Iterator[Wired]:
    """Open a store by its URL in front of a server of its own."""
    with wired_server(state) as server, S3Store.from_url(url_of(server), **SETTINGS) as store:
        store.probe()
        yield Wired(server, store, state, len(server.requests))


def url_of(server: FaultServer, bucket: str = "bucket") -> str:
    """Return the URL of a bucket on the server."""
    return f"s3+http://127.0.0.1:{server.port}/{bucket}"


def put(wire: Wired, how: str, key: str, body: bytes, folder: Path, **options: object) -> TransferResult:
    """Store a body from memory or from a file."""
    if how == "bytes":
        return wire.store.put_bytes(key, body, **options)  # type: ignore[arg-type]
    (folder / "source").write_bytes(body)
    return wire.store.put_path(key, folder / "source", **options)  # type: ignore[arg-type]


def operations(wire: Wired, key: str) -> Counter[str]:
    """Count what was asked for a key."""
    return Counter(one.operation for one in wire.asked(key=key))
