"""One row of a table of command lines that people bring along, and what a program leaves of it on a real server.

Buckets hold objects and folders hold files as texts by their names: ``{"dir/a.txt": "content"}``. The name of an object
of the second bucket begins with ``2:``; the content of a link begins with ``-> ``, that of a socket is ``= socket``.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECOND = "2:"
_LINK = "-> "
_SOCKET = "= socket"

Contents = Mapping[str, str]
Ended = subprocess.CompletedProcess[str]

Program = Callable[[list[str], Path, bytes], Ended]
"""Runs the words of a command line in a folder, with this on stdin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is there after a command.

    Attributes:
        objects: of both buckets; of a bucket with versions, each version, oldest first, behind ``KEY#1``, ``KEY#2`` ….
        heads: of the objects that a row names, the fields that it names.
    """

    status: int
    objects: Contents
    files: Contents
    heads: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A command line of another program, and what its words do here.

    In command lines ``{B}`` and ``{B2}`` are the buckets, ``{W}`` is the folder, which is the working folder, too. They
    are written as in a shell, but no pattern is expanded.

    Attributes:
        theirs: the other program's command line, without its name.
        ours: what is typed here; empty for the same words.
        objects, files: what is there before; the objects are stored in this order.
        put: of objects, further arguments of PutObject.
        age_s: of files, how long ago they were modified; negative for the future. Objects are as old as the test.
        versioned: the first bucket keeps versions.
        given: stdin, with the same names in braces.
        status, objects_after, files_after: what our command leaves; None for what was there before.
        heads: fields of HeadObject, by object.
        prints, omits: what its stdout holds, and what it does not hold, where that is said.
        ours_because: why we do not do as they do, in one sentence; empty where we do.
    """

    name: str
    theirs: str
    ours: str = ""
    objects: Contents = field(default_factory=dict)
    files: Contents = field(default_factory=dict)
    put: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    age_s: Mapping[str, float] = field(default_factory=dict)
    versioned: bool = False
    given: str = ""
    status: int = 0
    objects_after: Contents | None = None
    files_after: Contents | None = None
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prints: str = ""
    omits: str = ""
    ours_because: str = ""

    @property
    def typed(self) -> str:
        """What is typed here."""
        return self.ours or self.theirs

    @property
    def expected(self) -> Left:
        """What our command leaves."""
        return Left(
            status=self.status,
            objects=self.objects if self.objects_after is None else self.objects_after,
            files=self.files if self.files_after is None else self.files_after,
            heads=self.heads,
        )


def carry_out(row: Row, line: str, program: Program, client: Any, place: Path) -> tuple[Left, Ended]:
    """Lay out what a row begins with, run one of its command lines, and return what is left and how it ended.

    Args:
        line: of the row, ``theirs`` or ``typed``.
        client: a boto3 client of the server.
        place: a folder that does not exist; buckets are named by it.
    """
    buckets = (place.name, f"{place.name}-2")
    place.mkdir()
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    if row.versioned:
        client.put_bucket_versioning(Bucket=buckets[0], VersioningConfiguration={"Status": "Enabled"})
    for name, body in row.objects.items():
        bucket, key = _stored(name.partition("#")[0] if row.versioned else name, buckets)
        client.put_object(Bucket=bucket, Key=key, Body=body.encode(), **row.put.get(name, {}))
    _write(place, row)
    here = {"B": buckets[0], "B2": buckets[1], "W": place}
    ended = program([word.format(**here) for word in shlex.split(line)], place, row.given.format(**here).encode())
    left = Left(
        status=ended.returncode,
        objects=_objects(client, buckets, versioned=row.versioned),
        files=_files(place),
        heads={name: _head(client, _stored(name, buckets), fields) for name, fields in row.heads.items()},
    )
    return left, ended


def _stored(name: str, buckets: tuple[str, str]) -> tuple[str, str]:
    """Return (bucket, key) of an object of a row."""
    return (buckets[1], name.removeprefix(_SECOND)) if name.startswith(_SECOND) else (buckets[0], name)


def _write(place: Path, row: Row) -> None:
    for name, body in row.files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if body.startswith(_LINK):
            path.symlink_to(body.removeprefix(_LINK))
        elif body == _SOCKET:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(os.path.relpath(path))  # a path of a socket has at most 107 bytes
        else:
            path.write_text(body)
    for name, age_s in row.age_s.items():
        os.utime(place / name, (time.time() - age_s,) * 2)


def _objects(client: Any, buckets: tuple[str, str], *, versioned: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for bucket, mark in zip(buckets, ("", _SECOND), strict=True):
        if versioned and not mark:
            found |= _versions(client, bucket)
            continue
        for one in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            got = client.get_object(Bucket=bucket, Key=one["Key"]) if _readable(one) else None
            found[mark + one["Key"]] = got["Body"].read().decode() if got else "archived"
    return found


def _readable(listed: Mapping[str, Any]) -> bool:
    """Whether GetObject gives an object without a restore."""
    return listed.get("StorageClass") not in {"GLACIER", "DEEP_ARCHIVE"}


def _versions(client: Any, bucket: str) -> dict[str, str]:
    page = client.list_object_versions(Bucket=bucket)
    found: dict[str, str] = {}
    for one in reversed(page.get("Versions", [])):  # newest first
        got = client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        number = sum(name.startswith(f"{one['Key']}#") for name in found) + 1
        found[f"{one['Key']}#{number}"] = got["Body"].read().decode()
    return found | {f"{one['Key']}#deleted": "" for one in page.get("DeleteMarkers", [])}


def _head(client: Any, stored: tuple[str, str], fields: Mapping[str, Any]) -> dict[str, Any]:
    bucket, key = stored
    try:
        head = client.head_object(Bucket=bucket, Key=key)
    except client.exceptions.ClientError:  # it is not there
        return {}
    return {name: head.get(name) for name in fields}


def _files(place: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(place.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(place))] = _LINK + os.readlink(path)
        elif path.is_socket():
            found[str(path.relative_to(place))] = _SOCKET
        elif path.is_file():
            found[str(path.relative_to(place))] = path.read_text()
    return found
