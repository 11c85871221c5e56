"""Runs every benchmark once, small, two at a time: one sees that they run, and nothing is compared."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 2
"""Most of them leave a core idle, or wait."""

# The longest first. Those with a timed round, the distant server's and the cost's, are not run without one.
BENCHMARKS = """
bench.distant --tls --objects 20 --down-size 16MiB --up-size 16MiB --rounds 1 --only bulkhaul,s5cmd-best \
    --folder {folder} --results {folder}
bench.jobs --objects 200 --keys 200,2000 --rows 2000 --rounds 0 --folder {folder} --results {folder}
bench.small --cases down-nginx,down-nginx-tls,up-nanio --down-objects 50 --up-objects 20 --rounds 0 \
    --only bulkhaul,boto3 --folder {folder} --server-folder {folder} --results {folder}
bench.large_object --sizes 64MiB --rounds 0 --starts 1 --only floor,bulkhaul,boto3 --folder {folder} --results {folder}
bench.cost --rounds 1 --objects 200 --seconds 0.5 --folder {folder} --results {folder}
bench.upload --sizes 16MiB --files 20 --rounds 0 --only bulkhaul,boto3 --folder {folder} --results {folder}
bench.start --cases "down,ls,presign,missing source,--help,engine" --rounds 0 --only bulkhaul,s5cmd,boto3 \
    --folder {folder} --results {folder}
bench.listing --server ministack --keys 1000 --rounds 0 --only bulkhaul,s5cmd --folder {folder} --results {folder}
bench.plan_100gib
bench.simulate --networks loopback,wan,slowdown --workloads parts --seconds 16 --seeds 1 --fixed 4,64,256 \
    --results {folder} --plots {folder}
"""


def run(words: Sequence[str], above: Path) -> subprocess.CompletedProcess[str]:
    """Run a module with a folder of its own, and return what it has printed."""
    folder = tempfile.mkdtemp(dir=above)
    command = [sys.executable, "-m", *(word.replace("{folder}", folder) for word in words)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def main() -> None:
    """Run them, print what each has printed, and fail if one has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="what they write goes below it, and is deleted")
    lines = [shlex.split(line) for line in BENCHMARKS.strip().splitlines()]
    failed = []
    with (
        tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as above,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        for done in pool.map(lambda words: run(words, Path(above)), lines):
            print(f"$ python {shlex.join(done.args[1:])}\n{done.stdout}", flush=True)
            if done.returncode:
                failed.append(done.args[2])
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
