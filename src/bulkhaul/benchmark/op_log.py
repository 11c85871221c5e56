"""Reads and writes op-logs: one line of tab-separated values a request, as warp keeps them, compressed by zstd or not.

    idx thread op client_id n_objects bytes endpoint file error start first_byte last_byte end duration_ns cat

Other columns are passed over, and those that older logs lack are taken as empty. Lines that begin with ``#`` are
comments: warp writes its command line so. Nothing but the line at hand is in memory.

Source: minio/warp, pkg/bench/ops.go (``Operations.CSV``, ``StreamOperationsFromCSV``), pkg/bench/csv.go.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bulkhaul.benchmark.extra import require
from bulkhaul.disk.oserrors import read_error
from bulkhaul.disk.whole_files import whole_file
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.nanoseconds import read_instant, write_instant

COLUMNS = (
    *("idx", "thread", "op", "client_id", "n_objects", "bytes", "endpoint", "file", "error"),
    *("start", "first_byte", "last_byte", "end", "duration_ns", "cat"),
)
"""In the order in which they are written."""

_FIELDS = (
    *("thread", "op", "client_id", "n_objects", "bytes", "endpoint", "file", "error"),
    *("start", "first_byte", "last_byte", "end"),
)
"""Those that an ``Op`` has, in its order."""

_NEEDED = ("op", "bytes", "start", "end")

_LEVEL = 3
"""Of compression. The one that zstd takes by itself."""

_MAGIC = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins. Source: RFC 8878, section 3.1.1."""

_READ_BYTES = 256
"""Compressed bytes that are unpacked at once: of a block of 128 KiB that repeats one byte, zstd keeps four bytes."""

_LINE_BYTES = 1 << 20
"""A longer line is none of an op-log."""


class Op(NamedTuple):
    """One request.

    Attributes:
        op: ``GET``, ``PUT``, ``STAT``, ``LIST``, ``DELETE``; warp has others, too.
        objects: that it was about; of a listing, how many were listed.
        size_bytes: of its body.
        file: key of the object, or prefix of a listing.
        error: empty if there was none.
        start_ns, end_ns: since the epoch.
        first_byte_ns: of the reply; 0 if nobody knows.
        last_byte_ns: of what was sent; 0 likewise.
    """

    thread: int
    op: str
    client_id: str
    objects: int
    size_bytes: int
    endpoint: str
    file: str
    error: str
    start_ns: int
    first_byte_ns: int
    last_byte_ns: int
    end_ns: int


def write(path: Path, ops: Iterable[Op], comment: str = "") -> int:
    """Write an op-log, compressed if its name ends with ``.zst``; return how many requests it holds.

    It has its name when it is whole.

    Args:
        comment: goes behind the requests, as ``# `` lines.

    Raises:
        UsageError: zstandard is needed, and not installed.
        LocalError: the disk refuses.
    """
    count = 0
    with contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(whole_file(str(path)))
        if path.suffix == ".zst":
            require("zstandard")
            import zstandard

            file = stack.enter_context(zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file))
        text = stack.enter_context(io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="\n"))
        text.write("\t".join(COLUMNS) + "\n")
        for number, op in enumerate(ops):
            text.write(_line(number, op))
            count = number + 1
        for line in comment.splitlines():
            text.write(f"# {line}\n")
    return count


def _line(number: int, op: Op) -> str:
    first, last = (write_instant(instant) if instant else "" for instant in (op.first_byte_ns, op.last_byte_ns))
    texts = (op.op, op.client_id, str(op.objects), str(op.size_bytes), op.endpoint, op.file, op.error)
    instants = (write_instant(op.start_ns), first, last, write_instant(op.end_ns), str(op.end_ns - op.start_ns))
    return "\t".join((str(number), str(op.thread), *map(_escaped, texts), *instants, "0")) + "\n"


def _escaped(text: str) -> str:
    """Return a field as a reader of comma-separated values takes it."""
    if text == "\\." or any(sign in text for sign in '\t"\r\n') or text[:1].isspace():
        return '"' + text.replace('"', '""') + '"'
    return text


def read(path: Path) -> Iterator[Op]:
    """Yield the requests of an op-log, in its order.

    Raises:
        UsageError: it is no op-log, is cut off, or zstandard is needed and not installed.
        LocalError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_MAGIC)) == _MAGIC
            file.seek(0)
            yield from _ops(
                path, _lines(path, _plain(path, file) if compressed else iter(lambda: file.read(65536), b""))
            )
    except OSError as error:
        raise read_error(error, str(path)) from error


def _plain(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield what a compressed file holds, of all its frames."""
    require("zstandard")
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    fresh = True  # nothing of this frame was read
    try:
        while data := file.read(_READ_BYTES):
            while data:
                fresh = False
                yield frame.decompress(data)
                data = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame, fresh = zstandard.ZstdDecompressor().decompressobj(), True
    except zstandard.ZstdError as error:
        raise UsageError("what is compressed here cannot be read", str(path), str(error)) from error
    if not fresh:
        raise UsageError("the op-log is cut off: its compression has no end", str(path))


def _lines(path: Path, chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield lines with their ends."""
    left = b""
    for chunk in chunks:
        data, start = left + chunk, 0
        while end := data.find(b"\n", start) + 1:
            yield data[start:end].decode("utf-8", "surrogateescape")
            start = end
        left = data[start:]
        if len(left) > _LINE_BYTES:
            raise UsageError("this is no op-log: it has a line of more than 1 MiB", str(path))
    if left:
        yield left.decode("utf-8", "surrogateescape")


class _Uncommented:
    """Lines without comments; a line within a quoted field is none, whatever it begins with."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0
        self.between = True  # rows

    def __iter__(self) -> _Uncommented:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            self.number += 1
            if not (self.between and line.startswith("#")):
                self.between = False
                return line
        raise StopIteration


def _ops(path: Path, lines: Iterator[str]) -> Iterator[Op]:
    uncommented = _Uncommented(lines)
    rows = csv.reader(uncommented, delimiter="\t")
    width, pick = 0, None
    try:
        for row in rows:
            uncommented.between = True
            if not row:
                continue
            if pick is None:
                width = len(row)
                if missing := [name for name in _NEEDED if name not in row]:
                    text = f"this is no op-log: its first line names no column {', '.join(missing)}"
                    raise UsageError(text, str(path))
                pick = itemgetter(*(row.index(name) if name in row else width for name in _FIELDS))
            elif len(row) != width:
                raise ValueError(f"it has {len(row)} columns, not {width}")
            else:
                yield _op(*pick([*row, ""]))  # a column that is not there is empty
    except (ValueError, csv.Error) as error:
        raise UsageError(f"line {uncommented.number} is no request of an op-log", str(path), str(error)) from error
    if pick is None:
        raise UsageError("this is no op-log: it is empty", str(path))


def _op(
    thread: str,
    name: str,
    client_id: str,
    objects: str,
    size: str,
    endpoint: str,
    file: str,
    error: str,
    start: str,
    first: str,
    last: str,
    end: str,
) -> Op:
    size_bytes, start_ns, end_ns = int(size), read_instant(start), read_instant(end)
    if size_bytes < 0:
        raise ValueError("its body has less than no bytes")
    if end_ns < start_ns:
        raise ValueError("it ends before it begins")
    counts = int(objects or 1), size_bytes
    first_ns, last_ns = read_instant(first) if first else 0, read_instant(last) if last else 0
    instants = start_ns, first_ns, last_ns, end_ns
    return Op(int(thread or 0), name, client_id, *counts, endpoint, file, error, *instants)


__all__ = ["COLUMNS", "Op", "read", "write"]
