"""Where listed objects go: below a prefix or folder by the rules of cp, and never two to one place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bulkhaul.jobs.manifests.destinations import Destinations, Kind, planned_rows
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.plan_rows import rows_of_manifests
from bulkhaul.jobs.manifests.reading import read_manifests
from bulkhaul.model.errors import InvalidUrl, ManifestError, UsageError
from bulkhaul.model.rows import Action, Row
from tests.unit.manifests.reading import written

TOLD = datetime(2026, 1, 2, tzinfo=UTC)


def listed(key: str, where: str = "m:1", **fields: Any) -> Listed:
    """Return an object that a manifest lists, of ``b-1`` unless it is told otherwise."""
    return Listed(**({"bucket": "b-1", "key": key, "where": where} | fields))


def planned(kind: Kind, to: str, *pages: Sequence[Listed | BadRow], **options: Any) -> list[Row | BadRow]:
    """Return the rows of a plan."""
    destinations = Destinations(kind, to, **options)
    rows = [row for page in pages for row in destinations.plan(page)]
    destinations.close()
    return rows


def one(kind: Kind, to: str, row: Listed, **options: Any) -> Row | BadRow:
    """Return the only row of a plan."""
    (result,) = planned(kind, to, [row], **options)
    return result


@pytest.mark.parametrize("kind", ["copy", "restore"])
@pytest.mark.parametrize(
    ("to", "key", "strip", "destination", "action"),
    [
        ("s3://b-2", "a/b", "", "s3://b-2/a/b", Action.COPY),
        ("s3://b-2/p", "a/b", "", "s3://b-2/p/a/b", Action.COPY),
        ("s3://b-2/p/", "a//b/", "", "s3://b-2/p/a//b/", Action.COPY),
        ("s3://b-2/p", "a/b", "a/", "s3://b-2/p/b", Action.COPY),
        ("/data", "a/b", "", "/data/a/b", Action.DOWNLOAD),
        ("/data/", "a/b", "a/", "/data/b", Action.DOWNLOAD),
        ("data", "a%2F*", "", "data/a%2F*", Action.DOWNLOAD),
    ],
)
def test_names(kind: Kind, to: str, key: str, strip: str, destination: str, action: Action) -> None:
    """A key goes below the destination by all of it, or by what is left when its beginning is cut off."""
    row = listed(key, size_bytes=5, etag='"e"', version_id="v", last_modified=TOLD, storage_class="GLACIER")
    assert one(kind, to, row, strip=strip, first=7) == Row(
        n=7,
        action=action,
        source=f"s3://b-1/{key}",
        destination=destination,
        size=5,
        etag='"e"',
        version_id="v",
        last_modified=TOLD,
        storage_class="GLACIER",
    )


@pytest.mark.parametrize(
    ("to", "row", "reason"),
    [
        ("/data", listed("a/../b"), '".." segment'),
        ("/data", listed("/etc/passwd"), "absolute"),
        ("/data", listed("a//b"), "empty segment"),
        ("/data", listed("folder/", size_bytes=1), "slash"),
        ("/data", listed("a\0"), "NUL"),
        ("/data", listed("k" * 256), "256 bytes"),
        ("s3://b-2/p", listed("k" * 1024), "1026 bytes"),
        ("s3://b-1", listed("k"), "onto itself"),
        ("", listed("k"), "no destination"),
        ("", listed("k", destination="s3://b-2"), "the field destination: the key is missing"),
        ("", listed("k", destination="s3://b 2/k"), "the field destination"),
        ("", listed("k", destination="/data/"), "names a folder"),
        ("", listed("/data/k", bucket="", destination="/other"), "both files"),
        ("s3://b-2", listed("/data/k", bucket=""), "has to name its destination"),
        ("s3://b-2", listed("k", action=Action.DELETE), "its action is delete"),
    ],
)
def test_refused(to: str, row: Listed, reason: str) -> None:
    """What cannot go there is one bad row with its number, and says why."""
    bad = one("copy", to, row, first=3)
    assert isinstance(bad, BadRow)
    assert reason in bad.message
    assert (bad.n, bad.where, bad.source) == (3, "m:1", row.source)


def test_not_below_what_is_cut_off() -> None:
    """A key that does not begin with what is to be cut off is not guessed at."""
    bad = one("copy", "s3://b-2", listed("b/a/k"), strip="a/")
    assert isinstance(bad, BadRow)
    assert "does not begin with 'a/'" in bad.message


@pytest.mark.parametrize(
    ("row", "action"),
    [
        (listed("k", destination="s3://b-2/x"), Action.COPY),
        (listed("k", destination="/data/x"), Action.DOWNLOAD),
        (listed("/data/k", bucket="", destination="s3://b-2/x"), Action.UPLOAD),
    ],
)
def test_own_destination(row: Listed, action: Action) -> None:
    """A row that names its destination goes there and nowhere else."""
    found = one("copy", "s3://b-3/all", row)
    assert isinstance(found, Row)
    assert (found.action, found.destination, found.source) == (action, row.destination, row.source)


def test_skipped() -> None:
    """What is no current object is told, and not copied; nor is the mark of a folder made a file."""
    rows = planned(
        "copy",
        "/data",
        [
            listed("k", version_id="v2"),
            listed("k", version_id="v1", is_latest=False),
            listed("gone", is_delete_marker=True),
            listed("folder/", size_bytes=0),
            listed("same", action=Action.SKIP, reason="it is the same"),
        ],
    )
    assert [(row.action, row.reason) for row in rows if isinstance(row, Row)] == [
        (Action.DOWNLOAD, ""),
        (Action.SKIP, "it is not the current version"),
        (Action.SKIP, "it is a delete marker"),
        (Action.SKIP, "it marks a folder and holds nothing"),
        (Action.SKIP, "it is the same"),
    ]
    assert [row.n for row in rows] == [0, 1, 2, 3, 4]


def test_deletion() -> None:
    """What is listed is deleted, by its version where one is named; an ETag is kept where the object may change."""
    rows = planned(
        "delete",
        "",
        [
            listed("a", etag='"e"'),
            listed("a", version_id="v1", etag='"e"', is_latest=False),
            listed("a", version_id="null", etag='"e"', is_latest=False),
            listed("a", version_id="v2", is_delete_marker=True),
            listed("/data/a", bucket=""),
            listed("a", where="m:9"),
        ],
    )
    assert [(row.action, row.version_id, row.etag) for row in rows if isinstance(row, Row)] == [
        (Action.DELETE, "", '"e"'),
        (Action.DELETE, "v1", ""),
        (Action.DELETE, "null", '"e"'),
        (Action.DELETE, "v2", ""),
    ]
    file, twice = rows[4:]
    assert isinstance(file, BadRow)
    assert "only objects" in file.message
    assert isinstance(twice, BadRow)
    assert "listed twice: the first time at m:1" in twice.message


def test_relative_paths_are_those_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is gone on with from any folder, so its plan names each file by its whole path."""
    monkeypatch.chdir(tmp_path)
    down = one("copy", "", listed("k", destination="a/../out/x"))
    assert isinstance(down, Row)
    assert (down.source, down.destination) == ("s3://b-1/k", f"{tmp_path}/out/x")
    up = one("copy", "", listed("in/y", bucket="", destination="s3://b-2/y"))
    assert isinstance(up, Row)
    assert (up.source, up.destination) == (f"{tmp_path}/in/y", "s3://b-2/y")


