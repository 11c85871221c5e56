"""What holds for a whole job ends it: with one error and few requests; what holds for one object does not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faultserver import FaultServer, Status, StoredObject, make_object
from tests.integration import command

OBJECTS = 1500
#: Requests that may be under way when the first answer is heard, on a machine with much else to do, too.
IN_FLIGHT = 500

Words = Callable[[Path], list[str]]
Begun = Callable[[Path], list[str]]


def files_of(folder: Path) -> Path:
    """Return a folder with many small files."""
    source = folder / "source"
    source.mkdir()
    for number in range(OBJECTS):
        (source / f"{number:04}").write_bytes(b"x" * 100)
    return source


def lines_of(folder: Path, line: str) -> Path:
    """Return a file with a line for each object."""
    file = folder / "lines"
    file.write_text("".join(line.format(number=f"{number:04}") + "\n" for number in range(OBJECTS)))
    return file


def upload(folder: Path) -> list[str]:
    """Store many files."""
    return ["cp", "--recursive", str(files_of(folder)), "s3://bucket/up/"]


def download(folder: Path) -> list[str]:
    """Restore many objects."""
    return ["cp", "--recursive", "s3://bucket/small/", str(folder / "out")]


def listed(folder: Path) -> list[str]:
    """Restore the objects of a list."""
    return ["cp", "--files-from", str(lines_of(folder, "{number}")), "s3://bucket/small/", str(folder / "out")]


def lines(folder: Path) -> list[str]:
    """Restore the objects of a file of commands."""
    return ["run", str(lines_of(folder, f"cp s3://bucket/small/{{number}} {folder}/out/"))]


def delete_lines(folder: Path) -> list[str]:
    """Delete the objects of a file of commands."""
    return ["run", str(lines_of(folder, "rm s3://bucket/small/{number}"))]


def other_lines(folder: Path) -> list[str]:
    """Store files by lines that are carried out one by one."""
    line = f"cp --storage-class STANDARD_IA {files_of(folder)}/{{number}} s3://bucket/up/"
    return ["run", str(lines_of(folder, line))]


def sync(folder: Path) -> list[str]:
    """Sync many files."""
    return ["sync", str(files_of(folder)), "s3://bucket/up/"]


def restoring_sync(folder: Path) -> list[str]:
    """Sync many objects."""
    return ["sync", "s3://bucket/small/", str(folder / "out")]


def job(folder: Path) -> list[str]:
    """Run a job."""
    return ["job", "run", str(folder / "job")]


def small() -> dict[str, bytes | StoredObject]:
    """Return what a bucket holds."""
    return {f"bucket/small/{number:04}": make_object(b"y" * 100) for number in range(OBJECTS)}


EVERYTHING = [upload, download, listed, lines, other_lines, delete_lines, sync]
MOVING = ("GetObject", "PutObject", "DeleteObject", "DeleteObjects", "ListObjectsV2")
"""Requests whose reply to a failure has a body, which tells its code."""


def refusing(code: str, status: int) -> list[Status]:
    """Return what answers every request with an error."""
    return [Status(operation=operation, code=code, status=status, attempt="every") for operation in MOVING]


@pytest.mark.parametrize("words", EVERYTHING, ids=lambda it: it.__name__)
def test_keys_that_are_refused_end_everything(tmp_path: Path, words: Words) -> None:
    """A wrong secret is told once, after the requests that were under way, whatever was to be done."""
    with FaultServer(small(), refusing("SignatureDoesNotMatch", 403)) as server:
        done = command.run(*words(tmp_path), "--endpoint-url", server.endpoint_url)
        asked = [one for one in server.requests if one.operation in MOVING]
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert "check the secret key" in done.stderr
    assert len(asked) <= IN_FLIGHT


@pytest.mark.parametrize(
    ("code", "status"), [("InvalidAccessKeyId", 403), ("ExpiredToken", 400), ("AccountProblem", 403)]
)
def test_whatever_is_wrong_with_keys(tmp_path: Path, code: str, status: int) -> None:
    """Each reason why nobody may ask anything ends the job, and with --json it is told once there."""
    with FaultServer(small(), refusing(code, status)) as server:
        done = command.run(*upload(tmp_path), "--json", "--endpoint-url", server.endpoint_url)
        assert len(server.requests) <= IN_FLIGHT
    failed, summary = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, failed["success"], summary["failed"], summary["verified"]) == (1, False, 1, 0)
    assert code in failed["error"]["message"]


@pytest.mark.parametrize("words", [upload, listed, lines], ids=lambda it: it.__name__)
def test_a_bucket_that_is_missing(tmp_path: Path, words: Words) -> None:
    """It is told once, and few requests find it out."""
    with FaultServer({"other/key": make_object(b"1")}) as server:
        done = command.run(*words(tmp_path), "--endpoint-url", server.endpoint_url)
        asked = len(server.requests)
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert asked <= IN_FLIGHT, asked


def test_a_bucket_that_is_missing_in_some_lines(tmp_path: Path) -> None:
    """Lines for other buckets are carried out, and each line for the missing one has its account."""
    file = tmp_path / "lines"
    file.write_text(
        "".join(
            f"cp s3://{bucket}/small/{number:04} {tmp_path}/{bucket}/\n"
            for number in range(OBJECTS)
            for bucket in ("bucket", "missing")
        )
    )
    with FaultServer(small()) as server:
        done = command.run("run", "--json", str(file), "--endpoint-url", server.endpoint_url)
        asked = [one for one in server.requests if one.bucket == "missing"]
    *told, summary = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert (summary["verified"], summary["failed"], len(told)) == (OBJECTS, OBJECTS, 2 * OBJECTS)
    assert {one["line"] for one in told if not one["success"]} == set(range(2, 2 * OBJECTS + 1, 2))
    assert done.stderr == ""
    assert len(asked) <= IN_FLIGHT
    assert len(os.listdir(tmp_path / "bucket")) == OBJECTS


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey"])
def test_what_is_refused_for_one_key(tmp_path: Path, code: str) -> None:
    """The others go on."""
    fault = Status(operation="GetObject", key="small/0007", code=code, attempt="every")
    with FaultServer(small(), [fault]) as server:
        done = command.run(*download(tmp_path), "--endpoint-url", server.endpoint_url)
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert len(os.listdir(tmp_path / "out")) == OBJECTS - 1


def test_a_job_stops_and_goes_on(tmp_path: Path) -> None:
    """The run of a job stops with one error, its rows are left, and the next run does them."""
    job = str(tmp_path / "job")
    with FaultServer(small()) as server:
        named = ("--endpoint-url", server.endpoint_url)
        command.run("job", "create", job, "s3://bucket/small/", str(tmp_path / "out"), *named)
        faults = refusing("InvalidAccessKeyId", 403)
        for fault in faults:
            server.add_fault(fault)
        before = len(server.requests)
        stopped = command.run("job", "run", job, *named)
        assert len(server.requests) - before <= IN_FLIGHT
    assert (stopped.returncode, stopped.stderr.count("bulkhaul: error:")) == (1, 1), stopped.stderr
    told = json.loads(command.run("job", "status", "--json", job).stdout)
    assert (told["failed"], told["succeeded"] + told["left"]) == (0, OBJECTS)
    with FaultServer(small()) as server:
        assert command.run("job", "run", job, "--endpoint-url", server.endpoint_url).returncode == 0
    assert len(os.listdir(tmp_path / "out")) == OBJECTS


@pytest.mark.parametrize("words", [upload, download, listed, lines, other_lines, sync], ids=lambda it: it.__name__)
@pytest.mark.parametrize("endpoint", ["http://no-such-host.invalid", "http://127.0.0.1:9"])
def test_an_endpoint_that_is_away(tmp_path: Path, words: Words, endpoint: str) -> None:
    """A name without an address, or a port where nobody listens: told once, with what to do."""
    named = ("--endpoint-url", endpoint, "--allow-http", "--retry-for", "1s")
    done = command.run(*words(tmp_path), *named)
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert "the endpoint could not be reached" in done.stderr
    assert "check --endpoint-url and the network" in done.stderr


@pytest.mark.parametrize("words", [upload, download, listed, lines, sync], ids=lambda it: it.__name__)
@pytest.mark.parametrize(
    ("code", "status"),
    [("AuthorizationHeaderMalformed", 400), ("IllegalLocationConstraintException", 400), ("PermanentRedirect", 301)],
)
def test_a_wrong_region(tmp_path: Path, words: Words, code: str, status: int) -> None:
    """A bucket that lives elsewhere is told once, with the option that names its place."""
    with FaultServer(small(), refusing(code, status)) as server:
        done = command.run(*words(tmp_path), "--endpoint-url", server.endpoint_url)
        asked = [one for one in server.requests if one.operation in MOVING]
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert "set --region" in done.stderr
    assert len(asked) <= IN_FLIGHT


def test_a_line_with_a_source_of_its_own(tmp_path: Path) -> None:
    """Keys that the source of one line refuses are that line's failure: the others have another endpoint."""
    with FaultServer(small()) as server, FaultServer(small(), refusing("SignatureDoesNotMatch", 403)) as other:
        own = f"cp --recursive --source-endpoint-url {other.endpoint_url} s3://bucket/small/ s3://bucket/copied/"
        file = lines_of(tmp_path, f"cp s3://bucket/small/{{number}} {tmp_path}/out/")
        file.write_text(f"{own}\n{file.read_text()}")
        done = command.run("run", "--json", str(file), "--endpoint-url", server.endpoint_url)
    *told, summary = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert (summary["verified"], summary["failed"]) == (OBJECTS, 1)
    assert [one["line"] for one in told if not one["success"]] == [1]


