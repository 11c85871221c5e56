"""A batch of a slow service: what has come of it is told, and published, before its last object has come."""

from __future__ import annotations

from pathlib import Path

from tests.engines import running_rig
from tests.faultserver import Latency, make_object
from tests.writing import running_write_rig

COUNT = 24
BATCH = 12
"""Objects of a batch: of 24 and one worker the half, so that the worker gets some early. Source: ``rows_of_batch``."""

LATENCY_S = 0.4


def test_objects_of_a_slow_batch_are_published_as_they_come(tmp_path: Path) -> None:
    """The first object has its name while others of its batch have not been asked for, and all are exact in the end."""
    with running_rig(tmp_path, workers=1, concurrency=2) as rig:
        for number in range(COUNT):
            rig.server.store.put("bucket", f"slow/{number:03}", make_object(b"%d" % number))
        rig.server.add_fault(Latency(operation="GetObject", seconds=LATENCY_S))
        asked = []
        for result in rig.engine.download_many("s3://bucket/slow/", tmp_path / "slow"):
            assert result.ok
            assert Path(result.destination).exists()
            asked.append(len(rig.server.requests_for("GetObject")))
    assert len(asked) == COUNT
    assert asked[0] < BATCH
    assert [int(path.read_bytes()) for path in sorted((tmp_path / "slow").iterdir())] == list(range(COUNT))


def test_files_of_a_slow_batch_are_told_as_they_are_stored(tmp_path: Path) -> None:
    """The same of uploads."""
    files = tmp_path / "files"
    files.mkdir()
    for number in range(COUNT):
        (files / f"{number:03}").write_bytes(b"%d" % number)
    with running_write_rig(tmp_path / "rig", workers=1, concurrency=2) as rig:
        rig.server.add_fault(Latency(operation="PutObject", seconds=LATENCY_S))
        asked = []
        for result in rig.engine.upload_many(files, "s3://bucket/slow/"):
            assert result.ok
            asked.append(len(rig.server.requests_for("PutObject")))
    assert len(asked) == COUNT
    assert asked[0] < BATCH
