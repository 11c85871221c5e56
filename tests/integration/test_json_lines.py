"""Lines of JSON, by one rule for all commands: each says what it tells of, nothing is told twice, stderr is empty."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from bulkhaul.cli.group import cli
from bulkhaul.cli.lines import Kind
from tests.faultserver import FaultServer, Latency
from tests.integration.command import run, start
from tests.patience import PATIENCE_S
from tests.servers import RunningServer, moto

BENCHED = "s3://bucket/benched/"

OP_LOG = (
    "idx\tthread\top\tclient_id\tn_objects\tbytes\tendpoint\tfile\terror\tstart\tfirst_byte\tend\tduration_ns\n"
    "0\t0\tPUT\tc\t1\t9\thttp://h\tk\t\t2026-01-01T00:00:00Z\t\t2026-01-01T00:00:00.1Z\t100000000\n"
)
"""An op-log of one PUT."""

AWAY = ("--endpoint-url", "http://127.0.0.1:1", "--retry-for", "0")
"""An endpoint where nobody listens."""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server with a few objects, and a second version of one of them."""
    with moto() as running:
        client = running.client()
        for bucket in ("bucket", "versions", "empty"):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        for key in ("p/a", "p/b/c", "q/a", "q/b/c", "one", "mine"):
            client.put_object(Bucket="bucket", Key=key, Body=b"body")
        client.put_object(Bucket="versions", Key="k", Body=b"old")
        client.delete_object(Bucket="versions", Key="k")
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in, with what they name."""
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "x").write_bytes(b"x")
    (tmp_path / "up" / "y").write_bytes(b"y")
    (tmp_path / "lines").write_text("cp s3://bucket/one got\nls s3://bucket/p/\ndu s3://bucket/p/\n")
    (tmp_path / "line").write_text("ls s3://bucket/p/\n")
    (tmp_path / "ops.csv").write_text(OP_LOG)
    (tmp_path / "bad").write_text("cp s3://bucket/one\nhead s3://bucket/one\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    return tmp_path


def told(*words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run a command with ``--json``: (exit code, its lines, stderr)."""
    done = run(*words, variables={"AWS_SESSION_TOKEN": ""})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        assert next(iter(line)) == "type"
        assert line["type"] in get_args(Kind)
        assert ("error" in line) <= (line.get("success") is False)
    return done.returncode, lines, done.stderr


