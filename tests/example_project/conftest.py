"""The fixtures of this project: those of bulkhaul, and a shelf on each kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bulkhaul import MemoryStore, S3Store

from .shelf import Shelf

if TYPE_CHECKING:
    from bulkhaul.model.settings import SettingsFields

pytest_plugins = ["bulkhaul.testing"]


@pytest.fixture(scope="session")
def bulkhaul_settings() -> SettingsFields:
    """The engine tries nothing again: this project does so itself, and that is what its tests are about."""
    return {"retries": 0, "workers": 1}


@pytest.fixture
def memory_shelf(bulkhaul_memory_store: MemoryStore) -> Shelf:
    """A shelf in memory."""
    return Shelf(bulkhaul_memory_store)


@pytest.fixture
def shelf(bulkhaul_store: S3Store) -> Shelf:
    """A shelf on a real server."""
    return Shelf(bulkhaul_store)


@pytest.fixture
def troubled_shelf(bulkhaul_fault_store: S3Store) -> Shelf:
    """The same shelf, reached through a server that misbehaves when it is told to."""
    return Shelf(bulkhaul_fault_store)
