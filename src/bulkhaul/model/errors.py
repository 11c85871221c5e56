"""Defines every error that bulkhaul raises, and its value for messages between processes.

Errors hold plain strings, so that they survive pickling: ``message`` says what happened and what to do, ``subject``
names the object or path, ``cause`` keeps the text of the error beneath. ``ErrorInfo`` holds the same as a value.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

__all__ = [
    "AccessDenied",
    "Archived",
    "BodyCorrupted",
    "Cancelled",
    "ClockSkew",
    "Conflict",
    "CredentialsError",
    "DamagedJob",
    "DiskFull",
    "DurabilityUnknown",
    "EndpointRedirect",
    "ExpiredCredentials",
    "IntegrityError",
    "InvalidUrl",
    "JobInUse",
    "LocalError",
    "ManifestError",
    "MissingPermission",
    "NetworkError",
    "NotFound",
    "ObjectChanged",
    "OtherError",
    "PayloadTooLarge",
    "PreconditionFailed",
    "RangeIgnored",
    "RangeNotSatisfiable",
    "RetrievalUnavailable",
    "ServerError",
    "SourceChanged",
    "StallTimeout",
    "Throttled",
    "TransferError",
    "UnexpectedReply",
    "UnsafeKey",
    "Unsupported",
    "UsageError",
    "WorkerDied",
]


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A TransferError as a plain value, for messages between processes and for reports.

    Attributes:
        code: class name of the error.
        status: HTTP status of the reply, 0 where there was none.
        service_code: the S3 error code, such as ``NoSuchKey``.
        request_id, host_id: what AWS support asks for.
        retry_after_s: how long the service asked to wait, 0 where it did not say.
        attempts: tries that a body took, including the one that failed; 0 where they were not counted.
        unreached: no connection could be made, so nothing was asked for.
        garbled: the reply is no HTTP, so something answers at the endpoint.
        again: another object has failed so before, and this one was not tried: it would have met the same.
    """

    code: str
    message: str
    subject: str = ""
    cause: str = ""
    status: int = 0
    service_code: str = ""
    request_id: str = ""
    host_id: str = ""
    retry_after_s: float = 0.0
    attempts: int = 0
    unreached: bool = False
    garbled: bool = False
    again: bool = False


class TransferError(Exception):
    """Any failure of a transfer. ``str(error)`` says what happened, to which object, and what to do.

    Attributes:
        retryable: whether the same request may succeed when sent again.
        exit_code: what the command exits with.
        info: the details as a value (HTTP status, service code, request id).
    """

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, subject: str = "", cause: str = "", info: ErrorInfo | None = None) -> None:
        super().__init__(message, subject, cause, info)
        self.message = message
        self.subject = subject
        self.cause = cause
        self.info = info or ErrorInfo(type(self).__name__, message, subject, cause)

    def __str__(self) -> str:
        text = f"{self.subject}: {self.message}" if self.subject else self.message
        if self.info.request_id:
            text += f" [request id {self.info.request_id}]"
        return f"{text} (cause: {self.cause})" if self.cause else text

    def __reduce__(self) -> tuple[type[TransferError], tuple[str, str, str, ErrorInfo]]:
        """Pickle all that it tells. The exceptions beneath are not part of that: ``cause`` has their text."""
        return type(self), (self.message, self.subject, self.cause, self.info)

    def __eq__(self, other: object) -> bool:
        """Whether both are of one class and tell the same, so that an error equals what was pickled of it."""
        if not isinstance(other, TransferError):
            return NotImplemented
        return type(self) is type(other) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())

    def about(self, subject: str) -> TransferError:
        """Return the same error about ``subject``: only the coordinator knows the full name of an object."""
        return error_of(msgspec.structs.replace(self.info, subject=subject))

    def named(self, subject: str) -> TransferError:
        """Return this error if it names an object or path already, else the same one about ``subject``."""
        return self if self.subject else self.about(subject)


class UsageError(TransferError):
    """The call or command line cannot mean anything; correct it."""

    exit_code = 2


class InvalidUrl(UsageError):
    """A URL that names no bucket or key; the message names the wrong part."""


class OtherError(TransferError):
    """A failure without a type of its own; the cause is kept."""


class NotFound(TransferError):
    """The bucket or key does not exist (404)."""


class AccessDenied(TransferError):
    """The credentials do not allow it (403)."""


class MissingPermission(AccessDenied):
    """A plan would need an action that the credentials do not allow; the message names it, and nothing was begun."""


