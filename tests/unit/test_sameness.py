"""Whether two descriptions are of one object, and whether one has changed: what may be removed depends on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.sameness import is_unchanged, may_be_told, one_object, refuses_conditions

SEEN = ObjectHead("k", 3, '"e"', datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, "perhaps"),
        ({"etag": "e"}, {}, "perhaps"),
        ({"etag": 'W/"e"'}, {}, "perhaps"),
        ({"etag": '"f"'}, {}, "no"),
        ({"last_modified": datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)}, {}, "no"),
        ({"last_modified": None}, {}, "perhaps"),
        ({"token": "t"}, {}, "no"),
        ({"token": "t"}, {"token": "t"}, "perhaps"),
        ({"version_id": "v"}, {"version_id": "v"}, "yes"),
        ({"version_id": "v"}, {"version_id": "w"}, "no"),
        ({"version_id": "v"}, {}, "perhaps"),
    ],
)
def test_two_names(one: dict[str, Any], other: dict[str, Any], expected: str) -> None:
    """Two objects differ in what both tell; what only one tells is no proof, and looking alike is none either."""
    assert one_object(replace(SEEN, **one), replace(SEEN, **other)) == expected
    assert one_object(replace(SEEN, **other), replace(SEEN, **one)) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({}, True),
        ({"etag": "e"}, True),
        ({"etag": '"f"'}, False),
        ({"etag": ""}, False),
        ({"size": 4}, False),
        ({"last_modified": datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)}, False),
        ({"version_id": "v"}, True),
    ],
)
def test_changed(now: dict[str, Any], expected: bool) -> None:
    """An object with other bytes, another length or a newer time is another one."""
    assert is_unchanged(replace(SEEN, **now), SEEN) is expected


def test_what_a_listing_tells_is_enough() -> None:
    """A listing knows no version; a HEAD that does must find that one again."""
    assert is_unchanged(replace(SEEN, version_id="v"), SEEN)
    assert not is_unchanged(replace(SEEN, version_id="v"), replace(SEEN, version_id="w"))
    assert may_be_told(SEEN)
    assert not may_be_told(ObjectHead("k", 3))


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (ErrorInfo("Unsupported", "", cause="HTTP 501 NotImplemented", status=501), True),
        (ErrorInfo("OtherError", "", cause="HTTP 400 InvalidArgument: If-Match is not supported", status=400), True),
        (ErrorInfo("OtherError", "", cause="HTTP 400 InvalidArgument: wrong", status=400), False),
        (ErrorInfo("AccessDenied", "", cause="HTTP 403 AccessDenied: If-Match", status=403), False),
        (ErrorInfo("PreconditionFailed", "", cause="HTTP 412", status=412), False),
    ],
)
def test_a_condition_that_is_refused(info: ErrorInfo, expected: bool) -> None:
    """Only a service that names the header, or says that it cannot do it, is asked once more without."""
    assert refuses_conditions(info) is expected
