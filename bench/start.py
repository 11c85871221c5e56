"""Compare what whole programs cost before and after their work, where there is next to none, in paired rounds.

    python -m bench.start --rounds 9

One object of 1 KiB down and up, ten keys, one HEAD, a signed URL, a dry run, a source that is missing, the version,
the help, and a Python program whose engine is asked for nothing. The server is ``recorder.py``, which costs little and
notes when each request arrived: so there is also the time from the spawn to the first request.

Python writes the bytecode of what it imports at the first run, which is the checked one and not timed. Where it cannot
(a folder that is not writable), everything is compiled each time, and that is what is measured.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, Contestant, choose, clean_environment, without_paths
from bench.edges import chosen_of, comparison_parser, conclude, end_in_order, open_console, present
from bench.goals import Target, at_most
from bench.machine import describe_machine
from bench.measure import CommandFailedError, Usage, measure
from bench.recorder import Records, recorder
from bench.starters import CASES, ENGINE, FAILS, Start, find_starters
from bench.tally import FOR_SPENDING, Column, Tally, figure, print_tally, tally

BUCKET = "bench"
KEY = "one"
PREFIX = "ten/"
KEYS = 10
BODY = bytes(range(256)) * 4

WITH_REQUESTS = ("down", "up", "ls")
"""Cases that the goals below are for. Source: the project's goals for the start of a command."""
MAX_WALL_S = 0.25
MAX_WALL_OF_S5CMD = 2.0
MAX_CPU_S = 0.30
MAX_FIRST_REQUEST_S = 0.15
MAX_PAGE_S = 0.06
ASKS_NOTHING = ("dry run", "missing source", "--version", "--help", ENGINE)


class StartArena:
    """The recorder, and the files that are moved.

    Attributes:
        first_request_s: by case and contestant, seconds from the spawn to the first request of each timed run.
    """

    def __init__(self, folder: Path, records: Records, *, timeout_s: float) -> None:
        self.records = records
        self.timeout_s = timeout_s
        self.folder = folder
        self.first_request_s: dict[str, dict[str, list[float]]] = {}
        self._arrivals_s: list[float] = []
        self.destination = folder / "destination" / "one"
        self.output = folder / "stdout"
        for name in ("home", "destination"):
            (folder / name).mkdir()
        (folder / "source").write_bytes(BODY)
        records.put(BUCKET, KEY, BODY)
        for number in range(KEYS):
            records.put(BUCKET, f"{PREFIX}{number}", b"")

    def run(self, contestant: Contestant[Start], task: str, *, sample_memory: bool = False) -> Usage:
        """Run a contestant once."""
        self.destination.unlink(missing_ok=True)
        self.records.remove(BUCKET, f"{KEY}-new")
        self.records.forget()
        start = Start(
            task,
            self.records.endpoint,
            BUCKET,
            KEY,
            PREFIX,
            str(self.folder / "source"),
            str(self.folder / "missing"),
            str(self.destination),
        )
        usage = measure(
            contestant.command(start),
            environment=clean_environment(self.folder / "home", self.records.endpoint),
            data_folder=self.folder / "destination",
            sample_memory=sample_memory,
            timeout_s=self.timeout_s,
            stdout=self.output,
            fails=task in FAILS,
        )
        self._arrivals_s = self.records.arrivals_s()
        if self._arrivals_s and not sample_memory:
            first_s = min(self._arrivals_s) - usage.started_at_s
            self.first_request_s.setdefault(task, {}).setdefault(contestant.name, []).append(first_s)
        return usage

    def check(self, task: str) -> None:
        """Raise CommandFailedError unless the last run did what the case is, and nothing else."""
        printed = self.output.read_text()
        found: dict[str, Callable[[], bool]] = {
            "down": lambda: self.destination.exists() and self.destination.read_bytes() == BODY,
            "up": lambda: self.records.get(BUCKET, f"{KEY}-new") == BODY,
            "ls": lambda: printed.count("\n") == KEYS,
            "head": lambda: str(len(BODY)) in printed,
            "presign": lambda: "Signature=" in printed,
            "dry run": lambda: self.records.get(BUCKET, f"{KEY}-new") is None,
        }
        if not found.get(task, lambda: True)():
            raise CommandFailedError(f"it did not do what it should; it printed {printed[:500]!r}")
        if task in ASKS_NOTHING and self._arrivals_s:
            raise CommandFailedError(f"it made {len(self._arrivals_s)} requests, and none is needed")


