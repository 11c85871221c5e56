"""Tries whether an endpoint, a bucket and the credentials are fit for transfers; policy.findings judges.

reach ─▶ credentials ─▶ bucket ─▶ clock ─▶ list ─▶ read       always; nothing is changed
put ─▶ head, get, ranges ─▶ conditions ─▶ checksums ─▶ multipart ─▶ delete       with ``write``, one small object
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Mapping

from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import ClockSkew, CredentialsError, ErrorInfo, NotFound, TransferError
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.policy import findings
from bulkhaul.policy.endpoints import COMMON_CHECKSUM, profile_for
from bulkhaul.policy.findings import Finding, Verdict
from bulkhaul.policy.provenance import DEFAULT
from bulkhaul.wire.checksums import encoded_crc, updater
from bulkhaul.wire.reach import look
from bulkhaul.wire.replies.buckets_page import TELLING
from bulkhaul.wire.settled import settings_in_force
from bulkhaul.wire.values import Target

LOOK_S = 10.0

WRITING = ("put", "head", "get", "ranges", "conditional write", "checksums", "multipart", "delete")

_READING = WRITING[1:4]


async def examine(
    control: Control,
    settings: Settings,
    bucket: str,
    prefix: str,
    *,
    write: bool,
    sources: Mapping[str, str] | None = None,
) -> AsyncGenerator[Finding, None]:
    """Yield one finding for each check, in order. A failure is a finding too. Without ``write`` nothing is changed.

    Args:
        sources: what has given each setting, see ``policy.provenance.in_force``.
    """
    told = [one for one in settings_in_force(settings, sources) if one.source != DEFAULT]
    yield findings.ok("settings", "; ".join(map(str, told)) or "all by default")
    try:
        target = await control.target(bucket)
        await _require_answer(control, bucket)  # to know where it is, nothing need have been asked
    except TransferError as error:
        about = "credentials" if isinstance(error, CredentialsError) else "endpoint"
        yield findings.refused("clock" if isinstance(error, ClockSkew) else about, error.info)
        return
    skew_s = None
    if target.why_not == "a proxy is configured":
        yield findings.ok("endpoint", f"{target.endpoint}, through a proxy")
    else:
        try:
            reach = await look(target, timeout_s=LOOK_S, verify_tls=settings.verify_tls, ca_bundle=settings.ca_bundle)
        except TransferError as error:
            # No failure: a worker has just reached it, and may trust authorities that this look does not know.
            yield findings.refused("endpoint", error.info, needed=False)
        else:
            skew_s = reach.skew_s
            details = f"{target.endpoint} at {', '.join(reach.addresses[:3])} {reach.tls}".rstrip()
            yield findings.certificate(reach.certificate_days, details)
    yield findings.credentials(control.access_key, signs=settings.sign_requests, source=control.credentials_source)
    yield await _bucket(control, bucket, target, settings.region or "")
    yield findings.clock(skew_s)
    listing, first = await _list(control, bucket, prefix)
    yield listing
    if write:
        algorithm = profile_for(target.host).checksum or COMMON_CHECKSUM
        trial = _TrialObject(control, ObjectRef(bucket, f"{prefix}bulkhaul-doctor-{secrets.token_hex(8)}"), algorithm)
        async with contextlib.aclosing(trial.run()) as tried:
            async for finding in tried:
                yield finding
        return
    if first is None:
        why = "there is no object with bytes to try it on; --write makes one"
        for check in _READING:
            yield findings.skipped(check, why)
    else:
        for finding in await _read(control, ObjectRef(bucket, first.key), first):
            yield finding
    for check in WRITING:
        if check not in _READING:
            yield findings.skipped(check, "only with --write, which stores one small object and deletes it")


async def _require_answer(control: Control, bucket: str) -> None:
    """Raise unless the service answers there; also a refusal of the bucket is an answer."""
    try:
        await control.region(bucket)
    except TransferError as error:
        if error.info.code not in TELLING or not error.info.status:
            raise


async def _outcome(work: Awaitable[object]) -> ErrorInfo | None:
    """Return how work failed, None if it did not."""
    try:
        await work
    except TransferError as error:
        return error.info
    return None


async def _bucket(control: Control, bucket: str, target: Target, chosen: str) -> Finding:
    try:
        return findings.region(await control.region(bucket), target.region, chosen)
    except NotFound as error:
        return findings.refused("bucket and region", error.info)
    except TransferError as error:
        return findings.refused("bucket and region", error.info, "s3:ListBucket", needed=False)


async def _list(control: Control, bucket: str, prefix: str) -> tuple[Finding, ObjectHead | None]:
    """Return the finding, and the first object with bytes of the first page."""
    try:
        async with contextlib.aclosing(control.pages(bucket, prefix, max_keys=100, ahead=False)) as pages:
            async for page in pages:
                return findings.ok("list"), next((one for one in page if one.size), None)
    except TransferError as error:
        return findings.refused("list", error.info, "s3:ListBucket"), None
    return findings.ok("list"), None


async def _read(control: Control, ref: ObjectRef, listed: ObjectHead) -> list[Finding]:
    """Look at one object that is there: its head, and its first and last byte."""
    found = []
    outcome = await _outcome(control.head(ref))
    found.append(findings.refused("head", outcome, "s3:GetObject") if outcome else findings.ok("head"))
    outcome = await _outcome(control.read(ref, 0, 1))
    found.append(findings.refused("get", outcome, "s3:GetObject") if outcome else findings.ok("get"))
    outcome = await _outcome(control.read(ref, listed.size - 1, listed.size))
    found.append(findings.refused("ranges", outcome, "s3:GetObject") if outcome else findings.ok("ranges"))
    return found


class _TrialObject:
    """One small object, written, looked at and deleted."""

    def __init__(self, control: Control, ref: ObjectRef, algorithm: str) -> None:
        self._control = control
        self._ref = ref
        self._algorithm = algorithm
        self._body = b"bulkhaul doctor: this object may be deleted " + secrets.token_hex(16).encode()

    async def run(self) -> AsyncGenerator[Finding, None]:
        """Yield the findings; the object is deleted whatever happens."""
        outcome = await _outcome(self._control.put_small(self._ref, self._body))
        if outcome is not None:
            yield findings.refused("put", outcome, "s3:PutObject")
            for check in WRITING[1:]:
                yield findings.skipped(check, "nothing could be written")
            return
        deleted = False
        try:
            yield findings.ok("put", self._ref.url)
            outcome = await _outcome(self._control.head(self._ref))
            yield findings.refused("head", outcome, "s3:GetObject") if outcome else findings.ok("head")
            yield await self._get("get", 0, -1)
            yield await self._get("ranges", 5, 11)
            outcome = await _outcome(self._control.put_small(self._ref, self._body, only_if_absent=True))
            yield findings.conditional_write(outcome)
            yield await self._checksums()
            yield await self._multipart()
            deleted = True
            yield await self._delete()
        finally:
            if not deleted:
                await _outcome(self._control.delete(self._ref))

    async def _get(self, check: str, start: int, end: int) -> Finding:
        try:
            got = await self._control.read(self._ref, start, end)
        except TransferError as error:
            return findings.refused(check, error.info, "s3:GetObject")
        return findings.contents(check, expected=self._body[start : end if end >= 0 else None], got=got)

    async def _checksums(self) -> Finding:
        algorithm = self._algorithm
        value = updater(algorithm)(self._body, 0)
        kept = False
        right: ErrorInfo | None = None
        try:
            promised = encoded_crc(algorithm, value)
            stored = await self._control.put_small(self._ref, self._body, algorithm=algorithm, checksum=promised)
            told = stored.checksum or (await self._control.head(self._ref)).checksum
            kept = told is not None and told.value == promised
        except TransferError as error:
            right = error.info
        wrong = None
        if right is None:
            lie = encoded_crc(algorithm, value ^ 1)
            wrong = await _outcome(self._control.put_small(self._ref, self._body, algorithm=algorithm, checksum=lie))
        return findings.checksums(algorithm, right, wrong, kept=kept)

    async def _multipart(self) -> Finding:
        permission = "s3:PutObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts"
        try:
            upload_id = await self._control.begin_upload(self._ref)
            gone = await self._control.abort_upload(self._ref, upload_id)
        except TransferError as error:
            return findings.refused("multipart", error.info, permission)
        if not gone:
            return Finding("multipart", Verdict.WARNING, "an aborted upload is still listed", "see `bulkhaul cleanup`")
        return findings.ok("multipart", "created and aborted")

    async def _delete(self) -> Finding:
        try:
            await self._control.delete(self._ref)
            await self._control.head(self._ref)
        except NotFound:
            return findings.ok("delete")
        except TransferError as error:
            return findings.refused("delete", error.info, "s3:DeleteObject", needed=False)
        text = f"{self._ref.url} is still there"
        return Finding("delete", Verdict.WARNING, text, "delete it by hand; mv and rm do not work here")
