"""Measure what `bulkhaul bench` itself costs: CPU of a GET, against the engine without it, in paired rounds.

    python -m bench.cost --rounds 9

Each round runs all sides, one after the other, against one server; the order shifts by one.

    transport   GETs by the workers' transport alone, bodies thrown away: nothing is chosen, timed or recorded
    runner      the same GETs by what a worker runs for a load, in the same kind of process
    instant     likewise, by a transport whose replies are there at once: what choosing, timing and recording cost alone
    bench       a whole load: coordinator and worker
    files       the engine's own way to fetch small objects, into files in --folder: coordinator and worker
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from statistics import median

import psutil
import uvloop

from bench.contestants import DUMMY_KEYS, REGION
from bench.distant_server.catalogue import prefix_of
from bench.distant_server.launch import distant_server
from bench.edges import RESULTS, end_in_order, open_console, positive, write_results
from bench.machine import describe_machine
from bench.objects import format_size
from bulkhaul import AsyncEngine
from bulkhaul.benchmark.loading import Asked, Loader
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.spools import Spool
from bulkhaul.engine.messages.load_run import LoadRun, Meter, Work
from bulkhaul.engine.worker.load_bodies import SCRATCH_BYTES, Discard
from bulkhaul.engine.worker.load_run import LoadRunner
from bulkhaul.model.limits import KIB
from bulkhaul.model.settings import Settings
from bulkhaul.model.workloads import FixedSize, ObjectTable
from bulkhaul.policy.benchmark_keys import table_key
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.transport import Sink
from bulkhaul.wire.values import Credentials, GetRequest, Target

BUCKET, PREFIX = "bench", "cost/"
SIZE_BYTES = 16 * KIB

MOST = {"runner / transport": 1.10, "instant / transport": 0.10, "bench / files": 1.10}
"""Goals: a load costs at most 10 % more CPU a request than the engine alone, by any way to look at it."""

Side = Callable[[argparse.Namespace, str, Target], Coroutine[None, None, float]]


def tree_cpu_s() -> float:
    """Return the CPU seconds of this process and all below it but the server."""
    used_s = 0.0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        if "bench.distant_server" not in process.cmdline():
            times = process.cpu_times()
            used_s += times.user + times.system
    return used_s


class Instant(FastTransport):
    """A transport whose replies are there at the next turn of the loop."""

    async def get(self, request: GetRequest, sink: Sink, lent: Callable[[Connection], None] | None = None) -> None:
        """Have received the body."""
        assert lent is None
        sink.expect(None)
        sink.received(request.size_bytes)
        await asyncio.sleep(0)


def transport_of(target: Target, kind: type[FastTransport] = FastTransport) -> FastTransport:
    """Return what a worker sends its requests by."""
    fast = kind(Settings(endpoint_url=target.endpoint, region=REGION), ca_bundle=None, user_agent="bulkhaul")
    fast.use(Credentials(*DUMMY_KEYS))
    fast.send_no_twins()
    return fast


async def transport(arguments: argparse.Namespace, _endpoint: str, target: Target) -> float:
    """Return CPU seconds a GET."""
    fast, table = transport_of(target), table_of(arguments)
    scratch, chance, done = memoryview(bytearray(SCRATCH_BYTES)), random.Random(1), 0
    ends_s = time.monotonic() + arguments.seconds

    async def lane() -> None:
        nonlocal done
        sink = Discard(scratch)
        while time.monotonic() < ends_s:
            key = table_key(PREFIX, table, int(chance.random() * arguments.objects))
            await fast.get(GetRequest(target, BUCKET, key, "", 0, SIZE_BYTES, SIZE_BYTES, whole=True), sink)
            done += 1

    began_s = time.process_time()
    await asyncio.gather(*(lane() for _ in range(arguments.connections)))
    return (time.process_time() - began_s) / done


async def runner(arguments: argparse.Namespace, _endpoint: str, target: Target) -> float:
    """Return CPU seconds a GET."""
    return await run_load(arguments, target, transport_of(target))


async def instant(arguments: argparse.Namespace, _endpoint: str, target: Target) -> float:
    """Return CPU seconds a GET."""
    return await run_load(arguments, target, transport_of(target, Instant))


async def run_load(arguments: argparse.Namespace, target: Target, fast: FastTransport) -> float:
    """Return CPU seconds a GET of what a worker runs for a load."""
    settings = Settings(endpoint_url=target.endpoint, region=REGION)
    load = LoadRun(
        target=target,
        bucket=BUCKET,
        prefix=PREFIX,
        table=table_of(arguments),
        work="mix",
        worker=0,
        workers=1,
        weights=(1, 0, 0, 0, 0),
        lanes=arguments.connections,
        rate=0.0,
        begins_ns=time.monotonic_ns(),
        duration_ns=round(arguments.seconds * 1e9),
    )
    spool = Spool(tempfile.gettempdir())
    try:
        began_s = time.process_time()
        await LoadRunner(load, spool.fd, fast, Lane(settings, fast, Learned()), lambda error: error).run()
        used_s = time.process_time() - began_s
        return used_s / sum(len(told) for told in spool.new() if not isinstance(told, Meter))
    finally:
        spool.close()


async def bench(arguments: argparse.Namespace, endpoint: str, _target: Target) -> float:
    """Return CPU seconds a GET."""
    async with AsyncEngine(endpoint_url=endpoint, region=REGION, workers=1) as engine:
        loader = Loader(engine, record_of(arguments, endpoint), 1)
        async with loader.load(asked(arguments, "mix", 0.2)):
            pass  # the worker has begun, and its connections are there
        began_s = tree_cpu_s()
        async with loader.load(asked(arguments, "mix", arguments.seconds)) as loaded:
            return (tree_cpu_s() - began_s) / loaded.tally.done


async def files(arguments: argparse.Namespace, endpoint: str, _target: Target) -> float:
    """Return CPU seconds a GET."""
    source = f"s3://{BUCKET}/{prefix_of(arguments.objects, SIZE_BYTES)}"
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        concurrency = arguments.connections
        async with AsyncEngine(endpoint_url=endpoint, region=REGION, workers=1, concurrency=concurrency) as engine:
            done, began_s = 0, 0.0
            for turn in ("first", "measured"):
                done, began_s = 0, tree_cpu_s()
                async for item in engine.download_many(source, f"{folder}/{turn}"):
                    if item.error is not None:
                        raise item.error
                    done += 1
            return (tree_cpu_s() - began_s) / done


SIDES: dict[str, Side] = {"transport": transport, "runner": runner, "instant": instant, "bench": bench, "files": files}


def table_of(arguments: argparse.Namespace) -> ObjectTable:
    """Return the objects that are fetched."""
    return ObjectTable(arguments.objects, FixedSize(SIZE_BYTES))


def record_of(arguments: argparse.Namespace, endpoint: str) -> Record:
    """Return where they are."""
    return Record(endpoint, BUCKET, PREFIX, table_of(arguments), f"{SIZE_BYTES}", 1, prepared=False, made_s=0.0)


def asked(arguments: argparse.Namespace, work: Work, seconds: float = 0.0) -> Asked:
    """Return a load."""
    lanes = arguments.connections
    return Asked(work=work, lanes=lanes, weights=(1, 0, 0, 0, 0), duration_s=seconds, shares=(None,), puts=(0,))


async def fill(arguments: argparse.Namespace, endpoint: str) -> Target:
    """Store the objects, and return where requests for them go."""
    async with AsyncEngine(endpoint_url=endpoint, region=REGION, workers=1) as engine:
        async with Loader(engine, record_of(arguments, endpoint), 1).load(asked(arguments, "fill")) as loaded:
            assert not loaded.tally.failed
        return await engine.control.target(BUCKET)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=9, help="timed rounds (default: 9)")
    parser.add_argument("--objects", type=positive, default=4_000, help="of 16 KiB (default: 4000)")
    parser.add_argument("--connections", type=positive, default=32, help="side by side (default: 32)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (default: 3)")
    parser.add_argument("--latency-ms", type=float, default=5.0, help="before each reply (default: 5)")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="of the files (default: /dev/shm)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless all goals are reached")
    return parser.parse_args()


def main() -> None:
    """Measure; exit with 1 if, with --check, a goal was missed."""
    arguments = parse_arguments()
    end_in_order()
    console = open_console()
    for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), DUMMY_KEYS, strict=True):
        os.environ[name] = value
    machine = describe_machine(arguments.folder)
    options = ["--keep", "--latency-ms", f"{arguments.latency_ms}", "--rate", "600"]
    options += ["--objects", f"{arguments.objects}x{format_size(SIZE_BYTES)}"]
    cpu_us: dict[str, list[float]] = {name: [] for name in SIDES}
    names = list(SIDES)
    with distant_server(options) as server:
        target = asyncio.run(fill(arguments, server.endpoint))
        for number in range(arguments.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:  # as workers have it
                    used_s = loop.run(SIDES[name](arguments, server.endpoint, target))
                cpu_us[name].append(round(1e6 * used_s, 1))
            console.print(f"round {number + 1}: " + ", ".join(f"{name} {cpu_us[name][-1]:.0f} us" for name in names))
    ratios = {goal: paired(cpu_us, goal) for goal in MOST}
    for name, values in cpu_us.items():
        console.print(f"{name}: {median(values):.0f} us of CPU a GET (median)")
    for goal, ratio in ratios.items():
        console.print(f"{goal}: {ratio:.3f} (at most {MOST[goal]:.2f})")
    results: dict[str, object] = {
        "machine": machine,
        "connections": arguments.connections,
        "object_bytes": SIZE_BYTES,
        "latency_ms": arguments.latency_ms,
        "cpu_us": cpu_us,
        "median_ratios": ratios,
    }
    console.print(f"written to {write_results(arguments.results, 'cost', results).name}")
    sys.exit(1 if arguments.check and any(ratios[goal] > MOST[goal] for goal in MOST) else 0)


def paired(cpu_us: Mapping[str, Sequence[float]], goal: str) -> float:
    """Return the median over rounds of one side by the other of the same round."""
    above, below = (cpu_us[name] for name in goal.split(" / "))
    return round(median(one / other for one, other in zip(above, below, strict=True)), 3)


if __name__ == "__main__":
    main()
