"""Tries each permission that a plan needs before it begins, on one object, and names the first one that is missing.

reads     asked of an object of the listing's first page, of another one where the first may be read by others only
writes    a multipart upload to a name of our own is begun and aborted: no object appears, no version, no event
deletes   of a name of our own that never was, only where the bucket keeps no versions: else a delete marker would stay

What cannot be tried without harm is left out, and told in the log, at the level info.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import (
    WRONG_KEYS,
    AccessDenied,
    Archived,
    ClockSkew,
    IntegrityError,
    MissingPermission,
    NotFound,
    OtherError,
    RangeNotSatisfiable,
    TransferError,
    Unsupported,
)
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.permissions import Need, Side

_log = logging.getLogger("bulkhaul")

PROBE_NAME = ".bulkhaul-permission-"
"""How the names begin that writes and deletes are tried on; random digits follow."""

SAMPLES = 3
"""Objects that a read is tried on, at most: one that others have forbidden is no missing permission."""

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
    takes: Callable[[str], bool] | None = None,
    writes: bool = True,
) -> Checked:
    """Try what a plan needs; see ``policy.permissions.needed``.

    Args:
        source, destination: bucket and prefix of each side in S3.
        origin: an engine of the source's endpoint or credentials.
        stored: how objects are stored: the try of a write names the same encryption, ACL and tags.
        takes: tells of a key of the source whether the plan means it; None if it means all.
        writes: False to try only what reads.

    Returns:
        What was tried, and what was not.

    Raises:
        MissingPermission: the message names the action, and where it is needed.
        AccessDenied: the service accepts nothing at all that is signed with these keys, or at this time.
        TransferError: a side cannot be asked at all.
    """
    sides: dict[Side, _Side] = {}
    if source is not None:
        sides["source"] = _Side((origin or engine).control, *source, stored or ObjectOptions(), takes)
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
            if isinstance(error, ClockSkew) or error.info.service_code in WRONG_KEYS:
                raise
            raise _missing(need, side.url, error) from error
        except _UntriedError as error:
            untried.append(Untried(need, str(error)))
            _log.info("%s at %s was not tried before: %s", need.action, side.url, error)
        else:
            tried.append(need)
    return Checked(tuple(tried), tuple(untried))


class _Side:
    """One side: a prefix of a bucket, and who asks its service."""

    def __init__(
        self,
        control: Control,
        bucket: str,
        prefix: str,
        stored: ObjectOptions,
        takes: Callable[[str], bool] | None = None,
    ) -> None:
        self._control = control
        self._bucket = bucket
        self._prefix = prefix
        self._stored = stored
        self._takes = takes
        self._samples: list[ObjectHead] | None = None

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
                await self._of_some(self._read)
            case "s3:GetObjectTagging":
                await self._of_some(lambda ref, _: self._control.tags(ref))
            case "s3:GetObjectAcl":
                await self._of_some(lambda ref, _: self._control.acl(ref))
            case "s3:GetObjectRetention":
                await self._of_some(lambda ref, _: self._control.lock(ref))
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

    async def _look(self) -> list[ObjectHead]:
        """Return some objects that the plan means, spread over the first page of the listing."""
        if self._samples is None:
            listing = self._control.pages(self._bucket, self._prefix, ahead=False)
            async with contextlib.aclosing(listing) as pages:
                page: Sequence[ObjectHead] = await anext(pages, [])
            meant = [head for head in page if self._takes is None or self._takes(head.key)]
            last = len(meant) - 1
            self._samples = [meant[at] for at in sorted({last * i // (SAMPLES - 1) for i in range(SAMPLES)}) if meant]
        return self._samples

    async def _of_some(self, ask: Callable[[ObjectRef, ObjectHead], Awaitable[object]]) -> None:
        """Ask about one object after the other, until an answer comes.

        Raises:
            AccessDenied: none of them was answered, and one was refused.
            _UntriedError: there is none, or they say nothing of a permission.
        """
        try:
            samples = await self._look()
        except AccessDenied as error:
            raise _UntriedError("no object to try it on may be listed") from error
        if not samples:
            raise _UntriedError("there is no object to try it on")
        denied: AccessDenied | None = None
        for head in samples:
            try:
                await ask(ObjectRef(self._bucket, head.key), head)
            except AccessDenied as error:
                denied = denied or error
            except TransferError as error:
                if not _is_of_the_object(error):
                    raise
            else:
                return
        if denied is not None:
            raise denied
        raise _UntriedError("the objects to try it on cannot be read now")

    async def _read(self, ref: ObjectRef, head: ObjectHead) -> None:
        # HEAD would not show that the key of an encryption may not be used.
        await (self._control.read(ref, 0, 1) if head.size else self._control.head(ref))

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


def _is_of_the_object(error: TransferError) -> bool:
    """Whether a failure says something of one object alone: it is gone, archived, or encrypted with another key."""
    return type(error) is OtherError or isinstance(error, (NotFound, Archived, IntegrityError, RangeNotSatisfiable))


def _missing(need: Need, place: str, error: AccessDenied) -> MissingPermission:
    text = f"{need.action} is missing at the {need.side}, so nothing was begun; allow it, or leave out what needs it"
    cause = error.info.cause or error.message
    info = msgspec.structs.replace(error.info, code="MissingPermission", message=text, subject=place, cause=cause)
    return MissingPermission(text, place, cause, info)


__all__ = ["PROBE_NAME", "Checked", "Untried", "check_permissions"]
