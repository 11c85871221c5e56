"""JSON Lines: rows of our plans and reports, and what others write with the same fields."""

from __future__ import annotations

import contextlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.jobs.manifests.destinations import Destinations, Kind
from bulkhaul.jobs.manifests.jsonl import jsonl_rows
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.rows import Action, ReportRow, Row, Status
from tests.unit.manifests.reading import good, read, written

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


@given(key=KEYS, ascii_only=st.booleans(), whole=st.booleans())
def test_hostile_keys(key: str, ascii_only: bool, whole: bool) -> None:
    """A key comes back as it is, in one field with its bucket or beside it: nothing in it is decoded."""
    fields = {"source": f"s3://bucket-1/{key}"} if whole else {"bucket": "bucket-1", "key": key}
    line = json.dumps(fields, ensure_ascii=ascii_only).encode() + b"\n"
    assert list(jsonl_rows(io.BytesIO(line), "m")) == [Listed(bucket="bucket-1", key=key, where="m:1")]


def test_rows_of_a_plan(tmp_path: Path) -> None:
    """The rows of a plan are a manifest: all that they tell of the source is kept."""
    row = Row(
        n=7,
        action=Action.COPY,
        source="s3://bucket-1/a%2Fb+c*",
        destination="s3://bucket-2/x",
        size=5,
        etag='"e"',
        version_id="v",
        last_modified=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        storage_class="GLACIER",
        reason="it is new",
    )
    upload = Row(n=8, action=Action.UPLOAD, source="/data/é", destination="s3://bucket-2/y")
    path = written(tmp_path / "m", msgspec.json.encode(row) + b"\n" + msgspec.json.encode(upload) + b"\n")
    assert good(path) == [
        Listed(
            bucket="bucket-1",
            key="a%2Fb+c*",
            destination="s3://bucket-2/x",
            action=Action.COPY,
            size_bytes=5,
            etag='"e"',
            version_id="v",
            last_modified=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            storage_class="GLACIER",
            reason="it is new",
            where=f"{path}:1",
        ),
        Listed(bucket="", key="/data/é", destination="s3://bucket-2/y", action=Action.UPLOAD, where=f"{path}:2"),
    ]


def test_unknown_fields(tmp_path: Path) -> None:
    """What we do not know is no fault."""
    row = {"bucket": "bucket-1", "key": "k", "owner": {"id": [1]}, "is_latest": False, "is_delete_marker": True}
    (listed,) = good(written(tmp_path / "m", json.dumps(row)))
    assert (listed.is_latest, listed.is_delete_marker) == (False, True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"bucket": "bucket-1", "key": 5}', "key"),
        ('{"bucket": "bucket-1", "key": "k", "size_bytes": "5"}', "size_bytes"),
        ('{"bucket": "bucket-1", "key": "k", "size_bytes": -1}', "-1 is no number of bytes"),
        ('{"bucket": "bucket-1", "key": "k", "size_bytes": 1.5}', "size_bytes"),
        ('{"bucket": "bucket-1", "key": "k", "size_bytes": 9223372036854775808}', ""),
        ('{"bucket": "bucket-1", "key": "k", "is_latest": "yes"}', "is_latest"),
        ('{"bucket": "bucket-1", "key": "k", "last_modified": "today"}', "ISO 8601"),
        ('{"bucket": "bucket-1", "key": "k", "action": "shred"}', "action"),
        ('{"bucket": "bucket-1", "key": ""}', "key is missing"),
        ('{"bucket": "bucket-1", "key": "\\ud800"}', ""),
        ('{"source": "s3://"}', "source"),
        ('{"source": "s3://bucket-1"}', "key is missing"),
        ('{"source": "/a\\u0000b"}', "NUL"),
        ('{"source": "s3://bucket-1/k", "bucket": "bucket-2", "key": "k"}', "source"),
        ('{"source": "s3://bucket-1/k", "key": "l"}', "source"),
        ('{"bucket": "bucket-1", "key": "k"', ""),
        ('["bucket-1", "k"]', ""),
        ("[" * 100_000, ""),
        ("bucket-1,k", ""),
    ],
)
def test_bad_rows(tmp_path: Path, line: str, reason: str) -> None:
    """A wrong type or value is told with its field, and only its row is lost."""
    before = '{"bucket": "bucket-1", "key": "k"}\n'
    first, bad, last = read(written(tmp_path / "m", before + line + "\n" + before))
    assert isinstance(first, Listed)
    assert isinstance(last, Listed)
    assert isinstance(bad, BadRow)
    assert reason in bad.message
    assert bad.where.endswith("m:2")


