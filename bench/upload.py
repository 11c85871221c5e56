"""Compare whole programs that upload one file, and one folder of small files, in interleaved paired rounds.

    python -m bench.upload --server ministack --sizes 64MiB,1GiB --files 500 --rounds 5

Each run is a whole process and writes to a fresh key in a fresh bucket: the bucket is removed with all it
holds before the next run, so that servers which keep everything in memory stay bounded. After every run the
keys and sizes in the bucket are compared with the source; once per program and task, every byte too. A
server that writes costs more than the client here, so beside wall time stands the client's CPU time.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, Contestant, choose, clean_environment, without_paths
from bench.edges import comparison_parser, conclude, end_in_order, open_console, present, sizes
from bench.machine import available_memory_bytes, describe_machine
from bench.measure import CommandFailedError, Usage, measure
from bench.objects import format_size, make_object, parse_size
from bench.report import Target, figure, paired_ratio, print_targets
from bench.stores import BUCKET, STORES, Store
from bench.tally import cpu_ratio, print_tally, tally
from bench.uploaders import Upload, find_uploaders

# Source: the project's goals for uploads.
MAX_CPU_OF = {"s5cmd": 0.5, "boto3": 0.3}
MAX_WALL_OF_BEST = 1.0
MEMORY_COPIES = 4  # what a server that keeps parts and the object in memory holds, and the source's pages


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder to upload."""

    name: str
    path: Path
    size_bytes: int
    is_folder: bool

    def files(self, key: str) -> dict[str, Path]:
        """Return every file by the key that it shall have."""
        if not self.is_folder:
            return {key: self.path}
        return {f"{key}/{path.name}": path for path in self.path.iterdir()}


class UploadArena:
    """The server with one fresh bucket, and where the sources are."""

    def __init__(self, folder: Path, store: Store, *, timeout_s: float) -> None:
        self.store = store
        self.timeout_s = timeout_s
        self.sources = folder / "sources"
        self.home = folder / "home"
        self.numbers = count(1)
        self.key = ""

    def run(self, contestant: Contestant[Upload], task: Source, *, sample_memory: bool = False) -> Usage:
        """Upload once to an empty bucket; the objects stay until the next run.

        Raises:
            CommandFailedError: the command failed, or the bucket does not hold exactly the right sizes.
        """
        self.store.remove_bucket()
        self.store.make_bucket()
        os.sync()
        self.key = f"run-{next(self.numbers)}/{task.name}"
        upload = Upload(self.store.endpoint, BUCKET, self.key, str(task.path), task.is_folder)
        usage = measure(
            contestant.command(upload),
            environment=clean_environment(self.home, self.store.endpoint, self.store.keys),
            data_folder=self.sources,
            sample_memory=sample_memory,
            timeout_s=self.timeout_s,
        )
        expected = {key: path.stat().st_size for key, path in task.files(self.key).items()}
        stored = self.store.sizes_bytes()
        if stored != expected:
            raise CommandFailedError(describe_difference(stored, expected))
        return usage

    def check(self, task: Source) -> None:
        """Raise CommandFailedError unless every object of the last run holds its file's bytes."""
        for key, path in task.files(self.key).items():
            if not self.store.holds(key, path):
                raise CommandFailedError(f"the bytes stored under {key} differ from the source's")


def describe_difference(stored: Mapping[str, int], expected: Mapping[str, int]) -> str:
    """Say how the keys and sizes in the bucket differ from those expected."""
    missing, extra = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    wrong = [key for key in sorted(expected.keys() & stored.keys()) if stored[key] != expected[key]]
    text = f"succeeded, but of {len(expected)} keys {len(missing)} are missing, {len(extra)} others are there"
    if wrong:
        text += f", {len(wrong)} have a wrong size: {wrong[0]} {stored[wrong[0]]} instead of {expected[wrong[0]]} bytes"
    return text


@contextmanager
def open_arena(parent: Path, server: str, *, timeout_s: float) -> Iterator[UploadArena]:
    """Start the server and make room for sources below ``parent``; leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=parent) as name:
        folder = Path(name)
        for part in ("sources", "home", "server"):
            (folder / part).mkdir()
        with STORES[server](folder / "server") as store:
            yield UploadArena(folder, store, timeout_s=timeout_s)


def make_sources(folder: Path, sizes_bytes: Sequence[int], *, files: int, file_size_bytes: int) -> list[Source]:
    """Write what is uploaded: one file of each size, and one folder unless ``files`` is 0."""
    sources = []
    for size_bytes in sizes_bytes:
        path = folder / f"{format_size(size_bytes)}.bin"
        make_object(path, size_bytes, seed=size_bytes)
        sources.append(Source(format_size(size_bytes), path, size_bytes, is_folder=False))
    if files:
        name = f"{files}x{format_size(file_size_bytes)}"
        (folder / name).mkdir()
        for number in range(files):
            make_object(folder / name / f"{number:05d}.bin", file_size_bytes, seed=number)
        sources.append(Source(name, folder / name, files * file_size_bytes, is_folder=True))
    return sources


def judge(task: str, runs: Mapping[str, Sequence[Usage]]) -> list[Target]:
    """Compare bulkhaul with the goals at one task.

    Args:
        task: its name.
        runs: timed runs by contestant, one a round.
    """
    ours = runs.get(BULKHAUL)
    targets = []
    for peer, most in MAX_CPU_OF.items():
        ratio = cpu_ratio(ours, runs.get(peer))
        reached = None if ratio is None else ratio <= most
        targets.append(Target(f"{task}: client CPU at most {most} x {peer}'s", figure(ratio), reached))
    ratios = {peer: paired_ratio(ours, theirs) for peer, theirs in runs.items() if peer != BULKHAUL}
    known = {peer: ratio for peer, ratio in ratios.items() if ratio is not None}
    best = max(known, key=lambda peer: known[peer], default=None)
    goal = f"{task}: wall at most {MAX_WALL_OF_BEST} x the best peer's"
    if best is None:
        return [*targets, Target(goal, figure(None), None)]
    return [*targets, Target(goal, f"{known[best]:.2f} ({best})", known[best] <= MAX_WALL_OF_BEST)]


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
    chosen = choose(find_uploaders(arguments.peers_bin), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    with open_arena(arguments.folder, arguments.server, timeout_s=arguments.timeout) as arena:
        sources = make_sources(
            arena.sources, arguments.sizes, files=arguments.files, file_size_bytes=arguments.file_size
        )
        comparison = Comparison(arena, contestants, sources, console, lambda source: source.name)
        comparison.check_and_sample()
        comparison.time_rounds(arguments.rounds)

    rows, targets = [], []
    for source in sources:
        runs, memory = comparison.timed[source], comparison.memory[source]
        rows += (finished := tally(source.name, runs, memory, size_bytes=source.size_bytes))
        targets += judge(source.name, runs)
        title = f"upload of {source.name} to {arguments.server}, medians of {arguments.rounds} paired rounds"
        print_tally(console, title, finished, comparison.failures[source])
    print_targets(console, targets, f"against {arguments.server}")
    conclude(
        console,
        arguments,
        "upload",
        {
            "machine": machine,
            "server": {"name": arguments.server, "version": arena.store.version},
            "contestants": without_paths(chosen),
            "medians": [asdict(row) for row in rows],
            "goals": [asdict(target) for target in targets],
            **comparison.encoded(),
        },
        targets=targets,
        failed=comparison.failed,
    )


if __name__ == "__main__":
    main()
