"""Commands between pipes and servers, and uploads that a signal ends."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines import descendants, eventually, is_alive, waiting_in
from tests.faultserver import MIB, FaultServer, StallReceiving, make_object
from tests.integration.command import arguments, environment, lines, problems, start, stream
from tests.patience import PATIENCE_S, SOON_S
from tests.servers.process import RunningServer
from tests.servers.weed import weed

BODY = random.Random(13).randbytes(20 * MIB)
IN_PARTS = ["--multipart-threshold", "5MiB", "--part-size", "5MiB"]


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """A real server with one bucket."""
    with weed() as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


def credentials(server: RunningServer, state: Path) -> dict[str, str]:
    """Return the variables that reach a real server, with journals kept apart."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": server.region,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "BULKHAUL_STATE_DIR": str(state),
    }


def between_pipes(*words: str, state: Path | None = None) -> subprocess.Popen[bytes]:
    """Start the command with pipes for bytes at all its streams."""
    variables = environment() if state is None else environment(BULKHAUL_STATE_DIR=str(state))
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments(*words), env=variables, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("into_file", [False, True], ids=["pipe", "file"])
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_stdout(tmp_path: Path, name: str, into_file: bool) -> None:
    """The names that systems have for stdout mean ``-``: stdout gets the bytes, and nothing else."""
    with FaultServer(buckets=["bucket"]) as server:
        server.store.put("bucket", "k", make_object(BODY[:100]))
        words = arguments("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/k", name)
        with (tmp_path / "out").open("wb") as file:
            out = file if into_file else subprocess.PIPE
            down = subprocess.run(words, env=environment(), stdout=out, stderr=subprocess.PIPE, timeout=30)
        assert (down.returncode, down.stderr) == (0, b"")
        assert (down.stdout or (tmp_path / "out").read_bytes()) == BODY[:100]


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_names_of_stdin(name: str) -> None:
    """The names that systems have for stdin mean ``-``, as a source, as a list of names and as a file of commands."""
    with FaultServer(buckets=["bucket"]) as server:
        at = ("--endpoint-url", server.endpoint_url)
        assert stream("cp", *at, name, "s3://bucket/up", given=b"x").returncode == 0
        stored = server.store.get("bucket", "up")
        assert stored is not None
        assert stored.body == b"x"
        assert stream("rm", *at, "--files-from", name, "s3://bucket/", given=b"up\n").returncode == 0
        assert server.store.get("bucket", "up") is None
        ran = stream("run", *at, name, given=b"pipe s3://bucket/other\n")
        assert ran.returncode == 1
        assert b"that is the file of commands" in ran.stderr


def test_other_pipes_are_no_files(tmp_path: Path) -> None:
    """A process substitution and a FIFO are refused before a request, and the command to type instead is told."""
    os.mkfifo(fifo := tmp_path / "a fifo")
    with FaultServer(buckets=["bucket"]) as server:
        told = {
            ("cp", "s3://bucket/k", "/dev/fd/63"): "bulkhaul cat s3://bucket/k | COMMAND",
            ("cp", "/dev/fd/63", "s3://bucket/a b"): "COMMAND | bulkhaul pipe 's3://bucket/a b'",
            ("cp", "s3://bucket/k", str(fifo)): f"bulkhaul cat s3://bucket/k > '{fifo}'",
            ("mv", str(fifo), "s3://bucket/k"): f"bulkhaul pipe s3://bucket/k < '{fifo}'",
            ("sync", "s3://bucket/p/", "/dev/fd/63"): "bulkhaul cat s3://bucket/p/ | COMMAND",
        }
        for (command, *places), typed in told.items():
            done = stream(command, "--endpoint-url", server.endpoint_url, *places)
            assert done.returncode == 2
            assert typed in done.stderr.decode()
        assert not server.requests


def test_through_pipes(seaweed: RunningServer, tmp_path: Path) -> None:
    """20 MiB through stdin in parts and back through stdout are the same bytes, and stdout holds nothing else."""
    variables = credentials(seaweed, tmp_path)
    sent = stream("pipe", *IN_PARTS, "s3://bucket/piped", given=BODY, variables=variables)
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, b"pipe - s3://bucket/piped\n", b"")
    client = seaweed.client()
    assert client.head_object(Bucket="bucket", Key="piped")["ContentLength"] == len(BODY)
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")
    got = stream("cp", "s3://bucket/piped", "-", variables=variables)
    assert (got.returncode, got.stderr) == (0, b"")
    assert got.stdout == BODY
    whole = stream("cp", "-", "s3://bucket/whole", given=BODY[: 4 * MIB], variables=variables)
    assert whole.returncode == 0
    assert client.get_object(Bucket="bucket", Key="whole")["Body"].read() == BODY[: 4 * MIB]


