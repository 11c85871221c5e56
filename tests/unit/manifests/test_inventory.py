"""S3 Inventory: the schema says what a column is, the MD5s say what may be believed."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.jobs.manifests.columns import Columns
from bulkhaul.jobs.manifests.csv_rows import inventory_csv_rows
from bulkhaul.jobs.manifests.destinations import Destinations
from bulkhaul.jobs.manifests.inventory import parse_manifest
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.model.errors import LocalError, ManifestError
from bulkhaul.model.rows import Row
from tests.unit.manifests.reading import Bucket, csv_gz, good, manifest_json, read, written

DOCUMENTED = """{
    "sourceBucket": "example-source-bucket",
    "destinationBucket": "arn:aws:s3:::example-inventory-destination-bucket",
    "version": "2016-11-30",
    "creationTimestamp" : "1514944800000",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass, \
IsMultipartUploaded, ReplicationStatus, EncryptionStatus, ObjectLockRetainUntilDate, ObjectLockMode, \
ObjectLockLegalHoldStatus, IntelligentTieringAccessTier, BucketKeyStatus, ChecksumAlgorithm",
    "files": [
        {
            "key": "Inventory/example-source-bucket/2016-11-06T21-32Z/files/939c6d46-85a9-4ba8-\
87bd-9db705a579ce.csv.gz",
            "size": 2147483647,
            "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc"
        }
    ]
}
"""
"""Source: S3 User Guide, "Locating your inventory list", the example of a CSV inventory."""

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)

VERSIONS = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"


def inventory(folder: Path, schema: str, *files: bytes, place: str = "all/data", **replaced: Any) -> Path:
    """Return the manifest.json of an inventory, published as S3 does; its data files lie beside its folder."""
    named = {f"inventory/example-source-bucket/all/data/{at}.csv.gz": body for at, body in enumerate(files)}
    for key, body in named.items():
        written(folder / place / key.rpartition("/")[2], body)
    path = folder / "all/2026-01-01T00-00Z/manifest.json"
    return written(path, manifest_json("CSV", schema, named, **replaced))


def test_documented_manifest() -> None:
    """The example of AWS is understood: its columns, its bucket and its data file."""
    manifest = parse_manifest(DOCUMENTED.encode(), "m")
    assert manifest.bucket == "example-inventory-destination-bucket"
    assert manifest.files[0].md5 == "f11166069f1990abeb9c97ace9cdfabc"
    assert len(manifest.columns("m").names) == 18
    assert manifest.columns("m").names[17] == "ChecksumAlgorithm"


def test_columns_by_name(tmp_path: Path) -> None:
    """Columns are found by their names in the schema, in whatever order they stand."""
    cells = {
        "Bucket": "example-source-bucket",
        "Key": "a%2Bb+c/%C3%A9",
        "VersionId": "v1",
        "IsLatest": "true",
        "IsDeleteMarker": "false",
        "Size": "12",
        "LastModifiedDate": "2016-11-06T21:32:00.000Z",
        "ETag": "d41d8cd98f00b204e9800998ecf8427e",
        "StorageClass": "GLACIER",
        "ReplicationStatus": "",
    }
    for names in (list(cells), list(reversed(cells))):
        path = inventory(tmp_path, ", ".join(names), csv_gz([[cells[name] for name in names]]))
        where = tmp_path / "all/2026-01-01T00-00Z/../data/0.csv.gz"
        assert good(path) == [
            Listed(
                bucket="example-source-bucket",
                key="a+b c/é",
                version_id="v1",
                size_bytes=12,
                etag='"d41d8cd98f00b204e9800998ecf8427e"',
                last_modified=datetime(2016, 11, 6, 21, 32, tzinfo=UTC),
                storage_class="GLACIER",
                where=f"{where}:1",
            )
        ]


def test_versions(tmp_path: Path) -> None:
    """Older versions and delete markers are told; an older one without an id is the version ``null``."""
    rows = [
        ["b-1", "k", "v2", "true", "false", "1", "", "", "STANDARD"],
        ["b-1", "k", "", "false", "false", "1", "", "", "STANDARD"],
        ["b-1", "new", "", "true", "false", "1", "", "", "STANDARD"],
        ["b-1", "gone", "v3", "true", "true", "", "", "", ""],
    ]
    found = good(inventory(tmp_path, VERSIONS, csv_gz(rows)))
    assert [(row.key, row.version_id, row.is_latest, row.is_delete_marker) for row in found] == [
        ("k", "v2", True, False),
        ("k", "null", False, False),
        ("new", "", True, False),
        ("gone", "v3", True, True),
    ]
    assert [(row.size_bytes, row.storage_class) for row in found[2:]] == [(1, ""), (None, "")]
    # Without a version a bucket that keeps them would only hide the object below a delete marker.
    with contextlib.closing(Destinations("delete")) as destinations:
        deleted = destinations.plan(found)
    assert [row.version_id for row in deleted if isinstance(row, Row)] == ["v2", "null", "null", "v3"]


@given(keys=st.lists(KEYS, min_size=1, max_size=4))
def test_hostile_keys(keys: list[str]) -> None:
    """Every key comes back as it was before S3 encoded it."""
    lines = gzip.decompress(csv_gz([["5", quote_plus(key), "bucket-1"] for key in keys]))
    rows = list(inventory_csv_rows(io.BytesIO(lines), "m", Columns(["Size", "Key", "Bucket"], "m")))
    assert [(row.key, row.size_bytes) if isinstance(row, Listed) else row for row in rows] == [(key, 5) for key in keys]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Size", "many", "the field Size: 'many' is no number of bytes"),
        ("Size", "-1", "the field Size"),
        ("Size", "²", "the field Size"),
        ("Size", "9" * 30, "the field Size"),
        ("Key", "%", "the field Key"),
        ("Bucket", "a b", "the field Bucket"),
        ("IsLatest", "maybe", "the field IsLatest: 'maybe' is neither true nor false"),
        ("LastModifiedDate", "yesterday", "the field LastModifiedDate"),
    ],
)
def test_bad_fields(tmp_path: Path, column: str, value: str, reason: str) -> None:
    """A wrong value is told with file, line and column, and only its row is lost."""
    names = VERSIONS.split(", ")
    fine = dict(zip(names, ["b-1", "k", "v", "true", "false", "1", "", "", ""], strict=True))
    rows = [list(fine.values()), list((fine | {column: value}).values()), ["b-1", "k"], list(fine.values())]
    found = read(inventory(tmp_path, VERSIONS, csv_gz(rows)))
    assert [type(row) for row in found] == [Listed, BadRow, BadRow, Listed]
    assert isinstance(found[1], BadRow)
    assert found[1].message.startswith(reason)
    assert found[1].where.endswith("0.csv.gz:2")
    assert isinstance(found[2], BadRow)
    assert "2 columns, where the schema has 9" in found[2].message


def test_wrong_md5(tmp_path: Path) -> None:
    """No row of a data file is given before its MD5 matches; those of the files before it have been given."""
    path = inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]), csv_gz([["b-1", "b"]] * 3))
    written(tmp_path / "all/data/1.csv.gz", csv_gz([["b-1", "c"]] * 3))
    came: list[str] = []
    with pytest.raises(ManifestError, match=r"1\.csv\.gz: its MD5 is .* but the manifest tells"):
        read(path, seen=came)
    assert came == ["s3://b-1/a"]
    written(tmp_path / "all/data/0.csv.gz", csv_gz([["b-1", "z"]]))
    with pytest.raises(ManifestError, match=r"0\.csv\.gz: its MD5"):
        read(path)


def test_checksum_beside(tmp_path: Path) -> None:
    """Where manifest.checksum is there, manifest.json has to match it."""
    path = inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]))
    told = written(path.parent / "manifest.checksum", hashlib.md5(path.read_bytes()).hexdigest() + "\n")
    assert len(good(path)) == 1
    told.write_text("0" * 32)
    with pytest.raises(ManifestError, match=r"manifest\.json: its MD5"):
        read(path)
    told.write_bytes(b"\xff" * 2000)
    with pytest.raises(ManifestError, match=r"manifest\.checksum: it is longer"):
        read(path)


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"fileSchema": "Key, Size"}, "no column Bucket"),
        ({"fileSchema": "Bucket, Size"}, "no column Key"),
        ({"fileSchema": "Bucket, Key, key"}, "twice"),
        ({"fileSchema": ""}, "no column Bucket"),
        ({"fileFormat": "XML"}, "fileFormat"),
        ({"files": []}, "no data file"),
        ({"files": [{"key": "a"}]}, "MD5checksum"),
        ({"files": [{"key": "a", "MD5checksum": ""}]}, "MD5checksum"),
        ({"files": [{"key": "", "MD5checksum": "0" * 32}]}, "key"),
        ({"files": "none"}, "files"),
        ({"destinationBucket": "arn:aws:s3:::a b"}, "destinationBucket"),
    ],
)
def test_wrong_manifest(tmp_path: Path, replaced: dict[str, Any], reason: str) -> None:
    """A manifest.json that leaves open what may be believed is refused."""
    with pytest.raises(ManifestError, match=reason):
        read(inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]), **replaced))


def test_cut_off_manifest(tmp_path: Path) -> None:
    """A manifest.json that was cut off is no JSON Lines."""
    path = inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ManifestError, match=r"no manifest\.json"):
        read(path)


def test_one_line(tmp_path: Path) -> None:
    """A manifest.json on one line is told from JSON Lines."""
    path = inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]))
    path.write_text(json.dumps(json.loads(path.read_bytes())))
    assert [row.key for row in good(path)] == ["a"]


@pytest.mark.parametrize("place", ["all/data", "all/2026-01-01T00-00Z"])
def test_local_data_files(tmp_path: Path, place: str) -> None:
    """Of a local manifest.json, data files are found as S3 publishes them, or beside it; never elsewhere on disk."""
    assert len(good(inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]), place=place))) == 1
    hidden = {"key": "../../../../etc/..", "MD5checksum": "0" * 32}
    with pytest.raises(LocalError, match="neither beside the manifest nor in"):
        read(inventory(tmp_path, "Bucket, Key", csv_gz([["b-1", "a"]]), files=[hidden]))


def test_objects(tmp_path: Path) -> None:
    """From S3, the data files are those of the bucket that the manifest names; nothing fetched is left on disk."""
    data = csv_gz([["b-1", "a"]])
    key = "inventory/example-source-bucket/all/data/one.csv.gz"
    home = tmp_path / "s3/example-inventory-destination-bucket"
    written(home / key, data)
    folder = "inventory/example-source-bucket/all/2026-01-01T00-00Z"
    written(home / folder / "manifest.json", manifest_json("CSV", "Bucket, Key", {key: data}))
    bucket, scratch = Bucket(tmp_path / "s3"), tmp_path / "scratch"
    scratch.mkdir()
    url = f"s3://example-inventory-destination-bucket/{folder}"
    rows = good(f"{url}/manifest.json", opener=Opener(bucket, temp_folder=str(scratch)))
    assert [row.where for row in rows] == [f"s3://example-inventory-destination-bucket/{key}:1"]
    assert bucket.fetched == [
        f"{url}/manifest.json",
        f"{url}/manifest.checksum",
        f"s3://example-inventory-destination-bucket/{key}",
    ]
    assert list(scratch.iterdir()) == []
    (home / key).write_bytes(csv_gz([["b-1", "b"]]))
    with pytest.raises(ManifestError, match=r"one\.csv\.gz: its MD5"):
        read(f"{url}/manifest.json", opener=Opener(bucket))


def test_empty_inventory(tmp_path: Path) -> None:
    """An inventory whose files hold no row is a mistake, as every manifest that lists nothing."""
    with pytest.raises(ManifestError, match="lists no object"):
        read(inventory(tmp_path, "Bucket, Key", csv_gz([])))
