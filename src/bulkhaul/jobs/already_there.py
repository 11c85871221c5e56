"""Looks whether what a row would store is there already, because a run was interrupted before it could say so."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection

from bulkhaul.disk.links import is_link
from bulkhaul.disk.readback import read_back
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import Integrity, ObjectHead, ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.already_there import as_stored, holds_no_more, keeps_alike, proof_of_file, same_copy
from bulkhaul.policy.file_metadata import with_kept
from bulkhaul.policy.selection import parse_destination
from bulkhaul.wire.checksums import COMPUTABLE, hasher


async def found_there(
    control: Control, row: Row, options: ObjectOptions | None, settings: Settings, *, origin: Control
) -> TransferResult | None:
    """Return the result of an upload or a copy whose object is there, None if it has to be stored.

    Args:
        settings: of uploads.
        origin: asks the service of a copy's source.

    Whatever goes wrong is told by the transfer itself, so this raises nothing of the service's.
    """
    try:
        ref = ObjectRef(*parse_destination(row.destination))
        head = await control.head(ref)
    except TransferError:
        return None
    if row.action is Action.COPY:
        if row.size is None or not as_stored(head, row.size, options) or not same_copy(row.etag, head):
            return None
        try:
            source = await origin.head(ObjectRef(*parse_destination(row.source)), row.version_id)
        except TransferError:
            return None
        if not keeps_alike(head, source, options):
            return None
        integrity = Integrity.ETAG
    else:
        kept, links = settings.preserves, settings.store_links
        if not await in_thread(_is_file, row.source, head, options or ObjectOptions(), kept, stores_links=links):
            return None
        integrity = Integrity.CHECKSUM
    return TransferResult(
        source=row.source,
        destination=row.destination,
        bucket=ref.bucket,
        key=ref.key,
        size=head.size,
        etag=head.etag,
        version_id=head.version_id,
        integrity=integrity,
        row=row.n,
    )


def _is_file(
    path: str, head: ObjectHead, options: ObjectOptions, kept: Collection[Kept], *, stores_links: bool
) -> bool:
    proof = proof_of_file(head, computable=COMPUTABLE)
    if proof is None or (stores_links and is_link(path)):
        return False
    digest = hasher(proof.algorithm)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        found = os.fstat(fd)
        options = with_kept(options, found, kept)
        if not as_stored(head, found.st_size, options) or not holds_no_more(head, options):
            return False
        read_back(fd, 0, head.size, [digest])
    except OSError:
        return False
    finally:
        os.close(fd)
    return proof.value in (base64.b64encode(digest.digest()).decode(), digest.digest().hex())
