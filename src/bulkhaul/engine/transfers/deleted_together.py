"""Deletes many objects on condition of their ETags, by few requests.

    keys ─▶ a page of a listing ─┬─ as planned ─▶ DeleteObjects, each key with its ETag ─┬─▶ deleted, or not allowed
                                 │                                                       ╰─ anything else ─▶ alone
                                 ╰─ another object, or not told of ────────────────────────────────────────▶ alone

Alone means HEAD, and DELETE on condition of the ETag. So no key is deleted on a single word here either: a listing has
shown it with the ETag, right before, and the service compares that once more. A service that ignores ETags within
DeleteObjects deletes what is there when the request comes, as others do that ignore the condition of a DELETE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_keys import listed_keys
from bulkhaul.engine.transfers.batch import Outlet, Work
from bulkhaul.model.errors import AccessDenied, TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import Doomed
from bulkhaul.policy.listed_keys import ROWS_OF_A_PAGE
from bulkhaul.policy.reach import Reach, reach_of
from bulkhaul.policy.sameness import is_unchanged
from bulkhaul.wire.replies.batch_result import NOT_IN_XML


class Wanted(msgspec.Struct, frozen=True):
    """An object to delete, if it is still the one that is meant.

    Attributes:
        planned: its result if all goes well.
        head: what it is known by.
        told: its length is part of that.
        alone: deletes it by itself.
    """

    planned: TransferResult
    head: ObjectHead
    told: bool
    alone: Work


class _InDoubtError(Exception):
    """The answer to a request was lost: nobody knows what is there now."""


class DeletedTogether:
    """The deletion of objects of one service, many by a request."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._singly: set[str] = set()  # buckets in which requests for many come to nothing

    async def work(self, bucket: str, wanted: Sequence[Wanted], outlet: Outlet) -> None:
        """Delete up to 1,000 objects of one bucket.

        Raises:
            TransferError: the service cannot be reached, or there is no such bucket.
        """
        left = dict(enumerate(wanted))
        places: dict[str, int] = {}
        for place, one in left.items():
            # Of a key that comes twice, one is looked at alone: it must not be named twice in a request.
            if not NOT_IN_XML.search(one.planned.key):
                places.setdefault(one.planned.key, place)
        if len(places) >= ROWS_OF_A_PAGE and bucket not in self._singly:
            try:
                async with aclosing(listed_keys(self._control, bucket, places)) as pages:
                    async for page in pages:
                        as_planned = {places[key]: head for key, head in page.items() if _is(head, wanted[places[key]])}
                        for place, result in (await self._deleted(bucket, wanted, as_planned)).items():
                            del left[place]
                            outlet.end(place, result)
                        if bucket in self._singly:
                            break
            except TransferError as error:
                if error.retryable or reach_of(error.info) is not Reach.OBJECT:
                    raise
                self._singly.add(bucket)  # who may delete objects need not be allowed to list them
        for place, one in left.items():
            outlet.alone(place, one.alone)

    async def _deleted(
        self, bucket: str, wanted: Sequence[Wanted], as_planned: Mapping[int, ObjectHead]
    ) -> dict[int, TransferResult]:
        """Delete what a page has shown; return the results that are certain, by their places.

        Raises:
            TransferError: the service cannot be reached, or there is no such bucket.
        """
        if not as_planned:
            return {}
        doomed = [Doomed(head.key, etag=head.etag) for head in as_planned.values()]
        try:
            results = await self._control.delete_together(bucket, doomed, before_again=_look_again)
        except _InDoubtError:
            return {}
        certain = {
            place: msgspec.structs.replace(wanted[place].planned, failure=result.failure)
            for place, result in zip(as_planned, results, strict=True)
            if result.failure is None or result.failure.code == AccessDenied.__name__
        }
        if not certain:
            self._singly.add(bucket)  # the service may not know the ETag, and refuses every key for it
        return certain


async def _look_again() -> None:
    raise _InDoubtError


def _is(head: ObjectHead, one: Wanted) -> bool:
    """Whether a listing shows the object that is meant, by an ETag that can be a condition."""
    etag, size = one.head.etag or head.etag, one.head.size if one.told else head.size
    seen = msgspec.structs.replace(one.head, etag=etag, size=size)
    # A weak ETag never matches (RFC 9110 §13.1.1).
    return bool(head.etag) and not head.etag.startswith("W/") and is_unchanged(head, seen)
