"""An inventory in a bucket becomes rows, and the rows become files: by an engine, over the network."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.plan_rows import rows_of_manifests
from bulkhaul.model.errors import ManifestError, NotFound
from tests.engines import aws_environment, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.unit.manifests.reading import csv_gz

FOLDER = "inventory/bucket/all/2026-01-01T00-00Z"
KEYS = {"a b+c%": b"one", "folder/é,\"'": b"two", "empty": b""}
ENCODED = ["a+b%2Bc%25", "folder/%C3%A9%2C%22%27", "empty"]


def publish(server: FaultServer, checksum: bytes = b"") -> None:
    """Store the objects, and their inventory as S3 does."""
    for key, body in KEYS.items():
        server.store.put("bucket", key, make_object(body))
    data = csv_gz([("bucket", key, len(body)) for key, body in zip(ENCODED, KEYS.values(), strict=True)])
    files = [{"key": "inventory/bucket/all/data/1.csv.gz", "MD5checksum": hashlib.md5(data).hexdigest()}]
    fields = {
        "sourceBucket": "bucket",
        "destinationBucket": "arn:aws:s3:::bucket",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": files,
    }
    manifest = json.dumps(fields, indent=2).encode()
    server.store.put("bucket", "inventory/bucket/all/data/1.csv.gz", make_object(data))
    server.store.put("bucket", f"{FOLDER}/manifest.json", make_object(manifest))
    told = checksum or hashlib.md5(manifest).hexdigest().encode()
    server.store.put("bucket", f"{FOLDER}/manifest.checksum", make_object(told))


async def restore(server: FaultServer, root: Path, name: str) -> list[str]:
    """Restore what a manifest lists; return the failures."""
    async with AsyncEngine(endpoint_url=server.endpoint_url, workers=1) as engine:
        rows = rows_of_manifests([f"s3://bucket/{name}"], Opener(engine), "restore", str(root))
        results = engine.download_rows(rows, str(root))
        return [str(result.failure) async for result in results if result.failure]


def test_restored_by_an_inventory(tmp_path: Path) -> None:
    """Every object that an inventory lists is restored under its own key, however hard that is to write."""
    with serving() as server, aws_environment(keys()):
        publish(server)
        assert asyncio.run(restore(server, tmp_path / "to", f"{FOLDER}/manifest.json")) == []
    assert {key: (tmp_path / "to" / key).read_bytes() for key in KEYS} == KEYS


def test_refused(tmp_path: Path) -> None:
    """A manifest that does not match its checksum, or is not there, restores nothing."""
    with serving() as server, aws_environment(keys()):
        publish(server, checksum=b"0" * 32)
        with pytest.raises(ManifestError, match=r"/manifest\.json: its MD5"):
            asyncio.run(restore(server, tmp_path / "to", f"{FOLDER}/manifest.json"))
        with pytest.raises(NotFound, match=r"s3://bucket/no/manifest\.json"):
            asyncio.run(restore(server, tmp_path / "to", "no/manifest.json"))
    assert list(tmp_path.glob("to/*")) == []
