"""ls, du, head, rm and presign as users run them: processes, lines, exit codes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import FaultServer, RefuseDelete, Status, hang_before_head, make_object
from tests.integration.command import LIMIT_S, arguments, environment, run
from tests.patience import PATIENCE_S
from tests.servers.moto import moto

HOSTILE = "h/\x1b[2J\nb & <c>+%41\u202eé"
BUNDLE = {
    "bucket/run/a.bin": b"a" * 1536,
    "bucket/run/b.txt": b"b",
    "bucket/run/deep/c.txt": b"cc",
    "bucket/running": b"r",
    f"bucket/{HOSTILE}": b"hh",
}


def ask(server: FaultServer, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command against the server."""
    return run(words[0], "--endpoint-url", server.endpoint_url, *words[1:])


def told(output: str) -> list[dict[str, Any]]:
    """Return the lines of JSON."""
    return [json.loads(line) for line in output.splitlines()]


def names(output: str) -> list[str]:
    """Return what follows date, time and size of each line."""
    return [line[32:] for line in output.splitlines()]


def test_ls() -> None:
    """A folder, a prefix, everything below, a pattern: each shows what it names, and nothing else."""
    with FaultServer(BUNDLE) as server:
        folder = ask(server, "ls", "s3://bucket/run/")
        prefix = ask(server, "ls", "s3://bucket/run")
        below = ask(server, "ls", "--recursive", "--summarize", "-H", "s3://bucket/run/")
        pattern = ask(server, "ls", "s3://bucket/run/*.t?t")
        versions = ask(server, "ls", "--all-versions", "s3://bucket/run/b")
    assert [done.returncode for done in (folder, prefix, below, pattern, versions)] == [0] * 5
    assert folder.stdout == (
        f"{'PRE':>31} deep/\n2024-05-17 12:34:56Z       1536 a.bin\n2024-05-17 12:34:56Z          1 b.txt\n"
    )
    assert prefix.stdout == f"{'PRE':>31} run/\n2024-05-17 12:34:56Z          1 running\n"
    assert below.stdout.splitlines() == [
        "2024-05-17 12:34:56Z    1.5 KiB run/a.bin",
        "2024-05-17 12:34:56Z        1 B run/b.txt",
        "2024-05-17 12:34:56Z        2 B run/deep/c.txt",
        "",
        "Total Objects: 3",
        "   Total Size: 1.5 KiB",
    ]
    assert names(pattern.stdout) == ["run/b.txt", "run/deep/c.txt"]
    assert names(versions.stdout) == ["null run/b.txt"]


def test_ls_filters_one_folder() -> None:
    """Files and folders by their names in it; columns of s5cmd stand before the size."""
    with FaultServer(BUNDLE) as server:
        etag = server.store.get("bucket", "run/b.txt").etag.strip('"')  # type: ignore[union-attr]
        excluded = ask(server, "ls", "--exclude", "*.bin", "s3://bucket/run/")
        without_folders = ask(server, "ls", "--exclude", "deep/*", "s3://bucket/run/")
        columns = ask(server, "ls", "-e", "-s", "--include", "b*", "s3://bucket/run/")
    assert names(excluded.stdout) == ["deep/", "b.txt"]
    assert names(without_folders.stdout) == ["a.bin", "b.txt"]
    assert columns.stdout.split()[2:] == ["STANDARD", etag, "1", "b.txt"]


