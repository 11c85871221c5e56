"""What a shelf promises: in memory, on a server, and on one that misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bulkhaul import NotFound, Throttled
from bulkhaul.testing import Fault, FaultServer, corrupt_byte, cut_body, slow_down

if TYPE_CHECKING:
    from .shelf import Shelf

DOCUMENT = {"title": "On trees", "pages": 12}


def test_in_memory(memory_shelf: Shelf) -> None:
    """A document comes back as it was."""
    memory_shelf.save("trees", DOCUMENT)
    assert memory_shelf.load("trees") == DOCUMENT
    assert memory_shelf.names() == ["trees"]


def test_on_a_server(shelf: Shelf) -> None:
    """The same on a real one."""
    shelf.save("trees", DOCUMENT)
    assert shelf.load("trees") == DOCUMENT
    assert shelf.names() == ["trees"]


def test_each_test_has_an_empty_bucket(shelf: Shelf) -> None:
    """What another test has stored is not here."""
    assert shelf.names() == []
    with pytest.raises(NotFound):
        shelf.load("trees")


@pytest.mark.parametrize(
    "fault", [slow_down(2, operation="GetObject"), cut_body(5), corrupt_byte(3)], ids=["busy", "cut", "corrupt"]
)
def test_trouble_passes(shelf: Shelf, troubled_shelf: Shelf, bulkhaul_fault_server: FaultServer, fault: Fault) -> None:
    """A document is read, though the first tries fail."""
    shelf.save("trees", DOCUMENT)
    with bulkhaul_fault_server.misbehaving(fault):
        assert troubled_shelf.load("trees") == DOCUMENT


def test_trouble_stays(shelf: Shelf, troubled_shelf: Shelf, bulkhaul_fault_server: FaultServer) -> None:
    """After three tries the error is told."""
    shelf.save("trees", DOCUMENT)
    with bulkhaul_fault_server.misbehaving(slow_down(99, operation="GetObject")), pytest.raises(Throttled):
        troubled_shelf.load("trees")
    assert len(bulkhaul_fault_server.requests_for("GetObject")) == 3
