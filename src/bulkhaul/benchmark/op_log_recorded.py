"""Makes the requests of an op-log of what workers have recorded in their spools, in the order in which they ended."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from bulkhaul.benchmark.op_log import Op
from bulkhaul.benchmark.spools import Spool
from bulkhaul.engine.messages.load_run import PUT_PLACE, Meter
from bulkhaul.model.workloads import OPERATIONS, ObjectTable
from bulkhaul.policy.benchmark_keys import put_key, table_key

CLIENT = "bulkhaul"
"""What stands for the client: there is one machine, and one name for it."""

_NAMES = tuple(operation.upper() for operation in OPERATIONS)
"""An op-log calls operations as warp does. Source: minio/warp, pkg/bench: GET, PUT, LIST, STAT, DELETE."""


def recorded(
    spools: Sequence[Spool], *, lanes: int, table: ObjectTable, prefix: str, endpoint: str, offset_ns: int
) -> Iterator[Op]:
    """Yield what is in the spools of all workers, one frame of each at a time.

    A request starts when it was due: who reads the log sees the latency that callers saw. A page of a listing counts as
    one object: how many keys it had was not recorded.

    Args:
        spools: of worker 0, worker 1 …
        lanes: that each worker has at most; a thread of the log is one lane of one worker.
        offset_ns: what is added to the monotonic clock for nanoseconds since the epoch.
    """

    def of(worker: int, spool: Spool) -> Iterator[Op]:
        for told in spool.again():
            if isinstance(told, Meter):
                continue
            for operation, failure, _, lane, _, place, moved_bytes, due, _, turn, ended in told.tolist():
                name = _NAMES[operation]
                if name == "LIST":
                    file = prefix
                elif place >= PUT_PLACE:
                    file = put_key(prefix, table, worker, place - PUT_PLACE)
                else:
                    file = table_key(prefix, table, place)
                kind = spool.kinds[failure] if failure else None
                turn_ns = 0 if kind else turn + offset_ns
                yield Op(
                    thread=worker * lanes + lane,
                    op=name,
                    client_id=CLIENT,
                    objects=1,
                    size_bytes=moved_bytes,
                    endpoint=endpoint,
                    file=file,
                    error=f"{kind.code}: {kind.message}" if kind else "",
                    start_ns=due + offset_ns,
                    first_byte_ns=turn_ns if name in ("GET", "LIST") else 0,
                    last_byte_ns=turn_ns if name == "PUT" else 0,
                    end_ns=ended + offset_ns,
                )

    yield from heapq.merge(*(of(*one) for one in enumerate(spools)), key=lambda op: op.end_ns)


__all__ = ["CLIENT", "recorded"]