def test_ls_of_what_filters_leave_out(tmp_path: Path) -> None:
    """It is no error that nothing is left, as of every other command, and only people are told; a folder is `deep/`."""
    says = "nothing is listed: --include and --exclude leave out all that is there\n"
    (tmp_path / "lines").write_text("ls --include none s3://bucket/run/\n")
    with FaultServer(BUNDLE) as server:
        without_slash = ask(server, "ls", "--include", "deep", "s3://bucket/run/")
        with_slash = ask(server, "ls", "--include", "deep/", "s3://bucket/run/")
        pattern = ask(server, "ls", "--json", "--exclude", "*", "s3://bucket/run*")
        absent = ask(server, "ls", "--exclude", "*", "s3://bucket/none/")
        line = ask(server, "run", str(tmp_path / "lines"))
    assert (without_slash.returncode, without_slash.stdout, without_slash.stderr) == (0, "", f"bulkhaul: {says}")
    assert names(with_slash.stdout) == ["deep/"]
    assert (pattern.returncode, pattern.stdout, pattern.stderr) == (0, "", "")
    assert (absent.returncode, "no object matches" in absent.stderr) == (1, True)
    assert (line.returncode, line.stdout, line.stderr) == (0, "", f"bulkhaul: {tmp_path}/lines:1: {says}")


def test_ls_json_and_hostile_keys() -> None:
    """JSON tells every key exactly; people see it escaped, on one line."""
    with FaultServer(BUNDLE) as server:
        shown = ask(server, "ls", "--recursive", "s3://bucket/h/")
        exact = ask(server, "ls", "--recursive", "--json", "s3://bucket/h/")
        folder = ask(server, "ls", "--json", "s3://bucket/")
    assert names(shown.stdout) == ["h/\\x1b[2J\\x0ab & <c>+%41\\u202eé"]
    (line,) = told(exact.stdout)
    assert (line["key"], line["size"], line["type"]) == (HOSTILE, 2, "object")
    assert [(one.get("type"), one.get("key")) for one in told(folder.stdout)] == [
        ("prefix", "h/"),
        ("prefix", "run/"),
        ("object", "running"),
    ]


def test_ls_of_nothing() -> None:
    """An empty bucket is no error; a prefix that matches nothing, and a missing bucket, are."""
    with FaultServer({}, buckets=["bucket"]) as server:
        empty = ask(server, "ls", "--recursive", "s3://bucket")
        nothing = ask(server, "ls", "--json", "s3://bucket/none")
        pattern = ask(server, "ls", "s3://bucket/none*")
        missing = ask(server, "ls", "s3://nowhere")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "")
    assert [done.returncode for done in (nothing, pattern, missing)] == [1, 1, 1]
    assert "no object matches" in pattern.stderr
    (failure,) = told(nothing.stdout)
    assert ("no object matches" in failure["error"]["message"], nothing.stderr) == (True, "")
    assert (failure["success"], failure["error"]["code"]) == (False, "NotFound")
    assert missing.stderr.startswith("bulkhaul: error: s3://nowhere")


def test_many_pages() -> None:
    """Pages are asked for side by side, and every key is there once, in order; du counts the same."""
    keys = [f"many/{number:05}" for number in range(3500)]
    with FaultServer({f"bucket/{key}": b"12" for key in keys}) as server:
        listed = ask(server, "ls", "--recursive", "s3://bucket/many/")
        asked = len(server.requests_for("ListObjectsV2"))
        total = ask(server, "du", "s3://bucket/many/")
    assert names(listed.stdout) == keys
    assert 4 <= asked <= 6
    assert total.stdout == "7000 bytes in 3500 objects: s3://bucket/many/\n"


def test_a_listing_that_fails_later() -> None:
    """What was listed before a failure is printed, and the exit code says that it is not all."""
    denied = Status(operation="ListObjectsV2", status=403, code="AccessDenied", part=2, attempt="every")
    with FaultServer({f"bucket/{number:04}": b"" for number in range(1001)}, [denied]) as server:
        done = ask(server, "ls", "--recursive", "s3://bucket")
        server.assert_all_fired()
    assert (done.returncode, done.stdout.count("\n")) == (1, 1000)
    assert "do not allow" in done.stderr


def test_a_reader_that_leaves() -> None:
    """``| head -1`` ends the listing quietly."""
    with FaultServer({f"bucket/{number:0200}": b"" for number in range(3000)}) as server:
        words = arguments("ls", "--endpoint-url", server.endpoint_url, "--recursive", "s3://bucket")
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().endswith(b"0000\n")
            process.stdout.close()
            assert process.wait(LIMIT_S) == 1
            assert process.stderr.read() == b""


