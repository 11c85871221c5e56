"""Jobs that copy every version: killed at random moments, retried, refused; each row tells old and new version."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import jobs
from bulkhaul.errors import UsageError
from bulkhaul.jobs.folder.description import Claim
from bulkhaul.jobs.folder.place import opened
from bulkhaul.model.rows import Action, ReportRow, Status
from bulkhaul.model.settings import Settings
from tests.contract.test_all_versions import ENABLED, bodies, history, new_bucket, versions_on, written
from tests.engines import aws_environment
from tests.integration.killing import Place, killed
from tests.servers import RunningServer, moto, weed

KEYS, VERSIONS = 10, 40
LONG = b"x" * 30_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve a bucket with histories of some forty versions; every fifth one is a delete marker, some repeat bytes."""
    with weed() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration=ENABLED)
        for key in range(KEYS):
            some = [None if n % 5 == 3 else LONG + b"%d %d" % (key, n // 2) for n in range(VERSIONS)]
            written(client, "bucket", f"in/{key:02}", *some)
        yield Place(server, client, tmp_path_factory.mktemp("none"), {})


@pytest.fixture
def where(place: Place) -> Iterator[dict[str, Any]]:
    """Return the settings that reach the server, and set its keys."""
    with aws_environment(place.server.keys()):
        yield {"endpoint_url": place.server.endpoint_url, "workers": 2}


def planned_rows(job: Path) -> list[dict[str, Any]]:
    """Return the rows of all shards of a job."""
    shards = sorted((job / "plan").iterdir())
    return [json.loads(line) for shard in shards for line in gzip.decompress(shard.read_bytes()).splitlines()]


def assert_mapped(
    server: RunningServer, rows: list[ReportRow], source: str, there: str, prefixes: tuple[str, str]
) -> None:
    """Each version of each key is in its place, and the report maps the ids of the old ones to those of the new."""
    mapped: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(rows, key=lambda row: row.n):
        assert row.status is Status.SUCCEEDED, row
        mapped.setdefault(row.source.removeprefix(f"s3://{source}/{prefixes[0]}"), []).append(
            (row.source_version_id, row.version_id)
        )
    for name, pairs in mapped.items():
        old, new = history(server, source, prefixes[0] + name), history(server, there, prefixes[1] + name)
        assert bodies(new) == bodies(old)
        assert pairs == [(one, other) for (one, _), (other, _) in zip(old, new, strict=True)]


@pytest.mark.usefixtures("where")
def test_killed_at_random_moments(place: Place, tmp_path: Path) -> None:
    """However often it is killed, no version is made twice, each is in its place, and has one row of the report."""
    chance, in_the_middle = random.Random(11), 0
    for number in range(2):
        there, job = new_bucket(place.client), tmp_path / f"job-{number}"
        create = ("job", "create", job, "s3://bucket/in/", f"s3://{there}/to/", "--all-versions")
        if number:
            killed(place, *create, after_s=0.5)
        made = place.run(*create)
        assert made.returncode == 0 or "a job in this folder already" in made.stderr, made.stderr
        ended, tries = False, 0
        while not ended and tries < 4:
            tries += 1
            ended = killed(place, "job", "run", job, "--quiet", "--concurrency", "4", after_s=chance.uniform(0.3, 1.2))
            told = json.loads(place.run("job", "status", job, "--json").stdout)
            in_the_middle += not ended
            assert told["planned_rows"] == KEYS * VERSIONS or not told["planning_done"]
        done = place.run("job", "run", job, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        rows = list(jobs.report_rows(job))
        assert sorted(row.n for row in rows) == list(range(KEYS * VERSIONS))
        assert_mapped(place.server, rows, "bucket", there, ("in/", "to/"))
        assert jobs.job_status(job).ok
        again = place.run("job", "run", job, "--json")
        assert json.loads(again.stdout)["planned"] == 0
    assert in_the_middle


def test_the_plan_and_what_is_there(place: Place, where: dict[str, Any], tmp_path: Path) -> None:
    """Rows are of each key the oldest first, with delete markers; a second job finds all of it there."""
    there = new_bucket(place.client)
    made = jobs.create_job(tmp_path / "one", "s3://bucket/in/", f"s3://{there}/", all_versions=True, **where)
    marks = KEYS * len([n for n in range(VERSIONS) if n % 5 == 3])
    assert made.planned_rows == KEYS * VERSIONS
    assert made.requests == {
        "CopyObject": KEYS * VERSIONS - marks,
        "DeleteObject": marks,
        "HeadObject": KEYS * VERSIONS - marks,
        "ListObjectVersions": KEYS,
    }
    planned = planned_rows(tmp_path / "one")
    assert [row["older"] for row in planned] == [*range(VERSIONS)] * KEYS
    assert [row["action"] for row in planned[:5]] == ["copy", "copy", "copy", "mark", "copy"]
    assert [row["version_id"] for row in planned[:VERSIONS]] == [
        one for one, _ in history(place.server, "bucket", "in/00")
    ]
    first = list(jobs.run_job(tmp_path / "one"))
    assert_mapped(place.server, first, "bucket", there, ("in/", ""))
    before = {key: history(place.server, there, f"{key:02}") for key in range(KEYS)}
    jobs.create_job(tmp_path / "two", "s3://bucket/in/", f"s3://{there}/", all_versions=True, **where)
    second = list(jobs.run_job(tmp_path / "two"))
    assert {row.reason for row in second} == {"it was there already"}
    assert_mapped(place.server, second, "bucket", there, ("in/", ""))
    assert {key: history(place.server, there, f"{key:02}") for key in range(KEYS)} == before
    assert {row.action for row in second} == {Action.COPY, Action.MARK}


def test_equal_bytes_in_a_row_are_two_versions(place: Place, where: dict[str, Any], tmp_path: Path) -> None:
    """A run that goes on finds the one that was made before its kill, and makes the next, which holds the same."""
    source, there = new_bucket(place.client), new_bucket(place.client)
    written(place.client, source, "k", b"same", b"same", b"same")
    jobs.create_job(tmp_path / "job", f"s3://{source}/", f"s3://{there}/", all_versions=True, **where)
    with opened(str(tmp_path / "job"), Settings()) as folder:
        folder.claim(0, Claim(runner="one that was killed", began=0.0))
    place.client.copy_object(Bucket=there, Key="k", CopySource=f"{source}/k")
    rows = sorted(jobs.run_job(tmp_path / "job"), key=lambda row: row.n)
    assert [row.reason for row in rows] == ["it was there already", "", ""]
    assert_mapped(place.server, rows, source, there, ("", ""))


def test_a_retry_keeps_the_order(tmp_path: Path) -> None:
    """A version that failed is tried again together with those that had to wait for it, and in their order."""
    with moto() as server, aws_environment(server.keys()):
        client = server.client()
        source, there = new_bucket(client), new_bucket(client)
        written(client, source, "k", b"1", b"2", b"3")
        client.copy_object(Bucket=source, Key="k", CopySource=f"{source}/k", StorageClass="GLACIER")
        written(client, source, "k", b"5", None)
        reach: dict[str, Any] = {"endpoint_url": server.endpoint_url, "workers": 2}
        jobs.create_job(tmp_path / "job", f"s3://{source}/", f"s3://{there}/", all_versions=True, **reach)
        for _ in range(2):
            rows = sorted(jobs.run_job(tmp_path / "job"), key=lambda row: row.n)
            assert [row.status for row in rows][-3:] == [Status.FAILED] * 3
            assert [row.error.code for row in rows[-2:] if row.error] == ["PreconditionFailed"] * 2
            assert versions_on(client, there, "k") == ([b"1", b"2", b"3"], 0)
            assert jobs.retry_job(tmp_path / "job") == 3
        status = jobs.job_status(tmp_path / "job")
        assert (status.planned_rows, status.succeeded) == (6, 3)


def test_what_makes_no_sense_is_refused(place: Place, where: dict[str, Any], tmp_path: Path) -> None:
    """A destination without versions, downloads, uploads, deletions, manifests, restores; and reports as manifests."""
    plain = new_bucket(place.client, versions=False)
    with pytest.raises(UsageError, match="enable its versioning first"):
        jobs.create_job(tmp_path / "plain", "s3://bucket/in/", f"s3://{plain}/", all_versions=True, **where)
    for number, (source, to, kind) in enumerate(
        [
            ("s3://bucket/in/", str(tmp_path / "to"), "copy"),
            (str(tmp_path), "s3://bucket/to/", "copy"),
            ("s3://bucket/in/", "", "delete"),
            ("s3://bucket/in/", "s3://bucket/to/", "restore"),
        ]
    ):
        with pytest.raises(UsageError, match="all versions go from bucket to bucket"):
            jobs.create_job(tmp_path / f"{number}", source, to, kind=kind, all_versions=True, **where)
    words = ["job", "create", str(tmp_path / "r"), "s3://bucket/in/", f"s3://{plain}/", "--all-versions"]
    done = place.run(*words, "--restore", "BULK")
    assert done.returncode == 2
    assert "bring archived ones back before" in done.stderr
    for more in (["--version-id", "v"], ["--restore", "BULK"], ["--files-from", "-"]):
        done = place.run("cp", "s3://bucket/in/00", "s3://bucket/to", "--all-versions", *more)
        assert done.returncode == 2, more
        assert more[0] in done.stderr
    assert place.run("cp", "s3://bucket/in/00", tmp_path / "file", "--all-versions").returncode == 2
    assert not place.client.list_objects_v2(Bucket=plain)["KeyCount"]
