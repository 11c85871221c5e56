"""Packs rows into files of a job, and reads them back: JSON Lines in one gzip member, checked line by line."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from bulkhaul.model.errors import DamagedJob
from bulkhaul.model.limits import MIB

Value = TypeVar("Value")

MAX_TEXT_BYTES: Final = 256 * MIB
"""Most text in one file: 10,000 rows with two keys of 1,024 bytes and a long error each are a tenth of it."""

_LEVEL: Final = 6
"""gzip's own default; a shard of 10,000 rows takes a twentieth of a second."""

_encoder = msgspec.json.Encoder()

_learning = threading.Lock()
"""Held while msgspec learns a Struct: see ``model.structs``."""


def pack(rows: Iterable[object]) -> bytes:
    """Return the rows as one file; equal rows make equal bytes."""
    return gzip.compress(_encoder.encode_lines(rows), _LEVEL, mtime=0)


def unpack(data: bytes, read: Callable[[bytes], Value], file: str) -> list[Value]:
    """Return the rows of a file, in its order.

    Args:
        read: decodes a line.
        file: its name, for errors.

    Raises:
        DamagedJob: it ends early, is no gzip, too long, or a line of it is no such row; the message names line and
            field.
    """
    rows = unpack_whole(data, read, file)
    if rows is None:
        raise DamagedJob("it ends early", file)
    return rows


def unpack_whole(data: bytes, read: Callable[[bytes], Value], file: str) -> list[Value] | None:
    """Return the rows of a file, None if it ends before its data does, as after a crash of the whole machine.

    Raises:
        DamagedJob: as for ``unpack``.
    """
    text = _text(data, file)
    if text is None:
        return None
    *lines, rest = text.split(b"\n")
    if rest:
        raise DamagedJob(f"line {len(lines) + 1} has no end", file)
    rows: list[Value] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(read(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DamagedJob(f"line {number} cannot be a row: {error}", file) from error
    return rows


def decode(data: bytes, kind: type[Value], file: str) -> Value:
    """Return the one value of a JSON file.

    Raises:
        DamagedJob: it is none of this kind; the message names the field.
    """
    with _learning:
        decoder = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedJob(f"it cannot be read: {error}", file) from error


def encode(value: object) -> bytes:
    """Return a value as a JSON file, for people too."""
    return msgspec.json.format(_encoder.encode(value), indent=2) + b"\n"


def _text(data: bytes, file: str) -> bytes | None:
    unpacking = zlib.decompressobj(wbits=31)  # gzip with its header and CRC
    try:
        text = unpacking.decompress(data, MAX_TEXT_BYTES)
    except zlib.error as error:
        raise DamagedJob("it is no gzip file, or its bytes changed", file, str(error)) from error
    if unpacking.unconsumed_tail:
        raise DamagedJob(f"it unpacks to more than {MAX_TEXT_BYTES} bytes", file)
    if not unpacking.eof:
        return None
    if unpacking.unused_data:
        raise DamagedJob("something follows its end", file)
    return text
