"""The messages between coordinator, forkserver and workers, as tagged values; it must not know how they travel.

    coordinator ─▶ worker       Configure, UseCredentials, Leases (+ one descriptor a lease), Release, Ask (+ one), Stop
    worker ─▶ coordinator       Ready, Report, Early, Answer
    coordinator ─▶ forkserver   Prepare, Fork (+ the worker's socket)
    forkserver ─▶ coordinator   Forked (+ a pidfd), NotForked, Exited

Each message is one msgpack frame of at most ``channel.MAX_FRAME_BYTES``. Requests to the service are in ``requests``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES
from bulkhaul.engine.messages.requests import Answer, Ask, Early
from bulkhaul.model.errors import ErrorInfo, UsageError
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import Checksum
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions, Stored
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest


class Configure(msgspec.Struct, tag=True, frozen=True):
    """First message to a worker: how many connections it may have."""

    connections: int


class UseCredentials(msgspec.Struct, tag=True, frozen=True):
    """Sign with these from now on; None sends requests unsigned."""

    credentials: Credentials | None


class GetLease(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Bytes of an object, to be received into the file whose descriptor comes with the message.

    Attributes:
        base: the byte of the object that is the file's first one.
        mapped: receive into a mapped window, else write.
        algorithm: checksum to go on with from ``crc``, empty for none.
    """

    lease: int = 0
    request: GetRequest
    base: int = 0
    mapped: bool
    algorithm: str
    crc: int = 0


class PutLease(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """``[start, end)`` of the file whose descriptor comes with the message, to be sent as one body.

    Attributes:
        request: still without the headers that a worker makes of the following.
        options: how a whole object is to be stored; a part has none.
        only_if_absent: the object must not exist yet.
        algorithm: checksum to send along, empty for none.
        unchanged: the state that the file must still be in when its last bytes leave, None for memory.
    """

    lease: int = 0
    request: PutRequest
    options: ObjectOptions | None = None
    only_if_absent: bool = False
    algorithm: str
    start: int
    end: int
    unchanged: SourceIdentity | None = None


AnyLease = GetLease | PutLease


class Leases(msgspec.Struct, tag=True, frozen=True):
    """New leases; one descriptor for each comes along, in the same order."""

    leases: list[AnyLease]


class Release(msgspec.Struct, tag=True, frozen=True):
    """Let go of a lease; its Report says how far it came."""

    lease: int


LEASES: msgspec.msgpack.Decoder[AnyLease] = msgspec.msgpack.Decoder(AnyLease)

LONGEST_BYTES = MAX_FRAME_BYTES - 1024
"""Longest request or lease: leaves room for what a frame holds besides."""


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


ToWorker = Configure | UseCredentials | Leases | Release | Ask | Stop
FromWorker = Ready | Report | Early | Answer


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """First message to a forkserver: how workers will speak to the service; it makes their boto3 client ready."""

    settings: Settings


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
