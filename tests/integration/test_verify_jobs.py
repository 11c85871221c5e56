"""Jobs that compare, on a real server: every name has one row and a verdict, whatever ends a run."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from bulkhaul import AsyncEngine, Settings, jobs
from bulkhaul.errors import UsageError
from bulkhaul.jobs import job as work
from bulkhaul.jobs.describing import described
from bulkhaul.jobs.folder.place import entered
from bulkhaul.model.rows import Status
from bulkhaul.model.verdicts import Evidence, Verdict
from tests.engines import aws_environment
from tests.integration.killing import Place, killed
from tests.servers.process import RunningServer
from tests.servers.weed import weed

MIB = 2**20
EQUAL, DIFFERENT, MISSING, UNDECIDABLE = Verdict
LARGE = random.Random(3).randbytes(11 * MIB)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A real server with an empty bucket."""
    with weed() as running:
        running.client().create_bucket(Bucket="bucket")
        yield running


@pytest.fixture
def place(server: RunningServer, tmp_path: Path) -> Iterator[Place]:
    """What runs commands against the server; programs reach it, too."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    client = server.client(request_checksum_calculation="when_required")
    with aws_environment(keys):
        yield Place(server, client, tmp_path, {})


def put(place: Place, **objects: bytes) -> None:
    """Store objects by their keys, where __ stands for a slash."""
    for key, body in objects.items():
        place.client.put_object(Bucket="bucket", Key=key.replace("__", "/"), Body=body)


def put_in_parts(place: Place, key: str, part_bytes: int) -> None:
    """Store a large object in parts of this length."""
    names = {"Bucket": "bucket", "Key": key}
    upload = place.client.create_multipart_upload(**names)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(LARGE), part_bytes), start=1):
        piece = LARGE[start : start + part_bytes]
        sent = place.client.upload_part(**names, UploadId=upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    place.client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})


def told(place: Place, *words: str | Path, status: int = 0) -> list[dict[str, Any]]:
    """Return the lines of JSON of a command that exits so."""
    done = place.run(*words)
    assert done.returncode == status, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdicts(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the verdict of each report row, by the last part of its source; no name has two rows."""
    names = [row["source"].rpartition("/")[2] for row in rows]
    assert len(set(names)) == len(names)
    return {name: row["verdict"] for name, row in zip(names, rows, strict=True)}


EVERY = {"same": EQUAL, "other": DIFFERENT, "only-a": MISSING, "only-b": MISSING, "parts": UNDECIDABLE}


def test_every_verdict_and_a_retry(place: Place) -> None:
    """All four in one job, in every format; what is mended is green after a retry, which looks at nothing else."""
    job, a, b = place.folder / "job", "s3://bucket/four/a/", "s3://bucket/four/b/"
    put(place, four__a__same=b"same", four__b__same=b"same", four__a__other=b"other", four__b__other=b"OTHER")
    put(place, **{"four__a__only-a": b"a", "four__b__only-b": b"b"})
    put_in_parts(place, "four/a/parts", 5 * MIB)
    put_in_parts(place, "four/b/parts", 6 * MIB)
    (planned,) = told(place, "job", "create", job, a, b, "--kind", "verify", "--json")
    assert (planned["planned_rows"], planned["requests"], planned["routes"]) == (5, {"HeadObject": 10}, {})
    *lines, total = told(place, "job", "run", job, "--json", status=1)
    assert {line["operation"] for line in lines} == {"verify"}
    assert verdicts(lines) == EVERY
    counts = {"equal": 1, "different": 1, "missing": 2, "undecidable": 1}
    assert {name: total[name] for name in counts} == counts
    assert (total["planned"], total["verified"], total["failed"], total["bytes"]) == (5, 1, 4, 0)
    (status,) = told(place, "job", "status", job, "--json")
    assert (status["succeeded"], status["failed"], status["left"], status["verdicts"]) == (1, 4, 0, counts)
    assert "1 equal, 1 different, 2 missing, 1 undecidable" in place.run("job", "status", job).stdout

    rows = told(place, "job", "report", job)
    assert verdicts(rows) == EVERY
    errors = {row["source"].rpartition("/")[2]: row.get("error", {}) for row in rows}
    assert {name: error.get("code", "") for name, error in errors.items()} == {
        name: "" if verdict is EQUAL else verdict.capitalize() for name, verdict in EVERY.items()
    }
    assert errors["other"]["message"].startswith("different by md5: ")
    assert errors["only-b"]["message"] == f"missing: it is not at {a}only-b"
    assert errors["only-a"]["message"] == f"missing: it is not at {b}only-a"
    assert "--read would decide" in errors["parts"]["message"]
    table = list(csv.DictReader(io.StringIO(place.run("job", "report", job, "--format", "csv").stdout)))
    assert verdicts(table) == EVERY
    assert {row["evidence"] for row in table if row["verdict"] == "equal"} == {"md5"}
    records = place.run("job", "report", job, "--format", "batch-csv").stdout
    assert f"bucket,four/a/only-b,,failed,,Missing,missing: it is not at {a}only-b" in records.splitlines()
    assert place.run("job", "report", job, "--format", "parquet", "-o", place.folder / "p").returncode == 0
    assert verdicts(pyarrow.parquet.read_table(place.folder / "p").to_pylist()) == EVERY
    page = place.run("job", "report", job, "--format", "html").stdout
    assert "Verdicts, and what they rest on" in page
    assert "5 planned = 1 succeeded + 4 failed" in page

    put(place, four__b__other=b"other", **{"four__b__only-a": b"a", "four__a__only-b": b"b"})
    put_in_parts(place, "four/b/parts", 5 * MIB)
    assert place.run("job", "retry", job).stdout.startswith("planned 4 objects again")
    *lines, total = told(place, "job", "run", job, "--json")
    assert verdicts(lines) == dict.fromkeys(EVERY.keys() - {"same"}, EQUAL)
    assert {name: total[name] for name in counts} == {"equal": 5, "different": 0, "missing": 0, "undecidable": 0}
    (status,) = told(place, "job", "status", job, "--json")
    assert (status["planned_rows"], status["succeeded"], status["failed"], status["plans"]) == (5, 5, 0, 2)
    assert status["verdicts"] == {"equal": 5, "different": 0, "missing": 0, "undecidable": 0}


