"""The messages between coordinator, forkserver and workers. Requests to the service are in ``requests``.

    coordinator ─▶ worker       Configure, UseConnections, UseCredentials, Leases (+ one descriptor a lease),
                                Release, Ask (+ one), TellRequests
    worker ─▶ coordinator       Ready, Report, BatchEnded, Early, Answer, Told
    coordinator ─▶ forkserver   Prepare, Fork (+ the worker's socket)
    forkserver ─▶ coordinator   Forked (+ a pidfd), NotForked, Exited

Each message is one msgpack frame of at most ``channel.MAX_FRAME_BYTES``, which ``channel`` sends and receives.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES
from bulkhaul.engine.messages.records import TellRequests, Told
from bulkhaul.engine.messages.requests import Answer, Ask, Early
from bulkhaul.model.errors import ErrorInfo, UsageError
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import Checksum
from bulkhaul.model.preserving import Kept
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions, Stored
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest, Target


class Configure(msgspec.Struct, tag=True, frozen=True):
    """First message to a worker.

    Attributes:
        most: connections that it may ever have.
        asking: requests of each line that it makes at a time, beside those of leases.
    """

    most: int
    asking: int


class UseConnections(msgspec.Struct, tag=True, frozen=True):
    """Serve leases over so many connections from now on; what is under way ends first.

    Attributes:
        often: report every ``CLOSE_REPORT_S`` from now on while anything is under way, not only with each heartbeat.
    """

    connections: int
    often: bool = False


class UseCredentials(msgspec.Struct, tag=True, frozen=True):
    """Sign all further requests with these credentials; None: send them unsigned."""

    credentials: Credentials | None


class GetLease(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Receive bytes of an object into the file whose descriptor comes with the message.

    Attributes:
        lease: its number; 0 in the template of a job.
        base: offset in the object of the file's first byte.
        mapped: receive into a mapped window, else write.
        algorithm: of the checksum to compute, empty for none.
        crc: the checksum of the part up to the first byte of the request.
        attempt: which try of the part it is.
    """

    lease: int = 0
    request: GetRequest
    base: int = 0
    mapped: bool
    algorithm: str
    crc: int = 0
    attempt: int = 1


class PutLease(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Send ``[start, end)`` of the file whose descriptor comes with the message as one body.

    Attributes:
        lease: its number; 0 in the template of a job.
        request: without headers; the worker adds those of ``options``, ``only_if_absent`` and the checksum.
        options: how a whole object is to be stored; a part has none.
        only_if_absent: the object must not exist yet.
        algorithm: of the checksum to send along, empty for none.
        unchanged: the file must still be in this state when its last bytes are sent; None for memory.
        attempt: which try it is.
    """

    lease: int = 0
    request: PutRequest
    options: ObjectOptions | None = None
    only_if_absent: bool = False
    algorithm: str
    start: int
    end: int
    unchanged: SourceIdentity | None = None
    attempt: int = 1


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What all leases of many small objects have.

    Attributes:
        lease, prefix: its number, 0 in the template of a job; and of every key.
        single: move one object at a time, whatever the worker's connections.
        preserves: what of files is kept in metadata; of replies it goes before ``mtime_ns`` and ``mode``.
    """

    lease: int = 0
    target: Target
    bucket: str
    prefix: str
    single: bool = False
    preserves: frozenset[Kept] = frozenset()


class GetRow(msgspec.Struct, frozen=True, array_like=True):
    """One small object of a batch.

    Attributes:
        name: of its file, and what its key has behind the batch's prefix.
        etag: sent as If-Match and required of the reply.
        mtime_ns: when its file is to have been modified last; None for when it is written.
    """

    name: str
    etag: str
    size_bytes: int
    mtime_ns: int | None = None


class GetBatch(_Batch, tag=True, frozen=True, kw_only=True):
    """Receive small objects whole, each into a temp file of its own in the folder whose descriptor comes along.

    Attributes:
        rows: the objects; ``Landed`` and ``RowFailed`` name them by their places here.
        token: of the names of the temp files, see ``disk.small_files``.
        mode, fsync: permission bits of a file whose name is free; flush each before it is reported.
        vacant: the names of all rows were free when the run began, so that nobody has to look.
    """

    rows: list[GetRow]
    token: str = ""
    mode: int
    fsync: bool
    vacant: bool = False


class PutRow(msgspec.Struct, frozen=True, array_like=True):
    """One small file of a batch.

    Attributes:
        name: of the file, and what its key has behind the batch's prefix.
        size_bytes: as it was listed; a file of another length is not sent.
        content_type: of the object, empty for none.
    """

    name: str
    size_bytes: int
    content_type: str


class PutBatch(_Batch, tag=True, frozen=True, kw_only=True):
    """Send small files whole, from the folder whose descriptor comes along, each by one PUT.

    Attributes:
        rows: the files; ``Sent`` and ``RowFailed`` name them by their places here.
        options: how each object is to be stored, but for its content type.
        algorithm: of the checksum to send along, empty for none.
    """

    rows: list[PutRow]
    options: ObjectOptions
    algorithm: str


AnyBatch = GetBatch | PutBatch
AnyLease = GetLease | PutLease | GetBatch | PutBatch


class Leases(msgspec.Struct, tag=True, frozen=True):
    """New leases. The descriptors of their files come along, in the same order."""

    leases: list[AnyLease]


class Release(msgspec.Struct, tag=True, frozen=True):
    """Stop working on a lease; the next Report says how far it came."""

    lease: int


LEASES: msgspec.msgpack.Decoder[AnyLease] = msgspec.msgpack.Decoder(AnyLease)

LONGEST_BYTES = MAX_FRAME_BYTES - 1024
"""Longest request or lease: leaves room for what a frame holds besides."""


def require_sound(value: object, reader: msgspec.msgpack.Decoder[Any], subject: str) -> int:
    """Encode and decode a value before it is sent: a worker that cannot read its message dies, and so does the next.

    Args:
        reader: decodes values of the type that the worker expects.
        subject: what an error is about.

    Returns:
        The encoded length in bytes.

    Raises:
        UsageError: a caller has passed something of another type, too large, too long, or no valid Unicode.
    """
    try:
        encoded = msgspec.msgpack.encode(value)
        reader.decode(encoded)
    except UnicodeEncodeError as error:
        text = "a name or a value is not valid UTF-8, and nothing else can be sent to a service"
        raise UsageError(text, subject, str(error)) from error
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"an argument cannot be used: {error}", subject) from error
    if len(encoded) > LONGEST_BYTES:
        text = f"names and values of {len(encoded)} bytes in one request are too long; no service takes them"
        raise UsageError(text, subject[:200])
    return len(encoded)


