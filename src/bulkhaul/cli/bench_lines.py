"""Makes the lines of ``bulkhaul bench``: for people, for a terminal that is watched, and of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bulkhaul.benchmark.compare import Pair
from bulkhaul.benchmark.latencies import merged
from bulkhaul.benchmark.place import Cleaned
from bulkhaul.benchmark.results import Floors, Latencies, Result, Run, Window
from bulkhaul.cli.lines import json_text
from bulkhaul.model.errors import TransferError
from bulkhaul.policy.naming import printable
from bulkhaul.policy.sizes import format_size

CLEARED = "\r\x1b[K"
"""Erases the line of the cursor. Source: ECMA-48, EL."""


def window_line(number: int, repeat: int, window: Window, total_s: float) -> str:
    """Return one second of a run for a terminal.

    Args:
        total_s: how long the run takes; 0 if nobody knows.
    """
    done, moved = sum(window.done.values()), sum(window.moved_bytes.values())
    parts = [f"run {number} of {repeat}" if repeat > 1 else "", f"{done / window.length_s:,.0f} requests/s"]
    if moved:
        parts.append(f"{format_size(moved / window.length_s)}/s")
    parts.append(f"p50 {window.p50_ms:.1f} ms  p99 {window.p99_ms:.1f} ms")
    if window.failed:
        parts.append(f"{window.failed} failed")
    if window.waiting:
        parts.append(f"{window.waiting} waiting")
    if total_s:
        parts.append(f"{max(0.0, total_s - window.at_s - window.length_s):.0f} s left")
    return "  ".join(part for part in parts if part)


def window_json(number: int, window: Window) -> str:
    """Return one second of a run as JSON."""
    return json_text("window", {"run": number, **msgspec.to_builtins(window)})


def run_lines(run: Run) -> str:
    """Return what a run brought, for people."""
    lines = [f"run {run.number}: {run.requests_per_s:,.1f} requests/s{_volume(run)}, {run.concurrency} connections"]
    rows = _latencies(run)
    if rows:
        lines.append(f"  {'ms':20}" + "".join(f"{name:>9}" for name in ("p50", "p90", "p99", "p99.9", "max")))
    for name, told in rows:
        values = (told.p50_ms, told.p90_ms, told.p99_ms, told.p999_ms, told.max_ms)
        lines.append(f"  {name:20}" + "".join(f"{value:9.2f}" for value in values))
    for one in run.failures:
        code = f"{printable(one.code)} {one.status or ''}".strip()
        lines.append(f"  {one.count} failed: {code}: {printable(one.message)}")
    if run.steady.replayed:
        lines.append("  all of it counts: the log said what was due when")
    elif run.steady.reached:
        lines.append(f"  steady from {run.steady.from_s:.0f} s to {run.steady.to_s:.0f} s, which is what counts")
    else:
        lines.append("  never steady: all of it counts; measure for longer (--duration)")
    if run.never_begun:
        lines.append(f"  {run.never_begun:,} requests were due, and never begun before the time was over")
    if run.interrupted:
        lines.append("  interrupted: it ended early")
    lines.append(f"  {run.limit.sentence}")
    return "\n".join(lines) + "\n"


def run_json(run: Run) -> str:
    """Return a run as JSON, without its windows, which were told, and without histograms."""
    fields = msgspec.to_builtins(run)
    for name in ("windows", "connections"):
        del fields[name]
    for measured in fields["measured"]:
        for kind in ("whole", "first_byte"):
            if measured.get(kind):
                del measured[kind]["histogram"]
    return json_text("run", fields)


def floors_line(floors: Floors) -> str:
    """Return what endpoint and disk give at best, for people."""
    parts = [f"connect {floors.connect_ms:.1f} ms", f"first byte {floors.first_byte_ms:.1f} ms"]
    if floors.connection_bytes_per_s:
        parts.append(f"one connection {format_size(floors.connection_bytes_per_s)}/s")
        parts.append(f"{floors.sockets} connections {format_size(floors.sockets_bytes_per_s)}/s")
    if floors.disk_bytes_per_s:
        parts.append(f"disk {format_size(floors.disk_bytes_per_s)}/s")
    if floors.no_disk:
        parts.append(f"the disk could not be probed: {floors.no_disk}")
    return f"at best, by plain sockets: {', '.join(parts)}\n"


def comparison_json(pair: Pair) -> str:
    """Return a comparison of two results as JSON."""
    return json_text("comparison", msgspec.to_builtins(pair))


def cleans_on_line(urls: Sequence[str]) -> str:
    """Return what is told of an interruption while objects are deleted, or are to be."""
    return f"deleting what was made; press Ctrl-C again to leave it, {_cleaned_later(urls)}\n"


def left_line(urls: Sequence[str]) -> str:
    """Return what is told when a second interruption leaves objects."""
    return f"bulkhaul: what was made is left, {_cleaned_later(urls)}\n"


def kept_line(url: str) -> str:
    """Return where objects stay, for people."""
    return f"objects stay below {printable(url)}; `bulkhaul bench clean {printable(url)}` deletes them\n"


def files_line(result: Result, folder: str, repeat: int) -> str:
    """Return where a result is, and how much of it where that is not all, for people."""
    whole = sum(not run.interrupted for run in result.runs)
    part = "" if whole == repeat else f" with {whole} of {repeat} runs"
    if part and whole < len(result.runs):
        part += f", and the beginning of run {result.runs[-1].number}"
    return f"{folder}: result.json, report.html{part}\n"


def _cleaned_later(urls: Sequence[str]) -> str:
    commands = " and ".join(f"`bulkhaul bench clean {printable(url)}`" for url in urls)
    return f"{commands} {'delete' if len(urls) > 1 else 'deletes'} it later"


def not_deleted_line(url: str, error: TransferError) -> str:
    """Return what is told when the deletion of what was made has failed."""
    text = f"what was made is left, for deleting it failed: {printable(str(error))}"
    return f"bulkhaul: {text}; {_cleaned_later([url])}\n"


def cleaned_lines(cleaned: Cleaned, url: str) -> str:
    """Return what was deleted, and what was not and why, for people."""
    clean = f"`bulkhaul bench clean {printable(url)}`"
    lines = [f"{printable(url)}: {cleaned.deleted} objects deleted"]
    if cleaned.aborted:
        lines.append(f"  {cleaned.aborted} unfinished uploads aborted")
    if cleaned.stayed_count:
        lines.append(f"  {cleaned.stayed_count} stayed, for no benchmark made them: {_some(cleaned.stayed)}")
    if cleaned.failed_count:
        lines.append(
            f"  {cleaned.failed_count} objects or uploads could not be deleted; run {clean}: {_some(cleaned.failed)}"
        )
    if cleaned.unsettled:
        lines.append(f"  requests were broken off, which the service may carry out yet; later, run {clean}")
    return "\n".join(lines) + "\n"


def cleaned_fields(cleaned: Cleaned, url: str) -> dict[str, Any]:
    """Return the same for a line of JSON."""
    return {
        "prefix": url,
        "deleted": cleaned.deleted,
        "aborted": cleaned.aborted,
        "stayed": cleaned.stayed_count,
        "failed": cleaned.failed_count,
        "examples": [*cleaned.stayed, *cleaned.failed],
    }


def summary_fields(result: Result, folder: str) -> dict[str, Any]:
    """Return the last line of JSON of a benchmark."""
    return {
        "name": result.name,
        "prefix": result.url,
        "runs": len(result.runs),
        "steady": all(run.steady.reached for run in result.runs),
        "requests_per_s": [run.requests_per_s for run in result.runs],
        "bytes_per_s": [run.bytes_per_s for run in result.runs],
        "limits": [run.limit.name for run in result.runs],
        "folder": folder,
    }


def _latencies(run: Run) -> list[tuple[str, Latencies]]:
    """Return (name, latencies) of each operation, all sizes together."""
    found: list[tuple[str, Latencies]] = []
    for operation in dict.fromkeys(measured.operation for measured in run.measured):
        of = [measured for measured in run.measured if measured.operation == operation and measured.done]
        if not of:
            continue
        firsts = [measured.first_byte for measured in of if measured.first_byte is not None]
        if firsts:
            found.append((f"{operation}, first byte", merged(firsts)))
        found.append((f"{operation}, whole", merged([measured.whole for measured in of])))
    return found


def _volume(run: Run) -> str:
    return f", {format_size(run.bytes_per_s)}/s" if run.bytes_per_s else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(printable(name) for name in names) + " …"
