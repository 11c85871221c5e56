"""One contestant's runs at one task: medians, its times by bulkhaul's as rounds pair them, and a table. Runs nothing.

Whether a ratio differs from 1 by more than chance is decided as `bulkhaul bench compare` decides it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median

from rich.console import Console
from rich.table import Table

from bench.contestants import BULKHAUL
from bench.measure import Usage
from bulkhaul.model.limits import GIB, MIB
from bulkhaul.policy.differences import CONFIDENCE, Word, paired_interval, word_of

Runs = Mapping[str, Sequence[Usage]]
"""Timed runs by contestant, one a round, in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The times of one contestant by those of another.

    Attributes:
        ratio: geometric mean of the ratios within each round.
        low, high: ends of its interval; None of one round, which does not tell how far rounds scatter.
        word: what so many rounds show of the first contestant.
    """

    ratio: float
    low: float | None
    high: float | None
    word: Word

    def __str__(self) -> str:
        reach = "" if self.low is None else f" ({self.low:.2f}-{self.high:.2f})"
        return f"{self.ratio:.2f}{reach}"


@dataclass(frozen=True, slots=True)
class Tally:
    """One contestant at one task, as medians over the rounds.

    Attributes:
        wall_s, min_wall_s, max_wall_s: spawn to exit.
        cpu_s, min_cpu_s, max_cpu_s: user and system CPU of the client's whole tree; not the server's.
        bytes_per_s, cpu_s_per_gib: by the bytes of the task; None if it moves none.
        cpu_us_per_object, objects_per_s: by the number of objects; None if that is not what a task is about.
        wall_of_bulkhaul, cpu_of_bulkhaul: its times by bulkhaul's; None of bulkhaul itself.
        peak_private_bytes: of the sampled run.
        outlived_s: longest that any descendant outlived the command.
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
    bytes_per_s: float | None
    cpu_s_per_gib: float | None
    cpu_us_per_object: float | None
    objects_per_s: float | None
    wall_of_bulkhaul: Ratio | None
    cpu_of_bulkhaul: Ratio | None
    peak_private_bytes: int | None
    outlived_s: float


Column = tuple[str, Callable[[Tally], str]]
"""The head of a column, and what stands in it."""


def wall_ratio(runs: Runs, upper: str, lower: str) -> Ratio | None:
    """Return one contestant's wall times by another's, or None if either did not run."""
    return _ratio(runs, upper, lower, lambda usage: usage.wall_s)


def cpu_ratio(runs: Runs, upper: str, lower: str) -> Ratio | None:
    """Return one contestant's CPU times by another's, or None if either did not run."""
    return _ratio(runs, upper, lower, cpu_s)


def _ratio(runs: Runs, upper: str, lower: str, seconds: Callable[[Usage], float]) -> Ratio | None:
    above, below = [seconds(run) for run in runs.get(upper, ())], [seconds(run) for run in runs.get(lower, ())]
    if not above or not below:
        return None
    interval = paired_interval(below, above, CONFIDENCE)
    word = word_of(interval, more_is_better=False)
    if interval is None:
        return Ratio(geometric_mean(above) / geometric_mean(below), None, None, word)
    return Ratio(interval.ratio, interval.low, interval.high, word)


def cpu_s(usage: Usage) -> float:
    """Return the user and system CPU seconds of a run."""
    return usage.user_s + usage.system_s


def tally(
    task: str,
    runs: Runs,
    memory: Mapping[str, Usage],
    *,
    size_bytes: int | None = None,
    objects: int | None = None,
) -> list[Tally]:
    """Return a row for everybody who finished a task, in the order of ``runs``.

    Args:
        task: its name.
        memory: the sampled run by contestant.
        size_bytes: what the task moves.
        objects: how many objects it moves, if there are many.
    """
    rows = []
    for name, usages in runs.items():
        walls_s = [run.wall_s for run in usages]
        cpus_s = [cpu_s(run) for run in usages]
        is_ours = name == BULKHAUL
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
                bytes_per_s=size_bytes / median(walls_s) if size_bytes else None,
                cpu_s_per_gib=median(cpus_s) / size_bytes * GIB if size_bytes else None,
                cpu_us_per_object=median(cpus_s) / objects * 1e6 if objects else None,
                objects_per_s=objects / median(walls_s) if objects else None,
                wall_of_bulkhaul=None if is_ours else wall_ratio(runs, name, BULKHAUL),
                cpu_of_bulkhaul=None if is_ours else cpu_ratio(runs, name, BULKHAUL),
                peak_private_bytes=memory[name].peak_private_bytes if name in memory else None,
                outlived_s=max(run.outlived_s for run in usages),
            )
        )
    return rows


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number for a table, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def mib(size_bytes: int | None) -> str:
    """Return whole MiB for a table, or a dash."""
    return figure(None if size_bytes is None else size_bytes / MIB, 0)


FOR_BYTES: tuple[Column, ...] = (("CPU s\n/ GiB", lambda row: figure(row.cpu_s_per_gib)),)
FOR_OBJECTS: tuple[Column, ...] = (
    ("objects\n/ s", lambda row: figure(row.objects_per_s, 0)),
    ("CPU us /\nobject", lambda row: figure(row.cpu_us_per_object, 0)),
)
FOR_SPENDING: tuple[Column, ...] = (
    ("user", lambda row: figure(row.user_s, 3)),
    ("system", lambda row: figure(row.system_s, 3)),
)


def print_tally(
    console: Console,
    title: str,
    rows: Sequence[Tally],
    failures: Mapping[str, str],
    special: Sequence[Column] = (),
    *,
    digits: int = 2,
) -> None:
    """Print one task's table: who finished, fastest first, then who failed, and why.

    Args:
        special: columns that this benchmark has beside those of all.
        digits: of seconds.
    """
    columns: list[Column] = [
        ("program", lambda row: row.name),
        ("wall s", lambda row: figure(row.wall_s, digits)),
        ("min-max", lambda row: f"{row.min_wall_s:.{digits}f}-{row.max_wall_s:.{digits}f}"),
        ("CPU s", lambda row: figure(row.cpu_s, digits)),
        *special,
        ("wall x\nbulkhaul", lambda row: str(row.wall_of_bulkhaul or "-")),
        ("shown", lambda row: row.wall_of_bulkhaul.word if row.wall_of_bulkhaul else "-"),
        ("CPU x\nbulkhaul", lambda row: str(row.cpu_of_bulkhaul or "-")),
        ("private\nMiB", lambda row: mib(row.peak_private_bytes)),
    ]
    rounds = max((row.rounds for row in rows), default=0)
    table = Table(title=f"{title}, medians of {rounds} paired rounds")
    for head, _ in columns:
        table.add_column(head, justify="left" if head == "program" else "right", no_wrap=True)
    for row in sorted(rows, key=lambda row: row.wall_s):
        table.add_row(*(cell(row) for _, cell in columns), style="bold" if row.name == BULKHAUL else None)
    for name in failures:
        table.add_row(name, "failed", style="red")
    console.print(table)
    for name, reason in failures.items():
        console.print(f"{name} failed, {reason}", style="red", markup=False, highlight=False)
