"""Runs every test of the suite on every store, and asserts the gaps that are declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bulkhaul import ObjectStore

from .stores import STORES
from .subjects import Make, StoreUnderTest, Subject
from .wired import Wired, wired


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark what a store is known not to keep as an expected failure, which fails the run once it succeeds."""
    for item in items:
        if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            continue
        subject = item.callspec.params.get("opened")
        if isinstance(subject, StoreUnderTest) and item.originalname in subject.gaps:
            item.add_marker(subject.gaps[item.originalname].mark())


@pytest.fixture(scope="session", params=STORES, ids=lambda subject: subject.name)
def opened(request: pytest.FixtureRequest) -> Iterator[Make]:
    """One kind of store, with whatever it needs running."""
    with request.param.running() as make:
        yield make


@pytest.fixture
def subject(opened: Make) -> Iterator[Subject]:
    """A store on a fresh bucket."""
    with opened() as made:
        yield made


@pytest.fixture
def store(subject: Subject) -> ObjectStore:
    """The store itself."""
    return subject.store


@pytest.fixture(scope="module")
def wire_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """One engine and one fault server for a module."""
    with wired(tmp_path_factory.mktemp("state")) as opened:
        yield opened


@pytest.fixture
def wire(wire_of_module: Wired) -> Iterator[Wired]:
    """A store before the fault server, and what is asked from now on; no test leaves anything behind."""
    wire_of_module.forget()
    yield wire_of_module
    wire_of_module.assert_nothing_left()
