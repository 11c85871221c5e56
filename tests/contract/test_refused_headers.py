"""Endpoints that refuse headers which are not needed: reads, uploads in parts and deletes work, and learn it once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.engine.operations.delete_many import Deletion, delete_sources
from bulkhaul.policy.selection import Source
from tests.engines import Rig, running_rig
from tests.faultserver import RefuseChecksums, RefuseHeader, make_object
from tests.writing import PART_BYTES, WriteRig, engine_at, serving_site

BODY = random.Random(8).randbytes(PART_BYTES // 2)
MODE = "x-amz-checksum-mode"


@pytest.fixture(params=["fast", "sdk"])
def reading(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """An engine of one worker and one transport before a server that refuses to be asked for checksums."""
    with running_rig(tmp_path, transport=request.param, workers=1) as rig:
        rig.server.add_fault(RefuseHeader(name=MODE))
        yield rig


def test_reads_learn(reading: Rig) -> None:
    """The first HEAD and the first whole GET are refused; everything afterwards is asked without the header."""
    for number in range(6):
        reading.server.store.put("bucket", f"many/{number}", make_object(BODY))
    reading.restore(BODY).succeeded()
    before = len(reading.server.requests)
    results = list(reading.engine.download_many("s3://bucket/many/", reading.folder / "many"))
    assert [result.error for result in results] == [None] * 6
    assert not [one for one in reading.server.requests[before:] if MODE in one.headers]
    refused = [one for one in reading.server.requests if MODE in one.headers]
    # A bare 400 is asked again when a GET could not explain it, and the SDK looks for the region and repeats each.
    assert len(refused) <= 4


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[WriteRig]:
    """An engine before a server that refuses every header that S3 got late."""
    with serving_site(tmp_path) as site, engine_at(site) as rig:
        rig.server.add_fault(RefuseHeader(name="x-amz-mp-object-size"))
        rig.server.add_fault(RefuseHeader(name="x-amz-*-directive"))
        rig.server.add_fault(RefuseHeader(name=MODE))
        rig.server.add_fault(RefuseChecksums())
        yield rig


def test_uploads_copies_and_deletes_go_without(writing: WriteRig) -> None:
    """An upload in parts is completed, an object is copied, and a batch deleted, as if nothing had been refused."""
    body = random.Random(9).randbytes(3 * PART_BYTES)
    path = writing.folder / "large"
    path.write_bytes(body)
    writing.engine.upload(path, "s3://bucket/large")
    writing.engine.upload_bytes(b"small", "s3://bucket/small")
    writing.engine.copy("s3://bucket/small", "s3://bucket/copy")
    assert (writing.stored("large"), writing.stored("copy")) == (body, b"small")
    everything = delete_sources(writing.engine.aio.control, Deletion(sources=(Source("bucket", many=True),)))
    assert [result.error for result in writing.engine.each(everything)] == [None] * 3
    assert writing.stored("large") is None
    assert [one.operation for one in writing.server.requests].count("DeleteObject") == 0
