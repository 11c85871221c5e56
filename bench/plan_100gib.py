"""What a 100 GiB object costs the coordinator: plan, part table and every decision of the state machine, without I/O.

Run: ``python -m bench.plan_100gib``. Prints seconds and bytes; exits 1 if a promise is broken.
"""

from __future__ import annotations

import json
import random
import sys
import time
import tracemalloc

from bulkhaul.model.limits import GIB, MIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.events import Assign, HandOver, PartDone, TransferAdded, WorkerReady
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.parttable import prepare_tables
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window

SIZE_BYTES = 100 * GIB
MAX_PLAN_BYTES = 4 * MIB


def main() -> int:
    """Plan, lease and finish every part; print what it took."""
    prepare_tables()
    tracemalloc.start()
    began_s = time.perf_counter()
    layout = plan_download(SIZE_BYTES, part_size_bytes=8 * MIB)
    machine = TransferMachine(workers=2, window=Window(8, first=8), timeouts=Timeouts(), rng=random.Random(1))
    machine.need_workers(2)
    for worker in (1, 2):
        machine.handle(WorkerReady(worker), now_s=0.0)
    instructions = machine.handle(TransferAdded(1, layout), now_s=0.0)
    planned_s = time.perf_counter() - began_s
    covered = 0
    verified = False
    while instructions:
        instruction = instructions.pop()
        if isinstance(instruction, Assign):
            length = instruction.end - instruction.start
            covered += length
            done = PartDone(instruction.worker, instruction.lease, length, instruction.index)
            instructions += machine.handle(done, now_s=1.0)
        verified = verified or isinstance(instruction, HandOver)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    print(
        json.dumps(
            {
                "size_bytes": SIZE_BYTES,
                "parts": len(layout),
                "part_size_bytes": layout.part_size_bytes,
                "plan_s": round(planned_s, 4),
                "all_decisions_s": round(time.perf_counter() - began_s, 3),
                "peak_bytes": peak_bytes,
            }
        )
    )
    kept = len(layout) <= 10_000 and covered == SIZE_BYTES and verified and peak_bytes < MAX_PLAN_BYTES
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
