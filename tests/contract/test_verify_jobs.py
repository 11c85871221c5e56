"""Jobs that compare, and meet trouble: what cannot be looked at is undecidable, fails, and is looked at again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import jobs
from bulkhaul.errors import MissingPermission, NotFound
from bulkhaul.model.rows import Action, ReportRow, Status
from bulkhaul.model.verdicts import Evidence, Verdict
from bulkhaul.testing.faultserver import on_service
from tests.engines import aws_environment, keys, serving
from tests.faultserver import FaultServer, make_object

EQUAL, DIFFERENT, MISSING, UNDECIDABLE = Verdict
A, B = "s3://bucket/a/", "s3://bucket/b/"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with two prefixes that have the same three objects."""
    with serving() as running, aws_environment(keys()):
        for name in "xyz":
            for prefix in "ab":
                running.store.put("bucket", f"{prefix}/{name}", make_object(name.encode(), algorithm="CRC32"))
        yield running


@pytest.fixture
def where(server: FaultServer) -> dict[str, Any]:
    """The settings that reach it."""
    return {"endpoint_url": server.endpoint_url, "workers": 1}


def told(rows: Iterator[ReportRow]) -> dict[str, Verdict | None]:
    """Return the verdict of each row, by its source; each has succeeded only if it is equal."""
    found: dict[str, Verdict | None] = {}
    for row in rows:
        assert row.source not in found
        assert (row.status is Status.SUCCEEDED) == (row.verdict is EQUAL) == (row.error is None)
        assert row.action is Action.VERIFY
        found[row.source] = row.verdict
    return found


def test_what_may_not_be_looked_at(server: FaultServer, where: dict[str, Any], tmp_path: Path) -> None:
    """It is undecidable, with the service's answer in its error; when it may be, a retry finds it equal."""
    jobs.create_job(tmp_path / "job", A, B, kind="verify", **where)
    server.add_fault(on_service.Status(code="AccessDenied", key="b/y", operation="HeadObject", times=1))
    assert told(jobs.run_job(tmp_path / "job")) == {f"{A}x": EQUAL, f"{A}y": UNDECIDABLE, f"{A}z": EQUAL}
    (failed,) = (row for row in jobs.report_rows(tmp_path / "job") if row.error is not None)
    assert failed.error is not None
    assert failed.error.code == "Undecidable"
    assert failed.error.message.startswith("undecidable: it cannot be looked at: s3://bucket/b/y: ")
    asked = len(server.requests_for("HeadObject"))
    assert jobs.retry_job(tmp_path / "job") == 1
    assert told(jobs.run_job(tmp_path / "job")) == {f"{A}y": EQUAL}
    assert len(server.requests_for("HeadObject")) == asked + 2
    status = jobs.job_status(tmp_path / "job")
    assert (status.ok, status.planned_rows, status.succeeded, status.verdicts["equal"]) == (True, 3, 3, 3)


def test_what_changed_since_the_plan(server: FaultServer, where: dict[str, Any], tmp_path: Path) -> None:
    """What is there when a row is run counts, not what was listed: gone, there by now, or another one."""
    server.store.put("bucket", "a/late", make_object(b"late", algorithm="CRC32"))
    jobs.create_job(tmp_path / "job", A, B, kind="verify", **where)
    server.store.put("bucket", "b/late", make_object(b"late", algorithm="CRC32"))
    server.store.delete("bucket", "a/x")
    server.store.put("bucket", "b/y", make_object(b"Y", algorithm="CRC32"))
    assert told(jobs.run_job(tmp_path / "job")) == {
        f"{A}late": EQUAL,
        f"{A}x": MISSING,
        f"{A}y": DIFFERENT,
        f"{A}z": EQUAL,
    }


def test_a_version_of_a_manifest(server: FaultServer, where: dict[str, Any], tmp_path: Path) -> None:
    """The version that a row names is compared, not the one that is there by now."""
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(
        '{"bucket": "bucket", "key": "a/x", "version_id": "v-none", "destination": "s3://bucket/b/x"}\n'
    )
    jobs.create_job(tmp_path / "job", kind="verify", manifests=[manifest], **where)
    assert told(jobs.run_job(tmp_path / "job")) == {f"{A}x": MISSING}
    queries = [one.query for one in server.requests_for("HeadObject") if one.key == "a/x"]
    assert [query.get("versionId") for query in queries] == ["v-none"]


