"""Reads objects, and ranges of them, into memory: for bodies that fit there; larger ones are downloaded."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterable

import msgspec

from bulkhaul.engine.loop.tasks import all_or_none
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.endpoints import object_ref
from bulkhaul.model.errors import RangeNotSatisfiable, TransferError
from bulkhaul.model.limits import MAX_OFFSET
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy import ranges
from bulkhaul.policy.ranges import Span
from bulkhaul.policy.storerules import asks_for_bytes, outside

AT_ONCE = 10
"""Requests of one ``get_ranges``. Source: object_store (obstore), OBJECT_STORE_COALESCE_PARALLEL."""


class SmallReads(ABC):
    """What an engine reads into memory."""

    @property
    @abstractmethod
    def control(self) -> Control:
        """The small requests by bucket and key, where listings come page by page.

        Raises:
            UsageError: the engine is not running.
        """

    async def get_bytes(self, url: str | ObjectRef, *, version_id: str = "") -> bytes:
        """Return a whole object, by one GET; a large one is better downloaded.

        Raises:
            NotFound: there is no such object.
            NetworkError: the body broke off, however often it was tried.
            IntegrityError: the bytes are not those that the stored checksum promises.
        """
        return await self.control.read(object_ref(url), version_id=version_id)

    async def get_bytes_range(
        self, url: str | ObjectRef, start: int, end: int | None = None, *, version_id: str = ""
    ) -> bytes:
        """Return exactly the bytes ``[start, end)`` of an object; an empty range is empty without a request.

        Args:
            end: None for the end of the object, which a HEAD tells first; what is read is what that has found.

        Raises:
            RangeNotSatisfiable: the object cannot fill the range, or the range is none.
            PreconditionFailed: it was overwritten after the HEAD.
            NotFound: there is no such object.
        """
        ref = object_ref(url)
        if not asks_for_bytes(start, MAX_OFFSET if end is None else end, ref.url):
            return b""
        if end is not None:
            return await self._span(ref, (start, end), version_id=version_id)
        head = await self.control.head(ref, version_id)
        span = ranges.to_the_end(start, head.size, ref.url)
        return await self._span(ref, span, etag=head.etag, version_id=version_id)

    async def get_bytes_suffix(self, url: str | ObjectRef, length: int, *, version_id: str = "") -> bytes:
        """Return the last ``length`` bytes, all of a shorter object: of the version that a HEAD has found.

        Raises:
            UsageError: the length is negative.
            PreconditionFailed: it was overwritten meanwhile.
            NotFound: there is no such object.
        """
        ref = object_ref(url)
        ranges.check_length(length, ref.url)
        if not length:
            return b""
        head = await self.control.head(ref, version_id)
        span = max(head.size - length, 0), head.size
        return await self._span(ref, span, etag=head.etag, version_id=version_id)

    async def get_ranges(
        self, url: str | ObjectRef, spans: Iterable[Span], *, version_id: str = ""
    ) -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges, all of one version.

        Ranges at most 1 MiB apart are read together, up to 16 MiB by a request, and 10 requests are made at once. So
        no more than 160 MiB that nobody asked for, the gaps, are ever held beside what is returned.

        Raises:
            RangeNotSatisfiable: the object cannot fill one of them, or one is none.
            PreconditionFailed: the object was overwritten meanwhile.
            NotFound: there is no such object.
        """
        ref = object_ref(url)
        wanted = ranges.wanted_spans(spans, ref.url)
        groups = ranges.grouped(wanted)
        if not groups:
            return [b""] * len(wanted)
        head = await self.control.head(ref, version_id)
        ranges.require_within(wanted, head.size, ref.url)
        found: dict[Span, bytes] = {}

        async def read(group: ranges.Group) -> None:
            body = await self._span(ref, group.span, etag=head.etag, version_id=version_id)
            first = group.span[0]
            found.update((span, body[span[0] - first : span[1] - first]) for span in group.wanted)

        await all_or_none(read, groups, at_once=AT_ONCE)
        return [found.get(span, b"") for span in wanted]

    async def _span(self, ref: ObjectRef, span: Span, *, etag: str = "", version_id: str = "") -> bytes:
        start, end = span
        if start == end:
            return b""
        try:
            return await self.control.read(ref, start, end, etag=etag, version_id=version_id)
        except RangeNotSatisfiable as error:
            told = outside(start, end, ref.url)
            told.info = msgspec.structs.replace(error.info, message=told.message, subject=ref.url)
            raise told from error
        except TransferError as error:
            raise error.about(ref.url) from error.__cause__
