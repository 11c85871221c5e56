"""Drives the window and the hedging of the program against six modelled services, beside each fixed number in flight.

Run: ``python -m bench.simulate [--networks loopback,lan,s3,wan,slowdown,tails] [--workloads parts,objects,mixture]
[--seconds 40] [--seeds 1,2,3] [--results DIR] [--plots DIR] [--check]``. Simulated time; the same on every machine.

*Settled* is what is delivered from 20 s on (from the middle on, if less is simulated), *first* what is delivered in
the first 10 s, from the first connection on. Each is divided by the most that a fixed setting of 1, 2, 4 … 512
delivers in the same network and workload. Exit status: 1 with ``--check`` if a goal was missed, else 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from bench.simulation.client import SAMPLE_S, Client, Fixed
from bench.simulation.networks import NETWORKS, WORKLOADS
from bench.simulation.plots import regret_plot, window_plot
from bulkhaul.policy.window import Window

FIXED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
FIXED_S = 20.0
"""A fixed setting is simulated for no longer: from the middle on it delivers what it always will."""
FIRST_S = 10.0
SETTLED_S = 20.0
MIN_SETTLED = 0.95
MIN_FIRST = 0.85
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Task:
    """One run: with a fixed number in flight, or with the window."""

    network: str
    workload: str
    seed: int
    seconds: float
    fixed: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run delivered.

    Attributes:
        first, settled: bytes a second.
        sizes: the window, every ``SAMPLE_S``; empty for a fixed one.
        ttfb_p99_s: of the first 50,000 replies, after hedging.
    """

    first: float
    settled: float
    sizes: list[int]
    requests: int
    refused: int
    twins: int
    ttfb_p99_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The window in one network and workload, over all seeds.

    Attributes:
        best_fixed: the fixed setting that delivers most once settled.
        enough: the smallest fixed setting that delivers 0.97 of that.
        settled, first: shares of the best fixed setting's delivery, for each seed.
        mean_size: of the window, once settled.
    """

    network: str
    workload: str
    best_fixed: int
    enough: int
    best_bytes_per_s: float
    settled: list[float]
    first: list[float]
    mean_size: list[float]
    refused: list[int]
    twins: list[int]
    requests: list[int]

    @property
    def reached(self) -> bool:
        """Whether every seed reached both goals."""
        return min(self.settled) >= MIN_SETTLED and min(self.first) >= MIN_FIRST


def play(task: Task) -> Outcome:
    """Make one run."""
    window: Window | Fixed = Fixed(task.fixed) if task.fixed else Window()
    client = Client(NETWORKS[task.network], WORKLOADS[task.workload], window, seed=task.seed)
    run = client.play(task.seconds)
    settled_s = min(SETTLED_S, task.seconds / 2)
    ttfb_s = sorted(run.ttfb_s)
    return Outcome(
        run.rate(0.0, min(FIRST_S, task.seconds)),
        run.rate(settled_s, task.seconds),
        [] if task.fixed else run.sizes,
        run.requests,
        run.refused,
        run.twins,
        ttfb_s[int(0.99 * len(ttfb_s))] if ttfb_s else 0.0,
    )


def compare(
    network: str, workload: str, fixed: dict[int, Outcome], runs: Sequence[Outcome], *, seconds: float
) -> Comparison:
    """Return the window's shares of what the best fixed setting delivers."""
    best = max(fixed, key=lambda size: fixed[size].settled)
    most, most_first = fixed[best].settled, max(outcome.first for outcome in fixed.values())
    settled = round(min(SETTLED_S, seconds / 2) / SAMPLE_S)
    return Comparison(
        network=network,
        workload=workload,
        best_fixed=best,
        enough=min(size for size, outcome in fixed.items() if outcome.settled >= 0.97 * most),
        best_bytes_per_s=most,
        settled=[round(run.settled / most, 4) for run in runs],
        first=[round(run.first / most_first, 4) for run in runs],
        mean_size=[round(sum(run.sizes[settled:]) / len(run.sizes[settled:]), 1) for run in runs],
        refused=[run.refused for run in runs],
        twins=[run.twins for run in runs],
        requests=[run.requests for run in runs],
    )


