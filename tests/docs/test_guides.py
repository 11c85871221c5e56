"""docs/start.md, docs/sync.md and docs/jobs.md: every example is run in the order of the page."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import RunningServer
from tests.servers.weed import weed

from .guide import DOCS, Guide, files


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A real server."""
    with weed() as server:
        for bucket in ("bucket", "other", "old", "new", "admin"):
            server.client().create_bucket(Bucket=bucket)
        yield server


def test_syncing(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/sync.md."""
    guide = Guide("sync.md", seaweed, tmp_path)
    results = tmp_path / "results"
    (results / "logs").mkdir(parents=True)
    for name in ("a.bin", "logs/b.txt", "scratch.tmp", *(f"logs/{number}.txt" for number in range(30))):
        (results / name).write_text(name)
    held = files(results)

    assert guide.run("In three directions").count("\n") == 3 * (len(held) + 1)
    assert files(tmp_path / "copy") == held
    assert guide.keys("other") == [f"run-7/{name}" for name in sorted(held)]

    (results / "a.bin").write_text("a.BIN")  # of the same size
    os.utime(results / "a.bin", (1, 1))
    os.utime(tmp_path / "copy/a.bin", (1, 1))
    told = guide.run("What is compared")
    assert told.splitlines() == ["sync: 33 compared, 33 unchanged"] * 2  # neither asks for times

    (results / "latest").symlink_to("logs")
    guide.run("Times, modes and links of files")
    assert files(tmp_path / "back") == held | {"a.bin": b"a.BIN"}
    assert os.readlink(tmp_path / "back/latest") == "logs"
    assert (tmp_path / "back/a.bin").stat().st_mtime == 1
    (results / "latest").unlink()

    (results / "a.bin").write_text("changed")
    (results / "logs/b.txt").unlink()
    guide.put("bucket", "run-7/kept.tmp", b"kept")
    *rows, total = map(json.loads, guide.run("Looking first", line=0).splitlines())
    assert [(row["operation"], row["dryrun"]) for row in rows] == [("cp", True), ("rm", True), ("rm", True)]
    assert rows[0]["reason"].startswith("the sizes differ")
    assert total["planned"] == 3
    assert guide.run("Looking first", line=1).startswith("logs/b.txt: delete (deletion: ")

    guide.run("Deleting")
    left = {f"run-7/{name}" for name in [*held, "kept.tmp"]} - {"run-7/logs/b.txt"}
    assert set(guide.keys("bucket")) == left

    (results / "a.bin").write_text("changed again")
    assert '"operation": "summary"' in guide.run("In a script")
    assert guide.ended()


def test_jobs(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/jobs.md."""
    guide = Guide("jobs.md", seaweed, tmp_path)
    bodies = {"data/a.bin": b"a", "data/b c.bin": b"bc", "data/late.bin": b"late"}
    for key, body in bodies.items():
        guide.put("old", key, body)
    section = "From plan to report"
    assert guide.run(section, line=0).startswith("planned 3 objects")
    assert guide.run(section, line=1).startswith("3 planned = 0 succeeded, 0 failed, 0 skipped, 3 left")
    guide.client.delete_object(Bucket="old", Key="data/late.bin")
    guide.run(section, line=2, status=1)
    guide.run(section, line=3)
    with (tmp_path / "move.csv").open(newline="") as file:
        ended = {row["source"]: row["status"] for row in csv.DictReader(file)}
    assert ended == {
        "s3://old/data/a.bin": "succeeded",
        "s3://old/data/b c.bin": "succeeded",
        "s3://old/data/late.bin": "failed",
    }

    guide.put("old", "data/late.bin", b"late")
    told = guide.run("What failed").splitlines()
    assert json.loads(told[0])["source"] == "s3://old/data/late.bin"
    assert guide.keys("new") == list(bodies)

    guide.run("Manifests")
    assert files(tmp_path / "restored") == {"data/a.bin": b"a", "data/b c.bin": b"bc"}
    assert guide.keys("old") == ["data/a.bin", "data/late.bin"]

    guide.client.create_bucket(Bucket="kept")
    for bucket in ("old", "kept"):
        guide.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    guide.put("old", "data/a.bin", b"newer")
    guide.run("All versions")
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    listed = guide.client.list_object_versions(Bucket="kept", Prefix="data/a.bin")["Versions"]
    places = sorted((row["older"], row["version_id"]) for row in rows if row["source"] == "s3://old/data/a.bin")
    assert places == [(1 - at, one["VersionId"]) for at, one in enumerate(listed)][::-1]
    assert [one["Size"] for one in listed] == [5, 1]
    guide.client.delete_object(Bucket="new", Key="data/b c.bin")
    guide.put("new", "data/a.bin", b"A")
    section = "Comparisons"
    assert guide.run(section, line=0).startswith("planned 2 objects")
    guide.run(section, line=1, status=1)
    assert "1 equal, 1 different, 0 missing, 0 undecidable" in guide.run(section, line=2)
    for line in range(3, 6):
        guide.run(section, line=line)
    assert "job: 2 equal, 0 different, 0 missing, 0 undecidable" in guide.run(section, line=6)

    guide.run("Reports")
    rows = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["succeeded", "succeeded"]
    records = sorted((tmp_path / "back.csv").read_text().splitlines())  # they stand in the order in which they ended
    assert records == [f"old,data/{key},,succeeded,200,,Successful" for key in ("a.bin", "b%20c.bin")]
    assert (tmp_path / "back.html").read_text().startswith("<!doctype html>")

    row, digest = guide.run("The folder").splitlines()
    assert json.loads(row)["source"] == "s3://old/data/a.bin"
    assert digest.split()[0] in (tmp_path / "move/plan.json").read_text()

    *_, status = guide.run("Several machines").splitlines()
    assert json.loads(status)["complete"] is True
    assert guide.keys("new", "again/") == ["again/a.bin", "again/late.bin"]

    guide.run("Large downloads")
    assert guide.ended()


def test_starting(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/start.md; its program reads what the commands have stored."""
    guide = Guide("start.md", seaweed, tmp_path)
    photos = tmp_path / "photos"
    (photos / "2026").mkdir(parents=True)
    for name in ("a.jpg", "2026/b.jpg"):
        (photos / name).write_text(name)
    held = files(photos)

    guide.run("Tell it who you are")
    section = "A first transfer"
    guide.run(section, line=0)
    assert guide.keys("bucket", "photos/") == [f"photos/{name}" for name in sorted(held)]
    assert "a.jpg" in guide.run(section, line=1)
    guide.run(section, line=2)
    assert files(tmp_path / "restored") == held

    (photos / "a.jpg").write_text("longer than before")
    assert "a.jpg" in guide.run("The second time", line=0)
    guide.run("The second time", line=1)

    guide.run("From Python")
    assert files(tmp_path / "again") == files(photos)
    assert guide.ended()


@pytest.mark.parametrize("page", ["sync.md", "jobs.md"])
def test_every_command_is_in_a_block_that_is_run(page: str) -> None:
    """No block of another language, and none of those that are run, hides a command line from the tests above."""
    text = (DOCS / page).read_text()
    assert set(re.findall(r"^```(\w*)$", text, re.MULTILINE)) == {"sh", ""}