@pytest.mark.parametrize(("kind", "to", "error"), [("delete", "s3://b-2", UsageError), ("copy", "s3://", InvalidUrl)])
def test_wrong_call(kind: Kind, to: str, error: type[Exception]) -> None:
    """A deletion goes nowhere, and a prefix has a bucket."""
    with pytest.raises(error):
        Destinations(kind, to)


def test_a_folder_whose_path_is_no_text() -> None:
    """A plan is text, so a folder whose path is no UTF-8 is refused before a row is read."""
    with pytest.raises(UsageError, match="UTF-8"):
        Destinations("copy", os.fsdecode(b"/tmp/\xff"))


@pytest.mark.parametrize("apart", [False, True], ids=["one page", "two pages"])
def test_one_place_for_two(apart: bool) -> None:
    """The second of two rows for one destination is refused, and names the first; so is every later one."""
    rows = [
        listed("k", where="one:1"),
        listed("k", where="two:1", bucket="b-9"),
        listed("other", where="two:2", destination="s3://b-2/k"),
        listed("x", where="two:3"),
    ]
    pages = [rows[:1], rows[1:]] if apart else [rows]
    first, second, third, fourth = planned("copy", "s3://b-2", *pages)
    assert isinstance(first, Row)
    assert isinstance(fourth, Row)
    for bad, where in ((second, "two:1"), (third, "two:2")):
        assert isinstance(bad, BadRow)
        assert bad.where == where
        assert "the destination s3://b-2/k is that of one:1 already" in bad.message


