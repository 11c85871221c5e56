"""Syncs on a real server: up, across and down again, each twice; what differs and what is extra is all that is done."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import Engine
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.syncing import sync
from bulkhaul.model.limits import MIB
from bulkhaul.model.rows import Action
from tests.engines import running_engine
from tests.servers import RunningServer, weed

NAMES = ("a", "a.b", "deep/er/file", "deep.er", "deep0", "é/ü", "\uffff", "😀")
BODIES = {name: random.Random(name).randbytes(3000) for name in NAMES} | {"large": b"x" * (6 * MIB + 1), "empty": b""}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine in front of SeaweedFS with two buckets."""
    server: RunningServer
    with weed() as server:
        client = server.client()
        client.create_bucket(Bucket="one")
        client.create_bucket(Bucket="other")
        variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        settings = {"part_size_bytes": 5 * MIB, "multipart_threshold_bytes": 5 * MIB}
        with running_engine(server.endpoint_url, variables, **settings) as running:
            yield running


def moved(engine: Engine, source: str, destination: str, **options: object) -> dict[str, Action]:
    """Sync; return what was done with which name."""
    results = list(sync(engine, source, destination, SyncOptions(**options)))  # type: ignore[arg-type]
    assert [one.failure for one in results if not one.ok] == []
    return {(one.source if one.action is Action.DELETE else one.destination): one.action for one in results}


def test_round_trip(engine: Engine, tmp_path: Path) -> None:
    """A tree goes up, to another bucket and down as it is; no second run moves anything, by whatever is compared."""
    tree, back = tmp_path / "tree", tmp_path / "back"
    for name, body in BODIES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(body)
    steps = [(str(tree), "s3://one/x/"), ("s3://one/x/", "s3://other/y"), ("s3://other/y", str(back))]
    for source, destination in steps:
        assert len(moved(engine, source, destination)) == len(BODIES)
        for compare in ("size,mtime", "size"):
            counts = SyncCounts()
            options = SyncOptions(compare=compare, delete=True)
            assert list(sync(engine, source, destination, options, counts=counts)) == []
            assert (counts.compared, counts.unchanged) == (len(BODIES), len(BODIES))
    assert {name: (back / name).read_bytes() for name in BODIES} == BODIES
    assert moved(engine, str(tree), "s3://one/x/", compare="etag", exclude=("large",)) == {}

    kept = os.stat(back / "a")
    (back / "a").write_bytes(BODIES["a"][::-1])
    os.utime(back / "a", ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    (back / "extra").mkdir()
    (back / "extra" / "file").touch()
    assert moved(engine, "s3://other/y", str(back), delete=True, compare="size,mtime,etag", exclude=("large",)) == {
        f"{back}/a": Action.DOWNLOAD,
        f"{back}/extra/file": Action.DELETE,
    }
    assert not (back / "extra").exists()

    (tree / "deep" / "er" / "file").unlink()
    (tree / "a").write_bytes(b"short")
    assert moved(engine, str(tree), "s3://one/x", delete=True) == {
        "s3://one/x/a": Action.UPLOAD,
        "s3://one/x/deep/er/file": Action.DELETE,
    }
    assert sorted(head.key for head in engine.list("s3://one/x/")) == sorted(
        f"x/{name}" for name in BODIES if name != "deep/er/file"
    )
