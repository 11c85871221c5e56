"""Writes report rows as one Parquet file, by pyarrow: typed columns, in row groups of bounded size.

The columns are those of the CSV (``plain_csv.COLUMNS``), null where something is not known. ``ended`` is a timestamp in
UTC, in microseconds. The rows of one group wait in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, BinaryIO

from bulkhaul.jobs.reports.plain_csv import COLUMNS
from bulkhaul.model.errors import ErrorInfo, Unsupported
from bulkhaul.model.rows import ReportRow

GROUP_ROWS = 32_768
"""Rows of a group at most."""

_INTEGERS = {
    "plan": "int32",
    "error_status": "int16",
    "error_attempts": "int32",
    "n": "int64",
    "size_bytes": "int64",
    "resumed_bytes": "int64",
}
_REQUIRED = frozenset({"plan", "n", "action", "status", "source"})
_MAX_INSTANT_S = 2**63 // 10**6 - 1
_NO_ERROR = ErrorInfo("", "")


class ParquetWriter:
    """Writes one row of the table a row.

    Raises:
        Unsupported: pyarrow is not installed.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._arrow, parquet = _pyarrow()
        fields = [self._arrow.field(name, self._type(name), nullable=name not in _REQUIRED) for name in COLUMNS]
        self._schema = self._arrow.schema(fields)
        self._parquet = parquet.ParquetWriter(out, self._schema, compression="zstd")
        self._waiting: list[tuple[object, ...]] = []

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Write rows; those of a group that is not full wait."""
        for row in rows:
            self._waiting.append(_values(row))
            if len(self._waiting) == GROUP_ROWS:
                self._write_group()

    def finish(self) -> None:
        """Write the last group, and what Parquet has at its end."""
        if self._waiting:
            self._write_group()
        self._parquet.close()

    def _write_group(self) -> None:
        columns = zip(*self._waiting, strict=True)
        arrays = [self._array(list(values), field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._waiting.clear()
        self._parquet.write_table(self._arrow.table(arrays, schema=self._schema), row_group_size=GROUP_ROWS)

    def _array(self, values: list[object], kind: Any) -> Any:
        try:
            return self._arrow.array(values, kind)
        except UnicodeEncodeError:  # a path that is no UTF-8
            told = [text.encode(errors="backslashreplace") if isinstance(text, str) else None for text in values]
            return self._arrow.array(told, self._arrow.binary()).cast(kind)

    def _type(self, name: str) -> Any:
        if name in _INTEGERS:
            return getattr(self._arrow, _INTEGERS[name])()
        if name == "ended":
            return self._arrow.timestamp("us", tz="UTC")
        return self._arrow.float64() if name == "seconds" else self._arrow.string()


def _values(row: ReportRow) -> tuple[object, ...]:
    error = row.error or _NO_ERROR
    return (
        row.plan,
        row.n,
        str(row.action),
        str(row.status),
        row.source,
        row.destination or None,
        row.size,
        row.etag or None,
        row.version_id or None,
        row.source_version_id or None,
        str(row.integrity) if row.integrity else None,
        row.seconds if math.isfinite(row.seconds) else None,
        int(row.ended * 1e6) if 0 < row.ended < _MAX_INSTANT_S else None,
        row.reason or None,
        error.code or None,
        error.service_code or None,
        error.status or None,
        error.message or None,
        error.cause or None,
        error.request_id or None,
        error.attempts or None,
        row.resumed_bytes,
        str(row.verdict) if row.verdict else None,
        str(row.evidence) if row.evidence else None,
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise Unsupported("Parquet needs pyarrow; install it: pip install 'bulkhaul[parquet]'") from error
    return pyarrow, pyarrow.parquet
