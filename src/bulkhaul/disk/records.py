"""Defines the format of an upload's journal: its records, and how they are read; ``disk.frames`` frames them.

order    Intent ─▶ Begun ─▶ PartSent* ─▶ Completing ─▶ Ended
"""

from __future__ import annotations

import msgspec

from bulkhaul.disk.frames import HEADER, Flaw, first_body, framed, torn_first, whole_bodies
from bulkhaul.model.files import SourceIdentity, SourceObject

VERSION = 1
"""Version of the format; a journal of another one is left alone."""


class Intent(msgspec.Struct, tag=True, frozen=True):
    """An upload is about to be created; first record of every journal.

    Attributes:
        token: goes into the object's metadata, and tells afterwards whether this upload made the object.
        source: the file that is uploaded, None for streams, which are never resumed, and for copies.
        algorithm: the checksum that was asked for.
        options_digest: of everything else that a resumed upload must have in common; never the options themselves.
        began_s: seconds since the epoch.
        copied: the object that is copied, None where none is, or it has no ETag to be recognised by.
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
    copied: SourceObject | None = None


class Begun(msgspec.Struct, tag=True, frozen=True):
    """The upload exists. A second one replaces the first, and its parts with it."""

    upload_id: str
    algorithm: str


class PartSent(msgspec.Struct, tag=True, frozen=True):
    """The service has acknowledged a part.

    Attributes:
        crc: of the upload's algorithm, 0 where there is none.
        source_crc: of what came from another service, by the algorithm of the object that is copied.
    """

    number: int
    etag: str
    crc: int
    size_bytes: int
    source_crc: int | None = None


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


_decoder = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


def frame(record: Record) -> bytes:
    """Return a record as it is written.

    Raises:
        LocalError: it is longer than any record may be.
    """
    return framed(_encoder.encode(record))


def read_frames(data: bytes) -> tuple[list[Record], int]:
    """Return the records that ``data`` begins with, up to the first that is not whole, and the bytes that they take.

    Raises:
        msgspec.ValidationError: a whole frame holds no record that this version knows.
    """
    bodies = list(whole_bodies(data))
    return [_decoder.decode(body) for body in bodies], sum(HEADER.size + len(body) for body in bodies)


def read_journal(data: bytes) -> tuple[JournalState | Flaw, int]:
    """Return what a journal says and how many bytes of it are whole; 0 with a flaw."""
    try:
        records, whole_bytes = read_frames(data)
    except msgspec.MsgspecError:
        return _flaw_of_unknown(data), 0
    if not records:
        return (Flaw.EMPTY if torn_first(data) else Flaw.FOREIGN), 0
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


class _Versioned(msgspec.Struct):
    """What every version of an Intent has."""

    type: str
    version: int


def _flaw_of_unknown(data: bytes) -> Flaw:
    """Tell a later format, whose frames are whole, from anything else."""
    try:
        first = msgspec.msgpack.decode(first_body(data), type=_Versioned)
    except msgspec.MsgspecError:
        return Flaw.FOREIGN
    return Flaw.VERSION if first.type == "Intent" and first.version != VERSION else Flaw.FOREIGN
