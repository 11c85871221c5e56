"""Makes, plans, runs and retries jobs for asyncio programs; ``blocking`` is the face for all others.

described ─▶ create ─▶ planning ─▶ plan.json
                          │ shards
                          ╰─▶ running ─▶ report rows          retry: failed rows ─▶ planning of the next plan
"""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Literal

import msgspec

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.transfers.endpoints import files_below
from bulkhaul.jobs.already_there import found_there
from bulkhaul.jobs.archives import Clock, Parks, Transfer, only_restored, restored
from bulkhaul.jobs.describing import kept_settings
from bulkhaul.jobs.folder.description import JobDescription, Kind, Plan, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.plan_rows import rows_of_manifests
from bulkhaul.jobs.permissions import check_permissions
from bulkhaul.jobs.planner import Planner
from bulkhaul.jobs.row_sources import (
    FileRows,
    GivenRows,
    ObjectRows,
    RowSource,
    copy_row,
    delete_row,
    download_row,
    restore_row,
)
from bulkhaul.jobs.runner import Carry, Pages, Runner
from bulkhaul.jobs.sync_rows import SyncRows
from bulkhaul.jobs.sync_run import SyncRun
from bulkhaul.jobs.verify_rows import RowCheck, VerifyRows
from bulkhaul.jobs.version_rows import VersionRows
from bulkhaul.model.archives import RestoreCounts
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, ReportRow, Row, Status
from bulkhaul.model.writing import DEFAULT_OPTIONS
from bulkhaul.policy.comparison import waits_for_deletion
from bulkhaul.policy.permissions import Side, needed
from bulkhaul.policy.selection import folder_prefix, parse_destination, parse_source, selector
from bulkhaul.policy.verify_rules import parse_rules

_OF_MANIFESTS: Mapping[Kind, Literal["copy", "delete", "restore", "verify"]] = {
    Kind.COPY: "copy",
    Kind.DELETE: "delete",
    Kind.RESTORE: "restore",
    Kind.VERIFY: "verify",
}
"""Kinds of jobs that manifests can be the source of; a sync compares two places."""


