"""Replies as S3 writes them: error documents, XML, checksum headers.

Job: the pieces that operations and faults share. Must not know requests or the store.
"""

from __future__ import annotations

from .objects import StoredObject


def checksum_headers(stored: StoredObject) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell an object's checksums and their type."""
    if not stored.checksums:
        return ()
    values = ((f"x-amz-checksum-{name.lower()}", value) for name, value in stored.checksums.items())
    return (*values, ("x-amz-checksum-type", stored.checksum_type))


def part_checksum_headers(stored: StoredObject, number: int) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell the checksum of one part (1-based), where it was kept."""
    kept = stored.part_checksums.items()
    values = [(f"x-amz-checksum-{name.lower()}", parts[number - 1]) for name, parts in kept]
    return (*values, ("x-amz-checksum-type", stored.checksum_type)) if values else ()


def object_headers(stored: StoredObject) -> tuple[tuple[str, str], ...]:
    """Return what every reply about an object carries."""
    headers = [
        ("Last-Modified", stored.last_modified.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        ("ETag", f'"{stored.etag}"'),
        ("Accept-Ranges", "bytes"),
        ("Content-Type", stored.content_type),
    ]
    if stored.content_encoding is not None:
        headers.append(("Content-Encoding", stored.content_encoding))
    headers += stored.headers.items()
    if stored.storage_class != "STANDARD":
        headers.append(("x-amz-storage-class", stored.storage_class))
    if stored.tags:
        headers.append(("x-amz-tagging-count", str(len(stored.tags))))
    headers += [(f"x-amz-meta-{name}", value) for name, value in stored.metadata.items()]
    return tuple(headers)
