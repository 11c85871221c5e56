"""The command against a server: what it restores, prints and exits with."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faultserver import MIB, FaultServer, Status, make_object
from tests.integration.command import lines, run

BODY = random.Random(5).randbytes(3 * MIB)
BUNDLE = {
    "bucket/run/a.bin": BODY,
    "bucket/run/b.txt": b"b" * 100,
    "bucket/run/deep/c.txt": b"c" * 10,
    "bucket/run/empty": b"",
    "bucket/other": b"o",
}
HOSTILE = {
    "bucket/h/../../escape": b"1",
    "bucket/h/\x1b[2Jclear": b"2",
    "bucket/h//double": b"3",
    "bucket/h/good": b"4",
}


def test_one_object(tmp_path: Path) -> None:
    """One object into a folder: its bytes, one line for people on stdout, nothing on stderr, 0."""
    with FaultServer(BUNDLE) as server:
        done = run("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/run/a.bin", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"cp s3://bucket/run/a.bin {tmp_path}/a.bin\n"
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_quiet(tmp_path: Path) -> None:
    """--quiet says nothing about success, and everything about failure."""
    with FaultServer(BUNDLE) as server:
        good = run("cp", "--quiet", "--endpoint-url", server.endpoint_url, "s3://bucket/other", tmp_path)
        bad = run("cp", "--quiet", "--endpoint-url", server.endpoint_url, "s3://bucket/missing", tmp_path)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("bulkhaul: error: s3://bucket/missing: ")


def test_json(tmp_path: Path) -> None:
    """--json tells all that was promised of each object, and a summary that adds up."""
    stored = make_object(BODY, algorithm="CRC32C")
    with FaultServer({"bucket/key": stored}) as server:
        done = run("cp", "--json", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path / "out")
    (line,), summary = lines(done.stdout)
    assert done.returncode == 0
    assert line.pop("seconds") > 0
    assert line == {
        "type": "object",
        "operation": "cp",
        "success": True,
        "source": "s3://bucket/key",
        "destination": str(tmp_path / "out"),
        "object": {
            "key": "key",
            "size": len(BODY),
            "etag": f'"{stored.etag}"',
            "version_id": "",
            "last_modified": "2024-05-17T12:34:56+00:00",
        },
        "integrity": "checksum",
    }
    assert (summary["success"], summary["planned"], summary["verified"]) == (True, 1, 1)
    assert summary["bytes"] == len(BODY)
    assert summary["bytes_per_s"] == pytest.approx(len(BODY) / summary["seconds"], rel=0.01)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (["s3://bucket/missing"], "no such key"),
        (["s3://nowhere/key"], "no such bucket"),
        (["--recursive", "s3://bucket/none/"], "no object matches"),
        (["s3://bucket/none*"], "no object matches"),
        (["--recursive", "s3://nowhere/run/"], ""),
    ],
)
def test_nothing_there(tmp_path: Path, source: list[str], says: str) -> None:
    """A missing key or bucket, and a listing that matches nothing, is a failure: 1, and the summary counts it."""
    with FaultServer(BUNDLE) as server:
        done = run("cp", "--json", "--endpoint-url", server.endpoint_url, *source, tmp_path / "out")
    (line,), summary = lines(done.stdout)
    assert done.returncode == 1
    assert (summary["success"], summary["failed"]) == (False, 1)
    assert line["error"]["code"] == "NotFound"
    assert says in line["error"]["message"]
    assert done.stderr == ""  # nothing is told twice


def test_prefix(tmp_path: Path) -> None:
    """--recursive restores all below the prefix and keeps the paths; filters choose among them."""
    filters = ["--include", "*.txt", "--include", "a*", "--exclude", "*.bin"]
    with FaultServer(BUNDLE) as server:
        whole = run("cp", "--json", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket/run", tmp_path)
        some = run(
            "cp", "--json", "--endpoint-url", server.endpoint_url, "--recursive", *filters, "s3://bucket/run/", tmp_path
        )
    _, summary = lines(whole.stdout)
    assert (whole.returncode, summary["planned"], summary["verified"]) == (0, 4, 4)
    for name, body in BUNDLE.items():
        if name.startswith("bucket/run/"):
            assert (tmp_path / name.removeprefix("bucket/run/")).read_bytes() == body
    objects, _ = lines(some.stdout)
    assert {line["object"]["key"] for line in objects} == {"run/b.txt", "run/deep/c.txt"}


def test_pattern(tmp_path: Path) -> None:
    """A pattern restores what matches, below the last folder before the wildcard."""
    with FaultServer(BUNDLE) as server:
        done = run("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/run/*.txt", tmp_path)
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == [
        f"cp s3://bucket/run/b.txt {tmp_path}/b.txt",
        f"cp s3://bucket/run/deep/c.txt {tmp_path}/deep/c.txt",
    ]


def test_hostile_keys(tmp_path: Path) -> None:
    """Keys that would escape or cannot be files are refused by name, printed escaped; the others are restored."""
    target = tmp_path / "target"
    with FaultServer(HOSTILE) as server:
        done = run("cp", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket/h/", target)
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == [
        f"cp s3://bucket/h/\\x1b[2Jclear {target}/\\x1b[2Jclear",
        f"cp s3://bucket/h/good {target}/good",
    ]
    assert done.stderr.count("bulkhaul: error: ") == 2
    assert "s3://bucket/h/../../escape" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert sorted(os.listdir(tmp_path)) == ["target"]
    assert sorted(os.listdir(target)) == ["\x1b[2Jclear", "good"]


def test_failed_listing(tmp_path: Path) -> None:
    """A listing that fails after some pages fails the command, and the summary still adds up."""
    denied = Status(operation="ListObjectsV2", status=403, code="AccessDenied", attempt="every")
    with FaultServer(BUNDLE, [denied]) as server:
        done = run("cp", "--json", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket/run/", tmp_path)
        server.assert_all_fired()
    (line,), summary = lines(done.stdout)
    assert done.returncode == 1
    assert (line["error"]["code"], summary["failed"]) == ("AccessDenied", 1)


@pytest.mark.parametrize("source", [["--recursive", "s3://bucket/h/"], ["s3://bucket/h/good"], ["s3://bucket/h/none"]])
def test_dry_run(tmp_path: Path, source: list[str]) -> None:
    """--dry-run says what would happen, exits as the real run would, and touches nothing."""
    target = tmp_path / "target"
    with FaultServer(HOSTILE) as server:
        done = run("cp", "--json", "--dry-run", "--endpoint-url", server.endpoint_url, *source, target)
        assert [one.range for one in server.requests_for("GetObject")] in ([], [(0, 1)])  # why there is no such key
    objects, summary = lines(done.stdout)
    assert not target.exists()
    assert all(line["dryrun"] for line in [*objects, summary])
    assert summary["verified"] == 0
    assert done.returncode == (0 if source == ["s3://bucket/h/good"] else 1)
    planned = {line["destination"] for line in objects if line["success"]}
    if source[0] == "--recursive":
        assert planned == {f"{target}/good", f"{target}/\x1b[2Jclear"}
        assert summary["failed"] == 2


def test_destination_that_cannot_be(tmp_path: Path) -> None:
    """A destination that cannot be written is an error of one line, and nothing is left."""
    (tmp_path / "file").write_bytes(b"kept")
    with FaultServer(BUNDLE) as server:
        done = run("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/run/a.bin", tmp_path / "file" / "x")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        many = run("cp", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket/run/", tmp_path / "file")
    assert (many.returncode, many.stderr.count("\n")) == (1, 1)
    assert (os.listdir(tmp_path), (tmp_path / "file").read_bytes()) == (["file"], b"kept")
