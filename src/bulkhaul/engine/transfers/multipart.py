"""Carries one multipart upload to its end: sends and copies parts, completes, settles a lost reply, or aborts.

    INTENT ─▶ create ─▶ BEGUN ─▶ parts … ─▶ COMPLETING ─▶ complete ─▶ (journal gone)
                 on a failure: no part is under way any more ─▶ abort until no part is listed ─▶ (journal gone)

The journal names the upload before its first part is sent, so even a killed run leaves no upload without a journal.
If the reply to a Create is lost, a second journal stays for the upload whose id we never got.
If the reply to Complete is lost, the token in the object's metadata tells whether the object is the one of this upload.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable

import msgspec

from bulkhaul.disk.journal import Journal
from bulkhaul.disk.records import Intent
from bulkhaul.engine.messages.messages import PutLease
from bulkhaul.engine.operations.abort_upload import not_offered
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import PutJob
from bulkhaul.engine.pool.requests import DOUBTFUL
from bulkhaul.model.errors import IntegrityError, NotFound, OtherError, TransferError, error_of
from bulkhaul.model.objects import ChecksumKind, ObjectRef
from bulkhaul.model.writing import CopySource, Stored, UploadBegun, UploadedPart
from bulkhaul.policy.layout import Part
from bulkhaul.wire.checksums import CRC_BYTES, encoded_crc, fold
from bulkhaul.wire.values import PutRequest

SETTLE_ATTEMPTS = 3
"""How often an object is looked at after a lost reply to Complete: the service may still be putting it together."""

SETTLE_PAUSE_S = 0.2

_AMBIGUOUS = DOUBTFUL | {"NotFound"}
"""Failures of Complete after which the object may exist: a reply was lost, or the retry found no such upload."""

_log = logging.getLogger("bulkhaul")


class MultipartUpload:
    """An upload under way.

    Attributes:
        algorithm: checksum that the service keeps for the whole object, empty if it said that it keeps none.
        upload_id: the service's id of it.
        parts: acknowledged parts by number.
        source_crcs: by number, the checksum of what came from another service, by the algorithm of its object.
        retries: tries that failed, all parts together.
        unknown: Complete was sent, and it could not be found out what became of it.
    """

    def __init__(
        self,
        control: Control,
        dispatcher: Dispatcher,
        journal: Journal,
        intent: Intent,
        begun: UploadBegun,
    ) -> None:
        """Take over an upload that the service has begun.

        Args:
            journal: of the upload; ``intent`` is its first record.
        """
        self.algorithm = begun.algorithm if begun.algorithm == intent.algorithm else ""
        self.upload_id = begun.upload_id
        self.parts: dict[int, UploadedPart] = {}
        self.source_crcs: dict[int, int] = {}
        self.retries = 0
        self.unknown = False
        self._control = control
        self._dispatcher = dispatcher
        self._ref = ObjectRef(intent.bucket, intent.key)
        self._journal = journal
        self._asked = intent.algorithm  # goes along with every part, whether the service keeps it or not
        self._token = intent.token
        self._broken_off = False  # a part was under way when the upload failed: it may still arrive
        self._listable = True  # until the service refuses to list its parts
        self._crcs: dict[int, int] = {}  # of the parts whose checksum is known, told or not

    @property
    def moved_bytes(self) -> int:
        """Bytes of acknowledged parts."""
        return sum(part.size_bytes for part in self.parts.values())

    def keep(self, part: UploadedPart, crc: int | None) -> None:
        """Count a part that the service has.

        Args:
            crc: what it is known to be, by the checksum that was asked for; None if that is not known.
        """
        self.parts[part.number] = part
        if crc is not None:
            self._crcs[part.number] = crc

    async def send(
        self,
        part: Part,
        fd: int,
        *,
        start: int,
        on_moved: Callable[[int], None] | None = None,
        source_crc: int | None = None,
    ) -> None:
        """Send ``part`` from byte ``start`` of a file on.

        Args:
            source_crc: of these bytes, by the algorithm of the object that they are of.

        Raises:
            TransferError: it could not be sent; no worker holds it any more.
        """
        try:
            target = await self._control.target(self._ref.bucket)
            request = PutRequest(target, self._ref.bucket, self._ref.key, (), self.upload_id, part.number)
            lease = PutLease(request=request, algorithm=self._asked, start=start, end=start + part.size_bytes)
            job = PutJob(template=lease, fd=fd, on_moved=on_moved)
            await self._dispatcher.run(job)
        except asyncio.CancelledError:
            self._broken_off = True
            raise
        self.retries += job.retries
        etag = job.stored.etag
        if not etag:
            raise OtherError(f"the reply to part {part.number} has no ETag; this endpoint takes no uploads in parts")
        told = job.stored.checksum
        checksum = encoded_crc(self._asked, job.crc) if told is not None and told.algorithm == self._asked else ""
        sent = UploadedPart(part.number, part.size_bytes, etag, checksum)
        self.keep(sent, job.crc if self._asked else None)
        if source_crc is not None:
            self.source_crcs[part.number] = source_crc
        self._journal.part(part.number, etag, job.crc, part.size_bytes, source_crc)

    async def copy(self, part: Part, source: CopySource) -> None:
        """Have the service copy ``part`` of an object.

        Raises:
            TransferError: it could not be copied; the errors name the source.
        """
        copied = await self._control.copy_part(self._ref, self.upload_id, part.number, source, part.start, part.end)
        crc = _crc_of(copied.checksum, self._asked)
        told = copied.checksum if crc is not None else ""
        copied = msgspec.structs.replace(copied, size_bytes=part.size_bytes, checksum=told)
        self.keep(copied, crc)
        self._journal.part(part.number, copied.etag, crc or 0, part.size_bytes)

    async def complete(self) -> Stored:
        """Make the object of its parts.

        Raises:
            IntegrityError: the service has put together something else.
            TransferError: the service refused; or it cannot be told what became of the object, and then it says so.
        """
        parts = self._in_order()
        size_bytes = sum(part.size_bytes for part in parts)
        checksum = self._whole_checksum()
        if checksum:  # the service keeps them all, even where it told none
            values = [encoded_crc(self._asked, self._crcs[part.number]) for part in parts]
        else:
            values = [part.checksum for part in parts]
        named = all(values)
        told = [
            msgspec.structs.replace(part, checksum=value if named else "")
            for part, value in zip(parts, values, strict=True)
        ]
        self._journal.completing()
        try:
            stored = await self._control.complete_upload(
                self._ref,
                self.upload_id,
                told,
                size_bytes=size_bytes,
                algorithm=self._asked if named else "",
                checksum=checksum,
            )
        except TransferError as error:
            if error.info.code not in _AMBIGUOUS:
                raise
            found = await self.settle(size_bytes)
            if found is None:
                if not self.unknown:
                    raise
                text = f"{error.message}; whether the object was stored is unknown: look at it before you send it again"
                raise error_of(msgspec.structs.replace(error.info, message=text)) from error
            stored = found
        return self._compared(stored, checksum)

    def verified(self, stored: Stored) -> Stored:
        """Return what the service said of the object, without its checksum unless that can be compared with the parts'.

        Raises:
            IntegrityError: it is another one.
        """
        return self._compared(stored, self._whole_checksum())

    def _compared(self, stored: Stored, checksum: str) -> Stored:
        told = stored.checksum
        same = told is not None and (told.algorithm, told.value) == (self.algorithm, checksum)
        kind = (self.algorithm, ChecksumKind.FULL_OBJECT)
        comparable = told is not None and (same or (told.algorithm, told.kind) == kind)
        if told is None or not comparable or not checksum:
            return msgspec.structs.replace(stored, checksum=None)
        if told.value != checksum:
            text = f"the service stored an object with {self.algorithm} {told.value}, {checksum} was sent"
            raise IntegrityError(f"{text}; upload it again", self._ref.url)
        return stored

    async def settle(self, size_bytes: int) -> Stored | None:
        """Return what was stored if the object has this upload's token; None if not, or if it cannot be told."""
        for attempt in range(SETTLE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(attempt * SETTLE_PAUSE_S)
            try:
                found = await self._control.head(self._ref)
            except NotFound:
                continue
            except TransferError as error:
                _log.warning("it cannot be told whether %s was stored: %s", self._ref.url, error)
                self.unknown = True
                return None
            if found.token == self._token and found.size == size_bytes:
                return Stored(found.etag, found.version_id, found.checksum)
        return None

    async def abort(self) -> bool:
        """Abort the upload until the service lists no part of it. Its journal stays if that cannot be reached.

        Returns:
            Whether nothing is left of it.
        """
        try:
            looks = 2 if self._broken_off else 1
            aborted = await self._control.abort_until_gone(
                self._ref, self.upload_id, looks=looks, listable=self._listable
            )
        except TransferError as error:
            _log.warning("the upload to %s could not be aborted; `bulkhaul cleanup` does it: %s", self._ref.url, error)
        else:
            if aborted.gone:
                self.finish()
                return True
            why = aborted.unseen or "they are listed however often it is aborted"
            text = "the upload to %s was aborted, but parts of it may be left; `bulkhaul cleanup` looks again: %s"
            _log.warning(text, self._ref.url, why)
        self._journal.close()
        return False

    def finish(self) -> None:
        """Remove the journal: the upload has ended."""
        try:
            self._journal.finish()
        except TransferError as error:
            _log.warning("the upload is over, but its journal could not be removed: %s", error)

    def leave(self) -> None:
        """Close the journal, and leave it to a later run."""
        self._journal.close()

    async def listed_parts(self) -> list[UploadedPart]:
        """Return the parts that the service holds.

        Raises:
            NotFound: there is no such upload any more.
            TransferError: it could not be asked.
        """
        try:
            return await self._control.parts(self._ref, self.upload_id)
        except TransferError as error:
            self._listable = not not_offered(error)
            raise

    def _in_order(self) -> list[UploadedPart]:
        return [self.parts[number] for number in sorted(self.parts)]

    def _whole_checksum(self) -> str:
        """Return the object's checksum by those of its parts, empty if one of them is not known."""
        parts = self._in_order()
        if self.algorithm not in CRC_BYTES or not parts or len(self._crcs) < len(parts):
            return ""
        whole = fold(self.algorithm, ((self._crcs[part.number], part.size_bytes) for part in parts))
        return encoded_crc(self.algorithm, whole)


def _crc_of(checksum: str, algorithm: str) -> int | None:
    """Return a part's checksum as a number, None where it has none, or another one than was asked for."""
    value = base64.b64decode(checksum)
    return int.from_bytes(value, "big") if len(value) == CRC_BYTES.get(algorithm) else None
