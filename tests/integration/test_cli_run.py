"""``bulkhaul run``: files of commands, on a real server and on one that fails."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, ReplaceObject, Stall, Status, StoredObject, make_object
from tests.integration.command import LIMIT_S, arguments, environment, problems, run, start, stream
from tests.patience import PATIENCE_S, SOON_S
from tests.servers.process import RunningServer
from tests.servers.weed import weed

LOGS = {f"logs/2020/03/{name}": name.encode() for name in ("18/file1.gz", "19/file2.gz", "19/originals/file3.gz")}


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """One SeaweedFS for the module."""
    with weed() as server:
        yield server


@pytest.fixture
def bucket(seaweed: RunningServer, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own, with some logs."""
    name: str = request.node.name.replace("_", "-").lower()[:40].rstrip("-")
    client = seaweed.client()
    client.create_bucket(Bucket=name)
    for key, body in LOGS.items():
        client.put_object(Bucket=name, Key=key, Body=body)
    return name


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on(server: RunningServer) -> dict[str, str]:
    """Return the variables that name a server and its keys."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_SESSION_TOKEN": "",
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_REGION": "us-east-1",
    }


def in_bucket(server: RunningServer, bucket: str) -> dict[str, bytes]:
    """Return every object of a bucket."""
    client, found = server.client(), {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", []):
            found[one["Key"]] = client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
    return found


def files(below: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(below)): path.read_bytes() for path in below.rglob("*") if path.is_file()}


def told(output: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the lines of ``--json`` output and its summary, which must add up."""
    *found, summary = map(json.loads, output.splitlines())
    assert summary["planned"] == summary["verified"] + summary["failed"] + summary["skipped"]
    assert all("line" in line or line["type"] == "error" for line in found)
    return found, summary


def test_the_example_of_s5cmd(seaweed: RunningServer, bucket: str, folder: Path) -> None:
    """The file that s5cmd's documentation shows does what it says there."""
    seaweed.client().put_object(Bucket=bucket, Key="old/file1.gz", Body=b"old")
    (folder / "commands.txt").write_text(
        f"""
cp s3://{bucket}/logs/2020/03/* logs/2020/03/

# line comments are supported
rm s3://{bucket}/none.gz

# empty lines are OK too like above

# rename an S3 object
mv s3://{bucket}/old/file1.gz s3://{bucket}/old/original/file.gz

# list all buckets
ls # inline comments are OK too
"""
    )
    done = run("run", "commands.txt", variables=on(seaweed))
    assert (done.returncode, problems(done.stderr)) == (0, "")
    assert files(folder / "logs/2020/03") == {key.removeprefix("logs/2020/03/"): body for key, body in LOGS.items()}
    assert in_bucket(seaweed, bucket) == LOGS | {"old/original/file.gz": b"old"}
    assert any(line.endswith(f" {bucket}") for line in done.stdout.splitlines())
    assert f"mv s3://{bucket}/old/file1.gz s3://{bucket}/old/original/file.gz\n" in done.stdout


