"""Reads manifests in tests, and makes them as other tools do."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gzip
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.reading import read_manifests
from bulkhaul.model.errors import NotFound


def read(
    *names: object, opener: Opener | None = None, seen: list[str] | None = None, **options: Any
) -> list[Listed | BadRow]:
    """Return all rows of manifests; their sources go into ``seen`` as they come."""

    async def run() -> list[Listed | BadRow]:
        rows: list[Listed | BadRow] = []
        pages = read_manifests([str(name) for name in names], opener or Opener(), **options)
        async with contextlib.aclosing(pages):
            async for page in pages:
                assert 0 < len(page) <= 1000
                rows += page
                if seen is not None:
                    seen.extend(row.source for row in page)
        return rows

    return asyncio.run(run())


def good(*names: object, **options: Any) -> list[Listed]:
    """Return all rows of manifests that have no bad one."""
    rows = read(*names, **options)
    assert not [row for row in rows if isinstance(row, BadRow)]
    return [row for row in rows if isinstance(row, Listed)]


def written(path: Path, content: bytes | str) -> Path:
    """Return the path of a file with this content; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def csv_gz(rows: Iterable[Sequence[object]]) -> bytes:
    """Return a data file as S3 Inventory writes it: every field in quotes, compressed."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return gzip.compress(text.getvalue().encode(), compresslevel=1)


def manifest_json(file_format: str, schema: str, bodies: dict[str, bytes], **replaced: object) -> bytes:
    """Return the manifest.json of an inventory of ``example-source-bucket``, with the MD5s of the bodies."""
    fields = {
        "sourceBucket": "example-source-bucket",
        "destinationBucket": "arn:aws:s3:::example-inventory-destination-bucket",
        "version": "2016-11-30",
        "creationTimestamp": "1514944800000",
        "fileFormat": file_format,
        "fileSchema": schema,
        "files": [
            {"key": key, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()}
            for key, body in bodies.items()
        ],
    }
    return json.dumps(fields | replaced, indent=4).encode()


class Bucket:
    """What an engine fetches: the files below a folder, by their URLs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fetched: list[str] = []

    async def download(self, url: str, path: str) -> None:
        """Fetch an object, or find that there is none."""
        self.fetched.append(url)
        source = self._folder / url.removeprefix("s3://")
        if not source.is_file():
            raise NotFound("there is no such object", url)
        shutil.copyfile(source, path)
