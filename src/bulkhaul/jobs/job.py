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
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from bulkhaul import __version__
from bulkhaul.disk.paths import local_path
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.already_there import found_there
from bulkhaul.jobs.archives import Clock, Transfer, only_restored, restored
from bulkhaul.jobs.folder.description import FORMAT, JobDescription, Kind, Plan, Shard
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
from bulkhaul.jobs.runner import Pages, Runner
from bulkhaul.model.archives import RestoreCounts, RestoreOptions
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, ReportRow, Row, Status
from bulkhaul.model.settings import Settings, with_fields
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.permissions import needed
from bulkhaul.policy.preserving import require_compatible
from bulkhaul.policy.selection import Source, folder_prefix, parse_destination, parse_source, selector

_SECRET = frozenset({"sse_c_key"})
_OF_THE_MACHINE = frozenset({"state_dir", "timeouts", "limits"})
"""Settings that are no choice of the job's: where it runs has its own."""


def runner_name() -> str:
    """Return a name for this run that no other one has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def described(
    source: str,
    destination: str = "",
    *,
    kind: str = "copy",
    manifests: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_symlinks: bool | None = None,
    options: ObjectOptions | None = None,
    preserve: Collection[Kept] = (),
    restore: RestoreOptions | None = None,
    settings: Settings | None = None,
    origin: Settings | None = None,
) -> JobDescription:
    """Return the description of a job on everything below ``source``, or that matches it as a pattern.

    Args:
        source: ``s3://…``, or a folder of this machine, which is made absolute; empty where there are manifests.
        destination: likewise; empty for a deletion.
        kind: ``copy``, ``delete``, or ``restore``: without a destination nothing is moved.
        manifests: paths and objects that list what it is about.
        preserve: what copies between buckets keep, or fail.
        restore: how archived objects are brought back; a restore needs it not.
        origin: settings for the source, where they are not those of the destination.

    Raises:
        UsageError: it cannot mean anything.
    """
    try:
        known = Kind(kind)
    except ValueError:
        raise UsageError(f"a job of the kind {kind!r} cannot be made; the kinds are {', '.join(Kind)}") from None
    chosen = settings or Settings()
    if bool(source) == bool(manifests):
        raise UsageError("a job is made of a source or of manifests", source)
    if "-" in manifests:
        raise UsageError("a job may have to read its manifest again, so it cannot be stdin; name a file", "-")
    if known is Kind.DELETE and destination:
        raise UsageError("a deletion has no destination", destination)
    if known is Kind.COPY and not destination:
        raise UsageError("a copy needs a destination", source)
    if known is Kind.DELETE and restore is not None:
        raise UsageError("what is deleted need not be brought back", source)
    if not manifests and not (source.startswith("s3://") or destination.startswith("s3://")):
        raise UsageError("source or destination must begin with s3://; none of these does", source)
    require_compatible(options, frozenset(preserve))
    if preserve and not (destination.startswith("s3://") and (source.startswith("s3://") or manifests)):
        raise UsageError("only copies between buckets preserve what is named", source)
    for place in (source, destination):
        if place.startswith("s3://"):
            parse_destination(place)
    if known is Kind.DELETE and source:
        parse_source(source, recursive=True)
    return JobDescription(
        format=FORMAT,
        kind=known,
        source=_place(source),
        destination=_place(destination),
        manifests=tuple(map(_place, manifests)),
        include=tuple(include),
        exclude=tuple(exclude),
        follow_symlinks=follow_symlinks,
        options=options,
        preserve=tuple(sorted(preserve)),
        restore=restore or (RestoreOptions() if known is Kind.RESTORE else None),
        settings=_kept(chosen),
        origin=None if origin is None else _kept(origin),
        sse_c=chosen.sse_c_key is not None,
        made_by=f"bulkhaul {__version__}",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def settings_of(description: JobDescription, given: Mapping[str, Any], *, origin: bool = False) -> Settings:
    """Return the settings of a job, with those of this run in their place.

    Args:
        given: fields of ``Settings`` by name.
        origin: those for the source.

    Raises:
        UsageError: a setting is unknown or out of range, or the key of SSE-C is missing.
    """
    base = _settings((description.origin if origin else description.settings) or {})
    if description.sse_c and not given.get("sse_c_key"):
        raise UsageError("the job's objects have a customer's key (SSE-C), which is not kept; give it again")
    return with_fields(base, given)


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
    planner = Planner(folder, found, engine.settings, relayed=origin is not None)
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

    def carry_archived(action: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        if description.restore is None or action not in (Action.DOWNLOAD, Action.COPY, Action.RESTORE):
            return carry(action, pages)
        only = action is Action.RESTORE
        transfer: Transfer = only_restored(engine) if only else functools.partial(carry, action)
        control = (origin or engine).control
        return restored(control, pages, transfer, description.restore, only=only, counts=counts, clock=clock)

    async def look(row: Row) -> TransferResult | None:
        if description.preserve and row.action is Action.COPY:
            return None  # whether the copy has kept all of it is not known, so it is made once more
        return await found_there(engine.control, row, options, origin=(origin or engine).control)

    shards = _every_shard(engine, folder, origin, source)
    async with aclosing(Runner(folder, shards, carry_archived, look, name=name).rows()) as rows:
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
    settings, relayed = _settings(description.settings), description.origin is not None
    planner = Planner(folder, source, settings, relayed=relayed, plan=number, first_shard=first_shard)
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
    if from_s3:
        parsed = parse_source(description.source, recursive=True)
        listed = (parsed.bucket, parsed.prefix)
    stored_at: tuple[str, str] | None = None
    if to_s3:
        bucket, key = parse_destination(description.destination)
        stored_at = (bucket, folder_prefix(key))
    if description.kind is Kind.DELETE:
        action = Action.DELETE
    elif not to_s3:
        action = Action.DOWNLOAD
    else:
        action = Action.COPY if from_s3 or description.manifests else Action.UPLOAD
    needs = needed([action], lists=["source"] if from_s3 else [], preserve=description.preserve)
    options = description.options
    await check_permissions(engine, needs, source=listed, destination=stored_at, origin=origin, stored=options)


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
    return msgspec.structs.replace(row, reason=row.reason if not row.destination else f"it failed with {code}")


def _has_failures(folder: JobFolder, plan: Plan) -> bool:
    return any(folder.done(shard).counts.failed for shard in plan.shards)


def _listing(engine: AsyncEngine, origin: AsyncEngine | None, description: JobDescription) -> RowSource:
    where, destination = description.source, description.destination
    if description.manifests:
        kind: Literal["copy", "delete", "restore"] = description.kind.value
        opener = Opener(origin or engine)
        return GivenRows(lambda: rows_of_manifests(description.manifests, opener, kind, destination))
    if not where:
        raise NotFound("the rows of this job came from elsewhere, and its plan is not whole; make it again")
    if not where.startswith("s3://"):
        bucket, key = parse_destination(destination)
        takes = selector(Source(bucket, many=True), description.include, description.exclude)
        prefix = folder_prefix(key)
        return FileRows(where, bucket, prefix, takes, follow_symlinks=description.follow_symlinks)
    source = parse_source(where, recursive=True)
    takes = selector(source, description.include, description.exclude)
    control = (origin or engine).control
    if description.kind is Kind.DELETE:
        return ObjectRows(control, source, takes, delete_row(source))
    if not destination:
        return ObjectRows(control, source, takes, restore_row(source))
    if not destination.startswith("s3://"):
        return ObjectRows(control, source, takes, download_row(source, destination))
    bucket, key = parse_destination(destination)
    row_of = copy_row(source, bucket, folder_prefix(key), within=origin is None)
    return ObjectRows(control, source, takes, row_of)


def _place(place: str) -> str:
    if not place or place.startswith("s3://"):
        return place
    path = os.path.abspath(local_path(place))
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "the path is not valid UTF-8, so no job can name it; rename it, or link to it", path
        ) from error
    return path


def _settings(kept: Mapping[str, Any]) -> Settings:
    try:
        return msgspec.convert(kept, Settings)
    except msgspec.ValidationError as error:
        raise UsageError(f"the settings of the job cannot be used: {error}") from error


def _kept(settings: Settings) -> dict[str, Any]:
    """Return the settings that were chosen, without secrets and what belongs to this machine."""
    usual = Settings()
    names = [name for name in Settings.__struct_fields__ if name not in _SECRET | _OF_THE_MACHINE]
    chosen = {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(usual, name)}
    kept = msgspec.to_builtins(chosen)
    assert isinstance(kept, dict)
    return kept
