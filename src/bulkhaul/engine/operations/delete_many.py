"""Deletes what sources name: keys, prefixes, patterns, versions.

sources ─▶ named keys, or those of a listing ─▶ batches of 1,000 ─▶ one result a key
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.delete_batch import deleted_result
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import SourceResult, TransferResult
from bulkhaul.model.writing import Doomed
from bulkhaul.policy.filters import Filters
from bulkhaul.policy.reach import ends_run
from bulkhaul.policy.selection import Source, all_left_out, nothing_matches, selector


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
    """Delete and yield one result a key; a source that fails as a whole is one failed result, and the others go on.

    Raises:
        TransferError: none can be deleted, as with a wrong secret.
    """
    for bucket, doomed, url in _doomed(control, deletion):
        async with contextlib.aclosing(_deleted(control, bucket, doomed, url, dry_run=deletion.dry_run)) as results:
            async for result in results:
                yield result


def _doomed(control: Control, deletion: Deletion) -> Iterator[tuple[str, AsyncGenerator[Doomed, None], str]]:
    """Yield what is deleted together: its bucket, its keys, and the URL that a failure of all of them is about."""
    named: dict[str, list[Doomed]] = {}
    for source in deletion.sources:
        if not (source.many or _takes_one(source, deletion)):
            continue
        if source.many or deletion.all_versions:
            yield source.bucket, _found(control, source, deletion), source.url
        else:
            named.setdefault(source.bucket, []).append(Doomed(source.key, deletion.version_id))
    for bucket, keys in named.items():
        yield bucket, _each(keys), ObjectRef(bucket, keys[0].key).url


def _takes_one(source: Source, deletion: Deletion) -> bool:
    """Whether filters take a single key, by its last name."""
    return Filters(deletion.include, deletion.exclude).takes(source.key.rstrip("/").rpartition("/")[2])


async def _deleted(
    control: Control, bucket: str, doomed: AsyncGenerator[Doomed, None], url: str, *, dry_run: bool
) -> AsyncGenerator[TransferResult, None]:
    try:
        async with contextlib.aclosing(doomed):
            if dry_run:
                async for one in doomed:
                    yield deleted_result(bucket, one)
            else:
                async with contextlib.aclosing(control.delete_many(bucket, doomed)) as results:
                    async for result in results:
                        yield result
    except TransferError as error:
        if ends_run(error.info, many_buckets=True):
            raise
        key = url.removeprefix(f"s3://{bucket}").removeprefix("/")
        yield SourceResult(source=url, destination="", bucket=bucket, key=key, failure=error.named(url).info)


async def _found(control: Control, source: Source, deletion: Deletion) -> AsyncGenerator[Doomed, None]:
    """Yield what a listing finds; that nothing lies below a prefix is what was to become of it.

    Raises:
        NotFound: a pattern matches nothing, or a key has no version.
    """
    takes = selector(source, deletion.include, deletion.exclude)
    empty = True
    if deletion.all_versions:
        prefix = source.prefix if source.many else source.key
        async with contextlib.aclosing(control.versions(source.bucket, prefix)) as pages:
            async for versions in pages:
                for version in versions:
                    if takes(version.key) if source.many else version.key == source.key:
                        empty = False
                        yield Doomed(version.key, version.version_id or "null", marker=version.delete_marker)
    else:
        async with contextlib.aclosing(control.pages(source.bucket, source.prefix)) as pages:
            async for page in pages:
                for head in page:
                    if takes(head.key):
                        empty = False
                        yield Doomed(head.key)
    whole_prefix = source.many and not source.pattern
    if empty and not whole_prefix and not all_left_out(takes):
        raise nothing_matches(source)


async def _each(doomed: Sequence[Doomed]) -> AsyncGenerator[Doomed, None]:
    for one in doomed:
        yield one


__all__ = ["Deletion", "delete_sources"]
