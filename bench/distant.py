"""Compare whole programs in front of a distant server, in interleaved paired rounds.

    python -m bench.distant --latency-ms 30 --rate 60 --rounds 5 --fixed 8,16,32,64,128,256

Replies begin 30 ms after their requests, and each connection carries 60 MB/s: what S3 does, roughly. Many
small objects and a large one, both ways. ``--fixed`` has bulkhaul run with these numbers of requests in
flight too, which says what the best fixed setting would have been.
"""

import argparse
import json
import ssl
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, choose, without_paths
from bench.distant_server.catalogue import prefix_of
from bench.distant_server.content import Content
from bench.distant_server.launch import DistantServer, distant_server
from bench.edges import chosen_of, comparison_parser, conclude, counts, end_in_order, open_console, positive, present
from bench.goals import Target, at_least, private_memory, wall_of_best
from bench.machine import describe_machine
from bench.measure import Usage
from bench.movers import BEST, FAR, find_movers
from bench.moving import LARGE_NAME, Expected, MovingArena, Place, Task, expected_of
from bench.objects import format_size, make_files, make_object
from bench.stores import connect
from bench.tally import FOR_BYTES, FOR_OBJECTS, Runs, print_tally, tally, wall_ratio
from bulkhaul.model.limits import MIB
from bulkhaul.policy.sizes import parse_size

CASES = ("down-many", "down-large", "up-many", "up-large")

# Source: the project's goals for distant services; how many times as fast as s5cmd.
MIN_TIMES_S5CMD = {"down-many": 2.0, "down-large": 2.0, "up-many": 1.5, "up-large": 1.5}
MAX_WALL_OF_BEST_FIXED = 1.11
MAX_PRIVATE_BYTES = 150 * MIB


def counters(server: DistantServer) -> Mapping[str, float]:
    """Return what the server counted."""
    context = ssl.create_default_context(cafile=str(server.ca_bundle)) if server.ca_bundle else None
    with urllib.request.urlopen(f"{server.endpoint}/-/statistics", context=context) as reply:  # noqa: S310 - loopback
        counted: dict[str, float] = json.load(reply)
    return counted


def generated(content: Content, objects: int, size_bytes: int) -> dict[str, Expected]:
    """Return what must arrive of the server's generated objects of one kind."""
    return {
        f"{number:08d}.bin" if objects > 1 else LARGE_NAME: Expected(
            size_bytes, content.md5(Content.start_of(number), size_bytes)
        )
        for number in range(objects)
    }


@contextmanager
def open_tasks(arguments: argparse.Namespace, folder: Path) -> Iterator[list[Task]]:
    """Start the server, and one that keeps what is uploaded for the checked runs; give the tasks."""
    distance = ["--latency-ms", str(arguments.latency_ms), "--jitter-ms", str(arguments.jitter_ms)]
    distance += ["--rate", str(arguments.rate)]
    many, large = (arguments.objects, arguments.object_size), (1, arguments.down_size)
    kinds = [kind for case, kind in (("down-many", many), ("down-large", large)) if case in arguments.cases]
    options = [text for objects, size in kinds for text in ("--objects", f"{objects}x{format_size(size)}")]
    with ExitStack() as servers:
        tls = []
        for name in ("tls", "tls-checking"):
            (folder / name).mkdir()
            tls.append(folder / name if arguments.tls else None)
        server = servers.enter_context(distant_server([*distance, *options], tls_folder=tls[0]))
        down = Place(server.endpoint, ca_bundle=server.ca_bundle, statistics=lambda: counters(server))
        uploads = any(case.startswith("up") for case in arguments.cases)
        tasks = []
        content = Content() if kinds else None
        for objects, size_bytes in kinds:
            assert content is not None
            prefix = prefix_of(objects, size_bytes)
            name, key = ("down-many", prefix) if objects > 1 else ("down-large", f"{prefix}{0:08d}.bin")
            tasks.append(Task(name, down, True, generated(content, objects, size_bytes), key=key))
        if uploads:
            # Uploads have a server of their own: their bucket is emptied before each run.
            taking = servers.enter_context(distant_server(distance, tls_folder=tls[1]))
            (folder / "tls-keeping").mkdir()
            keeping_tls = folder / "tls-keeping" if arguments.tls else None
            keeping = servers.enter_context(distant_server([*distance, "--keep"], tls_folder=keeping_tls))
            bundle = None
            if taking.ca_bundle and keeping.ca_bundle:
                bundle = folder / "both.pem"
                bundle.write_bytes(taking.ca_bundle.read_bytes() + keeping.ca_bundle.read_bytes())
            up = Place(
                taking.endpoint,
                ca_bundle=bundle,
                store=connect("distant", "", taking.endpoint, ca_bundle=taking.ca_bundle),
                checking_store=connect("distant", "", keeping.endpoint, ca_bundle=keeping.ca_bundle),
                statistics=lambda: counters(taking),
            )
            if "up-many" in arguments.cases:
                source = make_files(folder / "up", arguments.objects, arguments.object_size)
                tasks.append(Task("up-many", up, False, expected_of(source), source=source))
            if "up-large" in arguments.cases:
                (folder / "large").mkdir()
                source = folder / "large" / "source.bin"
                make_object(source, arguments.up_size, seed=1)
                tasks.append(Task("up-large", up, False, expected_of(source), source=source))
        yield tasks


