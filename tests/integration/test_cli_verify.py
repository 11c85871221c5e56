"""``bulkhaul verify``: what it prints, and what it exits with."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, Latency, make_object
from tests.integration.command import run, start
from tests.patience import PATIENCE_S

OURS, THEIRS = "s3://bucket/ours/", "s3://bucket/theirs/"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with two prefixes that have the same."""
    with FaultServer(buckets=["bucket"]) as running:
        for name in ("a", "b", "c/d"):
            for prefix in ("ours", "theirs"):
                running.store.put("bucket", f"{prefix}/{name}", make_object(name.encode(), algorithm="CRC32"))
        yield running
        assert running.protocol_errors == []


def verify(server: FaultServer, *words: str | Path) -> tuple[int, str, str]:
    """Run the command against the server: (exit code, stdout, stderr)."""
    done = run("verify", *words, "--workers", "1", "--endpoint-url", server.endpoint_url)
    return done.returncode, done.stdout, done.stderr


def lines(text: str) -> list[dict[str, Any]]:
    """Return lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def untimed(text: str) -> str:
    """Return the summary without times and rates."""
    return re.sub(r"[0-9.]+ s \([^)]*\)", "T", text)


def test_lines_for_people(server: FaultServer, tmp_path: Path) -> None:
    """A line for each name that is not equal on stdout, the summary on stderr with its causes, and the exit status."""
    status, told, errors = verify(server, OURS, THEIRS)
    totals = "verify: 3 equal, 0 different, 0 missing, 0 undecidable; T\n  checked: 3 by stored-checksum\n"
    assert (status, told, untimed(errors)) == (0, "", totals)
    assert verify(server, OURS, THEIRS, "-v")[1].splitlines()[0] == f"equal {OURS}a {THEIRS}a (stored-checksum)"
    (tmp_path / "a").write_bytes(b"A")
    (tmp_path / "b").write_bytes(b"b")
    (tmp_path / "locked").symlink_to("locked")
    status, told, errors = verify(server, tmp_path, OURS)
    assert status == 1
    different, missing, undecidable = told.splitlines()
    assert different.startswith(f"different {tmp_path}/a {OURS}a: the CRC32 differs: ")
    assert missing == f"missing {tmp_path}/c/d {OURS}c/d: it is not at {tmp_path}/c/d"
    assert undecidable.startswith(f"undecidable {tmp_path}/locked {OURS}locked: it cannot be looked at: ")
    *summary, why, where = untimed(errors).splitlines()
    assert summary == [
        "verify: 1 equal, 1 different, 1 missing, 1 undecidable; 2 B read in T",
        "  checked: 1 by computed-checksum",
        "  not equal: 1, different by computed-checksum",
        f"    {tmp_path}/a",
        "  not equal: 1, missing",
        f"    {tmp_path}/c/d",
    ]
    assert why.startswith("  not equal: 1, undecidable: it cannot be looked at: ")
    assert where == f"    {tmp_path}/locked"


def test_many_that_differ_alike(server: FaultServer) -> None:
    """They have one cause, whatever their digests are: three examples, and where all of them are told."""
    for number in range(5):
        server.store.put("bucket", f"ours/{number}", make_object(b"%d" % number, algorithm="CRC32"))
        server.store.put("bucket", f"theirs/{number}", make_object(b"x", algorithm="CRC32"))
    status, told, errors = verify(server, OURS, THEIRS, "--include", "[0-9]")
    assert (status, len(told.splitlines())) == (1, 5)
    assert untimed(errors).splitlines() == [
        "verify: 0 equal, 5 different, 0 missing, 0 undecidable; T",
        "  not equal: 5, different by stored-checksum",
        *(f"    {OURS}{number}" for number in range(3)),
        "    and 2 more",
        "  the same command with --json tells of each of them",
    ]
    assert json.loads(verify(server, OURS, THEIRS, "--json")[1].splitlines()[-1])["failed_causes"] == {
        "different by stored-checksum": 5
    }


def test_one_name(server: FaultServer) -> None:
    """One pair has its line, equal or not, and no summary; --quiet tells what is not equal alone."""
    assert verify(server, f"{OURS}a", f"{THEIRS}a") == (0, f"equal {OURS}a {THEIRS}a (stored-checksum)\n", "")
    status, told, errors = verify(server, f"{OURS}a", f"{THEIRS}b")
    assert (status, told.split()[0], len(told.splitlines()), errors) == (1, "different", 1, "")
    assert verify(server, OURS, THEIRS, "--quiet", "--all") == (0, "", "")
    server.store.put("bucket", "ours/a", make_object(b"x", algorithm="CRC32"))
    status, told, errors = verify(server, OURS, THEIRS, "--quiet")
    assert (status, [line.split()[0] for line in told.splitlines()], errors) == (1, ["different"], "")


def test_lines_of_json(server: FaultServer, tmp_path: Path) -> None:
    """A line a name, with what both sides told, and a summary that adds up."""
    (tmp_path / "a").write_bytes(b"A")
    status, told, _ = verify(server, OURS, tmp_path, "--json", "--exclude", "b")
    first, second, total = lines(told)
    assert status == 1
    assert list(first) == [
        *("type", "operation", "success", "key", "a", "b", "verdict", "evidence", "size", "read_bytes", "seconds"),
        *("reason", "facts_a", "facts_b"),
    ]
    assert (first["key"], first["verdict"], first["evidence"]) == ("a", "different", "computed-checksum")
    assert first["facts_a"]["checksum"]["algorithm"] == "CRC32"
    assert first["facts_b"]["digests"].keys() == {"CRC32"}
    assert (second["verdict"], second["missing"], second["success"]) == ("missing", f"{tmp_path}/c/d", False)
    assert {name: value for name, value in total.items() if name != "seconds"} == {
        "type": "summary",
        "operation": "summary",
        "success": False,
        "compared": 2,
        "equal": 0,
        "different": 1,
        "missing": 1,
        "undecidable": 0,
        "evidence": {"computed-checksum": 1},
        "read_bytes": 1,
        "failed_causes": {"different by computed-checksum": 1, "missing": 1},
    }


def test_a_file_that_is_not_readable(server: FaultServer, tmp_path: Path) -> None:
    """What cannot be looked at is undecidable, and no success."""
    (tmp_path / "loop").symlink_to("loop")
    status, told, _ = verify(server, tmp_path / "loop", f"{OURS}a", "--json")
    assert (status, lines(told)[0]["verdict"]) == (1, "undecidable")


def test_certificates(server: FaultServer, tmp_path: Path) -> None:
    """Written, checked again, sampled with a seed that is told, and refused when changed."""
    path = tmp_path / "certificate"
    status, told, _ = verify(server, OURS, THEIRS, "--certificate", path, "--json")
    root = json.loads(path.read_bytes().splitlines()[-1])["root"]
    total = lines(told)[-1]
    assert (status, total["root"], total["certificate_written"]) == (0, root, True)
    status, told, errors = verify(server, "--against", path, OURS)
    assert (status, told) == (0, f"verify: the certificate's root is {root}\n")
    assert errors.startswith("verify: 3 equal, 0 different, 0 missing, 0 undecidable; ")
    seeded = verify(server, "--against", path, "--sample", "2", "--seed", "7", OURS)[1]
    assert seeded == f"verify: a sample, with --seed 7\nverify: the certificate's root is {root}\n"
    status, told, _ = verify(server, "--against", path, "--sample", "2", "--json", THEIRS)
    *rows, total = lines(told)
    assert (status, len(rows)) == (0, 2)
    seed = str(total["seed"])
    again = lines(verify(server, "--against", path, "--sample", "2", "--seed", seed, "--json", THEIRS)[1])
    assert [row["key"] for row in again[:-1]] == [row["key"] for row in rows]
    status, told, errors = verify(server, "--against", tmp_path / "none", "--sample", "2", OURS)
    assert (status, told, errors.count("\n")) == (1, "", 1)
    server.store.put("bucket", "ours/a", make_object(b"x", algorithm="CRC32"))
    status, told, errors = verify(server, "--against", path, "--sample", "3", "--seed", "7", "--quiet", OURS)
    *different, seed, told_root = told.splitlines()
    assert (status, [line.split()[0] for line in different], errors) == (1, ["different"], "")
    assert [seed, told_root] == ["verify: a sample, with --seed 7", f"verify: the certificate's root is {root}"]
    assert verify(server, "--against", path, "--sample", "3", "--quiet", THEIRS) == (0, "", "")
    other = tmp_path / "other"
    status, told, errors = verify(server, OURS, THEIRS, "--certificate", other)
    assert (status, other.exists()) == (1, False)
    assert errors.startswith("bulkhaul: no certificate was written: not everything is equal\nverify: 2 equal, ")
    status, told, errors = verify(server, OURS, THEIRS, "--certificate", other, "--json")
    total = lines(told)[-1]
    assert (status, total["certificate_written"], "root" in total, errors) == (1, False, False, "")
    path.write_bytes(path.read_bytes().replace(b'"size":1', b'"size":2', 1))
    status, told, errors = verify(server, "--against", path, THEIRS)
    assert (status, told) == (1, "")
    assert f"{path}:5: the field bytes: the lines before it make 6, and it says 5" in errors


@pytest.mark.parametrize(
    "words",
    [
        (OURS,),
        (OURS, THEIRS, "s3://bucket/more"),
        (OURS, OURS),
        ("--compare", "mtime", OURS, THEIRS),
        ("--compare", "size", "--read", OURS, THEIRS),
        ("--compare", "tags", OURS, "."),
        ("--sample", "3", OURS, THEIRS),
        ("--against", "x", "--seed", "3", OURS),
        ("--against", "x", OURS, THEIRS),
        ("--against", "x", "--include", "a", OURS),
        ("--against", "x", "--source-region", "a", OURS),
    ],
)
def test_command_lines_that_make_no_sense(server: FaultServer, words: tuple[str, ...]) -> None:
    """They are refused with 2, before anything is asked for but what tells one object from a prefix."""
    status, told, errors = verify(server, *words)
    assert (status, told) == (2, ""), errors
    assert errors


def test_nothing_to_compare(server: FaultServer) -> None:
    """It is no success."""
    status, told, errors = verify(server, "s3://bucket/no/", "s3://bucket/none/")
    assert (status, told) == (1, "")
    assert "neither place has anything" in errors


def test_another_endpoint_for_the_first_place(server: FaultServer) -> None:
    """A is asked for where it is."""
    with FaultServer(buckets=["bucket"]) as other:
        other.store.put("bucket", "ours/a", make_object(b"a", algorithm="CRC32"))
        words = (f"{OURS}a", f"{THEIRS}a", "--source-endpoint-url", other.endpoint_url, "-v")
        status, told, _ = verify(server, *words)
        assert (status, told.splitlines()[0]) == (0, f"equal {OURS}a {THEIRS}a (stored-checksum)")
        assert other.requests_for("HeadObject")


def test_an_interruption(server: FaultServer, tmp_path: Path) -> None:
    """Ctrl-C ends it with 130, and leaves no certificate."""
    server.add_fault(Latency(operation="HeadObject", seconds=PATIENCE_S, attempt="every"))
    words = ("verify", OURS, THEIRS, "--certificate", tmp_path / "certificate", "--endpoint-url", server.endpoint_url)
    process = start(*words)
    while not server.requests_for("HeadObject"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, told) == (130, "")
    assert errors.startswith("bulkhaul: interrupted by SIGINT; 3 planned objects not confirmed; no certificate was ")
    assert "verify: 0 equal, 0 different, 0 missing, 0 undecidable, 3 not compared; " in errors
    assert list(tmp_path.iterdir()) == []
