"""Credentials and targets are settled without the SDK from real files and programs, or the SDK is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkhaul.model.settings import Settings
from bulkhaul.policy.resolution import AskSdk
from bulkhaul.wire.settled import Settled, settle
from bulkhaul.wire.values import Credentials, Target


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the SDK but the paths of two files that do not exist yet."""
    import os

    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_keys_of_the_environment_and_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case needs no file."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settled = settle(Settings(endpoint_url="http://127.0.0.1:9000"))
    assert isinstance(settled, Settled)
    assert settled.credentials(3, deadline_s=1.0) == Credentials("AKID", "secret", generation=3)
    assert settled.target("photos") == Target("http", "127.0.0.1", 9000, "/photos/", "us-east-1", True)


def test_nothing_is_found() -> None:
    """Without keys the SDK is asked, which looks further."""
    assert settle(Settings(endpoint_url="http://127.0.0.1:9000")) == AskSdk(
        "no keys are in the environment or the files"
    )
