"""Goals of the project, and whether what was measured reaches them. Knows nothing of how runs are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.contestants import BULKHAUL
from bench.measure import Usage
from bench.tally import Ratio, Runs, figure, wall_ratio
from bulkhaul.model.limits import MIB

Measure = Ratio | float | None


@dataclass(frozen=True, slots=True)
class Target:
    """A goal, what was measured, and whether that reaches it; ``reached`` is None if it was not measured."""

    goal: str
    measured: str
    reached: bool | None


def at_least(goal: str, measured: Measure, least: float) -> Target:
    """Return a goal that a value must not be below; of a ratio the middle of its interval counts."""
    value = _value(measured)
    return Target(goal, _text(measured), None if value is None else value >= least)


def at_most(goal: str, measured: Measure, most: float, *, digits: int = 2) -> Target:
    """Return a goal that a value must not be above; of a ratio the middle of its interval counts."""
    value = _value(measured)
    return Target(goal, _text(measured, digits), None if value is None else value <= most)


def private_memory(task: str, memory: Mapping[str, Usage], most_bytes: int) -> Target:
    """Return the goal for bulkhaul's private memory in its sampled run, if there was one."""
    peak = peak_of(memory)
    private_mib = None if peak is None else peak / MIB
    return at_most(f"{task}: private MiB at most {most_bytes // MIB}", private_mib, most_bytes / MIB, digits=0)


def wall_of_best(goal: str, runs: Runs, peers: Sequence[str], most: float) -> Target:
    """Return a goal for bulkhaul's wall time by that of the fastest of some peers, whom the result names."""
    ratios = {name: ratio for name in peers if (ratio := wall_ratio(runs, BULKHAUL, name)) is not None}
    best = max(ratios, key=lambda name: ratios[name].ratio, default=None)
    if best is None:
        return Target(goal, figure(None), None)
    return Target(goal, f"{ratios[best]} {best}", ratios[best].ratio <= most)


def peak_of(memory: Mapping[str, Usage]) -> int | None:
    """Return the private memory of bulkhaul's sampled run, in bytes; None without one."""
    return memory[BULKHAUL].peak_private_bytes if BULKHAUL in memory else None


def _value(measured: Measure) -> float | None:
    return measured.ratio if isinstance(measured, Ratio) else measured


def _text(measured: Measure, digits: int = 2) -> str:
    return str(measured) if isinstance(measured, Ratio) else figure(measured, digits)


def print_targets(console: Console, targets: Sequence[Target], where: str) -> None:
    """Print which goals are reached."""
    words = {True: "yes", False: "NO", None: "not measured"}
    table = Table("goal for bulkhaul", "measured", "reached", title=f"goals, {where}")
    for target in targets:
        table.add_row(target.goal, target.measured, words[target.reached])
    console.print(table)
