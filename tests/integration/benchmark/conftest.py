"""What benchmarks in tests need: made-up keys, a state folder of their own, and a machine that others do not take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys, no configuration of a user's, and records in a folder of the test."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDBENCH")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("BULKHAUL_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def first_in_line() -> Iterator[None]:
    """Where it is permitted, have this thread and what it starts run before the tests of other processes.

    What is measured here is what is slow on purpose, and not that others are at work. It needs ``real_workers``: forked
    ones are not started by this process. A distant server goes before that, by as much again.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, before - 10)
    yield
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, before)