def report(path: Path, *rows: ReportRow) -> Path:
    """Return a report of these rows."""
    return written(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def test_report(tmp_path: Path) -> None:
    """A report is a manifest of what failed in it, or of all; each row keeps its destination and version."""
    failed = ReportRow(
        n=1,
        action=Action.DOWNLOAD,
        source="s3://bucket-1/b",
        destination="/data/b",
        status=Status.FAILED,
        source_version_id="v",
        size=3,
        error=ErrorInfo("NotFound", "gone"),
    )
    done = ReportRow(
        n=0,
        action=Action.COPY,
        source="s3://bucket-1/a",
        destination="s3://bucket-2/a",
        status=Status.SUCCEEDED,
        etag='"of the copy"',
        version_id="of the copy",
    )
    path = report(tmp_path / "m", done, failed)
    wanted = Listed(
        bucket="bucket-1",
        key="b",
        destination="/data/b",
        version_id="v",
        size_bytes=3,
        action=Action.DOWNLOAD,
        where=f"{path}:2",
    )
    assert good(path) == [wanted]
    copied = Listed(bucket="bucket-1", key="a", destination="s3://bucket-2/a", action=Action.COPY, where=f"{path}:1")
    assert good(path, failed_only=False) == [copied, wanted]


def test_report_over_several_plans(tmp_path: Path) -> None:
    """The last try of an object counts, in whatever order the rows stand; what was not tried again has failed still."""

    def tried(n: int, name: str, status: Status, plan: int) -> ReportRow:
        error = ErrorInfo("NotFound", "gone") if status is Status.FAILED else None
        source, destination = f"s3://bucket-1/{name}", f"/data/{name}"
        return ReportRow(
            n=n, action=Action.DOWNLOAD, source=source, destination=destination, status=status, plan=plan, error=error
        )

    rows = [tried(n, name, Status.FAILED, 0) for n, name in enumerate("abcde")]
    rows += [tried(5, "f", Status.SUCCEEDED, 0)]
    rows += [tried(0, "a", Status.SUCCEEDED, 1), tried(1, "b", Status.FAILED, 1), tried(2, "c", Status.SKIPPED, 1)]
    rows += [tried(3, "d", Status.FAILED, 1), tried(0, "b", Status.SUCCEEDED, 2)]
    for number, order in enumerate((rows, rows[::-1])):
        assert {row.key for row in good(report(tmp_path / f"m{number}", *order))} == {"d", "e"}
        assert len(good(tmp_path / f"m{number}")) == 2
    assert len(good(tmp_path / "m0", failed_only=False)) == len(rows)


@pytest.mark.parametrize("kind", ["copy", "delete"])
def test_report_of_what_could_not_be_planned(tmp_path: Path, kind: Kind) -> None:
    """A row that had no destination gets none when its report is read: the one of its key may be another object's."""
    why = "the destination s3://bucket-2/k is that of m:1 already; each object needs its own"
    twice = ReportRow(
        n=1,
        action=Action.COPY,
        source="s3://bucket-1/k",
        status=Status.FAILED,
        reason=f"m:2: {why}",
        error=ErrorInfo("ManifestError", f"m:2: {why}"),
    )
    (bad,) = read(report(tmp_path / "m", twice))
    assert isinstance(bad, BadRow)
    assert why in bad.message
    with contextlib.closing(Destinations(kind, "" if kind == "delete" else "s3://bucket-2/")) as destinations:
        (row,) = destinations.plan([bad])
    assert isinstance(row, BadRow)
    assert (row.source, row.row().action, row.row().destination) == ("s3://bucket-1/k", Action.COPY, "")


def test_report_without_failures(tmp_path: Path) -> None:
    """Where nothing failed there is nothing to do, and that is no mistake."""
    done = ReportRow(n=0, action=Action.DELETE, source="s3://bucket-1/a", status=Status.SUCCEEDED)
    assert good(report(tmp_path / "m", done)) == []


def test_torn_report(tmp_path: Path) -> None:
    """A report that ends in the middle of a row says so; what is not a row of one is no row."""
    done = ReportRow(n=0, action=Action.DELETE, source="s3://bucket-1/a", status=Status.FAILED)
    path = report(tmp_path / "m", done, done)
    path.write_bytes(path.read_bytes()[:-10])
    assert [type(row) for row in read(path)] == [Listed, BadRow]