JOB = "job create --json job s3://bucket/p/ out"
SUCCESSES = {
    "cp --json -r s3://bucket/p/ out": ["object", "object", "summary"],
    "mv --json up/x s3://bucket/moved/": ["object", "summary"],
    "sync --json up s3://bucket/synced/": ["object", "object", "summary"],
    "sync --json --explain x up s3://bucket/synced/": ["explanation"],
    "rm --json s3://bucket/mine": ["object", "summary"],
    "pipe --json s3://bucket/piped": ["object", "summary"],
    "verify --json s3://bucket/p/ s3://bucket/q/": ["object", "object", "summary"],
    "ls --json": ["bucket", "bucket", "bucket"],
    "ls --json s3://bucket/p/": ["prefix", "object"],
    "ls --json -r --summarize s3://bucket/p/": ["object", "object", "summary"],
    "ls --json --all-versions s3://versions": ["delete_marker", "version"],
    "du --json s3://bucket/p/": ["summary"],
    "du --json --group s3://bucket/p/": ["storage_class", "summary"],
    "head --json s3://bucket/one": ["object"],
    "head --json s3://bucket": ["bucket"],
    "tags --json get s3://bucket/one": ["object"],
    "tags --json set s3://bucket/one a=b": ["object"],
    "presign --json s3://bucket/one": ["url"],
    "mb --json s3://made": ["bucket"],
    "rb --json s3://empty": ["bucket"],
    "cleanup --json --older-than 1d s3://bucket": ["summary"],
    JOB: ["job"],
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", SUCCESSES)
def test_what_is_told(server: RunningServer, words: str) -> None:
    """Every line says what it tells of, and stderr nothing at all."""
    status, lines, errors = told(*words.split(), "--endpoint-url", server.endpoint_url)
    assert (status, sorted(line["type"] for line in lines), errors) == (0, sorted(SUCCESSES[words]), "")
    assert all(line["type"] != "summary" for line in lines[:-1])


def test_keys_alone(server: RunningServer) -> None:
    """A listing names keys and nothing else, and of a transfer a program takes the objects."""
    _, lines, _ = told("ls", "--json", "-r", "s3://bucket/p/", "--endpoint-url", server.endpoint_url)
    assert [line["key"] for line in lines] == ["p/a", "p/b/c"]
    _, lines, _ = told("rm", "--json", "--dry-run", "-r", "s3://bucket/p/", "--endpoint-url", server.endpoint_url)
    assert sorted(line["object"]["key"] for line in lines if line["type"] == "object") == ["p/a", "p/b/c"]


def test_checks_of_doctor(server: RunningServer) -> None:
    """Each is a line of its own, and the totals are the last one."""
    _, lines, errors = told("doctor", "--json", "s3://bucket", "--endpoint-url", server.endpoint_url)
    assert ({line["type"] for line in lines[:-1]}, lines[-1]["type"], errors) == ({"check"}, "summary", "")


def test_bytes_on_stdout(server: RunningServer) -> None:
    """Where stdout has the bytes of objects, the lines are on stderr."""
    endpoint = ("--endpoint-url", server.endpoint_url)
    for words, status, kind, body in (
        ("cat --json s3://bucket/one", 0, "object", "body"),
        ("cat --json s3://bucket/none", 1, "error", ""),
        ("cp --json s3://bucket/one -", 0, "object", "body"),
        ("cp --json s3://bucket/none -", 1, "error", ""),
    ):
        done = run(*words.split(), *endpoint, variables={"AWS_SESSION_TOKEN": ""})
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert (done.returncode, [line["type"] for line in lines]) == (status, [kind, "summary"])
        assert (done.stdout, "error" in lines[0]) == (body, status == 1)


@pytest.mark.usefixtures("folder")
def test_a_file_of_commands(server: RunningServer) -> None:
    """Its lines tell what their commands tell, with their number; the totals of all are the last line, without one."""
    status, lines, errors = told("run", "--json", "lines", "--endpoint-url", server.endpoint_url)
    assert (status, errors, lines[-1]["type"], "line" in lines[-1]) == (0, "", "summary", False)
    found = sorted((line["line"], line["type"]) for line in lines[:-1])
    assert found == [(1, "object"), (2, "object"), (2, "prefix"), (3, "summary")]
    status, lines, errors = told("run", "--json", "bad", "--endpoint-url", server.endpoint_url)
    assert (status, errors) == (1, "")
    assert [(line["line"], line["type"]) for line in lines if "error" in line] == [(1, "error")]


def test_a_job(server: RunningServer, folder: Path) -> None:
    """Its run tells of objects, and why it is no success in the summary."""
    endpoint = ("--endpoint-url", server.endpoint_url)
    assert told(*JOB.split(), *endpoint)[0] == 0
    (folder / "out" / "p").mkdir(parents=True)
    (folder / "out" / "b").write_bytes(b"in the way")
    status, lines, errors = told("job", "run", "--json", "job", *endpoint)
    assert (status, errors) == (1, "")
    assert [(line["type"], "error" in line) for line in sorted(lines, key=lambda one: "error" in one)] == [
        ("object", False),
        ("summary", False),
        ("object", True),
    ]
    assert "1 object failed" in lines[-1]["unfinished"]
    status, (line,), errors = told("job", "status", "--json", "job", *endpoint)
    assert (status, line["type"], line["failed"], errors) == (0, "job", 1, "")


@pytest.mark.usefixtures("folder")
def test_benchmarks(server: RunningServer) -> None:
    """Each tells its seconds and runs, and the totals at the end; a comparison a line for each result but the first."""
    endpoint = ("--endpoint-url", server.endpoint_url)
    small = "--size 1KiB --objects 4 --concurrency 2"
    for words, kinds in (
        (f"bench run --json get {BENCHED} {small} --duration 1 --out one", {"window", "run"}),
        (f"bench run --json put {BENCHED} {small} --duration 1 --out other", {"window", "run"}),
        (f"bench replay --json ops.csv {BENCHED} --out again", {"window", "run"}),
        (f"bench prepare --json {BENCHED} {small}", set()),
        (f"bench clean --json {BENCHED}", set()),
        (f"bench clean --json --all {BENCHED}", set()),
    ):
        status, lines, errors = told(*words.split(), *endpoint)
        assert (status in (0, 3), {line["type"] for line in lines[:-1]}, lines[-1]["type"], errors) == (
            True,
            kinds,
            "summary",
            "",
        )
    status, (line,), errors = told("bench", "compare", "--json", "one", "one")
    assert (status, line["type"], line["other"], errors) == (0, "comparison", "one", "")
    status, (line,), errors = told("bench", "compare", "--json", "one", "none")
    assert (status, line["type"], line["error"]["code"], errors) == (1, "error", "LocalError", "")


FAILURES = [
    "cp --json s3://bucket/one out",
    "cp --json -r s3://bucket/p/ out",
    "mv --json up/x s3://bucket/x",
    "sync --json up s3://bucket/synced/",
    "sync --json --explain x up s3://bucket/synced/",
    "rm --json -r s3://bucket/p/",
    "pipe --json s3://bucket/piped",
    "run --json line",
    "verify --json s3://bucket/p/ s3://bucket/q/",
    "ls --json s3://bucket/p/",
    "du --json s3://bucket/p/",
    "head --json s3://bucket/one",
    "tags --json get s3://bucket/one",
    "mb --json s3://made",
    "rb --json s3://empty",
    "cleanup --json --older-than 1d s3://bucket",
    JOB,
    "job status --json none",
    "job run --json none",
    f"bench run --json get {BENCHED} --out result",
    f"bench prepare --json {BENCHED}",
    f"bench clean --json {BENCHED}",
    f"bench tune --json {BENCHED}",
    f"bench replay --json ops.csv {BENCHED} --out result",
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", FAILURES)
def test_a_failure_is_told_once(words: str) -> None:
    """On stdout, as a line of JSON; stderr has nothing."""
    status, lines, errors = told(*words.split(), *AWAY)
    (failed,) = [line for line in lines if "error" in line]
    assert (status, failed["type"], failed["success"], errors) == (1, "error", False, "")
    assert failed["error"].keys() == {"code", "message"}
    assert [line["type"] for line in lines if line is not failed] in ([], ["summary"])


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "done"),
    [
        ("rm --json s3://bucket/none* s3://bucket/none", 1),
        ("rm --json -r s3://nowhere/p/ s3://bucket/p/ --dry-run", 2),
        ("rm --json s3://nowhere/one", 0),
        ("cp --json -r s3://bucket/none/ s3://bucket/p/ out/", 2),
    ],
)
def test_a_source_that_fails_as_a_whole(server: RunningServer, words: str, done: int) -> None:
    """It is told as an error, for it is no object; the objects of the other sources are told as such."""
    status, lines, errors = told(*words.split(), "--endpoint-url", server.endpoint_url)
    (failed,) = [line for line in lines if "error" in line]
    assert (status, failed["type"], errors) == (1, "error", "")
    assert [line["type"] for line in lines if line is not failed] == ["object"] * done + ["summary"]


