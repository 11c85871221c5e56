"""CSV manifests of S3 Batch Operations: what AWS documents, and keys that are hard to write."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.jobs.manifests.csv_rows import batch_rows
from bulkhaul.jobs.manifests.detection import Format
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.model.errors import ManifestError, UsageError
from tests.unit.manifests.reading import good, read, written

KEYS = st.text(
    st.one_of(st.sampled_from(list("\"',\r\n%+ /\\;\té\u2028\0")), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=80,
)


def test_documented_examples(tmp_path: Path) -> None:
    """The two examples of "Specifying a manifest" in the S3 User Guide are read as they are meant."""
    plain = written(
        tmp_path / "plain",
        "Examplebucket,objectkey1\nExamplebucket,photos/jpgs/objectkey4\nExamplebucket,object%20key%20with%20spaces\n",
    )
    assert [(row.bucket, row.key, row.version_id) for row in good(plain)] == [
        ("Examplebucket", "objectkey1", ""),
        ("Examplebucket", "photos/jpgs/objectkey4", ""),
        ("Examplebucket", "object key with spaces", ""),
    ]
    versions = written(
        tmp_path / "versions",
        "Examplebucket,objectkey1,PZ9ibn9D5lP6p298B7S9_ceqx1n5EJ0p\n"
        "Examplebucket,object%20key%20with%20spaces,9HkPvDaZY5MVbMhn6TMn1YTb5ArQAo3w\n",
    )
    assert [(row.source, row.version_id, row.where) for row in good(versions)] == [
        ("s3://Examplebucket/objectkey1", "PZ9ibn9D5lP6p298B7S9_ceqx1n5EJ0p", f"{versions}:1"),
        ("s3://Examplebucket/object key with spaces", "9HkPvDaZY5MVbMhn6TMn1YTb5ArQAo3w", f"{versions}:2"),
    ]


@given(keys=st.lists(KEYS, min_size=1, max_size=5), encode=st.sampled_from([quote, quote_plus]), quoting=st.booleans())
def test_hostile_keys(keys: list[str], encode: object, quoting: bool) -> None:
    """Every key that is percent-encoded comes back, whichever way spaces are written, and with or without quotes."""
    assert callable(encode)
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if quoting else csv.QUOTE_MINIMAL)
    writer.writerows(("bucket-1", encode(key, safe="")) for key in keys)
    rows = list(batch_rows(io.BytesIO(text.getvalue().encode()), "m"))
    assert [row.key if isinstance(row, Listed) else row for row in rows] == keys


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"bucket-1,100%", "%"),
        (b"bucket-1,a%zzb", "%"),
        (b"bucket-1,%ff", "UTF-8"),
        (b"bucket-1,\xff", "UTF-8"),
        (b"bucket-1,%ED%A0%80", "UTF-8"),
        (b"bucket-1,", "key is missing"),
        (b",key", "bucket is missing"),
        (b"bad bucket,key", "bucket name"),
        (b"bucket/1,key", "bucket name"),
        (b"bucket-1", "1 columns"),
        (b"bucket-1,key,version", "3 columns"),
        (b"bucket-1,a,b,c", "4 columns"),
        (b'bucket-1,"open', "quotes"),
        (b'bucket-1,"a"b', "quotes"),
        (b"bucket-1," + b"k" * 1025, "1025 bytes"),
        (b"bucket-1," + b"%C3%A9" * 513, "1026 bytes"),
        (b"bucket-1," + b"k" * (1 << 20), "longer than"),
    ],
)
def test_bad_rows(tmp_path: Path, line: bytes, reason: str) -> None:
    """A wrong row is told by its line, and takes none of its neighbours with it; or it ends the reading."""
    path = written(tmp_path / "m.csv", b"bucket-1,first\n" + line + b"\nbucket-1,last\n")
    first, bad, last = read(path)
    assert isinstance(first, Listed)
    assert isinstance(last, Listed)
    assert (first.key, last.key, last.where) == ("first", "last", f"{path}:3")
    assert isinstance(bad, BadRow)
    assert bad.where == f"{path}:2"
    assert reason in bad.message
    assert (bad.error.code, bad.error.subject) == ("ManifestError", f"{path}:2")
    with pytest.raises(ManifestError, match=r"m\.csv:2: "):
        read(path, on_bad="fail")


@pytest.mark.parametrize("header", ["Bucket,Key", "key,bucket", '"bucket","key","versionid"', "Bucket, Key, VersionId"])
def test_header(tmp_path: Path, header: str) -> None:
    """A header, as Athena writes it, is no object: Batch Operations does not support it either."""
    rest = ",version" if "version" in header else ""
    rows = read(written(tmp_path / "m", f"{header}\nbucket-1,k{rest}\n"))
    assert isinstance(rows[0], BadRow)
    assert "header" in rows[0].message
    assert isinstance(rows[1], Listed)


def test_empty_version(tmp_path: Path) -> None:
    """A version is named in all rows or in none; an empty one means nothing certain, ``null`` does."""
    bad, null = read(written(tmp_path / "m", "bucket-1,k,\nbucket-1,k,null\n"))
    assert isinstance(bad, BadRow)
    assert "version is empty" in bad.message
    assert isinstance(null, Listed)
    assert null.version_id == "null"


def test_ends_of_lines(tmp_path: Path) -> None:
    """A byte order mark, CRLF, blank lines and a missing last line end belong to no key."""
    path = written(tmp_path / "m", b"\xef\xbb\xbfbucket-1,a\r\n\r\n\nbucket-1,b")
    assert [(row.bucket, row.key, row.where) for row in good(path)] == [
        ("bucket-1", "a", f"{path}:1"),
        ("bucket-1", "b", f"{path}:4"),
    ]


def test_compressed(tmp_path: Path) -> None:
    """Compression is seen in the content; parts of it may follow each other."""
    path = written(tmp_path / "m.csv", gzip.compress(b"bucket-1,a\nbucket-1,", mtime=0) + gzip.compress(b"b\n"))
    assert [row.key for row in good(path)] == ["a", "b"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing"])
def test_damaged_compression(tmp_path: Path, damage: str) -> None:
    """A compressed manifest that is cut off or damaged is refused, however good its rows before are."""
    whole = bytearray(gzip.compress("".join(f"bucket-1,key-{n * 7919}\n" for n in range(20_000)).encode()))
    if damage == "cut":
        del whole[-9:]
    elif damage == "flipped":
        whole[-6] ^= 1
    else:
        whole += b"rubbish"
    with pytest.raises(ManifestError, match=r"m\.gz: the compressed data"):
        read(written(tmp_path / "m.gz", bytes(whole)))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_nothing_in_it(tmp_path: Path, content: bytes) -> None:
    """A manifest that lists nothing is a mistake, whatever it is made of, also where its format is named."""
    path = written(tmp_path / "m", content)
    for wanted in (None, Format.CSV, Format.JSONL):
        with pytest.raises(ManifestError, match=r"empty|lists no object"):
            read(path, format=wanted)


@pytest.mark.parametrize("content", [b"no manifest", b"\x00\x01,\x02", b"<html>"])
def test_no_format(tmp_path: Path, content: bytes) -> None:
    """What is none of the formats is refused as such, and not row by row."""
    with pytest.raises(ManifestError, match="as no manifest does"):
        read(written(tmp_path / "m", content))


def test_one_after_the_other(tmp_path: Path) -> None:
    """Several manifests of several formats are read in the order in which they are named."""
    first = written(tmp_path / "1", "bucket-1,a\n" * 1001)
    second = written(tmp_path / "2", '{"bucket": "bucket-2", "key": "b"}\n')
    assert [row.bucket for row in good(second, first, second)] == ["bucket-2", *["bucket-1"] * 1001, "bucket-2"]


@pytest.mark.parametrize("names", [[], ["-", "-"]])
def test_names(names: list[str]) -> None:
    """No manifest, or stdin twice, is a mistake of the caller."""
    with pytest.raises(UsageError):
        read(*names)
