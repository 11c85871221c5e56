r"""Writes report rows as JSON Lines, the format that loses nothing and is read again as a manifest.

One object a line, fields as ``model.rows.ReportRow`` names them, those at their default left out; the JSON Schema is
``docs/schemas/report-row.schema.json``. Lines are UTF-8 and end in ``\n``. A path that is no UTF-8 is escaped as
Python's ``json`` does it (``\udcff``), which few other readers take.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from bulkhaul.model.rows import ReportRow

_PIECE_BYTES = 256 * 1024
"""Bytes that wait before they are written."""


class JsonLinesWriter:
    """Writes one line a row."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()
        self._waiting = bytearray()

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Write rows."""
        waiting, encoder = self._waiting, self._encoder
        for row in rows:
            end = len(waiting)
            try:
                encoder.encode_into(row, waiting, end)
            except UnicodeEncodeError:
                del waiting[end:]
                waiting += json.dumps(msgspec.to_builtins(row), separators=(",", ":")).encode("ascii")
            waiting += b"\n"
            if len(waiting) >= _PIECE_BYTES:
                self._out.write(waiting)
                waiting.clear()

    def finish(self) -> None:
        """Write what waits."""
        self._out.write(self._waiting)
        self._waiting.clear()
