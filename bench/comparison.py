"""Run everybody at every task: once checked and sampled for memory, then in interleaved paired rounds.

In a round every contestant runs once at every task, so that what disturbs the machine disturbs all; ratios
are formed within a round. The order shifts by one from round to round. A contestant that fails at a task is
reported with its reason and takes no further part in that task. Knows nothing of what a task is, but
that its text names it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from rich.console import Console

from bench.contestants import Contestant
from bench.measure import CommandFailedError, Usage

T = TypeVar("T")
J = TypeVar("J")
T_contra = TypeVar("T_contra", contravariant=True)


class Arena(Protocol[T_contra, J]):
    """Where tasks are run, by contestants who take jobs of type ``J``."""

    def run(self, contestant: Contestant[J], task: T_contra, *, sample_memory: bool = False) -> Usage:
        """Run a contestant once; what it made stays until the next run."""

    def check(self, task: T_contra) -> None:
        """Raise CommandFailedError unless the last run's result is exact in every byte."""


class Comparison(Generic[T, J]):
    """All runs of all contestants.

    Attributes:
        memory: the checked and sampled run, by task and contestant.
        timed: the timed runs by task and contestant, one a round.
        failures: why, by task and contestant.
    """

    def __init__(
        self,
        arena: Arena[T, J],
        contestants: Sequence[Contestant[J]],
        tasks: Sequence[T],
        console: Console,
    ) -> None:
        self.arena = arena
        self.contestants = list(contestants)
        self.tasks = list(tasks)
        self.console = console
        self.memory: dict[T, dict[str, Usage]] = {task: {} for task in tasks}
        self.timed: dict[T, dict[str, list[Usage]]] = {task: {} for task in tasks}
        self.failures: dict[T, dict[str, str]] = {task: {} for task in tasks}

    @contextmanager
    def excluding_failure(self, contestant: Contestant[J], task: T, what: str) -> Iterator[None]:
        """Record a failure inside the block and exclude the contestant from what follows of the task."""
        try:
            yield
        except CommandFailedError as error:
            self.failures[task][contestant.name] = f"{what}: {error}"
            text = f"{contestant.name} failed, {what} of {task}: {error}"
            self.console.print(text, style="red", markup=False, highlight=False)

    def run(self, rounds: int) -> None:
        """Make all runs; without rounds the checked ones stand for them, although sampling disturbs their times."""
        self.check_and_sample()
        if rounds:
            self.time_rounds(rounds)
        else:
            self.console.print("no timed rounds: these are the times of the checked runs, disturbed by sampling")
            self.timed = {task: {name: [usage] for name, usage in runs.items()} for task, runs in self.memory.items()}

    def check_and_sample(self) -> None:
        """Run everybody once at every task, check what it made and sample its memory."""
        for task in self.tasks:
            for one in self.contestants:
                with self.excluding_failure(one, task, "checked run"):
                    usage = self.arena.run(one, task, sample_memory=True)
                    self.arena.check(task)
                    self.memory[task][one.name] = usage
                    self.console.print(f"  {one.name}: {task} exact", highlight=False)

    def time_rounds(self, rounds: int) -> None:
        """Run the timed rounds; everybody else keeps its rounds when one drops out."""
        for number in range(rounds):
            shift = number % max(1, len(self.contestants))
            for task in self.tasks:
                for one in self.contestants[shift:] + self.contestants[:shift]:
                    if one.name in self.failures[task]:
                        continue
                    with self.excluding_failure(one, task, f"round {number + 1}"):
                        usage = self.arena.run(one, task)
                        self.timed[task].setdefault(one.name, []).append(usage)
                        what = f"round {number + 1}, {task}, {one.name}"
                        self.console.print(f"  {what}: {usage.wall_s:.2f} s", highlight=False)
        for task, failures in self.failures.items():
            for name in failures:
                self.timed[task].pop(name, None)

    @property
    def failed(self) -> bool:
        """Whether anybody failed at anything."""
        return any(self.failures.values())

    def encoded(self) -> dict[str, object]:
        """Return every single run and failure, by the task's name."""
        return {
            "failures": {str(task): self.failures[task] for task in self.tasks},
            "memory_runs": {str(task): self.memory[task] for task in self.tasks},
            "timed_runs": {str(task): self.timed[task] for task in self.tasks},
        }
