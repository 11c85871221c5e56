"""Makes the prefix of a benchmark, keeps a record of it before anything is stored there, and deletes what is recorded.

    record in the state folder ─▶ record in the bucket ─▶ objects …   ─▶ objects deleted ─▶ both records

A prefix has a random name, so nothing of anybody else's is below it. Whatever is deleted has a name that a benchmark
gives, is not longer than its objects are, and is not older than the record; anything else stays, and is told.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import datetime

import msgspec

from bulkhaul.benchmark.processes import ended_here, process_of, runs_here
from bulkhaul.disk.state import flush_folder, state_error, state_folder, state_path
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.errors import NotFound, TransferError, Unsupported, UsageError
from bulkhaul.model.limits import MAX_SKEW_S
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.workloads import ObjectTable
from bulkhaul.model.writing import Doomed
from bulkhaul.policy.benchmark_keys import MARK, RECORD_NAME, own_name, table_key
from bulkhaul.policy.object_sizes import largest

KIND = "benchmarks"
"""The folder of records in the state folder."""

NEW = ".new"
"""Ends the name of a record that is being written."""


class Record(msgspec.Struct, frozen=True):
    """What a benchmark has stored, or is about to store.

    Attributes:
        prefix: everything is below it.
        prepared: it was made for several runs, and is deleted only by ``clean``.
        names: of objects below the prefix that are not named by the table.
        process: that fills it, or measures there (see ``processes``); empty of what is prepared and full.
        made_s: Unix time.
    """

    endpoint: str
    bucket: str
    prefix: str
    table: ObjectTable
    size: str
    most_bytes: int
    prepared: bool
    made_s: float
    names: frozenset[str] = frozenset()
    process: str = ""

    @property
    def url(self) -> str:
        """The URL of the prefix."""
        return f"s3://{self.bucket}/{self.prefix}"


class Cleaned(msgspec.Struct):
    """What became of a prefix.

    Attributes:
        stayed: keys that no benchmark has made, the first few.
        stayed_count: of all of them.
        failed: message of each key that could not be deleted, the first few.
        unsettled: requests were broken off, so the records stay.
    """

    deleted: int = 0
    stayed: list[str] = []
    stayed_count: int = 0
    failed: list[str] = []
    failed_count: int = 0
    unsettled: bool = False


SHOWN = 5
"""Keys that are named in messages."""

_RECORDS: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


async def make_place(
    engine: AsyncEngine,
    bucket: str,
    base: str,
    table: ObjectTable,
    size: str,
    *,
    prepared: bool,
    names: Collection[str] = (),
) -> Record:
    """Make a prefix below ``base`` and record it, here and in the bucket.

    Args:
        names: of objects that are stored there beside those of the table; none is longer than that table's longest.

    Raises:
        LocalError: the record cannot be kept, so nothing is stored.
        TransferError: the service refused.
    """
    target = await engine.control.target(bucket)
    prefix = f"{base}{MARK}{secrets.token_hex(6)}/"
    most_bytes = largest(table.sizes)
    own = frozenset(names)
    made = time.time(), own, process_of(os.getpid())
    record = Record(target.endpoint, bucket, prefix, table, size, most_bytes, prepared, *made)
    _keep(record, engine.settings.state_dir)
    try:
        await _store(engine, record)
    except TransferError as error:
        if error.info.unreached or 400 <= error.info.status < 500:  # else it may be there
            _forget(record, engine.settings.state_dir)
        raise
    return record


async def filled(engine: AsyncEngine, record: Record) -> None:
    """Record that all of a prepared prefix is there: it outlives the process that made it.

    Raises:
        LocalError: the record cannot be kept.
        TransferError: the service refused.
    """
    full = msgspec.structs.replace(record, process="")
    await _store(engine, full)
    _keep(full, engine.settings.state_dir)


async def find_place(engine: AsyncEngine, bucket: str, prefix: str) -> Record | None:
    """Return the record of a prefix that was prepared, None where the URL names no such prefix.

    Raises:
        UsageError: it has the name of one, and no record; or it is another benchmark's own, which deletes it.
    """
    name = prefix.rstrip("/").rpartition("/")[2]
    if not name.startswith(MARK):
        return None
    prefix = prefix.rstrip("/") + "/"
    record = await _recorded(engine, bucket, prefix)
    if record is None:
        url = f"s3://{bucket}/{prefix}"
        raise UsageError(f"{url}: no benchmark has a record here; make it by `bulkhaul bench prepare`")
    if not record.prepared:
        raise UsageError(
            f"{record.url}: it belongs to another benchmark; make one for yours by `bulkhaul bench prepare`"
        )
    if record.process:
        raise UsageError(
            f"{record.url}: not all of its objects were prepared yet; where nobody is about it, delete them by"
            f" `bulkhaul bench clean {record.url}`, and prepare others"
        )
    return record


async def left_places(engine: AsyncEngine, bucket: str, base: str, *, all_of_them: bool = False) -> list[Record]:
    """Return the records of what benchmarks that died on this machine have left below ``base``.

    Args:
        base: it may also be the prefix of one benchmark, prepared or not, of whatever machine.
        all_of_them: those of other machines, too, and what was prepared.
    """
    target = await engine.control.target(bucket)
    found: dict[str, Record] = {}
    named = base.rstrip("/").rpartition("/")[2].startswith(MARK)
    for record in _kept(engine.settings.state_dir):
        here = (record.endpoint, record.bucket) == (target.endpoint, bucket) and record.prefix.startswith(base)
        taken = named or ended_here(record.process) or (all_of_them and not runs_here(record.process))
        if here and taken:
            found[record.prefix] = record
    if not (named or all_of_them):
        return list(found.values())
    async with aclosing(engine.control.pages(bucket, base)) as pages:
        async for page in pages:
            for head in page:
                prefix, slash, name = head.key.rpartition("/")
                if name != RECORD_NAME or not prefix.rpartition("/")[2].startswith(MARK) or prefix + slash in found:
                    continue
                told = await _recorded(engine, bucket, prefix + slash)
                if told is not None and not runs_here(told.process):
                    found[told.prefix] = told
    return list(found.values())


async def clean_place(engine: AsyncEngine, record: Record, *, settled: bool = True) -> Cleaned:
    """Delete what a benchmark has stored, its record last.

    In a bucket that keeps versions, all versions of its objects are deleted.

    Args:
        settled: False if requests were broken off that the service may carry out yet: the records stay then, and
            ``clean`` finds what comes.

    Raises:
        TransferError: a listing, or a whole batch of deletions, failed; the same call goes on.
    """
    cleaned = Cleaned()
    records: list[Doomed] = []
    await _delete_listed(engine, record.bucket, _doomed(engine, record, cleaned, records), cleaned)
    cleaned.unsettled = not settled
    if settled and not cleaned.failed_count:
        await _delete_listed(engine, record.bucket, _each(records), cleaned)
    if settled and not cleaned.failed_count:
        _forget(record, engine.settings.state_dir)
    return cleaned


async def put_right(engine: AsyncEngine, record: Record) -> list[int]:
    """Delete what runs have added to a prepared prefix; return the places of its objects that are missing.

    Raises:
        TransferError: a listing or a batch of deletions failed.
    """
    there: set[int] = set()
    added: list[Doomed] = []
    async with aclosing(engine.control.pages(record.bucket, record.prefix)) as pages:
        async for heads in pages:
            for head in heads:
                name = head.key.removeprefix(record.prefix)
                if not own_name(name):
                    continue
                place = int(name.rpartition("/")[2])
                if place < record.table.objects and name == table_key("", record.table, place):
                    there.add(place)
                elif head.size <= record.most_bytes:
                    added.append(Doomed(head.key))
    await _delete_listed(engine, record.bucket, _each(added), Cleaned())
    return [place for place in range(record.table.objects) if place not in there]


async def _delete_listed(
    engine: AsyncEngine, bucket: str, doomed: AsyncGenerator[Doomed, None], cleaned: Cleaned
) -> None:
    async with aclosing(doomed), aclosing(engine.control.delete_many(bucket, doomed)) as results:
        async for result in results:
            if result.error is None:
                cleaned.deleted += 1
                continue
            cleaned.failed_count += 1
            if len(cleaned.failed) < SHOWN:
                cleaned.failed.append(str(result.error))


async def _each(doomed: list[Doomed]) -> AsyncGenerator[Doomed, None]:
    for one in doomed:
        yield one


async def _doomed(
    engine: AsyncEngine, record: Record, cleaned: Cleaned, records: list[Doomed]
) -> AsyncGenerator[Doomed, None]:
    """Yield what is to be deleted before the record; put the record itself, in all its versions, into ``records``."""
    async for key, size, made_s, doomed in _listed(engine, record):
        name = key.removeprefix(record.prefix)
        # A delete marker has no size; what it hides is judged for itself.
        since = (
            made_s is None or made_s >= record.made_s - MAX_SKEW_S
        )  # by so much the clocks of machine and service may differ
        mine = since and size <= record.most_bytes
        if name == RECORD_NAME:  # this record, whatever else is there
            records.append(doomed)
        elif (own_name(name) or name in record.names) and mine:
            yield doomed
        else:
            cleaned.stayed_count += 1
            if len(cleaned.stayed) < SHOWN:
                cleaned.stayed.append(key)


async def _listed(engine: AsyncEngine, record: Record) -> AsyncGenerator[tuple[str, int, float | None, Doomed], None]:
    """Yield (key, size, Unix time of its making, what to delete) of everything below the prefix."""
    if await _keeps_versions(engine, record.bucket):
        async with aclosing(engine.control.versions(record.bucket, record.prefix)) as pages:
            async for page in pages:
                for one in page:
                    doomed = Doomed(one.key, one.version_id, marker=one.delete_marker)
                    yield one.key, one.size, _unix(one.last_modified), doomed
        return
    async with aclosing(engine.control.pages(record.bucket, record.prefix)) as listing:
        async for heads in listing:
            for head in heads:
                yield head.key, head.size, _unix(head.last_modified), Doomed(head.key)


async def _keeps_versions(engine: AsyncEngine, bucket: str) -> bool:
    """Return whether deletions would leave versions behind; a service that knows no versions keeps none.

    Raises:
        TransferError: it does not tell; nothing is deleted then, and the records stay.
    """
    try:
        return bool(await engine.control.versioning(bucket))
    except Unsupported:
        return False


def _unix(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


async def _store(engine: AsyncEngine, record: Record) -> None:
    await engine.put_bytes(ObjectRef(record.bucket, record.prefix + RECORD_NAME), msgspec.json.encode(record))


async def _recorded(engine: AsyncEngine, bucket: str, prefix: str) -> Record | None:
    """Return the record in a bucket, None if there is none that belongs to this prefix."""
    try:
        data = await engine.get_bytes(ObjectRef(bucket, prefix + RECORD_NAME))
        record = _RECORDS.decode(data)
    except (NotFound, msgspec.MsgspecError):
        return None
    return record if (record.bucket, record.prefix) == (bucket, prefix) else None


# The records in the state folder


def _path(record: Record, folder: str) -> str:
    return os.path.join(folder, f"{record.prefix.rstrip('/').rpartition('/')[2]}.json")


def _keep(record: Record, state_dir: str | None) -> None:
    """Write a record, and wait until the disk has it: whatever is stored in the bucket is known from now on.

    An earlier one of the prefix is there until then.
    """
    folder = state_folder(state_dir, KIND)
    path = _path(record, folder)
    try:
        fd = os.open(path + NEW, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(fd)
        os.rename(path + NEW, path)
        flush_folder(folder)
    except OSError as error:
        raise state_error(error, path) from error


def _forget(record: Record, state_dir: str | None) -> None:
    path = _path(record, state_path(state_dir, KIND))
    for name in (path + NEW, path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _kept(state_dir: str | None) -> list[Record]:
    """Return the records that this machine keeps; a file that is none is left alone."""
    folder = state_path(state_dir, KIND)
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(name for name in os.listdir(folder) if not name.endswith(NEW)):
            with contextlib.suppress(OSError, msgspec.MsgspecError), open(os.path.join(folder, name), "rb") as file:
                found.append(_RECORDS.decode(file.read()))
    return found
