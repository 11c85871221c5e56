"""Engines that write to a fault server, watched for what they leave behind there and here.

Job: upload, stream and copy under faults, and check after each what must hold whatever happened: the
object is the source or what was there before (I1), every pending upload is named by a journal and every
journal names one (I3), no worker and no descriptor is held, and no error shows a secret (I5). Must not
know which faults.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bulkhaul import Engine, TransferResult
from bulkhaul.disk.pending import FoundJournal, scan
from bulkhaul.errors import TransferError
from bulkhaul.model.limits import S3Limits
from tests.engines import (
    ACCESS_KEY,
    QUICK,
    SECRET_KEY,
    TOKEN,
    assert_no_secret,
    eventually,
    running_engine,
)
from tests.faultserver import Credentials, Fault, FaultServer, Request, make_object

KIB = 1024
#: The part of an upload here; a body of this length is sent by one PUT.
PART_BYTES = 256 * KIB
THRESHOLD_BYTES = 2 * PART_BYTES
LIMITS = S3Limits(min_part_bytes=64 * KIB)
#: Waits that run out within a test.
HASTY = msgspec.structs.replace(QUICK, ack_s=2.0, throttle_s=2.0, ask_s=30.0)


@dataclass(frozen=True, slots=True)
class Written:
    """How one write ended, and what the server was asked for it."""

    key: str
    result: TransferResult | None
    error: BaseException | None
    seconds: float
    requests: tuple[Request, ...] = field(repr=False)

    def of(self, operation: str) -> list[Request]:
        """Return the requests of one operation, in order of arrival."""
        return [one for one in self.requests if one.operation == operation]

    def succeeded(self) -> TransferResult:
        """Return the result; fail the test with the engine's error if there is none."""
        if self.error is not None:
            raise AssertionError(f"it failed: {self.error}") from self.error
        assert self.result is not None
        return self.result

    def failed(self, kind: type[BaseException]) -> TransferError:
        """Return the error, which must be of this very kind."""
        assert self.error is not None, f"it succeeded: {self.result}"
        assert type(self.error) is kind, f"{type(self.error).__name__}: {self.error}"
        return self.error  # type: ignore[return-value] # what is no TransferError is only looked at by its kind


@dataclass(slots=True)
class Site:
    """A fault server, a folder for sources and one for journals."""

    server: FaultServer
    folder: Path
    state: Path

    def stored(self, key: str) -> bytes | None:
        """Return the bytes of an object, None if there is none."""
        found = self.server.store.get("bucket", key)
        return None if found is None else found.body

    def journals(self, key: str | None = None) -> list[FoundJournal]:
        """Return the journals that are there, perhaps of one key."""
        found = list(scan(str(self.state / "uploads")))
        assert [one for one in found if one.state is None] == []
        return [one for one in found if key is None or (one.state is not None and one.state.intent.key == key)]

    def pending(self, key: str | None = None) -> list[str]:
        """Return the ids of uploads that the server has pending, perhaps of one key."""
        found = self.server.store.uploads.pending("bucket")
        return [one.upload_id for one in found if key in (None, one.key)]


