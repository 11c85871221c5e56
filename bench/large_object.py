"""Compare whole programs that download one large object over loopback, in interleaved paired rounds.

    python -m bench.large_object --rounds 5 --sizes 2GiB,4GiB

For each contestant: starts (when did its first GET reach the server?), one run at each size that is
checked byte for byte and sampled for memory, then the timed rounds. Between runs the destination is
removed and the disk left to settle.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, Contestant, choose, without_paths
from bench.course import START_SIZE_BYTES, Course, open_course
from bench.edges import comparison_parser, conclude, end_in_order, open_console, present, sizes
from bench.machine import available_memory_bytes, describe_machine
from bench.measure import CommandFailedError
from bench.objects import format_size
from bench.peers import Download, find_contestants
from bench.report import judge, print_rows, print_targets, summarize

SPARE_DISK_BYTES = 1 << 30


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


def measure_starts(
    course: Course, contestants: Sequence[Contestant[Download]], repeats: int, console: Console
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Measure the start of everybody, ``repeats`` times; return the seconds and the failures by name."""
    starts_s: dict[str, list[float]] = {one.name: [] for one in contestants}
    failures: dict[str, str] = {}
    for _ in range(repeats):
        for one in contestants:
            if one.name in failures:
                continue
            try:
                starts_s[one.name].append(course.start_s(one))
            except CommandFailedError as error:
                failures[one.name] = str(error)
                console.print(f"{one.name} failed, start: {error}", style="red", markup=False)
    return starts_s, failures


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    sizes_bytes: list[int] = arguments.sizes
    check_room(console, arguments.folder, sizes_bytes)
    chosen = choose(find_contestants(arguments.peers_bin), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    with open_course(arguments.folder, sizes_bytes, timeout_s=arguments.timeout) as course:
        starts_s, start_failures = measure_starts(course, contestants, arguments.starts, console)
        started = [one for one in contestants if one.name not in start_failures]
        comparison = Comparison(course, started, sizes_bytes, console, format_size)
        comparison.check_and_sample()
        comparison.time_rounds(arguments.rounds)

    medians_s = {name: median(starts) for name, starts in starts_s.items() if starts}
    rows = {size: summarize(size, comparison.timed[size], comparison.memory[size]) for size in sizes_bytes}
    for size_rows in rows.values():
        if size_rows:
            print_rows(console, size_rows, medians_s)
    targets = judge(rows[sizes_bytes[-1]], medians_s.get(BULKHAUL))
    print_targets(console, targets)
    conclude(
        console,
        arguments,
        "large_object",
        {
            "machine": machine,
            "contestants": without_paths(chosen),
            "medians": [asdict(row) for size_rows in rows.values() for row in size_rows],
            "goals": [asdict(target) for target in targets],
            "starts_s": starts_s,
            "start_failures": start_failures,
            **comparison.encoded(),
        },
        targets=targets,
        failed=bool(comparison.failed or start_failures),
    )


if __name__ == "__main__":
    main()
