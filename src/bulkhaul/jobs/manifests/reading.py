"""Reads manifests one after the other, in pages of rows, in memory that does not grow with them.

name ─▶ opening ─▶ (gzip) ─▶ detection ─▶ jsonl │ report │ csv_rows │ columnar │ inventory ─▶ its data files ─▶ pages

The data files of an inventory are checked one by one: no row of one is given before the MD5 of all its bytes matches.
A later file that is damaged ends the reading with an error when the rows of the earlier ones have been given. Damage to
a file as a whole always raises; a row that is wrong is a ``BadRow`` among the others, or raises with ``on_bad="fail"``.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import shutil
import tempfile
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, Literal, cast

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.manifests import inventory
from bulkhaul.jobs.manifests.columnar import orc_rows, parquet_rows
from bulkhaul.jobs.manifests.csv_rows import batch_rows, inventory_csv_rows
from bulkhaul.jobs.manifests.detection import GZIP, HEAD_BYTES, Format, detect
from bulkhaul.jobs.manifests.jsonl import jsonl_rows
from bulkhaul.jobs.manifests.listed import PAGE_ROWS, BadRow, Listed, ListedPage
from bulkhaul.jobs.manifests.opening import STDIN, Opener, OpenFile, is_seekable
from bulkhaul.jobs.manifests.report import report_rows
from bulkhaul.model.errors import LocalError, ManifestError, UsageError
from bulkhaul.model.limits import KIB

OnBad = Literal["row", "fail"]
Rows = Iterator[Listed | BadRow]


async def read_manifests(
    names: Sequence[str],
    opener: Opener,
    *,
    format: Format | None = None,  # noqa: A002 - what users call it
    on_bad: OnBad = "row",
    failed_only: bool = True,
) -> AsyncGenerator[ListedPage, None]:
    """Yield the rows of all manifests, in the given order, in pages of at most 1000 rows.

    Args:
        names: paths, ``s3://`` URLs, or ``-`` for stdin, once.
        format: of all of them; by default told from the content of each.
        on_bad: what a wrong row is: a row of its own, or the end.
        failed_only: take from a report of ours only what failed.

    Raises:
        ManifestError: a manifest is none, is damaged, or lists nothing; with ``on_bad="fail"`` also a wrong row.
        UsageError: no manifest is named, or stdin twice.
        LocalError, NotFound, TransferError: it cannot be opened.
    """
    if not names:
        raise UsageError("name a manifest")
    if list(names).count(STDIN) > 1:
        raise UsageError("stdin can be read only once", STDIN)
    for name in names:
        async with contextlib.aclosing(_one(name, opener, format, failed_only)) as pages:
            async for page in pages:
                if on_bad == "fail" and (bad := next((row for row in page if isinstance(row, BadRow)), None)):
                    raise bad.raised()
                yield page


async def _one(name: str, opener: Opener, wanted: Format | None, failed_only: bool) -> AsyncGenerator[ListedPage, None]:
    shown = "stdin" if name == STDIN else name
    listed = 0
    async with opener.open(name) as file:
        begun = _Begun(file, shown, wanted)
        await _stoppable(file, begun.look)
        source = (
            _inventory(await _stoppable(file, begun.whole), name, opener)
            if begun.format is Format.INVENTORY
            else _paged(file, begun.rows(failed_only=failed_only))
        )
        async with contextlib.aclosing(source) as pages:
            async for page in pages:
                listed += len(page)
                yield page
    # A report in which nothing failed is a good one: it gives nothing to do.
    if not listed and not (begun.format is Format.REPORT and failed_only):
        raise ManifestError("it lists no object", shown)


async def _inventory(content: bytes, name: str, opener: Opener) -> AsyncGenerator[ListedPage, None]:
    if beside := inventory.checksum_beside(name):
        checksum = await opener.small(beside, KIB)
        if checksum is not None:
            inventory.check_manifest(content, checksum, name)
    manifest = inventory.parse_manifest(content, name)
    for data in manifest.files:
        where = inventory.data_file_name(manifest, data, name)
        if where.startswith("s3://") and not opener.reaches_s3:
            raise LocalError("the data file lies neither beside the manifest nor in ../data", data.key)
        async with opener.open(where) as file:
            await _stoppable(file, inventory.check_data, file, data.md5, where)
            rows = await _stoppable(file, _data_rows, file, manifest, where)
            async with contextlib.aclosing(_paged(file, rows)) as pages:
                async for page in pages:
                    yield page


def _data_rows(file: OpenFile, manifest: inventory.InventoryManifest, name: str) -> Rows:
    if manifest.file_format.upper() == "PARQUET":
        return parquet_rows(file, name)
    if manifest.file_format.upper() == "ORC":
        return orc_rows(file, name)
    compressed = file.peek(len(GZIP)).startswith(GZIP)
    text = io.BufferedReader(cast("Any", gzip.GzipFile(fileobj=file)), HEAD_BYTES) if compressed else file
    return inventory_csv_rows(text, name, manifest.columns(name))


class _Begun:
    """A manifest whose first bytes were looked at: it is decompressed, and its format is known."""

    def __init__(self, file: OpenFile, name: str, wanted: Format | None) -> None:
        self._file = file
        self._name = name
        self._wanted = wanted
        self._text: io.BufferedReader = file
        self._compressed = False
        self.format: Format | None = wanted

    def look(self) -> None:
        """Find out the format; blocking.

        Raises:
            ManifestError: it has none.
        """
        head, self._text = _peeked(self._file)
        if head.startswith(GZIP):
            self._compressed = True
            head, self._text = _peeked(cast("io.BufferedReader", gzip.GzipFile(fileobj=self._text)))
        if not head:
            raise ManifestError("it is empty", self._name)
        self.format = self._wanted or detect(head, self._name)

    def whole(self) -> bytes:
        """Return all of it, for what is small by nature; blocking."""
        content = self._text.read(inventory.MAX_MANIFEST_BYTES + 1)
        if len(content) > inventory.MAX_MANIFEST_BYTES:
            raise ManifestError(f"no manifest.json is longer than {inventory.MAX_MANIFEST_BYTES} bytes", self._name)
        return content

    def rows(self, *, failed_only: bool) -> Rows:
        """Yield the rows; blocking. Parquet and ORC are read from their end, so a pipe's bytes go to disk first."""
        if self.format is Format.JSONL:
            yield from jsonl_rows(self._text, self._name)
        elif self.format is Format.REPORT:
            yield from report_rows(self._text, self._name, failed_only=failed_only)
        elif self.format is Format.CSV:
            yield from batch_rows(self._text, self._name)
        else:
            columnar = parquet_rows if self.format is Format.PARQUET else orc_rows
            if is_seekable(self._file) and not self._compressed:
                self._file.seek(0)
                yield from columnar(self._file, self._name)
                return
            with tempfile.TemporaryFile() as spool:
                shutil.copyfileobj(self._text, spool)
                spool.seek(0)
                yield from columnar(spool, self._name)


