"""Reports as JSON Lines, CSV, Batch Operations CSV and Parquet: read again by others, they say what the rows say."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

import jsonschema
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.disk.whole_files import whole_file
from bulkhaul.jobs.reports import parquet
from bulkhaul.jobs.reports.plain_csv import COLUMNS
from bulkhaul.jobs.reports.schema import SCHEMAS, schema_of, schema_text
from bulkhaul.jobs.reports.writing import REPORT_FORMATS, ReportFormat, write_report
from bulkhaul.model.errors import ErrorInfo, LocalError, Unsupported, UsageError
from bulkhaul.model.rows import Action, ReportRow, Status
from tests.unit.reported import HOSTILE, failed, report_rows, row, written

SCHEMA_FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def records(report: bytes) -> list[list[str]]:
    """Return the records of a CSV, as Python's reader understands them."""
    return list(csv.reader(io.StringIO(report.decode(), newline=""), strict=True))


@given(st.lists(report_rows(), max_size=8))
def test_json_lines_are_the_rows(rows: list[ReportRow]) -> None:
    """Any reader of JSON gets every field, each line is valid by the schema, and is the row again."""
    report = written(rows, "jsonl")
    lines = report.split(b"\n")[:-1]
    assert [json.loads(line) for line in lines] == [msgspec.to_builtins(row) for row in rows]
    for line in lines:
        jsonschema.validate(json.loads(line), schema_of(ReportRow))
    assert [msgspec.json.decode(line, type=ReportRow) for line in lines] == rows


def test_the_schema_refuses_what_is_no_row() -> None:
    """A status of its own, or no source, is no report row."""
    for wrong in (
        {"n": 1, "action": "copy", "status": "failed"},
        {"n": 1, "action": "copy", "source": "", "status": "x"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema_of(ReportRow))


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_what_the_code_writes(name: str) -> None:
    """The committed schema is that of the structs: `python -m bulkhaul.jobs.reports.schema docs/schemas` renews it."""
    assert (SCHEMA_FOLDER / name).read_text(encoding="utf-8") == schema_text(SCHEMAS[name])
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text(SCHEMAS[name])))


def test_a_path_that_is_no_utf8_goes_through_json_lines_unchanged() -> None:
    """A file name of any bytes is the same name when the report is read again."""
    odd = row(0, Status.FAILED, os.fsdecode(b"/data/\xff\xfe.bin"), error=ErrorInfo("UnsafeKey", "no"))
    report = written([odd, row(1)], "jsonl")
    assert [json.loads(line)["source"] for line in report.splitlines()] == [odd.source, row(1).source]


def expected_columns(row: ReportRow) -> dict[str, Any]:
    """Return what each column holds, as a value; what is not known is None."""
    error = row.error or ErrorInfo("", "")
    fields = {name: name for name in COLUMNS if not name.startswith("error_")} | {"size_bytes": "size"}
    told: dict[str, Any] = {name: getattr(row, field) for name, field in fields.items()}
    for name in ("code", "service_code", "status", "message", "cause", "request_id", "attempts"):
        told[f"error_{name}"] = getattr(error, name)
    optional = {*told} - {"plan", "n", "size_bytes", "seconds", "resumed_bytes"}
    return {name: None if name in optional and not value else value for name, value in told.items()}


@given(st.lists(report_rows(), max_size=8))
def test_csv_holds_every_field(rows: list[ReportRow]) -> None:
    """The csv module gets back each cell as it is, whatever is in it; and the lines are those of RFC 4180."""
    report = written(rows, "csv")
    head, *body = records(report)
    assert report.endswith(b"\r\n")
    assert tuple(head) == COLUMNS
    assert len(body) == len(rows)
    for record, each in zip(body, rows, strict=True):
        told = expected_columns(each)
        ended, seconds = told.pop("ended"), told.pop("seconds")
        got = dict(zip(COLUMNS, record, strict=True))
        assert float(got.pop("seconds")) == pytest.approx(seconds, abs=1e-6)
        instant = got.pop("ended")
        if ended is None:
            assert instant == ""
        else:
            assert datetime.fromisoformat(instant).timestamp() == pytest.approx(ended, abs=1.1e-3)
        assert got == {name: "" if value is None else str(value) for name, value in told.items()}


