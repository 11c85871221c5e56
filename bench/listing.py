"""Compare whole programs that list many keys, one by one or as a total, in interleaved paired rounds.

    python -m bench.listing --server computed --shapes hashed,dated --rounds 5
    python -m bench.listing --server weed --keys 10000,100000 --rounds 5

``computed`` computes its keys and answers after ``--latency``, as a service far away does. The others are real ones,
filled with empty objects below a prefix for each number of keys: SeaweedFS takes 100,000 of them in about a minute.
What a program prints goes to a file, and is checked after every run: ``ls`` must print one line a key, ``du`` their
number. Two numbers of at least 300,000 keys show whether memory grows with the listing.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from rich.console import Console

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, DUMMY_KEYS, Contestant, choose, clean_environment, without_paths
from bench.edges import chosen_of, comparison_parser, conclude, counts, end_in_order, open_console, present
from bench.goals import Target, at_least, at_most, peak_of, private_memory
from bench.listed_keys import SHAPES, Keys
from bench.listers import Listing, find_listers
from bench.listing_server import listing_prefix, listing_server
from bench.machine import describe_machine
from bench.measure import CommandFailedError, Usage, measure
from bench.stores import BUCKET, STORES
from bench.tally import Runs, print_tally, tally, wall_ratio
from bulkhaul.model.limits import MIB

VERBS = ("ls", "du")
COMPUTED = "computed"
STORED = "counter"
"""The shape of keys that are put into a real server."""

# Source: the project's goals for listings.
MIN_TIMES_S5CMD = 1.0
MIN_TIMES_S5CMD_COMPUTED = 8.0
MAX_PRIVATE_BYTES = 150 * MIB
MAX_MEMORY_GROWTH = 1.5
FULL_SPEED_KEYS = 300_000
"""Memory is compared from here on. What a listing holds are pages that wait for the reader, and it takes some hundreds
of them before it has found how many to ask for side by side: a shorter one that holds fewer would pass for growth."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which command is run over how many keys."""

    verb: str
    keys: int
    shape: str = STORED

    def __str__(self) -> str:
        return f"{self.verb} {self.keys:,} {self.shape}"

    @property
    def prefix(self) -> str:
        """Where the keys are."""
        return listing_prefix(self.shape, self.keys)

    @property
    def names(self) -> Keys:
        """The keys, without the prefix."""
        return SHAPES[self.shape](self.keys)


class ListingArena:
    """The filled server.

    Attributes:
        keys: access key and secret key.
    """

    def __init__(self, folder: Path, endpoint: str, keys: tuple[str, str], version: str, *, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.keys = keys
        self.version = version
        self.timeout_s = timeout_s
        self.home = folder / "home"
        self.output = folder / "output" / "stdout"

    def run(self, contestant: Contestant[Listing], task: Question, *, sample_memory: bool = False) -> Usage:
        """List once, and check what was printed.

        Raises:
            CommandFailedError: the command failed, or did not print what it should.
        """
        listing = Listing(task.verb, self.endpoint, BUCKET, task.prefix)
        usage = measure(
            contestant.command(listing),
            environment=clean_environment(self.home, self.endpoint, self.keys),
            data_folder=self.output.parent,
            sample_memory=sample_memory,
            timeout_s=self.timeout_s,
            stdout=self.output,
        )
        self.check_amount(task)
        return usage

    def check_amount(self, task: Question) -> None:
        """Raise CommandFailedError unless ``ls`` printed a line for each key, or ``du`` their number."""
        text = self.output.read_text()
        if task.verb == "ls":
            lines = text.count("\n")
            if lines != task.keys:
                raise CommandFailedError(f"printed {lines} lines for {task.keys} keys")
        elif re.search(rf"\b{task.keys}\b", text.replace(",", "")) is None:
            raise CommandFailedError(f"did not say that there are {task.keys} objects: {text[:500]!r}")

    def check(self, task: Question) -> None:
        """Raise CommandFailedError unless ``ls`` printed every key, each once; ``du`` has been checked before."""
        if task.verb == "ls":
            # Some programs print whole keys, others what is below the prefix; sizes stand before a blank or semicolon.
            words = (re.split("[ ;]", line)[-1] for line in self.output.read_text().splitlines())
            printed = {word.removeprefix(task.prefix) for word in words}
            if missing := sum(name not in printed for name in task.names):
                raise CommandFailedError(f"printed {task.keys} lines, but {missing} keys do not end one")


@contextmanager
def open_arena(
    parent: Path, server: str, keys: Sequence[int], console: Console, *, latency_s: float, timeout_s: float
) -> Iterator[tuple[ListingArena, dict[int, float]]]:
    """Start the server and fill it; leave nothing behind. Gives the arena, and the seconds of filling by keys."""
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=parent) as name:
        folder = Path(name)
        for part in ("home", "output", "server"):
            (folder / part).mkdir()
        if server == COMPUTED:
            with listing_server(keys, latency_s) as endpoint:
                yield ListingArena(folder, endpoint, DUMMY_KEYS, "computed", timeout_s=timeout_s), {}
            return
        with STORES[server](folder / "server") as store:
            arena = ListingArena(folder, store.endpoint, store.keys, store.version, timeout_s=timeout_s)
            filled_s = {}
            for count in keys:
                began_s, question = time.monotonic(), Question("ls", count)
                store.fill((question.prefix + name for name in question.names), lambda _: b"")
                filled_s[count] = time.monotonic() - began_s
                console.print(f"  {server} took {count:,} keys in {filled_s[count]:.1f} s", highlight=False)
            yield arena, filled_s