def simulate(
    networks: Sequence[str],
    workloads: Sequence[str],
    *,
    seconds: float,
    seeds: Sequence[int],
    fixed: Sequence[int] = FIXED,
    processes: int = 1,
) -> tuple[list[Comparison], dict[tuple[str, str], list[Outcome]]]:
    """Return the comparisons, and the runs with the window by (network, workload), a run a seed."""
    cases = [(network, workload) for network in networks for workload in workloads]
    steady_s = min(seconds, FIXED_S)
    tasks = [Task(*case, seeds[0], steady_s, size) for case in cases for size in fixed]
    tasks += [Task(*case, seed, seconds, None) for case in cases for seed in seeds]
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
            outcomes = dict(zip(tasks, pool.map(play, tasks), strict=True))
    else:
        outcomes = {task: play(task) for task in tasks}
    comparisons, runs = [], {}
    for case in cases:
        of_fixed = {size: outcomes[Task(*case, seeds[0], steady_s, size)] for size in fixed}
        runs[case] = [outcomes[Task(*case, seed, seconds, None)] for seed in seeds]
        comparisons.append(compare(*case, of_fixed, runs[case], seconds=seconds))
    return comparisons, runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print a table, and write the results and plots."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description="the window beside fixed settings")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--fixed", default=",".join(map(str, FIXED)))
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--plots", type=Path, default=None)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    comparisons, runs = simulate(
        options.networks.split(","),
        options.workloads.split(","),
        seconds=options.seconds,
        seeds=seeds,
        fixed=[int(size) for size in options.fixed.split(",")],
        processes=options.processes,
    )
    print(f"{'network':9} {'workload':9} {'best':>5} {'enough':>6} {'window':>7} {'settled':>8} {'first':>6}")
    for one in comparisons:
        mean_size = sum(one.mean_size) / len(one.mean_size)
        print(
            f"{one.network:9} {one.workload:9} {one.best_fixed:5} {one.enough:6} {mean_size:7.0f} "
            f"{min(one.settled):8.3f} {min(one.first):6.3f}{'' if one.reached else '  missed'}"
        )
    written = {
        "benchmark": "simulate",
        "seconds": options.seconds,
        "seeds": seeds,
        "to_reach": {"settled": MIN_SETTLED, "first": MIN_FIRST},
        "networks": {name: asdict(NETWORKS[name]) for name in options.networks.split(",")},
        "comparisons": [asdict(one) for one in comparisons],
        "ttfb_p99_s": {"/".join(case): [round(run.ttfb_p99_s, 4) for run in ran] for case, ran in runs.items()},
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"simulate-{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(written, indent=1) + "\n")
    print(f"written to {path}")
    if options.plots is not None:
        _draw(options.plots, comparisons, runs)
    return 1 if options.check and not all(one.reached for one in comparisons) else 0


def _draw(folder: Path, comparisons: Sequence[Comparison], runs: dict[tuple[str, str], list[Outcome]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    networks = list(dict.fromkeys(one.network for one in comparisons))
    of = {network: [one for one in comparisons if one.network == network] for network in networks}
    panels = [
        (
            NETWORKS[network].name,
            [(WORKLOADS[one.workload].name, runs[network, one.workload][0].sizes) for one in of[network]],
        )
        for network in networks
    ]
    bars = [
        (
            NETWORKS[network].name,
            [(WORKLOADS[one.workload].name, min(one.settled), min(one.first)) for one in of[network]],
        )
        for network in networks
    ]
    (folder / "window.svg").write_text(window_plot(panels, step_s=SAMPLE_S))
    (folder / "regret.svg").write_text(regret_plot(bars, (MIN_SETTLED, MIN_FIRST)))


if __name__ == "__main__":
    sys.exit(main())
