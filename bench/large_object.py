"""Compare whole programs that download one large object over loopback, in interleaved paired rounds.

    python -m bench.large_object --rounds 5 --sizes 2GiB,4GiB

For each contestant: starts (when did its first GET reach the server?), one run at each size that is
checked byte for byte and sampled for memory, then the timed rounds. In a round every contestant runs once
at every size, so that what disturbs the machine disturbs all; ratios are formed within a round. The order
shifts by one from round to round. Between runs the destination is removed and the disk left to settle.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console

from bench.course import START_SIZE_BYTES, Course, open_course
from bench.machine import available_memory_bytes, describe_machine
from bench.measure import CommandFailedError, Usage
from bench.objects import format_size, parse_size
from bench.peers import BULKHAUL, Absent, Contestant, find_contestants, without_paths
from bench.report import judge, print_rows, print_targets, summarize

SPARE_DISK_BYTES = 1 << 30
RESULTS = Path(__file__).parent / "results"

Runs = dict[int, dict[str, list[Usage]]]


class Comparison:
    """All runs of all contestants; one that fails is reported and takes no further part."""

    def __init__(self, course: Course, contestants: Sequence[Contestant], console: Console) -> None:
        self.course = course
        self.contestants = list(contestants)
        self.console = console
        self.failures: dict[str, str] = {}
        self.starts_s: dict[str, list[float]] = {one.name: [] for one in contestants}
        self.memory: dict[int, dict[str, Usage]] = {}
        self.timed: Runs = {}

    @contextmanager
    def excluding_failure(self, contestant: Contestant, what: str) -> Iterator[None]:
        """Record a failure inside the block and exclude the contestant from what follows."""
        try:
            yield
        except CommandFailedError as error:
            self.failures[contestant.name] = what
            self.contestants.remove(contestant)
            self.console.print(f"{contestant.name} failed, {what}: {error}", style="red", markup=False)

    def measure_starts(self, repeats: int) -> None:
        """Measure the start of everybody, ``repeats`` times."""
        for _ in range(repeats):
            for one in list(self.contestants):
                with self.excluding_failure(one, "start"):
                    self.starts_s[one.name].append(self.course.start_s(one))

    def check_and_sample(self, size_bytes: int) -> None:
        """Run everybody once, check the bytes and sample the memory."""
        sampled = self.memory.setdefault(size_bytes, {})
        for one in list(self.contestants):
            with self.excluding_failure(one, f"checked run of {format_size(size_bytes)}"):
                sampled[one.name] = self.course.run(one, size_bytes, sample_memory=True)
                self.course.check(size_bytes)
                self.console.print(f"  {one.name}: {format_size(size_bytes)} exact", highlight=False)

    def time_rounds(self, sizes: Sequence[int], rounds: int) -> None:
        """Run the timed rounds; everybody else keeps its rounds when one drops out."""
        for size_bytes in sizes:
            self.timed[size_bytes] = {one.name: [] for one in self.contestants}
        for number in range(rounds):
            shift = number % max(1, len(self.contestants))
            for size_bytes in sizes:
                for one in self.contestants[shift:] + self.contestants[:shift]:
                    with self.excluding_failure(one, f"round {number + 1} of {format_size(size_bytes)}"):
                        usage = self.course.run(one, size_bytes)
                        self.timed[size_bytes][one.name].append(usage)
                        what = f"round {number + 1}, {format_size(size_bytes)}, {one.name}"
                        self.console.print(f"  {what}: {usage.wall_s:.2f} s", highlight=False)
        for runs in self.timed.values():
            for name in self.failures:
                runs.pop(name, None)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.large_object", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: 5)")
    parser.add_argument(
        "--starts",
        type=int,
        default=5,
        help="starts to measure (default: 5; 0 for none)",
    )
    parser.add_argument("--sizes", default="2GiB,4GiB", help="object sizes (default: 2GiB,4GiB)")
    parser.add_argument(
        "--only",
        default="",
        help="names or beginnings of names, as in floor,bulkhaul,s5cmd",
    )
    parser.add_argument(
        "--peers-bin",
        type=Path,
        metavar="DIR",
        help="where s5cmd and rclone are, if not on PATH",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/var/tmp"),
        help="on the disk to measure (default: /var/tmp)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="default: bench/results",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        help="seconds for one run (default: 600)",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 unless all goals are reached")
    arguments = parser.parse_args()
    try:
        arguments.sizes = sorted({parse_size(text) for text in arguments.sizes.split(",")})
    except ValueError as error:
        parser.error(str(error))
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


def choose(everybody: Sequence[Contestant | Absent], only: str) -> list[Contestant | Absent]:
    """Return those whose name begins with one of the comma-separated beginnings; all for an empty text."""
    beginnings = tuple(part.strip() for part in only.split(",") if part.strip())
    return [one for one in everybody if not beginnings or one.name.startswith(beginnings)]


def check_room(console: Console, folder: Path, sizes: Sequence[int]) -> None:
    """Exit if the disk cannot hold the objects and a copy; warn if memory cannot hold one object twice."""
    needed = sum(sizes) + max(sizes) + START_SIZE_BYTES + SPARE_DISK_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(f"{needed >> 30} GiB of disk are needed, {free >> 30} are free: see --folder and --sizes")
    if available_memory_bytes() < sum(sizes) + 2 * max(sizes):
        console.print("warning: the objects and a copy do not fit into memory; the disk will be measured too")


def write_results(folder: Path, results: dict[str, object]) -> Path:
    """Write the results under the date and time of now and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"large_object-{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    sizes: list[int] = arguments.sizes
    check_room(console, arguments.folder, sizes)
    chosen = choose(find_contestants(arguments.peers_bin), arguments.only)
    present = [one for one in chosen if isinstance(one, Contestant)]
    for one in chosen:
        if isinstance(one, Absent):
            console.print(f"absent: {one.name} ({one.reason})", style="yellow")
    if not present:
        raise SystemExit("nobody is left to measure")
    machine = describe_machine(arguments.folder)
    with open_course(arguments.folder, sizes, timeout_s=arguments.timeout) as course:
        comparison = Comparison(course, present, console)
        comparison.measure_starts(arguments.starts)
        for size_bytes in sizes:
            comparison.check_and_sample(size_bytes)
        comparison.time_rounds(sizes, arguments.rounds)

    starts_s = {name: median(starts) for name, starts in comparison.starts_s.items() if starts}
    rows = {size: summarize(size, comparison.timed[size], comparison.memory[size]) for size in sizes}
    for size_rows in rows.values():
        if size_rows:
            print_rows(console, size_rows, starts_s)
    targets = judge(rows[sizes[-1]], starts_s.get(BULKHAUL))
    print_targets(console, targets)
    path = write_results(
        arguments.results,
        {
            "benchmark": "large_object",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "contestants": without_paths(chosen),
            "failures": comparison.failures,
            "medians": [asdict(row) for size_rows in rows.values() for row in size_rows],
            "goals": [asdict(target) for target in targets],
            "starts_s": comparison.starts_s,
            "memory_runs": {size: encode(runs) for size, runs in comparison.memory.items()},
            "timed_runs": {size: encode_rounds(runs) for size, runs in comparison.timed.items()},
        },
    )
    console.print(f"written to {path.name}")
    missed = arguments.check and not all(target.reached for target in targets)
    sys.exit(1 if comparison.failures or missed else 0)


def encode(runs: dict[str, Usage]) -> dict[str, object]:
    """Return the runs as plain values."""
    return {name: asdict(usage) for name, usage in runs.items()}


def encode_rounds(runs: dict[str, list[Usage]]) -> dict[str, object]:
    """Return the rounds as plain values."""
    return {name: [asdict(usage) for usage in usages] for name, usages in runs.items()}


if __name__ == "__main__":
    main()
