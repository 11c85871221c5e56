"""A child that several threads wait for: it is reaped once, and so is its descriptor closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from bulkhaul.engine.pool.child_process import ChildProcess
from tests.engines import aws_environment, keys, serving
from tests.patience import PATIENCE_S

THREADS = 8


def test_all_threads_that_wait_are_told() -> None:
    """Each gets the status, and the descriptor is closed once: closed again, it would be a file of somebody else's."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"], os.environ)
    child, begun = ChildProcess(pid), threading.Barrier(THREADS + 1)

    def wait() -> int | None:
        begun.wait(PATIENCE_S)
        return child.wait(PATIENCE_S)

    with ThreadPoolExecutor(THREADS) as threads:
        waiting = [threads.submit(wait) for _ in range(THREADS)]
        begun.wait(PATIENCE_S)
        assert child.poll() is None
        child.kill()
        assert [one.result(PATIENCE_S) for one in waiting] == [-signal.SIGKILL] * THREADS
    reused = os.open("/dev/null", os.O_RDONLY)
    child.kill()
    assert child.poll() == -signal.SIGKILL
    os.close(reused)


FORGETS = """
import asyncio, gc, sys, threading, warnings
from bulkhaul import AsyncEngine

warnings.simplefilter("ignore", ResourceWarning)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()

def call(work):
    return asyncio.run_coroutine_threadsafe(work, loop).result()

async def make():
    return await AsyncEngine(endpoint_url=sys.argv[1], workers=1).start()

async def settle():
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.01)

for _ in range(3):
    engine = call(make())
    call(engine.exists("s3://bucket/key"))
    del engine
    gc.collect()
    call(settle())
"""


def test_an_async_engine_that_another_thread_forgets_ends_in_silence() -> None:
    """The thread that forgets it and its loop's both end its forkserver."""
    with serving() as server, aws_environment(keys()):
        words = [sys.executable, "-c", FORGETS, server.endpoint_url]
        run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (run.returncode, run.stderr) == (0, "")
