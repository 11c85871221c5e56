"""Makes the prefix of a benchmark, keeps a record of it before anything is stored there, and deletes what is recorded.

    record in the state folder ─▶ record in the bucket ─▶ objects …   ─▶ objects deleted ─▶ both records

A prefix has a random name, so nothing of anybody else's is below it. Whatever is deleted has a name that a benchmark
gives, is not longer than its objects are, and is not older than the record; anything else stays, and is told.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import datetime

import msgspec

from bulkhaul.benchmark.processes import ended_here, process_of, runs_here
from bulkhaul.benchmark.records import Record, decoded, forget, keep, kept
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.operations.abort_upload import parts_left
from bulkhaul.model.errors import NotFound, OtherError, TransferError, Unsupported, UsageError
from bulkhaul.model.limits import MAX_SKEW_S
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.workloads import ObjectTable
from bulkhaul.model.writing import Doomed, PendingUpload
from bulkhaul.policy.benchmark_keys import MARK, RECORD_NAME, own_name, table_key
from bulkhaul.policy.object_sizes import largest

SHOWN = 5
"""Keys that are named in messages."""


class Cleaned(msgspec.Struct):
    """What became of a prefix.

    Attributes:
        stayed: keys that no benchmark has made, the first few.
        stayed_count: of all of them.
        failed: message of each key that could not be deleted, and of each upload that could not be listed or aborted,
            the first few.
        aborted: multipart uploads that were begun there, and neither completed nor aborted.
        unsettled: requests were broken off, so the records stay.
    """

    deleted: int = 0
    aborted: int = 0
    stayed: list[str] = []
    stayed_count: int = 0
    failed: list[str] = []
    failed_count: int = 0
    unsettled: bool = False

    def refused(self, error: TransferError) -> None:
        """Note that something could not be deleted."""
        self.failed_count += 1
        if len(self.failed) < SHOWN:
            self.failed.append(str(error))


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
    keep(record, engine.settings.state_dir)
    try:
        await _store(engine, record)
    except TransferError as error:
        if error.info.unreached or 400 <= error.info.status < 500:  # else it may be there
            forget(record, engine.settings.state_dir)
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
    keep(full, engine.settings.state_dir)


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
    for record in kept(engine.settings.state_dir):
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


async def clean_place(engine: AsyncEngine, record: Record, *, settled: bool = True, killed: bool = False) -> Cleaned:
    """Delete what a benchmark has stored, its record last.

    In a bucket that keeps versions, all versions of its objects are deleted.

    Args:
        settled: False if requests were broken off that the service may carry out yet: the records stay then, and
            ``clean`` finds what comes.
        killed: its process has ended as if nothing were to be put away, so uploads may be left unfinished, too.

    Raises:
        TransferError: a listing, or a whole batch of deletions, failed; the same call goes on.
    """
    cleaned = Cleaned()
    records: list[Doomed] = []
    await _delete_listed(engine, record.bucket, _doomed(engine, record, cleaned, records), cleaned)
    if killed and record.names:  # only objects with names of their own are stored in parts
        await _abort_unfinished(engine, record, cleaned)
    cleaned.unsettled = not settled
    if settled and not cleaned.failed_count:
        await _delete_listed(engine, record.bucket, _each(records), cleaned)
    if settled and not cleaned.failed_count:
        forget(record, engine.settings.state_dir)
    return cleaned


async def put_right(engine: AsyncEngine, record: Record) -> list[int]:
    """Delete what runs have added to a prepared prefix; return the places of its objects that are missing.

    Raises:
        OtherError: some of it cannot be deleted, so a run would find other objects than were prepared.
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
    cleaned = Cleaned()
    await _delete_listed(engine, record.bucket, _each(added), cleaned)
    if cleaned.failed_count:
        raise OtherError(
            f"{cleaned.failed_count} objects that an earlier run has added cannot be deleted; delete them, or prepare"
            f" others by `bulkhaul bench prepare`: {cleaned.failed[0]}",
            record.url,
        )
    return [place for place in range(record.table.objects) if place not in there]