class _Rejoined(io.RawIOBase):
    """A stream that gives first the bytes that were read of it already."""

    def __init__(self, head: bytes, rest: io.BufferedIOBase) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            return self._rest.readinto1(buffer)
        count = min(len(buffer), len(self._head))
        buffer[:count], self._head = self._head[:count], self._head[count:]
        return count


def _peeked(file: io.BufferedReader) -> tuple[bytes, io.BufferedReader]:
    head = file.read(HEAD_BYTES)
    return head, io.BufferedReader(_Rejoined(head, file), HEAD_BYTES)


async def _paged(file: OpenFile, rows: Rows) -> AsyncGenerator[ListedPage, None]:
    while page := await _stoppable(file, list, itertools.islice(rows, PAGE_ROWS)):
        yield page


async def _stoppable(file: OpenFile, work: Any, *arguments: Any) -> Any:
    """Return what blocking work on a file returns; when cancelled, stop the file's reads and wait for the thread.

    Raises:
        ManifestError: what it read was compressed, and is damaged.
        LocalError: it cannot be read.
    """
    name = str(file.name)
    try:
        return await undisturbed(in_thread(work, *arguments), hurry=file.stop)
    except EOFError as error:
        raise ManifestError("the compressed data ends too early; fetch the file again", name, str(error)) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ManifestError("the compressed data is damaged; fetch the file again", name, str(error)) from error
    except OSError as error:
        raise local_error(error, name) from error