def test_du() -> None:
    """Bytes and objects, for people, by class, and as JSON; nothing is zero, not an error."""
    with FaultServer(BUNDLE | {"bucket/run/old": replace(make_object(b"12345"), storage_class="GLACIER")}) as server:
        human = ask(server, "du", "-H", "s3://bucket/run/")
        grouped = ask(server, "du", "--group", "s3://bucket/run/")
        exact = ask(server, "du", "--json", "--all-versions", "s3://bucket/run/*.txt")
        classified = ask(server, "du", "--json", "--group", "s3://bucket/run/")
        no_class = ask(server, "du", "--json", "--group", "s3://bucket/none/")
        nothing = ask(server, "du", "s3://bucket/none/")
        missing = ask(server, "du", "s3://nowhere")
    *classes, total = told(classified.stdout)
    assert [(line["storage_class"], line["bytes"]) for line in classes] == [("GLACIER", 5), ("STANDARD", 1539)]
    url = "s3://bucket/run/"
    summary = {"type": "summary", "operation": "summary", "success": True, "objects": 4, "bytes": 1544, "source": url}
    assert total == {**summary, "archived": 1, "archived_bytes": 5}
    (empty,) = told(no_class.stdout)
    assert (empty["objects"], empty["bytes"], "storage_class" in empty) == (0, 0, False)
    assert human.stdout == "1.5 KiB in 4 objects, 1 of them archived: s3://bucket/run/\n"
    assert grouped.stdout.splitlines() == [
        "5 bytes in 1 object, 1 of them archived: s3://bucket/run/ [GLACIER]",
        "1539 bytes in 3 objects: s3://bucket/run/ [STANDARD]",
    ]
    (line,) = told(exact.stdout)
    assert (line["objects"], line["bytes"]) == (2, 3)
    assert (nothing.returncode, nothing.stdout) == (0, "0 bytes in 0 objects: s3://bucket/none/\n")
    assert missing.returncode == 1


def test_head() -> None:
    """What HEAD told, and nothing that it did not; a missing key and a bucket."""
    stored = replace(make_object(b"body", algorithm="CRC32C", metadata={"owner": "me"}), content_type="text/plain")
    with FaultServer({"bucket/key *": stored}) as server:
        shown = ask(server, "head", "s3://bucket/key *")
        exact = ask(server, "head", "--json", "s3://bucket/key *")
        bucket = ask(server, "head", "--json", "s3://bucket")
        missing = ask(server, "head", "s3://bucket/none")
        nowhere = ask(server, "head", "s3://nowhere")
    assert {"size: 4", "content_type: text/plain", "metadata.owner: me"} <= set(shown.stdout.splitlines())
    (line,) = told(exact.stdout)
    assert (line["key"], line["size"], line["metadata"]) == ("key *", 4, {"owner": "me"})
    assert line["checksum"]["algorithm"] == "CRC32C"
    assert told(bucket.stdout)[0]["bucket"] == "bucket"
    assert (missing.returncode, nowhere.returncode) == (1, 1)
    assert missing.stderr.startswith("bulkhaul: error: s3://bucket/none: ")


def test_rm_named_keys() -> None:
    """Named keys go, in one request a bucket; that one was never there is no error."""
    with FaultServer(BUNDLE) as server:
        done = ask(
            server, "rm", "--json", "s3://bucket/run/a.bin", "s3://bucket/never", f"s3://bucket/{HOSTILE}", "--raw"
        )
        left = [key for key in ("run/a.bin", HOSTILE, "running") if server.store.get("bucket", key)]
    *lines, summary = told(done.stdout)
    assert done.returncode == 0, done.stderr
    assert [line["object"]["key"] for line in lines] == ["run/a.bin", "never", HOSTILE]
    assert (summary["verified"], summary["failed"]) == (3, 0)
    assert left == ["running"]