@dataclass(slots=True)
class WriteRig(Site):
    """A site, and an engine that writes to its server."""

    engine: Engine
    cases: int = 0

    def new_key(self, *faults: Fault, old: bytes | None = None) -> tuple[str, list[Fault]]:
        """Return a key of its own, with an old object or none, and the faults that hit it alone."""
        self.cases += 1
        key = f"case-{self.cases}"
        if old is not None:
            self.server.store.put("bucket", key, make_object(old))
        addressed = [replace(fault, key=key) for fault in faults]
        for fault in addressed:
            self.server.add_fault(fault)
        return key, addressed

    def upload(self, body: bytes, *faults: Fault, old: bytes | None = None, named: int = 0, **options: Any) -> Written:
        """Upload a file of these bytes under faults; see ``watch`` for what is checked."""
        key, addressed = self.new_key(*faults, old=old)
        path = self.folder / key
        path.write_bytes(body)
        return self.watch(
            lambda: self.engine.upload(path, f"s3://bucket/{key}", **options), key, body, addressed, old, named=named
        )

    def watch(
        self,
        work: Callable[[], TransferResult],
        key: str,
        body: bytes,
        faults: list[Fault],
        old: bytes | None = None,
        *,
        named: int = 0,
    ) -> Written:
        """Do a write and check the invariants.

        Args:
            body: what the object is after a success.
            old: what it is after a failure.
            named: pending uploads that are left with a journal each that names them.

        Raises:
            AssertionError: an invariant is broken, or a fault never fired.
        """
        result: TransferResult | None = None
        error: BaseException | None = None
        began_s = time.monotonic()
        try:
            result = work()
        except (TransferError, BrokenPipeError) as raised:
            error = raised
        seconds = time.monotonic() - began_s
        asked = tuple(one for one in self.server.requests if one.key == key)
        written = Written(key, result, error, seconds, asked)
        assert [fault for fault in faults if not self.server.fired(fault)] == [], f"never fired; {error!r}"
        assert self.stored(key) == (old if error is not None else body), f"not the object; {error!r}"
        if error is not None:
            assert_no_secret(error)
        self.assert_nothing_left(key, named=named)
        return written

    def assert_nothing_left(self, key: str, *, named: int = 0) -> None:
        """Pending uploads and journals name each other, ``named`` of each, and nothing is held open."""
        pending = self.pending(key)
        journals = self.journals(key)
        assert (len(pending), len(journals)) == (named, named), f"{pending} pending, {journals} left"
        for one in journals:
            assert one.state is not None
            assert not one.locked
            assert one.state.upload_id in ("", *pending)
        assert_nothing_open(self.engine, self.folder, self.state)


def serving_writes(**options: Any) -> FaultServer:
    """Return a fault server with an empty bucket that takes small parts, and requests signed by the canary's keys."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, accept_tokens=(TOKEN,))
    chosen: dict[str, Any] = {"credentials": credentials, "min_part_size_bytes": LIMITS.min_part_bytes, **options}
    return FaultServer(buckets=["bucket"], **chosen)


def write_settings(state: Path, **settings: Any) -> dict[str, Any]:
    """Return the settings of an engine that uploads in small parts."""
    return {
        "part_size_bytes": PART_BYTES,
        "multipart_threshold_bytes": THRESHOLD_BYTES,
        "limits": LIMITS,
        "timeouts": HASTY,
        "state_dir": str(state),
        **settings,
    }


@contextmanager
def serving_site(folder: Path, server: FaultServer | None = None) -> Iterator[Site]:
    """Run a fault server, and make the folders."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    with server or serving_writes() as served:
        yield Site(served, sources, folder / "state")


@contextmanager
def engine_at(site: Site, **settings: Any) -> Iterator[WriteRig]:
    """Run an engine that writes to a site's server."""
    with running_engine(site.server.endpoint_url, **write_settings(site.state, **settings)) as engine:
        yield WriteRig(site.server, site.folder, site.state, engine)


@contextmanager
def running_write_rig(folder: Path, *, server: FaultServer | None = None, **settings: Any) -> Iterator[WriteRig]:
    """Run an engine that writes to a fault server of its own."""
    with serving_site(folder, server) as site, engine_at(site, **settings) as rig:
        yield rig


def assert_nothing_open(engine: Engine, *folders: Path) -> None:
    """Neither this process nor a worker holds a file of these folders, or memory of ours."""
    holders = [os.getpid(), *engine.worker_pids]

    def held() -> list[str]:
        found = [target for pid in holders for target in open_files(pid)]
        below = tuple(f"{folder}/" for folder in folders)
        return [one for one in found if one.startswith((*below, "/memfd:bulkhaul"))]

    eventually(lambda: not held(), f"still open in {holders}: {held()}")


def open_files(pid: int) -> list[str]:
    """Return what the descriptors of a process lead to."""
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
            except FileNotFoundError:
                continue  # closed meanwhile
    except FileNotFoundError:
        return []  # the process has ended, and its descriptors with it
    return found