def test_files_on_a_real_server(seaweed: RunningServer, tmp_path: Path) -> None:
    """A folder goes up in parts, across, and moves back down, byte for byte; nothing is left there or in journals."""
    variables = credentials(seaweed, tmp_path / "state")
    tree = {"large.bin": BODY[: 11 * MIB], "deep/small.txt": b"s" * 1000, "deep/empty": b"", "sp ace/é+%": b"odd"}
    for name, body in tree.items():
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(body)
    for words in (
        ["cp", *IN_PARTS, "--recursive", str(tmp_path / "up"), "s3://bucket/tree"],
        ["cp", *IN_PARTS, "--recursive", "s3://bucket/tree/", "s3://bucket/copy/"],
        ["mv", "--recursive", "s3://bucket/copy", str(tmp_path / "down")],
    ):
        done = stream(*words, variables=variables)
        assert (done.returncode, problems(done.stderr.decode())) == (0, "")
    for name, body in tree.items():
        assert (tmp_path / "down" / name).read_bytes() == body
    client = seaweed.client()
    listed = client.list_objects_v2(Bucket="bucket", Prefix="tree/")["Contents"]
    assert {one["Key"]: one["Size"] for one in listed} == {f"tree/{name}": len(body) for name, body in tree.items()}
    assert client.list_objects_v2(Bucket="bucket", Prefix="copy/")["KeyCount"] == 0
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")
    assert not [path for path in (tmp_path / "state").rglob("*") if path.is_file()]


def test_reader_that_leaves() -> None:
    """A reader of stdout that has enough ends the command quietly, with 1."""
    with FaultServer({"bucket/key": BODY}) as server:
        with between_pipes("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/key") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(1000) == BODY[:1000]
            process.stdout.close()
            assert process.wait(PATIENCE_S) == 1
            assert process.stderr.read() == b""


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(tmp_path: Path, closed: str) -> None:
    """A stream that is closed from the start is neither a reason to fail nor a place for bytes of something else."""
    with FaultServer({"bucket/key": BODY[:MIB]}) as server:
        words = arguments("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path / "out")
        done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], env=environment(), timeout=PATIENCE_S)
    assert done.returncode == 0
    assert (tmp_path / "out").read_bytes() == BODY[:MIB]


