"""A job of moving bytes (``GetJob``, ``PutJob``), and the leases that it gives to workers.

A job belongs to one file: what is downloaded into it, or the one body that is sent from it. ``batch_job`` has that of
many small objects. ``Dispatcher.run`` runs a job.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from bulkhaul.engine.messages.messages import LEASES, AnyBatch, AnyLease, Done, GetLease, PutLease, require_sound
from bulkhaul.model.errors import ErrorInfo, error_of
from bulkhaul.model.objects import Checksum, ObjectRef
from bulkhaul.model.writing import Stored
from bulkhaul.policy.events import Assign
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.parttable import PartTable


def _future() -> asyncio.Future[PartTable]:
    return asyncio.get_running_loop().create_future()


class BaseJob(msgspec.Struct, kw_only=True):
    """What all jobs have in common.

    Attributes:
        fd: of the file; whoever makes the job closes it.
        on_moved: called with the number of bytes that have been moved, whenever it has changed.
        arrived: the part table, when all bytes have been moved, or the error; no worker holds the file any more then.
        retries: number of tries that failed.
        attempts: of a body, how often it was given to a worker.
        raised: the exception of ``on_moved``.
        transfer: the job's number in the state machine.
        lease_bytes: encoded length of the template.
        kept: (index, checksum) of the parts that an earlier run has left in the file.
    """

    fd: int
    on_moved: Callable[[int], None] | None = None
    arrived: asyncio.Future[PartTable] = msgspec.field(default_factory=_future)
    retries: int = 0
    attempts: int = 0
    raised: BaseException | None = None
    transfer: int = 0
    lease_bytes: int = 0
    kept: tuple[tuple[int, int], ...] = ()

    @property
    def requests(self) -> int:
        """How many requests one lease of it stands for."""
        return 1

    @property
    def crc(self) -> int:
        """Checksum of a job of one part, once ``arrived`` is done."""
        return int(self.arrived.result()["crc"][0])

    def fail(self, error: ErrorInfo) -> None:
        """End it with an error, that tells how often it was tried."""
        failed = error_of(msgspec.structs.replace(error, attempts=self.attempts))
        failed.__cause__ = self.raised
        self.arrived.set_exception(failed)


class GetJob(BaseJob, kw_only=True):
    """Fetches an object, or a part of one, into a file.

    Attributes:
        template: a lease of all bytes; a worker gets that of one part.
        layout: how the bytes are cut into parts.
        promised: the checksum in the reply to a GET of the whole object.
        on_part: called with the index and the checksum of each part that is in the file.
        given: leases under way, where they are to be told.
    """

    template: GetLease
    layout: Layout
    promised: Checksum | None = None
    on_part: Callable[[int, int], None] | None = None
    given: dict[int, Assign] = msgspec.field(default_factory=dict)

    def lease(self, assign: Assign) -> GetLease:
        """Return the lease that a worker gets."""
        request = msgspec.structs.replace(
            self.template.request,
            start=self.template.base + assign.start,
            end=self.template.base + assign.end,
            whole=self.layout.whole and assign.start == 0,
        )
        if self.on_part is not None:
            self.given[assign.lease] = assign
        return msgspec.structs.replace(
            self.template, lease=assign.lease, request=request, crc=assign.crc, attempt=assign.attempt
        )

    def done(self, done: Done) -> None:
        """Note what a worker says of a lease that it has fulfilled."""
        self.promised = done.checksum or self.promised
        given = self.given.pop(done.lease, None)
        if self.on_part is not None and given is not None and done.received_bytes == given.end - given.start:
            self.on_part(given.index, done.crc)

    def damage(self) -> ErrorInfo | None:
        """Return an error if the file was cut: a worker may map it, and dies by SIGBUS if it writes beyond the end."""
        size_bytes = os.fstat(self.fd).st_size
        if not self.template.mapped or size_bytes >= self.layout.size_bytes:
            return None
        text = f"the temp file was cut to {size_bytes} bytes by another program during the transfer"
        return ErrorInfo("LocalError", text)


class PutJob(BaseJob, kw_only=True):
    """Sends one body: a whole object, or one part of a multipart upload. A retry begins at its first byte.

    Attributes:
        template: the lease, without its number.
        stored: the service's reply.
    """

    template: PutLease
    stored: Stored = Stored()

    @property
    def layout(self) -> Layout:
        """The body as one part; an empty body is a part too, since it takes a request."""
        size_bytes = self.template.end - self.template.start
        return Layout(size_bytes, max(1, size_bytes), starts=() if size_bytes else (0,), whole=True)

    def lease(self, assign: Assign) -> PutLease:
        """Return the lease that a worker gets."""
        self.attempts = assign.attempt
        return msgspec.structs.replace(self.template, lease=assign.lease, attempt=assign.attempt)

    def damage(self) -> ErrorInfo | None:
        """Return an error if the source was cut: a worker maps it, and dies by SIGBUS if it reads beyond the end."""
        size_bytes = os.fstat(self.fd).st_size
        if size_bytes >= self.template.end:
            return None
        return ErrorInfo("SourceChanged", f"the source was cut to {size_bytes} bytes during the upload; send it again")


def measure(job: BaseJob, template: AnyLease) -> None:
    """Set ``lease_bytes``.

    Raises:
        UsageError: a worker could not read the leases.
    """
    if isinstance(template, AnyBatch):
        about = ObjectRef(template.bucket, template.prefix)
    else:
        about = ObjectRef(template.request.bucket, template.request.key)
    job.lease_bytes = require_sound(template, LEASES, about.url)
