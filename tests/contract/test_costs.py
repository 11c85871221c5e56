"""What a plan says that it costs is what the service is asked for when it is run, by every way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Settings, jobs
from bulkhaul.model.limits import MIB
from bulkhaul.model.preserving import Kept
from tests.engines import aws_environment
from tests.faultserver import FaultServer, make_object

PART_BYTES, THRESHOLD_BYTES = 5 * MIB, 12 * MIB
SIZES = (1, 1000, 0, PART_BYTES, PART_BYTES + 1, THRESHOLD_BYTES, 16 * MIB)
BODIES = [random.Random(size).randbytes(size) for size in SIZES]
SETTINGS: dict[str, Any] = {
    "workers": 1,
    "part_size_bytes": PART_BYTES,
    "multipart_threshold_bytes": THRESHOLD_BYTES,
}
UNCOUNTED = {"HeadBucket"}
"""Once a run, to find the bucket's region."""


@contextmanager
def serving() -> Iterator[FaultServer]:
    """Run a fault server that has all sizes below ``in/``, and an empty bucket."""
    objects = {f"bucket/in/{number}": make_object(body, algorithm="CRC64NVME") for number, body in enumerate(BODIES)}
    with FaultServer(objects=objects, buckets=["copies"]) as server:
        yield server


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """The service of the destination, or of both sides."""
    with aws_environment({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}), serving() as running:
        yield running


def asked(server: FaultServer, since: int = 0) -> Counter[str]:
    """Count what a server was asked for."""
    return Counter(one.operation for one in server.requests[since:] if one.operation not in UNCOUNTED)


def both(server: FaultServer, tmp_path: Path, source: str, destination: str, **options: Any) -> list[Counter[str]]:
    """Make and run a job; return what its plan tells and what the server saw of it."""
    status = jobs.create_job(
        tmp_path / "job", source, destination, endpoint_url=server.endpoint_url, **SETTINGS, **options
    )
    before = len(server.requests)
    rows = list(jobs.run_job(tmp_path / "job", endpoint_url=server.endpoint_url, **SETTINGS))
    assert [row.error for row in rows if row.error] == []
    assert len(rows) == len(SIZES)
    return [Counter(status.requests), asked(server, before)]


def test_downloads(server: FaultServer, tmp_path: Path) -> None:
    """What is listed and small needs no HEAD."""
    told, seen = both(server, tmp_path, "s3://bucket/in/", str(tmp_path / "down"))
    assert told == seen


def test_uploads(server: FaultServer, tmp_path: Path) -> None:
    """One PUT, or an upload in parts."""
    (tmp_path / "up").mkdir()
    for number, body in enumerate(BODIES):
        (tmp_path / "up" / str(number)).write_bytes(body)
    told, seen = both(server, tmp_path, str(tmp_path / "up"), "s3://copies/out/")
    assert told == seen


@pytest.mark.parametrize(
    "preserve", [(), (Kept.TAGS,), (Kept.METADATA, Kept.STORAGE_CLASS), (Kept.TAGS, Kept.METADATA)], ids=str
)
def test_copies(server: FaultServer, tmp_path: Path, preserve: tuple[Kept, ...]) -> None:
    """Each is looked at first; what it keeps is read at both ends."""
    told, seen = both(server, tmp_path, "s3://bucket/in/", "s3://copies/out/", preserve=preserve)
    assert told == seen


def test_relays(server: FaultServer, tmp_path: Path) -> None:
    """Each is read from one service and written to the other, also where sync plans it."""
    with serving() as first:
        origin = Settings(**SETTINGS, endpoint_url=first.endpoint_url)
        planning = len(first.requests)
        options = {"source_settings": origin, "endpoint_url": server.endpoint_url, **SETTINGS}
        status = jobs.create_job(tmp_path / "job", "s3://bucket/in/", "s3://copies/out/", **options)
        planned = [len(first.requests), len(server.requests)]
        assert planning < planned[0]
        rows = list(jobs.run_job(tmp_path / "job", endpoint_url=server.endpoint_url, **SETTINGS))
        assert [row.error for row in rows if row.error] == []
        assert Counter(status.requests) == asked(first, planned[0]) + asked(server, planned[1])


@pytest.mark.parametrize("count", [3, 10, 2005, 2500])
@pytest.mark.parametrize("etags", [True, False], ids=["as listed", "whatever is there"])
def test_deletions(server: FaultServer, tmp_path: Path, count: int, etags: bool) -> None:
    """Of listed objects those go that are still the same, as a listing shows, or HEAD where they are few."""
    for number in range(count):
        server.store.put("bucket", f"doomed/{number:05}", make_object(b"x"))
    source: dict[str, Any] = {"source": "s3://bucket/doomed/"}
    if not etags:
        (tmp_path / "keys.csv").write_text("".join(f"bucket,doomed/{number:05}\n" for number in range(count)))
        source = {"manifests": [tmp_path / "keys.csv"]}
    where = {"endpoint_url": server.endpoint_url, **SETTINGS}
    status = jobs.create_job(tmp_path / "job", kind="delete", **source, **where)
    before = len(server.requests)
    rows = list(jobs.run_job(tmp_path / "job", **where))
    assert ([row.error for row in rows if row.error], len(rows)) == ([], count)
    assert Counter(status.requests) == asked(server, before)


@pytest.mark.parametrize("local", [True, False], ids=["files", "objects"])
def test_deletions_of_a_sync(server: FaultServer, tmp_path: Path, local: bool) -> None:
    """They cost what those of a job do, and nothing where files are deleted."""
    (tmp_path / "out").mkdir()
    for number in range(30):
        server.store.put("copies", f"out/in/{number:02}", make_object(b"x"))
        (tmp_path / "out" / f"{number:02}").write_bytes(b"x")
    destination = tmp_path / "out" if local else "s3://copies/out/in/"
    where = {"endpoint_url": server.endpoint_url, **SETTINGS}
    rows = list(jobs.sync_job(tmp_path / "job", "s3://bucket/in/", destination, jobs.SyncOptions(delete=True), **where))
    assert ([row.error for row in rows if row.error], len(rows)) == ([], 30 + len(SIZES))
    told = jobs.job_status(tmp_path / "job").requests
    deletions = {} if local else {"DeleteObjects": 1, "ListObjectsV2": 1}
    assert {name: count for name, count in told.items() if "Delete" in name or "List" in name} == deletions


def test_tags_are_read_once(server: FaultServer, tmp_path: Path) -> None:
    """Also of an object that has some, whose HEAD tells how many."""
    for number, body in enumerate(BODIES):
        tagged = replace(make_object(body, algorithm="CRC64NVME"), tags={"a": "b"})
        server.store.put("bucket", f"in/{number}", tagged)
    told, seen = both(server, tmp_path, "s3://bucket/in/", "s3://copies/out/", preserve=(Kept.TAGS,))
    assert told == seen
