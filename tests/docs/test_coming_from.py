"""docs/coming-from: what other programs do and what ours does leave the same.

The page of aws-cli has a test of its own; what s5cmd does otherwise has a table of its own.
"""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine
from tests.servers.process import RunningServer, find_program

from .guide import RUN_7, Guide, files, fill, write


def content(body: bytes) -> str:
    """Return the entity tag of an object that was stored by one request."""
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


FILES = {"a.bin": b"file", "a*.bin": b"star", "results/a.bin": b"other", "results/new.txt": b"new"}
OBJECTS = {**{f"run-7/{key}": body for key, body in RUN_7.items()}, "a.bin": b"object"}
BUCKETS = {"bucket", "other", "empty"}


BEGUN: dict[str, Any] = {
    **FILES,
    **{f"s3://{bucket}": None for bucket in BUCKETS},
    **{f"s3://bucket/{key}": (content(body), []) for key, body in OBJECTS.items()},
}
"""What ``Scene.left`` tells before a command."""


class Scene:
    """What the rows of docs/coming-from begin with; put back before each command, and looked at after it."""

    def __init__(self, guide: Guide) -> None:
        self._client, self._folder = guide.client, guide.work
        self._stored: dict[tuple[str, str], tuple[str, datetime]] = {}

    def begin(self) -> None:
        """Put back what was changed since the last time."""
        for name in self._files().keys() - FILES.keys():
            (self._folder / name).unlink()
        write(self._folder, FILES)
        for name in ("a.bin", "results/a.bin", "results/new.txt"):
            os.utime(self._folder / name, (time.time() + 60,) * 2)  # newer than what is stored, also by whole seconds
        found = self._objects()
        for bucket, key in found.keys() - {("bucket", key) for key in OBJECTS}:
            self._client.delete_object(Bucket=bucket, Key=key)
        there = self._buckets()
        for bucket in there - BUCKETS:
            self._client.delete_bucket(Bucket=bucket)
        for bucket in BUCKETS - there:
            self._client.create_bucket(Bucket=bucket)
        for key, body in OBJECTS.items():
            if ("bucket", key) not in found or found["bucket", key] != self._stored.get(("bucket", key)):
                self._client.put_object(Bucket="bucket", Key=key, Body=body)
        self._stored = self._objects()
        assert {place: tag for place, (tag, _) in self._stored.items()} == {
            ("bucket", key): content(body) for key, body in OBJECTS.items()
        }
        assert self._buckets() == BUCKETS

    def left(self) -> dict[str, Any]:
        """Return what is there, by path or URL: the bytes of files, None of buckets, content and tags of objects."""
        found: dict[str, Any] = {f"s3://{bucket}": None for bucket in self._buckets()}
        for (bucket, key), (tag, _) in self._objects().items():
            tags = self._client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            found[f"s3://{bucket}/{key}"] = (tag, tags)
            if tags:  # which its time does not show
                self._stored.pop((bucket, key), None)
        return found | self._files()

    def _files(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for entry in self._folder.iterdir():
            if entry.name not in ("bin", "state", "Library") and not entry.name.startswith("."):
                below = files(entry) if entry.is_dir() else {"": entry.read_bytes()}
                found |= {f"{entry.name}/{name}".rstrip("/"): body for name, body in below.items()}
        return found

    def _buckets(self) -> set[str]:
        return {one["Name"] for one in self._client.list_buckets()["Buckets"]}

    def _objects(self) -> dict[tuple[str, str], tuple[str, datetime]]:
        """Return the entity tag and the time of each object."""
        return {
            (bucket, one["Key"]): (one["ETag"], one["LastModified"])
            for bucket in self._buckets()
            for one in self._client.list_objects_v2(Bucket=bucket).get("Contents", [])
        }


def run_both(guide: Guide, rows: list[tuple[str, str]]) -> None:
    """Run both command lines of each row; they must leave the same, and something must come of them."""
    scene = Scene(guide)
    for theirs, ours in rows:
        ended = []
        for line in (theirs, ours):
            scene.begin()
            status = 1 if re.match("rclone check|bulkhaul verify", line) else 0  # the sides differ
            said = guide.call(["bash", "-euo", "pipefail", "-c", line], status=status)
            after = scene.left()
            assert said or guide.error or after != BEGUN, f"{line}: nothing came of it"
            ended.append(after)
        assert ended[0] == ended[1], f"{theirs} | {ours}"


def test_coming_from_rclone(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/coming-from/rclone.md: both programs leave the same, and end with the same status."""
    guide = Guide(
        "coming-from/rclone.md",
        seaweed,
        tmp_path,
        variables={
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CONFIG_REMOTE_TYPE": "s3",
            "RCLONE_CONFIG_REMOTE_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_REMOTE_ENV_AUTH": "true",
            "RCLONE_CONFIG_REMOTE_ENDPOINT": seaweed.endpoint_url,
            "RCLONE_RETRIES": "1",
        },
    )
    (tmp_path / "bin/rclone").symlink_to(find_program("rclone"))
    write(tmp_path, {"run-7/a.bin": b"a"})
    fill(seaweed, "bucket", {})
    guide.run("")
    assert guide.keys("bucket") == ["run-7/a.bin"]

    rows = guide.rows()
    assert len(rows) > 20
    run_both(guide, rows)
    assert guide.ended()


def test_coming_from_s5cmd(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/coming-from/s5cmd.md: both programs leave the same, and end with the same status."""
    where = {"S3_ENDPOINT_URL": seaweed.endpoint_url}
    guide = Guide("coming-from/s5cmd.md", seaweed, tmp_path, variables=where)
    (tmp_path / "bin/s5cmd").symlink_to(find_program("s5cmd"))
    keys = f"aws_access_key_id = {seaweed.access_key}\naws_secret_access_key = {seaweed.secret_key}\n"
    (tmp_path / ".keys").write_text(f"[p]\n{keys}")
    write(tmp_path, {"run-7/a.bin": b"a", "run-7/logs/b.txt": b"b"})
    fill(seaweed, "bucket", {})
    guide.run("")
    assert guide.keys("bucket") == ["run-7/a.bin", "run-7/logs/b.txt"]
    rows = guide.rows()
    assert len(rows) > 30
    run_both(guide, rows)


def test_coming_from_boto3(seaweed: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/coming-from/boto3.md: both calls leave the same, and answers of plain values are equal."""
    guide = Guide("coming-from/boto3.md", seaweed, tmp_path)
    write(tmp_path, {"a.bin": b"a"})
    fill(seaweed, "bucket", {})
    guide.run("")
    assert guide.keys("bucket") == ["a.bin"]
    assert guide.run("Errors").startswith("s3://bucket/nothing")
    assert guide.run("Credentials") == "['bucket']\n"
    assert guide.ended()

    for name, value in guide.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    rows = guide.rows()
    assert len(rows) > 12
    with Engine() as engine:
        names = {"client": guide.client, "engine": engine}
        scene = Scene(guide)
        for theirs, ours in rows:
            answers, ended = [], []
            for call in (theirs, ours):
                scene.begin()
                with (tmp_path / "a.bin").open("rb") as file:
                    answers.append(eval(call, {**names, "file": file}))  # noqa: S307 - the calls are the page's
                ended.append(scene.left())
            assert ended[0] == ended[1], f"{theirs} | {ours}"
            if isinstance(answers[0], bytes | int | list):
                assert answers[0] == answers[1], f"{theirs} | {ours}"
