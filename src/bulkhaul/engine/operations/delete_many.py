"""Deletes what URLs name: keys, prefixes, patterns, versions; it must not know the command line.

sources ─▶ keys of a listing, or named ones ─▶ batches of 1,000 ─▶ one result a key
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import NotFound, TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import Doomed
from bulkhaul.policy.selection import Source, selector


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be deleted.

    Attributes:
        sources: keys, prefixes and patterns.
        version_id: that version of the only source, a key.
        all_versions: every version and delete marker of whatever matches.
        include, exclude: patterns for the path below each prefix.
        dry_run: only say what would be deleted.
    """

    sources: tuple[Source, ...]
    version_id: str = ""
    all_versions: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dry_run: bool = False


async def delete_sources(control: Control, deletion: Deletion) -> AsyncGenerator[TransferResult, None]:
    """Delete and yield one result a key; a source that fails as a whole is one failed result, and the others go on."""
    named: dict[str, list[Doomed]] = {}
    for source in deletion.sources:
        if not source.many and not deletion.all_versions:
            named.setdefault(source.bucket, []).append(Doomed(source.key, deletion.version_id))
            continue
        found = _found(control, source, deletion)
        async for result in _removed(control, source.bucket, found, _url(source), deletion):
            yield result
    for bucket, doomed in named.items():
        async for result in _removed(control, bucket, _each(doomed), f"s3://{bucket}/{doomed[0].key}", deletion):
            yield result


async def _removed(
    control: Control, bucket: str, doomed: AsyncGenerator[Doomed, None], url: str, deletion: Deletion
) -> AsyncGenerator[TransferResult, None]:
    try:
        async with contextlib.aclosing(doomed):
            if deletion.dry_run:
                async for one in doomed:
                    yield _result(bucket, one)
            else:
                async with contextlib.aclosing(control.delete_many(bucket, doomed)) as results:
                    async for result in results:
                        yield result
    except TransferError as error:
        key = url.removeprefix(f"s3://{bucket}").removeprefix("/")
        yield TransferResult(source=url, destination="", bucket=bucket, key=key, failure=error.named(url).info)


async def _found(control: Control, source: Source, deletion: Deletion) -> AsyncGenerator[Doomed, None]:
    """Yield what a listing finds.

    Raises:
        NotFound: nothing matches.
    """
    takes = selector(source, deletion.include, deletion.exclude)
    empty = True
    if deletion.all_versions:
        async for versions in control.versions(source.bucket, source.prefix if source.many else source.key):
            for version in versions:
                if takes(version.key) if source.many else version.key == source.key:
                    empty = False
                    yield Doomed(version.key, version.version_id or "null")
    else:
        async with contextlib.aclosing(control.pages(source.bucket, source.prefix, ahead=True)) as pages:
            async for page in pages:
                for head in page:
                    if takes(head.key):
                        empty = False
                        yield Doomed(head.key)
    if empty:
        raise NotFound("no object matches", _url(source))


async def _each(doomed: Sequence[Doomed]) -> AsyncGenerator[Doomed, None]:
    for one in doomed:
        yield one


def _result(bucket: str, doomed: Doomed) -> TransferResult:
    url = ObjectRef(bucket, doomed.key).url
    return TransferResult(source=url, destination="", bucket=bucket, key=doomed.key, version_id=doomed.version_id)


def _url(source: Source) -> str:
    return f"s3://{source.bucket}/{source.pattern or source.key or source.prefix}"


__all__ = ["Deletion", "delete_sources"]
