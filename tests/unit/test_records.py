"""Every worker is told when its requests are to be logged, and when no more, whenever it has begun."""

from __future__ import annotations

import logging
from typing import cast

import pytest

from bulkhaul.engine.messages.records import TellRequests
from bulkhaul.engine.pool.records import Records
from bulkhaul.policy.window import Window


class Size:
    """All that is looked at of a window."""

    size = 1


@pytest.mark.parametrize("levels", [[logging.INFO, logging.DEBUG], [logging.DEBUG, logging.INFO]])
def test_a_change_before_a_worker_begins_reaches_all(caplog: pytest.LogCaptureFixture, levels: list[int]) -> None:
    """The level changes between two workers' beginnings, before the next look."""
    told: dict[str, TellRequests] = {"first": TellRequests(on=False), "second": TellRequests(on=False)}
    with caplog.at_level(levels[0], "bulkhaul.request"):
        records = Records(cast("Window", Size()))
        records.begin(lambda message: told.update(first=message))
    with caplog.at_level(levels[1], "bulkhaul.request"):
        records.begin(lambda message: told.update(second=message))
        records.look(lambda message: told.update(first=message, second=message))
    assert [message.on for message in told.values()] == [levels[1] == logging.DEBUG] * 2
