"""Compare whole programs that download one large object over loopback, in interleaved paired rounds.

    python -m bench.large_object --rounds 5 --sizes 2GiB,4GiB

For each contestant: starts (when did its first GET reach the server?), one run at each size that is
checked in every byte and sampled for memory, then the timed rounds. Between runs the destination is
removed and the disk left to settle.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, Contestant, choose, without_paths
from bench.edges import comparison_parser, conclude, end_in_order, open_console, present, sizes
from bench.floors import FLOORS, find_floors
from bench.goals import Target, at_least, at_most, private_memory
from bench.machine import available_memory_bytes, describe_machine
from bench.measure import CommandFailedError, Usage
from bench.movers import Move, find_movers
from bench.moving import MovingArena, Place, Task, expected_of
from bench.objects import format_size, make_object
from bench.server import Server, serve
from bench.stores import BUCKET
from bench.tally import FOR_SPENDING, Column, Ratio, Runs, figure, print_tally, tally, wall_ratio
from bulkhaul.model.limits import GIB, MIB

SPARE_DISK_BYTES = GIB
START_SIZE_BYTES = 64 * MIB  # several parts for every contestant, and over soon
START = "start"

# Source: the project's goals for one large object, at the largest size measured.
MIN_TIMES_PEERS = {"s5cmd": 1.2, "boto3": 2.0}
MIN_OF_FLOOR = 0.7
MAX_PRIVATE_BYTES = 250 * MIB
MAX_FIRST_REQUEST_S = 0.8


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.large_object", __doc__)
    parser.add_argument("--starts", type=int, default=5, help="starts to measure (default: 5; 0 for none)")
    parser.add_argument("--sizes", type=sizes, default="2GiB,4GiB", help="object sizes (default: 2GiB,4GiB)")
    return parser.parse_args()


def check_room(console: Console, folder: Path, sizes: Sequence[int]) -> None:
    """Exit if the disk cannot hold the objects and a copy; warn if memory cannot hold one object twice."""
    needed = sum(sizes) + max(sizes) + START_SIZE_BYTES + SPARE_DISK_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(f"{needed >> 30} GiB of disk are needed, {free >> 30} are free: see --folder and --sizes")
    if available_memory_bytes() < sum(sizes) + 2 * max(sizes):
        console.print("warning: the objects and a copy do not fit into memory; the disk will be measured too")


@contextmanager
def open_tasks(folder: Path, sizes: Sequence[int]) -> Iterator[tuple[list[Task], Task, Server]]:
    """Make and serve the objects; give a task for each size, the task of a start, and the server."""
    bucket = folder / "root" / BUCKET
    for made in (bucket, folder / "home", folder / "server"):
        made.mkdir(parents=True)

    def task(name: str, endpoint: str, size_bytes: int) -> Task:
        source = bucket / name
        make_object(source, size_bytes, seed=size_bytes)
        return Task(name, Place(endpoint), True, expected_of(source), key=name)

    with serve(folder / "root", folder / "server") as server:
        tasks = [task(format_size(size), server.endpoint, size) for size in sizes]
        yield tasks, task(START, server.logged_endpoint, START_SIZE_BYTES), server


def first_get_s(arena: MovingArena, server: Server, contestant: Contestant[Move], task: Task) -> float:
    """Return the seconds from a contestant's start to the arrival of its first ranged GET.

    One that fetches without a Range is timed to its first GET.
    """
    server.forget_requests()
    usage = arena.run(contestant, task)
    for ranged in (True, False):
        arrived_s = server.first_get_at_s(ranged=ranged)
        if arrived_s is not None:
            return arrived_s - usage.started_at_s
    raise CommandFailedError("succeeded without a GET")


def of_floor(runs: Runs, name: str) -> Ratio | None:
    """Return the wall time of the floor, the fastest of its ways, by a contestant's, or None if none ran."""
    ran = [way for way in FLOORS if runs.get(way)]
    floor = min(ran, key=lambda way: median(run.wall_s for run in runs[way]), default="")
    return wall_ratio(runs, floor, name)


def columns(runs: Runs, starts_s: Mapping[str, float]) -> tuple[Column, ...]:
    """Return what the table has beside the columns of all."""
    return (
        *FOR_SPENDING,
        ("GB/s", lambda row: figure(row.bytes_per_s and row.bytes_per_s / 1e9)),
        ("speed\nof floor", lambda row: str(of_floor(runs, row.name) or "-")),
        ("first GET\nafter s", lambda row: figure(starts_s.get(row.name))),
    )


def judge(task: str, runs: Runs, memory: Mapping[str, Usage], first_request_s: float | None) -> list[Target]:
    """Compare bulkhaul with the goals at one size.

    Args:
        task: its name.
        memory: the sampled run by contestant.
        first_request_s: the median of bulkhaul's starts.
    """
    return [
        *(
            at_least(f"{task}: at least {least} x as fast as {peer}", wall_ratio(runs, peer, BULKHAUL), least)
            for peer, least in MIN_TIMES_PEERS.items()
        ),
        at_least(f"{task}: at least {MIN_OF_FLOOR} of the floor", of_floor(runs, BULKHAUL), MIN_OF_FLOOR),
        private_memory(task, memory, MAX_PRIVATE_BYTES),
        at_most(f"s to the first GET at most {MAX_FIRST_REQUEST_S}", first_request_s, MAX_FIRST_REQUEST_S),
    ]


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    check_room(console, arguments.folder, arguments.sizes)
    chosen = choose([*find_floors(), *find_movers(arguments.peers_bin)], arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    starts_s: dict[str, list[float]] = {one.name: [] for one in contestants}
    with (
        tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=arguments.folder) as name,
        open_tasks(Path(name), arguments.sizes) as (tasks, start, server),
    ):
        arena = MovingArena(Path(name), arguments.timeout)
        starting = Comparison(arena, contestants, [start], console)
        for _ in range(arguments.starts):
            for one in contestants:
                if one.name not in starting.failures[start]:
                    with starting.excluding_failure(one, start, "first GET"):
                        starts_s[one.name].append(first_get_s(arena, server, one, start))
        comparison = Comparison(arena, contestants, tasks, console)
        comparison.run(arguments.rounds)

    first_s = {name: median(starts) for name, starts in starts_s.items() if starts}
    rows = []
    for task in tasks:
        runs, memory = comparison.timed[task], comparison.memory[task]
        rows += (finished := tally(task.name, runs, memory, size_bytes=task.size_bytes))
        print_tally(console, task.name, finished, comparison.failures[task], columns(runs, first_s))
    conclude(
        console,
        arguments,
        "large_object",
        {
            "machine": machine,
            "contestants": without_paths(chosen),
            "medians": rows,
            "starts_s": starts_s,
            "start_failures": starting.failures[start],
            **comparison.encoded(),
        },
        targets=judge(tasks[-1].name, runs, memory, first_s.get(BULKHAUL)),
        where="at the largest size",
        failed=comparison.failed or starting.failed,
    )


if __name__ == "__main__":
    main()