def mounted(script: str, folder: Path) -> list[str]:
    """Return what a command begins with to run behind a script that mounts something in the place of ``$0``."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", f'{script} && exec "$@"', str(folder)]


def read_only(folder: Path) -> list[str]:
    """Return what a command begins with to find a read-only file system in the place of a folder."""
    return mounted('mount -t tmpfs -o ro none "$0"', folder)


def full(folder: Path) -> list[str]:
    """Return what a command begins with to find a file system with no room in the place of a folder."""
    return mounted('mount -t tmpfs -o size=64k none "$0" && head -c 64k /dev/zero > "$0/filled"', folder)


def closed(folder: Path) -> list[str]:
    """Return what a command begins with to be refused by the permissions of a folder, which root is not."""
    folder.chmod(0o555)
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.mark.parametrize("words", [download, listed, restoring_sync, job], ids=lambda it: it.__name__)
@pytest.mark.parametrize(("refusing_folder", "cause"), [(read_only, "EROFS"), (closed, "EACCES")])
def test_a_destination_that_refuses(tmp_path: Path, words: Words, refusing_folder: Begun, cause: str) -> None:
    """A folder that takes nothing is told once, with what to do, before anything is fetched."""
    (tmp_path / "out").mkdir()
    with FaultServer(small()) as server:
        named = ["--endpoint-url", server.endpoint_url]
        line = [*words(tmp_path), *named]
        if line[0] == "job":
            command.run("job", "create", line[2], "s3://bucket/small/", str(tmp_path / "out"), *named)
        before = len(server.requests)
        done = subprocess.run(
            [*refusing_folder(tmp_path / "out"), *command.arguments(*line)],
            env=command.environment(), capture_output=True, text=True, timeout=command.LIMIT_S,
        )  # fmt: skip
        asked = [one for one in server.requests[before:] if one.operation == "GetObject"]
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert "choose another destination" in done.stderr
    assert f"(cause: {cause})" in done.stderr
    assert not asked


def run_behind(begin: list[str], *line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command behind other words."""
    return subprocess.run(
        [*begin, *command.arguments(*line)],
        env=command.environment(**environment), capture_output=True, text=True, timeout=command.LIMIT_S,
    )  # fmt: skip


