"""What rows are made from: a plan that goes on has each file once, wherever the earlier planner ended."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from bulkhaul.jobs.row_sources import Begun, FileRows
from bulkhaul.model.rows import Row

NAMES = (
    b"a",
    b"a-",
    b"a.b",
    b"a0",
    b"b-",
    b"b/x",
    b"e\\",
    b"e\xff",
    b"ez",
    b"z",
    b"\xc3\xa9",
    b"\xef\xbf\xbf",
    b"\xff",
)

NOTHING = Begun(rows=0, last=None, anchor="", ascending=True, has=lambda _: False)


def rows_after(folder: Path, planned: Sequence[Row]) -> list[str]:
    """Return the sources of the rows that follow those that are planned."""
    sources = [row.source for row in planned]
    begun = Begun(
        rows=len(planned),
        last=planned[-1] if planned else None,
        anchor="",
        ascending=all(one < other for one, other in itertools.pairwise(sources)),
        has=lambda row: row.source in sources,
    )
    return [row.source for row in found(folder, begun)]


def found(folder: Path, begun: Begun) -> list[Row]:
    """Return the rows of all files that are not planned."""

    async def read() -> list[Row]:
        source = FileRows(str(folder), "bucket", "", lambda _: True, follow_symlinks=None)
        async with aclosing(source.rows(begun)) as pages:
            return [row async for page in pages for row in page]

    return asyncio.run(read())


def test_files_after_any_of_them(tmp_path: Path) -> None:
    """Names that are no text, and links to folders that are refused, sort otherwise than they come: none is lost."""
    for name in NAMES:
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).touch()
    (tmp_path / "a0.d").mkdir()
    (tmp_path / "a0.d" / "up").symlink_to(tmp_path)
    (tmp_path / "a0.d" / "up-").touch()
    every = found(tmp_path, NOTHING)
    assert len(every) == len(NAMES) + 2
    assert len([row for row in every if row.reason]) == 3
    for count in range(len(every)):
        assert rows_after(tmp_path, every[:count]) == [row.source for row in every[count:]]
    assert rows_after(tmp_path, every) == []