def test_rm_below_a_prefix() -> None:
    """--recursive ends at a slash, filters choose, a dry run touches nothing, and nothing to delete is no error."""
    with FaultServer(BUNDLE) as server:
        words = ("--recursive", "s3://bucket/run", "--exclude", "*.bin")
        dry = ask(server, "rm", "--dry-run", *words)
        assert not server.requests_for("DeleteObjects")
        done = ask(server, "rm", *words)
        again = ask(server, "rm", *words)
        left = [
            key for key in ("run/a.bin", "run/b.txt", "run/deep/c.txt", "running") if server.store.get("bucket", key)
        ]
    assert dry.stdout.splitlines() == ["(dry run) rm s3://bucket/run/b.txt", "(dry run) rm s3://bucket/run/deep/c.txt"]
    assert done.stdout.splitlines() == ["rm s3://bucket/run/b.txt", "rm s3://bucket/run/deep/c.txt"]
    assert (dry.returncode, done.returncode, again.returncode) == (0, 0, 0)
    assert "exclude" in again.stderr
    assert left == ["run/a.bin", "running"]


def test_rm_of_the_mark_of_a_folder() -> None:
    """A slash at the end names one object; what lies below stays, which is said, but not to who asked for --raw."""
    with FaultServer({"bucket/run/": b"", "bucket/run/a": b"x"}) as server:
        bare = ask(server, "rm", "s3://bucket/")
        raw = ask(server, "rm", "--dry-run", "--raw", "s3://bucket/run/")
        quiet = ask(server, "rm", "--dry-run", "--quiet", "s3://bucket/run/")
        done = ask(server, "rm", "s3://bucket/run/")
        left = [key for key in ("run/", "run/a") if server.store.get("bucket", key)]
    assert (bare.returncode, "--recursive" in bare.stderr) == (2, True)
    assert (raw.returncode, raw.stdout, raw.stderr) == (0, "(dry run) rm s3://bucket/run/\n", "")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert (done.returncode, done.stdout) == (0, "rm s3://bucket/run/\n")
    assert "what lies below stays" in done.stderr
    assert left == ["run/a"]


def test_rm_that_is_refused() -> None:
    """A key that is refused is reported by name, the others are gone, and the exit code is 1."""
    keys = [f"bucket/many/{number:04}" for number in range(1500)]
    with FaultServer(dict.fromkeys(keys, b"x"), [RefuseDelete(pattern="many/0007")]) as server:
        done = ask(server, "rm", "--quiet", "s3://bucket/many/*")
        left = [key for key in keys if server.store.get(*key.split("/", 1))]
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "s3://bucket/many/0007" in done.stderr
    assert left == ["bucket/many/0007"]


def test_versions_for_good() -> None:
    """In a bucket with versions rm hides, --version-id deletes one, and --all-versions leaves nothing."""
    with moto() as server:
        client = server.client()
        client.create_bucket(Bucket="versions")
        client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        ids = [client.put_object(Bucket="versions", Key="p/k", Body=body)["VersionId"] for body in (b"1", b"22")]
        client.put_object(Bucket="versions", Key="p/kk", Body=b"other")
        variables = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}

        def ask(*words: str) -> subprocess.CompletedProcess[str]:
            return run(words[0], "--endpoint-url", server.endpoint_url, *words[1:], variables=variables)

        assert ask("rm", "s3://versions/p/k").returncode == 0
        buckets = ask("ls"), ask("ls", "--json")
        listed = ask("ls", "--json", "--all-versions", "s3://versions/p/k")
        assert ask("du", "--all-versions", "s3://versions/p/").stdout.startswith("8 bytes in 3 objects")
        assert ask("rm", "--version-id", ids[0], "s3://versions/p/k").returncode == 0
        dry = ask("rm", "--dry-run", "--all-versions", "s3://versions/p/k")
        one = ask("rm", "--json", "--all-versions", "s3://versions/p/k")
        left = client.list_object_versions(Bucket="versions")
    assert buckets[0].stdout.endswith(" versions\n")
    (bucket,) = told(buckets[1].stdout)
    assert bucket["bucket"] == "versions"
    lines = told(listed.stdout)
    kinds = [(line["type"], line["key"]) for line in lines]
    assert sorted(kinds) == [
        ("delete_marker", "p/k"),
        ("version", "p/k"),
        ("version", "p/k"),
        ("version", "p/kk"),
    ]
    *gone, summary = told(one.stdout)
    assert (one.returncode, summary["verified"]) == (0, 2)
    assert ids[1] in {line["object"]["version_id"] for line in gone}
    (marker,) = [line["object"]["version_id"] for line in gone if line.get("delete_marker")]
    assert marker not in ids
    assert sorted(dry.stdout.splitlines()) == sorted(
        [
            f"(dry run) rm s3://versions/p/k (version {ids[1]})",
            f"(dry run) rm s3://versions/p/k (delete marker {marker})",
        ]
    )
    assert [version["Key"] for version in left["Versions"]] == ["p/kk"]
    assert "DeleteMarkers" not in left


