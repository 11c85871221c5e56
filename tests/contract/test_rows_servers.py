"""Rows of a plan on a real server: there and back with the times of a listing, versions, deletions of one object."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import Engine, TransferResult, errors
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.rows import Action, Row
from tests.engines import running_engine
from tests.servers import RunningServer, weed

SIZES = [0, 1, 3000, 200 * KIB, 300 * KIB, 2 * MIB, 6 * MIB + 1]
BODIES = {f"{n % 4}/{n:03}": random.Random(n).randbytes(SIZES[n % len(SIZES)]) for n in range(42)}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """SeaweedFS with two buckets, one of which keeps versions."""
    with weed() as running:
        client = running.client()
        client.create_bucket(Bucket="plain")
        client.create_bucket(Bucket="versioned")
        client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        yield running


@pytest.fixture(scope="module")
def engine(server: RunningServer) -> Iterator[Engine]:
    """An engine in front of it."""
    variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    with running_engine(server.endpoint_url, variables, part_size_bytes=5 * MIB) as running:
        yield running


def all_of(results: Iterator[TransferResult], count: int) -> list[TransferResult]:
    """Return the results in the order of the rows; each has one, and none has failed."""
    found = sorted(results, key=lambda result: result.row)
    assert [result.row for result in found] == list(range(count))
    assert {result.failure for result in found} == {None}
    return found


def test_there_and_back(engine: Engine, tmp_path: Path) -> None:
    """Files of all sizes go up, across, down with the times that the listing tells, and away."""
    tree = tmp_path / "tree"
    for name, body in BODIES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(body)
    up = [
        Row(n=n, action=Action.UPLOAD, source=f"{tree}/{name}", destination=f"s3://plain/up/{name}")
        for n, name in enumerate(BODIES)
    ]
    all_of(engine.upload_rows([up]), len(up))
    listed = {head.key: head for head in engine.list("s3://plain/up/")}
    assert sorted(listed) == sorted(f"up/{name}" for name in BODIES)
    across = [
        Row(
            n=n,
            action=Action.COPY,
            source=f"s3://plain/{key}",
            destination=f"s3://plain/across/{key}",
            size=head.size,
            etag=head.etag,
        )
        for n, (key, head) in enumerate(listed.items())
    ]
    all_of(engine.copy_rows([across]), len(across))
    out = tmp_path / "out"
    copied = {head.key: head for head in engine.list("s3://plain/across/")}
    down = [
        Row(
            n=n,
            action=Action.DOWNLOAD,
            source=f"s3://plain/{key}",
            destination=f"{out}/{key.removeprefix('across/up/')}",
            size=head.size,
            etag=head.etag,
            last_modified=head.last_modified,
        )
        for n, (key, head) in enumerate(copied.items())
    ]
    all_of(engine.download_rows([down[:5], down[5:]], out, set_times=True), len(down))
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == BODIES
    for row in down:
        assert row.last_modified is not None
        assert os.stat(row.destination).st_mtime == row.last_modified.timestamp()
    gone = [
        Row(n=n, action=Action.DELETE, source=row.source, etag=row.etag if n % 2 else "", size=row.size)
        for n, row in enumerate(down)
    ]
    all_of(engine.delete_rows([gone]), len(gone))
    assert list(engine.list("s3://plain/across/")) == []


def test_versions(server: RunningServer, engine: Engine, tmp_path: Path) -> None:
    """The version that a row names is restored, copied and deleted, small or large, and no other one."""
    client, bodies = server.client(), {"small": b"old", "large": random.Random(7).randbytes(6 * MIB)}
    rows: list[Row] = []
    for n, (key, body) in enumerate(bodies.items()):
        old = client.put_object(Bucket="versioned", Key=key, Body=body)
        client.put_object(Bucket="versioned", Key=key, Body=b"the current one")
        for told in (True, False):
            rows.append(
                Row(
                    n=len(rows),
                    action=Action.DOWNLOAD,
                    source=f"s3://versioned/{key}",
                    destination=f"{tmp_path}/out/{key}-{n}-{told}",
                    version_id=old["VersionId"],
                    size=len(body) if told else None,
                    etag=old["ETag"] if told else "",
                )
            )
    for row, result in zip(rows, all_of(engine.download_rows([rows], tmp_path / "out"), 4), strict=True):
        assert Path(row.destination).read_bytes() == bodies[row.source.removeprefix("s3://versioned/")]
        assert result.version_id == row.version_id
    copies = [
        Row(
            n=n,
            action=Action.COPY,
            source=row.source,
            destination=f"s3://plain/version-{n}",
            version_id=row.version_id,
            etag=row.etag,
        )
        for n, row in enumerate(rows)
    ]
    all_of(engine.copy_rows([copies]), 4)
    for n, row in enumerate(rows):
        assert engine.get_bytes(f"s3://plain/version-{n}") == bodies[row.source.removeprefix("s3://versioned/")]
    gone = [
        Row(n=n, action=Action.DELETE, source=row.source, version_id=row.version_id, etag=row.etag)
        for n, row in enumerate(rows[::2])
    ]
    all_of(engine.delete_rows([gone]), 2)
    left = [one.size for one in engine.list_versions("s3://versioned/")]
    assert left == [len(b"the current one")] * 2


def test_deletions_that_mean_one_object(server: RunningServer, engine: Engine) -> None:
    """An object that was stored since the plan was made stays, and its row fails."""
    client = server.client()
    rows = []
    for n in range(4):
        etag = client.put_object(Bucket="plain", Key=f"meant/{n}", Body=b"%d" % n)["ETag"]
        size_bytes = 1 if n % 2 else None
        rows.append(Row(n=n, action=Action.DELETE, source=f"s3://plain/meant/{n}", etag=etag, size=size_bytes))
    for n in (2, 3):
        client.put_object(Bucket="plain", Key=f"meant/{n}", Body=b"%d" % (n + 5))
    results = {result.row: result.error for result in engine.delete_rows([rows])}
    assert [type(results[n]) for n in range(4)] == [type(None)] * 2 + [errors.PreconditionFailed] * 2
    assert [head.key for head in engine.list("s3://plain/meant/")] == ["meant/2", "meant/3"]


def test_deletions_of_null_versions(server: RunningServer, engine: Engine) -> None:
    """While versioning is suspended, the null version is another object after each PUT: only the planned one goes."""
    client, bucket = server.client(), "suspended"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    rows = []
    for n in range(3):
        etag = client.put_object(Bucket=bucket, Key=f"{n}", Body=b"%d" % n)["ETag"]
        rows.append(Row(n=n, action=Action.DELETE, source=f"s3://{bucket}/{n}", etag=etag, version_id="null"))
    client.put_object(Bucket=bucket, Key="1", Body=b"newer")
    client.delete_object(Bucket=bucket, Key="2", VersionId="null")
    results = {result.row: result.error for result in engine.delete_rows([rows])}
    assert [type(results[n]) for n in range(3)] == [type(None), errors.PreconditionFailed, type(None)]
    assert [(one.key, one.size) for one in engine.list_versions(f"s3://{bucket}/")] == [("1", 5)]
