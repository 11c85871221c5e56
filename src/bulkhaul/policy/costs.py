"""Decides what the requests and the bytes of a plan count as where a service charges for them.

These are counts and no prices: prices differ by region and storage class, and change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from bulkhaul.model.rows import Action

RequestClass = Literal["put", "get", "free", "retrieval"]

PUT_CLASS: Final = frozenset(
    {
        *("PutObject", "CopyObject", "UploadPart", "UploadPartCopy", "CreateMultipartUpload"),
        *("CompleteMultipartUpload", "ListObjectsV2", "ListObjectVersions", "PutObjectTagging", "PutObjectAcl"),
    }
)
FREE: Final = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})
"""Source of both: Amazon S3 pricing, "Requests & data retrievals": PUT, COPY, POST and LIST are one class; GET, SELECT
and all others are another; DELETE and CANCEL are free. RestoreObject is charged by its tier, as are the bytes."""

Route = Literal["down", "up", "copied", "relayed"]
"""How bytes go: from the service to a file, the other way, within the service, through this machine to another one."""


def by_class(requests: Mapping[str, int]) -> dict[str, int]:
    """Return how many requests each class has, of the numbers of each operation; classes without any are left out.

    >>> by_class({"CopyObject": 2, "DeleteObjects": 1, "GetObject": 4})
    {'free': 1, 'get': 4, 'put': 2}
    """
    found = Counter[str]()
    for operation, count in requests.items():
        found[class_of(operation)] += count
    return dict(sorted((+found).items()))


def class_of(operation: str) -> RequestClass:
    """Return the class of an operation of S3."""
    if operation == "RestoreObject":
        return "retrieval"
    return "put" if operation in PUT_CLASS else "free" if operation in FREE else "get"


def route_of(action: Action, *, relayed: bool) -> Route | None:
    """Return the way of an object's bytes; None for an action that moves none."""
    match action:
        case Action.DOWNLOAD:
            return "down"
        case Action.UPLOAD:
            return "up"
        case Action.COPY:
            return "relayed" if relayed else "copied"
        case _:
            return None


__all__ = ["Route", "by_class", "class_of", "route_of"]
