"""Removes the source of a move, once it is certain that its copy is stored and is another object.

    copy ─▶ is it stored? (HEAD of the copy: length, ETag)
         ─▶ is the source as it was, and another object than the copy? (HEAD of the source)
         ─▶ DELETE, on condition of its ETag

One object may have two names: of its host, of its bucket and an access point, or spellings that a store takes for one.
If the copy went onto the source itself, the source is newer than before, or looks exactly like the copy. If it looks
like the copy and is no newer (both were written within one second), a token is written into the copy's metadata, and
looked for under the source's name.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.copy_source import as_found, tags_of
from bulkhaul.model.errors import IntegrityError, NotFound, PreconditionFailed, TransferError, Unsupported, error_of
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.sameness import differ, is_unchanged, may_be_told, one_object, refuses_conditions, stays
from bulkhaul.wire.values import RemoteObject

Mark = Callable[[], Awaitable[str]]
"""Writes a new token into a copy's metadata and returns it; Unsupported where it does not stay there."""


async def require_stored(control: Control, ref: ObjectRef, size_bytes: int, etag: str) -> ObjectHead:
    """Return what HEAD tells of an object that the service says it has stored.

    Args:
        etag: as it was told when the object was stored.

    Raises:
        IntegrityError: it is not there, or another one is.
        TransferError: it could not be asked for.
    """
    try:
        stored = await control.head(ref)
    except NotFound as error:
        text = "the service said that it has stored the copy, and does not have it; look at the endpoint, and try again"
        raise IntegrityError(text, ref.url, str(error)) from error
    if stored.size != size_bytes:
        text = f"the copy was to have {size_bytes} bytes, and the service says that it has {stored.size}"
        raise IntegrityError(f"{text}; compare both, and try again", ref.url)
    if not etag or differ(stored.etag, etag):
        told, found = etag[:80] or "no ETag", stored.etag[:80] or "no ETag"
        text = f"the service told {told} when it stored the copy, and tells {found} now"
        raise IntegrityError(f"{text}; compare both before you remove the source", ref.url)
    return stored


class _GoneError(Exception):
    """There is no object to delete any more."""


class SourceRemover:
    """Deletes the objects of one service that were moved."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._unconditional: set[str] = set()  # buckets whose service takes no condition

    async def remove(
        self, source: ObjectRef, seen: ObjectHead, *, copy: ObjectHead | None = None, mark: Mark | None = None
    ) -> None:
        """Delete an object that was moved.

        Args:
            seen: what it was when its copy was made.
            copy: what HEAD tells of the copy, None if that is a file; see ``require_stored``.
            mark: called where HEAD cannot tell the copy from the source.

        Raises:
            PreconditionFailed: another object is there by now; it stays.
            UsageError: the copy is the source under another name; it stays.
            Unsupported: it cannot be told from the copy, or from a later object; it stays.
            TransferError: it could not be looked at or deleted.
        """
        if not may_be_told(seen):
            text = "the service tells neither its ETag nor its time, so it may be another one by now, and stays"
            raise Unsupported(f"{text}; delete it with `bulkhaul rm`", source.url)
        now = await self._control.head(source)
        unchanged = is_unchanged(now, seen)
        if copy is not None and (same := one_object(now, copy)) != "no":
            if same == "yes" or not unchanged:
                raise stays(source.url)
            now = await self._other_than_marked(source, mark)
            unchanged = is_unchanged(now, seen)
        if not unchanged:
            raise _replaced(source)
        await self._delete(source, seen)

    async def remove_copied(
        self, source: RemoteObject, control: Control, result: TransferResult, options: ObjectOptions | None
    ) -> None:
        """Delete an object that was copied.

        Args:
            source: as it was copied.
            control: of the copy's service.
            result: of the copy.
            options: that the copy was stored with.

        Raises:
            TransferError: the copy is not there, or the source cannot be removed; see ``remove``. The source stays.
        """
        copy = ObjectRef(result.bucket, result.key)
        try:
            stored = await require_stored(control, copy, result.size, result.etag)
            mark = functools.partial(_mark, control, copy, stored, options or ObjectOptions())
            await self.remove(source.ref, source.head, copy=stored, mark=mark)
        except TransferError as error:
            raise not_removed(error, source.ref.url, copy.url) from error

    async def _other_than_marked(self, source: ObjectRef, mark: Mark | None) -> ObjectHead:
        """Mark the copy, and return the source as it is then, provided that it does not show the mark."""
        assert mark is not None
        token = await mark()
        now = await self._control.head(source)
        if now.token == token:
            raise stays(source.url)
        return now

    async def _delete(self, source: ObjectRef, seen: ObjectHead) -> None:
        """Delete an object right after a HEAD, on condition of its ETag where the service takes conditions."""

        async def look() -> None:
            """Look again before another try: by now the object may be gone, or be another one."""
            try:
                now = await self._control.head(source)
            except NotFound as error:
                raise _GoneError from error
            if not is_unchanged(now, seen):
                raise _replaced(source)

        async def delete(etag: str = "") -> None:
            # A try whose answer was lost may have deleted it; an object that was stored since then must stay.
            with contextlib.suppress(_GoneError):
                await self._control.delete(source, etag=etag, before_again=look)

        # A weak ETag never matches (RFC 9110 §13.1.1).
        if seen.etag and not seen.etag.startswith("W/") and source.bucket not in self._unconditional:
            try:
                await delete(seen.etag)
            except PreconditionFailed as error:
                await self._require_gone(source, error)
                return
            except TransferError as error:
                if not refuses_conditions(error.info):
                    raise
                self._unconditional.add(source.bucket)
            else:
                return
            if not is_unchanged(await self._control.head(source), seen):
                raise _replaced(source)
        await delete()

    async def _require_gone(self, source: ObjectRef, refused: TransferError) -> None:
        """Return if there is no object: then an earlier try, whose answer was lost, has deleted it."""
        try:
            await self._control.head(source)
        except NotFound:
            return
        raise _replaced(source) from refused


async def _mark(control: Control, ref: ObjectRef, stored: ObjectHead, options: ObjectOptions) -> str:
    """Copy an object onto itself with a new token in its metadata, and return that."""
    token = secrets.token_hex(16)
    marked = msgspec.structs.replace(
        options,
        content=stored.content.with_token(token),
        tags=await tags_of(control, ref, stored),
        storage_class=stored.storage_class,
    )
    await control.copy_object(ref, as_found(ref, stored), marked)
    if (await control.head(ref)).token != token:
        text = "it cannot be told from its copy, so it stays: the endpoint keeps no metadata that would show it"
        raise Unsupported(f"{text}; delete it with `bulkhaul rm` if it is another object", ref.url)
    return token


def _replaced(source: ObjectRef) -> PreconditionFailed:
    return PreconditionFailed("the source was replaced after it had been copied, and the new one stays", source.url)


def not_removed(error: TransferError, source: str, destination: str) -> TransferError:
    """Return the error for a source that stays although its copy was made; it tells where the copy is."""
    text = f"it was copied to {destination}, but could not be removed: {error.message}"
    return error_of(msgspec.structs.replace(error.info, message=text, subject=source))
