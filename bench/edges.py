"""What every comparison shares at its edges: options, who is present, the results file. Measures nothing."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

import msgspec
from rich.console import Console

from bench.contestants import Absent, Contestant
from bench.goals import Target, print_targets
from bulkhaul.policy.sizes import parse_size

RESULTS = Path(__file__).parent / "results"

J = TypeVar("J")


def comparison_parser(program: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every comparison has."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="timed rounds (default: 5; 0 to only try: the checked runs stand for them)",
    )
    parser.add_argument("--only", default="", help="names or beginnings of names, as in bulkhaul,s5cmd")
    parser.add_argument("--peers-bin", type=Path, metavar="DIR", help="where s5cmd and rclone are, if not on PATH")
    parser.add_argument(
        "--folder", type=Path, default=Path("/var/tmp"), help="on the disk to measure (default: /var/tmp)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one run (default: 600)")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless all goals are reached")
    return parser


def end_in_order() -> None:
    """Have SIGTERM end the program as Ctrl-C does: servers stop, and temporary folders go."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def positive(text: str) -> int:
    """Return a number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def counts(text: str) -> list[int]:
    """Return comma-separated numbers of at least 1, smallest first, for argparse; an empty text holds none."""
    return sorted({positive(count) for count in text.split(",") if count})


def chosen_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return an argparse type: some of these names, comma-separated."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        if unknown := set(chosen) - set(names):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not of {', '.join(names)}")
        return chosen

    return parse


def sizes(text: str) -> list[int]:
    """Return the bytes of comma-separated sizes, smallest first, for argparse; an empty text holds none."""
    try:
        return sorted({parse_size(size) for size in text.split(",") if size})
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def open_console() -> Console:
    """Return a console that prints to stdout, wide enough for the tables."""
    return Console(width=None if sys.stdout.isatty() else 140)


def present(chosen: Sequence[Contestant[J] | Absent], console: Console) -> list[Contestant[J]]:
    """Return the contestants that can run, and say who is absent; exit if nobody is left."""
    for one in chosen:
        if isinstance(one, Absent):
            console.print(f"absent: {one.name} ({one.reason})", style="yellow")
    found = [one for one in chosen if isinstance(one, Contestant)]
    if not found:
        raise SystemExit("nobody is left to measure")
    return found


def write_results(folder: Path, benchmark: str, results: dict[str, object]) -> Path:
    """Write the results under the date and time of now and return the path."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{benchmark}-{now:%Y-%m-%d-%H%M%S}.json"
    whole = {"benchmark": benchmark, "at": now.isoformat(timespec="seconds"), **results}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
    return path


def conclude(
    console: Console,
    arguments: argparse.Namespace,
    benchmark: str,
    results: dict[str, object],
    *,
    targets: Sequence[Target],
    where: str,
    failed: bool,
) -> NoReturn:
    """Print the goals, write the results, and exit: with 1 if somebody failed or, with ``--check``, missed a goal.

    Args:
        where: what the goals are about, for their title.
    """
    print_targets(console, targets, where)
    path = write_results(arguments.results, benchmark, {**results, "goals": targets})
    console.print(f"written to {path.name}")
    missed = arguments.check and not all(target.reached for target in targets)
    sys.exit(1 if failed or missed else 0)
