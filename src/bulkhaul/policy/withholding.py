"""Decides whether a sync may delete what only its destination has, or has to leave all of it.

Deletions rest on both listings being whole and on everything being where it belongs: one doubt withholds them all.
"""

from __future__ import annotations

import re

import msgspec

from bulkhaul.model.errors import ErrorInfo, UsageError
from bulkhaul.policy.comparison import waits_for_deletion

_LIMIT = re.compile(r"([0-9]{1,15})(%?)")


class DeletionLimit(msgspec.Struct, frozen=True):
    """How much may be deleted at most: a number of objects, or percent of what the destination has."""

    most: int
    percent: bool = False

    def allows(self, doomed: int, at_destination: int) -> bool:
        """Whether so many of so many may be deleted.

        >>> DeletionLimit(10, percent=True).allows(1, 10), DeletionLimit(10, percent=True).allows(2, 19)
        (True, False)
        """
        return doomed * 100 <= self.most * at_destination if self.percent else doomed <= self.most


def parse_limit(text: str) -> DeletionLimit:
    """Return the limit that ``N`` or ``N%`` names.

    Raises:
        UsageError: it is neither.
    """
    found = _LIMIT.fullmatch(text)
    if found is None or (found[2] and int(found[1]) > 100):
        raise UsageError(f"{text!r} is neither a number of objects nor a percentage, as in 100 or 5%")
    return DeletionLimit(int(found[1]), bool(found[2]))


def counts_as_failed(reason: str, failure: ErrorInfo | None) -> bool:
    """Whether a row that has ended withholds deletions: it failed, and not for a file that they delete.

    That file keeps the row from being stored until it is deleted, and the next run stores it.

    Args:
        reason: why the row was planned.
    """
    return failure is not None and not (waits_for_deletion(reason) and failure.cause in ("ENOTDIR", "EEXIST"))


def withheld(
    doomed: int, at_destination: int, *, found: int, failed: int, unsound: str, limit: DeletionLimit | None
) -> str:
    """Return why nothing may be deleted, and what to do about it; empty if it may.

    Args:
        doomed: what would be deleted.
        at_destination: what the destination has, of what is selected.
        found: what the source has, of what is selected.
        failed: transfers and names that failed; see ``counts_as_failed``.
        unsound: what could not be looked at, and why; empty if everything could.
        limit: what was asked for; without one, an empty source deletes nothing.
    """
    if unsound:
        return f"nothing was deleted, because not everything could be looked at: {unsound}"
    if not doomed:
        return ""
    if failed:
        return f"nothing was deleted ({doomed} would be), because {failed} failed; run it again"
    if limit is None and not found:
        return (
            f"nothing was deleted, because the source is empty, so that all {doomed} would be;"
            f" give --max-delete {doomed} if this is meant"
        )
    if limit is not None and not limit.allows(doomed, at_destination):
        asked = f"{limit.most}%" if limit.percent else str(limit.most)
        return (
            f"nothing was deleted, because it would be {doomed} of {at_destination}, more than --max-delete {asked}"
            f" allows; give --max-delete {doomed} if this is meant"
        )
    return ""
