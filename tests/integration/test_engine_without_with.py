"""Engines of notebooks and REPLs: started by their first use, closed by hand, or forgotten; nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bulkhaul import AsyncEngine, Engine, S3Store, errors
from tests.engines import SECRET_KEY, aws_environment, descendants, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("real_workers")


def told() -> FaultServer:
    """Return a server with one object."""
    server = serving()
    server.store.put("bucket", "key", make_object(b"hello"))
    return server


def wait_until_gone(before: set[int]) -> None:
    """Wait until no process is there that was not there before."""
    until_s = time.monotonic() + PATIENCE_S
    while set(descendants()) - before:
        assert time.monotonic() < until_s, "processes were left behind"
        time.sleep(0.02)


def test_the_first_use_starts_it_and_close_ends_it(tmp_path: Path) -> None:
    """Operations, iterations and futures start it, too; closed it stays closed until it is started again."""
    before = set(descendants())
    with told() as server, aws_environment(keys()):
        engine = Engine(endpoint_url=server.endpoint_url, workers=1)
        assert engine.worker_pids == []
        assert [one.key for one in engine.list("s3://bucket/")] == ["key"]
        assert engine.submit("s3://bucket/key", tmp_path / "file").result(PATIENCE_S).ok
        assert "running" in repr(engine)
        engine.close()
        assert set(descendants()) <= before
        with pytest.raises(errors.UsageError, match="the engine is closed"):
            list(engine.list("s3://bucket/"))
        assert engine.start() is engine
        assert engine.start().head("s3://bucket/key").key == "key"
        with engine:  # it runs already
            pass
        assert set(descendants()) <= before


def test_it_works_where_a_loop_is_running(tmp_path: Path) -> None:
    """As in a notebook, whose main thread has one."""

    async def cell() -> None:
        engine = Engine(endpoint_url=server.endpoint_url, workers=1)
        try:
            assert engine.download("s3://bucket/key", tmp_path / "file").ok
            assert [one.ok for one in engine.download_many("s3://bucket/", tmp_path / "many")] == [True]
            assert [one.ok for one in engine.upload_many(tmp_path / "many", "s3://bucket/up/")] == [True]
            assert [one.ok for one in engine.copy_many("s3://bucket/up/", "s3://bucket/copied/")] == [True]
            with engine.open("s3://bucket/copied/key") as file:
                assert file.read() == b"hello"
            with S3Store.from_url("s3://bucket", endpoint_url=server.endpoint_url, workers=1) as store:
                assert store.open("key").read() == b"hello"
            assert [one.error for one in engine.delete_many(["s3://bucket/up/key", "s3://bucket/copied/key"])] == [
                None
            ] * 2
            beside = engine.beside(endpoint_url=server.endpoint_url, region="eu-west-1", workers=1)
            found = engine.copy_many("s3://bucket/", "s3://bucket/beside/", origin=beside)
            assert [one.ok for one in found] == [True]
        finally:
            engine.close()

    with told() as server, aws_environment(keys()):
        asyncio.run(cell())
    assert (tmp_path / "file").read_bytes() == b"hello"


def test_an_async_engine_does_the_same(tmp_path: Path) -> None:
    """Its first use starts it on the loop that runs; outside of one the error says so."""
    before = set(descendants())

    async def cells() -> None:
        engine = AsyncEngine(endpoint_url=server.endpoint_url, workers=1)
        assert (await engine.download("s3://bucket/key", tmp_path / "file")).ok
        await engine.close()
        with pytest.raises(errors.UsageError, match="the engine is closed"):
            await engine.head("s3://bucket/key")
        assert await engine.start() is engine
        await engine.head("s3://bucket/key")
        await engine.close()
        assert set(descendants()) <= before

    with told() as server, aws_environment(keys()):
        asyncio.run(cells())
        with pytest.raises(errors.UsageError, match="in a coroutine"):
            _ = AsyncEngine().control


def test_a_forgotten_engine_warns_and_ends() -> None:
    """As files and sockets do; what it was asked for keeps it until that has ended."""
    before = set(descendants())
    with told() as server, aws_environment(keys()):
        engine = Engine(endpoint_url=server.endpoint_url, workers=1)
        engine.head("s3://bucket/key")
        with pytest.warns(ResourceWarning, match="unclosed engine <Engine of http"):  # noqa: PT031 - both end it
            del engine
            gc.collect()
        wait_until_gone(before)


def test_a_forgotten_async_engine_warns_and_ends() -> None:
    """Nobody can await its end, so its workers are killed."""
    before = set(descendants())

    async def forget() -> None:
        engine = AsyncEngine(endpoint_url=server.endpoint_url, workers=1)
        await engine.head("s3://bucket/key")
        with pytest.warns(ResourceWarning, match="unclosed engine <AsyncEngine of http"):  # noqa: PT031 - both end it
            del engine
            gc.collect()

    with told() as server, aws_environment(keys()):
        asyncio.run(forget())
        gc.collect()
        wait_until_gone(before)


@pytest.mark.parametrize("kind", ["Engine", "AsyncEngine"])
def test_a_program_that_forgets_one_leaves_nothing(tmp_path: Path, kind: str) -> None:
    """It ends by itself, with status 0, warns if it is asked to, and its workers end too."""
    code = textwrap.dedent(f"""
        import asyncio, sys, bulkhaul
        engine = bulkhaul.{kind}(endpoint_url=sys.argv[1], workers=1)
        async def use():
            await engine.head("s3://bucket/key")
            print(*engine.worker_pids, flush=True)
        if "{kind}" == "Engine":
            engine.head("s3://bucket/key")
            print(*engine.worker_pids, flush=True)
        else:
            asyncio.run(use())
    """)
    with told() as server, aws_environment(keys()):
        words = [sys.executable, "-W", "default::ResourceWarning", "-c", code, server.endpoint_url]
        run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert f"unclosed engine <{kind}" in run.stderr
    assert SECRET_KEY not in run.stderr
    pids = [int(word) for word in run.stdout.split()]
    assert pids
    until_s = time.monotonic() + PATIENCE_S
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < until_s, "workers were left behind"
        time.sleep(0.02)
