"""The jobs that move bytes, one GET or PUT of a file's bytes each, and the leases that workers get of them."""

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


def _future() -> asyncio.Future[PartTable]:
    return asyncio.get_running_loop().create_future()


class _Job(msgspec.Struct, kw_only=True):
    """What both kinds of jobs have.

    Attributes:
        fd: the file whose bytes are moved.
        on_moved: called with the bytes that have been moved, whenever that has changed.
        arrived: done when all bytes have been moved (or the job has failed) and no worker holds the file any more.
        retries: tries that failed.
        raised: what ``on_moved`` has raised.
        transfer: its number in the state machine.
        lease_bytes: encoded length of a lease, without what larger numbers add.
    """

    target: Target
    bucket: str
    key: str
    algorithm: str
    fd: int
    on_moved: Callable[[int], None] | None = None
    arrived: asyncio.Future[PartTable] = msgspec.field(default_factory=_future)
    retries: int = 0
    raised: BaseException | None = None
    transfer: int = 0
    lease_bytes: int = 0

    @property
    def crc(self) -> int:
        """Checksum of the first part, once all have arrived."""
        return int(self.arrived.result()["crc"][0])


class GetJob(_Job, kw_only=True):
    """Bytes of one object that are fetched into a file, which begins with byte ``base`` of the object.

    Attributes:
        size_bytes: of the object.
        version_id: of the object, empty for the current one (docs/decisions/0005-versions.md).
        promised: the checksum that the reply to a whole GET promised.
    """

    layout: Layout
    etag: str
    mapped: bool
    size_bytes: int
    base: int = 0
    version_id: str = ""
    promised: Checksum | None = None

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


class PutJob(_Job, kw_only=True):
    """One body that is sent: ``[start, start + size_bytes)`` of a file, whole or as part ``number``.

    Attributes:
        options, only_if_absent, unchanged: see ``PutLease``.
        stored: what the service said of it.
        attempts: how often it was given to a worker.
    """

    start: int
    size_bytes: int
    options: ObjectOptions | None = None
    only_if_absent: bool = False
    upload_id: str = ""
    number: int = 0
    unchanged: SourceIdentity | None = None
    stored: Stored = Stored()
    attempts: int = 0

    @property
    def layout(self) -> Layout:
        """The body as one part, also where it is empty: that is a request too."""
        return Layout(self.size_bytes, max(1, self.size_bytes), starts=() if self.size_bytes else (0,), whole=True)

    def lease(self, assign: Assign) -> PutLease:
        """Return what a worker is told."""
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
        if size_bytes >= self.start + self.size_bytes:
            return None
        return ErrorInfo("SourceChanged", f"the source was cut to {size_bytes} bytes during the upload; send it again")


Job = GetJob | PutJob


def measure(job: Job) -> None:
    """Note how long its leases are.

    Raises:
        UsageError: a worker could not read them.
    """
    sample = job.lease(Assign(0, 0, 0, 0, 0, 0, 0, 0))
    job.lease_bytes = require_sound(sample, LEASES, ObjectRef(job.bucket, job.key).url)


def framed(outgoing: list[tuple[AnyLease, Job]]) -> Iterator[list[tuple[AnyLease, Job]]]:
    """Cut leases so that each piece fits a frame."""
    piece: list[tuple[AnyLease, Job]] = []
    length = 0
    for lease, job in outgoing:
        most_bytes = job.lease_bytes + NUMBERS_BYTES
        if piece and (length + most_bytes > LONGEST_BYTES or len(piece) == MAX_LEASES):
            yield piece
            piece, length = [], 0
        piece.append((lease, job))
        length += most_bytes
    if piece:
        yield piece
