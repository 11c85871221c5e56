"""Compare whole programs that move thousands of small objects over loopback, in interleaved paired rounds.

    python -m bench.small --cases down-nginx,up-nanio --rounds 5

    down-weed       10,000 x 16 KiB from SeaweedFS, which has them in memory
    down-nginx      the same from nginx, which costs next to nothing, by a listing written beforehand
    down-nginx-tls  the same over TLS
    up-weed         5,000 x 64 KiB to SeaweedFS
    up-nanio        the same to nanio, with its folder where ``--server-folder`` says (in memory)

What counts is the client's CPU time an object: wall time is shared with the server, on the same cores.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, choose, without_paths
from bench.edges import chosen_of, comparison_parser, conclude, end_in_order, open_console, positive, present
from bench.goals import Target, at_most, private_memory, wall_of_best
from bench.listed_files import listed_files
from bench.machine import describe_machine
from bench.measure import Usage
from bench.movers import BEST, NEAR, find_movers
from bench.moving import Expected, MovingArena, Place, Task, expected_of
from bench.objects import make_files
from bench.stores import BUCKET, STORES, Store
from bench.tally import FOR_OBJECTS, Runs, cpu_ratio, print_tally, tally
from bulkhaul.model.limits import MIB
from bulkhaul.policy.sizes import parse_size

CASES = ("down-weed", "down-nginx", "down-nginx-tls", "up-weed", "up-nanio")
PREFIX = "small/"

# Source: the project's goals for small objects.
MAX_CPU_OF_S5CMD = {"down": 0.4, "up": 0.5}
MAX_WALL_OF_S5CMD = 0.8
MAX_WALL_OF_BEST = 1.0
MAX_PRIVATE_BYTES = 150 * MIB


def fill(store: Store, folder: Path) -> None:
    """Store the folder's files below PREFIX, and read each once, so that the server has it in memory."""
    keys = (f"{PREFIX}{path.name}" for path in folder.iterdir())
    store.fill(keys, lambda key: (folder / key.removeprefix(PREFIX)).read_bytes(), read_too=True)


@contextmanager
def open_tasks(arguments: argparse.Namespace, folder: Path, server_folder: Path) -> Iterator[list[Task]]:
    """Start the servers that the chosen cases need, and give the tasks."""
    with ExitStack() as servers:
        tasks: list[Task] = []
        down: Path | None = None
        up: Path | None = None
        expected: dict[str, Expected] = {}
        if any(case.startswith("down") for case in arguments.cases):
            down = make_files(folder / "root" / BUCKET / PREFIX, arguments.down_objects, arguments.down_size)
            expected = expected_of(down)
        if any(case.startswith("up") for case in arguments.cases):
            up = make_files(folder / "up", arguments.up_objects, arguments.up_size)
        nginx = None
        for case in arguments.cases:
            if case.startswith("down-nginx"):
                assert down is not None
                if nginx is None:
                    (server_folder / "nginx").mkdir()
                    nginx = servers.enter_context(
                        listed_files(folder / "root", server_folder / "nginx", BUCKET, PREFIX)
                    )
                place = Place(nginx.tls_endpoint, ca_bundle=nginx.ca_bundle) if "tls" in case else Place(nginx.endpoint)
                tasks.append(Task(case, place, True, expected, key=PREFIX))
                continue
            direction, _, server = case.partition("-")
            (server_folder / case).mkdir()
            store = servers.enter_context(STORES[server](server_folder / case))
            place = Place(store.endpoint, store.keys, store=store)
            if direction == "down":
                assert down is not None
                fill(store, down)
                tasks.append(Task(case, place, True, expected, key=PREFIX))
            else:
                assert up is not None
                tasks.append(Task(case, place, False, expected_of(up), source=up))
        yield tasks


def judge(task: str, is_download: bool, runs: Runs, memory: Mapping[str, Usage]) -> list[Target]:
    """Compare bulkhaul with the goals at one task.

    Args:
        task: its name.
        is_download: its direction.
        memory: the sampled run by contestant.
    """
    most_cpu = MAX_CPU_OF_S5CMD["down" if is_download else "up"]
    peers = [name for name in runs if not name.startswith(BULKHAUL)]
    if is_download:
        peers, most_wall, best = [name for name in peers if name.startswith("s5cmd")], MAX_WALL_OF_S5CMD, "faster s5cmd"
    else:
        most_wall, best = MAX_WALL_OF_BEST, "best peer"
    return [
        *(
            at_most(f"{task}: CPU at most {most_cpu} x {peer}'s", cpu_ratio(runs, BULKHAUL, peer), most_cpu)
            for peer in ("s5cmd", f"s5cmd{BEST}")
        ),
        wall_of_best(f"{task}: wall at most {most_wall} x that of the {best}", runs, peers, most_wall),
        private_memory(task, memory, MAX_PRIVATE_BYTES),
    ]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.small", __doc__)
    parser.add_argument(
        "--cases", type=chosen_of(CASES), default=",".join(CASES), help=f"default: all of {', '.join(CASES)}"
    )
    parser.add_argument("--down-objects", type=positive, default=10_000, help="default: 10000")
    parser.add_argument("--down-size", type=parse_size, default="16KiB", help="default: 16KiB")
    parser.add_argument("--up-objects", type=positive, default=5_000, help="default: 5000")
    parser.add_argument("--up-size", type=parse_size, default="64KiB", help="default: 64KiB")
    parser.add_argument(
        "--server-folder", type=Path, default=Path("/dev/shm"), help="where servers keep objects (default: /dev/shm)"
    )
    return parser.parse_args()


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    chosen = choose(find_movers(arguments.peers_bin, NEAR), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    with (
        tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=arguments.folder) as name,
        tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=arguments.server_folder) as server_name,
        open_tasks(arguments, Path(name), Path(server_name)) as tasks,
    ):
        (Path(name) / "home").mkdir()
        arena = MovingArena(Path(name), arguments.timeout)
        comparison = Comparison(arena, contestants, tasks, console)
        comparison.run(arguments.rounds)

    rows, targets = [], []
    for task in tasks:
        runs, memory = comparison.timed[task], comparison.memory[task]
        rows += (finished := tally(task.name, runs, memory, size_bytes=task.size_bytes, objects=task.objects))
        targets += judge(task.name, task.is_download, runs, memory)
        print_tally(console, f"{task.name}: {task.objects:,} objects", finished, comparison.failures[task], FOR_OBJECTS)
    conclude(
        console,
        arguments,
        "small",
        {
            "machine": machine,
            "tasks": {task.name: {"objects": task.objects, "bytes": task.size_bytes} for task in tasks},
            "contestants": without_paths(chosen),
            "best_flags": NEAR,
            "medians": rows,
            **comparison.encoded(),
        },
        targets=targets,
        where="at small objects",
        failed=comparison.failed,
    )


if __name__ == "__main__":
    main()
