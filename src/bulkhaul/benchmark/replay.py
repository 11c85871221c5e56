"""Makes schedules for the workers of an op-log, so that its requests are made again at their times.

op-log ─▶ objects that must be there, as PUTs to make before ─▶ requests, spread over the workers in the order of time

Keys are the benchmark's own, never those of the log. A request takes 24 bytes of memory, an object its key besides.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from bulkhaul.benchmark.op_log import read
from bulkhaul.engine.messages.load_run import SCHEDULED
from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import OPERATIONS, FixedSize, ObjectTable
from bulkhaul.policy.replaying import ReplayPlan

_FIELDS = np.dtype(
    {
        "names": ["after_ns", "place", "operation", "size_bytes"],
        "formats": ["<i8", "<u4", "u1", "<u8"],
        "offsets": [0, 8, 12, 16],
        "itemsize": SCHEDULED.size,
    }
)
"""A row of ``SCHEDULED``."""

_PUT = OPERATIONS.index("put")


class Replay(msgspec.Struct, frozen=True):
    """What is done to run a log again.

    Attributes:
        objects: how many it needs.
        largest_bytes: of all objects.
        prepared: for each worker, a schedule of PUTs of the objects that must be there, all due at once.
        schedules: for each worker, the requests of the log.
        requests: of all workers.
        seconds: from the first request to the last, at the speed that was asked for.
        left_out: what cannot be run again → how many requests.
    """

    objects: int
    largest_bytes: int
    prepared: tuple[bytes, ...]
    schedules: tuple[bytes, ...]
    requests: int
    seconds: float
    left_out: dict[str, int]

    @property
    def table(self) -> ObjectTable:
        """Its objects; sizes stand in the schedules, and that of the table is the largest."""
        return ObjectTable(self.objects, FixedSize(self.largest_bytes))


def replay_of(path: Path, *, workers: int, speed: float = 1.0) -> Replay:
    """Return what is done to run an op-log again.

    Args:
        speed: 2 makes each request in half of its time after the first. One that needs what another stores may come
            before it then, and fails.

    Raises:
        UsageError: it is no op-log, or no request of it can be made again.
        LocalError: it cannot be read.
    """
    plan = ReplayPlan()
    rows = bytearray()
    for op in read(path):
        taken = plan.take(op.op, op.file, op.size_bytes, op.start_ns)
        if taken is not None:
            operation, place, size_bytes = taken
            rows += SCHEDULED.pack(op.start_ns, place, operation, size_bytes)
    if not rows:
        raise UsageError("this op-log holds no request that can be made again", str(path))
    scheduled = np.frombuffer(rows, dtype=_FIELDS)
    scheduled = scheduled[np.argsort(scheduled["after_ns"], kind="stable")]
    elapsed_ns = scheduled["after_ns"] - scheduled["after_ns"][0]
    scheduled["after_ns"] = np.rint(elapsed_ns / speed).astype(np.int64)
    stored = [SCHEDULED.pack(0, place, _PUT, size_bytes) for place, size_bytes in plan.must_exist()]
    return Replay(
        objects=plan.objects,
        largest_bytes=plan.largest_bytes,
        prepared=tuple(b"".join(stored[worker::workers]) for worker in range(workers)),
        schedules=tuple(scheduled[worker::workers].tobytes() for worker in range(workers)),
        requests=len(scheduled),
        seconds=float(scheduled["after_ns"][-1]) / 1e9,
        left_out=dict(plan.left_out),
    )


__all__ = ["Replay", "replay_of"]
