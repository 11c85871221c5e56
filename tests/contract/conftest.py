"""The engines that the contract is run against: each transport with each landing; and what syncs are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import Engine
from tests.engines import Rig, await_workers, running_engine, running_rig, serving
from tests.faultserver import FaultServer
from tests.fork_server import forked_workers
from tests.syncing import Place


@pytest.fixture(scope="session", autouse=True)
def workers_are_forked() -> Iterator[None]:
    """Their start is not what is tested here, and takes longer than most of these tests."""
    with forked_workers():
        yield


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine waits a twentieth of a second at most between tries: eight of them would take half a minute."""
    for room in ("bulkhaul.policy.patience", "bulkhaul.policy.pacing", "bulkhaul.engine.pool.credentials"):
        monkeypatch.setattr(f"{room}.backoff_s", lambda _, rng: rng.uniform(0.0, 0.05))


@pytest.fixture(
    scope="module",
    params=[("fast", "mapped"), ("fast", "written"), ("sdk", "mapped"), ("sdk", "written")],
    ids="-".join,
)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine of one transport and one landing before a fault server, for the tests of one module."""
    transport, landing = request.param
    with running_rig(tmp_path_factory.mktemp("restored"), transport=transport, landing=landing) as running:
        yield running


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FaultServer, Engine]]:
    """A server and an engine that asks it, for the tests of one module."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        yield server, engine


@pytest.fixture
def place(served: tuple[FaultServer, Engine], tmp_path: Path) -> Place:
    """An empty bucket, and a folder of its own, to sync."""
    server, engine = served
    for key in server.store.in_bucket("bucket"):
        server.store.delete("bucket", key)
    return Place(server, await_workers(engine), tmp_path / "here")
