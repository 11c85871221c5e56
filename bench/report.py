"""Medians, paired ratios and targets, and how they look as tables. Knows nothing of how runs are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.contestants import BULKHAUL
from bench.measure import Usage
from bench.objects import format_size
from bench.peers import FLOOR_WAYS

MIB = 1 << 20
FLOORS = tuple(f"floor-{way}" for way in FLOOR_WAYS)

# Source: the project's goals for one large object, at the largest size measured.
MIN_TIMES_S5CMD = 1.2
MIN_TIMES_BOTO3 = 2.0
MIN_OF_FLOOR = 0.7
MAX_PRIVATE_BYTES = 250 * MIB
MAX_FIRST_REQUEST_S = 0.8


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant at one size, as medians over the rounds.

    Attributes:
        gb_per_s: 10^9 bytes a second, from the median wall time.
        min_wall_s, max_wall_s: the spread.
        cpu_s: user and system CPU of the whole tree.
        times_bulkhaul: median over rounds of (this wall / bulkhaul's wall in the same round).
        of_floor: median over rounds of (the floor's wall in the same round / this wall); 1.0 is the limit.
        outlived_s: longest that any descendant outlived the command.
    """

    name: str
    size_bytes: int
    rounds: int
    wall_s: float
    min_wall_s: float
    max_wall_s: float
    gb_per_s: float
    user_s: float
    system_s: float
    cpu_s: float
    times_bulkhaul: float | None
    of_floor: float | None
    peak_private_bytes: int | None
    outlived_s: float


@dataclass(frozen=True, slots=True)
class Target:
    """A goal, what was measured, and whether that reaches it; ``reached`` is None if it was not measured."""

    goal: str
    measured: str
    reached: bool | None


def paired_ratio(upper: Sequence[Usage] | None, lower: Sequence[Usage] | None) -> float | None:
    """Return the median over rounds of upper's wall time by lower's, or None if either did not run."""
    if not upper or not lower:
        return None
    return median(above.wall_s / below.wall_s for above, below in zip(upper, lower, strict=True))


def fastest_floor(runs: dict[str, list[Usage]]) -> str | None:
    """Return the way of the floor with the lowest median, or None if none ran."""
    ran = [name for name in FLOORS if runs.get(name)]
    return min(ran, key=lambda name: median(run.wall_s for run in runs[name]), default=None)


def summarize(size_bytes: int, runs: dict[str, list[Usage]], memory: dict[str, Usage]) -> list[Row]:
    """Return a row for every contestant that ran at this size, in the order of ``runs``.

    Args:
        size_bytes: of the object.
        runs: timed runs by contestant, one a round, in the order of the rounds.
        memory: the sampled run by contestant.
    """
    floor = fastest_floor(runs)
    rows = []
    for name, usages in runs.items():
        if not usages:
            continue
        walls_s = [run.wall_s for run in usages]
        rows.append(
            Row(
                name=name,
                size_bytes=size_bytes,
                rounds=len(usages),
                wall_s=median(walls_s),
                min_wall_s=min(walls_s),
                max_wall_s=max(walls_s),
                gb_per_s=size_bytes / median(walls_s) / 1e9,
                user_s=median(run.user_s for run in usages),
                system_s=median(run.system_s for run in usages),
                cpu_s=median(run.user_s + run.system_s for run in usages),
                times_bulkhaul=paired_ratio(usages, runs.get(BULKHAUL)),
                of_floor=paired_ratio(runs[floor], usages) if floor else None,
                peak_private_bytes=memory[name].peak_private_bytes if name in memory else None,
                outlived_s=max(run.outlived_s for run in usages),
            )
        )
    return rows


def judge(rows: Sequence[Row], first_request_s: float | None) -> list[Target]:
    """Compare bulkhaul's rows of one size, and the median of its starts, with the goals."""
    by_name = {row.name: row for row in rows}
    targets = []
    for peer, least in (("s5cmd", MIN_TIMES_S5CMD), ("boto3", MIN_TIMES_BOTO3)):
        ratio = by_name[peer].times_bulkhaul if peer in by_name else None
        reached = None if ratio is None else ratio >= least
        targets.append(Target(f"at least {least} x {peer}", figure(ratio), reached))
    ours = by_name.get(BULKHAUL)
    of_floor = ours.of_floor if ours else None
    reached = None if of_floor is None else of_floor >= MIN_OF_FLOOR
    targets.append(Target(f"at least {MIN_OF_FLOOR} of the floor", figure(of_floor), reached))
    private = ours.peak_private_bytes if ours else None
    reached = None if private is None else private < MAX_PRIVATE_BYTES
    private_mib = None if private is None else private / MIB
    targets.append(Target(f"private MiB under {MAX_PRIVATE_BYTES // MIB}", figure(private_mib, 0), reached))
    reached = None if first_request_s is None else first_request_s < MAX_FIRST_REQUEST_S
    goal = f"seconds to the first byte requested under {MAX_FIRST_REQUEST_S}"
    return [*targets, Target(goal, figure(first_request_s), reached)]


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number for a table, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def print_rows(console: Console, rows: Sequence[Row], starts_s: dict[str, float]) -> None:
    """Print one size's table."""
    table = Table(title=f"{format_size(rows[0].size_bytes)}, medians of {rows[0].rounds} paired rounds")
    table.add_column("program")
    columns = (
        "wall s", "min-max", "GB/s", "CPU s", "user", "system", "time x\nbulkhaul", "speed\nof floor",
        "private\nMiB", "first GET\nafter s",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: row.wall_s):
        private = None if row.peak_private_bytes is None else row.peak_private_bytes / MIB
        table.add_row(
            row.name,
            figure(row.wall_s),
            f"{row.min_wall_s:.2f}-{row.max_wall_s:.2f}",
            figure(row.gb_per_s),
            figure(row.cpu_s),
            figure(row.user_s),
            figure(row.system_s),
            figure(row.times_bulkhaul),
            figure(row.of_floor),
            figure(private, 0),
            figure(starts_s.get(row.name)),
            style="bold" if row.name == BULKHAUL else None,
        )
    console.print(table)


def print_targets(console: Console, targets: Sequence[Target], where: str = "at the largest size") -> None:
    """Print which goals are reached."""
    words = {True: "yes", False: "NO", None: "not measured"}
    table = Table("goal for bulkhaul", "measured", "reached", title=f"goals, {where}")
    for target in targets:
        table.add_row(target.goal, target.measured, words[target.reached])
    console.print(table)