def test_a_retry_that_is_not_green(place: Place) -> None:
    """Of each name the last try counts, also where it has another verdict than the one before."""
    job, a, b = place.folder / "job", "s3://bucket/again/a", "s3://bucket/again/b"
    put(place, again__a__x=b"1", again__b__x=b"2", again__a__y=b"1", again__b__y=b"1")
    assert place.run("job", "create", job, a, b, "--kind", "verify").returncode == 0
    told(place, "job", "run", job, "--json", status=1)
    place.client.delete_object(Bucket="bucket", Key="again/b/x")
    told(place, "job", "run", job, "--retry-failed", "--json", status=1)
    (status,) = told(place, "job", "status", job, "--json")
    assert status["verdicts"] == {"equal": 1, "different": 0, "missing": 1, "undecidable": 0}
    assert "1 different" not in place.run("job", "report", job, "--format", "html").stdout


def test_bytes_decide(place: Place) -> None:
    """With --read what is undecidable else is read; --compare size looks at sizes alone."""
    put_in_parts(place, "bytes/a/parts", 5 * MIB)
    put_in_parts(place, "bytes/b/parts", 6 * MIB)
    words = ("s3://bucket/bytes/a/", "s3://bucket/bytes/b/", "--kind", "verify")
    assert place.run("job", "create", place.folder / "read", *words, "--read").returncode == 0
    (line, _) = told(place, "job", "run", place.folder / "read", "--json")
    assert (line["verdict"], line["evidence"]) == ("equal", "bytes")
    assert place.run("job", "create", place.folder / "size", *words, "--compare", "size").returncode == 0
    (line, _) = told(place, "job", "run", place.folder / "size", "--json")
    assert (line["verdict"], line["evidence"]) == ("equal", "size")


