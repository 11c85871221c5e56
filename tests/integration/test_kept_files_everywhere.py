"""What cp keeps of files, kept by sync, by jobs, also such as are killed, and by the lines of ``run``."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import errors, jobs
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.model.preserving import Kept
from tests.engines import keys, serving
from tests.faultserver import MIB, FaultServer, make_object
from tests.integration.command import run
from tests.integration.killing import Place, killed
from tests.integration.linked_trees import FILES, LINKS, links, make_tree, plain
from tests.integration.rclone import rclone
from tests.servers import weed

TIME_NS = 1_400_000_000_123_456_789
TEXT = "1400000000.123456789"
LINK_NS = 1_500_000_000_000_000_001
KEPT = ["--preserve", "timestamps,mode", "--symlinks", "store"]
STORED = FILES | {f"{name}.rclonelink": target.encode() for name, target in LINKS.items()}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a bucket."""
    with serving() as running:
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make files with times and modes of their own, and links."""
    folder = make_tree(tmp_path / "tree")
    for name in FILES:
        (folder / name).chmod(0o640)
        os.utime(folder / name, ns=(TIME_NS, TIME_NS))
    return folder


def stored(server: FaultServer) -> dict[str, bytes]:
    """Return every object of the bucket."""
    return {key: one.body for key, one in server.store.in_bucket("bucket").items()}


def both_ways(tree: Path, back: Path) -> list[tuple[str, str]]:
    """Return the places of a sync up, and of one down."""
    return [(str(tree), "s3://bucket/"), ("s3://bucket/", str(back))]


def assert_alike(back: Path) -> None:
    """Make sure that a folder is as the tree was."""
    assert (links(back), plain(back)) == (LINKS, FILES)
    assert {(back / name).stat().st_mtime_ns for name in FILES} == {TIME_NS}
    assert {(back / name).stat().st_mode & 0o777 for name in FILES} == {0o640}
    assert {(back / name).lstat().st_mtime_ns for name in LINKS} == {LINK_NS}


def done(server: FaultServer, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that asks the server, and must succeed."""
    ended = run(*words, "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.mark.parametrize("as_job", [False, True])
def test_sync(server: FaultServer, tree: Path, tmp_path: Path, *, as_job: bool) -> None:
    """The command keeps times, modes and links both ways, and a second run of it moves nothing."""
    back = tmp_path / "back"
    for number, places in enumerate(both_ways(tree, back) * 2):
        job = ["--job", str(tmp_path / f"job-{number}")] if as_job else []
        summary = done(server, "sync", "--delete", *KEPT, *places, *job, "--json", "--workers", "1").stdout
        told = json.loads(summary.splitlines()[-1])
        moved = len(STORED) if number < 2 else 0
        assert (told["verified"], told["unchanged"]) == (moved, len(STORED) - moved)
    assert stored(server) == STORED
    assert_alike(back)
    (tree / "link").unlink()
    (tree / "a").unlink()
    for number, places in enumerate(both_ways(tree, back)):
        job = ["--job", str(tmp_path / f"deleting-{number}")] if as_job else []
        done(server, "sync", "--delete", *KEPT, *places, *job, "--workers", "1")
    assert stored(server).keys() == STORED.keys() - {"link.rclonelink", "a"}
    assert links(back).keys() == LINKS.keys() - {"link"}
    assert plain(back).keys() == FILES.keys() - {"a"}


def test_jobs(server: FaultServer, tree: Path, tmp_path: Path) -> None:
    """A job keeps what it was made with; no run has to say it again."""
    up, down, back = tmp_path / "up", tmp_path / "down", tmp_path / "back"
    done(server, "job", "create", up, tree, "s3://bucket/", *KEPT)
    done(server, "job", "run", up)
    assert stored(server) == STORED
    assert {one.metadata["mtime"] for key, one in server.store.in_bucket("bucket").items() if key in FILES} == {TEXT}
    done(server, "job", "create", down, "s3://bucket/", back, *KEPT)
    done(server, "job", "run", down)
    assert_alike(back)


def test_a_job_of_sparse_files(server: FaultServer, tmp_path: Path) -> None:
    """Blocks of zeros take no room; the job keeps the choice. Source: stat(2), st_blocks."""
    server.store.put("bucket", "p/zeros", make_object(bytes(2 * MIB)))
    done(server, "job", "create", tmp_path / "job", "s3://bucket/p/", tmp_path / "out", "--sparse")
    done(server, "job", "run", tmp_path / "job")
    done(server, "sync", "s3://bucket/p/", tmp_path / "synced", "--sparse")
    for folder in ("out", "synced"):
        found = (tmp_path / folder / "zeros").stat()
        assert (found.st_size, found.st_blocks) == (2 * MIB, 0)


def test_a_link_that_is_no_link_any_more(server: FaultServer, tree: Path, tmp_path: Path) -> None:
    """What was planned as a link is not stored as one when it is a file: its bytes would become a target."""
    done(server, "job", "create", tmp_path / "job", tree, "s3://bucket/", *KEPT)
    (tree / "link").unlink()
    (tree / "link").write_bytes(b"body")
    ended = run("job", "run", tmp_path / "job", "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 1
    assert "it was to be stored as a link, and is no link" in ended.stderr
    assert stored(server) == {key: body for key, body in STORED.items() if key != "link.rclonelink"}


def test_a_file_of_a_job_that_is_named_as_a_stored_link(server: FaultServer, tree: Path, tmp_path: Path) -> None:
    """It fails by name, and the rest goes up."""
    (tree / "x.rclonelink").write_bytes(b"a")
    done(server, "job", "create", tmp_path / "job", tree, "s3://bucket/", *KEPT)
    ended = run("job", "run", tmp_path / "job", "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 1
    assert "would come back as a link" in ended.stderr
    assert stored(server) == STORED


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["s3://bucket/a/", "s3://bucket/b/", "--symlinks", "store"], "neither uploads nor downloads"),
        (["s3://bucket/a/", "s3://bucket/b/", "--sparse"], "only downloads leave holes"),
        (["x", "s3://bucket/b/", "--sparse"], "only downloads leave holes"),
        (["s3://bucket/a/", "x", "--symlinks", "skip"], "means nothing for a download"),
        (["s3://bucket/a/", "x", "--no-follow-symlinks"], "only uploads follow"),
        (["s3://bucket/a/", "--kind", "delete", "--preserve", "timestamps"], "only copies between buckets"),
        (["s3://bucket/a/", "--kind", "delete", "--symlinks", "store"], "neither uploads nor downloads"),
        (["s3://bucket/a/", "x", "--kind", "verify", "--symlinks", "store"], "neither uploads nor downloads"),
        (["s3://bucket/a/", "x", "--preserve", "timestamps,tags"], "only copies between buckets preserve tags"),
        (["x", "s3://bucket/b/", "--symlinks", "store", "--follow-symlinks"], "say the same"),
    ],
)
def test_jobs_that_make_no_sense(server: FaultServer, tmp_path: Path, words: list[str], why: str) -> None:
    """They are refused with the reason, and nothing is made."""
    ended = run("job", "create", tmp_path / "job", *words, "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["s3://bucket/a/", "s3://bucket/b/", "--symlinks", "store"], "means nothing for a copy"),
        (["s3://bucket/a/", "x", "--symlinks", "follow"], "means nothing for a download"),
        (["x", "s3://bucket/b/", "--symlinks", "store", "--no-follow-symlinks"], "say the same"),
        (["x", "s3://bucket/b/", "--sparse"], "means nothing for an upload"),
        (["x", "s3://bucket/b/", "--preserve", "acl"], "only copies between buckets preserve acl"),
    ],
)
def test_syncs_that_make_no_sense(server: FaultServer, words: list[str], why: str) -> None:
    """They are usage errors that say so."""
    ended = run("sync", *words, "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 2
    assert why in ended.stderr


def test_lines(server: FaultServer, tree: Path, tmp_path: Path) -> None:
    """``run`` is told once for all lines: those of one object, of many, and those that sync."""
    file = tmp_path / "commands"
    file.write_text(
        f"cp {tree}/link s3://bucket/one/\n"
        f"cp --preserve timestamps,mode {tree}/a s3://bucket/one/\n"
        f"cp --recursive --symlinks store {tree} s3://bucket/many/\n"
        f"sync {tree} s3://bucket/synced/\n"
    )
    done(server, "run", *KEPT, file)
    assert stored(server) == {"one/a": b"A", "one/link.rclonelink": b"a"} | {
        f"{prefix}/{name}": body for prefix in ("many", "synced") for name, body in STORED.items()
    }
    kept = {one.metadata.get("mtime") for key, one in server.store.in_bucket("bucket").items() if key.endswith("/a")}
    assert kept == {TEXT}
    file.write_text(
        f"mv s3://bucket/one/link.rclonelink {tmp_path}/one/\n"
        f"cp --recursive s3://bucket/many/ {tmp_path}/many\n"
        f"sync s3://bucket/synced/ {tmp_path}/synced\n"
        "cp --preserve tags s3://bucket/one/a s3://bucket/copy\n"
    )
    (tmp_path / "one").mkdir()
    done(server, "run", *KEPT, file)
    assert links(tmp_path / "one") == {"link": "a"}
    assert_alike(tmp_path / "many")
    assert_alike(tmp_path / "synced")


@pytest.mark.parametrize(
    ("options", "line", "why"),
    [
        ([], "cp --preserve timestamps {tree}/a s3://bucket/a", "--preserve of files is for all lines"),
        ([], "sync --preserve timestamps {tree} s3://bucket/", "--preserve of files is for all lines"),
        (["--preserve", "mode"], "cp --preserve timestamps {tree}/a s3://bucket/a", "--preserve of files is for all"),
        ([], "cp --symlinks store {tree}/link s3://bucket/a", "--symlinks store is for all lines"),
        ([], "mv --symlinks store s3://bucket/l.rclonelink x", "--symlinks store is for all lines"),
        ([], "sync --symlinks store {tree} s3://bucket/", "--symlinks store is for all lines"),
        (["--symlinks", "store"], "cp -r --symlinks skip {tree} s3://bucket/", "this one says otherwise"),
        (["--symlinks", "store"], "sync --follow-symlinks {tree} s3://bucket/", "this one says otherwise"),
        ([], "cp --sparse s3://bucket/a x", "--sparse is for all lines"),
    ],
)
def test_lines_that_say_otherwise(
    server: FaultServer, tree: Path, tmp_path: Path, options: list[str], line: str, why: str
) -> None:
    """All lines share one engine, so a line of its own mind is refused by its number, and does nothing."""
    (tmp_path / "commands").write_text(line.format(tree=tree))
    ended = run("run", *options, tmp_path / "commands", "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 1
    assert why in ended.stderr
    assert stored(server) == {}


def test_python(server: FaultServer, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``jobs.sync``, ``jobs.sync_job`` and ``jobs.create_job`` take the settings of the engine, by their names."""
    for name, value in keys().items():
        monkeypatch.setenv(name, value)
    where: dict[str, Any] = {"endpoint_url": server.endpoint_url, "workers": 1}
    kept: dict[str, Any] = {"preserve_times": True, "preserve_mode": True, "store_links": True}
    assert all(one.ok for one in jobs.sync(tree, "s3://bucket/", **where, **kept))
    rows = list(jobs.sync_job(tmp_path / "job", "s3://bucket/", tmp_path / "back", **where, **kept))
    assert len(rows) == len(STORED)
    assert_alike(tmp_path / "back")
    copied = SyncOptions(preserve=frozenset({Kept.TIMESTAMPS}))
    with pytest.raises(errors.UsageError, match="preserve_times"):
        list(jobs.sync(tree, "s3://bucket/", copied, **where))
    with pytest.raises(errors.UsageError, match="store_links means nothing"):
        jobs.create_job(tmp_path / "copy", "s3://bucket/", "s3://bucket/copy/", **where, store_links=True)


def test_a_sync_job_that_is_killed(tmp_path: Path) -> None:
    """The run that goes on keeps what the first one was told to, in uploads and downloads."""
    with weed() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        place = Place(server, client, tmp_path / "tree", {})
        tree, back = make_tree(tmp_path / "tree"), tmp_path / "back"
        for number in range(60):
            (tree / f"file-{number}").write_bytes(os.urandom(20_000))
            (tree / f"to-{number}").symlink_to(f"file-{number}")
        for name in plain(tree):
            os.utime(tree / name, ns=(TIME_NS, TIME_NS))
        slowly = ["--concurrency", "2", "--bwlimit", "300KiB", "--workers", "1"]
        for number, places in enumerate(both_ways(tree, back)):
            job = tmp_path / f"job-{number}"

            def is_moving(job: Path = job) -> bool:
                return any(job.glob("report/*"))

            words = ("sync", "--delete", *KEPT, *places, "--job", str(job), *slowly)
            assert not killed(place, *words, after_s=0.5, once=is_moving)
            ended = place.run("job", "run", job)
            assert ended.returncode == 0, ended.stderr
        assert (links(back), plain(back)) == (links(tree), plain(tree))
        assert {(back / name).stat().st_mtime_ns for name in plain(tree)} == {TIME_NS}
        heads = [client.head_object(Bucket="bucket", Key=name) for name in plain(tree)]
        assert {head["Metadata"]["mtime"] for head in heads} == {TEXT}


def test_rclone_syncs_alike(tree: Path, tmp_path: Path) -> None:
    """What either has synced the other one finds equal, and makes again as it was."""
    with weed() as server:
        server.client().create_bucket(Bucket="bucket")
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}

        def theirs(source: str | Path, destination: str | Path) -> str:
            return rclone(server, "sync", "--links", "--metadata", "-v", source, destination)

        def ours(source: str | Path, destination: str | Path) -> int:
            words = ["sync", "--delete", *KEPT, source, destination, "--json", "--endpoint-url", server.endpoint_url]
            ended = run(*words, variables={**keys, "AWS_SESSION_TOKEN": ""})
            assert ended.returncode == 0, ended.stderr
            return int(json.loads(ended.stdout.splitlines()[-1])["verified"])

        assert ours(tree, "s3://bucket/ours/") == len(STORED)
        assert "There was nothing to transfer" in theirs(tree, "there:bucket/ours")
        theirs("there:bucket/ours", tmp_path / "theirs")
        assert_alike(tmp_path / "theirs")
        assert ours("s3://bucket/ours/", tmp_path / "theirs") == 0
        theirs(tree, "there:bucket/theirs")
        assert ours(tree, "s3://bucket/theirs/") == 0
        assert ours("s3://bucket/theirs/", tmp_path / "back") == len(STORED)
        assert_alike(tmp_path / "back")
