"""Defines the format of an upload's journal: its records, their frames, and how they are read.

    frame    length u32 LE │ crc32 u32 LE over length and body │ body: msgpack, tagged
    order    Intent ─▶ Begun ─▶ PartSent* ─▶ Completing ─▶ Ended

Reading stops at the first frame that is not whole: what follows it was never flushed.
"""

from __future__ import annotations

import struct
import zlib
from enum import Enum

import msgspec

from bulkhaul.model.errors import LocalError
from bulkhaul.model.files import SourceIdentity

VERSION = 1
"""Version of the format; a journal of another one is left alone."""

MAX_BODY_BYTES = 64 * 1024
"""Longest body. The longest record is an Intent: a key has at most 1024 bytes (S3 User Guide, "Naming objects")."""

_HEADER = struct.Struct("<II")


class Intent(msgspec.Struct, tag=True, frozen=True):
    """An upload is about to be created; first record of every journal.

    Attributes:
        token: goes into the object's metadata, and tells afterwards whether this upload made the object.
        source: the file that is uploaded, None for streams and copies, which are never resumed.
        algorithm: the checksum that was asked for.
        options_digest: of everything else that a resumed upload must have in common; never the options themselves.
        began_s: seconds since the epoch.
    """

    version: int
    endpoint: str
    bucket: str
    key: str
    token: str
    source: SourceIdentity | None
    part_size_bytes: int
    algorithm: str
    options_digest: str
    began_s: float


class Begun(msgspec.Struct, tag=True, frozen=True):
    """The upload exists. A second one replaces the first, and its parts with it."""

    upload_id: str
    algorithm: str


class PartSent(msgspec.Struct, tag=True, frozen=True):
    """The service has acknowledged a part. ``crc``: of the upload's algorithm, 0 where there is none."""

    number: int
    etag: str
    crc: int
    size_bytes: int


class Completing(msgspec.Struct, tag=True, frozen=True):
    """Complete may have been sent from here on: only the token tells whether it arrived."""


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The upload was completed or aborted, only its journal could not be removed."""


Record = Intent | Begun | PartSent | Completing | Ended


class JournalState(msgspec.Struct, frozen=True):
    """What a journal says of its upload.

    Attributes:
        upload_id: empty if it was never begun, or its name was lost: then only the key tells of it.
        algorithm: the checksum that the service said it will keep, before that the one asked for.
        parts: by number; the last record of a number wins.
        completing: the object may exist already.
        ended: there is nothing left to do.
    """

    intent: Intent
    upload_id: str
    algorithm: str
    parts: dict[int, PartSent]
    completing: bool
    ended: bool = False


class Flaw(Enum):
    """Why a journal has no state.

    ``EMPTY``: not even its Intent was written in full, so no upload was begun.
    ``FOREIGN``: it does not begin with an Intent, or with a damaged one that more follows.
    ``VERSION``: another version of bulkhaul has written it.
    ``UNREADABLE``: the operating system refuses.
    """

    EMPTY = "its first record was never written in full"
    FOREIGN = "not a journal of an upload, or damaged beyond reading"
    VERSION = "written by another version of bulkhaul"
    UNREADABLE = "it cannot be opened or read"


_decoder = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


def frame(record: Record) -> bytes:
    """Return a record as it is written.

    Raises:
        LocalError: it is longer than any record may be.
    """
    body = _encoder.encode(record)
    if len(body) > MAX_BODY_BYTES:
        raise LocalError(f"a record of {len(body)} bytes is too long for the journal of an upload")
    return _HEADER.pack(len(body), _crc(len(body), body)) + body


def read_frames(data: bytes) -> tuple[list[Record], int]:
    """Return the records that ``data`` begins with, up to the first that is not whole, and the bytes that they take.

    Raises:
        msgspec.ValidationError: a whole frame holds no record that this version knows.
    """
    records: list[Record] = []
    at = 0
    while (body := _whole_body(data, at)) is not None:
        records.append(_decoder.decode(body))
        at += _HEADER.size + len(body)
    return records, at


def read_journal(data: bytes) -> tuple[JournalState | Flaw, int]:
    """Return what a journal says and how many bytes of it are whole; 0 with a flaw."""
    try:
        records, whole_bytes = read_frames(data)
    except msgspec.MsgspecError:
        return _flaw_of_unknown(data), 0
    if not records:
        return (Flaw.EMPTY if _torn_intent(data) else Flaw.FOREIGN), 0
    if not isinstance(intent := records[0], Intent):
        return Flaw.FOREIGN, 0
    if intent.version != VERSION:
        return Flaw.VERSION, 0
    return _state(intent, records[1:]), whole_bytes


def _state(intent: Intent, records: list[Record]) -> JournalState:
    begun = Begun("", intent.algorithm)
    parts: dict[int, PartSent] = {}
    completing = ended = False
    for record in records:
        match record:
            case Begun():
                begun, parts, completing = record, {}, False
            case PartSent():
                parts[record.number] = record
            case Completing():
                completing = True
            case Ended():
                ended = True
    return JournalState(intent, begun.upload_id, begun.algorithm, parts, completing, ended)


def _whole_body(data: bytes, at: int) -> bytes | None:
    if len(data) - at < _HEADER.size:
        return None
    length, crc = _HEADER.unpack_from(data, at)
    body = data[at + _HEADER.size : at + _HEADER.size + length]
    return body if length == len(body) and crc == _crc(length, body) else None


def _crc(length: int, body: bytes) -> int:
    # With the length in it, a tail of zeros (a file that grew before its data was written) is no empty frame.
    return zlib.crc32(body, zlib.crc32(length.to_bytes(4, "little")))


def _torn_intent(data: bytes) -> bool:
    """Whether ``data`` is what a crash leaves of a first record, with nothing after it."""
    if len(data) < _HEADER.size or not any(data):
        return True
    length: int = _HEADER.unpack_from(data)[0]
    return length <= MAX_BODY_BYTES and len(data) <= _HEADER.size + length


class _Versioned(msgspec.Struct):
    """What every version of an Intent has."""

    type: str
    version: int


def _flaw_of_unknown(data: bytes) -> Flaw:
    """Tell a later format, whose frames are whole, from anything else."""
    try:
        first = msgspec.msgpack.decode(_whole_body(data, 0) or b"", type=_Versioned)
    except msgspec.MsgspecError:
        return Flaw.FOREIGN
    return Flaw.VERSION if first.type == "Intent" and first.version != VERSION else Flaw.FOREIGN