def test_csv_is_written_as_documented() -> None:
    """Columns in their order; the record that other programs were written for stays as it is."""
    told = written([row(3, destination="/d/a,b", size=7, etag='"x"', seconds=0.25, ended=1.5)], "csv")
    assert told.decode() == (
        "plan,n,action,status,source,destination,size_bytes,etag,version_id,source_version_id,integrity,seconds,ended,"
        "reason,error_code,error_service_code,error_status,error_message,error_cause,error_request_id,error_attempts,"
        "resumed_bytes,verdict,evidence\r\n"
        '0,3,download,succeeded,s3://bucket/folder/0003,"/d/a,b",7,"""x""",,,,0.25,1970-01-01T00:00:01.500Z,,,,,,,,,0,,\r\n'
    )


@pytest.mark.parametrize("key", ["=1+1", "+1", "-1", "@A1"])
def test_csv_leaves_cells_as_they_are(key: str) -> None:
    """A key that a spreadsheet takes for a formula is still that key: a mark before it would name another object."""
    report = written([failed(0, key)], "csv")
    assert records(report)[1][COLUMNS.index("source")] == key


def test_batch_csv_is_written_as_the_service_writes_it() -> None:
    """The records of the User Guide's page on completion reports: status, then code; quotes where they are needed."""
    timed_out = (
        'Lambda returned function error: {"errorMessage":"2019-04-05T17:35:21.155Z 2845ca0d-38d9-4c4b-abcf-379dc749c452'
        ' Task timed out after 3.00 seconds"}'
    )
    error = ErrorInfo("ServerError", timed_out, status=200, service_code="PermanentFailure")
    rows = [
        row(0, Status.FAILED, "s3://awsexamplebucket1/image_14975", error=error),
        row(1, source="s3://b/image_17775"),
    ]
    assert written(rows, "batch-csv").decode() == (
        'awsexamplebucket1,image_14975,,failed,200,PermanentFailure,"Lambda returned function error: {""errorMessage"":'
        '""2019-04-05T17:35:21.155Z 2845ca0d-38d9-4c4b-abcf-379dc749c452 Task timed out after 3.00 seconds""}"\r\n'
        "b,image_17775,,succeeded,200,,Successful\r\n"
    )


def test_batch_csv_encodes_keys_as_a_manifest_has_them() -> None:
    """A percent in a key is encoded too (observed of the service: ``pct%20literal`` is ``pct%2520literal``)."""
    keys = {
        "retag-verify/pct%20literal.txt": "retag-verify/pct%2520literal.txt",
        "a+b c,d": "a%2Bb%20c%2Cd",
        "ü": "%C3%BC",
    }
    report = written([row(n, source=f"s3://b/{key}") for n, key in enumerate(keys)], "batch-csv")
    assert [record[1] for record in records(report)] == list(keys.values())


def test_batch_csv_names_the_object_on_s3() -> None:
    """Of an upload the key to be stored, of a deletion and a copy the one asked for, of no object the path."""
    upload = ReportRow(
        n=0, action=Action.UPLOAD, source="/d/f", destination="s3://b/up", status=Status.SUCCEEDED, version_id="v2"
    )
    copy = ReportRow(
        n=1,
        action=Action.COPY,
        source="s3://a/from",
        destination="s3://b/to",
        status=Status.SUCCEEDED,
        version_id="new",
        source_version_id="old",
    )
    local = ReportRow(n=2, action=Action.SKIP, source="/d/x", status=Status.SKIPPED, reason="a socket")
    assert [record[:4] for record in records(written([upload, copy, local], "batch-csv"))] == [
        ["b", "up", "v2", "succeeded"],
        ["a", "from", "old", "succeeded"],
        ["", "/d/x", "", "skipped"],
    ]


@given(st.lists(report_rows(), max_size=8))
def test_batch_csv_holds_every_key(rows: list[ReportRow]) -> None:
    """Seven fields a record, and either way to decode a key gives it back."""
    told = records(written(rows, "batch-csv"))
    for record, each in zip(told, rows, strict=True):
        bucket, key, version_id, status, http_status, code, message = record
        assert f"s3://{bucket}/{unquote(key)}" == f"s3://{bucket}/{unquote_plus(key)}" == each.source
        assert (version_id, status) == (each.source_version_id, each.status)
        if each.error is not None:
            assert message == each.error.message
            assert code == (each.error.service_code or each.error.code)
            assert http_status == (str(each.error.status) if each.error.status else "")


@given(st.lists(report_rows(), max_size=8))
def test_parquet_holds_every_field(rows: list[ReportRow]) -> None:
    """pyarrow gets back each value in its type."""
    table = pq.read_table(pa.BufferReader(written(rows, "parquet")))
    assert tuple(table.column_names) == COLUMNS
    for got, each in zip(table.to_pylist(), rows, strict=True):
        told = expected_columns(each)
        ended = told.pop("ended")
        instant = got.pop("ended")
        assert got == told
        if ended is None:
            assert instant is None
        else:
            assert abs(instant - (EPOCH + timedelta(seconds=ended))) <= timedelta(microseconds=1)


