"""Keeps the records of benchmarks in the state folder: what was stored where, and by which process."""

from __future__ import annotations

import contextlib
import os

import msgspec

from bulkhaul.disk.state import state_folder, state_path, with_remedy
from bulkhaul.disk.whole_files import whole_file
from bulkhaul.model.errors import LocalError
from bulkhaul.model.workloads import ObjectTable

KIND = "benchmarks"
"""The folder of records in the state folder."""


class Record(msgspec.Struct, frozen=True):
    """What a benchmark has stored, or is about to store.

    Attributes:
        prefix: everything is below it.
        prepared: it was made for several runs, and is deleted only by ``clean``.
        names: of objects below the prefix that are not named by the table.
        process: that fills it, or measures there (see ``processes``); empty of what is prepared and full.
        made_s: Unix time.
    """

    endpoint: str
    bucket: str
    prefix: str
    table: ObjectTable
    size: str
    most_bytes: int
    prepared: bool
    made_s: float
    names: frozenset[str] = frozenset()
    process: str = ""

    @property
    def url(self) -> str:
        """The URL of the prefix."""
        return f"s3://{self.bucket}/{self.prefix}"


_RECORDS: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def decoded(data: bytes) -> Record:
    """Return the record that was stored in a bucket.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _RECORDS.decode(data)


def keep(record: Record, state_dir: str | None) -> None:
    """Write a record, and wait until the disk has it: whatever is stored in the bucket is known from now on.

    Raises:
        LocalError: it cannot be kept; an earlier one of the prefix is there still.
    """
    try:
        with whole_file(_path(record, state_folder(state_dir, KIND)), lasting=True, mode=0o600) as file:
            file.write(msgspec.json.encode(record))
    except LocalError as error:
        raise with_remedy(error) from error


def forget(record: Record, state_dir: str | None) -> None:
    """Remove a record."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(record, state_path(state_dir, KIND)))


def kept(state_dir: str | None) -> list[Record]:
    """Return the records that this machine keeps; a file that is none is left alone."""
    folder = state_path(state_dir, KIND)
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(name for name in os.listdir(folder) if not name.startswith(".")):  # those are half-written
            with contextlib.suppress(OSError, msgspec.MsgspecError), open(os.path.join(folder, name), "rb") as file:
                found.append(_RECORDS.decode(file.read()))
    return found


def _path(record: Record, folder: str) -> str:
    return os.path.join(folder, f"{record.prefix.rstrip('/').rpartition('/')[2]}.json")
