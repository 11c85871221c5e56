"""``bulkhaul sync``: what it prints, and what it exits with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, make_object
from tests.integration.command import problems, run


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a bucket of three objects."""
    with FaultServer(buckets=["bucket"]) as running:
        for key in ("p/a", "p/b", "p/c/d"):
            running.store.put("bucket", key, make_object(key.encode()))
        yield running
        assert running.protocol_errors == []


def sync(server: FaultServer, *words: str | Path) -> tuple[int, str, str]:
    """Run the command against the server: (exit code, stdout, stderr)."""
    done = run("sync", *words, "--workers", "1", "--endpoint-url", server.endpoint_url)
    return done.returncode, done.stdout, problems(done.stderr)


def lines(text: str) -> list[dict[str, Any]]:
    """Return lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_lines_for_people(server: FaultServer, tmp_path: Path) -> None:
    """A line an object, what was compared, and at the second run nothing but that."""
    out = tmp_path / "out"
    status, told, errors = sync(server, "s3://bucket/p", out)
    copied, last = sorted(told.splitlines()[:-1]), told.splitlines()[-1]
    assert (status, errors) == (0, "")
    assert copied == [f"cp s3://bucket/p/{name} {out}/{name}" for name in ("a", "b", "c/d")]
    assert last == "sync: 3 copied, 0 compared, 0 unchanged"
    (out / "extra").touch()
    assert sync(server, "s3://bucket/p", out) == (0, "sync: 3 compared, 3 unchanged\n", "")
    expected = f"rm {out}/extra\nsync: 1 deleted, 3 compared, 3 unchanged\n"
    assert sync(server, "s3://bucket/p", out, "--delete") == (0, expected, "")
    assert sync(server, "s3://bucket/p", out, "--quiet") == (0, "", "")


def test_lines_of_json(server: FaultServer, tmp_path: Path) -> None:
    """Each line has its operation and its reason; the summary adds up, and says what was compared."""
    out = tmp_path / "out"
    sync(server, "s3://bucket/p", out)
    (out / "a").write_bytes(b"longer than it was")
    (out / "extra").touch()
    status, told, errors = sync(server, "s3://bucket/p", out, "--json", "--delete")
    *rows, total = lines(told)
    assert (status, errors) == (0, "")
    assert [(row["operation"], row["source"], row["reason"]) for row in rows] == [
        ("cp", "s3://bucket/p/a", "the sizes differ: 3 bytes, and 18 at the destination"),
        ("rm", f"{out}/extra", "it is not at the source"),
    ]
    assert {name: total[name] for name in ("planned", "verified", "failed", "skipped", "compared", "unchanged")} == {
        "planned": 2,
        "verified": 2,
        "failed": 0,
        "skipped": 0,
        "compared": 3,
        "unchanged": 2,
    }


def test_a_dry_run(server: FaultServer, tmp_path: Path) -> None:
    """Everything that would be done is told with its reason, and nothing is done."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "extra").touch()
    status, told, errors = sync(server, "s3://bucket/p", out, "--dry-run", "--delete")
    assert (status, errors) == (0, "")
    assert told.splitlines()[0] == f"(dry run) cp s3://bucket/p/a {out}/a: it is not at the destination"
    assert told.splitlines()[-2] == f"(dry run) rm {out}/extra: it is not at the source"
    assert [path.name for path in out.iterdir()] == ["extra"]


def test_deletions_that_are_withheld(server: FaultServer, tmp_path: Path) -> None:
    """Too many are none: exit status 1, and a line that says what to type; the rest is done."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "extra").touch()
    status, told, errors = sync(server, "s3://bucket/p", out, "--delete", "--max-delete", "0")
    assert status == 1
    assert "give --max-delete 1 if this is meant" in errors
    assert len(told.splitlines()) == 4
    assert (out / "extra").exists()


def test_explanation(server: FaultServer, tmp_path: Path) -> None:
    """One line for the rule that decides, or one of JSON; nothing is moved."""
    out = tmp_path / "out"
    words = ("s3://bucket/p", out, "--explain", "a")
    assert sync(server, *words) == (0, "a: download (presence: it is not at the destination)\n", "")
    _, told, _ = sync(server, *words, "--json", "--exclude", "a*")
    assert lines(told) == [
        {
            "type": "explanation",
            "operation": "explain",
            "key": "a",
            "rule": "filter",
            "action": "skip",
            "reason": "--exclude 'a*' matches it",
        }
    ]
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["s3://bucket/p", "here", "--max-delete", "5"], "--max-delete needs --delete"),
        (["s3://bucket/p", "here", "--delete", "--max-delete", "most"], "neither a number"),
        (["s3://bucket/p", "here", "--compare", "md5"], "size, mtime, etag, checksum"),
        (["s3://bucket/p", "here", "--size-only", "--exact-timestamps"], "exclude each other"),
        (["s3://bucket/p", "-"], "use cp"),
        (["here", "there"], "both local"),
        (["s3://bucket/p", "s3://bucket/p/"], "one place"),
        (["s3://bucket/p", "here", "--storage-class", "X"], "means nothing for a download"),
        (["s3://bucket/p"], "Missing argument"),
    ],
)
def test_command_lines_that_make_no_sense(server: FaultServer, words: list[str], message: str) -> None:
    """They exit with 2 and say why."""
    status, _, errors = sync(server, *words)
    assert (status, message in errors) == (2, True), errors


def test_a_side_that_is_not_there(server: FaultServer, tmp_path: Path) -> None:
    """A missing folder or bucket is a failure, not an empty side."""
    assert sync(server, tmp_path / "none", "s3://bucket/q")[0] == 1
    assert sync(server, "s3://none/q", tmp_path / "out")[0] == 1
    status, _, errors = sync(server, tmp_path, "s3://none/q", "--delete")
    assert (status, "nothing was deleted" in errors) == (1, True)
