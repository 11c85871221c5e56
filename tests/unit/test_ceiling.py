"""How many requests may be in flight at most: the settings, the limit of open files, memory."""

from __future__ import annotations

import logging

import pytest

from bulkhaul.engine.pool import ceiling
from bulkhaul.engine.pool.ceiling import bound_by_sdk, ceiling_for, tell_limit, window_for
from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Settings

PLAIN = "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("settings", "files", "most"),
    [
        (Settings(endpoint_url=PLAIN), 1 << 20, 512),
        (Settings(endpoint_url=PLAIN), 1024, 448),
        (Settings(endpoint_url=PLAIN), 256, 64),
        (Settings(endpoint_url=PLAIN), 64, 16),
        (Settings(endpoint_url=PLAIN), 3, 1),
        (Settings(), 1 << 20, 64 * 1024 // 640),
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


@pytest.mark.parametrize(("rate", "most_bytes"), [(None, None), (20 * MIB, 40 * MIB)])
def test_the_most_bytes_in_flight(rate: int | None, most_bytes: int | None) -> None:
    """Two seconds of a bandwidth limit: what is killed loses no more of it."""
    assert window_for(Settings(endpoint_url=PLAIN, bandwidth_bytes_per_s=rate), 5.0).most_bytes == most_bytes


@pytest.mark.parametrize(
    ("concurrency", "files", "level"),
    [(1000, 328, "WARNING"), (None, 328, "WARNING"), (1000, 1024, "WARNING"), (None, 1024, "INFO"), (None, 4096, None)],
)
def test_a_low_limit_of_open_files_is_said(
    concurrency: int | None,
    files: int,
    level: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, however often it is looked at: where it allows less than was asked for, or than systems usually do."""
    monkeypatch.setattr(ceiling, "descriptors", lambda: files)
    ceiling._tell.cache_clear()
    with caplog.at_level(logging.INFO, "bulkhaul"):
        for _ in range(2):
            tell_limit(Settings(endpoint_url=PLAIN, concurrency=concurrency))
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    for record in caplog.records:
        assert f"at most {(files - 128) // 2} requests" in record.getMessage()
        assert "ulimit -n" in record.getMessage()


@pytest.mark.parametrize(("concurrency", "most"), [(None, 3 * 16), (100, 100), (5, 5)])
def test_threads_of_the_sdk_bound_the_window(concurrency: int | None, most: int) -> None:
    """Each request through the SDK keeps a thread: so many a worker, or as many as were asked for."""
    settings = Settings(endpoint_url=PLAIN, workers=3, concurrency=concurrency, transport="sdk")
    assert ceiling_for(settings) == most
    window = window_for(Settings(endpoint_url=PLAIN, workers=3, concurrency=concurrency), 5.0)
    window.size = window.ceiling
    bound_by_sdk(window, settings, 6.0)
    assert (window.ceiling, window.size) == (most, most)
