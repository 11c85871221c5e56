"""Parquet and ORC as pyarrow writes them, with the schema that S3 Inventory documents."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import orc
from pyarrow import parquet as pq

from bulkhaul.jobs.manifests.columnar import orc_rows, parquet_rows
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.model.errors import ManifestError, Unsupported
from tests.unit.manifests.reading import good, manifest_json, read, written

Write = Callable[..., None]

SCHEMA = pa.schema(
    [
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        ("version_id", pa.string()),
        ("is_latest", pa.bool_()),
        ("is_delete_marker", pa.bool_()),
        ("size", pa.int64()),
        ("last_modified_date", pa.timestamp("ms")),
        ("e_tag", pa.string()),
        ("storage_class", pa.string()),
        ("is_multipart_uploaded", pa.bool_()),
    ]
)
"""Source: S3 User Guide, "Locating your inventory list", examples of ORC and Parquet."""

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)

WRITERS = pytest.mark.parametrize("write", [pq.write_table, orc.write_table], ids=["parquet", "orc"])


def table(*rows: dict[str, object]) -> pa.Table:
    """Return the rows as a table of an inventory."""
    return pa.Table.from_pylist(list(rows), SCHEMA)


def saved(path: Path, write: Write, content: pa.Table) -> Path:
    """Return the path of the table as a file."""
    write(content, path)
    return path


@WRITERS
def test_documented_schema(tmp_path: Path, write: Write) -> None:
    """Every column goes where it belongs; keys are plain, not percent-encoded."""
    first = {
        "bucket": "b-1",
        "key": "a%2Fb+c",
        "version_id": "v",
        "is_latest": True,
        "is_delete_marker": False,
        "size": 5,
        "last_modified_date": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).replace(tzinfo=None),
        "e_tag": "abc",
        "storage_class": "GLACIER",
    }
    second = {"bucket": "b-1", "key": "é", "is_latest": False, "is_delete_marker": True}
    path = saved(tmp_path / "m", write, table(first, second))
    assert good(path) == [
        Listed(
            bucket="b-1",
            key="a%2Fb+c",
            version_id="v",
            size_bytes=5,
            etag='"abc"',
            last_modified=datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
            storage_class="GLACIER",
            where=f"{path}:1",
        ),
        Listed(bucket="b-1", key="é", version_id="null", is_latest=False, is_delete_marker=True, where=f"{path}:2"),
    ]


@WRITERS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(keys=st.lists(KEYS, min_size=1, max_size=4))
def test_hostile_keys(write: Write, keys: list[str]) -> None:
    """Every key comes back as it is."""
    sink = pa.BufferOutputStream()
    write(table(*(dict[str, object](bucket="b-1", key=key) for key in keys)), sink)
    rows = (parquet_rows if write is pq.write_table else orc_rows)(pa.BufferReader(sink.getvalue()), "m")
    assert [row.key if isinstance(row, Listed) else row for row in rows] == keys


@pytest.mark.parametrize(("kind", "write"), [("Parquet", pq.write_table), ("ORC", orc.write_table)])
def test_inventory(tmp_path: Path, kind: str, write: Write) -> None:
    """The data files of an inventory have their MD5s checked, whatever their format."""
    content = table(*(dict[str, object](bucket="b-1", key=f"k{n}") for n in range(2500)))
    data = saved(tmp_path / "one.data", write, content)
    path = written(tmp_path / "manifest.json", manifest_json(kind, "…", {"inventory/one.data": data.read_bytes()}))
    rows = good(path)
    assert [row.key for row in rows] == [f"k{n}" for n in range(2500)]
    assert rows[-1].where == f"{data}:2500"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with pytest.raises(ManifestError, match=r"one\.data: its MD5"):
        read(path)


@WRITERS
def test_other_types(tmp_path: Path, write: Write) -> None:
    """Columns that others write with wider types are the same; wrong types are told, each in its row."""
    content = pa.table(
        {
            "Key": pa.array([b"k", b"\xff", b""], pa.binary()),
            "Bucket": pa.array(["b-1"] * 3).cast(pa.large_string() if write is pq.write_table else pa.string()),
            "Size": ["1", "2", "3"],
            "LastModifiedDate": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 3, pa.timestamp("ns", "UTC")),
        }
    )
    one, two, three = read(saved(tmp_path / "m", write, content))
    assert isinstance(one, Listed)
    assert (one.size_bytes, one.last_modified) == (1, datetime(2026, 1, 2, tzinfo=UTC))
    assert isinstance(two, BadRow)
    assert two.message.startswith("the field Key:")
    assert "UTF-8" in two.message
    assert isinstance(three, BadRow)
    assert "the key is missing" in three.message


@WRITERS
def test_text_that_is_none(tmp_path: Path, write: Write) -> None:
    """Bytes that are no UTF-8 in a column of text cost their own row, not the thousand beside it."""
    wrong = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"], pa.binary()).buffers())
    content = pa.table({"bucket": ["b-1"] * 3, "key": wrong})
    assert [type(row) for row in read(saved(tmp_path / "m", write, content))] == [Listed, BadRow, Listed]


@pytest.mark.parametrize("instant", [2**60, -(2**50)])
def test_times_that_no_calendar_has(tmp_path: Path, instant: int) -> None:
    """A time before the year 1 or after 9999 costs its own row, not the file."""
    times = pa.array([0, instant], pa.timestamp("ms", "UTC"))
    content = pa.table({"bucket": ["b-1"] * 2, "key": ["a", "b"], "last_modified_date": times})
    one, two = read(saved(tmp_path / "m", pq.write_table, content))
    assert isinstance(one, Listed)
    assert one.last_modified == datetime(1970, 1, 1, tzinfo=UTC)
    assert isinstance(two, BadRow)
    assert two.message.startswith("the field last_modified_date:")


@WRITERS
def test_names_of_columns_that_are_no_text(tmp_path: Path, write: Write) -> None:
    """A schema that is damaged is told as that."""
    path = saved(tmp_path / "m", write, pa.table({"bucket": ["b-1"], "key": ["k"], "qqqq": ["x"]}))
    path.write_bytes(path.read_bytes().replace(b"qqqq", b"q\xffqq"))
    with pytest.raises(ManifestError, match="cannot be read"):
        read(path)


@WRITERS
def test_no_key(tmp_path: Path, write: Write) -> None:
    """A table without the two columns that matter is no manifest."""
    with pytest.raises(ManifestError, match="no column Key"):
        read(saved(tmp_path / "m", write, pa.table({"bucket": ["b-1"], "name": ["k"]})))


@WRITERS
@pytest.mark.parametrize("where", ["end", "middle"])
def test_damaged(tmp_path: Path, write: Write, where: str) -> None:
    """A file that is cut off or damaged is refused with one line; compressed as those of inventories are."""
    keys = [f"key-{n * 7919 % 10007}" for n in range(5000)]
    content = pa.table({"bucket": ["b-1"] * 5000, "key": keys})
    path = tmp_path / "m"
    compression = {"compression": "zlib"} if write is orc.write_table else {}
    write(content, path, **compression)
    whole = path.read_bytes()
    middle = len(whole) // 2
    damaged = whole[: middle - 3000] + b"\xff" * 6000 + whole[middle + 3000 :]
    path.write_bytes(whole[:-20] if where == "end" else damaged)
    with pytest.raises(ManifestError, match="cannot be read") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@WRITERS
def test_empty(tmp_path: Path, write: Write) -> None:
    """A table without rows lists nothing."""
    with pytest.raises(ManifestError, match="lists no object"):
        read(saved(tmp_path / "m", write, table()))


@WRITERS
def test_without_pyarrow(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is missing, one line says how to get it."""
    path = saved(tmp_path / "m", write, table({"bucket": "b-1", "key": "k"}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unsupported, match=r"pip install 'bulkhaul\[parquet\]'"):
        read(path)
