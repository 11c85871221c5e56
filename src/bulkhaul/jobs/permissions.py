"""Tries each permission that a plan needs before it begins, on one object, and names the first one that is missing.

reads     asked of the first object of the listing
writes    a multipart upload to a name of our own is begun and aborted: no object appears, no version, no event
deletes   of a name of our own that never was, only where the bucket keeps no versions: else a delete marker would stay

What cannot be tried without harm is left out, and told.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence

import msgspec

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import AccessDenied, Archived, MissingPermission, NotFound, TransferError, Unsupported
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.permissions import Need, Side

PROBE_NAME = ".bulkhaul-permission-"
"""How the names begin that writes and deletes are tried on; random digits follow."""

_TAG = {"bulkhaul": "probe"}
_ACL = "bucket-owner-full-control"
"""The one canned ACL that buckets also take where owners are enforced. Source: S3 User Guide, "Object Ownership"."""


class Untried(msgspec.Struct, frozen=True):
    """A permission that is needed and could not be tried. ``why``: for people."""

    need: Need
    why: str


class Checked(msgspec.Struct, frozen=True):
    """What was found out: none of ``tried`` is missing."""

    tried: tuple[Need, ...]
    untried: tuple[Untried, ...]


class _UntriedError(Exception):
    """There is no harmless try; the argument says why."""


async def check_permissions(
    engine: AsyncEngine,
    needs: Sequence[Need],
    *,
    source: tuple[str, str] | None = None,
    destination: tuple[str, str] | None = None,
    origin: AsyncEngine | None = None,
    stored: ObjectOptions | None = None,
    writes: bool = True,
) -> Checked:
    """Try what a plan needs; see ``policy.permissions.needed``.

    Args:
        source, destination: bucket and prefix of each side in S3.
        origin: an engine of the source's endpoint or credentials.
        stored: how objects are stored: the try of a write names the same encryption, ACL and tags.
        writes: False to try only what reads.

    Returns:
        What was tried, and what was not.

    Raises:
        MissingPermission: the message names the action, and where it is needed.
        TransferError: a side cannot be asked at all.
    """
    sides: dict[Side, _Side] = {}
    if source is not None:
        sides["source"] = _Side((origin or engine).control, *source, stored or ObjectOptions())
    if destination is not None:
        sides["destination"] = _Side(engine.control, *destination, stored or ObjectOptions())
    tried: list[Need] = []
    untried: list[Untried] = []
    for need in needs:
        side = sides.get(need.side)
        if side is None:
            continue
        try:
            await side.attempt(need.action, writes=writes)
        except MissingPermission:
            raise
        except AccessDenied as error:
            raise _missing(need, side.url, error) from error
        except _UntriedError as error:
            untried.append(Untried(need, str(error)))
        else:
            tried.append(need)
    return Checked(tuple(tried), tuple(untried))


class _Side:
    """One side: a prefix of a bucket, and who asks its service."""

    def __init__(self, control: Control, bucket: str, prefix: str, stored: ObjectOptions) -> None:
        self._control = control
        self._bucket = bucket
        self._prefix = prefix
        self._stored = stored
        self._first: ObjectHead | None = None
        self._looked = False

    @property
    def url(self) -> str:
        """The place, for people."""
        return f"s3://{self._bucket}/{self._prefix}"

    async def attempt(self, action: str, *, writes: bool) -> None:
        """Return if an action is allowed.

        Raises:
            AccessDenied: it is not.
            _UntriedError: it cannot be tried.
        """
        match action:
            case "s3:ListBucket":
                await self._look()
            case "s3:ListBucketVersions":
                async with contextlib.aclosing(self._control.versions(self._bucket, self._prefix)) as pages:
                    await anext(pages, None)
            case "s3:GetObject" | "s3:GetObjectVersion":
                await self._read()
            case "s3:GetObjectTagging":
                await self._control.tags(await self._object())
            case "s3:GetObjectAcl":
                await self._control.acl(await self._object())
            case "s3:GetObjectRetention":
                await self._control.lock(await self._object())
            case "s3:PutObject" if writes:
                await self._write(self._stored)
            case "s3:PutObjectTagging" if writes:
                await self._write(msgspec.structs.replace(self._stored, tags=_TAG))
            case "s3:PutObjectAcl" if writes:
                await self._write(msgspec.structs.replace(self._stored, acl=_ACL))
            case "s3:DeleteObject" if writes:
                await self._delete()
            case _:
                raise _UntriedError("there is no try of it that does no harm" if writes else "nothing is written now")

    async def _look(self) -> ObjectHead | None:
        if not self._looked:
            listing = self._control.pages(self._bucket, self._prefix, max_keys=1, ahead=False)
            async with contextlib.aclosing(listing) as pages:
                page = await anext(pages, ())
            self._first, self._looked = (page[0] if page else None), True
        return self._first

    async def _object(self) -> ObjectRef:
        try:
            found = await self._look()
        except AccessDenied as error:
            raise _UntriedError("no object to try it on may be listed") from error
        if found is None:
            raise _UntriedError("there is no object to try it on")
        return ObjectRef(self._bucket, found.key)

    async def _read(self) -> None:
        ref = await self._object()
        empty = self._first is None or not self._first.size_bytes
        try:
            # HEAD would not show that the key of an encryption may not be used.
            await (self._control.head(ref) if empty else self._control.read(ref, 0, 1))
        except (NotFound, Archived) as error:
            raise _UntriedError("the object to try it on cannot be read now") from error

    async def _write(self, options: ObjectOptions) -> None:
        ref = self._own()
        try:
            begun = await self._control.create_upload(ref, options)
        except Unsupported as error:
            raise _UntriedError("the endpoint has no multipart uploads") from error
        try:
            await self._control.abort_upload(ref, begun.upload_id)
        except TransferError as error:
            text = f"an upload to {ref.url} was begun to try this, and cannot be aborted: {error.message}"
            raise MissingPermission(f"s3:AbortMultipartUpload is missing: {text}", self.url, str(error)) from error

    async def _delete(self) -> None:
        try:
            versioning = await self._control.versioning(self._bucket)
        except TransferError as error:
            raise _UntriedError("whether the bucket keeps versions cannot be asked") from error
        if versioning:
            raise _UntriedError("the bucket keeps versions, and a try would leave a delete marker")
        await self._control.delete(self._own())

    def _own(self) -> ObjectRef:
        return ObjectRef(self._bucket, f"{self._prefix}{PROBE_NAME}{secrets.token_hex(16)}")


def _missing(need: Need, place: str, error: AccessDenied) -> MissingPermission:
    text = f"{need.action} is missing at the {need.side}, so nothing was begun; allow it, or leave out what needs it"
    cause = error.info.cause or error.message
    info = msgspec.structs.replace(error.info, code="MissingPermission", message=text, subject=place, cause=cause)
    return MissingPermission(text, place, cause, info)


__all__ = ["PROBE_NAME", "Checked", "Untried", "check_permissions"]
