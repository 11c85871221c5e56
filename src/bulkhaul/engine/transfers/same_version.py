"""Finds out whether a version at the destination has the bytes of one at the source.

lengths ─▶ ETags ─▶ stored checksums ─▶ MD5s ─▶ both are read
"""

from __future__ import annotations

import hashlib

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.read_through import read_through
from bulkhaul.engine.transfers.rows import head_of_row
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.rows import Row
from bulkhaul.model.verdicts import Verdict
from bulkhaul.model.writing import ObjectVersion
from bulkhaul.policy.already_there import same_copy
from bulkhaul.policy.evidence import Decided, Known, next_step
from bulkhaul.policy.sameness import require_wanted
from bulkhaul.policy.verify_rules import Rules
from bulkhaul.wire.values import RemoteObject


class VersionSide:
    """One of both services: what asks it, and what reads from it."""

    def __init__(self, control: Control, dispatcher: Dispatcher) -> None:
        self.control = control
        self._dispatcher = dispatcher

    async def sha256(self, remote: RemoteObject) -> bytes:
        """Return the digest of all bytes of a version.

        Raises:
            TransferError: it could not be read.
        """
        digest = hashlib.sha256()
        await read_through(self._dispatcher, remote, digest.update)
        return digest.digest()


async def same_version(
    origin: VersionSide, source: ObjectRef, row: Row, here: VersionSide, ref: ObjectRef, there: ObjectVersion
) -> bool:
    """Whether a version has the bytes of the one that a row copies. Where nothing else tells, both are read.

    Raises:
        PreconditionFailed: the source has another ETag than the row.
        TransferError: one of them cannot be looked at.
    """
    if there.size != row.size:
        return False
    if same_copy(row.etag, ObjectHead(there.key, there.size, there.etag)):
        return True
    found = await origin.control.look(source, row.version_id)
    if row.etag:
        require_wanted(found.head, head_of_row(row, source.key), source.url)
    copied = await here.control.look(ref, there.version_id)
    step = next_step(_known(found.head), _known(copied.head), Rules(read=True))
    if isinstance(step, Decided):
        return step.verdict is Verdict.EQUAL
    return await origin.sha256(found) == await here.sha256(copied)


def _known(head: ObjectHead) -> Known:
    return Known(
        kind="object",
        size_bytes=head.size,
        etag=head.etag,
        encryption=head.encryption,
        checksum=head.checksum,
    )


__all__ = ["VersionSide", "same_version"]