def test_full_disk_behind_stdout() -> None:
    """Bytes that cannot be written are an error of one line, and 1."""
    with FaultServer({"bucket/key": BODY[:MIB]}) as server, open("/dev/full", "wb") as full:
        words = arguments("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/key")
        done = subprocess.run(words, env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert (done.stderr.count(b"\n"), b"cannot be written" in done.stderr) == (1, True)


@pytest.mark.parametrize("words", [["ls", "s3://bucket"], ["cp", "s3://bucket/key", "out"]], ids=["ls", "cp"])
def test_lines_on_a_full_disk(tmp_path: Path, words: list[str]) -> None:
    """Lines that cannot be written are an error of one line, and 1, whatever the command."""
    with FaultServer({"bucket/key": BODY[:MIB]}) as server, open("/dev/full", "wb") as full:
        command = arguments(words[0], "--json", "--endpoint-url", server.endpoint_url, *words[1:])
        done = subprocess.run(
            command, env=environment(), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"bulkhaul: error: the output cannot be written: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", [["ls", "s3://none"], ["cp", "s3://none/key", "out"]], ids=["ls", "cp"])
def test_failure_on_a_full_disk(tmp_path: Path, words: list[str]) -> None:
    """A program whose line of JSON about a failure is lost is told so: lines of JSON are for stdout alone."""
    with FaultServer({"bucket/key": BODY[:MIB]}) as server, open("/dev/full", "wb") as full:
        command = arguments(words[0], "--json", "--endpoint-url", server.endpoint_url, *words[1:])
        done = subprocess.run(
            command, env=environment(), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S
        )
    assert done.returncode == 1
    assert done.stderr == b"bulkhaul: error: the output cannot be written: No space left on device\n"


def test_interrupted_before_a_reader_that_pauses() -> None:
    """Ctrl-C ends cat although nobody reads what it has: soon, with 130, and it says that the output is not whole."""
    with FaultServer({"bucket/key": BODY}) as server:
        process = between_pipes("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/key")
        assert process.stdout is not None
        full_bytes = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        eventually(lambda: waiting_in(process.stdout) == full_bytes, "the pipe is full")
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert time.monotonic() - began_s < SOON_S
        written, err = process.communicate()
        assert len(written) < len(BODY)
        assert b"what was written is not whole" in err


@contextmanager
def uploading(state: Path, *words: str | Path) -> Iterator[tuple[FaultServer, subprocess.Popen[str], list[int]]]:
    """Run a command until the server has stopped reading the parts of its upload: (server, command, its children)."""
    stalled = StallReceiving(operation="UploadPart", after_bytes=1000, attempt="every")
    with FaultServer(faults=[stalled], buckets=["bucket"], receive_buffer_bytes=16 * 1024) as server:
        before = set(descendants())
        options = ["--json", "--workers", "1", *IN_PARTS, "--endpoint-url", server.endpoint_url]
        process = start(*words, *options, variables={"BULKHAUL_STATE_DIR": str(state)})
        try:
            server.wait_for(lambda it: len(it.requests_for("UploadPart")) >= 2)
            yield server, process, sorted(set(descendants()) - before)
        finally:
            process.kill()
            process.communicate()


def journals(state: Path) -> list[str]:
    """Return the files in a folder of journals."""
    return [name for _, _, names in os.walk(state) for name in names]


@pytest.mark.parametrize("command", ["cp", "mv"])
def test_interrupted_upload(tmp_path: Path, command: str) -> None:
    """One Ctrl-C: within 2 s the upload is aborted on the server, its journal gone, the file kept, and the code 130."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    with uploading(tmp_path / "state", command, path, "s3://bucket/key") as (server, process, children):
        assert server.store.uploads.pending("bucket")
        assert journals(tmp_path / "state")
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        seconds = time.monotonic() - began_s
        eventually(lambda: not [pid for pid in children if is_alive(pid)], "all its processes are gone")
        assert server.store.uploads.pending("bucket") == []
        assert server.store.in_bucket("bucket") == {}
    assert process.returncode == 130
    assert seconds < SOON_S
    assert journals(tmp_path / "state") == []
    assert path.read_bytes() == BODY
    (interrupted,), summary = lines(out, command)
    assert (summary["success"], summary["planned"], summary["failed"]) == (False, 1, 1)
    assert interrupted["error"]["code"] == "Cancelled"
    assert "SIGINT; 1 planned object not confirmed; no partial object was made" in interrupted["error"]["message"]
    assert err == ""


def test_interrupted_twice(tmp_path: Path) -> None:
    """The second signal leaves at once, with all its processes; what is left of the upload is in its journal."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    with uploading(tmp_path / "state", "cp", path, "s3://bucket/key") as (server, process, children):
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # a second SIGINT would be one with the first until that is heard
        assert process.wait(PATIENCE_S) == 130
        assert time.monotonic() - began_s < SOON_S
        out, _ = process.communicate()
        assert out == "", "it took the time to report"
        eventually(lambda: not [pid for pid in children if is_alive(pid)], "all its processes are gone")
        pending = server.store.uploads.pending("bucket")
        assert server.store.in_bucket("bucket") == {}
    assert not pending or journals(tmp_path / "state")


def test_interrupted_while_stdin_waits(tmp_path: Path) -> None:
    """Ctrl-C while nothing comes from stdin: nothing is stored, not even what had come."""
    with FaultServer({"bucket/other": make_object(b"o")}) as server:
        process = between_pipes("pipe", "--endpoint-url", server.endpoint_url, "s3://bucket/key", state=tmp_path)
        assert process.stdin is not None
        process.stdin.write(BODY[:MIB])
        process.stdin.flush()
        eventually(lambda: waiting_in(process.stdin) == 0, "all is taken")
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert time.monotonic() - began_s < SOON_S
        process.communicate()
        assert set(server.store.in_bucket("bucket")) == {"other"}
        assert journals(tmp_path) == []
        assert server.store.uploads.pending("bucket") == []


def test_interrupted_with_the_whole_pipeline(tmp_path: Path) -> None:
    """Ctrl-C that ends the program before us too: the end of its output is not taken for all that it had to say."""
    with FaultServer(buckets=["bucket"]) as server:
        words = ["pipe", *IN_PARTS, "--workers", "1", "--endpoint-url", server.endpoint_url, "s3://bucket/key"]
        process = between_pipes(*words, state=tmp_path)
        assert process.stdin is not None
        process.stdin.write(BODY[: 5 * MIB + 1])
        process.stdin.flush()
        server.wait_for(lambda it: any(one.status for one in it.requests_for("UploadPart")))
        process.send_signal(signal.SIGSTOP)  # it hears of both at once
        process.stdin.close()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE_S) == 130
        process.stdin = None
        process.communicate()
        assert server.store.in_bucket("bucket") == {}
        assert server.store.uploads.pending("bucket") == []
    assert journals(tmp_path) == []
