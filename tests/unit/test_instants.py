"""Instants as services write them: none that does not exist, whichever Python reads it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bulkhaul.wire.instants import instant


@pytest.mark.parametrize("text", ["2024-05-17T23:59:59Z", "2024-05-17T23:59:59.000Z", "Fri, 17 May 2024 23:59:59 GMT"])
def test_the_last_second_of_a_day(text: str) -> None:
    """Each form of it is the same."""
    assert instant(text) == datetime(2024, 5, 17, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-17T24:00:00Z", "2024-05-17T24:00:00.000Z", "Fri, 17 May 2024 24:00:00 GMT",
        "2024-05-17T23:60:00Z", "2024-13-17T00:00:00Z", "2023-02-29T00:00:00Z",
    ],
)  # fmt: skip
def test_no_instant(text: str) -> None:
    """The hour 24 is none for the SDK; Python takes it for midnight from 3.14 on."""
    with pytest.raises(ValueError, match=r"."):
        instant(text)
