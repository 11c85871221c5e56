"""Reads CSV: manifests of S3 Batch Operations (bucket, key, version), and data files of inventories by their schema.

Every line is one row: keys are percent-encoded, so none holds a line break, and a quote that is left open harms its own
line only.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from io import BufferedIOBase

from bulkhaul.jobs.manifests.columns import Columns
from bulkhaul.jobs.manifests.fields import BadField, bucket_name, decoded_key, text_of
from bulkhaul.jobs.manifests.lines import TOO_LONG, numbered_lines
from bulkhaul.jobs.manifests.listed import BadRow, Listed


def batch_rows(file: BufferedIOBase, name: str) -> Iterator[Listed | BadRow]:
    """Yield the rows of a manifest ``bucket,key`` or ``bucket,key,version``; all have as many columns as the first.

    Source: S3 User Guide, "Creating an S3 Batch Operations job", "Specifying a manifest" (no header; keys URL-encoded;
    versions for all objects or for none; an empty version fails, ``null`` is one).
    """
    width = 0

    def row(cells: Sequence[str], where: str) -> Listed:
        nonlocal width
        if len(cells) not in (2, 3):
            raise BadField(
                f"it has {len(cells)} columns, not bucket,key or bucket,key,version; keys must be percent-encoded"
                " (an inventory is named by its manifest.json)"
            )
        if where == f"{name}:1" and {cell.strip().lower() for cell in cells[:2]} == {"bucket", "key"}:
            raise BadField("this looks like a header, which a manifest of Batch Operations has not; remove the line")
        width = width or len(cells)
        if len(cells) != width:
            raise BadField(f"it has {len(cells)} columns, where the rows before it have {width}")
        version = text_of(cells[2]) if width == 3 else ""
        if width == 3 and not version:
            raise BadField("the version is empty; name it (null is one), or leave the column out in all rows")
        return Listed(bucket=bucket_name(cells[0]), key=decoded_key(cells[1]), version_id=version, where=where)

    return _rows(file, name, row)


def inventory_csv_rows(file: BufferedIOBase, name: str, columns: Columns) -> Iterator[Listed | BadRow]:
    """Yield the rows of a data file of an inventory, whose schema its manifest tells."""
    width = len(columns.names)

    def row(cells: Sequence[str], where: str) -> Listed:
        if len(cells) != width:
            raise BadField(f"it has {len(cells)} columns, where the schema has {width}")
        return columns.listed(cells, where, decode=decoded_key)

    return _rows(file, name, row)


def _rows(file: BufferedIOBase, name: str, row: Callable[[Sequence[str], str], Listed]) -> Iterator[Listed | BadRow]:
    for number, line in numbered_lines(file):
        where = f"{name}:{number}"
        if line is None:
            yield BadRow(where, TOO_LONG)
            continue
        try:
            yield row(_cells(line), where)
        except BadField as error:
            yield BadRow(where, str(error))


def _cells(line: bytes) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadField("it is not valid UTF-8; keys must be percent-encoded UTF-8") from None
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader((text,), strict=True))
    except (csv.Error, StopIteration) as error:
        raise BadField(f"its quotes are wrong ({error}); a row is one line, and keys must be percent-encoded") from None
