"""docs/bundles.md: its commands bring a repository back, with real git and from a real server, or they fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import environment
from tests.patience import PATIENCE_S
from tests.servers.process import RunningServer
from tests.servers.weed import weed

PAGE = Path(__file__).parents[2] / "docs/bundles.md"
SCRIPT = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
BRANCHES = ["topic/one", "it's", "a#1&$2", "ümläut", *(f"many/{number:02}" for number in range(60))]
BESIDE = ["refs/heads/main/PROTECTED#", "refs/heads/main/repo.zip", "refs/heads/main/LOCK#.lock"]
"""What git-remote-s3 keeps beside the bundles."""


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A real server."""
    with weed() as server:
        server.client().create_bucket(Bucket="backups")
        yield server


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    identity = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=os.environ | identity | plain, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def original(tmp_path: Path, seaweed: RunningServer) -> Path:
    """A repository with branches and tags, and the bundle of each of its refs in the bucket."""
    folder = tmp_path / "original"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "trunk")
    for number, branch in enumerate(["trunk", *BRANCHES]):
        if number:
            git(folder, "checkout", "--quiet", "-b", branch, "trunk")
        (folder / "file").write_text(f"{branch}\n" * 100)
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "--message", f"on {branch}")
    git(folder, "tag", "light", "topic/one")
    git(folder, "tag", "--annotate", "--message", "first", "v1.0", "trunk")
    git(folder, "checkout", "--quiet", "trunk")
    client = seaweed.client()
    for key in keys_of(seaweed):
        client.delete_object(Bucket="backups", Key=key)
    for line in git(folder, "for-each-ref", "--format=%(objectname) %(refname)").splitlines():
        commit, ref = line.split()
        git(folder, "bundle", "create", "--quiet", str(tmp_path / "bundle"), ref)
        key = f"project/{ref}/{commit}.bundle"
        client.put_object(Bucket="backups", Key=key, Body=(tmp_path / "bundle").read_bytes())
    for name in BESIDE:
        client.put_object(Bucket="backups", Key=f"project/{name}", Body=b"beside")
    client.put_object(Bucket="backups", Key="project/HEAD", Body=b"refs/heads/trunk")
    return folder


def restore(server: RunningServer, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the page's commands, one after the other, in a folder."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin/bulkhaul"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bulkhaul "$@"\n')
    program.chmod(0o755)
    variables = environment(
        AWS_ACCESS_KEY_ID=server.access_key,
        AWS_SECRET_ACCESS_KEY=server.secret_key,
        AWS_SESSION_TOKEN="",
        AWS_ENDPOINT_URL=server.endpoint_url,
        AWS_REGION="us-east-1",
        GIT_CONFIG_GLOBAL=os.devnull,
        PATH=f"{folder / 'bin'}:{os.environ['PATH']}",
    )
    words = ["bash", "-c", SCRIPT]
    return subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, timeout=PATIENCE_S)


def keys_of(server: RunningServer) -> list[str]:
    """Return the keys of the bundles."""
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket="backups")
    return [one["Key"] for page in pages for one in page.get("Contents", []) if one["Key"].endswith(".bundle")]


def refs(folder: Path) -> str:
    """Return HEAD and every ref of a repository, with what it names."""
    return git(folder, "symbolic-ref", "HEAD") + git(folder, "for-each-ref")


def test_the_repository_comes_back(original: Path, seaweed: RunningServer, tmp_path: Path) -> None:
    """HEAD, branches, tags and every object are those of the original; and a second time fetches what is missing."""
    work = tmp_path / "work"
    work.mkdir()
    done = restore(seaweed, work)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert refs(work / "project.git") == refs(original)
    everything = ("rev-list", "--all", "--objects")
    assert sorted(git(work / "project.git", *everything).splitlines()) == sorted(
        git(original, *everything).splitlines()
    )
    assert len((work / "report.jsonl").read_text().splitlines()) == len(keys_of(seaweed)) + 1

    lost = next((work / "restored").rglob("topic/one/*.bundle"))
    lost.unlink()
    assert restore(seaweed, work).returncode == 0
    assert lost.exists()
    told, _ = (work / "report.jsonl").read_text().splitlines()
    assert f'"restored/{lost.relative_to(work / "restored")}"' in told


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("cut short", "index-pack"),
        ("another ref", "refs/tags/v1.0/"),
        ("no bundle", "does not look like a v2 or v3 bundle"),
    ],
)
@pytest.mark.usefixtures("original")
def test_what_is_wrong_is_not_passed_over(seaweed: RunningServer, tmp_path: Path, how: str, says: str) -> None:
    """A backup that is not what its key says makes the commands fail."""
    client = seaweed.client()
    key = next(key for key in keys_of(seaweed) if "/v1.0/" in key)
    other = next(key for key in keys_of(seaweed) if "/topic/one/" in key)
    whole, another = (client.get_object(Bucket="backups", Key=one)["Body"].read() for one in (key, other))
    body = {"cut short": whole[:-30], "another ref": another, "no bundle": b"nothing"}[how]
    client.put_object(Bucket="backups", Key=key, Body=body)
    work = tmp_path / "work"
    work.mkdir()
    done = restore(seaweed, work)
    assert done.returncode != 0
    assert says in done.stdout + done.stderr
