"""Compare whole programs that upload one file, and one folder of small files, in interleaved paired rounds.

    python -m bench.upload --server ministack --sizes 64MiB,1GiB --files 500 --rounds 5

Each run is a whole process and writes to a fresh key in a fresh bucket: the bucket is removed with all it
holds before the next run, so that servers which keep everything in memory stay bounded. After every run the
keys and sizes in the bucket are compared with the source; once per program and task, every byte too. A
server that writes costs more than the client here, so beside wall time stands the client's CPU time.
"""

import argparse
import tempfile
from pathlib import Path

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, choose, without_paths
from bench.edges import comparison_parser, conclude, end_in_order, open_console, present, sizes
from bench.goals import Target, at_most, wall_of_best
from bench.machine import available_memory_bytes, describe_machine
from bench.movers import find_movers
from bench.moving import MovingArena, Place, Task, expected_of
from bench.objects import format_size, make_files, make_object
from bench.stores import STORES
from bench.tally import FOR_BYTES, Runs, cpu_ratio, print_tally, tally
from bulkhaul.policy.sizes import parse_size

# Source: the project's goals for uploads.
MAX_CPU_OF = {"s5cmd": 0.5, "boto3": 0.3}
MAX_WALL_OF_BEST = 1.0
MEMORY_COPIES = 4  # what a server that keeps parts and the object in memory holds, and the source's pages


def make_tasks(arguments: argparse.Namespace, folder: Path, place: Place) -> list[Task]:
    """Write what is uploaded, one file of each size, and one folder unless there are no files; give the tasks."""
    folder.mkdir()
    tasks = []
    for size_bytes in arguments.sizes:
        name = format_size(size_bytes)
        make_object(folder / name, size_bytes, seed=size_bytes)
        tasks.append(Task(name, place, False, expected_of(folder / name), source=folder / name))
    if arguments.files:
        name = f"{arguments.files}x{format_size(arguments.file_size)}"
        source = make_files(folder / name, arguments.files, arguments.file_size)
        tasks.append(Task(name, place, False, expected_of(source), source=source))
    return tasks


def judge(task: str, runs: Runs) -> list[Target]:
    """Compare bulkhaul with the goals at one task.

    Args:
        task: its name.
    """
    return [
        *(
            at_most(f"{task}: client CPU at most {most} x {peer}'s", cpu_ratio(runs, BULKHAUL, peer), most)
            for peer, most in MAX_CPU_OF.items()
        ),
        wall_of_best(
            f"{task}: wall at most {MAX_WALL_OF_BEST} x the best peer's",
            runs,
            [peer for peer in runs if peer != BULKHAUL],
            MAX_WALL_OF_BEST,
        ),
    ]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.upload", __doc__)
    parser.add_argument("--server", choices=list(STORES), default="ministack", help="default: ministack")
    parser.add_argument(
        "--sizes", type=sizes, default="64MiB,1GiB", help="one file of each (default: 64MiB,1GiB; '' for none)"
    )
    parser.add_argument("--files", type=int, default=500, help="files in the folder (default: 500; 0 for no folder)")
    parser.add_argument("--file-size", type=parse_size, default="256KiB", help="of each of them (default: 256KiB)")
    return parser.parse_args()


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    largest_bytes = max([*arguments.sizes, arguments.files * arguments.file_size])
    if available_memory_bytes() < MEMORY_COPIES * largest_bytes:
        raise SystemExit(f"{MEMORY_COPIES * largest_bytes >> 20} MiB of memory are needed: see --sizes and --files")
    chosen = choose(find_movers(arguments.peers_bin), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        for part in ("home", "server"):
            (folder / part).mkdir()
        with STORES[arguments.server](folder / "server") as store:
            tasks = make_tasks(arguments, folder / "sources", Place(store.endpoint, store.keys, store=store))
            comparison = Comparison(MovingArena(folder, arguments.timeout), contestants, tasks, console)
            comparison.run(arguments.rounds)

    rows, targets = [], []
    for task in tasks:
        runs, memory = comparison.timed[task], comparison.memory[task]
        rows += (finished := tally(task.name, runs, memory, size_bytes=task.size_bytes))
        targets += judge(task.name, runs)
        title = f"upload of {task.name} to {arguments.server}"
        print_tally(console, title, finished, comparison.failures[task], FOR_BYTES)
    conclude(
        console,
        arguments,
        "upload",
        {
            "machine": machine,
            "server": {"name": arguments.server, "version": store.version},
            "contestants": without_paths(chosen),
            "medians": rows,
            **comparison.encoded(),
        },
        targets=targets,
        where=f"against {arguments.server}",
        failed=comparison.failed,
    )


if __name__ == "__main__":
    main()
