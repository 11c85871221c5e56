"""Makes the result of a transfer from what is known of the object, before it or after it."""

from __future__ import annotations

import msgspec

from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.objects import Integrity, ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import Stored


def result_of(
    source: ObjectRef, head: ObjectHead, destination: str, named: ObjectRef | None = None, *, row: int = -1
) -> TransferResult:
    """Return what is known of the download or the copy of an object before it begins.

    Args:
        head: what the service tells of the source.
        destination: a path or a URL, as people read it.
        named: the object whose bucket and key the result tells, where that is not the source.
        row: of a planned row, its number.
    """
    named = named or source
    return TransferResult(
        source=source.url,
        destination=destination,
        bucket=named.bucket,
        key=named.key,
        size=head.size,
        etag=head.etag,
        version_id=head.version_id,
        last_modified=head.last_modified,
        row=row,
    )


def confirmed(stored: Stored, checksum: str) -> Stored:
    """Return what the service said, without its checksum unless that is ``checksum``, the one of what was sent.

    Args:
        checksum: empty where it is not known.
    """
    if stored.checksum is not None and checksum != stored.checksum.value:
        stored = msgspec.structs.replace(stored, checksum=None)
    return stored


def upload_result(path: str, ref: ObjectRef, size_bytes: int) -> TransferResult:
    """Return what is known of the upload of a file before it begins."""
    return TransferResult(source=path, destination=ref.url, bucket=ref.bucket, key=ref.key, size=size_bytes)


def stored_result(ref: ObjectRef, size_bytes: int, stored: Stored, parts: int, retries: int) -> TransferResult:
    """Return the result of an upload, or of a copy; the caller names the source.

    Args:
        stored: it has a checksum only if that was compared with what was sent; success rests on it then.
    """
    return msgspec.structs.replace(
        upload_result("", ref, size_bytes),
        etag=stored.etag,
        version_id=stored.version_id,
        integrity=Integrity.CHECKSUM if stored.checksum is not None else Integrity.LENGTH,
        parts=parts,
        retries=retries,
    )


def failed_with(planned: TransferResult, error: Exception) -> TransferResult:
    """Return the result of an object that failed, from what was planned of it."""
    if isinstance(error, TransferError):
        return msgspec.structs.replace(planned, failure=error.info)
    cause = f"{type(error).__name__}: {error}"
    failure = ErrorInfo("OtherError", "it could not be done", planned.source, cause)
    return msgspec.structs.replace(planned, failure=failure)