@contextmanager
def open_arena(parent: Path, *, timeout_s: float) -> Iterator[StartArena]:
    """Start the recorder; leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=parent) as name, recorder() as records:
        yield StartArena(Path(name), records, timeout_s=timeout_s)


def judge(rows: Sequence[Tally], first_s: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Target]:
    """Compare bulkhaul's medians with the goals."""
    ours = {row.task: row for row in rows if row.name == BULKHAUL}
    theirs = {row.task: row.wall_of_bulkhaul for row in rows if row.name == "s5cmd"}
    targets = []
    for case in WITH_REQUESTS:
        row, of_ours = ours.get(case), theirs.get(case)
        # Without a row it has failed, and what came of its other rounds counts for nothing.
        first = first_s.get(case, {}).get(BULKHAUL) if row else None
        goals = (
            (f"wall s at most {MAX_WALL_S}", row.wall_s if row else None, MAX_WALL_S),
            (f"wall at most {MAX_WALL_OF_S5CMD} x s5cmd's", 1 / of_ours.ratio if of_ours else None, MAX_WALL_OF_S5CMD),
            (f"CPU s at most {MAX_CPU_S}", row.cpu_s if row else None, MAX_CPU_S),
            (
                f"s to the first request at most {MAX_FIRST_REQUEST_S}",
                median(first) if first else None,
                MAX_FIRST_REQUEST_S,
            ),
        )
        targets += [at_most(f"{case}: {goal}", measured, most, digits=3) for goal, measured, most in goals]
    for case in ("--version", "--help"):
        row = ours.get(case)
        targets.append(
            at_most(f"{case}: wall s at most {MAX_PAGE_S}", row.wall_s if row else None, MAX_PAGE_S, digits=3)
        )
    return targets


def columns(first_s: Mapping[str, Sequence[float]]) -> tuple[Column, ...]:
    """Return what the table has beside the columns of all."""

    def first_request(row: Tally) -> str:
        return figure(median(first_s[row.name]) if row.name in first_s else None, 3)

    return (*FOR_SPENDING, ("first\nrequest", first_request))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.start", __doc__)
    parser.set_defaults(rounds=9)
    parser.add_argument("--cases", type=chosen_of(CASES), default=",".join(CASES), help=f"default: {','.join(CASES)}")
    return parser.parse_args()


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    machine = describe_machine(arguments.folder)
    rows: list[Tally] = []
    contestants: dict[str, object] = {}
    encoded: dict[str, object] = {}
    failed = False
    with open_arena(arguments.folder, timeout_s=arguments.timeout) as arena:
        for case in arguments.cases:
            chosen = choose(find_starters(case, arguments.peers_bin), arguments.only)
            contestants[case] = without_paths(chosen)
            comparison = Comparison(arena, present(chosen, console), [case], console)
            comparison.run(arguments.rounds)
            rows += (finished := tally(case, comparison.timed[case], comparison.memory[case]))
            first_s = arena.first_request_s.get(case, {})
            print_tally(console, case, finished, comparison.failures[case], columns(first_s), digits=3)
            encoded[case] = comparison.encoded()
            failed = failed or comparison.failed
    conclude(
        console,
        arguments,
        "start",
        {
            "machine": machine,
            "contestants": contestants,
            "medians": rows,
            "first_request_s": arena.first_request_s,
            "cases": encoded,
        },
        targets=judge(rows, arena.first_request_s),
        where="at the start",
        failed=failed,
    )


if __name__ == "__main__":
    main()