def runner_name() -> str:
    """Return a name for this run that no other one has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


async def planned(
    engine: AsyncEngine, folder: JobFolder, *, origin: AsyncEngine | None = None, source: RowSource | None = None
) -> AsyncGenerator[Shard, None]:
    """Plan a job, or go on with its plan, and yield each shard when it is written.

    Args:
        origin: asks the service of the source, where that is another one.
        source: what the rows come from, where that is no listing.

    Raises:
        NotFound: nothing is selected.
        MissingPermission: the job needs what the credentials do not allow.
        TransferError: the listing failed, or the folder refused.
    """
    description = await asyncio.to_thread(folder.description)
    if source is None:
        await _require_permissions(engine, origin, description)
    found = source or _listing(engine, origin, description)
    planner = Planner(
        *(folder, found, engine.settings),
        relayed=origin is not None,
        preserve=description.preserve,
        tier=description.restore.tier if description.restore is not None else None,
    )
    async with aclosing(planner.shards()) as shards:
        async for shard in shards:
            yield shard


async def run(
    engine: AsyncEngine,
    folder: JobFolder,
    *,
    name: str,
    origin: AsyncEngine | None = None,
    source: RowSource | None = None,
    counts: RestoreCounts | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[ReportRow, None]:
    """Do what is left of a job, and yield the report row of each object as it ends.

    A plan that is not whole is planned on meanwhile. Cancelling this pauses the job: when it has ended, the report has
    everything that was done.

    Args:
        name: of this run, as ``runner_name`` makes it.
        origin, source: as for ``planned``.
        counts: what became of archived objects; it is kept up to date.
        clock: by which they are waited for.

    Raises:
        DamagedJob: a file of the job cannot be right.
        TransferError: the plan, the work or the report cannot go on; the next run does what is left.
    """
    description = await asyncio.to_thread(folder.description)
    options = description.options

    def carry(action: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        if action is Action.UPLOAD:
            return engine.upload_rows(pages, options or DEFAULT_OPTIONS)
        if action is Action.COPY:
            return engine.copy_rows(pages, options, origin=origin, preserve=description.preserve)
        if action is Action.DELETE:
            return engine.delete_rows(pages)
        return engine.download_rows(pages, description.destination)

    def restoring(carry: Carry, parks: Parks) -> Carry:
        """Return what does rows, and has their objects brought back before where the job says so."""

        def carried(action: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
            how = description.restore
            if how is None or action not in (Action.DOWNLOAD, Action.COPY, Action.RESTORE):
                return carry(action, pages)
            only = action is Action.RESTORE
            transfer: Transfer = only_restored(engine) if only else functools.partial(carry, action)
            control = (origin or engine).control
            return restored(control, pages, transfer, how, only=only, counts=counts, clock=clock, parks=parks)

        return carried

    async def look(row: Row) -> TransferResult | None:
        if row.older is not None:
            return None  # the engine looks, in the order of the versions
        if description.preserve and row.action is Action.COPY:
            return None  # whether the copy has kept all of it is not known, so it is made once more
        return await found_there(engine.control, row, options, engine.settings, origin=(origin or engine).control)

    if description.kind is Kind.SYNC and source is None:
        source = _listing(engine, origin, description)
    shards = _every_shard(engine, folder, origin, source)
    if description.kind is Kind.SYNC:
        syncing = SyncRun(engine, origin, folder, description, look, restoring, name=name)
        work = syncing.rows(shards, lambda: isinstance(source, SyncRows) and source.listed_now)
    elif description.comparison is not None:
        check = RowCheck(engine, origin or engine, description.comparison)
        work = Runner(folder, shards, lambda _, pages: check.results(pages), look, name=name).rows()
    else:
        archived = restoring(carry, lambda numbers: runner.park(numbers))
        many = bool(description.manifests) or source is not None
        runner: Runner = Runner(folder, shards, archived, look, name=name, many_buckets=many)
        work = runner.rows()
    async with aclosing(work) as rows:
        async for row in rows:
            yield row


async def retry(folder: JobFolder) -> Plan | None:
    """Plan the rows again that failed in the last plan; None if none did.

    Raises:
        UsageError: the last plan has not been run to its end.
        DamagedJob: a file of the job cannot be right.
    """
    description = await asyncio.to_thread(folder.description)
    plans = await asyncio.to_thread(folder.plans)
    if not plans:
        raise UsageError("the job has no whole plan yet; run it first", folder.name)
    done = await asyncio.to_thread(folder.done_numbers)
    last = plans[-1]
    if left := [shard.number for shard in last.shards if shard.number not in done]:
        raise UsageError(f"{len(left)} shards of the job are not done; run it to its end first", folder.name)
    source = GivenRows(functools.partial(_failed_pages, folder, last))
    number = last.plan + 1
    first_shard = sum(len(plan.shards) for plan in plans)
    if not await asyncio.to_thread(_has_failures, folder, last):
        return None
    settings, relayed = kept_settings(description.settings), description.origin is not None
    planner = Planner(
        *(folder, source, settings),
        relayed=relayed,
        preserve=description.preserve,
        tier=description.restore.tier if description.restore is not None else None,
        plan=number,
        first_shard=first_shard,
    )
    async with aclosing(planner.shards()) as shards:
        async for _ in shards:
            pass
    return (await asyncio.to_thread(folder.plans))[number]


def report_rows(folder: JobFolder) -> Iterator[ReportRow]:
    """Yield every report row of a job that there is, of all its plans, in the order of the shards; waits for the store.

    Raises:
        DamagedJob: a file of the job cannot be right.
    """
    shards = _planned_shards(folder)
    done = folder.done_numbers()
    for shard in shards:
        if shard.number in done:
            yield from folder.report(shard, folder.done(shard))
        else:
            yield from folder.reported(shard, folder.rows(shard))[1].values()


def _planned_shards(folder: JobFolder) -> Iterator[Shard]:
    """Yield all shards, also those of a plan that is not whole yet."""
    if plans := folder.plans():
        for plan in plans:
            yield from plan.shards
        return
    first = 0
    for number in range(folder.shards_written()):
        shard, _ = folder.found_shard(number, plan=0, first=first)
        first += shard.rows
        yield shard


async def _require_permissions(engine: AsyncEngine, origin: AsyncEngine | None, description: JobDescription) -> None:
    """Try what the job needs on one object: its run may be hours away."""
    from_s3, to_s3 = description.source.startswith("s3://"), description.destination.startswith("s3://")
    listed: tuple[str, str] | None = None
    takes: Callable[[str], bool] | None = None
    if from_s3:
        parsed = parse_source(description.source, recursive=True)
        listed = (parsed.bucket, parsed.prefix)
        takes = selector(parsed, description.include, description.exclude)
    stored_at: tuple[str, str] | None = None
    if to_s3:
        bucket, key = parse_destination(description.destination)
        stored_at = (bucket, folder_prefix(key))
    if description.kind is Kind.VERIFY:
        action = Action.VERIFY
        if to_s3:
            other = parse_source(description.destination, recursive=True)
            stored_at = (other.bucket, other.prefix)
    elif description.kind is Kind.DELETE:
        action = Action.DELETE
    elif not description.destination:
        action = Action.RESTORE
    elif not to_s3:
        action = Action.DOWNLOAD
    else:
        action = Action.COPY if from_s3 or description.manifests else Action.UPLOAD
    lists: list[Side] = ["source"] if from_s3 and action is not Action.VERIFY else []  # one object is not listed
    if versions := description.all_versions:
        lists.append("destination")
    restore, kept = description.restore is not None, description.preserve
    if description.comparison is not None:
        kept = tuple(map(Kept, parse_rules(description.comparison.compare)[1]))
    needs = needed([action], lists=lists, preserve=kept, restore=restore, versions=versions, deletes=versions)
    options = description.options
    await check_permissions(
        engine, needs, source=listed, destination=stored_at, origin=origin, stored=options, takes=takes
    )


async def _every_shard(
    engine: AsyncEngine, folder: JobFolder, origin: AsyncEngine | None, source: RowSource | None
) -> AsyncGenerator[Shard, None]:
    plans = await asyncio.to_thread(folder.plans)
    if not plans:
        async with aclosing(planned(engine, folder, origin=origin, source=source)) as shards:
            async for shard in shards:
                yield shard
    for plan in plans:
        for shard in plan.shards:
            yield shard


async def _failed_pages(folder: JobFolder, plan: Plan) -> AsyncGenerator[Sequence[Row], None]:
    for shard in plan.shards:
        yield await asyncio.to_thread(_failed_rows, folder, shard)


def _failed_rows(folder: JobFolder, shard: Shard) -> list[Row]:
    done = folder.done(shard)
    if not done.counts.failed:
        return []
    failed = {row.n: row for row in folder.report(shard, done) if row.status is Status.FAILED}
    return [_again(row, failed[row.n]) for row in folder.rows(shard) if row.n in failed]


def _again(row: Row, report: ReportRow) -> Row:
    code = report.error.code if report.error else "an error without a name"
    decides = not row.destination or waits_for_deletion(row.reason)  # the reason: of what cannot be stored, or not yet
    return msgspec.structs.replace(row, reason=row.reason if decides else f"it failed with {code}")


def _has_failures(folder: JobFolder, plan: Plan) -> bool:
    return any(folder.done(shard).counts.failed for shard in plan.shards)


def _listing(engine: AsyncEngine, origin: AsyncEngine | None, description: JobDescription) -> RowSource:
    where, destination = description.source, description.destination
    if description.sync is not None:
        kept, stored = description.preserve, description.options
        return SyncRows(engine, origin or engine, where, destination, description.sync, preserve=kept, stored=stored)
    if description.comparison is not None and where:
        patterns = description.include, description.exclude
        return VerifyRows(engine, origin or engine, (where, destination), *patterns)
    if description.manifests:
        kind = _OF_MANIFESTS[description.kind]
        opener = Opener(origin or engine)
        return GivenRows(lambda: rows_of_manifests(description.manifests, opener, kind, destination))
    if not where:
        raise NotFound("the rows of this job came from elsewhere, and its plan is not whole; make it again")
    if not where.startswith("s3://"):
        bucket, key = parse_destination(destination)
        takes = selector(files_below(where), description.include, description.exclude)
        prefix = folder_prefix(key)
        links = engine.settings.store_links
        return FileRows(where, bucket, prefix, takes, follow_symlinks=description.follow_symlinks, stores_links=links)
    source = parse_source(where, recursive=True)
    if description.all_versions:
        return VersionRows(engine, origin or engine, description)
    takes = selector(source, description.include, description.exclude)
    control = (origin or engine).control
    if description.kind is Kind.DELETE:
        return ObjectRows(control, source, takes, delete_row(source))
    if not destination:
        return ObjectRows(control, source, takes, restore_row(source))
    if not destination.startswith("s3://"):
        links = engine.settings.store_links
        takes = selector(source, description.include, description.exclude, stores_links=links)
        return ObjectRows(control, source, takes, download_row(source, destination))
    bucket, key = parse_destination(destination)
    row_of = copy_row(source, bucket, folder_prefix(key), within=origin is None)
    return ObjectRows(control, source, takes, row_of)