def judge(
    keys: Sequence[int],
    shapes: Sequence[str],
    times_s5cmd: float,
    timed: Mapping[Question, Runs],
    memory: Mapping[Question, Mapping[str, Usage]],
) -> list[Target]:
    """Compare bulkhaul with the goals.

    Args:
        keys: the numbers of keys, smallest first.
        times_s5cmd: how many times as fast as s5cmd a listing has to be.
        timed: timed runs by question and contestant.
        memory: the sampled run by question and contestant.
    """
    targets = []
    for shape, verb in product(shapes, VERBS):
        enough = next((count for count in keys if count >= FULL_SPEED_KEYS), keys[-1])
        few, many = Question(verb, enough, shape), Question(verb, keys[-1], shape)
        ratio = wall_ratio(timed[many], "s5cmd", BULKHAUL)
        most, least = peak_of(memory[many]), None if few == many else peak_of(memory[few])
        targets += [
            at_least(f"{many}: at least {times_s5cmd} x as fast as s5cmd", ratio, times_s5cmd),
            private_memory(str(many), memory[many], MAX_PRIVATE_BYTES),
            at_most(
                f"{many}: private memory at most {MAX_MEMORY_GROWTH} x that at {few.keys:,}",
                most / least if most and least else None,
                MAX_MEMORY_GROWTH,
            ),
        ]
    return targets


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.listing", __doc__)
    parser.add_argument("--server", choices=[COMPUTED, *STORES], default=COMPUTED, help="default: computed")
    parser.add_argument("--latency", type=float, default=0.03, help="seconds before a computed reply (default: 0.03)")
    parser.add_argument(
        "--shapes",
        type=chosen_of(SHAPES),
        default="hashed",
        help=f"of computed keys: {', '.join(SHAPES)} (default: hashed)",
    )
    parser.add_argument(
        "--keys", type=counts, default="10000,300000,1000000", help="numbers (default: 10000,300000,1000000)"
    )
    return parser.parse_args()


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    chosen = choose(find_listers(arguments.peers_bin), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    computed = arguments.server == COMPUTED
    shapes = arguments.shapes if computed else [STORED]
    questions = [Question(verb, count, shape) for shape in shapes for count in arguments.keys for verb in VERBS]
    with open_arena(
        arguments.folder,
        arguments.server,
        arguments.keys,
        console,
        latency_s=arguments.latency,
        timeout_s=arguments.timeout,
    ) as (arena, filled_s):
        comparison = Comparison(arena, contestants, questions, console)
        comparison.run(arguments.rounds)

    rows = []
    for question in questions:
        rows += (finished := tally(str(question), comparison.timed[question], comparison.memory[question]))
        print_tally(console, f"{question} keys of {arguments.server}", finished, comparison.failures[question])
    times_s5cmd = MIN_TIMES_S5CMD_COMPUTED if computed else MIN_TIMES_S5CMD
    targets = judge(arguments.keys, shapes, times_s5cmd, comparison.timed, comparison.memory)
    conclude(
        console,
        arguments,
        "listing",
        {
            "machine": machine,
            "server": {
                "name": arguments.server,
                "version": arena.version,
                "filled_s": filled_s,
                "latency_s": arguments.latency if computed else 0.0,
            },
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
