"""docs/coming-from: what other programs do and what ours does leave the same.

The page of aws-cli has a test of its own; what s5cmd does otherwise has a table of its own.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine
from tests.servers.process import RunningServer, find_program

from .guide import RUN_7, Guide, files, fill, remove, write


def begin(server: RunningServer, folder: Path) -> None:
    """Put back what the rows of docs/coming-from begin with."""
    client = server.client()
    for bucket in client.list_buckets()["Buckets"]:
        remove(client, bucket["Name"])
    for name in left(server, folder):
        if not name.startswith("s3://"):
            (folder / name).unlink()
    write(folder, {"a.bin": b"file", "a*.bin": b"star", "results/a.bin": b"other", "results/new.txt": b"new"})
    for name in ("a.bin", "results/a.bin", "results/new.txt"):
        os.utime(folder / name, (time.time() + 60,) * 2)  # newer than what is stored, also by whole seconds
    fill(server, "bucket", {**{f"run-7/{key}": body for key, body in RUN_7.items()}, "a.bin": b"object"})
    for bucket in ("other", "empty"):
        fill(server, bucket, {})


def left(server: RunningServer, folder: Path) -> dict[str, Any]:
    """Return the bytes and tags of all that is there now, by path or URL."""
    client = server.client()
    found: dict[str, Any] = {
        name: body for name, body in files(folder).items() if not name.startswith(("bin/", "state/", ".", "Library/"))
    }
    for bucket in (one["Name"] for one in client.list_buckets()["Buckets"]):
        found[f"s3://{bucket}"] = None
        for one in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            place = {"Bucket": bucket, "Key": one["Key"]}
            tags = client.get_object_tagging(**place)["TagSet"]
            found[f"s3://{bucket}/{one['Key']}"] = (client.get_object(**place)["Body"].read(), tags)
    return found


def run_both(guide: Guide, rows: list[tuple[str, str]]) -> None:
    """Run both command lines of each row; they must leave the same, and something must come of them."""
    for theirs, ours in rows:
        ended = []
        for line in (theirs, ours):
            begin(guide.server, guide.work)
            before = left(guide.server, guide.work)
            status = 1 if re.match("rclone check|bulkhaul verify", line) else 0  # the sides differ
            said = guide.call(["bash", "-euo", "pipefail", "-c", line], status=status)
            after = left(guide.server, guide.work)
            assert said or guide.error or after != before, f"{line}: nothing came of it"
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
        names = {"client": seaweed.client(), "engine": engine}
        for theirs, ours in rows:
            answers, ended = [], []
            for call in (theirs, ours):
                begin(seaweed, tmp_path)
                with (tmp_path / "a.bin").open("rb") as file:
                    answers.append(eval(call, {**names, "file": file}))  # noqa: S307 - the calls are the page's
                ended.append(left(seaweed, tmp_path))
            assert ended[0] == ended[1], f"{theirs} | {ours}"
            if isinstance(answers[0], bytes | int | list):
                assert answers[0] == answers[1], f"{theirs} | {ours}"
