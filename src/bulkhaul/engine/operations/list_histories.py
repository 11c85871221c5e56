"""Lists the versions of keys, each key's oldest first, and makes rows of them that copy them all.

listing, newest first ─▶ the versions of one key ─▶ turned round ─▶ rows: copy, or mark
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing

import msgspec

from bulkhaul.disk.newest_first import NewestFirst
from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import NotFound, UnexpectedReply
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectVersion
from bulkhaul.policy.selection import Source, nothing_matches

PAGE_ROWS = 1000
"""Rows of a page: as many as a page of a listing has."""

_NO_KEY = f"its key would be empty, or have more than {MAX_KEY_BYTES} bytes"
_DOUBTFUL = (
    "versions and delete markers of its key are of one time, and the service does not tell their order; copy it without"
    " its older versions"
)


class Destination(msgspec.Struct, frozen=True):
    """Where the versions of keys go.

    Attributes:
        url_of: the URL of the destination of a key; empty where it would be no key.
        skipped: why a key stays where it is; empty for one that is copied.
    """

    url_of: Callable[[str], str]
    skipped: Callable[[str], str]


def below(source: Source, bucket: str, prefix: str, *, within: bool) -> Destination:
    """Return where the keys of a source go below a prefix.

    Args:
        within: both are of one service, so that the destination may lie in the source.
    """
    nested = within and bucket == source.bucket and prefix.startswith(source.base)

    def url_of(key: str) -> str:
        name = prefix + key.removeprefix(source.base)
        return ObjectRef(bucket, name).url if 0 < len(name.encode()) <= MAX_KEY_BYTES else ""

    return Destination(url_of, lambda key: "it lies in the destination" if nested and key.startswith(prefix) else "")


async def history_rows(
    control: Control, source: Source, takes: Callable[[str], bool], destination: Destination
) -> AsyncGenerator[list[Row], None]:
    """Yield pages of the rows that copy every version of what a source selects; their numbers count from 0.

    Raises:
        NotFound: nothing is selected.
        UnexpectedReply: the service tells the versions of a key apart from its others, so that their order is unknown.
        TransferError: the listing failed.
    """
    page: list[Row] = []
    n = 0
    async with aclosing(_histories(control, source, takes)) as histories:
        async for key, history in histories:
            url, skipped = destination.url_of(key), destination.skipped(key)
            refused = _DOUBTFUL if history.doubtful else "" if url else _NO_KEY
            for older, version in enumerate(history.oldest_first()):
                page.append(_row(source.bucket, version, n, older, url, skipped, refused))
                n += 1
                if len(page) == PAGE_ROWS:
                    yield page
                    page = []
    if page:
        yield page
    if not n:
        raise nothing_matches(source)


async def _histories(
    control: Control, source: Source, takes: Callable[[str], bool]
) -> AsyncGenerator[tuple[str, NewestFirst], None]:
    if not source.many:
        if (alone := await history_of(control, ObjectRef(source.bucket, source.key))).count:
            with closing(alone):
                yield source.key, alone
        return
    key, history, seen = "", NewestFirst(), SeenNames()
    try:
        async with aclosing(control.versions(source.bucket, source.prefix)) as pages:
            async for page in pages:
                for version in page:
                    if version.key != key:
                        if history.count:
                            yield key, history
                        key, history = version.key, NewestFirst()
                        if seen.earlier(key, "listed"):
                            text = "the service tells its versions in two places of the listing; their order is unknown"
                            raise UnexpectedReply(text, ObjectRef(source.bucket, key).url)
                    if takes(key):
                        history.add(version)
        if history.count:
            yield key, history
    finally:
        history.close()
        seen.close()


def _row(bucket: str, version: ObjectVersion, n: int, older: int, destination: str, skipped: str, refused: str) -> Row:
    action = Action.MARK if version.delete_marker else Action.COPY
    return Row(
        n=n,
        action=Action.SKIP if skipped else action,
        source=ObjectRef(bucket, version.key).url,
        destination="" if skipped or refused else destination,
        size=version.size,
        etag=version.etag,
        version_id=version.version_id or "null",
        last_modified=version.last_modified,
        reason=skipped or refused,
        older=older,
    )


async def history_of(control: Control, ref: ObjectRef) -> NewestFirst:
    """Return every version of one key.

    Raises:
        UnexpectedReply: the listing does not tell of the key, and the service has it.
        TransferError: the listing failed.
    """
    found, passed = NewestFirst(), False
    async with aclosing(control.versions(ref.bucket, ref.key)) as pages:
        async for page in pages:
            for version in page:
                if version.key == ref.key:
                    found.add(version)
            if passed := bool(page) and page[-1].key != ref.key:
                break  # keys that begin with it follow it
    if passed and not found.count:
        await _require_absent(control, ref)
    return found


async def _require_absent(control: Control, ref: ObjectRef) -> None:
    """Make sure that a key is not there whose place a listing has passed.

    SeaweedFS sorts a key that has versions behind others that begin with it, and leaves it out at the end of a page.
    """
    with contextlib.suppress(NotFound):
        await control.head(ref)
        text = "the service has it, and leaves it out of its listing of versions, so they cannot be told"
        raise UnexpectedReply(f"{text}; copy to where fewer keys begin with this one", ref.url)


__all__ = ["Destination", "below", "history_of", "history_rows"]
