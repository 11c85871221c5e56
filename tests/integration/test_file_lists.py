"""``--files-from``: what a list names goes down, up, across, or away, line by line."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import Engine
from bulkhaul.jobs.file_list import listed_rows
from bulkhaul.model.rows import Action
from tests.engines import eventually, running_rig
from tests.faultserver import FaultServer, make_object
from tests.integration.command import arguments, environment, lines, problems, run, stream
from tests.patience import PATIENCE_S

KEYS = {"a": b"1", "b c": b"22", "d/e.bin": b"333" * 1000, "d/*": b"4444", "d/f?": b"5", "ü": b"6"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server with objects below a prefix, and an empty bucket."""
    with FaultServer(buckets=["bucket", "other"]) as running:
        monkeypatch.setenv("BULKHAUL_STATE_DIR", str(tmp_path / "state"))
        for key, body in KEYS.items():
            running.store.put("bucket", f"p/{key}", make_object(body))
        yield running
        assert running.protocol_errors == []


def bulkhaul(server: FaultServer, *words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command against the server, with bytes on stdin."""
    return stream(*words, "--endpoint-url", server.endpoint_url, given=given)


def stored(server: FaultServer, bucket: str = "bucket") -> dict[str, bytes]:
    """Return every object of a bucket."""
    return {key: one.body for key, one in server.store.in_bucket(bucket).items()}


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_list_of_keys(server: FaultServer, tmp_path: Path) -> None:
    """Keys are literal and relative to SRC; the lines that cannot be done fail by name, and the others go on."""
    listing = tmp_path / "keys.txt"
    listing.write_bytes(
        b"# what to restore\r\nd/e.bin\r\n\r\nd/*\nmissing\nb c\tnew/name\na\tnew/name\n"
        b"\xff\n../a\ns3://bucket/p/d/f?\ns3://bucket/p/a\t../out\n"
    )
    out = tmp_path / "out"
    done = bulkhaul(server, "cp", "--json", "--files-from", listing, "s3://bucket/p", out)
    told, summary = lines(done.stdout.decode())
    assert done.returncode == 1
    assert files(out) == {"d/e.bin": KEYS["d/e.bin"], "d/*": b"4444", "new/name": b"22", "d/f?": b"5"}
    assert (summary["verified"], summary["failed"]) == (4, 5)
    errors = {line["source"]: line["error"] for line in told if not line["success"]}
    assert "line 6" in errors[f"{listing}:7"]["message"]
    assert "UTF-8" in errors[f"{listing}:8"]["message"]
    assert "NotFound" in str(errors["s3://bucket/p/missing"])
    assert sorted(errors)[2:] == ["s3://bucket/p/../a", "s3://bucket/p/a", "s3://bucket/p/missing"]
    assert done.stderr == b""  # nothing is told twice
    assert not (tmp_path / "a").exists()


def test_names_from_find(server: FaultServer, tmp_path: Path) -> None:
    """What ``find -print0`` writes goes up as it is, whatever the names hold."""
    tree = tmp_path / "tree"
    names = ["plain", "with\ttab", "with\nline end", "#hash", "sub/ü"]
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode())
    found = subprocess.run(["find", ".", "-type", "f", "-print0"], cwd=tree, capture_output=True, check=True).stdout
    done = bulkhaul(server, "cp", "--files-from0", "-", tree, "s3://other/up", given=found)
    assert (done.returncode, problems(done.stderr.decode())) == (0, "")
    assert stored(server, "other") == {f"up/{name}": name.encode() for name in names}


def test_a_list_that_moves(server: FaultServer) -> None:
    """What the list names is moved between buckets; what it does not name stays, and so does what fails."""
    given = b"a\nd/e.bin\ts3://other/elsewhere\nmissing\n"
    done = bulkhaul(server, "mv", "--files-from", "-", "s3://bucket/p/", "s3://other", given=given)
    assert done.returncode == 1
    assert stored(server, "other") == {"a": b"1", "elsewhere": KEYS["d/e.bin"]}
    assert set(stored(server)) == {f"p/{key}" for key in KEYS} - {"p/a", "p/d/e.bin"}


@pytest.mark.parametrize("prefix", [["s3://bucket/p"], []], ids=["prefix", "urls"])
def test_a_list_that_deletes(server: FaultServer, prefix: list[str]) -> None:
    """Exactly what is named goes: a pattern or a prefix in a list is a key. A dry run only tells."""
    names = ["d/*", "a", "d", "s3://bucket/p/ü"] if prefix else ["s3://bucket/p/d/*", "s3://bucket/p/a", "p/b c"]
    given = "\n".join(names).encode()
    dry = bulkhaul(server, "rm", "--dry-run", "--files-from", "-", *prefix, given=given)
    assert dry.stdout.decode().count("(dry run) rm s3://bucket/p/") == len(names) - (not prefix)
    assert len(stored(server)) == len(KEYS)
    done = bulkhaul(server, "rm", "--files-from", "-", *prefix, given=given)
    assert done.returncode == (0 if prefix else 1)
    gone = {"p/d/*", "p/a", "p/ü"} if prefix else {"p/d/*", "p/a"}
    assert set(stored(server)) == {f"p/{key}" for key in KEYS} - gone
    if not prefix:
        assert b"stdin:3" in done.stderr


def test_the_first_transfer_begins_before_the_list_ends(server: FaultServer, tmp_path: Path) -> None:
    """A list that is still being written is worked on meanwhile, and Ctrl-C ends the wait for its next line."""
    out = tmp_path / "out"
    words = arguments("cp", "--files-from", "-", "s3://bucket/p", out, "--endpoint-url", server.endpoint_url)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=environment(), **pipes) as running:  # type: ignore[call-overload]
        assert running.stdin is not None
        running.stdin.write(b"a\nb ")
        running.stdin.flush()
        eventually(lambda: files(out) == {"a": b"1"}, "the first object is restored")
        running.stdin.write(b"c\n")
        running.stdin.flush()
        eventually(lambda: files(out) == {"a": b"1", "b c": b"22"}, "the second object is restored")
        running.send_signal(2)
        assert running.wait(PATIENCE_S) == 130
        assert b"Traceback" not in running.stderr.read()


def test_a_dry_run_of_a_list(server: FaultServer, tmp_path: Path) -> None:
    """It says what would be done and what would fail, and does nothing."""
    out = tmp_path / "out"
    done = bulkhaul(
        server, "cp", "--dry-run", "--files-from", "-", "s3://bucket/p", out, given=b"a\nmissing\nd/e.bin\n"
    )
    assert done.stdout.decode().splitlines() == [
        f"(dry run) cp s3://bucket/p/{key} {out}/{key}" for key in ("a", "d/e.bin")
    ]
    assert (done.returncode, b"missing" in done.stderr, out.exists()) == (1, True, False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["cp", "--files-from", "x", "--recursive", "s3://b/p", "out"], "--recursive means nothing with --files-from"),
        (["cp", "--files-from0", "x", "--include", "y", "s3://b/p", "out"], "--include means nothing"),
        (["cp", "--files-from", "x", "--files-from0", "y", "s3://b/p", "out"], "one list"),
        (["cp", "--files-from", "x", "--version-id", "y", "s3://b/p", "out"], "--version-id means nothing"),
        (["cp", "--files-from", "x", "--no-follow-symlinks", ".", "s3://b/p"], "--no-follow-symlinks means nothing"),
        (["cp", "--files-from", "x", "no such folder", "s3://b/p"], "no folder"),
        (["cp", "--files-from", "x", "s3://b/p", "-"], "means nothing for a download to stdout"),
        (["cp", "--files-from", "x", "s3://", "out"], "bucket name is missing"),
        (["rm", "--files-from", "x", "s3://b/p", "s3://b/q"], "one prefix"),
        (["rm", "--files-from", "x", "b/p"], "must begin with s3://"),
        (["rm", "--files-from", "x", "--all-versions", "s3://b/p"], "--all-versions means nothing"),
        (["rm"], "Missing argument"),
    ],
)
def test_command_lines_that_make_no_sense(words: list[str], why: str) -> None:
    """A list selects by itself, and needs something that its lines are relative to."""
    done = run(*words)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr


def test_a_list_that_is_not_there(server: FaultServer, tmp_path: Path) -> None:
    """The run fails by the name of the list."""
    done = bulkhaul(server, "cp", "--files-from", tmp_path / "none", "s3://bucket/p", tmp_path / "out")
    assert (done.returncode, b"none: it does not exist" in done.stderr) == (1, True), done.stderr


def test_a_list_from_python(tmp_path: Path) -> None:
    """The rows of a list go to the engine as any others; a long one is never held in memory."""
    count = 20_000
    listing = tmp_path / "list"
    listing.write_text("".join(f"key-{number:09}\n" for number in range(count)))
    with running_rig(tmp_path) as rig:
        rig.server.store.put("bucket", "p/key-000000007", make_object(b"seven"))
        engine: Engine = rig.engine
        rows = listed_rows(str(listing), Action.DELETE, "s3://bucket/p")
        results = [result.row for result in engine.delete_rows(rows)]
        assert sorted(results) == list(range(count))
        assert rig.server.store.get("bucket", "p/key-000000007") is None
    eventually(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("pipe")], "its thread has ended"
    )