def test_two_thousand_lines(seaweed: RunningServer, bucket: str, folder: Path) -> None:
    """Lines of every kind, from one file: each is told once, with its number, and all of it is done."""
    (folder / "up").mkdir()
    lines = []
    for number in range(500):
        (folder / f"up/{number}").write_bytes(b"%d" % number)
        lines += [
            f"cp up/{number} s3://{bucket}/a/{number}",
            f"# number {number}",
            f'cp --storage-class STANDARD "up/{number}" s3://{bucket}/b/' if number % 50 == 0 else "",
            f"rm s3://{bucket}/never/{number}",
        ]
    (folder / "first.txt").write_text("\r\n".join(lines))
    done = run("run", "--json", "first.txt", variables=on(seaweed))
    assert (done.returncode, problems(done.stderr)) == (0, "")
    found, summary = told(done.stdout)
    assert sorted(line["line"] for line in found) == [n for n, line in enumerate(lines, 1) if line and line[0] != "#"]
    assert summary["verified"] == 1010
    bodies = {f"a/{number}": b"%d" % number for number in range(500)}
    bodies |= {f"b/{number}": b"%d" % number for number in range(0, 500, 50)}
    assert in_bucket(seaweed, bucket) == LOGS | bodies

    lines = []
    for number in range(500):
        lines += [
            f"cp s3://{bucket}/a/{number} down/{number % 7}/{number}",
            f"cp s3://{bucket}/a/{number} s3://{bucket}/c/",
            f"mv up/{number} s3://{bucket}/d/{number}",
            f"s5cmd cp 's3://{bucket}/a/{number}' {folder}/quoted" if number % 100 == 0 else "",
        ]
    (folder / "second.txt").write_text("\n".join(lines))
    (folder / "quoted").mkdir()
    done = run("run", "--json", "second.txt", variables=on(seaweed))
    assert (done.returncode, problems(done.stderr)) == (0, "")
    found, summary = told(done.stdout)
    assert sorted(line["line"] for line in found) == [n for n, line in enumerate(lines, 1) if line]
    assert {line["operation"] for line in found} == {"cp", "mv"}
    assert files(folder / "down") == {f"{number % 7}/{number}": b"%d" % number for number in range(500)}
    assert files(folder / "quoted") == {f"{number}": b"%d" % number for number in range(0, 500, 100)}
    assert files(folder / "up") == {}
    bodies |= {f"{to}/{number}": b"%d" % number for number in range(500) for to in "cd"}
    assert in_bucket(seaweed, bucket) == LOGS | bodies


def test_lines_that_fail_stop_no_other(seaweed: RunningServer, bucket: str, folder: Path) -> None:
    """Each failure names file and line, is counted, and makes the exit code 1; what can be done is done."""
    (folder / "bad.txt").write_text(
        f"cp s3://{bucket}/none here\n"
        f"cp --ignore-glacier-warnings 's3://{bucket}/logs/*' flat/\n"
        f"cp 's3://{bucket}/logs\n"
        "select x\n"
        f"cp missing s3://{bucket}/missing\n"
        f"cp 's3://{bucket}/nothing/*' there/\n"
        f"ls s3://{bucket}/nothing/\n"
        f"cp s3://{bucket}/logs/2020/03/18/file1.gz new/folder/\n"
    )
    done = run("run", "bad.txt", variables=on(seaweed))
    assert done.returncode == 1
    assert {line.split(":")[3] for line in problems(done.stderr).splitlines()} == set("1234567")
    assert all(line.startswith("bulkhaul: error: bad.txt:") for line in problems(done.stderr).splitlines())
    assert files(folder / "new") == {"folder/file1.gz": b"18/file1.gz"}
    done = run("run", "--json", "bad.txt", variables=on(seaweed))
    found, summary = told(done.stdout)
    assert (summary["failed"], summary["verified"], summary["success"]) == (7, 1, False)
    failed = {line["line"]: line["error"]["code"] for line in found if not line["success"]}
    usage = dict.fromkeys((2, 3), "UsageError")
    assert failed == usage | {1: "NotFound", 4: "Unsupported", 5: "LocalError", 6: "NotFound", 7: "NotFound"}


def test_a_line_that_holds_nul(seaweed: RunningServer, bucket: str, folder: Path) -> None:
    """No path and no argument can hold it: such a line is refused, whatever it asks for, and the others are run."""
    one = f"s3://{bucket}/logs/2020/03/18/file1.gz"
    lines = [f'cp {one} "x\0y/z"', f"cp {one} a\0/b", f"ls s3://{bucket}/\0", "cp '\0*' s3://b/", f"cp {one} here"]
    (folder / "commands.txt").write_text("\n".join(lines))
    done = run("run", "commands.txt", variables=on(seaweed))
    assert done.returncode == 1
    assert [line.split(":")[3] for line in problems(done.stderr).splitlines()] == ["1", "2", "3", "4"]
    assert problems(done.stderr).count("NUL") == 4
    assert "    commands.txt:3\n    and 1 more\n" in done.stderr
    assert (folder / "here").read_bytes() == b"18/file1.gz"