def test_nothing_to_compare(where: dict[str, Any], tmp_path: Path) -> None:
    """It is no success, as for the command."""
    with pytest.raises(NotFound, match="neither place"):
        jobs.create_job(tmp_path / "job", "s3://bucket/none/", "s3://bucket/nor/", kind="verify", **where)


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_permission_that_is_missing(server: FaultServer, where: dict[str, Any], tmp_path: Path, side: str) -> None:
    """Objects that may be listed and not read are told of before anything is planned."""
    for name in "xyz":
        key = f"{side}/{name}"
        server.add_fault(
            on_service.Status(code="AccessDenied", key=key, operation="GetObject", attempt="every", times=9)
        )
    with pytest.raises(MissingPermission, match="s3:GetObject"):
        jobs.create_job(tmp_path / "job", A, B, kind="verify", **where)


@pytest.mark.parametrize("side", ["a", "b"])
def test_tags_that_may_not_be_read(server: FaultServer, where: dict[str, Any], tmp_path: Path, side: str) -> None:
    """Where they are compared, their permission is tried, too."""
    for name in "xyz":
        forbidden: dict[str, Any] = {
            "key": f"{side}/{name}",
            "operation": "GetObjectTagging",
            "attempt": "every",
            "times": 9,
        }
        server.add_fault(on_service.Status(code="AccessDenied", **forbidden))
    jobs.create_job(tmp_path / "bytes", A, B, kind="verify", **where)
    how = jobs.VerifyOptions(compare="checksum,tags")
    with pytest.raises(MissingPermission, match="s3:GetObjectTagging"):
        jobs.create_job(tmp_path / "tags", A, B, kind="verify", comparison=how, **where)


def test_many_side_by_side(server: FaultServer, where: dict[str, Any], tmp_path: Path) -> None:
    """More names than are looked at at once: each has its row, of two shards; --compare tags needs objects."""
    names = [f"{number:04d}" for number in range(1300)]
    for name in names:
        server.store.put("bucket", f"many/{name}", make_object(b"1", algorithm="CRC32"))
        server.store.put("bucket", f"more/{name}", make_object(b"1", algorithm="CRC32"))
    places = ("s3://bucket/many/", "s3://bucket/more/")
    jobs.create_job(tmp_path / "job", *places, kind="verify", **where)
    rows = list(jobs.run_job(tmp_path / "job"))
    assert sorted(row.n for row in rows) == list(range(1300))
    assert {row.evidence for row in rows} == {Evidence.STORED_CHECKSUM}
    assert [row.n for row in sorted(rows, key=lambda row: row.source)] == list(range(1300))


def test_what_is_no_file(where: dict[str, Any], tmp_path: Path) -> None:
    """A folder that has come where a file should be has no bytes: the file is missing; a pipe is undecidable."""
    (tmp_path / "here").mkdir()
    for name in "xyz":
        (tmp_path / "here" / name).write_bytes(name.encode())
    jobs.create_job(tmp_path / "job", tmp_path / "here", B, kind="verify", **where)
    for name in "xy":
        (tmp_path / "here" / name).unlink()
    (tmp_path / "here/x").mkdir()
    os.mkfifo(tmp_path / "here/y")
    found = told(jobs.run_job(tmp_path / "job"))
    assert [found[f"{tmp_path}/here/{name}"] for name in "xyz"] == [MISSING, UNDECIDABLE, EQUAL]


def test_a_folder_that_cannot_be_looked_into(where: dict[str, Any], tmp_path: Path) -> None:
    """It is undecidable, as is a link that leads nowhere, and never missing; a retry does not know what is in it."""
    (tmp_path / "here/folder").mkdir(parents=True)
    for name in "xyz":
        (tmp_path / "here" / name).write_bytes(name.encode())
    (tmp_path / "here/folder/loop").symlink_to("..")
    (tmp_path / "here/nowhere").symlink_to("nothing")
    jobs.create_job(tmp_path / "job", tmp_path / "here", B, kind="verify", **where)
    for _ in range(2):
        found = told(jobs.run_job(tmp_path / "job"))
        there = {name: found.pop(f"{tmp_path}/here/{name}") for name in ("folder/loop/", "nowhere")}
        assert (set(there.values()), set(found.values()) <= {EQUAL}) == ({UNDECIDABLE}, True)
        jobs.retry_job(tmp_path / "job")
    reasons = {row.source: row.error.message for row in jobs.report_rows(tmp_path / "job") if row.error}
    text = reasons[f"{tmp_path}/here/folder/loop/"]
    assert "symbolic links that lead in a circle" in text
    assert text.endswith("; what lies in it is no part of this job: make another one when it can be looked at")
