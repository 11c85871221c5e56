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
from dataclasses import asdict

from bench.comparison import Comparison
from bench.contestants import BULKHAUL, Absent, choose, find_bulkhaul, without_paths
from bench.edges import comparison_parser, conclude, end_in_order, open_console, positive, present
from bench.listing import key_counts
from bench.machine import describe_machine
from bench.measure import CommandFailedError, Usage
from bench.planning import Planned, judge_planned, plan
from bench.report import MIB, Target, figure, paired_ratio, print_targets
from bench.small import chosen_of
from bench.syncers import find_syncers
from bench.syncing import Unchanged, open_sides
from bench.tally import Tally, print_tally, tally

PLAN = "plan"
CASES = ("down-weed", "copy-weed", "down-computed", "copy-computed", PLAN)

# Source: the project's goals for jobs.
MAX_WALL_OF_PEERS = 0.5
MAX_PRIVATE_BYTES = 250 * MIB
MAX_MEMORY_GROWTH = 1.5


def judge(task: Unchanged, runs: Mapping[str, Sequence[Usage]], memory: Mapping[str, Usage]) -> list[Target]:
    """Compare bulkhaul with the goals at one task.

    Args:
        runs: timed runs by contestant, one a round.
        memory: the sampled run by contestant.
    """
    targets = []
    for peer in ("s5cmd", "rclone"):
        ratio = paired_ratio(runs.get(BULKHAUL), runs.get(peer))
        reached = None if ratio is None else ratio <= MAX_WALL_OF_PEERS
        targets.append(Target(f"{task}: wall at most {MAX_WALL_OF_PEERS} x {peer}'s", figure(ratio), reached))
    private = memory[BULKHAUL].peak_private_bytes if BULKHAUL in memory else None
    mib = None if private is None else private / MIB
    reached = None if private is None else private <= MAX_PRIVATE_BYTES
    return [*targets, Target(f"{task}: private MiB at most {MAX_PRIVATE_BYTES // MIB}", figure(mib, 0), reached)]


def judge_growth(tasks: Sequence[Unchanged], memory: Mapping[Unchanged, Mapping[str, Usage]]) -> list[Target]:
    """Compare bulkhaul's memory at the most keys of each case with that at the fewest."""
    targets = []
    for case in dict.fromkeys(task.name for task in tasks):
        few, *_, many = [task for task in tasks if task.name == case] * 2
        if few is many or BULKHAUL not in memory[few] or BULKHAUL not in memory[many]:
            continue
        least, most = (memory[task][BULKHAUL].peak_private_bytes or 0 for task in (few, many))
        goal = f"{many}: private memory at most {MAX_MEMORY_GROWTH} x that at {few.keys:,}"
        targets.append(Target(goal, figure(most / least), most <= MAX_MEMORY_GROWTH * least))
    return targets


def run_plan(arguments: argparse.Namespace) -> Planned:
    """Plan the rows.

    Raises:
        CommandFailedError: it failed, or bulkhaul is not installed.
    """
    found = find_bulkhaul()
    if isinstance(found, Absent):
        raise CommandFailedError(found.reason)
    return plan(found, arguments.folder, arguments.rows, arguments.rounds, timeout_s=arguments.timeout)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = comparison_parser("bench.jobs", __doc__)
    parser.add_argument(
        "--cases", type=chosen_of(CASES), default=",".join(CASES), help=f"default: all of {', '.join(CASES)}"
    )
    parser.add_argument("--objects", type=positive, default=100_000, help="of SeaweedFS (default: 100000)")
    parser.add_argument("--keys", type=key_counts, default="100000,1000000", help="computed (default: 100000,1000000)")
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
        comparison.check_and_sample()
        comparison.time_rounds(arguments.rounds)

    rows, targets, failed = list[Tally](), list[Target](), comparison.failed
    planned: Planned | None = None
    for task in tasks:
        runs, memory = comparison.timed[task], comparison.memory[task]
        rows += (finished := tally(str(task), runs, memory, objects=task.keys))
        targets += judge(task, runs, memory)
        print_tally(
            console, f"{task}, medians of {arguments.rounds} paired rounds", finished, comparison.failures[task]
        )
    targets += judge_growth(tasks, comparison.memory)
    if PLAN in arguments.cases:
        try:
            planned = run_plan(arguments)
        except CommandFailedError as error:
            failed = True
            console.print(f"plan failed: {error}", style="red", markup=False, highlight=False)
        else:
            targets += judge_planned(planned)
    print_targets(console, targets, "at jobs")
    conclude(
        console,
        arguments,
        "jobs",
        {
            "machine": machine,
            "latency_s": arguments.latency,
            "contestants": without_paths(chosen),
            "medians": [asdict(row) for row in rows],
            "plan": None if planned is None else asdict(planned),
            "goals": [asdict(target) for target in targets],
            **comparison.encoded(),
        },
        targets=targets,
        failed=failed,
    )


if __name__ == "__main__":
    main()