def test_no_secret_is_told(folder: Path) -> None:
    """What stands in a line that makes no sense may be a key, and is not repeated."""
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0czE="
    (folder / "commands.txt").write_text(
        f"AWS_SECRET_ACCESS_KEY={secret} s5cmd cp s3://b/k .\n"
        f"cp --sse-c-key {secret} s3://b/k .\n"
        f"cp --sse-c-key {secret}= s3://b/k .\n"
        f"cp --sse-c-key '{secret} s3://b/k .\n"
        f"cp --secret={secret} s3://b/k .\n"
    )
    done = run("run", "--json", "commands.txt")
    assert done.returncode == 1
    assert told(done.stdout)[1]["failed"] == 5
    assert secret not in done.stdout + done.stderr


def test_dry_run(seaweed: RunningServer, bucket: str, folder: Path) -> None:
    """It says what each line would do, and does none of it."""
    (folder / "f").write_bytes(b"x")
    (folder / "commands.txt").write_text(
        f"cp s3://{bucket}/logs/2020/03/18/file1.gz new/\ncp s3://{bucket}/logs/* all/\nmv f s3://{bucket}/f\n"
        f"rm s3://{bucket}/logs/*\nrm s3://{bucket}/logs/2020/03/18/file1.gz\ncp f s3://{bucket}/g\n"
    )
    done = run("run", "--dry-run", "commands.txt", variables=on(seaweed))
    assert (done.returncode, problems(done.stderr)) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(
        [
            f"(dry run) cp s3://{bucket}/logs/2020/03/18/file1.gz new/file1.gz",
            *(f"(dry run) cp s3://{bucket}/{key} all/{key.removeprefix('logs/')}" for key in LOGS),
            f"(dry run) mv f s3://{bucket}/f",
            *(f"(dry run) rm s3://{bucket}/{key}" for key in LOGS),
            f"(dry run) rm s3://{bucket}/logs/2020/03/18/file1.gz",
            f"(dry run) cp f s3://{bucket}/g",
        ]
    )
    assert in_bucket(seaweed, bucket) == LOGS
    assert set(files(folder)) == {"f", "commands.txt"}


