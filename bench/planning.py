"""A job of millions of rows: plans it from a manifest that is written on the fly, and asks for its status."""

import gzip
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.contestants import BULKHAUL, Program, clean_environment
from bench.goals import Target, at_most, private_memory
from bench.listed_keys import SHAPES
from bench.measure import CommandFailedError, Usage, measure
from bulkhaul.model.limits import MIB

NOBODY = "http://127.0.0.1:9"
"""An endpoint that is never asked: a manifest says all that a plan needs."""

# Source: the project's goals for jobs.
MAX_PRIVATE_BYTES = 300 * MIB
MAX_STATUS_S = 1.0


@dataclass(frozen=True, slots=True)
class Planned:
    """What it cost.

    Attributes:
        manifest_bytes: of the compressed manifest.
        create: ``job create``, with its memory sampled, so that its times are a little too long.
        status: each ``job status``.
    """

    rows: int
    manifest_bytes: int
    create: Usage
    status: Sequence[Usage]


def write_manifest(path: Path, rows: int) -> None:
    """Write a CSV manifest of S3 Batch Operations, compressed: ``bucket,key`` a line, keys in ascending order."""
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(f"bench,{key}\n" for key in SHAPES["dated"](rows))


def plan(program: Program, parent: Path, rows: int, rounds: int, *, timeout_s: float) -> Planned:
    """Make a job of so many rows, and ask for its status.

    Raises:
        CommandFailedError: a command failed, or does not say that all rows are planned.
    """
    with tempfile.TemporaryDirectory(prefix="bulkhaul-bench-", dir=parent) as name:
        folder = Path(name).absolute()
        (folder / "home").mkdir()
        manifest, job, told = folder / "manifest.csv.gz", str(folder / "job"), folder / "told"
        write_manifest(manifest, rows)
        environment = clean_environment(folder / "home", NOBODY)

        def run(*words: str, sample_memory: bool = False) -> Usage:
            usage = measure(
                [*program.command, "job", *words, "--json"],
                environment=environment,
                data_folder=folder,
                sample_memory=sample_memory,
                timeout_s=timeout_s,
                stdout=told,
            )
            printed = told.read_text()
            if f'"planned_rows": {rows}' not in printed or '"complete": false' not in printed:
                raise CommandFailedError(f"did not say that {rows} rows are planned and left: {printed[-500:]}")
            return usage

        made = ("--manifest", str(manifest), "--to", str(folder / "restored"), "--kind", "copy")
        create = run("create", job, *made, "--endpoint-url", NOBODY, sample_memory=True)
        status = [run("status", job) for _ in range(rounds)]
        return Planned(rows, manifest.stat().st_size, create, status)


def judge_planned(planned: Planned) -> list[Target]:
    """Compare a plan with the goals."""
    what, status_s = f"plan of {planned.rows:,} rows", [usage.wall_s for usage in planned.status]
    return [
        private_memory(what, {BULKHAUL: planned.create}, MAX_PRIVATE_BYTES),
        at_most(
            f"{what}: every status within {MAX_STATUS_S:.0f} s, median {median(status_s):.2f}",
            max(status_s),
            MAX_STATUS_S,
        ),
    ]
