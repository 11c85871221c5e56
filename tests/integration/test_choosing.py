"""``cp`` and ``mv`` with ``-n``, ``-s``, ``-u`` and ``--flatten``: what stays, what is replaced, what is asked."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, Status, make_object
from tests.integration.command import lines, run

OLD = datetime(2020, 1, 1, tzinfo=UTC)
NEW = datetime(2024, 1, 1, tzinfo=UTC)
"""Of objects; files have a time between them, unless a test says otherwise."""

BETWEEN_S = datetime(2022, 1, 1, tzinfo=UTC).timestamp()

RULES = {(): "", ("-n",): "n", ("-s",): "s", ("-u",): "u", ("-n", "-s"): "s", ("-n", "-s", "-u"): "u"}
"""Which of the options decides. Source: s5cmd 2.3, shouldOverride in command/cp.go."""

CASES = {
    "missing": ("", "nsu"),
    "same": ("same size, source older", ""),
    "longer": ("other size, source older", "s"),
    "newer": ("same size, source newer", "u"),
}
"""What each name is, and by which of the rules it is transferred."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server with two buckets; the working folder is the test's own."""
    with FaultServer(buckets=["bucket", "other"]) as running:
        monkeypatch.setenv("BULKHAUL_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.chdir(tmp_path)
        yield running
        assert running.protocol_errors == []


def put(server: FaultServer, bucket: str, key: str, body: bytes, when: datetime) -> None:
    """Store an object that was modified then."""
    server.store.put(bucket, key, replace(make_object(body), last_modified=when))


def write(path: Path, body: bytes, when_s: float = BETWEEN_S) -> None:
    """Write a file that was modified then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (when_s, when_s))


def done(server: FaultServer, *words: str | Path, status: int = 0, operation: str = "cp") -> dict[str, str]:
    """Run a command; return why each source was skipped, empty for those that were not, by their last names."""
    ended = run(operation, "--json", *words, "--endpoint-url", server.endpoint_url)
    assert (ended.returncode, ended.stderr if not status else "") == (status, "")
    told, summary = lines(ended.stdout, operation)
    assert summary["skipped"] == sum("skipped" in line for line in told)
    return {os.path.basename(line["source"]): line.get("skipped", "") for line in told if line["success"]}


def stored(server: FaultServer, bucket: str) -> dict[str, bytes]:
    """Return every object of a bucket."""
    return {key: one.body for key, one in server.store.in_bucket(bucket).items()}


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def moved_by(rule: str) -> set[str]:
    """Return the names that are transferred by a rule."""
    return {name for name, (_, by) in CASES.items() if not rule or rule in by}


def sides(place: Any, source: bool) -> None:
    """Make one side of all cases; ``place`` takes name, body and whether it is the older one of a pair."""
    for name in CASES:
        if source:
            place(name, b"source", name != "newer")
        elif name != "missing":
            place(name, b"source and more" if name == "longer" else b"target", name == "newer")


@pytest.mark.parametrize("options", RULES)
@pytest.mark.parametrize("many", [True, False], ids=["recursive", "one by one"])
def test_downloads(server: FaultServer, tmp_path: Path, options: tuple[str, ...], many: bool) -> None:
    """Objects that have files."""
    sides(lambda name, body, old: put(server, "bucket", f"p/{name}", body, OLD if old else NEW), source=True)
    sides(lambda name, body, old: write(tmp_path / "out" / name, body), source=False)
    (tmp_path / "out").mkdir(exist_ok=True)
    if many:
        told = done(server, *options, "-r", "s3://bucket/p/", "out")
    else:
        told = {}
        for name in CASES:
            told |= done(server, *options, f"s3://bucket/p/{name}", "out/")
    assert {name for name, why in told.items() if not why} == moved_by(RULES[options])
    replaced = {name for name, body in files(tmp_path / "out").items() if body == b"source"}
    assert replaced == moved_by(RULES[options])


@pytest.mark.parametrize("options", RULES)
@pytest.mark.parametrize("many", [True, False], ids=["recursive", "one by one"])
@pytest.mark.parametrize("from_files", [True, False], ids=["uploads", "copies"])
def test_uploads_and_copies(
    server: FaultServer, tmp_path: Path, options: tuple[str, ...], many: bool, from_files: bool
) -> None:
    """Files, and objects, that have objects."""
    if from_files:
        sides(lambda name, body, _: write(tmp_path / "in" / name, body), source=True)
        source = "in"
    else:
        sides(lambda name, body, old: put(server, "bucket", f"p/{name}", body, OLD if old else NEW), source=True)
        source = "s3://bucket/p"
    between = {True: OLD, False: NEW} if from_files else dict.fromkeys((True, False), datetime(2022, 1, 1, tzinfo=UTC))
    sides(lambda name, body, old: put(server, "other", f"q/{name}", body, between[old]), source=False)
    if many:
        told = done(server, *options, "-r", source, "s3://other/q")
    else:
        told = {}
        for name in CASES:
            told |= done(server, *options, f"{source}/{name}", "s3://other/q/")
    assert {name for name, why in told.items() if not why} == moved_by(RULES[options])
    replaced = {key.removeprefix("q/") for key, body in stored(server, "other").items() if body == b"source"}
    assert replaced == moved_by(RULES[options])


def test_moves_keep_what_stays(server: FaultServer, tmp_path: Path) -> None:
    """What is skipped keeps its source, up and down; links go before what they lead to."""
    write(tmp_path / "in/a", b"1")
    write(tmp_path / "in/b", b"2")
    (tmp_path / "in/c").symlink_to("b")
    put(server, "bucket", "p/a", b"there", OLD)
    told = done(server, "-n", "-r", "in", "s3://bucket/p", operation="mv")
    assert told == {"a": "it is at the destination already", "b": "", "c": ""}
    assert sorted(os.listdir(tmp_path / "in")) == ["a"]
    assert stored(server, "bucket") == {"p/a": b"there", "p/b": b"2", "p/c": b"2"}
    write(tmp_path / "out/b", b"old")
    done(server, "-n", "-r", "s3://bucket/p", "out", operation="mv")
    assert stored(server, "bucket") == {"p/b": b"2"}
    assert files(tmp_path / "out") == {"a": b"there", "b": b"old", "c": b"2"}


def test_a_listing_in_place_of_heads(server: FaultServer, tmp_path: Path) -> None:
    """Of many objects the destination is listed; only what that does not tell of is asked for by itself."""
    for number in range(300):
        write(tmp_path / f"in/{number:03}", b"x")
        if number % 2:
            put(server, "bucket", f"p/{number:03}", b"x", NEW)
    before = len(server.requests)
    told = done(server, "-n", "-r", "in", "s3://bucket/p")
    assert {name for name, why in told.items() if why} == {f"{number:03}" for number in range(1, 300, 2)}
    asked = Counter(one.operation for one in server.requests[before:])
    assert asked["HeadObject"] == 150
    assert asked["PutObject"] == 150
    assert asked["ListObjectsV2"] <= 3


def test_a_destination_that_nobody_may_look_at(server: FaultServer, tmp_path: Path) -> None:
    """It is a failure, and nothing is replaced."""
    write(tmp_path / "a", b"new")
    put(server, "bucket", "a", b"old", OLD)
    server.add_fault(Status(operation="HeadObject", status=403, code="AccessDenied", attempt="every"))
    done(server, "-n", "a", "s3://bucket/", status=1)
    assert stored(server, "bucket") == {"a": b"old"}


def test_a_dry_run_tells_what_stays(server: FaultServer, tmp_path: Path) -> None:
    """It asks, and changes nothing."""
    write(tmp_path / "in/a", b"1")
    write(tmp_path / "in/b", b"2")
    put(server, "bucket", "a", b"old", OLD)
    ended = run("cp", "--dry-run", "-n", "-r", "in", "s3://bucket", "--endpoint-url", server.endpoint_url)
    assert ended.returncode == 0
    assert sorted(ended.stdout.splitlines()) == [
        "(dry run) (skipped) cp in/a s3://bucket/a: it is at the destination already",
        "(dry run) cp in/b s3://bucket/b",
    ]
    assert stored(server, "bucket") == {"a": b"old"}


def test_lists(server: FaultServer, tmp_path: Path) -> None:
    """The lines of a list are chosen from as well."""
    write(tmp_path / "in/a", b"1")
    write(tmp_path / "in/b", b"2")
    put(server, "bucket", "a", b"old", OLD)
    (tmp_path / "list").write_text("a\nb\n")
    told = done(server, "-n", "--files-from", "list", "in", "s3://bucket")
    assert told == {"a": "it is at the destination already", "b": ""}
    assert stored(server, "bucket") == {"a": b"old", "b": b"2"}


@pytest.mark.parametrize("command", ["cp", "mv"])
def test_flattened(server: FaultServer, tmp_path: Path, command: str) -> None:
    """Folders go, in every direction."""
    body = {"logs/18/file1.gz": b"1", "logs/19/file2.gz": b"2", "logs/19/originals/file3.gz": b"3"}
    flat = {"file1.gz": b"1", "file2.gz": b"2", "file3.gz": b"3"}
    for key, one in body.items():
        put(server, "bucket", key, one, OLD)
    put(server, "bucket", "logs/empty/", b"", OLD)
    done(server, "--flatten", "s3://bucket/logs/*", "s3://other/c/", operation=command)
    for key, one in body.items():
        put(server, "bucket", key, one, OLD)
    done(server, "-f", "s3://bucket/logs/*.gz", "out", operation=command)
    assert files(tmp_path / "out") == flat
    for key, one in body.items():
        write(tmp_path / "in" / key, one)
    done(server, "--flatten", "-r", "in", "s3://other/u", operation=command)
    assert stored(server, "other") == {f"{place}/{name}": one for place in "cu" for name, one in flat.items()}
    assert bool(files(tmp_path / "in")) == (command == "cp")


def test_two_files_of_one_name(server: FaultServer, tmp_path: Path) -> None:
    """The second one fails, and is not stored over the first."""
    write(tmp_path / "in/a/x", b"1")
    write(tmp_path / "in/b/x", b"2")
    done(server, "--flatten", "-r", "in", "s3://bucket", status=1)
    assert stored(server, "bucket") == {"x": b"1"}


def test_ten_thousand_at_the_destination(server: FaultServer, tmp_path: Path) -> None:
    """What is there beside does not make the lookup long: a few pages, and HEAD for the rest."""
    for number in range(12_000):
        put(server, "bucket", f"{number:05}", b"", OLD)
    for number in range(0, 12_000, 200):
        write(tmp_path / f"in/{number:05}", b"")
    began_s = time.monotonic()
    told = done(server, "-n", "-r", "in", "s3://bucket")
    assert all(told.values())
    assert len(told) == 60
    assert Counter(one.operation for one in server.requests)["ListObjectsV2"] <= 3, time.monotonic() - began_s


def test_only_what_has_another_etag_is_replaced(server: FaultServer, tmp_path: Path) -> None:
    """Up, down, between buckets, one and several: what has the ETag stays, and each skip is counted with its reason."""
    for name, theirs in {"same": b"same", "size": b"sizes", "bytes": b"bytez"}.items():
        write(tmp_path / "in" / name, name.encode())
        put(server, "bucket", f"p/{name}", theirs, NEW)
        put(server, "other", f"p/{name}", name.encode(), OLD)
    expected = {"same": "the destination has its ETag", "size": "", "bytes": ""}
    rule = "--if-etag-differ"
    assert done(server, rule, "-r", "s3://bucket/p/", "s3://other/p/") == expected
    assert stored(server, "other") == stored(server, "bucket")
    assert done(server, rule, "-u", "-n", "-r", "in", "s3://bucket/p/") == expected
    names = [f"s3://other/p/{name}" for name in expected]
    assert done(server, rule, *names, "in/") == expected
    assert files(tmp_path / "in")["bytes"] == b"bytez"
    assert done(server, rule, "in/same", "s3://bucket/p/same") == {"same": expected["same"]}


def test_a_key_is_explained(server: FaultServer, tmp_path: Path) -> None:
    """cp, mv and rm say what would become of one key, and by which filter, as a line or as JSON; nothing is done."""
    put(server, "bucket", "p/a.txt", b"a", OLD)
    filters = ("--exclude", "*", "--include", "*.txt", "--endpoint-url", server.endpoint_url)
    which = "--include '*.txt', filter 2 of 2, is the last that matches it"
    ended = run("cp", "-r", "--explain", "a.txt", "s3://bucket/p/", "out", *filters)
    assert (ended.returncode, ended.stdout) == (0, f"a.txt: download (filter: {which})\n")
    ended = run("mv", "-r", "--json", "--explain", "a.txt", "s3://bucket/p/", "s3://other", *filters)
    reason = f"{which}; the source is removed then"
    fields = {
        "type": "explanation",
        "operation": "explain",
        "key": "a.txt",
        "rule": "filter",
        "action": "copy",
        "reason": reason,
    }
    assert json.loads(ended.stdout) == fields
    ended = run("rm", "-r", "--explain", "s3://bucket/p/a.txt", "s3://bucket/p/", *filters)
    assert ended.stdout == f"a.txt: delete (filter: {which})\n"
    assert (stored(server, "bucket"), stored(server, "other"), files(tmp_path)) == ({"p/a.txt": b"a"}, {}, {})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("cp", "--files-from", "keys", "s3://bucket/p/", "out"), "--explain means nothing with --files-from"),
        (("rm", "--files-from", "keys", "s3://bucket/p/"), "--explain means nothing with --files-from"),
        (("cp", "s3://bucket/a", "-"), "--explain means nothing for a download to stdout"),
        (("cp", "-r", "--all-versions", "s3://bucket/p/", "s3://other/"), "leave --explain out"),
        (("cp", "-r", "--symlinks", "store", "in", "s3://bucket/"), "leave --symlinks store out"),
    ],
)
def test_what_cannot_be_explained(words: tuple[str, ...], why: str) -> None:
    """Where no filter and no rule chooses, or what is stored is not the key, that is said."""
    ended = run(*words, "--explain", "a")
    assert ended.returncode == 2
    assert why in " ".join(ended.stderr.split())
