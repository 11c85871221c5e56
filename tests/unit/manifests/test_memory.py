"""Manifests of half a million rows: memory holds a page of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from tests.unit.manifests.reading import csv_gz, manifest_json, written

FEW, MANY = 100_000, 500_000
MORE_MIB = 64
"""What the many may take beyond the few: two bytes a row to find destinations by, and what allocators keep for each
thread. Held in memory, the rows alone would take more than 150 MiB."""

PROGRAM = """
import asyncio, re, sys
from bulkhaul.jobs.manifests.destinations import Destinations, planned_rows
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.reading import read_manifests

async def run():
    count = 0
    pages = read_manifests([sys.argv[1]], Opener())
    if sys.argv[2] == "planned":
        pages = planned_rows(pages, Destinations("copy", "s3://b-2"), on_bad="fail")
    async for page in pages:
        count += len(page)
    return count

count = asyncio.run(run())
# Of this program alone; getrusage also has what its parent held when it forked.
print(count, int(re.search("VmHWM: *(.*) kB", open("/proc/self/status").read().replace(chr(9), " "))[1]) // 1024)
"""


def taken(path: Path, until: str) -> tuple[int, int]:
    """Return (rows, most memory in MiB) of a process that has a manifest read or planned."""
    command = [sys.executable, "-c", PROGRAM, str(path), until]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, mib = done.stdout.split()
    return int(rows), int(mib)


def inventory(folder: Path, rows: int) -> Path:
    """Return the manifest.json of an inventory in CSV."""
    etag = "d41d8cd98f00b204e9800998ecf8427e"
    data = csv_gz([f"b-{n % 7}-x", f"folder-{n // 1000}/object+{n}.bin", n, etag] for n in range(rows))
    written(folder / "one.csv.gz", data)
    return written(folder / "manifest.json", manifest_json("CSV", "Bucket, Key, Size, ETag", {"one.csv.gz": data}))


def table(folder: Path, rows: int) -> Path:
    """Return a Parquet file whose row group is the whole of it."""
    folder.mkdir()
    keys = [f"folder-{n // 1000}/object-{n}.bin" for n in range(rows)]
    content = pa.table({"bucket": ["b-1"] * rows, "key": keys, "size": range(rows)})
    pq.write_table(content, folder / "m", row_group_size=rows)
    return folder / "m"


@pytest.mark.parametrize(("made", "until"), [(inventory, "planned"), (table, "read")])
def test_half_a_million_rows(tmp_path: Path, made: Callable[[Path, int], Path], until: str) -> None:
    """Memory does not grow with the rows."""
    few, base = taken(made(tmp_path / "few", FEW), until)
    many, peak = taken(made(tmp_path / "many", MANY), until)
    assert (few, many) == (FEW, MANY)
    assert peak - base < MORE_MIB
