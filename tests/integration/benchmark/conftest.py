"""What benchmarks in tests need: made-up keys, and a state folder of their own."""

from __future__ import annotations

import os
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
