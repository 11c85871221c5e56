"""What the bytes of one transfer have in common, and the leases that workers get of it; it must not know workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator

import msgspec

from bulkhaul.engine.messages.messages import LEASES, LONGEST_BYTES, AnyLease, Lease, PutLease, require_sound
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import Checksum, ObjectRef
from bulkhaul.model.writing import ObjectOptions, Stored
from bulkhaul.policy.events import Assign
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.parttable import PartTable
from bulkhaul.wire.values import Target

MAX_LEASES = 48
"""Leases of one frame at most; fewer where they are long."""

NUMBERS_BYTES = 64
"""By how much the numbers in a lease may be longer than those of its sample."""


class Fetching(msgspec.Struct):
    """Bytes of one object that are being fetched: what their leases have in common, and where the news go.

    Attributes:
        fd: the file that they go to, which begins with byte ``base`` of the object.
        size_bytes: of the object.
        version_id: of the object, empty for the current one (docs/decisions/0005-versions.md).
        promised: the checksum that the reply to a whole GET promised.
        lease_bytes: encoded length of a lease, without what larger numbers add.
        arrived: done when all parts are there (or the transfer has failed) and no worker holds it any more.
        on_moved: called with the bytes that are there, whenever that has changed.
        raised: what that has raised.
    """

    layout: Layout
    target: Target
    bucket: str
    key: str
    etag: str
    algorithm: str
    mapped: bool
    fd: int
    arrived: asyncio.Future[PartTable]
    size_bytes: int
    base: int = 0
    version_id: str = ""
    on_moved: Callable[[int], None] | None = None
    raised: BaseException | None = None
    promised: Checksum | None = None
    retries: int = 0
    transfer: int = 0
    lease_bytes: int = 0

    def lease(self, assign: Assign) -> Lease:
        """Return what a worker is told."""
        return Lease(
            lease=assign.lease,
            target=self.target,
            bucket=self.bucket,
            key=self.key,
            etag=self.etag,
            start=self.base + assign.start,
            end=self.base + assign.end,
            size_bytes=self.size_bytes,
            whole=self.layout.whole and assign.start == 0,
            mapped=self.mapped,
            algorithm=self.algorithm,
            crc=assign.crc,
            base=self.base,
            version_id=self.version_id,
        )

    def damage(self) -> ErrorInfo | None:
        """Tell whether the file was cut: a mapped one kills whoever touches what is missing with SIGBUS."""
        size_bytes = os.fstat(self.fd).st_size
        if not self.mapped or size_bytes >= self.layout.size_bytes:
            return None
        text = f"the temp file was cut to {size_bytes} bytes by another program during the transfer"
        return ErrorInfo("LocalError", text)


class Sending(msgspec.Struct):
    """One body that is being sent: ``[start, start + layout.size_bytes)`` of a file, whole or as part ``number``.

    Attributes:
        options, only_if_absent, unchanged: see ``PutLease``.
        lease_bytes: encoded length of a lease, without what larger numbers add.
        arrived: done when the service has it (or the transfer has failed) and no worker holds it any more.
        on_moved: called with the bytes that have left, whenever that has changed.
        raised: what that has raised.
        stored: what the service said of it.
        attempts: how often it was given to a worker.
    """

    layout: Layout
    target: Target
    bucket: str
    key: str
    algorithm: str
    fd: int
    start: int
    arrived: asyncio.Future[PartTable]
    options: ObjectOptions | None = None
    only_if_absent: bool = False
    upload_id: str = ""
    number: int = 0
    unchanged: SourceIdentity | None = None
    on_moved: Callable[[int], None] | None = None
    raised: BaseException | None = None
    stored: Stored = Stored()
    attempts: int = 0
    retries: int = 0
    transfer: int = 0
    lease_bytes: int = 0

    def lease(self, assign: Assign) -> PutLease:
        """Return what a worker is told."""
        self.attempts = assign.attempt
        return PutLease(
            lease=assign.lease,
            target=self.target,
            bucket=self.bucket,
            key=self.key,
            options=self.options,
            only_if_absent=self.only_if_absent,
            upload_id=self.upload_id,
            number=self.number,
            start=self.start + assign.start,
            end=self.start + assign.end,
            algorithm=self.algorithm,
            unchanged=self.unchanged,
        )

    def damage(self) -> ErrorInfo | None:
        """Tell whether the source was cut: it is mapped, and kills whoever touches what is missing with SIGBUS."""
        size_bytes = os.fstat(self.fd).st_size
        if size_bytes >= self.start + self.layout.size_bytes:
            return None
        return ErrorInfo("SourceChanged", f"the source was cut to {size_bytes} bytes during the upload; send it again")


Moving = Fetching | Sending


class Given(msgspec.Struct, frozen=True):
    """A lease for a worker, its descriptor, and how long it may be when it is encoded."""

    lease: AnyLease
    fd: int
    most_bytes: int


def given(moving: Moving, assign: Assign) -> Given:
    """Return what a worker gets for a part."""
    return Given(moving.lease(assign), moving.fd, moving.lease_bytes + NUMBERS_BYTES)


def measure(moving: Moving) -> None:
    """Note how long its leases are.

    Raises:
        UsageError: a worker could not read them.
    """
    sample = moving.lease(Assign(0, 0, 0, 0, 0, 0, 0, 0))
    moving.lease_bytes = require_sound(sample, LEASES, ObjectRef(moving.bucket, moving.key).url)


def framed(outgoing: list[Given]) -> Iterator[list[Given]]:
    """Cut leases so that each piece fits a frame."""
    piece: list[Given] = []
    length = 0
    for one in outgoing:
        if piece and (length + one.most_bytes > LONGEST_BYTES or len(piece) == MAX_LEASES):
            yield piece
            piece, length = [], 0
        piece.append(one)
        length += one.most_bytes
    if piece:
        yield piece