@pytest.mark.usefixtures("folder")
def test_a_source_of_a_line_that_fails_as_a_whole(server: RunningServer) -> None:
    """Likewise of a file of commands."""
    Path("none").write_text("rm s3://bucket/none*\n")
    status, lines, errors = told("run", "--json", "none", "--endpoint-url", server.endpoint_url)
    assert (status, [line["type"] for line in lines], errors) == (1, ["error", "summary"], "")


def test_a_url_that_cannot_be_signed() -> None:
    """Likewise: nobody is asked, but credentials are missing."""
    no_keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "")
    done = run("presign", "--json", "s3://bucket/one", variables=no_keys)
    line = json.loads(done.stdout)
    assert (done.returncode, line["type"], line["error"]["code"], done.stderr) == (1, "error", "CredentialsError", "")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "operation"),
    [
        ("cp s3://bucket/k out", "HeadObject"),
        ("ls s3://bucket", "ListObjectsV2"),
        ("verify s3://bucket/k s3://bucket/l", "HeadObject"),
    ],
)
def test_an_interruption_is_told_once(words: str, operation: str) -> None:
    """On stdout, as the failure of the command."""
    with FaultServer({"bucket/k": b"1", "bucket/l": b"2"}) as server:
        server.add_fault(Latency(operation=operation, seconds=PATIENCE_S, attempt="every"))
        process = start(*words.split(), "--json", "--endpoint-url", server.endpoint_url)
        while not server.requests:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "")
    (failed,) = [line for line in map(json.loads, out.splitlines()) if line["type"] == "error"]
    assert failed["error"]["code"] == "Cancelled"
    assert failed["error"]["message"].startswith("interrupted by SIGINT")


def test_every_command_is_here() -> None:
    """Each that has ``--json`` is run above in both ways, but for those that fail in their own."""
    benchmarks = {"bench run", "bench replay", "bench prepare", "bench clean", "bench compare"}
    succeeded = {_name(words) for words in SUCCESSES} | {"run", "job run", "job status", "doctor", "cat"} | benchmarks
    failed = {_name(words) for words in FAILURES} | {"presign", "doctor", "cat", "bench compare"}
    succeeded.add("bench tune")  # takes minutes; its lines are looked at in test_tune
    with_json = set(_with_json(cli, ()))
    assert (with_json, with_json) == (succeeded, failed)


def _name(words: str) -> str:
    return words.partition(" --json")[0]


def _with_json(group: click.Group, above: tuple[str, ...]) -> Iterator[str]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _with_json(command, (*above, name))
        elif any(param.name == "as_json" for param in command.params):
            yield " ".join((*above, name))


@pytest.mark.usefixtures("folder")
def test_only_people_are_told_that_the_rest_of_a_folder_stays(server: RunningServer) -> None:
    """By rm of a folder marker, typed and as a line of run; lines of JSON stand alone."""
    endpoint = ("--endpoint-url", server.endpoint_url)
    Path("marker").write_text("rm s3://bucket/none/\n")
    says = "s3://bucket/none/: only the folder marker; what lies below stays, and --recursive deletes it, too"
    for words, place in ((("rm", "s3://bucket/none/"), ""), (("run", "marker"), "marker:1: ")):
        done = run(*words, *endpoint, variables={"AWS_SESSION_TOKEN": ""})
        assert f"bulkhaul: {place}{says}\n" in done.stderr
        status, lines, errors = told(words[0], "--json", *words[1:], *endpoint)
        assert (status, errors, [line["type"] for line in lines]) == (0, "", ["object", "summary"])
