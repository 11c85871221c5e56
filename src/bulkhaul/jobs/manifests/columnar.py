"""Reads Parquet and ORC by the names of their columns; it needs pyarrow, which the extra ``[parquet]`` brings.

Memory holds the rows of a batch and what the library keeps of the file: of Parquet pages, of ORC one stripe.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from bulkhaul.jobs.manifests.columns import Columns
from bulkhaul.jobs.manifests.fields import BadField, object_key
from bulkhaul.jobs.manifests.listed import PAGE_ROWS, BadRow, Listed
from bulkhaul.model.errors import ManifestError, Unsupported
from bulkhaul.model.limits import MIB

_DAMAGED = (OSError, EOFError, UnicodeDecodeError)
"""What pyarrow raises for a damaged file beside its own errors: names of columns that are no UTF-8 among them."""


def parquet_rows(file: BinaryIO, name: str) -> Iterator[Listed | BadRow]:
    """Yield the rows of a Parquet file, which must be seekable.

    Raises:
        ManifestError: it is damaged, or has no columns bucket and key.
        Unsupported: pyarrow is not installed.
    """
    arrow, parquet = _library(name, "pyarrow"), _library(name, "pyarrow.parquet")
    try:
        opened = parquet.ParquetFile(file, pre_buffer=False, buffer_size=MIB)
        columns = Columns(opened.schema_arrow.names, name)
        used = columns.names_used()
        batches = opened.iter_batches(batch_size=PAGE_ROWS, columns=used, use_threads=False)
        yield from _rows(arrow, batches, columns, name)
    except (arrow.ArrowException, *_DAMAGED) as error:
        raise _damaged("Parquet", name, error) from error


def orc_rows(file: BinaryIO, name: str) -> Iterator[Listed | BadRow]:
    """Yield the rows of an ORC file, which must be seekable.

    Raises:
        ManifestError: it is damaged, or has no columns bucket and key.
        Unsupported: pyarrow is not installed.
    """
    arrow, orc = _library(name, "pyarrow"), _library(name, "pyarrow.orc")
    try:
        opened = orc.ORCFile(file)
        columns = Columns(opened.schema.names, name)
        used = columns.names_used()
        batches = (
            stripe.slice(start, PAGE_ROWS)
            for stripe in (opened.read_stripe(at, columns=used) for at in range(opened.nstripes))
            for start in range(0, stripe.num_rows, PAGE_ROWS)
        )
        yield from _rows(arrow, batches, columns, name)
    except (arrow.ArrowException, *_DAMAGED) as error:
        raise _damaged("ORC", name, error) from error


def _library(name: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = "Parquet and ORC need pyarrow; install it: pip install 'bulkhaul[parquet]'"
        raise Unsupported(text, name, str(error)) from error


def _damaged(kind: str, name: str, error: Exception) -> ManifestError:
    return ManifestError(f"the {kind} file cannot be read; fetch it again", name, str(error).splitlines()[0][:200])


def _rows(arrow: Any, batches: Any, columns: Columns, name: str) -> Iterator[Listed | BadRow]:
    number = 0
    for batch in batches:
        held = {called: _values(arrow, batch.column(at)) for at, called in enumerate(batch.schema.names)}
        unread = [None] * batch.num_rows
        for cells in zip(*(held.get(called, unread) for called in columns.names), strict=True):
            number += 1
            where = f"{name}:{number}"
            try:
                yield columns.listed(cells, where, decode=object_key)
            except BadField as error:
                yield BadRow(where, str(error))


def _values(arrow: Any, array: Any) -> list[object]:
    """Return a column as plain values; bytes that are no UTF-8 become surrogates, which no field takes."""
    types, kind = arrow.types, array.type
    if types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if types.is_timestamp(kind):
        array = array.cast(arrow.timestamp("ms", kind.tz), safe=False)
        try:
            return list(array.to_pylist())
        except OverflowError:
            return [_instant(instant) for instant in array]
    elif types.is_string(kind) or types.is_large_string(kind):
        try:
            return list(array.to_pylist())
        except UnicodeDecodeError:
            array, kind = array.cast(arrow.large_binary()), arrow.large_binary()
    if types.is_binary(kind) or types.is_large_binary(kind):
        return [None if raw is None else raw.decode(errors="surrogateescape") for raw in array.to_pylist()]
    return list(array.to_pylist())


def _instant(scalar: Any) -> object:
    """Return a time, as a text that no field takes where no year from 1 to 9999 has it."""
    try:
        return scalar.as_py()
    except OverflowError:
        return f"{scalar.value} ms after 1970"
