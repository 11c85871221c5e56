"""Medians and paired ratios of wall time and CPU time, and how they look as a table. Runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.contestants import BULKHAUL
from bench.measure import Usage
from bench.report import MIB, figure, paired_ratio

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Tally:
    """One contestant at one task, as medians over the rounds.

    Attributes:
        wall_s, min_wall_s, max_wall_s: spawn to exit.
        cpu_s, min_cpu_s, max_cpu_s: user and system CPU of the client's whole tree; not the server's.
        cpu_s_per_gib: the same by the bytes of the task; None if it moves none.
        cpu_us_per_object, objects_per_s: by the number of objects; None if that is not what a task is about.
        wall_of_bulkhaul: median over rounds of (this wall / bulkhaul's wall in the same round).
        cpu_of_bulkhaul: the same of CPU time.
        peak_private_bytes: of the sampled run.
    """

    task: str
    name: str
    rounds: int
    wall_s: float
    min_wall_s: float
    max_wall_s: float
    cpu_s: float
    min_cpu_s: float
    max_cpu_s: float
    user_s: float
    system_s: float
    cpu_s_per_gib: float | None
    cpu_us_per_object: float | None
    objects_per_s: float | None
    wall_of_bulkhaul: float | None
    cpu_of_bulkhaul: float | None
    peak_private_bytes: int | None


def cpu_s(usage: Usage) -> float:
    """Return the user and system CPU seconds of a run."""
    return usage.user_s + usage.system_s


def cpu_ratio(upper: Sequence[Usage] | None, lower: Sequence[Usage] | None) -> float | None:
    """Return the median over rounds of upper's CPU time by lower's, or None if either did not run."""
    if not upper or not lower:
        return None
    return median(cpu_s(above) / cpu_s(below) for above, below in zip(upper, lower, strict=True))


def tally(
    task: str,
    runs: Mapping[str, Sequence[Usage]],
    memory: Mapping[str, Usage],
    *,
    size_bytes: int | None = None,
    objects: int | None = None,
) -> list[Tally]:
    """Return a row for everybody who finished a task, in the order of ``runs``.

    Args:
        task: its name.
        runs: timed runs by contestant, one a round, in the order of the rounds.
        memory: the sampled run by contestant.
        size_bytes: what the task moves.
        objects: how many objects it moves, if there are many.
    """
    rows = []
    for name, usages in runs.items():
        walls_s = [run.wall_s for run in usages]
        cpus_s = [cpu_s(run) for run in usages]
        rows.append(
            Tally(
                task=task,
                name=name,
                rounds=len(usages),
                wall_s=median(walls_s),
                min_wall_s=min(walls_s),
                max_wall_s=max(walls_s),
                cpu_s=median(cpus_s),
                min_cpu_s=min(cpus_s),
                max_cpu_s=max(cpus_s),
                user_s=median(run.user_s for run in usages),
                system_s=median(run.system_s for run in usages),
                cpu_s_per_gib=median(cpus_s) / size_bytes * GIB if size_bytes else None,
                cpu_us_per_object=median(cpus_s) / objects * 1e6 if objects else None,
                objects_per_s=objects / median(walls_s) if objects else None,
                wall_of_bulkhaul=paired_ratio(usages, runs.get(BULKHAUL)),
                cpu_of_bulkhaul=cpu_ratio(usages, runs.get(BULKHAUL)),
                peak_private_bytes=memory[name].peak_private_bytes if name in memory else None,
            )
        )
    return rows


def print_tally(console: Console, title: str, rows: Sequence[Tally], failures: Mapping[str, str]) -> None:
    """Print one task's table: who finished, fastest first, then who failed, and why."""
    table = Table(title=title)
    table.add_column("program")
    are_many = any(row.objects_per_s for row in rows)
    rate, cost = ("objects\n/ s", "CPU us /\nobject") if are_many else ("min-max", "CPU s\n/ GiB")
    columns = (
        "wall s", "min-max", "CPU s", rate, cost, "wall x\nbulkhaul", "CPU x\nbulkhaul", "private\nMiB",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: row.wall_s):
        table.add_row(
            row.name,
            figure(row.wall_s),
            f"{row.min_wall_s:.2f}-{row.max_wall_s:.2f}",
            figure(row.cpu_s),
            figure(row.objects_per_s, 0) if are_many else f"{row.min_cpu_s:.2f}-{row.max_cpu_s:.2f}",
            figure(row.cpu_us_per_object, 0) if are_many else figure(row.cpu_s_per_gib),
            figure(row.wall_of_bulkhaul),
            figure(row.cpu_of_bulkhaul),
            figure(None if row.peak_private_bytes is None else row.peak_private_bytes / MIB, 0),
            style="bold" if row.name == BULKHAUL else None,
        )
    for name in failures:
        table.add_row(name, "failed", style="red")
    console.print(table)
    for name, reason in failures.items():
        console.print(f"{name} failed, {reason}", style="red", markup=False, highlight=False)