async def _abort_unfinished(engine: AsyncEngine, record: Record, cleaned: Cleaned) -> None:
    """Abort the multipart uploads that a benchmark has begun, and neither completed nor aborted."""
    found: list[PendingUpload] = []
    try:
        async with aclosing(engine.control.pending_uploads(record.bucket, record.prefix)) as pages:
            async for page in pages:
                found += page
    except Unsupported:
        return  # a service that lists none; nothing more can be done about them
    except TransferError as error:
        cleaned.refused(error)
        return
    for upload in found:
        if upload.key.removeprefix(record.prefix) not in record.names or not _since(record, upload.initiated):
            continue
        ref = ObjectRef(record.bucket, upload.key)
        try:
            gone = await engine.control.abort_upload(ref, upload.upload_id)
        except TransferError as error:
            cleaned.refused(error)
            continue
        if gone:
            cleaned.aborted += 1
        else:
            cleaned.refused(parts_left(ref.url))


async def _delete_listed(
    engine: AsyncEngine, bucket: str, doomed: AsyncGenerator[Doomed, None], cleaned: Cleaned
) -> None:
    async with aclosing(doomed), aclosing(engine.control.delete_many(bucket, doomed)) as results:
        async for result in results:
            if result.error is None:
                cleaned.deleted += 1
                continue
            cleaned.refused(result.error)


async def _each(doomed: list[Doomed]) -> AsyncGenerator[Doomed, None]:
    for one in doomed:
        yield one


async def _doomed(
    engine: AsyncEngine, record: Record, cleaned: Cleaned, records: list[Doomed]
) -> AsyncGenerator[Doomed, None]:
    """Yield what is to be deleted before the record; put the record itself, in all its versions, into ``records``."""
    async for key, size, made, doomed in _listed(engine, record):
        name = key.removeprefix(record.prefix)
        # A delete marker has no size; what it hides is judged for itself.
        mine = _since(record, made) and size <= record.most_bytes
        if name == RECORD_NAME:  # this record, whatever else is there
            records.append(doomed)
        elif (own_name(name) or name in record.names) and mine:
            yield doomed
        else:
            cleaned.stayed_count += 1
            if len(cleaned.stayed) < SHOWN:
                cleaned.stayed.append(key)


async def _listed(
    engine: AsyncEngine, record: Record
) -> AsyncGenerator[tuple[str, int, datetime | None, Doomed], None]:
    """Yield (key, size, when it was made, what to delete) of everything below the prefix."""
    if await _keeps_versions(engine, record.bucket):
        async with aclosing(engine.control.versions(record.bucket, record.prefix)) as pages:
            async for page in pages:
                for one in page:
                    doomed = Doomed(one.key, one.version_id, marker=one.delete_marker)
                    yield one.key, one.size, one.last_modified, doomed
        return
    async with aclosing(engine.control.pages(record.bucket, record.prefix)) as listing:
        async for heads in listing:
            for head in heads:
                yield head.key, head.size, head.last_modified, Doomed(head.key)


async def _keeps_versions(engine: AsyncEngine, bucket: str) -> bool:
    """Return whether deletions would leave versions behind; a service that knows no versions keeps none.

    Raises:
        TransferError: it does not tell; nothing is deleted then, and the records stay.
    """
    try:
        return bool(await engine.control.versioning(bucket))
    except Unsupported:
        return False


def _since(record: Record, instant: datetime | None) -> bool:
    """Whether something is not older than the benchmark, as far as clocks of machine and service agree."""
    return instant is None or instant.timestamp() >= record.made_s - MAX_SKEW_S


async def _store(engine: AsyncEngine, record: Record) -> None:
    await engine.put_bytes(ObjectRef(record.bucket, record.prefix + RECORD_NAME), msgspec.json.encode(record))


async def _recorded(engine: AsyncEngine, bucket: str, prefix: str) -> Record | None:
    """Return the record in a bucket, None if there is none that belongs to this prefix."""
    try:
        data = await engine.get_bytes(ObjectRef(bucket, prefix + RECORD_NAME))
        record = decoded(data)
    except (NotFound, msgspec.MsgspecError):
        return None
    return record if (record.bucket, record.prefix) == (bucket, prefix) else None
