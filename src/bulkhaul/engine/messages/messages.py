"""The messages between coordinator, forkserver and workers, as tagged values; it must not know how they travel.

    coordinator ─▶ worker       Configure, UseCredentials, Leases (+ one descriptor a lease), Release, Ask (+ one), Stop
    worker ─▶ coordinator       Ready, Report, Answer
    coordinator ─▶ forkserver   Prepare, Fork (+ the worker's socket)
    forkserver ─▶ coordinator   Forked (+ a pidfd), NotForked, Exited

Each message is one msgpack frame of at most ``channel.MAX_FRAME_BYTES``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES
from bulkhaul.model.errors import ErrorInfo, UsageError
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import Bucket, Checksum, ObjectHead, PartChecksum
from bulkhaul.model.writing import (
    CopySource,
    NotDeleted,
    ObjectOptions,
    ObjectVersion,
    PendingUpload,
    Stored,
    UploadBegun,
    UploadedPart,
)
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
        version_id: of the object, empty for the current one.
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
    version_id: str = ""


class PutLease(msgspec.Struct, tag=True, frozen=True):
    """``[start, end)`` of the file whose descriptor comes with the message, to be sent as one body.

    Attributes:
        options: how a whole object is to be stored; a part has none.
        only_if_absent: the object must not exist yet.
        upload_id: with ``number`` a part of that upload, empty for a whole object.
        algorithm: checksum to send along, empty for none.
        unchanged: the state that the file must still be in when its last bytes leave, None for memory.
    """

    lease: int
    target: Target
    bucket: str
    key: str
    options: ObjectOptions | None
    only_if_absent: bool
    upload_id: str
    number: int
    start: int
    end: int
    algorithm: str
    unchanged: SourceIdentity | None


AnyLease = Lease | PutLease


class Leases(msgspec.Struct, tag=True, frozen=True):
    """New leases; one descriptor for each comes along, in the same order."""

    leases: list[AnyLease]


class Release(msgspec.Struct, tag=True, frozen=True):
    """Let go of a lease; its Report says how far it came."""

    lease: int


class Locate(msgspec.Struct, tag=True, frozen=True):
    """Where requests for a bucket go; the answer's target."""

    bucket: str


class Head(msgspec.Struct, tag=True, frozen=True):
    """HEAD of one object."""

    bucket: str
    key: str
    version_id: str = ""


class ListPage(msgspec.Struct, tag=True, frozen=True):
    """One page of a listing; an empty token asks for the first.

    Attributes:
        folder: stop at the next slash: the answer's ``prefixes`` name what lies below.
        max_keys: length of the page, 0 for the service's own.
    """

    bucket: str
    prefix: str
    token: str
    folder: bool = False
    max_keys: int = 0


class ListBuckets(msgspec.Struct, tag=True, frozen=True):
    """One page of the caller's buckets; an empty token asks for the first."""

    token: str = ""


class PartChecksums(msgspec.Struct, tag=True, frozen=True):
    """The parts that an object was uploaded in; an empty ``version_id`` asks for the current version."""

    bucket: str
    info: ObjectHead
    version_id: str = ""


FIRST_GENERATION = 1
"""Number of the credentials that an engine begins with; renewed ones count on."""


class Resolve(msgspec.Struct, tag=True, frozen=True):
    """Ask the SDK's credential chain; one worker is asked for all."""

    generation: int


class Read(msgspec.Struct, tag=True, frozen=True):
    """``[start, end)`` of an object, or all of it with -1, into the memory whose descriptor comes along."""

    target: Target
    bucket: str
    key: str
    start: int = 0
    end: int = -1


class PutSmall(msgspec.Struct, tag=True, frozen=True):
    """Store a few bytes by one PUT that promises whatever is said here; answered by Stored.

    Attributes:
        algorithm, checksum: sent along as they are, right or wrong; empty for none.
    """

    bucket: str
    key: str
    body: bytes
    algorithm: str = ""
    checksum: str = ""
    only_if_absent: bool = False


class CreateUpload(msgspec.Struct, tag=True, frozen=True):
    """Begin a multipart upload; answered by UploadBegun."""

    bucket: str
    key: str
    options: ObjectOptions
    algorithm: str
    token: str


class ListParts(msgspec.Struct, tag=True, frozen=True):
    """One page of the parts of an upload, after part ``marker``."""

    bucket: str
    key: str
    upload_id: str
    marker: int = 0


class CompleteUpload(msgspec.Struct, tag=True, frozen=True):
    """Make an object of the parts in the payload, a list of UploadedPart; answered by Stored."""

    bucket: str
    key: str
    upload_id: str
    size_bytes: int
    algorithm: str
    checksum: str


class AbortUpload(msgspec.Struct, tag=True, frozen=True):
    """Give an upload up; one that is gone already is no error."""

    bucket: str
    key: str
    upload_id: str


