"""Reads JSON Lines: one object a line, with the fields of a row of our plans, or with bucket and key."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedIOBase

import msgspec

from bulkhaul.jobs.manifests.fields import BadField, bucket_name, object_key, shown, size_of, text_of, time_of
from bulkhaul.jobs.manifests.lines import TOO_LONG, numbered_lines
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.model.errors import InvalidUrl
from bulkhaul.model.rows import Action
from bulkhaul.policy.selection import parse_destination


class _Line(msgspec.Struct, gc=False):
    """The fields that are read; others are ignored."""

    source: str = ""
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    size_bytes: int | None = None
    etag: str = ""
    last_modified: str | None = None
    storage_class: str = ""
    destination: str = ""
    action: Action | None = None
    reason: str = ""
    is_latest: bool = True
    is_delete_marker: bool = False


_decode = msgspec.json.Decoder(_Line).decode


def jsonl_rows(file: BufferedIOBase, name: str) -> Iterator[Listed | BadRow]:
    """Yield each line as a row: ``source`` (``s3://bucket/key`` or a path), or ``bucket`` and ``key``, as they are.

    Where both are there they must agree.
    Optional: ``version_id``, ``size_bytes``, ``etag``, ``last_modified``, ``storage_class``, ``destination``,
    ``action``, ``reason``, ``is_latest``, ``is_delete_marker``. Unknown fields are ignored, wrong types are not.
    """
    for number, line in numbered_lines(file):
        where = f"{name}:{number}"
        if line is None:
            yield BadRow(where, TOO_LONG)
            continue
        try:
            yield _listed(_decode(line), where)
        except BadField as error:
            yield BadRow(where, str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(where, f"no row of JSON Lines: {error}")


def _listed(line: _Line, where: str) -> Listed:
    if line.source:
        bucket, key = source_of(line.source)
        if (line.bucket or bucket, line.key or key) != (bucket, key):
            raise BadField(f"the field source: {shown(line.source)} is another object than bucket and key name")
    else:
        bucket, key = bucket_name(line.bucket), object_key(line.key)
    try:
        return Listed(
            bucket=bucket,
            key=key,
            version_id=text_of(line.version_id),
            size_bytes=size_of(line.size_bytes),
            etag=text_of(line.etag),
            last_modified=time_of(line.last_modified),
            storage_class="" if line.storage_class == "STANDARD" else text_of(line.storage_class),
            destination=text_of(line.destination),
            action=line.action,
            reason=line.reason,
            is_latest=line.is_latest,
            is_delete_marker=line.is_delete_marker,
            where=where,
        )
    except BadField as error:
        raise BadField(f"{line.source or f's3://{bucket}/{key}'}: {error}") from None


def source_of(text: str) -> tuple[str, str]:
    """Return (bucket, key) of a source, ("", path) of a file.

    Raises:
        BadField: it names neither.
    """
    if not text.startswith("s3://"):
        if "\0" in text:
            raise BadField("the field source: a path holds no NUL character")
        return "", text_of(text)
    try:
        bucket, key = parse_destination(text, "a source")
        return bucket, object_key(key)
    except InvalidUrl as error:
        raise BadField(f"the field source: {error.message}") from None
    except BadField as error:
        raise BadField(f"the field source: {error}") from None
