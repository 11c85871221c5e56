"""How many requests may be in flight at most: the settings, the limit of open files, memory."""

from __future__ import annotations

import logging

import pytest

from bulkhaul.engine.pool import ceiling
from bulkhaul.engine.pool.ceiling import ceiling_for, window_for
from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Settings

PLAIN = "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("settings", "files", "most"),
    [
        (Settings(endpoint_url=PLAIN), 1 << 20, 512),
        (Settings(endpoint_url=PLAIN), 1024, 448),
        (Settings(endpoint_url=PLAIN), 64, 1),
        (Settings(), 1 << 20, 64 * 1024 // 384),
        (Settings(endpoint_url=PLAIN, concurrency=7), 1 << 20, 7),
        (Settings(concurrency=1000), 1 << 20, 1000),
        (Settings(concurrency=1000), 328, 100),
        (Settings(endpoint_url=PLAIN, bandwidth_bytes_per_s=20 * MIB), 1 << 20, 20),
        (Settings(endpoint_url=PLAIN, bandwidth_bytes_per_s=MIB), 1 << 20, 4),
    ],
)
def test_the_most_that_may_be_in_flight(
    settings: Settings, files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files a request, memory for TLS where no number is asked for, and few requests for a low bandwidth."""
    monkeypatch.setattr(ceiling, "descriptors", lambda: files)
    assert ceiling_for(settings) == most
    window = window_for(settings, 5.0)
    assert (window.ceiling, window.size) == (most, min(most, settings.concurrency or 8))


@pytest.mark.parametrize(("concurrency", "level"), [(1000, "WARNING"), (None, "INFO")])
def test_a_low_limit_of_open_files_is_said(
    concurrency: int | None, level: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, as a warning only where a number was asked for."""
    monkeypatch.setattr(ceiling, "descriptors", lambda: 328)
    with caplog.at_level(logging.INFO, "bulkhaul"):
        window_for(Settings(endpoint_url=PLAIN, concurrency=concurrency), 0.0)
    (record,) = caplog.records
    assert record.levelname == level
    assert "100 requests" in record.getMessage()
    assert "ulimit -n" in record.getMessage()