@pytest.mark.parametrize("sides", ["files and objects", "objects and files", "files"])
def test_files(place: Place, sides: str) -> None:
    """A folder against a prefix, either way round, and against another folder; from Python."""
    here, there = place.folder / "here", place.folder / "there"
    for folder, names in ((here, ("same", "deep/same", "other", "here")), (there, ("same", "deep/same", "other"))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(str(folder).encode() if name == "other" else name.encode())
    (here / "link").symlink_to("same")
    (here / "loop").symlink_to("loop")
    (there / "loop").write_bytes(b"loop")
    if sides != "files":
        for path in (path for path in there.rglob("*") if path.is_file()):
            put(place, **{f"files/{path.relative_to(there)}": path.read_bytes()})
    other = there if sides == "files" else "s3://bucket/files/"
    places = (other, here) if sides == "objects and files" else (here, other)
    where: dict[str, Any] = {"endpoint_url": place.server.endpoint_url, "workers": 1}
    made = jobs.create_job(place.folder / "job", *places, kind="verify", exclude=["deep/*"], **where)
    assert made.planned_rows == 5
    rows = {Path(row.source).name: row for row in jobs.run_job(place.folder / "job")}
    assert {name: row.verdict for name, row in rows.items()} == {
        "same": EQUAL,
        "other": DIFFERENT,
        "here": MISSING,
        "link": MISSING,
        "loop": UNDECIDABLE,
    }
    assert rows["same"].status is Status.SUCCEEDED
    assert all(row.error is not None and row.status is Status.FAILED for name, row in rows.items() if name != "same")
    status = jobs.job_status(place.folder / "job")
    assert (status.ok, status.verdicts["equal"], status.planned_rows) == (False, 1, 5)
    assert [row.verdict for row in jobs.report_rows(place.folder / "job")].count(EQUAL) == 1


def test_one_object_or_file(place: Place) -> None:
    """Two places that are one object each are one row."""
    file = place.folder / "file"
    file.write_bytes(b"one")
    put(place, one__object=b"one")
    job = place.folder / "job"
    assert place.run("job", "create", job, file, "s3://bucket/one/object", "--kind", "verify").returncode == 0
    line, total = told(place, "job", "run", job, "--json")
    assert (line["verdict"], line["evidence"], total["planned"]) == ("equal", "md5", 1)


def test_a_manifest(place: Place) -> None:
    """Its rows are compared with their own destinations, or below --to; a wrong one is undecidable and says why."""
    put(place, listed__a__x=b"x", listed__b__listed__a__x=b"x", listed__a__y=b"y", listed__c=b"Y")
    manifest = place.folder / "list.jsonl"
    lines = [
        {"bucket": "bucket", "key": "listed/a/x"},
        {"bucket": "bucket", "key": "listed/a/y", "destination": "s3://bucket/listed/c", "etag": '"gone"'},
        {"bucket": "bucket", "key": "listed/a/none"},
        {"bucket": "bucket"},
        {"bucket": "bucket", "key": "listed/a/x"},
    ]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    job = place.folder / "job"
    words = ("--manifest", manifest, "--to", "s3://bucket/listed/b/", "--kind", "verify")
    (planned,) = told(place, "job", "create", job, *words, "--json")
    assert (planned["planned_rows"], planned["requests"]) == (5, {"HeadObject": 6})
    told(place, "job", "run", job, "--json", status=1)
    rows = sorted(told(place, "job", "report", job), key=lambda row: row["n"])
    assert [row["verdict"] for row in rows] == [EQUAL, DIFFERENT, MISSING, UNDECIDABLE, UNDECIDABLE]
    assert planned["impossible"] == 2
    assert rows[3]["source"] == f"{manifest}:4"
    assert rows[3]["error"]["message"] == "undecidable: the key is missing"
    assert "listed twice" in rows[4]["error"]["message"]

    # What is not equal is the manifest of the copy that mends it.
    report = place.folder / "report.jsonl"
    report.write_text(place.run("job", "report", job).stdout)
    mend = place.folder / "mend"
    assert place.run("job", "create", mend, "--manifest", report, "--to", "s3://bucket/listed/b/").returncode == 0
    *copied, _ = told(place, "job", "run", mend, "--json", status=1)  # one is nowhere, and two were no rows
    assert [line["destination"] for line in copied if line["success"]] == ["s3://bucket/listed/c"]
    told(place, "job", "run", job, "--retry-failed", "--json", status=1)
    (status,) = told(place, "job", "status", job, "--json")
    assert status["verdicts"] == {"equal": 2, "different": 0, "missing": 1, "undecidable": 2}


OBJECTS = 300


def test_killed_in_the_middle(place: Place) -> None:
    """After each SIGKILL the next run goes on; in the end every name has one row, and the right verdict."""
    here = place.folder / "here"
    expected: dict[str, Verdict] = {}
    here.mkdir()
    for number in range(OBJECTS):
        name = f"{number:04d}"
        body = random.Random(number).randbytes(20_000)
        expected[name] = (EQUAL, DIFFERENT, MISSING)[(number % 50 == 7) + 2 * (number % 50 == 13)]
        (here / name).write_bytes(body if expected[name] is EQUAL else body[:-1] + b"?")
        if expected[name] is not MISSING:
            put(place, **{f"killed/{name}": body})
    job = place.folder / "job"
    words = (here, "s3://bucket/killed/", "--kind", "verify", "--read-all")
    assert place.run("job", "create", job, *words).returncode == 0
    slowly = ("--bwlimit", "600KiB", "--quiet")
    kills = in_the_middle = 0
    for _ in range(3):
        segments = len(list((job / "report").glob("*.gz"))) if (job / "report").exists() else 0

        def reported(before: int = segments) -> bool:
            return len(list((job / "report").glob("*.gz"))) > before

        kills += not killed(place, "job", "run", job, *slowly, after_s=0.3, once=reported)
        (status,) = told(place, "job", "status", job, "--json")
        in_the_middle += 0 < status["left"] < OBJECTS
        assert status["succeeded"] + status["failed"] + status["left"] == OBJECTS
    assert kills
    assert in_the_middle
    told(place, "job", "run", job, "--json", status=1)
    rows = told(place, "job", "report", job)
    assert Counter(row["n"] for row in rows) == Counter(range(OBJECTS))
    assert verdicts(rows) == expected
    (status,) = told(place, "job", "status", job, "--json")
    assert status["verdicts"] == {str(one): [*expected.values()].count(one) for one in Verdict}
    *_, total = told(place, "job", "run", job, "--json", status=1)
    assert total["planned"] == 0, "a second run does nothing"


def test_a_planner_that_goes_on(place: Place) -> None:
    """Names that are planned are not planned again, and none is left out, though both sides are listed anew."""
    one, other, names = place.folder / "a", place.folder / "b", [f"{number:04d}" for number in range(2500)]
    for folder, step in ((one, 2), (other, 3)):
        folder.mkdir()
        for name in names[::step]:
            (folder / name).write_bytes(b"")
    job, description = str(place.folder / "job"), described(str(one), str(other), kind="verify")

    async def begun() -> int:
        async with entered(job, Settings(), make=True, alone_as="test") as folder, AsyncEngine(Settings()) as engine:
            await asyncio.to_thread(folder.create, description)
            async with aclosing(work.planned(engine, folder)) as shards:
                return (await anext(shards)).rows

    assert asyncio.run(begun()) == 1000
    assert not jobs.job_status(job).planning_done
    rows = list(jobs.run_job(job))
    expected: dict[str, Verdict] = {
        name: EQUAL if not int(name) % 6 else MISSING for name in names if not (int(name) % 2 and int(name) % 3)
    }
    assert Counter(Path(row.source).name for row in rows) == Counter(expected.keys())
    assert {Path(row.source).name: row.verdict for row in rows} == expected


def test_from_python(place: Place) -> None:
    """The options of a comparison reach the job; without an event loop and with one."""
    put(place, python__a__x=b"x", python__b__x=b"x")
    where: dict[str, Any] = {"endpoint_url": place.server.endpoint_url, "workers": 1}
    how = jobs.VerifyOptions(read_all=True)
    places = ("s3://bucket/python/a/", "s3://bucket/python/b/")
    jobs.create_job(place.folder / "job", *places, kind="verify", comparison=how, **where)
    (row,) = jobs.run_job(place.folder / "job")
    assert (row.verdict, row.evidence, row.size) == (EQUAL, Evidence.BYTES, 1)

    async def compared() -> list[tuple[str, Verdict]]:
        return [(one.name, one.verdict) async for one in jobs.verify_async(*places, **where)]

    assert (
        asyncio.run(compared()) == [("x", EQUAL)] == [(one.name, one.verdict) for one in jobs.verify(*places, **where)]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("s3://bucket/a/", "--kind", "verify"), "two places"),
        (("s3://bucket/a/", "s3://bucket/b/", "--kind", "verify", "--storage-class", "X"), "moves nothing"),
        (("s3://bucket/a/", "s3://bucket/b/", "--kind", "verify", "--restore", "BULK"), "moves nothing"),
        (("s3://bucket/a/", "s3://bucket/b/", "--kind", "verify", "--compare", "mtime"), "'mtime'"),
        (("s3://bucket/a/", "folder", "--kind", "verify", "--compare", "tags"), "files have no tags"),
        (("s3://bucket/a/", "s3://bucket/b/", "--read"), "--kind verify"),
    ],
)
def test_what_makes_no_sense(place: Place, words: tuple[str, ...], said: str) -> None:
    """It is refused before anything is made."""
    done = place.run("job", "create", place.folder / "job", *words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (place.folder / "job").exists()


def test_no_certificate() -> None:
    """A job writes none, and says who does."""
    with pytest.raises(UsageError, match="verify --certificate"):
        described("a", "b", kind="verify", comparison=jobs.VerifyOptions(certificate="c"))


def test_the_folder_of_the_job_in_a_place(place: Place) -> None:
    """It is compared with nothing, so it has to lie elsewhere, or be left out."""
    put(place, apart__x=b"x")
    for folder in ("here", "there"):
        (place.folder / folder).mkdir()
        (place.folder / folder / "x").write_bytes(hashlib.md5(b"x").digest())
    here, there = place.folder / "here", place.folder / "there"
    for job in (here / "job", there / "job"):
        refused = place.run("job", "create", job, here, there, "--kind", "verify")
        assert refused.returncode == 2
        assert "one of its places" in refused.stderr
        assert not job.exists()
    assert (
        place.run("job", "create", there / "job", here, there, "--kind", "verify", "--exclude", "job/*").returncode == 0
    )
