"""Decides how many keys are deleted: all in one request, or one by one where a key or an endpoint asks for that.

It yields the requests; ``wire/steps.py`` says who makes them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from bulkhaul.model.errors import NotFound, TransferError, Unsupported
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.wire.learned import BATCHES, Learned
from bulkhaul.wire.replies.batch_result import NO_BATCHES, NOT_IN_XML, PATIENCE


class Together(msgspec.Struct, frozen=True):
    """Delete these by one DeleteObjects; it gives a list of NotDeleted."""

    doomed: list[Doomed]


class Singly(msgspec.Struct, frozen=True):
    """Delete one by a DELETE.

    Attributes:
        known: it exists, so a 404 is no success: the endpoint may answer everything so.
    """

    doomed: Doomed
    known: bool = False


Step = Together | Singly
Steps = Generator[Step, Any, tuple[NotDeleted, ...]]


def deletion(doomed: Sequence[Doomed], learned: Learned, host: str) -> Steps:
    """Yield the requests that delete up to 1,000 keys; return those that are not deleted for sure, with the reasons.

    One request deletes them all. Keys that XML cannot carry are deleted one by one, and so are all keys where the
    endpoint has no DeleteObjects. Keys with ETags go together or not at all: whoever saw the ETags has to look again
    before each of many requests.

    Args:
        learned: whether ``host`` has DeleteObjects.

    Raises:
        Unsupported: keys with ETags cannot go together.
        TransferError: the service or the connection failed; some keys may have been deleted before.
    """
    assert len(doomed) <= MAX_DELETE_BATCH
    if any(one.etag for one in doomed):
        if not learned.takes(host, BATCHES) or any(NOT_IN_XML.search(one.key) for one in doomed):
            raise Unsupported("these keys cannot be deleted by one request")
        return tuple((yield Together(list(doomed))))
    together = [one for one in doomed if not NOT_IN_XML.search(one.key)]
    singly = [one for one in doomed if NOT_IN_XML.search(one.key)]
    failed: list[NotDeleted] = []
    if together and not learned.takes(host, BATCHES):
        singly = [*together, *singly]
    elif together:
        try:
            failed += yield Together(together)
        except TransferError as error:
            failed += yield from _instead(together, error, learned, host)
        else:
            learned.worked(host, BATCHES)
    failed += yield from _one_by_one(singly)
    return tuple(failed)


def _instead(
    doomed: Sequence[Doomed], refused: TransferError, learned: Learned, host: str
) -> Generator[Step, Any, list[NotDeleted]]:
    """Delete one by one if ``refused`` may mean that the endpoint has no DeleteObjects; else raise it.

    If a single key is refused with the same error, the refusal was not about the batch.
    """
    passing = refused.info.status == 500
    alone = refused.info.status in NO_BATCHES and refused.info.service_code != "NoSuchBucket"
    if not alone or (passing and learned.failed(host, BATCHES) < PATIENCE):
        raise refused
    first, *others = doomed
    wrong = yield from _one(Singly(first, known=isinstance(refused, NotFound)))
    if wrong is not None and wrong.service_code in (refused.info.service_code, refused.info.code, "NotFound"):
        raise refused
    if not passing:
        learned.does_without(host, BATCHES)
    rest = yield from _one_by_one(others)
    return rest if wrong is None else [wrong, *rest]


def _one_by_one(doomed: Sequence[Doomed]) -> Generator[Step, Any, list[NotDeleted]]:
    failed = []
    for one in doomed:
        if (wrong := (yield from _one(Singly(one)))) is not None:
            failed.append(wrong)  # noqa: PERF401 - a comprehension cannot hand control to a generator
    return failed


def _one(step: Singly) -> Generator[Step, Any, NotDeleted | None]:
    """Delete a key; return why it could not be deleted, None for success."""
    try:
        yield step
    except TransferError as error:
        if error.retryable or error.info.service_code == "NoSuchBucket":
            raise
        one = step.doomed
        return NotDeleted(one.key, one.version_id, error.info.service_code or error.info.code, error.message)
    return None


__all__ = ["Singly", "Step", "Together", "deletion"]
