"""Reads workloads from files: our own in TOML, and those of aws-crt-s3-benchmarks (``.run.json``, version 2).

Source: awslabs/aws-crt-s3-benchmarks, workloads/README.md, "Specification: .run.json"; runners print what
``crt_line`` returns.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal, NoReturn

import msgspec

from bulkhaul.benchmark.workload import checked
from bulkhaul.disk.oserrors import read_error
from bulkhaul.model.errors import UsageError
from bulkhaul.model.structs import learnt
from bulkhaul.model.workloads import OPERATIONS, Workload

CRT_SUFFIX = ".run.json"

CRT_VERSION = 2

_MOST_FILE_BYTES = 256 << 20
"""A longer file is no workload: the largest of aws-crt-s3-benchmarks have a few MB."""

_PLACE = re.compile(r" - at `\$\.?(.*)`$")


class CrtTask(msgspec.Struct, frozen=True):
    """One transfer.

    Attributes:
        key: of the object; with files on disk, the path of the file, too, below the folder of all.
    """

    action: Literal["upload", "download"]
    key: str
    size: int


class CrtWorkload(msgspec.Struct, frozen=True, rename="camel"):
    """What a ``.run.json`` file holds; names are its own.

    Attributes:
        files_on_disk: files are read and written; else bytes come from memory and go nowhere.
        checksum: that uploads must have and downloads must check; None for any.
        max_repeat_count: runs at most.
        max_repeat_secs: when so much time is over, no run is begun.
    """

    version: int
    comment: str
    files_on_disk: bool
    checksum: Literal["CRC32", "CRC32C", "SHA1", "SHA256"] | None
    max_repeat_count: int
    max_repeat_secs: int
    tasks: tuple[CrtTask, ...]

    @property
    def bytes_per_run(self) -> int:
        """What one run moves."""
        return sum(task.size for task in self.tasks)


class _Versioned(msgspec.Struct):
    """What is looked at first: other versions have other fields."""

    version: int


learnt(_Versioned, CrtWorkload, Workload)


def read_workload(path: Path) -> Workload:
    """Return the workload of a TOML file, which holds the fields of ``Workload``.

    Raises:
        UsageError: it is no TOML, or a field is unknown or makes no sense; the message names it.
        LocalError: it cannot be read.
    """
    try:
        fields = tomllib.loads(_content(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("this file is no TOML", str(path), str(error)) from error
    _require_known(path, "field", fields, Workload.__struct_fields__)
    if isinstance(mix := fields.get("mix"), dict):
        _require_known(path, "operation in mix", mix, OPERATIONS)
    try:
        return checked(msgspec.convert(fields, Workload))
    except msgspec.ValidationError as error:
        _refuse(path, error)
    except UsageError as error:
        raise UsageError(error.message, str(path)) from error


def read_crt_workload(path: Path) -> CrtWorkload:
    """Return the workload of a ``.run.json`` file.

    Raises:
        UsageError: it is none, or of another version; the message names the field.
        LocalError: it cannot be read.
    """
    data = _content(path)
    try:
        version = msgspec.json.decode(data, type=_Versioned).version
        if version != CRT_VERSION:
            raise UsageError(
                f"it has version {version}; only version {CRT_VERSION} of such workloads is known", str(path)
            )
        workload = msgspec.json.decode(data, type=CrtWorkload)
    except msgspec.ValidationError as error:
        _refuse(path, error)
    except msgspec.DecodeError as error:
        raise UsageError("this file is no JSON", str(path), str(error)) from error
    if not workload.tasks:
        raise UsageError("tasks: there are none", str(path))
    if workload.max_repeat_count < 1:
        raise UsageError("maxRepeatCount: it must be 1 or more", str(path))
    for number, task in enumerate(workload.tasks):
        parts = PurePosixPath(task.key).parts
        if not parts or parts[0] == "/" or ".." in parts:
            text = f"tasks[{number}].key: {task.key!r} leads out of the folder of the files, or nowhere"
            raise UsageError(text, str(path))
        if task.size < 0:
            raise UsageError(f"tasks[{number}].size: it must be 0 or more, not {task.size}", str(path))
    return workload


def crt_line(run: int, seconds: float, moved_bytes: int) -> str:
    """Return the line that runners of aws-crt-s3-benchmarks print after each run.

    >>> crt_line(1, 8.954437, 32_288_000_000)
    'Run:1 Secs:8.954437 Gb/s:28.846481'
    """
    return f"Run:{run} Secs:{seconds:f} Gb/s:{moved_bytes * 8 / 1e9 / seconds:f}"


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise read_error(error, str(path)) from error
    if len(data) > _MOST_FILE_BYTES:
        raise UsageError("this is no workload: it has more than 256 MiB", str(path))
    return data


def _require_known(path: Path, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, list(known), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"no such {what}: {name}; {hint}", str(path))


def _refuse(path: Path, error: msgspec.ValidationError) -> NoReturn:
    """Say which field is wrong, before what is wrong with it."""
    text = str(error)
    if found := _PLACE.search(text):
        text = f"{found[1]}: {text[: found.start()]}"
    raise UsageError(text[:1].lower() + text[1:] if not found else text, str(path)) from error


__all__ = ["CRT_SUFFIX", "CrtTask", "CrtWorkload", "crt_line", "read_crt_workload", "read_workload"]
