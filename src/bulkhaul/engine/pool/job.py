"""The jobs that move bytes, one GET or PUT of a file's bytes each, and the leases that workers get of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from bulkhaul.engine.messages.messages import LEASES, GetLease, PutLease, require_sound
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum, ObjectRef
from bulkhaul.model.writing import Stored
from bulkhaul.policy.events import Assign
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.parttable import PartTable


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
    """Bytes of one object that are fetched into a file.

    Attributes:
        template: a lease of everything, of which workers get pieces.
        layout: of these bytes.
        promised: the checksum that the reply to a whole GET promised.
    """

    template: GetLease
    layout: Layout
    promised: Checksum | None = None

    def lease(self, assign: Assign) -> GetLease:
        """Return what a worker is told."""
        request = msgspec.structs.replace(
            self.template.request,
            start=self.template.base + assign.start,
            end=self.template.base + assign.end,
            whole=self.layout.whole and assign.start == 0,
        )
        return msgspec.structs.replace(self.template, lease=assign.lease, request=request, crc=assign.crc)

    def damage(self) -> ErrorInfo | None:
        """Tell whether the file was cut: a mapped one kills whoever touches what is missing with SIGBUS."""
        size_bytes = os.fstat(self.fd).st_size
        if not self.template.mapped or size_bytes >= self.layout.size_bytes:
            return None
        text = f"the temp file was cut to {size_bytes} bytes by another program during the transfer"
        return ErrorInfo("LocalError", text)


class PutJob(_Job, kw_only=True):
    """One body that is sent, whole in each try.

    Attributes:
        template: its lease, but for the number.
        stored: what the service said of it.
        attempts: how often it was given to a worker.
    """

    template: PutLease
    stored: Stored = Stored()
    attempts: int = 0

    @property
    def layout(self) -> Layout:
        """The body as one part, also where it is empty: that is a request too."""
        size_bytes = self.template.end - self.template.start
        return Layout(size_bytes, max(1, size_bytes), starts=() if size_bytes else (0,), whole=True)

    def lease(self, assign: Assign) -> PutLease:
        """Return what a worker is told."""
        self.attempts = assign.attempt
        return msgspec.structs.replace(self.template, lease=assign.lease)

    def damage(self) -> ErrorInfo | None:
        """Tell whether the source was cut: it is mapped, and kills whoever touches what is missing with SIGBUS."""
        size_bytes = os.fstat(self.fd).st_size
        if size_bytes >= self.template.end:
            return None
        return ErrorInfo("SourceChanged", f"the source was cut to {size_bytes} bytes during the upload; send it again")


Job = GetJob | PutJob


def measure(job: Job) -> None:
    """Note how long its leases are.

    Raises:
        UsageError: a worker could not read them.
    """
    request = job.template.request
    job.lease_bytes = require_sound(job.template, LEASES, ObjectRef(request.bucket, request.key).url)
