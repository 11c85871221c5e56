"""The folder of a job: its files are immutable, and none of them is believed because it parses."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bulkhaul.cli.job_lines import unfinished_text
from bulkhaul.jobs.folder.description import Claim, Counts, Done, Plan, PlanTotals, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.status import job_status
from bulkhaul.model.errors import AccessDenied, DamagedJob, NotFound, Throttled, Unsupported, UsageError
from bulkhaul.model.rows import Status
from bulkhaul.store.memory import MemoryStore

from .folders import DESCRIPTION, LossyStore, folder_in, reported, rows

CLAIM = Claim(runner="one", began=1.0)


def written(folder: JobFolder, count: int = 3, number: int = 0) -> Shard:
    """Write a shard, and return it."""
    shard = folder.put_shard(number, rows(count), plan=0)
    assert shard is not None
    return shard


def replaced(store: MemoryStore, name: str, change: Callable[[str], str]) -> None:
    """Change the text of a packed file."""
    text = gzip.decompress(store.get_bytes(f"jobs/one/{name}")).decode()
    changed = change(text)
    assert changed != text
    store.put_bytes(f"jobs/one/{name}", gzip.compress(changed.encode()))


def test_the_files_are_those_of_the_format() -> None:
    """Other programs can read the folder: JSON and JSON Lines in gzip, with the SHA-256 of each shard."""
    store = MemoryStore()
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    shard = written(folder)
    folder.put_plan(Plan(plan=0, totals=PlanTotals(rows=3, size_bytes=3), shards=(shard,)))
    attempt = folder.claim(0, CLAIM)
    segment = folder.put_segment(0, attempt, 4, [reported(row) for row in rows(3)])
    folder.put_done(0, Done(counts=Counts(succeeded=3), segments=(segment,)))
    assert sorted(info.key.removeprefix("jobs/one/") for info in store.list()) == [
        "done/000000",
        "job.json",
        "plan.json",
        "plan/000000.jsonl.gz",
        "report/000000.1.004.jsonl.gz",
        "report/000000.1.json",
    ]
    data = store.get_bytes("jobs/one/plan/000000.jsonl.gz")
    lines = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    assert [line["n"] for line in lines] == [0, 1, 2]
    assert lines[1]["source"] == "s3://bucket/a/000001"
    plan = json.loads(store.get_bytes("jobs/one/plan.json"))
    assert plan["shards"][0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert json.loads(store.get_bytes("jobs/one/job.json"))["format"] == 1


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [
        ("2024-05-17T12:34:56Z", datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)),
        ("2024-05-17T14:34:56.789+02:00", datetime(2024, 5, 17, 12, 34, 56, 789000, tzinfo=UTC)),
        ("2024-05-17T12:34:56", datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)),
        ("2024-05-17", datetime(2024, 5, 17, tzinfo=UTC)),
        ("2024-05-17T12:34Z", datetime(2024, 5, 17, 12, 34, tzinfo=UTC)),
        ("20240517T123456Z", datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)),
        ("2024-05-17T12Z", datetime(2024, 5, 17, 12, tzinfo=UTC)),
        ("2024-W20-5", datetime(2024, 5, 17, tzinfo=UTC)),
    ],
)
def test_a_plan_of_an_earlier_version(written_as: str, expected: datetime) -> None:
    """It has the times of its manifest as they were, in any form of ISO 8601; they are told in UTC."""
    store = MemoryStore()
    folder = folder_in(store)
    line = {"n": 0, "action": "copy", "source": "s3://bucket/k", "size_bytes": 1, "last_modified": written_as}
    data = gzip.compress(json.dumps(line).encode() + b"\n")
    store.put_bytes("jobs/one/plan/000000.jsonl.gz", data)
    _, [row] = folder.found_shard(0, plan=0, first=0)
    assert row.last_modified == expected
    assert row.last_modified is not None
    assert row.last_modified.utcoffset() == timedelta(0)
    assert row.size == 1
    assert folder.rows_before(1) == 1


@pytest.mark.parametrize("written_as", ["yesterday", "2024-13-01", "0001-01-01T00:00:00+02:00", 5])
def test_a_plan_whose_time_is_none(written_as: object) -> None:
    """What no version wrote is damage, and its field is named."""
    store = MemoryStore()
    line = {"n": 0, "action": "copy", "source": "s3://bucket/k", "last_modified": written_as}
    store.put_bytes("jobs/one/plan/000000.jsonl.gz", gzip.compress(json.dumps(line).encode() + b"\n"))
    with pytest.raises(DamagedJob, match=r"line 1 cannot be a row: .*last_modified"):
        folder_in(store).found_shard(0, plan=0, first=0)


def test_a_job_is_made_once() -> None:
    """A folder that is a job already is refused, and stays what it is."""
    folder = folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    other = type(DESCRIPTION)(format=1, kind=DESCRIPTION.kind, source="s3://other")
    written(folder)
    with pytest.raises(UsageError, match=r"a job in this folder already.*name another folder$"):
        folder.create(other)
    assert folder.description() == DESCRIPTION


def test_a_job_whose_planning_failed_at_once() -> None:
    """Of a job that was made with what cannot be listed nothing is there but its file: people are told so."""
    store = MemoryStore()
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    other = type(DESCRIPTION)(format=1, kind=DESCRIPTION.kind, source="s3://other")
    with pytest.raises(UsageError, match=r"its job\.json may be deleted"):
        folder.create(other)
    store.delete("jobs/one/job.json")
    folder.create(other)
    assert folder.description() == other


def test_the_same_job_is_gone_on_with_until_it_is_planned() -> None:
    """The command that was interrupted can be given again; once the plan is whole, it is refused."""
    folder = folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    folder.create(replace(DESCRIPTION, made="later"))
    folder.put_plan(Plan(plan=0, totals=PlanTotals(rows=3), shards=(written(folder),)))
    with pytest.raises(UsageError, match="a job in this folder already"):
        folder.create(DESCRIPTION)


def test_no_job() -> None:
    """A folder without a job says how to make one."""
    with pytest.raises(NotFound, match="bulkhaul job create"):
        folder_in(MemoryStore()).description()


def test_a_newer_format_is_refused() -> None:
    """What a newer program wrote is refused by its version, even if its fields cannot be read."""
    store = MemoryStore()
    store.put_bytes("jobs/one/job.json", b'{"format": 2, "kind": "teleport"}')
    with pytest.raises(Unsupported, match="the field format is 2") as raised:
        folder_in(store).description()
    assert raised.value.subject == "s3://memory/jobs/one/job.json"


@pytest.mark.parametrize("text", [b"", b"{}", b'{"format": "1"}', b'{"format": 0}', b'{"format": 1, "kind": "fly"}'])
def test_a_damaged_description(text: bytes) -> None:
    """A description that cannot be right is refused; the error names the file."""
    store = MemoryStore()
    store.put_bytes("jobs/one/job.json", text)
    with pytest.raises(DamagedJob) as raised:
        folder_in(store).description()
    assert raised.value.subject == "s3://memory/jobs/one/job.json"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"n":1', '"n":0'), "line 2: the field n is 0, not 1"),
        (lambda text: text.replace('"n":1', '"n":"1"'), r"line 2 .*\$\.n"),
        (lambda text: text.replace('"action":"download"', '"action":"fly"', 1), r"line 1 .*\$\.action"),
        (lambda text: text.replace('"size_bytes":2', '"size_bytes":-2'), "line 3: the field size_bytes is -2"),
        (lambda text: text.replace('"source":"s3://bucket/a/000002"', '"source":""'), "line 3: the field source"),
        (lambda text: text[:-1], "line 3 has no end"),
        (lambda text: text.splitlines(keepends=True)[0] + "}\n", "line 2 cannot be a row"),
        (lambda text: "", "no rows"),
    ],
)
def test_damaged_rows(change: Callable[[str], str], message: str) -> None:
    """A shard whose rows cannot be right is refused; the error names file, line and field."""
    store = MemoryStore()
    folder = folder_in(store)
    written(folder)
    replaced(store, "plan/000000.jsonl.gz", change)
    with pytest.raises(DamagedJob, match=message) as raised:
        folder.found_shard(0, plan=0, first=0)
    assert raised.value.subject == "s3://memory/jobs/one/plan/000000.jsonl.gz"


def test_rows_that_the_plan_does_not_name() -> None:
    """Rows that parse are refused if they are not those whose SHA-256 the plan has."""
    store = MemoryStore()
    folder = folder_in(store)
    shard = written(folder)
    assert folder.rows(shard) == rows(3)
    replaced(store, "plan/000000.jsonl.gz", lambda text: text.replace("000001", "000009"))
    with pytest.raises(DamagedJob, match="SHA-256"):
        folder.rows(shard)


@pytest.mark.parametrize("length", [0, 1, 12, -9, -1])
def test_a_torn_shard(length: int) -> None:
    """A shard that ends early is refused, wherever it ends."""
    store = MemoryStore()
    folder = folder_in(store)
    written(folder)
    key = "jobs/one/plan/000000.jsonl.gz"
    store.put_bytes(key, store.get_bytes(key)[:length])
    with pytest.raises(DamagedJob, match="ends early"):
        folder.found_shard(0, plan=0, first=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data + b"\0", "something follows"),
        (lambda data: b"{}", "no gzip"),
        (lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:], "no gzip"),
        (lambda data: gzip.compress(bytes(2**28 + 1)), "unpacks to more than"),
    ],
)
def test_damaged_bytes(change: Callable[[bytes], bytes], message: str) -> None:
    """What is no gzip file, what follows its end, a wrong CRC, and what would fill the memory are refused."""
    store = MemoryStore()
    folder = folder_in(store)
    written(folder)
    key = "jobs/one/plan/000000.jsonl.gz"
    store.put_bytes(key, change(store.get_bytes(key)))
    with pytest.raises(DamagedJob, match=message):
        folder.found_shard(0, plan=0, first=0)


def test_a_missing_shard() -> None:
    """A gap in the shards is no end of them."""
    store = MemoryStore()
    folder = folder_in(store)
    written(folder, number=0)
    written(folder, number=2)
    with pytest.raises(DamagedJob, match="missing") as raised:
        folder.shards_written()
    assert raised.value.subject.endswith("plan/000001.jsonl.gz")


def test_a_file_that_is_named_and_missing() -> None:
    """A shard, or a segment of the report, that went is damage, and is told by its name."""
    store = MemoryStore()
    folder = folder_in(store)
    shard = written(folder)
    segment = folder.put_segment(0, 1, 0, [reported(row) for row in rows(3)])
    store.delete(f"jobs/one/{segment.name}")
    with pytest.raises(DamagedJob, match="it is missing; restore the file") as raised:
        list(folder.report(shard, Done(counts=Counts(succeeded=3), segments=(segment,))))
    assert raised.value.subject == f"s3://memory/jobs/one/{segment.name}"
    store.delete("jobs/one/plan/000000.jsonl.gz")
    with pytest.raises(DamagedJob, match="it is missing; restore the file") as raised:
        folder.rows(shard)
    assert raised.value.subject == "s3://memory/jobs/one/plan/000000.jsonl.gz"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("plan", 1, "the field plan is 1"),
        ("totals.rows", 4, "totals.rows is 4"),
        ("shards.0.number", 1, "does not follow"),
        ("shards.0.first", 1, "does not follow"),
        ("shards.0.rows", 0, "does not follow"),
        ("shards.0.rows", "3", r"\$\.shards"),
    ],
)
def test_a_plan_that_does_not_add_up(field: str, value: object, message: str) -> None:
    """Totals and shards of a plan have to agree."""
    store = MemoryStore()
    folder = folder_in(store)
    folder.put_plan(Plan(plan=0, totals=PlanTotals(rows=3), shards=(written(folder),)))
    assert len(folder.plans()) == 1
    plan = json.loads(store.get_bytes("jobs/one/plan.json"))
    *path, last = [int(name) if name.isdigit() else name for name in field.split(".")]
    where = plan
    for name in path:
        where = where[name]
    where[last] = value
    store.put_bytes("jobs/one/plan.json", json.dumps(plan).encode())
    with pytest.raises(DamagedJob, match=message):
        folder.plans()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"n":1', '"n":7'), "line 2: the field n is 7"),
        (
            lambda text: text.replace('"source":"s3://bucket/a/000001"', '"source":"s3://x/y"'),
            "line 2: the field source",
        ),
        (lambda text: text.replace('"action":"download"', '"action":"delete"', 1), "line 1: the field action"),
        (lambda text: text.replace('"n":2,', '"n":2,"plan":1,'), "line 3: the field plan is 1"),
        (lambda text: text.replace('"status":"succeeded"', '"status":"fine"', 1), r"line 1 .*\$\.status"),
    ],
)
def test_report_rows_without_a_plan_row(change: Callable[[str], str], message: str) -> None:
    """A report row has to be of a planned row, in all that it repeats."""
    store = MemoryStore()
    folder = folder_in(store)
    shard = written(folder)
    segment = folder.put_segment(0, 1, 0, [reported(row) for row in rows(3)])
    assert len(folder.reported(shard, rows(3))[1]) == 3
    replaced(store, segment.name, change)
    with pytest.raises(DamagedJob, match=message) as raised:
        folder.reported(shard, rows(3))
    assert raised.value.subject == f"s3://memory/jobs/one/{segment.name}"


def test_a_torn_segment_counts_for_nothing() -> None:
    """What a crash of the machine left of a segment is dropped, and the others count."""
    store = MemoryStore()
    folder = folder_in(store)
    shard = written(folder)
    kept = folder.put_segment(0, 1, 0, [reported(rows(3)[0])])
    torn = f"jobs/one/{folder.put_segment(0, 1, 1, [reported(rows(3)[1])]).name}"
    store.put_bytes(torn, store.get_bytes(torn)[:-5])
    segments, found = folder.reported(shard, rows(3))
    assert (segments, set(found)) == ([kept], {0})


def test_the_first_of_two_rows_counts() -> None:
    """Where two runners reported one row, the row of the earlier attempt counts, for every reader."""
    folder = folder_in(MemoryStore())
    shard = written(folder)
    second = folder.put_segment(0, 2, 0, [reported(row, Status.FAILED) for row in rows(3)[1:]])
    first = folder.put_segment(0, 1, 0, [reported(row) for row in rows(2)])
    segments, found = folder.reported(shard, rows(3))
    assert segments == [first, second]
    assert [found[n].status for n in range(3)] == ["succeeded", "succeeded", "failed"]
    done = Done(counts=Counts(succeeded=2, failed=1), segments=(first, second))
    assert {row.n: row for row in folder.report(shard, done)} == found


def test_segments_after_the_end_do_not_count() -> None:
    """What another runner reports of a shard that is complete changes nothing."""
    folder = folder_in(MemoryStore())
    shard = written(folder)
    segment = folder.put_segment(0, 1, 0, [reported(row) for row in rows(3)])
    folder.put_done(0, Done(counts=Counts(succeeded=3), segments=(segment,)))
    folder.put_segment(0, 1, 1, [reported(row, Status.FAILED) for row in rows(3)])
    assert [row.status for row in folder.report(shard, folder.done(shard))] == ["succeeded"] * 3


def test_a_segment_of_the_end_is_the_one_that_counted() -> None:
    """A segment that changed after the shard was complete is refused, and so is one that has too few rows."""
    store = MemoryStore()
    folder = folder_in(store)
    shard = written(folder)
    segment = folder.put_segment(0, 1, 0, [reported(row) for row in rows(2)])
    done = Done(counts=Counts(succeeded=3), segments=(segment,))
    with pytest.raises(DamagedJob, match="2 of 3 rows"):
        list(folder.report(shard, done))
    replaced(store, segment.name, lambda text: text.replace("succeeded", "failed"))
    with pytest.raises(DamagedJob, match="SHA-256"):
        list(folder.report(shard, done))


@pytest.mark.parametrize("counts", [Counts(succeeded=2), Counts(succeeded=4, failed=-1)])
def test_an_end_that_does_not_add_up(counts: Counts) -> None:
    """The counts of a complete shard have to be those of its rows."""
    folder = folder_in(MemoryStore())
    shard = written(folder)
    folder.put_done(0, Done(counts=counts, segments=()))
    with pytest.raises(DamagedJob, match=r"adds up to|below 0"):
        folder.done(shard)


def test_each_attempt_is_one_runners() -> None:
    """Two runners never get the same attempt, also when one of them wins a race."""
    store = MemoryStore()
    folder = folder_in(store)
    assert folder.claim(0, CLAIM) == 1
    store.contend("jobs/one/report/000000.2.json", b"{}")
    assert folder.claim(0, Claim(runner="two", began=1.0)) == 3


def test_a_lost_reply_is_no_failure() -> None:
    """A file that is there although the reply was lost is there; the runner that wrote it goes on."""
    store = LossyStore()
    folder = folder_in(store)
    store.losing = 4
    folder.create(DESCRIPTION)
    shard = written(folder)
    assert folder.claim(0, CLAIM) == 1
    folder.put_segment(0, 1, 0, [reported(row) for row in rows(3)])
    assert store.losing == 0
    assert len(folder.reported(shard, rows(3))[1]) == 3


def test_a_refusal_is_one() -> None:
    """A file that is not there after an error has failed with that error, whatever else fails."""
    store = MemoryStore()
    store.fail_next("put_if_absent", AccessDenied("denied"))
    store.fail_next("get_bytes", Throttled("slow down"))
    with pytest.raises(AccessDenied):
        written(folder_in(store))


def test_another_programs_shard_counts() -> None:
    """A shard is never replaced: who comes second learns that it did."""
    store = MemoryStore()
    folder = folder_in(store)
    written(folder, 3)
    assert folder.put_shard(0, rows(2), plan=0) is None
    assert folder.put_shard(0, rows(3), plan=0) is not None, "the same shard is no other one"
    assert folder.found_shard(0, plan=0, first=0)[1] == rows(3)


@pytest.mark.parametrize("withheld", ["", "nothing was deleted, because not everything could be looked at"])
def test_what_is_withheld_is_no_success(withheld: str) -> None:
    """A plan whose rows all succeeded is not fulfilled while its deletions are withheld."""
    folder = folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    totals = PlanTotals(rows=3, withheld=withheld)
    folder.put_plan(Plan(plan=0, totals=totals, shards=(written(folder),)))
    segment = folder.put_segment(0, 1, 0, [reported(row) for row in rows(3)])
    folder.put_done(0, Done(counts=Counts(succeeded=3), segments=(segment,)))
    status = job_status(folder)
    assert (status.succeeded, status.left, status.complete, status.ok) == (3, 0, True, not withheld)
    assert bool(unfinished_text("job", [status])) is bool(withheld)