class PreconditionFailed(TransferError):
    """The object is no longer the one that the transfer began with (412)."""


class ObjectChanged(PreconditionFailed):
    """A reply carried another ETag, or 412: the transfer begins anew once, then fails as PreconditionFailed."""


class Conflict(TransferError):
    """Another conditional write was under way (409)."""


class PayloadTooLarge(TransferError):
    """Larger than the service takes in one request, or than an object may be."""


class RangeNotSatisfiable(TransferError):
    """The range lies outside the object (416)."""


class NetworkError(TransferError):
    """No complete reply came: connection refused, reset or closed early."""

    retryable = True


class StallTimeout(NetworkError):
    """A wait ran out: no bytes, or fewer than the speed floor, within the deadline."""


class Throttled(OtherError):
    """The service asked to slow down (503 SlowDown, 429)."""

    retryable = True


class ServerError(OtherError):
    """The service failed by itself (5xx)."""

    retryable = True


class IntegrityError(OtherError):
    """The bytes are not those of the object: a checksum or a length does not match."""


class UnexpectedReply(IntegrityError):
    """A reply that does not describe the bytes asked for (Content-Range, length, encoding)."""

    retryable = True


class BodyCorrupted(IntegrityError):
    """The service received other bytes than were sent: the checksum that came along does not match (400 BadDigest)."""

    retryable = True


class RangeIgnored(IntegrityError):
    """The endpoint answered a ranged GET with 200 and the whole object, or with no Content-Range."""


class CredentialsError(OtherError):
    """No usable credentials, region or profile."""


class ExpiredCredentials(CredentialsError):
    """The session token has expired; the engine asks for new credentials once."""

    retryable = True


class ClockSkew(AccessDenied):
    """This machine's clock is too far from the service's."""


class EndpointRedirect(OtherError):
    """The endpoint sends requests elsewhere: the wrong endpoint or region for this bucket."""


class Unsupported(TransferError):
    """This endpoint, or this part of bulkhaul, cannot do it."""


class Archived(OtherError):
    """The object lies in an archive, and has to be restored before it can be read (403 InvalidObjectState)."""


class RetrievalUnavailable(OtherError):
    """The service has no capacity to restore objects so fast now (503 GlacierExpeditedRetrievalNotAvailable)."""


class LocalError(OtherError):
    """The local file system refused (permissions, missing folder, not a regular file)."""


class DiskFull(LocalError):
    """No space (or quota) left for the object."""


class SourceChanged(LocalError):
    """The file that was being uploaded changed meanwhile; upload it again when nothing writes to it."""


class UnsafeKey(LocalError):
    """The key cannot become a path inside the destination folder."""


class ManifestError(LocalError):
    """A manifest that is none, is damaged, or has a wrong row; the subject names the file, and the line of a row."""


class DurabilityUnknown(LocalError):
    """The object is in place, but the folder could not be flushed to disk."""


class DamagedJob(OtherError):
    """The folder of a job holds what cannot be right; the message names the line and field, the subject the file."""


class JobInUse(TransferError):
    """Another process that lives works on this job; wait for it, or stop it."""


class WorkerDied(TransferError):
    """Worker processes died, and the budget for new ones is spent."""


class Cancelled(TransferError):
    """The caller cancelled it."""

    exit_code = 130


NOT_EMPTY = (
    "the bucket is not empty, so it stays; look with `bulkhaul ls --all-versions`, delete what is in it for good with"
    " `bulkhaul rm --recursive --all-versions`"
)
"""Why a bucket is not removed, and what to do."""

WRONG_KEYS = frozenset({"InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"})
"""A service's codes for keys that it does not accept at all. Source: S3 API, "Error responses"."""

_KINDS: dict[str, type[TransferError]] = {
    kind.__name__: kind
    for name in __all__
    if isinstance(kind := globals()[name], type) and issubclass(kind, TransferError)
}


def kind_of(info: ErrorInfo) -> type[TransferError]:
    """Return the class that ``info`` was made from."""
    return _KINDS.get(info.code, OtherError)


def error_of(info: ErrorInfo) -> TransferError:
    """Rebuild the error that ``info`` describes.

    >>> str(error_of(ErrorInfo("NotFound", "no such key; check its spelling", "s3://b/k")))
    's3://b/k: no such key; check its spelling'
    """
    return kind_of(info)(info.message, info.subject, info.cause, info)