def test_parquet_has_typed_columns() -> None:
    """Programs rely on these types."""
    schema = pq.read_schema(pa.BufferReader(written([], "parquet")))
    told = {field.name: (str(field.type), field.nullable) for field in schema}
    assert told["n"] == ("int64", False)
    assert told["plan"] == ("int32", False)
    assert told["source"] == ("string", False)
    assert told["size_bytes"] == ("int64", True)
    assert told["seconds"] == ("double", True)
    assert told["ended"] == ("timestamp[us, tz=UTC]", True)
    assert told["error_status"] == ("int16", True)


def test_parquet_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row group holds more rows than said, so neither does memory."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    told = pq.ParquetFile(pa.BufferReader(written([row(n) for n in range(25)], "parquet")))
    groups = [told.metadata.row_group(at).num_rows for at in range(told.metadata.num_row_groups)]
    assert groups == [10, 10, 5]


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unsupported, match=r"pip install 'bulkhaul\[parquet\]'"):
        written([], "parquet")


@pytest.mark.parametrize("report_format", ["csv", "batch-csv", "parquet", "html"])
def test_a_path_that_is_no_utf8_breaks_no_format(report_format: ReportFormat) -> None:
    """Its odd bytes stand as escapes, in valid UTF-8, and the rows around it are there."""
    odd = row(0, Status.FAILED, os.fsdecode(b"/data/\xff.bin"), error=ErrorInfo("UnsafeKey", "odd \udcff"))
    report = written([odd, failed(1, "/data/z.bin")], report_format)
    if report_format == "parquet":
        report = json.dumps(pq.read_table(pa.BufferReader(report)).column("source").to_pylist()).encode()
    told = report.decode("utf-8")
    assert "udcff.bin" in told
    assert "z.bin" in told


@pytest.mark.parametrize("report_format", ["jsonl", "csv", "batch-csv", "parquet"])
def test_only_some_rows(report_format: ReportFormat) -> None:
    """``--only failed`` and ``--only skipped`` are rows of those ends, and no other."""
    rows = [row(0), failed(1), row(2, Status.SKIPPED, reason="x"), failed(3)]
    chosen = io.BytesIO()
    write_report(rows, report_format, chosen, only={Status.FAILED})
    assert chosen.getvalue() == written([rows[1], rows[3]], report_format)


def test_a_page_of_some_rows_is_refused() -> None:
    """Its sums would not be those of the job."""
    with pytest.raises(UsageError, match="HTML"):
        write_report([], "html", io.BytesIO(), only={Status.FAILED})


def test_an_unknown_format_is_refused() -> None:
    """The message lists those that there are."""
    with pytest.raises(UsageError, match="jsonl, csv, batch-csv, parquet, html"):
        write_report([], "xml", io.BytesIO())  # type: ignore[arg-type]


@pytest.mark.parametrize("report_format", REPORT_FORMATS)
def test_rows_are_written_as_they_come(report_format: ReportFormat) -> None:
    """The stream stays open and is never sought, so that a pipe will do; rows are taken once."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.told = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.told += data
            return len(memoryview(data))

    rows = [row(n, source=f"s3://b/{key}") for n, key in enumerate(HOSTILE)]
    pipe = Pipe()
    write_report(iter(rows), report_format, pipe)  # type: ignore[arg-type]
    assert not pipe.closed
    assert bytes(pipe.told) == written(rows, report_format)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error on the way leaves the earlier report, and no temp file."""
    path = tmp_path / "report.jsonl"
    path.write_bytes(b"earlier")

    def broken() -> Any:
        yield row(0)
        assert path.read_bytes() == b"earlier"
        raise RuntimeError

    with pytest.raises(RuntimeError), whole_file(str(path)) as out:
        write_report(broken(), "jsonl", out)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["report.jsonl"]
    with whole_file(str(path)) as out:
        write_report([row(0)], "jsonl", out)
    assert path.read_bytes() == written([row(0)], "jsonl")
    assert os.listdir(tmp_path) == ["report.jsonl"]


def test_a_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    """A report is as readable as the umask says, not private as its temp file was."""
    before = os.umask(0o027)
    try:
        with whole_file(str(tmp_path / "r.csv")) as out:
            write_report([], "csv", out)
    finally:
        os.umask(before)
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["missing/report.csv", "fifo", "folder"])
def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    """A folder that is missing, a FIFO and a folder are no place for a report."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LocalError), whole_file(str(tmp_path / name)):
        raise AssertionError
