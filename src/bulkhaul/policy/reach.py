"""Decides how far a failure reaches: one object, those of its buckets or its disk, or everything that a job has left.

What one request was refused for, the next 2,000 would be refused for as well, if it does not lie in the object. So such
a failure ends the job, and what is left is not asked for.
"""

from __future__ import annotations

import errno
import posixpath
from enum import Enum, auto

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.selection import named_object


class Reach(Enum):
    """What a failure holds for."""

    OBJECT = auto()
    BUCKETS = auto()
    DISK = auto()
    JOB = auto()


_OF_KEYS = frozenset(
    {
        "AccountProblem", "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "NotSignedUp",
        "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
    }
)  # fmt: skip
"""Codes of a service for whoever asks, whatever is asked for. Source: S3 API, "Error responses". AccessDenied is none:
a policy may forbid one key and allow another."""

_OF_BUCKET = frozenset(
    {
        "AllAccessDisabled", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName",
        "NoSuchBucket", "PermanentRedirect",
    }
)  # fmt: skip
"""Codes for a bucket that is not there, not open, or lives elsewhere. Source: as above."""

_JOB_ERRORS = frozenset({"ClockSkew", "CredentialsError", "ExpiredCredentials"})

_READ_ONLY = errno.errorcode[errno.EROFS]
"""How ``disk/oserrors.py`` names the cause."""


def reach_of(failure: ErrorInfo) -> Reach:
    """Return how far a failure reaches, after every retry.

    An endpoint without connections counts for its bucket: where the bucket is part of the host's name, another bucket's
    host may be there.

    >>> reach_of(ErrorInfo("AccessDenied", "", status=403, service_code="SignatureDoesNotMatch"))
    <Reach.JOB: 4>
    >>> reach_of(ErrorInfo("NotFound", "", status=404, service_code="NoSuchBucket"))
    <Reach.BUCKETS: 2>
    >>> reach_of(ErrorInfo("LocalError", "the file system is read-only", "out/key", "EROFS"))
    <Reach.DISK: 3>
    >>> reach_of(ErrorInfo("AccessDenied", "", status=403, service_code="AccessDenied"))
    <Reach.OBJECT: 1>
    """
    if failure.service_code in _OF_KEYS or failure.code in _JOB_ERRORS:
        return Reach.JOB
    if failure.code == "DiskFull" or (failure.code == "LocalError" and failure.cause == _READ_ONLY):
        return Reach.DISK
    if failure.service_code in _OF_BUCKET or failure.code == "EndpointRedirect" or failure.unreached:
        return Reach.BUCKETS
    return Reach.OBJECT


def ends_run(failure: ErrorInfo, *, many_buckets: bool, many_disks: bool = False) -> bool:
    """Return whether nothing that is left can be done.

    Args:
        many_buckets: what is left may be of other buckets than the object that failed.
        many_disks: its files may lie on other disks.
    """
    reach = reach_of(failure)
    return (
        reach is Reach.JOB or (reach is Reach.BUCKETS and not many_buckets) or (reach is Reach.DISK and not many_disks)
    )


def ends_lines(failure: ErrorInfo, *, own_source: bool) -> bool:
    """Return whether no line of a file of commands can be carried out, now that one of them has failed.

    Args:
        own_source: that line names an endpoint, a region or keys for its source alone, and the failure may be of these.

    >>> wrong = ErrorInfo("AccessDenied", "", status=403, service_code="SignatureDoesNotMatch")
    >>> ends_lines(wrong, own_source=False), ends_lines(wrong, own_source=True)
    (True, False)
    >>> ends_lines(ErrorInfo("DiskFull", "", cause="ENOSPC"), own_source=False)
    False
    """
    return ends_run(failure, many_buckets=True, many_disks=True) and not own_source


class ClosedPlaces:
    """Buckets and folders that fail whatever is asked of them, as one object has met, each with that failure.

    A folder stands for its disk: which folders share a disk, nobody needs to ask.
    """

    def __init__(self) -> None:
        self._failures: dict[tuple[str, str] | str, ErrorInfo] = {}

    def judged(self, failure: ErrorInfo, source: str, destination: str) -> ErrorInfo:
        """Note a failure if it holds for all of two buckets, or of a folder; return it, marked if it came before.

        Objects that waited for one question have one failure.
        """
        reach = reach_of(failure)
        if reach not in (Reach.BUCKETS, Reach.DISK):
            return failure
        place = buckets_of(source, destination) if reach is Reach.BUCKETS else folder_of(source, destination)
        if place in self._failures:
            return msgspec.structs.replace(failure, again=True)
        self._failures[place] = failure
        return failure

    def untried(self, source: str, destination: str) -> ErrorInfo | None:
        """Return the failure of an object of a closed place, which is not tried; None if it is to be tried."""
        if not self._failures:
            return None
        failure = self._failures.get(buckets_of(source, destination)) or self._failures.get(
            folder_of(source, destination)
        )
        if failure is None:
            return None
        return msgspec.structs.replace(failure, subject=source, request_id="", host_id="", again=True)


def buckets_of(source: str, destination: str) -> tuple[str, str]:
    """Return the buckets of two places, each empty where that is a path.

    >>> buckets_of("s3://bucket/key", "out/key")
    ('bucket', '')
    """
    first, second = (named_object(place)[0] if place.startswith("s3://") else "" for place in (source, destination))
    return first, second


def folder_of(source: str, destination: str) -> str:
    """Return the folder of the place that is a file; that of the destination where both are.

    >>> folder_of("s3://bucket/key", "out/key"), folder_of("in/key", "s3://bucket/key")
    ('out', 'in')
    """
    return posixpath.dirname(source if destination.startswith("s3://") else destination)
