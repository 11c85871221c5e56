"""How fast a shelf is, by pytest-benchmark: ``pytest --benchmark-only``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from .shelf import Shelf


def test_loading(benchmark: BenchmarkFixture, shelf: Shelf) -> None:
    """One document of 10 kB."""
    document = {"text": "x" * 10_000}
    shelf.save("large", document)
    assert benchmark(shelf.load, "large") == document