class Ready(msgspec.Struct, tag=True, frozen=True):
    """First message of a worker: it runs and waits for Configure."""

    pid: int


class Done(msgspec.Struct, frozen=True):
    """All bytes of a lease have been moved.

    Attributes:
        received_bytes: bytes moved, in either direction.
        crc: the checksum of the part.
        checksum: from the reply to a GET of a whole object; ``crc`` has its algorithm then.
        stored: the reply to a PUT.
    """

    lease: int
    received_bytes: int
    crc: int
    checksum: Checksum | None = None
    stored: Stored | None = None


class Failed(msgspec.Struct, frozen=True):
    """A lease has failed. Its first ``received_bytes`` are in the file; ``crc`` covers the part up to their end."""

    lease: int
    received_bytes: int
    crc: int
    error: ErrorInfo


class Load(msgspec.Struct, frozen=True):
    """How busy a worker was since its last heartbeat.

    Attributes:
        share: of the time of one CPU that it has used.
        lag_s: how late its loop came to this heartbeat.
    """

    share: float
    lag_s: float


class Report(msgspec.Struct, tag=True, frozen=True):
    """What a worker has done since its last Report. Also the sign of life.

    Attributes:
        done, failed: leases that have ended.
        reached: (lease, bytes moved) of active ones.
        through: (lease, objects that have arrived) of batches among those.
        heads, ttfb_sum_s: replies of success that have begun, to GETs and to bodies; their times to first byte, summed.
        load: how busy the process was; in every Report of its heartbeat.
    """

    done: list[Done] = []
    failed: list[Failed] = []
    reached: list[tuple[int, int]] = []
    through: list[tuple[int, int]] = []
    heads: int = 0
    ttfb_sum_s: float = 0.0
    load: Load | None = None


class Landed(msgspec.Struct, frozen=True, array_like=True):
    """A small object is in its temp file, whole.

    Attributes:
        row: its place in the lease.
        inode, changed_ns: of the temp file, see ``disk.small_files``.
        private: only its owner may read it, as something has its name already.
        etag, promised: of the reply, and the checksum that it told.
        computed: the same of the bytes that came (base64), empty if it was not computed.
        mode: permission bits that the reply told, where they are preserved.
    """

    row: int
    inode: int
    changed_ns: int
    private: bool
    size_bytes: int
    etag: str
    promised: Checksum | None = None
    computed: str = ""
    mode: int | None = None


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """A small file is stored.

    Attributes:
        row, stored: its place in the lease, and the reply.
        checksum: that was sent (base64), empty for none.
    """

    row: int
    stored: Stored
    checksum: str = ""


class RowFailed(msgspec.Struct, frozen=True):
    """A small object could not be received, of which nothing is left; or a small file could not be sent."""

    row: int
    error: ErrorInfo


class BatchEnded(msgspec.Struct, tag=True, frozen=True):
    """A batch is let go. Objects that are not named were not begun, or were given up without a fault of their own.

    Attributes:
        error: why the batch ended before its last object.
        more: another frame about the same batch follows.
    """

    lease: int
    landed: list[Landed] = []
    sent: list[Sent] = []
    failed: list[RowFailed] = []
    error: ErrorInfo | None = None
    more: bool = False


ToWorker = Configure | UseConnections | UseCredentials | Leases | Release | Ask | TellRequests
FromWorker = Ready | Report | BatchEnded | Early | Answer | Told


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """First message to a forkserver: the settings of every worker.

    Attributes:
        given_keys: the coordinator gives the keys; no environment, file or SDK is to be asked for them.
    """

    settings: Settings
    given_keys: bool = False


class Fork(msgspec.Struct, tag=True, frozen=True):
    """Fork a worker; its socket comes along."""

    worker: int


class Forked(msgspec.Struct, tag=True, frozen=True):
    """A worker was forked; a pidfd of it comes along."""

    worker: int
    pid: int


class NotForked(msgspec.Struct, tag=True, frozen=True):
    """A worker could not be forked; ``errno`` is of the call that failed."""

    worker: int
    errno: int


EXIT_SHORTAGE = 71
"""Exit status of a worker that got no thread or no descriptor to begin with. Source: EX_OSERR of sysexits.h."""


class Exited(msgspec.Struct, tag=True, frozen=True):
    """A worker is dead and reaped. ``status``: its exit code, or minus the number of the signal that killed it."""

    worker: int
    status: int


ToForkserver = Prepare | Fork
FromForkserver = Forked | NotForked | Exited
