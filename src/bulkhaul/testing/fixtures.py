"""Defines the fixtures that pytest finds once a project names ``bulkhaul.testing`` as a plugin.

Nothing of bulkhaul is imported before a test asks for one.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bulkhaul import Engine, MemoryStore, S3Store
    from bulkhaul.model.settings import SettingsFields
    from bulkhaul.testing.embedded import EmbeddedServer
    from bulkhaul.testing.faultserver.proxy import FaultServer


@pytest.fixture(scope="session")
def bulkhaul_settings() -> SettingsFields:
    """The settings of the engines, by name: none but the defaults. A project that wants others overrides it."""
    return {}


@pytest.fixture(scope="session")
def bulkhaul_server() -> Iterator[EmbeddedServer]:
    """A real S3 server on this machine, one a session; without SeaweedFS it raises and says how to install that.

    From then on the AWS settings in the environment are those of the server alone, so that no test asks an account
    of whoever runs it.
    """
    from bulkhaul.testing.embedded import embedded_server

    with embedded_server() as server, pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or name == "S3_ENDPOINT_URL":
                patch.delenv(name)
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def bulkhaul_engine(bulkhaul_server: EmbeddedServer, bulkhaul_settings: SettingsFields) -> Iterator[Engine]:
    """An engine for the server, started once a session and closed at its end."""
    with bulkhaul_server.engine(**bulkhaul_settings) as engine:
        yield engine


@pytest.fixture
def bulkhaul_bucket(bulkhaul_engine: Engine) -> Iterator[str]:
    """The name of an empty bucket of this test's own; it is removed with all that is in it."""
    from bulkhaul.errors import NotFound

    name = f"test-{uuid.uuid4().hex[:16]}"
    bulkhaul_engine.create_bucket(name)
    yield name
    with contextlib.suppress(NotFound):  # the test has removed it
        for removed in bulkhaul_engine.delete_many([f"s3://{name}/"], recursive=True, all_versions=True):
            if removed.error is not None:
                raise removed.error
        bulkhaul_engine.delete_bucket(name)


@pytest.fixture
def bulkhaul_store(bulkhaul_engine: Engine, bulkhaul_bucket: str) -> S3Store:
    """The same bucket as a store, by the same engine."""
    return _store(bulkhaul_engine, bulkhaul_bucket)


@pytest.fixture
def bulkhaul_memory_store() -> MemoryStore:
    """An empty store in memory: no server, no process, for tests of code that takes an ``ObjectStore``."""
    from bulkhaul import MemoryStore

    return MemoryStore("bucket")


@pytest.fixture
def bulkhaul_fault_server(bulkhaul_server: EmbeddedServer) -> Iterator[FaultServer]:
    """A server before the real one, for this test alone: it passes on what is asked, or misbehaves as it is told."""
    from bulkhaul.testing.faultserver.proxy import FaultServer

    with FaultServer(bulkhaul_server.endpoint_url) as server:
        yield server


@pytest.fixture
def bulkhaul_fault_engine(
    bulkhaul_server: EmbeddedServer, bulkhaul_fault_server: FaultServer, bulkhaul_settings: SettingsFields
) -> Iterator[Engine]:
    """An engine that asks the fault server, for this test alone: it remembers what a service did to it."""
    with bulkhaul_server.behind(bulkhaul_fault_server.endpoint_url).engine(**bulkhaul_settings) as engine:
        yield engine


@pytest.fixture
def bulkhaul_fault_store(bulkhaul_fault_engine: Engine, bulkhaul_bucket: str) -> S3Store:
    """The bucket of ``bulkhaul_bucket`` as a store that is reached through the fault server."""
    return _store(bulkhaul_fault_engine, bulkhaul_bucket)


def _store(engine: Engine, bucket: str) -> S3Store:
    from bulkhaul import S3Store
    from bulkhaul.policy.storeurl import StoreUrl

    return S3Store(StoreUrl(scheme="s3", bucket=bucket), engine.settings, engine=engine)
