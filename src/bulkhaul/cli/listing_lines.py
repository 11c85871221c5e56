"""Makes the lines of ls and du: objects, folders, buckets, versions and totals, for people or as JSON.

2024-05-17 12:34:56Z    1048576 run/a.bin      date and time in UTC, bytes, key
                            PRE run/deep/      a folder
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from bulkhaul.cli.lines import Kind, json_text
from bulkhaul.model.objects import Bucket, ObjectHead
from bulkhaul.model.writing import ObjectVersion
from bulkhaul.policy.archives import ARCHIVES
from bulkhaul.policy.filetimes import iso_text
from bulkhaul.policy.naming import printable
from bulkhaul.policy.sizes import format_size

_NEVER = " " * 20

_CLASS_WIDTH = len("INTELLIGENT_TIERING") + 1
"""Source: the longest of StorageClass (S3 API, Object)."""

_ETAG_WIDTH = 35
"""Of an MD5 in hex and two characters for the number of parts."""


class Totals(msgspec.Struct):
    """Objects and bytes listed so far, and those of them that have to be restored before they are read."""

    objects: int = 0
    bytes: int = 0
    archived: int = 0
    archived_bytes: int = 0

    def add(self, sizes: Iterable[int]) -> None:
        """Count objects of these sizes."""
        found = list(sizes)
        self.objects += len(found)
        self.bytes += sum(found)

    def add_archived(self, objects: Iterable[ObjectHead]) -> None:
        """Count which of these objects lie in an archive; they are counted otherwise elsewhere."""
        found = [one.size for one in objects if one.storage_class in ARCHIVES]
        self.archived += len(found)
        self.archived_bytes += sum(found)


def size_text(size_bytes: int, *, human: bool) -> str:
    """Return a size as it is shown.

    >>> size_text(1536, human=False), size_text(1536, human=True)
    ('1536', '1.5 KiB')
    """
    return format_size(size_bytes) if human else str(size_bytes)


class Shown(msgspec.Struct, frozen=True):
    """What is shown of each object beside its time and its key.

    Attributes:
        human: its size for people.
        etag, storage_class: before its size, as s5cmd has it.
    """

    human: bool = False
    etag: bool = False
    storage_class: bool = False

    @property
    def width(self) -> int:
        """How many characters come before the size."""
        return _ETAG_WIDTH * self.etag + _CLASS_WIDTH * self.storage_class

    def before_size(self, one: ObjectHead) -> str:
        """Return what comes before the size of an object.

        >>> Shown(etag=True, storage_class=True).before_size(ObjectHead("a", 7, etag='"c4ca"'))
        'STANDARD            c4ca                               '
        """
        found = f"{one.storage_class or 'STANDARD':<{_CLASS_WIDTH}}" if self.storage_class else ""
        etag = one.etag.strip('"')
        return f"{found}{printable(etag):<{_ETAG_WIDTH}}" if self.etag else found


PLAIN = Shown()


def object_lines(objects: Iterable[ObjectHead], shown: Shown = PLAIN, *, cut: int = 0) -> str:
    r"""Return a line for each object, as aws-cli writes them, but in UTC; one in an archive tells its class.

    Args:
        cut: how many characters at the beginning of each key are not shown.

    >>> from datetime import UTC
    >>> object_lines([ObjectHead("run/a\n", 7, last_modified=datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC))], cut=4)
    '2024-05-17 12:34:56Z          7 a\\x0a\n'
    """
    more = shown.width > 0
    return "".join(
        f"{_instant(one.last_modified)} {shown.before_size(one) if more else ''}"
        f"{size_text(one.size, human=shown.human):>10} {printable(one.key[cut:])}{_archive(one)}\n"
        for one in objects
    )


def url_lines(bucket: str, objects: Iterable[ObjectHead], prefixes: Iterable[str] = ()) -> str:
    r"""Return a line for each folder and each object, with its URL alone.

    >>> url_lines("b", [ObjectHead("run/a\n", 7)], ["run/deep/"])
    's3://b/run/deep/\ns3://b/run/a\\x0a\n'
    """
    keys = [*prefixes, *(one.key for one in objects)]
    return "".join(f"{printable(f's3://{bucket}/{key}')}\n" for key in keys)


def folder_lines(prefixes: Iterable[str], shown: Shown = PLAIN, *, cut: int = 0) -> str:
    r"""Return a line for each folder.

    >>> folder_lines(["run/deep/"], cut=4)
    '                            PRE deep/\n'
    """
    return "".join(f"{'PRE':>{shown.width + 31}} {printable(prefix[cut:])}\n" for prefix in prefixes)


def bucket_lines(buckets: Iterable[Bucket]) -> str:
    """Return a line for each bucket."""
    return "".join(f"{_instant(one.created)} {printable(one.name)}\n" for one in buckets)


def version_lines(versions: Iterable[ObjectVersion], *, human: bool = False) -> str:
    """Return a line for each version: as for an object, with the version's id before the key."""
    lines = []
    for one in versions:
        size = "DELETED" if one.delete_marker else size_text(one.size, human=human)
        name = printable(f"{one.version_id or 'null'} {one.key}")
        lines.append(f"{_instant(one.last_modified)} {size:>10} {name}\n")
    return "".join(lines)


def object_json(bucket: str, objects: Iterable[ObjectHead]) -> str:
    """Return a line of JSON for each object."""
    return "".join(
        json_text("object", _entry(bucket, one) | {"storage_class": one.storage_class or "STANDARD"}) for one in objects
    )


def folder_json(bucket: str, prefixes: Iterable[str]) -> str:
    """Return a line of JSON for each folder."""
    return "".join(json_text("prefix", {"bucket": bucket, "key": prefix}) for prefix in prefixes)


def bucket_json(buckets: Iterable[Bucket]) -> str:
    """Return a line of JSON for each bucket."""
    return "".join(json_text("bucket", {"bucket": one.name, "created": iso_text(one.created)}) for one in buckets)


def version_json(bucket: str, versions: Iterable[ObjectVersion]) -> str:
    """Return a line of JSON for each version."""
    return "".join(
        json_text("delete_marker" if one.delete_marker else "version", _entry(bucket, one) | {"latest": one.latest})
        for one in versions
    )


def total_lines(totals: Totals, *, human: bool) -> str:
    """Return the totals, as aws-cli's ``--summarize`` does."""
    lines = f"\nTotal Objects: {totals.objects}\n   Total Size: {size_text(totals.bytes, human=human)}\n"
    if totals.archived:
        lines += f"     Archived: {totals.archived}, {size_text(totals.archived_bytes, human=human)}\n"
    return lines


def total_json(totals: Totals, kind: Kind = "summary", **more: object) -> str:
    """Return the totals as a line of JSON; of a ``kind`` where they are of a part alone."""
    told = {"operation": "summary", "success": True, "objects": totals.objects, "bytes": totals.bytes}
    if totals.archived:
        told |= {"archived": totals.archived, "archived_bytes": totals.archived_bytes}
    return json_text(kind, told | more)


def _archive(one: ObjectHead) -> str:
    return f" ({one.storage_class})" if one.storage_class in ARCHIVES else ""


def _instant(instant: datetime | None) -> str:
    """Return a time to the second, as people write it; ``Z`` says that the zone is UTC."""
    return f"{instant.isoformat(' ')[:19]}Z" if instant is not None else _NEVER


def _entry(bucket: str, one: ObjectHead | ObjectVersion) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": one.key,
        "size": one.size,
        "etag": one.etag,
        "last_modified": iso_text(one.last_modified),
        "version_id": one.version_id,
    }
