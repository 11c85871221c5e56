"""Makes the ``Run`` of a load that is over, and writes its op-log."""

from __future__ import annotations

import time
from pathlib import Path

from bulkhaul.benchmark.counting import count, limited_by, steady_part
from bulkhaul.benchmark.loading import Loaded
from bulkhaul.benchmark.op_log import write
from bulkhaul.benchmark.op_log_recorded import recorded
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.results import Floors, ProcessUse, Run, Steady


def run_of(
    loaded: Loaded, number: int, *, concurrency: int, floors: Floors | None, rate: float, replayed: bool = False
) -> Run:
    """Return what a load brought.

    Args:
        rate: requests a second that were due; 0 in a closed loop.
        replayed: a log said what was due when, so all of it counts.
    """
    everything = Steady(0.0, loaded.seconds, reached=True, replayed=True)
    part = everything if replayed else steady_part(loaded.windows, loaded.seconds)
    counts = count(loaded.spools, loaded.begins_ns, part)
    counts.processes = (ProcessUse("coordinator", round(loaded.coordinator_cpu, 4), 0.0), *counts.processes)
    seconds = max(part.to_s - part.from_s, 1e-9)
    return Run(
        number=number,
        began=loaded.began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        seconds=round(loaded.seconds, 3),
        steady=part,
        requests_per_s=round(counts.done / seconds, 3),
        bytes_per_s=round(counts.moved_bytes / seconds, 1),
        concurrency=concurrency,
        workers=len(loaded.spools),
        measured=counts.measured,
        windows=tuple(loaded.windows),
        failures=counts.failures,
        connections=counts.connections,
        processes=counts.processes,
        retransmits=loaded.tally.retransmits,
        limit=limited_by(counts, loaded.windows, part, floors, rate, loaded.machine_cpu),
        interrupted=loaded.interrupted,
        never_begun=sum(ended.never_begun for ended in loaded.ended),
    )


def write_op_log(loaded: Loaded, record: Record, path: Path, *, lanes: int) -> None:
    """Write every request of a load, as warp does.

    Raises:
        LocalError: the file cannot be written.
        UsageError: zstandard is not installed.
    """
    offset_ns = time.time_ns() - time.monotonic_ns()
    ops = recorded(
        loaded.spools,
        lanes=lanes,
        table=record.table,
        prefix=record.prefix,
        endpoint=record.endpoint,
        offset_ns=offset_ns,
    )
    write(path, ops)