def test_presign() -> None:
    """The URL alone is on stdout, lives as long as asked for, and fetches the object without credentials."""
    with FaultServer({"bucket/a b+c*": b"body"}) as server:
        done = ask(server, "presign", "--expires-in", "7d", "s3://bucket/a b+c*")
        url = done.stdout.removesuffix("\n")
        exact = ask(server, "presign", "--json", "--expires-in", "90", "s3://bucket/a")
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:  # noqa: S310 - of the test's own server
            assert reply.read() == b"body"
        nobody = run(
            *("presign", "--json", "--endpoint-url", server.endpoint_url, "s3://bucket/k"),
            variables=dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), ""),
        )
    assert (done.returncode, done.stderr, "\n" in url) == (0, "", False)
    assert "X-Amz-Expires=604800" in url
    (line,) = told(exact.stdout)
    assert list(line) == ["type", "operation", "success", "url", "expires_s", "method"]
    assert (line["operation"], line["success"], line["expires_s"]) == ("presign", True, 90)
    assert "X-Amz-Expires=90" in line["url"]
    assert nobody.returncode == 1
    (failure,) = told(nobody.stdout)
    assert (failure["operation"], failure["success"]) == ("presign", False)
    assert failure["error"]["code"] == "CredentialsError"


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--json",)), (signal.SIGHUP, ())]
)
def test_interrupted(number: signal.Signals, options: tuple[str, ...]) -> None:
    """A listing whose server hangs ends at a signal with 128 and its number, and says so, with --json there alone."""
    with FaultServer(BUNDLE, [hang_before_head(operation="ListObjectsV2")]) as server:
        words = arguments("ls", *options, "--endpoint-url", server.endpoint_url, "s3://bucket/run/")
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            server.wait_for(lambda server: bool(server.requests_for("ListObjectsV2")))
            os.kill(process.pid, number)
            out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + number
    assert err.decode() == ("" if options else f"bulkhaul: interrupted by {number.name}\n")
    failure = {"code": "Cancelled", "message": f"interrupted by {number.name}"}
    line = {"type": "error", "operation": "ls", "success": False, "error": failure}
    assert told(out.decode()) == [line] * bool(options)


@pytest.mark.parametrize("words", [("ls", "s3://bucket"), ("cp", "--json", "--quiet", "s3://bucket/run/b.txt", "out")])
def test_nowhere_to_write(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Started with stdout closed, a command that owes lines is a wrong command line and does nothing."""
    with FaultServer(BUNDLE) as server:
        command = shlex.join(arguments(words[0], "--endpoint-url", server.endpoint_url, *words[1:]))
        done = subprocess.run(
            ["sh", "-c", f"exec {command} >&-"], env=environment(), stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert not server.requests
    assert done.returncode == 2
    assert "Error: stdout is closed." in done.stderr
    assert os.listdir(tmp_path) == []
