"""Defines what a writer of one format is, and what several of them share."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO, Protocol

from bulkhaul.model.rows import ReportRow


class RowWriter(Protocol):
    """Writes the rows of one report to a binary stream, which stays open; nothing is sought, so a pipe will do."""

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Write rows."""

    def finish(self) -> None:
        """Write what comes last; no row may follow."""


def text_over(out: BinaryIO) -> io.TextIOWrapper:
    r"""Return a text stream that encodes to ``out`` as UTF-8; line ends stay as they are; ``detach`` it at the end.

    A path that is no UTF-8 is a text with lone surrogates; each of them is written as its escape, ``\udcff``.
    """
    return io.TextIOWrapper(out, encoding="utf-8", errors="backslashreplace", newline="")


def split_url(name: str) -> tuple[str, str] | None:
    """Return bucket and key of ``s3://bucket/key``, None for the path of a file.

    >>> split_url("s3://bucket/a/b"), split_url("/s3://b/c")
    (('bucket', 'a/b'), None)
    """
    scheme, separator, rest = name.partition("://")
    if scheme != "s3" or not separator:
        return None
    bucket, _, key = rest.partition("/")
    return bucket, key
