"""Plans the copy of every version that a source has: checks both places, then lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bulkhaul.engine.operations.list_histories import Destination, below, history_rows
from bulkhaul.engine.transfers.endpoints import destination_prefix, destination_ref, object_ref
from bulkhaul.engine.transfers.relay import same_bucket
from bulkhaul.engine.transfers.rows_versions import require_versioning
from bulkhaul.engine.transfers.same_version import VersionSide
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.rows import Row
from bulkhaul.policy.selection import Source, parse_source, selector
from bulkhaul.policy.storerules import same_object


def planned_versions(
    origin: VersionSide,
    source: str | ObjectRef,
    here: VersionSide,
    destination: str,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    recursive: bool,
    asks: bool = True,
) -> AsyncGenerator[list[Row], None]:
    """Return the pages of rows that copy every version; see ``copy_versions``.

    Args:
        asks: whether the destination keeps versions is asked first.

    Raises:
        TransferError: source or destination makes no sense; at once, not when the first page is asked for.
    """
    if isinstance(source, ObjectRef):
        one = object_ref(source)
        parsed = Source(one.bucket, key=one.key)
    else:
        parsed = parse_source(source, recursive=recursive)
    bucket, prefix = destination_prefix(destination) if parsed.many else ("", "")
    ref = None if parsed.many else destination_ref(destination, parsed.key)
    takes = selector(parsed, include, exclude)

    async def pages() -> AsyncGenerator[list[Row], None]:
        into = bucket if ref is None else ref.bucket
        within = await same_place(origin, here, into)
        where: Destination
        if ref is None:
            where = below(parsed, bucket, prefix, within=within)
            if within and bucket == parsed.bucket and prefix == parsed.base:
                raise same_object(parsed.url)
        else:
            if within and ref == ObjectRef(parsed.bucket, parsed.key):
                raise same_object(parsed.url)
            where = Destination(lambda _: ref.url, lambda _: "")
        if asks:
            await require_versioning(here.control, into)
        async with aclosing(history_rows(origin.control, parsed, takes, where)) as found:
            async for page in found:
                yield page

    return pages()


async def same_place(origin: VersionSide, here: VersionSide, bucket: str) -> bool:
    """Whether a bucket of both services is one."""
    return origin.control is here.control or await same_bucket(origin.control, here.control, bucket)


__all__ = ["planned_versions", "same_place"]