def judge(task: str, runs: Runs, memory: Mapping[str, Usage]) -> list[Target]:
    """Compare bulkhaul with the goals at one task.

    Args:
        task: its name.
        memory: the sampled run by contestant.
    """
    least = MIN_TIMES_S5CMD[task]
    return [
        *(
            at_least(f"{task}: at least {least} x as fast as {peer}", wall_ratio(runs, peer, BULKHAUL), least)
            for peer in ("s5cmd", f"s5cmd{BEST}")
        ),
        wall_of_best(
            f"{task}: wall at most {MAX_WALL_OF_BEST_FIXED} x that of the best fixed -c",
            runs,
            [name for name in runs if name.startswith(f"{BULKHAUL}-c")],
            MAX_WALL_OF_BEST_FIXED,
        ),
        private_memory(task, memory, MAX_PRIVATE_BYTES),
    ]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.distant", __doc__)
    parser.add_argument("--latency-ms", type=float, default=30.0, help="before each reply (default: 30)")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="up to this is added to it (default: 0)")
    parser.add_argument("--rate", type=float, default=60.0, help="MB/s of each connection, each way (default: 60)")
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--cases", type=chosen_of(CASES), default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--objects", type=positive, default=5_000, help="many (default: 5000)")
    parser.add_argument("--object-size", type=parse_size, default="64KiB", help="of each of them (default: 64KiB)")
    parser.add_argument("--down-size", type=parse_size, default="2GiB", help="of the large object (default: 2GiB)")
    parser.add_argument("--up-size", type=parse_size, default="1GiB", help="of the large file (default: 1GiB)")
    parser.add_argument(
        "--fixed", type=counts, default="", metavar="N,…", help="bulkhaul also with these as --concurrency"
    )
    return parser.parse_args()


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    chosen = choose(find_movers(arguments.peers_bin, FAR, arguments.fixed), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "home").mkdir()
        with open_tasks(arguments, folder) as tasks:
            arena = MovingArena(folder, arguments.timeout)
            comparison = Comparison(arena, contestants, tasks, console)
            comparison.run(arguments.rounds)

    rows, targets = [], []
    for task in tasks:
        runs, memory = comparison.timed[task], comparison.memory[task]
        objects = task.objects if task.is_many else None
        rows += (finished := tally(task.name, runs, memory, size_bytes=task.size_bytes, objects=objects))
        targets += judge(task.name, runs, memory)
        where = f"{arguments.latency_ms:g} ms, {arguments.rate:g} MB/s a connection" + ", TLS" * arguments.tls
        special = FOR_OBJECTS if task.is_many else FOR_BYTES
        print_tally(console, f"{task.name}: {where}", finished, comparison.failures[task], special)
    server: dict[str, Any] = {
        "latency_ms": arguments.latency_ms,
        "jitter_ms": arguments.jitter_ms,
        "mb_per_s_of_connection": arguments.rate,
        "tls": arguments.tls,
    }
    conclude(
        console,
        arguments,
        "distant",
        {
            "machine": machine,
            "server": server,
            "tasks": {task.name: {"objects": task.objects, "bytes": task.size_bytes} for task in tasks},
            "contestants": without_paths(chosen),
            "best_flags": FAR,
            "medians": rows,
            "server_runs": arena.server_runs,
            **comparison.encoded(),
        },
        targets=targets,
        where="far away",
        failed=comparison.failed,
    )


if __name__ == "__main__":
    main()
