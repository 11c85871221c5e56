"""Defines the format of a download's journal: its records, and how they are read; ``disk.frames`` frames them.

    order    Plan ─▶ Allocated ─▶ PartArrived* ─▶ DataSynced ─▶ … ─▶ Verified ─▶ Published
    Rebooted    another boot of the machine goes on from here

What a record claims of a part is a hint where to look: only the checksum of the bytes in the file counts.
"""

from __future__ import annotations

import msgspec

from bulkhaul.disk.frames import HEADER, Flaw, first_body, framed, torn_first, whole_bodies
from bulkhaul.model.structs import learnt

VERSION = 1
"""Version of the format; a journal of another one is left alone."""


class Wanted(msgspec.Struct, frozen=True):
    """What a download must have in common with an earlier one to go on with it.

    Attributes:
        version_id, etag: as the service tells them; without an ETag no download is resumed.
        part_size_bytes, cuts: how the object is cut; ``cuts`` is a digest of irregular cuts, empty for regular ones.
        algorithm: whose checksums the parts have.
    """

    endpoint: str
    bucket: str
    key: str
    version_id: str
    etag: str
    size_bytes: int
    part_size_bytes: int
    cuts: str
    algorithm: str


class Plan(msgspec.Struct, tag=True, frozen=True):
    """A temp file was made for a download; first record of every journal.

    Attributes:
        temp: its name, in the folder of the journal; of every version.
        destination: the name that it gets.
        device: compared within one boot only: those of network and stacked file systems are given out anew.
        boot: which boot of the machine this is.
        began_s: seconds since the epoch.
    """

    version: int
    temp: str
    destination: str
    device: int
    inode: int
    boot: str
    began_s: float
    wanted: Wanted


class Allocated(msgspec.Struct, tag=True, frozen=True):
    """The temp file has its length. ``mapped``: it has every block, and workers may map it."""

    mapped: bool


class PartArrived(msgspec.Struct, tag=True, frozen=True):
    """A part is in the temp file, and its bytes had this checksum when they came."""

    number: int
    crc: int
    size_bytes: int


class DataSynced(msgspec.Struct, tag=True, frozen=True):
    """The first ``parts`` records of parts in this journal survive a power failure."""

    parts: int


class Rebooted(msgspec.Struct, tag=True, frozen=True):
    """The machine was started anew; records that follow are of this boot."""

    boot: str


class Verified(msgspec.Struct, tag=True, frozen=True):
    """The whole has the checksum that the service promised, where it promised one."""


class Published(msgspec.Struct, tag=True, frozen=True):
    """The destination has the object: there is nothing left to do but to remove the journal."""


Record = Plan | Allocated | PartArrived | DataSynced | Rebooted | Verified | Published


class DownloadState(msgspec.Struct, frozen=True):
    """What a journal says of its download.

    Attributes:
        parts: every record of a part, in order, with the boot in which it was written.
        synced: how many of them survive a power failure.
        boot: the last one that has written here.
        mapped: see ``Allocated``; None until the temp file has its length.
        published: there is nothing left to do.
    """

    plan: Plan
    parts: tuple[tuple[PartArrived, str], ...]
    synced: int
    boot: str
    mapped: bool | None
    published: bool

    def trusted(self, boot: str) -> dict[int, PartArrived]:
        """Return the parts worth looking at, by number: those of this boot, and of earlier ones what was synced."""
        return {
            part.number: part
            for at, (part, written_in) in enumerate(self.parts)
            if at < self.synced or (boot and written_in == boot)
        }


_decoder = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


def frame(record: Record) -> bytes:
    """Return a record as it is written.

    Raises:
        LocalError: it is longer than any record may be.
    """
    return framed(_encoder.encode(record))


def read_journal(data: bytes) -> tuple[DownloadState | Flaw, int]:
    """Return what a journal says and how many bytes of it are whole; 0 with a flaw."""
    bodies = list(whole_bodies(data))
    try:
        records = [_decoder.decode(body) for body in bodies]
    except msgspec.MsgspecError:
        first = first_record(data)
        return (Flaw.FOREIGN if first is None or first.version == VERSION else Flaw.VERSION), 0
    if not records:
        return (Flaw.EMPTY if torn_first(data) else Flaw.FOREIGN), 0
    if not isinstance(plan := records[0], Plan):
        return Flaw.FOREIGN, 0
    if plan.version != VERSION:
        return Flaw.VERSION, 0
    return _state(plan, records[1:]), sum(HEADER.size + len(body) for body in bodies)


class FirstRecord(msgspec.Struct, tag="Plan", frozen=True):
    """What every version of a Plan has."""

    version: int
    temp: str


learnt(FirstRecord)


def first_record(data: bytes) -> FirstRecord | None:
    """Return the Plan of whatever version that a journal begins with, None if there is none."""
    try:
        return msgspec.msgpack.decode(first_body(data), type=FirstRecord)
    except msgspec.MsgspecError:
        return None


def _state(plan: Plan, records: list[Record]) -> DownloadState:
    parts: list[tuple[PartArrived, str]] = []
    synced, boot, published = 0, plan.boot, False
    mapped: bool | None = None
    for record in records:
        match record:
            case Allocated():
                mapped = record.mapped
            case PartArrived():
                parts.append((record, boot))
            case DataSynced():
                synced = max(synced, min(record.parts, len(parts)))
            case Rebooted():
                boot = record.boot
            case Published():
                published = True
    return DownloadState(plan, tuple(parts), synced, boot, mapped, published)