def errors_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what people are told of single lines."""
    return [line for line in done.stderr.splitlines() if line.startswith("bulkhaul: error:")]


GOOD = 50
"""Lines before, and as many behind, those whose disk refuses."""


def among_others(folder: Path, lines: str) -> Path:
    """Return a file with lines between others whose disk takes everything."""
    good = [f"cp s3://bucket/small/{number:04} {folder}/good/\n" for number in range(2 * GOOD)]
    file = folder / "lines"
    file.write_text("".join([*good[:GOOD], lines, *good[GOOD:]]))
    return file


@pytest.mark.parametrize(("refusing_folder", "cause"), [(read_only, "EROFS"), (full, "ENOSPC")])
def test_a_disk_that_refuses_many_lines(tmp_path: Path, refusing_folder: Begun, cause: str) -> None:
    """Each line for it fails and has its account, people are told once, and lines for other disks are carried out."""
    (tmp_path / "out").mkdir()
    bad = "".join(f"cp s3://bucket/small/{number:04} {tmp_path}/out/\n" for number in range(OBJECTS))
    with FaultServer(small()) as server:
        named = ("run", str(among_others(tmp_path, bad)), "--endpoint-url", server.endpoint_url)
        done = run_behind(refusing_folder(tmp_path / "out"), *named)
    assert done.returncode == 1
    assert f"run: {2 * GOOD} done, 0 skipped, {OBJECTS} failed" in done.stderr
    (told,) = errors_of(done)
    assert f"(cause: {cause})" in told
    assert len(os.listdir(tmp_path / "good")) == 2 * GOOD


@pytest.mark.parametrize(("refusing_folder", "cause"), [(read_only, "EROFS"), (full, "ENOSPC"), (closed, "EACCES")])
def test_a_disk_that_refuses_all_objects_of_a_line(tmp_path: Path, refusing_folder: Begun, cause: str) -> None:
    """What ends a command of its own ends such a line, once; the others go on, also those for many objects."""
    (tmp_path / "out").mkdir()
    bad = f"cp -r s3://bucket/small/ {tmp_path}/out\nsync s3://bucket/small/ {tmp_path}/out/\n"
    file = among_others(tmp_path, f"{bad}cp -r s3://bucket/small/ {tmp_path}/all/\n")
    with FaultServer(small()) as server:
        done = run_behind(
            refusing_folder(tmp_path / "out"), "run", "--quiet", str(file), "--endpoint-url", server.endpoint_url
        )
    assert done.returncode == 1
    first, second = sorted(errors_of(done))
    assert f"{file}:{GOOD + 1}: " in first
    assert f"{file}:{GOOD + 2}: " in second
    assert all(f"(cause: {cause})" in told for told in (first, second))
    assert len(os.listdir(tmp_path / "good")) == 2 * GOOD
    assert len(os.listdir(tmp_path / "all")) == OBJECTS


def test_a_disk_that_keeps_the_sources_of_moves(tmp_path: Path) -> None:
    """Files on a read-only disk cannot be moved away; those of other disks are."""
    for folder in ("bad", "in", "good"):
        (tmp_path / folder).mkdir()
    for number in range(GOOD):
        for folder in ("in", "good"):
            (tmp_path / folder / f"{number}").write_bytes(b"x")
    file = tmp_path / "lines"
    file.write_text(
        "".join(
            f"mv {tmp_path}/{folder}/{n} s3://bucket/{folder}/\n" for n in range(GOOD) for folder in ("bad", "good")
        )
    )
    script = 'mount -t tmpfs none "$0" && cp "$0"/../in/* "$0" && mount -o remount,ro "$0"'
    with FaultServer(small()) as server:
        line = ("run", "--json", str(file), "--endpoint-url", server.endpoint_url)
        done = run_behind(mounted(script, tmp_path / "bad"), *line)
        stored = {key for key in server.store.in_bucket("bucket") if key.startswith("good/")}
    *told, summary = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, summary["verified"], summary["failed"]) == (1, GOOD, GOOD)
    assert {one["line"] for one in told if not one["success"]} == set(range(1, 2 * GOOD, 2))
    assert (len(stored), os.listdir(tmp_path / "good")) == (GOOD, [])


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_lines_need_no_file_where_none_goes(tmp_path: Path, relative: bool) -> None:
    """A read-only root of all disks, or working folder, is no matter of files elsewhere."""
    (tmp_path / "out").mkdir()
    file = lines_of(tmp_path, f"cp s3://bucket/small/{{number}} {'out' if relative else tmp_path / 'out'}/")
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && cd "$0/.."'
    with FaultServer(small()) as server:
        line = ("run", str(file), "--endpoint-url", server.endpoint_url)
        done = run_behind(mounted(script, tmp_path / "out"), *line, TMPDIR=str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert len(os.listdir(tmp_path / "out")) == OBJECTS


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_an_endpoint_of_some_lines(tmp_path: Path, code: str) -> None:
    """A bucket that lives elsewhere, and an endpoint that one line names, are matters of their lines."""
    bad = [
        f"cp s3://far/far/1 {tmp_path}/far/",
        f"cp -r s3://far/far/ {tmp_path}/far",
        "ls s3://far/far/",
        "head s3://far/far/1",
        "cp -r --source-endpoint-url http://127.0.0.1:9 s3://bucket/small/ s3://bucket/copies/",
        "cp -r --source-profile no-such-profile s3://bucket/small/ s3://bucket/copies/",
    ]
    status = {"PermanentRedirect": 301, "AuthorizationHeaderMalformed": 400}[code]
    faults = [Status(operation=None, key="far/*", code=code, status=status, attempt="every")]
    file = among_others(tmp_path, "".join(f"{line}\n" for line in bad))
    with FaultServer(small() | {"far/far/1": make_object(b"1")}, faults) as server:
        named = ("--endpoint-url", server.endpoint_url, "--allow-http", "--retry-for", "1s")
        done = command.run("run", "--json", str(file), *named)
    *told, summary = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, summary["verified"], summary["failed"]) == (1, 2 * GOOD, len(bad))
    failed = sorted(one["line"] for one in told if not one["success"])
    assert failed == list(range(GOOD + 1, GOOD + len(bad) + 1))


def test_a_file_that_refuses(tmp_path: Path) -> None:
    """One folder below the destination that takes nothing is no matter of the others."""
    with FaultServer(small() | {"bucket/small/closed/key": make_object(b"z")}) as server:
        (tmp_path / "out" / "closed").mkdir(parents=True)
        begin = closed(tmp_path / "out" / "closed")
        line = [*download(tmp_path), "--endpoint-url", server.endpoint_url]
        done = subprocess.run(
            [*begin, *command.arguments(*line)],
            env=command.environment(), capture_output=True, text=True, timeout=command.LIMIT_S,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("bulkhaul: error:")) == (1, 1), done.stderr
    assert "change its permissions (cause: EACCES)" in done.stderr
    assert len(os.listdir(tmp_path / "out")) == OBJECTS + 1