def test_lines_of_a_pipe_are_begun_at_once(folder: Path) -> None:
    """A line is done while the program at the other end of the pipe still thinks about the next one."""
    with FaultServer({f"bucket/{n}": make_object(b"x") for n in range(3)}) as server:
        process = subprocess.Popen(
            arguments("run", "--endpoint-url", server.endpoint_url, "-"),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for number, line in enumerate(["cp s3://bucket/0 .", "cp --raw s3://bucket/1 .", "rm s3://bucket/2"]):
                process.stdin.write(line + "\n")
                process.stdin.flush()
                assert process.stdout.readline().split()[1] == f"s3://bucket/{number}"
            _, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.communicate()
    assert (process.returncode, problems(err)) == (0, "")
    assert set(files(folder)) == {"0", "1"}


MANY = 60


def fetched(server: FaultServer, folder: Path) -> dict[str, int]:
    """Fetch many objects by lines; return how many requests of each operation that took."""
    (folder / "commands.txt").write_text("".join(f"cp s3://bucket/p/{n:02} out/{n}\n" for n in range(MANY)))
    done = run("run", "--json", "--endpoint-url", server.endpoint_url, "commands.txt")
    assert (done.returncode, problems(done.stderr)) == (0, "")
    assert told(done.stdout)[1]["verified"] == MANY
    return {name: len(server.requests_for(name)) for name in ("ListObjectsV2", "HeadObject", "GetObject")}


def test_lines_made_from_a_listing_cost_what_the_listing_does(folder: Path) -> None:
    """One page of a listing tells of all lines, and each object is asked for once."""
    with FaultServer({f"bucket/p/{n:02}": make_object(b"%d" % n) for n in range(MANY)}) as server:
        asked = fetched(server, folder)
    assert asked == {"ListObjectsV2": 1, "HeadObject": 0, "GetObject": MANY}
    assert files(folder / "out") == {f"{n}": b"%d" % n for n in range(MANY)}


def test_lines_need_no_right_to_list(folder: Path) -> None:
    """Where listings are refused, each object is looked at by itself."""
    denied = Status(operation="ListObjectsV2", status=403, code="AccessDenied", attempt="every")
    with FaultServer({f"bucket/p/{n:02}": make_object(b"%d" % n) for n in range(MANY)}, [denied]) as server:
        asked = fetched(server, folder)
    assert (asked["HeadObject"], asked["GetObject"]) == (MANY, MANY)
    assert files(folder / "out") == {f"{n}": b"%d" % n for n in range(MANY)}


def test_an_object_that_is_replaced_after_it_was_listed(folder: Path) -> None:
    """A line means the object that is there: the new one is fetched."""
    swap = ReplaceObject(replacement=b"new", key="p/07")
    with FaultServer({f"bucket/p/{n:02}": make_object(b"%d" % n) for n in range(MANY)}, [swap]) as server:
        fetched(server, folder)
    assert files(folder / "out") == {f"{n}": b"%d" % n for n in range(MANY)} | {"7": b"new"}


def test_stdin_without_a_name(seaweed: RunningServer, bucket: str) -> None:
    """Without FILE the commands come from stdin, and errors say so."""
    done = stream("run", given=f"ls s3://{bucket}/\nfoo\n".encode(), variables=on(seaweed))
    assert done.returncode == 1
    assert b"PRE logs/" in done.stdout
    assert done.stderr.startswith(b"bulkhaul: error: stdin:2: 'foo' is no command")


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_a_file_that_cannot_be_read(name: str) -> None:
    """It is the command line that is wrong."""
    done = run("run", name)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert done.stdout == ""


def test_an_empty_file(folder: Path) -> None:
    """There is nothing to do, and it is done."""
    (folder / "empty.txt").write_text("# nothing\n\n")
    done = run("run", "--json", "empty.txt")
    assert done.returncode == 0
    assert told(done.stdout)[1]["planned"] == 0


@pytest.mark.parametrize("line", ["cp s3://bucket/{} {}", "cp --raw s3://bucket/{} {}"], ids=["rows", "lines"])
def test_interrupted(folder: Path, line: str) -> None:
    """Ctrl-C ends it soon, tells what has ended, counts the rest, and leaves no temp file."""
    stuck: dict[str, bytes | StoredObject] = {f"bucket/{number}": make_object(b"x" * 1000) for number in range(20)}
    with FaultServer(stuck, [Stall(after_bytes=100, attempt="every", key="7")]) as server:
        (folder / "commands.txt").write_text("".join(line.format(number, number) + "\n" for number in range(20)))
        process = start("run", "--json", "--endpoint-url", server.endpoint_url, "commands.txt")
        try:
            server.wait_for(lambda it: len(it.requests_for("GetObject")) >= 20)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=SOON_S)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 130
    found, summary = told(out)
    assert found[-1]["error"]["message"].startswith("interrupted by SIGINT")
    assert summary["planned"] == 20
    assert {line["destination"] for line in found if line["success"]} == set(files(folder)) - {"commands.txt"}


def test_interrupted_while_it_waits_for_lines() -> None:
    """Ctrl-C also ends a run whose next line never comes."""
    with FaultServer({"bucket/k": make_object(b"x")}) as server:
        process = subprocess.Popen(
            arguments("run", "--endpoint-url", server.endpoint_url),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"cp s3://bucket/k .\n")
            process.stdin.flush()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT_S)
            err = process.stderr.read() if process.stderr else b""
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 130
    assert b"interrupted by SIGINT" in err
