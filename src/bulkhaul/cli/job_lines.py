"""Makes the lines of the command job: what a plan comes to, and how far a job is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from bulkhaul.cli.lines import json_text
from bulkhaul.jobs.status import JobStatus
from bulkhaul.policy.sizes import format_size


def command(action: str, name: str, option: str = "") -> str:
    """Return what people are to type.

    >>> command("run", "my job", "--retry-failed")
    "`bulkhaul job run 'my job' --retry-failed`"
    """
    named = f"./{name}" if name.startswith("-") else name
    return f"`{' '.join(filter(None, ['bulkhaul', 'job', action, shlex.quote(named), option]))}`"


def status_json(status: JobStatus) -> str:
    """Return the status as a line of JSON."""
    return json_text("job", {"operation": "job status", "complete": status.complete, **msgspec.structs.asdict(status)})


def plan_text(name: str, status: JobStatus) -> str:
    """Return what the plan of a job comes to, for people."""
    rows = status.planned_rows
    text = f"planned {rows} object{'s' * (rows != 1)}, {format_size(status.planned_bytes)}"
    if status.unknown_sizes:
        text += f" and {status.unknown_sizes} of unknown size"
    text += "\n"
    if status.impossible:
        text += f"  cannot be done: {status.impossible}, by reasons that the run and the report tell\n"
    for operation, count in status.requests.items():
        text += f"  {operation}: {count}\n"
    if status.request_classes:
        text += "  charged as " + ", ".join(f"{name}: {count}" for name, count in status.request_classes.items()) + "\n"
    for route, size_bytes in status.routes.items():
        text += f"  {route}: {format_size(size_bytes)}\n"
    if status.archived_rows:
        text += f"  in an archive: {status.archived_rows} objects, {format_size(status.archived_bytes)}\n"
    return f"{text}{_retrievals(status)}{command('run', name)} carries it out\n"


def status_text(name: str, status: JobStatus) -> str:
    """Return how far a job is, for people."""
    planned = f"{status.planned_rows} planned" + ("" if status.planning_done else " so far")
    counts = f"{status.succeeded} succeeded, {status.failed} failed, {status.skipped} skipped, {status.left} left"
    text = f"{planned} = {counts}\n{format_size(status.done_bytes)}"
    if status.planned_bytes and status.planning_done and not status.unknown_sizes:
        text += f" of {format_size(status.planned_bytes)}"
    if status.rows_per_s:
        text += f", {status.rows_per_s:.1f} objects/s, {format_size(round(status.bytes_per_s))}/s"
    if status.left and status.eta_s is not None:
        text += f", ETA {timedelta(seconds=round(status.eta_s))}"
    text += "\n"
    if status.verdicts:
        text += ", ".join(f"{count} {verdict}" for verdict, count in status.verdicts.items()) + "\n"
    text += _retrievals(status)
    if status.unchanged:
        text += f"{status.unchanged} unchanged\n"
    if status.withheld:
        text += f"{status.withheld}\n"
    if status.left or not status.planning_done:
        text += f"{command('run', name)} goes on, unless a run is under way\n"
    elif status.failed:
        text += f"{command('run', name, '--retry-failed')} tries again what failed\n"
    return text


def _retrievals(status: JobStatus) -> str:
    """Return what is brought back from archives at most: objects that are back already are not asked for."""
    sizes = status.retrieval_bytes
    lines = [
        f"  to be retrieved, {tier}: {count} objects, {format_size(sizes.get(tier, 0))}\n"
        for tier, count in status.retrieval_requests.items()
    ]
    return "".join(lines)


def unfinished_text(name: str, ended: Sequence[JobStatus]) -> str:
    """Return why a run that has ended is no success, empty if it is one.

    Args:
        ended: the status of the job at its end.
    """
    (status,) = ended
    if status.ok:
        return ""
    if status.withheld:
        return status.withheld
    if not status.complete:
        return f"{status.left} of {status.planned_rows} objects are left; {command('run', name)} goes on"
    count = status.failed
    return f"{count} object{'s' * (count != 1)} failed; {command('run', name, '--retry-failed')} tries again"
