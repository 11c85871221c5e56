"""Reads and writes the files of one job in any store, and believes none of them unchecked.

    job.json                       what was asked for; immutable
    plan/000123.jsonl.gz           rows of one shard, numbered through all plans; immutable
    plan.json, plan-1.json …       totals and the SHA-256 of each shard, when a plan is whole
    report/000123.2.json           a runner claims the second attempt at a shard
    report/000123.2.004.jsonl.gz   report rows of it, put once, never changed
    done/000123                    the shard is complete: its counts, and the segments that hold them

Every file is created once and only if it is absent, so several programs may work at a job without any lock. All methods
wait for the store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from bulkhaul.jobs.folder.description import (
    FORMAT,
    Claim,
    Done,
    JobDescription,
    Plan,
    Segment,
    Shard,
)
from bulkhaul.jobs.folder.lines import decode, encode, pack, unpack, unpack_whole
from bulkhaul.jobs.folder.plan_rows import plan_row
from bulkhaul.model.errors import DamagedJob, NotFound, TransferError, Unsupported, UsageError
from bulkhaul.model.rows import Action, ReportRow, Row
from bulkhaul.policy.links import link_path
from bulkhaul.store.protocol import ObjectStore

_report_row = msgspec.json.Decoder(ReportRow).decode

_SHARD = re.compile(r"plan/(\d{6,})\.jsonl\.gz")
_DONE = re.compile(r"done/(\d{6,})")
_ATTEMPT = re.compile(r"report/(\d{6,})\.(\d+)\.(?:(\d{3,})\.jsonl\.gz|json)")
_PLAN = re.compile(r"plan-([1-9]\d*)\.json")


class _Version(msgspec.Struct):
    format: int


class JobFolder:
    """The files of one job.

    Attributes:
        name: the folder as people know it: a path, or a URL.
    """

    def __init__(self, store: ObjectStore, prefix: str, name: str) -> None:
        """Take the store, and what is put before the name of each file: empty, or ending in a slash."""
        self.name = name
        self._store = store
        self._prefix = prefix

    # What the job is

    def create(self, description: JobDescription, *, again: bool = False) -> None:
        """Make the folder a job; it may be the same one already, as long as its plan is not whole.

        Args:
            again: its plan may be whole.

        Raises:
            UsageError: it is another one, or its plan is whole.
        """
        if not self._put("job.json", encode(description)):
            there = self.description()
            same = encode(replace(there, made=description.made, made_by=description.made_by)) == encode(description)
        else:
            same = True
        if same and (again or not self.plans()):
            return
        text = "there is a job in this folder already; run it, or name another folder"
        if not self.shards_written():
            text = (
                f"{text}; nothing of it is planned yet, so its job.json may be deleted, and this one made in its place"
            )
        raise UsageError(text, self.name)

    def description(self) -> JobDescription:
        """Return what the job is.

        Raises:
            NotFound: there is no job in the folder.
            Unsupported: a newer program made it.
            DamagedJob: its file cannot be right.
        """
        try:
            data = self._get("job.json")
        except NotFound as error:
            raise NotFound("there is no job in this folder; `bulkhaul job create` makes one", self.name) from error
        file = self._file("job.json")
        version = decode(data, _Version, file).format
        if version > FORMAT:
            text = f"a newer bulkhaul made this job (the field format is {version}, and this one knows {FORMAT})"
            raise Unsupported(f"{text}; use that one", file)
        if version < 1:
            raise DamagedJob(f"the field format is {version}", file)
        return decode(data, JobDescription, file)

    # Plans

    def plans(self) -> list[Plan]:
        """Return all plans that are whole, in order.

        Raises:
            DamagedJob: one of them does not add up, or does not go on where the one before ended.
        """
        try:
            plans = [self._plan("plan.json")]
        except NotFound:
            return []
        later = sorted(int(match[1]) for name in self._names("plan-") if (match := _PLAN.fullmatch(name)))
        plans += [self._plan(f"plan-{number}.json") for number in later]
        number = 0
        for place, plan in enumerate(plans):
            first, file = 0, self._file(_plan_name(place))
            if plan.plan != place:
                raise DamagedJob(f"the field plan is {plan.plan}, not {place}", file)
            for shard in plan.shards:
                if (shard.number, shard.plan, shard.first) != (number, place, first) or shard.rows < 1:
                    raise DamagedJob(f"the shard {shard.number} does not follow the one before it", file)
                number, first = number + 1, first + shard.rows
            if plan.totals.rows != first:
                raise DamagedJob(f"its shards have {first} rows, and the field totals.rows is {plan.totals.rows}", file)
        return plans

    def put_plan(self, plan: Plan) -> None:
        """Say that a plan is whole.

        Raises:
            DamagedJob: another program wrote another plan meanwhile.
        """
        if not self._put(_plan_name(plan.plan), encode(plan)):
            raise DamagedJob("another program wrote another plan", self._file(_plan_name(plan.plan)))

    def shards_written(self) -> int:
        """Return how many shards there are, of whole plans and of one that is being made.

        Raises:
            DamagedJob: one of them is missing.
        """
        numbers = sorted(int(match[1]) for name in self._names("plan/") if (match := _SHARD.fullmatch(name)))
        if numbers != list(range(len(numbers))):
            missing = next(place for place, number in enumerate(numbers) if number != place)
            raise DamagedJob("a shard is missing", self._file(_shard_name(missing)))
        return len(numbers)

    def put_shard(self, number: int, rows: Sequence[Row], *, plan: int) -> Shard | None:
        """Write a shard; None if another program wrote another one of this number."""
        data = pack(rows)
        if not self._put(_shard_name(number), data):
            return None
        return _shard(number, plan, rows, data)

    def rows_before(self, number: int) -> int:
        """Return how many rows the shards before this one have, of a plan that is not whole yet."""
        if not number:
            return 0
        name = _shard_name(number - 1)
        rows = unpack(self._get(name), plan_row, self._file(name))
        return rows[-1].n + 1 if rows else 0

    def found_shard(self, number: int, *, plan: int, first: int) -> tuple[Shard, list[Row]]:
        """Return a shard that nobody has vouched for yet, with its rows.

        Raises:
            DamagedJob: it cannot be right; the message names line and field.
        """
        data = self._get(_shard_name(number))
        rows = self._rows(number, data, first=first)
        return _shard(number, plan, rows, data), rows

    def rows(self, shard: Shard) -> list[Row]:
        """Return the rows of a shard.

        Raises:
            DamagedJob: they are not those that the plan names.
        """
        data, file = self._kept(_shard_name(shard.number)), self._file(_shard_name(shard.number))
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            raise DamagedJob("its SHA-256 is not the one that the plan names; restore the file", file)
        rows = self._rows(shard.number, data, first=shard.first)
        if len(rows) != shard.rows:
            raise DamagedJob(f"it has {len(rows)} rows, and the plan names {shard.rows}", file)
        return rows

    # Reports

    def done_numbers(self) -> set[int]:
        """Return the numbers of the shards that are complete."""
        return {int(match[1]) for name in self._names("done/") if (match := _DONE.fullmatch(name))}

    def done(self, shard: Shard) -> Done:
        """Return how a complete shard ended.

        Raises:
            DamagedJob: the counts are not those of this shard.
        """
        done = self.done_unplanned(shard.number)
        if done.counts.rows != shard.rows:
            text = f"the field counts adds up to {done.counts.rows} of {shard.rows} rows"
            raise DamagedJob(text, self._file(_done_name(shard.number)))
        return done

    def done_unplanned(self, number: int) -> Done:
        """Return how a complete shard ended, of a plan that is not whole yet.

        Raises:
            DamagedJob: a count is below 0.
        """
        name = _done_name(number)
        done = decode(self._get(name), Done, self._file(name))
        counts = done.counts
        if min(counts.succeeded, counts.failed, counts.skipped, counts.size_bytes) < 0:
            raise DamagedJob("the field counts holds a number below 0", self._file(name))
        return done

    def put_done(self, number: int, done: Done) -> bool:
        """Say that a shard is complete; False if another program said so before."""
        return self._put(_done_name(number), encode(done))

    def claim(self, number: int, claim: Claim) -> int:
        """Begin an attempt at a shard, and return its number, from 1: no other runner has that one."""
        attempt = 1 + max((int(match[2]) for match in self._attempts(number)), default=0)
        while not self._put(f"report/{number:06d}.{attempt}.json", encode(claim)):
            attempt += 1
        return attempt

    def put_segment(self, number: int, attempt: int, segment: int, rows: Sequence[ReportRow]) -> Segment:
        """Store report rows of an attempt for good.

        Raises:
            DamagedJob: somebody else wrote this segment, which only this runner may.
            TransferError: the store refused.
        """
        name, data = f"report/{number:06d}.{attempt}.{segment:03d}.jsonl.gz", pack(rows)
        if not self._put(name, data):
            raise DamagedJob("another program wrote into this attempt", self._file(name))
        return _segment(name, len(rows), data)

    def reported(
        self, shard: Shard, planned: Sequence[Row] | None = None
    ) -> tuple[list[Segment], dict[int, ReportRow]]:
        """Return what is reported of a shard that is not complete: its segments, and the first row of each ``n``.

        A segment that ends early counts for nothing: its rows are done once more.

        Args:
            planned: the rows of the shard, which those of the report are compared with; None for their numbers alone.

        Raises:
            DamagedJob: a row is none of the plan's.
        """
        segments: list[Segment] = []
        found: dict[int, ReportRow] = {}
        files = [match for match in self._attempts(shard.number) if match[3]]
        for match in sorted(files, key=lambda match: (int(match[2]), int(match[3]))):
            name = match[0]
            data = self._get(name)
            rows = unpack_whole(data, _report_row, self._file(name))
            if rows is None:
                continue
            segments.append(_segment(name, len(rows), data))
            for line, row in enumerate(rows, 1):
                self._check(row, shard, name, line)
                if planned is not None:
                    self._compare(row, planned[row.n - shard.first], name, line)
                found.setdefault(row.n, row)
        return segments, found

    def report(self, shard: Shard, done: Done) -> Iterator[ReportRow]:
        """Yield the report rows of a complete shard, each ``n`` once, in no certain order.

        Raises:
            DamagedJob: a segment is not the one that counts, or the rows are not those of the shard.
        """
        seen = set[int]()
        for segment in done.segments:
            data, file = self._kept(segment.name), self._file(segment.name)
            if hashlib.sha256(data).hexdigest() != segment.sha256:
                raise DamagedJob("its SHA-256 is not the one that counts; restore the file", file)
            for line, row in enumerate(unpack(data, _report_row, file), 1):
                self._check(row, shard, segment.name, line)
                if row.n not in seen:
                    seen.add(row.n)
                    yield row
        if len(seen) != shard.rows:
            text = f"its segments have {len(seen)} of {shard.rows} rows"
            raise DamagedJob(text, self._file(_done_name(shard.number)))

    # Files

    def _plan(self, name: str) -> Plan:
        return decode(self._get(name), Plan, self._file(name))

    def _rows(self, number: int, data: bytes, *, first: int) -> list[Row]:
        file = self._file(_shard_name(number))
        rows = unpack(data, plan_row, file)
        if not rows:
            raise DamagedJob("it has no rows", file)
        for place, row in enumerate(rows):
            if row.n != first + place:
                raise DamagedJob(f"line {place + 1}: the field n is {row.n}, not {first + place}", file)
            if not row.source:
                raise DamagedJob(f"line {place + 1}: the field source is empty", file)
            if row.size is not None and row.size < 0:
                raise DamagedJob(f"line {place + 1}: the field size_bytes is {row.size}", file)
        return rows

    def _check(self, row: ReportRow, shard: Shard, name: str, line: int) -> None:
        if row.plan != shard.plan:
            raise DamagedJob(f"line {line}: the field plan is {row.plan}, not {shard.plan}", self._file(name))
        if not shard.first <= row.n < shard.first + shard.rows:
            raise DamagedJob(f"line {line}: the field n is {row.n}, and the shard has no such row", self._file(name))

    def _compare(self, row: ReportRow, planned: Row, name: str, line: int) -> None:
        for field in ("action", "source", "destination"):
            told, wanted = getattr(row, field), getattr(planned, field)
            is_link = field == "destination" and row.action is Action.DOWNLOAD and told == link_path(wanted)
            if told != wanted and not is_link:  # a stored link is made by its own name
                raise DamagedJob(f"line {line}: the field {field} is not the plan's", self._file(name))

    def _attempts(self, number: int) -> list[re.Match[str]]:
        names = self._names(f"report/{number:06d}.")
        return [match for name in names if (match := _ATTEMPT.fullmatch(name)) and int(match[1]) == number]

    def _names(self, prefix: str) -> list[str]:
        return [info.key.removeprefix(self._prefix) for info in self._store.list(self._prefix + prefix)]

    def _get(self, name: str) -> bytes:
        return self._store.get_bytes(self._prefix + name)

    def _kept(self, name: str) -> bytes:
        """Return a file that another file of the job names."""
        try:
            return self._get(name)
        except NotFound as error:
            raise DamagedJob("it is missing; restore the file", self._file(name)) from error

    def _put(self, name: str, data: bytes) -> bool:
        """Create a file; False if there is one with other bytes. An error after which the bytes are there is none."""
        try:
            if self._store.put_if_absent(self._prefix + name, data):
                return True
        except TransferError as error:
            try:
                if self._get(name) == data:
                    return True
            except TransferError:  # the first error tells why there is no file
                raise error from None
            raise
        return self._get(name) == data

    def _file(self, name: str) -> str:
        return f"{self.name.rstrip('/')}/{name}"


def _plan_name(plan: int) -> str:
    return f"plan-{plan}.json" if plan else "plan.json"


def _shard_name(number: int) -> str:
    return f"plan/{number:06d}.jsonl.gz"


def _done_name(number: int) -> str:
    return f"done/{number:06d}"


def _shard(number: int, plan: int, rows: Sequence[Row], data: bytes) -> Shard:
    size_bytes = sum(row.size or 0 for row in rows)
    digest = hashlib.sha256(data).hexdigest()
    return Shard(
        number=number,
        plan=plan,
        first=rows[0].n,
        rows=len(rows),
        size_bytes=size_bytes,
        sha256=digest,
        deletes=all(row.action is Action.DELETE for row in rows),
    )


def _segment(name: str, rows: int, data: bytes) -> Segment:
    return Segment(name=name, rows=rows, sha256=hashlib.sha256(data).hexdigest())
