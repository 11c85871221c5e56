"""The messages between coordinator, forkserver and workers, as tagged values; it must not know how they travel.

    coordinator ─▶ worker       Configure, UseCredentials, Leases (+ one descriptor a lease), Release, Ask (+ one for a long payload), Stop
    worker ─▶ coordinator       Ready, Report, Answer
coordinator ─▶ forkserver   Prepare, Fork (+ the worker's socket)
    forkserver ─▶ coordinator   Forked (+ a pidfd), Exited

Each message is one msgpack frame of at most ``channel.MAX_FRAME_BYTES``.
"""

from __future__ import annotations

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum, ObjectHead, PartChecksum
from bulkhaul.model.writing import Stored
from bulkhaul.wire.values import Credentials, Target, WireSettings


class Configure(msgspec.Struct, tag=True, frozen=True):
    """First message to a worker: how many connections it may have."""

    connections: int


class UseCredentials(msgspec.Struct, tag=True, frozen=True):
    """Sign with these from now on; None sends requests unsigned."""

    credentials: Credentials | None


class Lease(msgspec.Struct, tag=True, frozen=True):
    """``[start, end)`` of an object, to be received into the file whose descriptor comes with the message.

    Attributes:
        base: the byte of the object that is the file's first one.
        whole: ask for the whole object, without a Range.
        mapped: receive into a mapped window, else write.
        algorithm: checksum to go on with from ``crc``, empty for none.
    """

    lease: int
    target: Target
    bucket: str
    key: str
    etag: str
    start: int
    end: int
    size_bytes: int
    whole: bool
    mapped: bool
    algorithm: str
    crc: int
    base: int = 0


class PutLease(msgspec.Struct, tag=True, frozen=True):
    """``[start, end)`` of the file whose descriptor comes with the message, to be sent as one body.

    Attributes:
        headers: of the request, names in lower case.
        upload_id: with ``number`` a part of that upload, empty for a whole object.
        algorithm: checksum to send along, empty for none.
    """

    lease: int
    target: Target
    bucket: str
    key: str
    headers: tuple[tuple[str, str], ...]
    upload_id: str
    number: int
    start: int
    end: int
    algorithm: str

    def __repr__(self) -> str:
        return f"PutLease({self.lease}, {self.bucket!r}, {self.key!r}, number={self.number})"


AnyLease = Lease | PutLease


class Leases(msgspec.Struct, tag=True, frozen=True):
    """New leases; one descriptor for each comes along, in the same order."""

    leases: list[AnyLease]


class Release(msgspec.Struct, tag=True, frozen=True):
    """Let go of a lease; its Report says how far it came."""

    lease: int


class Head(msgspec.Struct, tag=True, frozen=True):
    """HEAD of one object."""

    bucket: str
    key: str


class ListPage(msgspec.Struct, tag=True, frozen=True):
    """One page of a listing; an empty token asks for the first."""

    bucket: str
    prefix: str
    token: str


class PartChecksums(msgspec.Struct, tag=True, frozen=True):
    """The parts that an object was uploaded in."""

    bucket: str
    info: ObjectHead


class Resolve(msgspec.Struct, tag=True, frozen=True):
    """Ask the SDK's credential chain; one worker is asked for all."""

    generation: int


Question = Head | ListPage | PartChecksums | Resolve


class Ask(msgspec.Struct, tag=True, frozen=True):
    """A control operation for the worker's boto3 client."""

    ask: int
    question: Question


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Let go of everything and exit."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The worker runs and awaits Configure."""

    pid: int


class Done(msgspec.Struct, frozen=True):
    """A fulfilled lease.

    Attributes:
        received_bytes: bytes moved, in either direction.
        checksum: what the reply to a whole GET promised; ``crc`` is of its algorithm then.
        stored: what the service said of a body that was sent.
    """

    lease: int
    received_bytes: int
    crc: int
    checksum: Checksum | None = None
    stored: Stored | None = None


class Failed(msgspec.Struct, frozen=True):
    """A lease that was let go; the first ``received_bytes`` of it are in the file, covered by ``crc``."""

    lease: int
    received_bytes: int
    crc: int
    error: ErrorInfo


class Report(msgspec.Struct, tag=True, frozen=True):
    """What became of leases since the last one, and how far the active ones are. Also the sign of life."""

    done: list[Done] = []
    failed: list[Failed] = []
    reached: list[tuple[int, int]] = []


class Answer(msgspec.Struct, tag=True, frozen=True):
    """Part of the answer to a question; ``last`` ends it. Long lists come in several."""

    ask: int
    last: bool = True
    error: ErrorInfo | None = None
    objects: list[ObjectHead] = []
    parts: list[PartChecksum] = []
    next_token: str = ""
    target: Target | None = None
    credentials: Credentials | None = None


ToWorker = Configure | UseCredentials | Leases | Release | Ask | Stop
FromWorker = Ready | Report | Answer


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """First message to a forkserver: how workers will speak to the service; it makes their boto3 client ready."""

    wire: WireSettings


class Fork(msgspec.Struct, tag=True, frozen=True):
    """Fork a worker; its end of the socketpair comes along."""

    worker: int


class Forked(msgspec.Struct, tag=True, frozen=True):
    """A worker was forked; its pidfd comes along."""

    worker: int
    pid: int


class Exited(msgspec.Struct, tag=True, frozen=True):
    """A worker is dead and reaped. ``status``: exit code, or minus the number of the signal."""

    worker: int
    status: int


ToForkserver = Prepare | Fork
FromForkserver = Forked | Exited
