"""The version that was named, on a real server: written to an output, restored, copied and relayed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bulkhaul import Engine
from bulkhaul.errors import AccessDenied, NotFound, UsageError
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.settings import TransportChoice
from tests.faultserver import Status
from tests.servers import RunningServer, weed
from tests.writing import running_write_rig

BUCKET = "versioned"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """SeaweedFS with a bucket that keeps versions."""
    with weed() as server:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield server


@pytest.fixture(params=["fast", "sdk"])
def engine(server: RunningServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that fetches small ranges, by each transport."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    transport: TransportChoice = request.param
    with Engine(endpoint_url=server.endpoint_url, transport=transport, workers=2, part_size_bytes=64 * KIB) as engine:
        yield engine


def read(engine: Engine, key: str, version_id: str, path: Path) -> bytes:
    """Return what the engine writes of one version, to an output and to a file, which is the same."""
    with path.open("wb") as file:
        result = engine.download_stream(f"s3://{BUCKET}/{key}", file.fileno(), version_id=version_id)
    assert result.version_id == version_id
    restored = path.with_suffix(".restored")
    assert engine.download(f"s3://{BUCKET}/{key}", restored, version_id=version_id).version_id == version_id
    assert restored.read_bytes() == path.read_bytes()
    return path.read_bytes()


@pytest.mark.parametrize("size_bytes", [0, 7, 300 * KIB + 1])
def test_an_older_version_is_read(server: RunningServer, engine: Engine, tmp_path: Path, size_bytes: int) -> None:
    """Empty, in one GET and in ranges: what was stored first comes back after an overwrite, and after a delete."""
    client, key = server.client(), f"{size_bytes}-{os.urandom(4).hex()}"
    first = random.Random(size_bytes).randbytes(size_bytes)
    put: dict[str, Any] = client.put_object(Bucket=BUCKET, Key=key, Body=first)
    client.put_object(Bucket=BUCKET, Key=key, Body=b"something else, and longer than seven bytes")
    assert read(engine, key, put["VersionId"], tmp_path / "overwritten") == first
    client.delete_object(Bucket=BUCKET, Key=key)
    assert read(engine, key, put["VersionId"], tmp_path / "deleted") == first


def test_a_composite_checksum_is_that_of_the_version(server: RunningServer, engine: Engine, tmp_path: Path) -> None:
    """The parts that a checksum is made of are asked of the named version, not of the one that came after it."""
    client, key = server.client(), f"composite-{os.urandom(4).hex()}"
    first = random.Random(1).randbytes(6 * MIB)
    names = {"Bucket": BUCKET, "Key": key}
    upload = client.create_multipart_upload(**names, ChecksumAlgorithm="SHA256")["UploadId"]
    parts = []
    for number, body in ((1, first[: 5 * MIB]), (2, first[5 * MIB :])):
        part = client.upload_part(**names, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    told = client.head_object(**names, ChecksumMode="ENABLED")
    assert told["ChecksumType"] == "COMPOSITE"
    client.put_object(**names, Body=random.Random(2).randbytes(6 * MIB))
    assert read(engine, key, told["VersionId"], tmp_path / "file") == first


@pytest.mark.parametrize("how", ["one request", "parts", "relay", "relay of parts"])
def test_an_older_version_is_copied(server: RunningServer, engine: Engine, how: str) -> None:
    """To another key and onto its own, with the metadata and tags of that version and not of the current one."""
    client, key = server.client(), f"{how}-{os.urandom(4).hex()}"
    first = random.Random(how).randbytes(6 * MIB if "parts" in how else 300 * KIB)
    old: dict[str, Any] = client.put_object(Bucket=BUCKET, Key=key, Body=first, Metadata={"v": "1"}, Tagging="v=1")
    client.put_object(Bucket=BUCKET, Key=key, Body=b"current", Metadata={"v": "2"}, Tagging="v=2")
    threshold = {"multipart_threshold_bytes": 5 * MIB, "part_size_bytes": 5 * MIB}
    chosen = msgspec.structs.replace(engine.settings, **threshold)
    with Engine(chosen) as copier:
        origin = copier.beside(chosen) if "relay" in how else None
        for destination in (f"{key}-copy", key):
            url = f"s3://{BUCKET}/{destination}"
            result = copier.copy(f"s3://{BUCKET}/{key}", url, origin=origin, version_id=old["VersionId"])
            assert (result.size, result.parts) == (len(first), 2 if "parts" in how else 1)
            got = client.get_object(Bucket=BUCKET, Key=destination)
            assert got["Body"].read() == first
            assert got["Metadata"]["v"] == "1"
            tags = client.get_object_tagging(Bucket=BUCKET, Key=destination)["TagSet"]
            assert tags == [{"Key": "v", "Value": "1"}]
        with pytest.raises(NotFound):
            copier.copy(f"s3://{BUCKET}/{key}", f"s3://{BUCKET}/{key}-none", origin=origin, version_id="0" * 32)


def test_a_version_is_not_moved(engine: Engine, tmp_path: Path) -> None:
    """Removing the source would remove the current version, which is another object."""
    engine.upload_bytes(b"current", f"s3://{BUCKET}/kept")
    with pytest.raises(UsageError, match="is not moved"):
        engine.download(f"s3://{BUCKET}/kept", tmp_path / "file", move=True, version_id="v")
    with pytest.raises(UsageError, match="is not moved"):
        engine.copy(f"s3://{BUCKET}/kept", f"s3://{BUCKET}/moved", move=True, version_id="v")
    engine.download(f"s3://{BUCKET}/kept", tmp_path / "file")


def test_a_version_that_is_not_there(engine: Engine, tmp_path: Path) -> None:
    """It is missing, also where the key has another version, and no file appears."""
    engine.upload_bytes(b"current", f"s3://{BUCKET}/there")
    with pytest.raises(NotFound):
        engine.download(f"s3://{BUCKET}/there", tmp_path / "file", version_id="0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_get_names_its_object(tmp_path: Path) -> None:
    """HEAD was allowed and GET is not: of many objects written to one output, the error says which."""
    with running_write_rig(tmp_path) as rig, (tmp_path / "out").open("wb") as file:
        key, _ = rig.new_key(Status(code="AccessDenied", operation="GetObject"), old=b"there")
        with pytest.raises(AccessDenied) as caught:
            rig.engine.download_stream(f"s3://bucket/{key}", file.fileno())
    assert caught.value.subject == f"s3://bucket/{key}"
    assert (tmp_path / "out").read_bytes() == b""