class ListUploads(msgspec.Struct, tag=True, frozen=True):
    """One page of the uploads that are pending."""

    bucket: str
    prefix: str
    key_marker: str = ""
    id_marker: str = ""


class CopyPart(msgspec.Struct, tag=True, frozen=True):
    """Copy ``[start, end)`` of an object as a part of an upload; answered by UploadedPart."""

    bucket: str
    key: str
    upload_id: str
    number: int
    source: CopySource
    start: int
    end: int


class CopyObject(msgspec.Struct, tag=True, frozen=True):
    """Copy a whole object; without options it keeps its own. Answered by Stored."""

    bucket: str
    key: str
    source: CopySource
    options: ObjectOptions | None = None
    storage_class: str = ""


class Delete(msgspec.Struct, tag=True, frozen=True):
    """Delete one object or one version of it; what is not there is no error. ``etag``: only if it has this one."""

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""


class DeleteMany(msgspec.Struct, tag=True, frozen=True):
    """Delete up to 1,000 keys in the payload, a list of Doomed; the answer's ``not_deleted`` names the others."""

    bucket: str


class ListVersions(msgspec.Struct, tag=True, frozen=True):
    """One page of the versions of objects."""

    bucket: str
    prefix: str
    key_marker: str = ""
    version_marker: str = ""


class Tags(msgspec.Struct, tag=True, frozen=True):
    """The tags of one object."""

    bucket: str
    key: str
    version_id: str = ""


class Presign(msgspec.Struct, tag=True, frozen=True):
    """A URL that fetches one object without credentials for a while."""

    bucket: str
    key: str
    ttl_s: int
    version_id: str = ""


class BucketRegion(msgspec.Struct, tag=True, frozen=True):
    """The region of a bucket."""

    bucket: str


Question = (
    Locate
    | Head
    | ListBuckets
    | ListPage
    | PartChecksums
    | Resolve
    | Read
    | PutSmall
    | CreateUpload
    | ListParts
    | CompleteUpload
    | AbortUpload
    | ListUploads
    | CopyPart
    | CopyObject
    | Delete
    | DeleteMany
    | ListVersions
    | Tags
    | Presign
    | BucketRegion
)


QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
LEASES: msgspec.msgpack.Decoder[AnyLease] = msgspec.msgpack.Decoder(AnyLease)

LONGEST_BYTES = MAX_FRAME_BYTES - 1024
"""Longest question or lease: leaves room for what a frame holds besides."""


def require_sound(value: object, reader: msgspec.msgpack.Decoder[Any], subject: str) -> int:
    """Make sure that a worker will be able to read a value: it would die of one that it cannot, and so would the next.

    Args:
        reader: reads values of the right type.

    Returns:
        Its encoded length in bytes.

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


SLOW_QUESTIONS = (CompleteUpload, CopyObject, CopyPart, DeleteMany)
"""Questions that a service may work on for minutes: they have threads of their own, as many as connections."""

ENDING_QUESTIONS = (AbortUpload, ListParts)
"""Questions that every upload of an engine that ends may ask at once: they do not stand in line behind others."""


UNSENT_QUESTIONS = (Resolve, Presign)
"""Questions that a worker answers without asking the service."""


WITH_PAYLOAD = (Read, CompleteUpload, DeleteMany)
"""Questions that memory goes along with."""


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


class Answer(msgspec.Struct, tag=True, frozen=True, omit_defaults=True):
    """Part of the answer to a question; ``last`` ends it. Long lists come in several.

    Attributes:
        objects, prefixes, buckets, parts, uploaded, uploads, versions, not_deleted: items of whatever was asked for.
        markers: where the next page begins, empty on the last one. A frame that is not the last may tell it early.
        begun, stored, copied: the outcome of a write.
        tags, text: the outcome of a small question.
    """

    ask: int
    last: bool = True
    error: ErrorInfo | None = None
    objects: list[ObjectHead] = []
    prefixes: list[str] = []
    buckets: list[Bucket] = []
    parts: list[PartChecksum] = []
    uploaded: list[UploadedPart] = []
    uploads: list[PendingUpload] = []
    versions: list[ObjectVersion] = []
    not_deleted: list[NotDeleted] = []
    markers: tuple[str, ...] = ()
    begun: UploadBegun | None = None
    stored: Stored | None = None
    copied: UploadedPart | None = None
    tags: dict[str, str] = {}
    text: str = ""
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


class NotForked(msgspec.Struct, tag=True, frozen=True):
    """A worker could not be forked. ``errno``: why the operating system refused."""

    worker: int
    errno: int


EXIT_SHORTAGE = 71
"""Exit status of a worker that got no thread or no descriptor to begin with. Source: EX_OSERR of sysexits.h."""


class Exited(msgspec.Struct, tag=True, frozen=True):
    """A worker is dead and reaped. ``status``: exit code, or minus the number of the signal."""

    worker: int
    status: int


ToForkserver = Prepare | Fork
FromForkserver = Forked | NotForked | Exited