def test_one_file_for_two(tmp_path: Path) -> None:
    """A file is the same by whatever path it is named, and where case does not count also by another case."""
    there = str(tmp_path / "x")
    _, second = planned("copy", str(tmp_path), [listed("x"), listed("y", destination=f"{tmp_path}/sub/..//x")])
    assert isinstance(second, BadRow)
    rows = [listed("X"), listed("y", destination=there)]
    assert all(isinstance(row, Row) for row in planned("copy", str(tmp_path), rows))
    _, second = planned("copy", str(tmp_path), rows, folds_case=True)
    assert isinstance(second, BadRow)


def test_across_manifests(tmp_path: Path) -> None:
    """One name in two manifests, or in one that is given twice, is told with both places."""
    one_csv = written(tmp_path / "1.csv", "b-1,a\nb-1,b\n")
    two = written(tmp_path / "2.jsonl", '{"bucket": "b-1", "key": "c"}\n{"bucket": "b-1", "key": "b"}\n')

    async def run(*names: Path, **options: Any) -> list[Row | BadRow]:
        pages = read_manifests([str(name) for name in names], Opener())
        return [row async for page in planned_rows(pages, Destinations("copy", "s3://b-2"), **options) for row in page]

    rows = asyncio.run(run(one_csv, two))
    assert [row.n for row in rows] == [0, 1, 2, 3]
    (bad,) = (row for row in rows if isinstance(row, BadRow))
    assert (bad.n, bad.where) == (3, f"{two}:2")
    assert f"{one_csv}:2" in bad.message
    assert [type(row) for row in asyncio.run(run(one_csv, one_csv))] == [Row, Row, BadRow, BadRow]
    with pytest.raises(ManifestError, match=r"2\.jsonl:2: "):
        asyncio.run(run(one_csv, two, on_bad="fail"))


def test_bad_rows_have_numbers() -> None:
    """A bad row of a manifest is a row of the plan."""
    rows = planned("copy", "s3://b-2", [listed("a"), BadRow("m:2", "wrong"), listed("b")])
    assert rows[1] == BadRow("m:2", "wrong", n=1)
    assert [row.n for row in rows] == [0, 1, 2]


def test_closed_early() -> None:
    """Who stops early closes the manifests too."""
    ended: list[bool] = []

    async def pages() -> AsyncGenerator[Sequence[Listed | BadRow], None]:
        try:
            yield [listed("a")]
            yield [listed("b")]
        finally:
            ended.append(True)

    async def run() -> None:
        rows = planned_rows(pages(), Destinations("copy", "s3://b-2"))
        await anext(rows)
        await rows.aclose()

    asyncio.run(run())
    assert ended == [True]


@pytest.mark.parametrize("kind", ["copy", "delete"])
def test_rows_alone(tmp_path: Path, kind: Kind) -> None:
    """A bad row becomes one that nothing can be done with, least of all a deletion, and that says why."""
    path = written(tmp_path / "m", "b-1,a\nb-1,%\n")

    async def run() -> list[Row]:
        to = "" if kind == "delete" else "s3://b-2"
        return [row async for page in rows_of_manifests([str(path)], Opener(), kind, to) for row in page]

    good, bad = asyncio.run(run())
    assert (good.n, good.source) == (0, "s3://b-1/a")
    assert (bad.n, bad.action, bad.source, bad.destination) == (1, Action.COPY, f"{path}:2", "")
    assert "%" in bad.reason
    assert str(path) not in bad.reason  # the source names it
