"""Whether a sync may delete: never on a doubt, never more than was allowed, and always with what to do about it."""

from __future__ import annotations

import pytest

from bulkhaul.errors import UsageError
from bulkhaul.policy.withholding import parse_limit, withheld


@pytest.mark.parametrize(
    ("doomed", "there", "found", "failed", "unsound", "limit", "expected"),
    [
        (5, 9, 4, 0, "", "", ""),
        (0, 9, 9, 0, "", "0", ""),
        (5, 9, 4, 0, "/data/x: permission denied", "100", "/data/x: permission denied"),
        (0, 9, 4, 0, "/data/x: permission denied", "", "/data/x"),
        (5, 9, 4, 1, "", "", "1 failed"),
        (0, 9, 9, 1, "", "", ""),
        (9, 9, 0, 0, "", "", "--max-delete 9"),
        (9, 9, 0, 0, "", "9", ""),
        (9, 9, 0, 0, "", "100%", ""),
        (5, 9, 4, 0, "", "5", ""),
        (5, 9, 4, 0, "", "4", "5 of 9"),
        (5, 9, 4, 0, "", "4", "--max-delete 5"),
        (5, 100, 4, 0, "", "5%", ""),
        (6, 100, 4, 0, "", "5%", "--max-delete 6"),
        (1, 9, 8, 0, "", "0", "--max-delete 1"),
    ],
)
def test_withheld(doomed: int, there: int, found: int, failed: int, unsound: str, limit: str, expected: str) -> None:
    """Each doubt withholds everything, and the message says how many and what to type."""
    told = withheld(
        doomed, there, found=found, failed=failed, unsound=unsound, limit=parse_limit(limit) if limit else None
    )
    assert (told == "") is (expected == "")
    assert expected in told


@pytest.mark.parametrize("text", ["", "%", "-1", "101%", "5.5%", "many", "1 0", "٣"])
def test_no_limit(text: str) -> None:
    """What is neither a number nor a percentage is refused."""
    with pytest.raises(UsageError):
        parse_limit(text)
