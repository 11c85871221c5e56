"""Compare syncs that find nothing to do, in interleaved paired rounds, and plan a job of millions of rows.

    python -m bench.jobs --folder /dev/shm --rounds 5
    python -m bench.jobs --folder /dev/shm --cases down-computed,copy-computed --keys 100000,1000000
    python -m bench.jobs --cases plan --rows 10000000

    down-weed      a folder that has what SeaweedFS has: 100,000 small objects in folders of 1,000
    copy-weed      two prefixes of SeaweedFS that have the same
    down-computed  a folder that has what a server lists that computes its keys, for each of ``--keys``
    copy-computed  two buckets of that server
    plan           ``job create`` of a manifest of ``--rows`` rows, and ``job status``

Everybody compares sizes and times as listings tell them, and everybody's last word is checked: all keys compared, none
moved. The computed server costs next to nothing, so that what a client needs is seen, and whether its memory grows.
"""

import argparse
from collections.abc import Mapping, Sequence

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, Absent, choose, find_bulkhaul, without_paths
from bench.edges import chosen_of, comparison_parser, conclude, counts, end_in_order, open_console, positive, present
from bench.goals import Target, at_most, peak_of, private_memory
from bench.machine import describe_machine
from bench.measure import CommandFailedError, Usage
from bench.planning import Planned, judge_planned, plan
from bench.syncers import find_syncers
from bench.syncing import Unchanged, open_sides
from bench.tally import FOR_OBJECTS, Runs, Tally, print_tally, tally, wall_ratio
from bulkhaul.model.limits import MIB

PLAN = "plan"
CASES = ("down-weed", "copy-weed", "down-computed", "copy-computed", PLAN)

# Source: the project's goals for jobs.
MAX_WALL_OF_PEERS = 0.5
MAX_PRIVATE_BYTES = 250 * MIB
MAX_MEMORY_GROWTH = 1.5


def judge(task: Unchanged, runs: Runs, memory: Mapping[str, Usage]) -> list[Target]:
    """Compare bulkhaul with the goals at one task.

    Args:
        memory: the sampled run by contestant.
    """
    return [
        *(
            at_most(
                f"{task}: wall at most {MAX_WALL_OF_PEERS} x {peer}'s",
                wall_ratio(runs, BULKHAUL, peer),
                MAX_WALL_OF_PEERS,
            )
            for peer in ("s5cmd", "rclone")
        ),
        private_memory(str(task), memory, MAX_PRIVATE_BYTES),
    ]


def judge_growth(tasks: Sequence[Unchanged], memory: Mapping[Unchanged, Mapping[str, Usage]]) -> list[Target]:
    """Compare bulkhaul's memory at the most keys of each case with that at the fewest."""
    targets = []
    for case in dict.fromkeys(task.name for task in tasks):
        few, *_, many = [task for task in tasks if task.name == case] * 2
        least, most = peak_of(memory[few]), peak_of(memory[many])
        if few is not many and least and most:
            goal = f"{many}: private memory at most {MAX_MEMORY_GROWTH} x that at {few.keys:,}"
            targets.append(at_most(goal, most / least, MAX_MEMORY_GROWTH))
    return targets


def run_plan(arguments: argparse.Namespace) -> Planned:
    """Plan the rows.

    Raises:
        CommandFailedError: it failed, or bulkhaul is not installed.
    """
    found = find_bulkhaul()
    if isinstance(found, Absent):
        raise CommandFailedError(found.reason)
    return plan(found, arguments.folder, arguments.rows, max(1, arguments.rounds), timeout_s=arguments.timeout)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.jobs", __doc__)
    parser.add_argument(
        "--cases", type=chosen_of(CASES), default=",".join(CASES), help=f"default: all of {', '.join(CASES)}"
    )
    parser.add_argument("--objects", type=positive, default=100_000, help="of SeaweedFS (default: 100000)")
    parser.add_argument("--keys", type=counts, default="100000,1000000", help="computed (default: 100000,1000000)")
    parser.add_argument("--latency", type=float, default=0.03, help="seconds before a computed reply (default: 0.03)")
    parser.add_argument("--rows", type=positive, default=10_000_000, help="of the plan (default: 10000000)")
    return parser.parse_args()


def main() -> None:
    """Run the comparison; exit with 1 if a contestant failed or, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    chosen = choose(find_syncers(arguments.peers_bin), arguments.only)
    contestants = present(chosen, console)
    machine = describe_machine(arguments.folder)
    with open_sides(
        arguments.folder,
        arguments.cases,
        arguments.objects,
        arguments.keys,
        latency_s=arguments.latency,
        timeout_s=arguments.timeout,
    ) as (arena, tasks):
        comparison = Comparison(arena, contestants, tasks, console)
        comparison.run(arguments.rounds)

    rows, targets, failed = list[Tally](), list[Target](), comparison.failed
    planned: Planned | None = None
    for task in tasks:
        runs, memory = comparison.timed[task], comparison.memory[task]
        rows += (finished := tally(str(task), runs, memory, objects=task.keys))
        targets += judge(task, runs, memory)
        print_tally(console, str(task), finished, comparison.failures[task], FOR_OBJECTS)
    targets += judge_growth(tasks, comparison.memory)
    if PLAN in arguments.cases:
        try:
            planned = run_plan(arguments)
        except CommandFailedError as error:
            failed = True
            console.print(f"plan failed: {error}", style="red", markup=False, highlight=False)
        else:
            targets += judge_planned(planned)
    conclude(
        console,
        arguments,
        "jobs",
        {
            "machine": machine,
            "latency_s": arguments.latency,
            "contestants": without_paths(chosen),
            "medians": rows,
            "plan": planned,
            **comparison.encoded(),
        },
        targets=targets,
        where="at jobs",
        failed=failed,
    )


if __name__ == "__main__":
    main()
