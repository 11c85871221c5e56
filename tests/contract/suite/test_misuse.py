"""What no row says and every store does: a wrong argument is refused, and a closed store answers nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import MemoryStore, ObjectStore
from bulkhaul.errors import LocalError, NotFound, UsageError

from .subjects import Subject


def test_a_wrong_argument_costs_nothing_but_itself(store: ObjectStore, tmp_path: Path) -> None:
    """It is refused by every store alike, and the store works on."""
    wrong: list[Callable[[Any], object]] = [
        lambda it: it.head(None),
        lambda it: it.head(b"key"),
        lambda it: it.copy("key", 5),
        lambda it: list(it.list(None)),
        lambda it: list(it.list("\ud800")),
        lambda it: it.probe(7),
        lambda it: it.get_bytes_range("key", 0.0, 1),
        lambda it: it.get_bytes_range("key", False, True),
        lambda it: it.put_bytes("key", b"", metadata={"a": 1}),
        lambda it: it.put_bytes("key", b"", metadata={1: "a"}),
        lambda it: it.put_bytes("key", b"", content_disposition=3),
        lambda it: it.put_path("key", "a\0b"),
        lambda it: it.get_to_file("key", "a\0b"),
        lambda it: it.get_to_file("key", ""),
    ]
    store.put_bytes("key", b"kept")
    for call in wrong:
        with pytest.raises((UsageError, LocalError)):
            call(store)
    assert store.get_bytes("key") == b"kept"
    store.get_to_file("key", os.fsencode(tmp_path / "file"))  # type: ignore[arg-type]
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_refused_call_asks_nothing() -> None:
    """What is wrong in itself is told before any request: a fault that was queued for that is still there."""
    store = MemoryStore()
    for operation in ("head", "list", "get_to_file", "put_path", "copy"):
        store.fail_next(operation, NotFound("queued"))
    for call in (
        lambda: store.head(None),  # type: ignore[arg-type]
        lambda: list(store.list(b"")),  # type: ignore[arg-type]
        lambda: store.get_to_file("key", "folder/"),
        lambda: store.put_path("key", "a\0b"),
        lambda: store.copy("key", ""),
    ):
        with pytest.raises((UsageError, LocalError)):
            call()
    assert store.pending_faults == 5


def test_a_store_is_closed_at_the_end_of_its_block(subject: Subject) -> None:
    """Every store is a context manager, and answers nothing afterwards."""
    with subject.elsewhere("missing") as store:
        assert isinstance(store, ObjectStore)
        with store as same:
            assert same is store
        with pytest.raises(UsageError, match="closed"):
            store.head("key")
