"""Decides which actions of S3 a plan needs, on which side.

Source of each: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3", and "Required
permissions for Amazon S3 API operations" of the S3 User Guide.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action
from bulkhaul.policy.preserving import OF_FILES

Side = Literal["source", "destination"]


class Need(msgspec.Struct, frozen=True, order=True):
    """One action, as policies name it, and the side where it is needed."""

    side: Side
    action: str


_READ = {Kept.TAGS: "s3:GetObjectTagging", Kept.ACL: "s3:GetObjectAcl", Kept.LOCK: "s3:GetObjectRetention"}
"""What is read of the source before, and of the copy afterwards."""

_WRITE = {Kept.TAGS: "s3:PutObjectTagging", Kept.ACL: "s3:PutObjectAcl", Kept.LOCK: "s3:PutObjectRetention"}


def needed(
    actions: Collection[Action],
    *,
    lists: Collection[Side] = (),
    preserve: Collection[Kept] = (),
    move: bool = False,
    deletes: bool = False,
    versions: bool = False,
    restore: bool = False,
) -> tuple[Need, ...]:
    """Return what a plan needs, each once, what is asked for first in front.

    Args:
        actions: of its rows.
        lists: the sides in S3 that are listed.
        preserve: what copies keep, or comparisons compare beside the bytes.
        move: sources are deleted.
        deletes: what only the destination has is deleted.
        versions: every version is read, or deleted.
        restore: archived objects are restored.
    """
    kinds = set(actions)
    found = [Need(side, "s3:ListBucketVersions" if versions else "s3:ListBucket") for side in ("source", "destination")
             if side in lists]  # fmt: skip
    if kinds & {Action.DOWNLOAD, Action.COPY}:
        found.append(Need("source", "s3:GetObjectVersion" if versions else "s3:GetObject"))
    if Action.VERIFY in kinds:
        read = ["s3:GetObject", *(_READ[kept] for kept in sorted(preserve) if kept in _READ)]
        found += [Need(side, action) for action in read for side in ("source", "destination")]
    if restore:
        found.append(Need("source", "s3:RestoreObject"))
    if Action.COPY in kinds:
        found += [Need("source", _READ[kept]) for kept in sorted(preserve) if kept in _READ]
    if kinds & {Action.UPLOAD, Action.COPY}:
        found.append(Need("destination", "s3:PutObject"))
    if Action.COPY in kinds:
        found += [Need("destination", _WRITE[kept]) for kept in sorted(preserve) if kept in _WRITE]
        if {Kept.METADATA, Kept.STORAGE_CLASS, *OF_FILES} & set(preserve):
            found.append(Need("destination", "s3:GetObject"))
        found += [Need("destination", _READ[kept]) for kept in sorted(preserve) if kept in _READ]
    if Action.DELETE in kinds and not deletes:
        found.append(Need("source", "s3:DeleteObjectVersion" if versions else "s3:DeleteObject"))
    if move and kinds & {Action.DOWNLOAD, Action.COPY}:
        found.append(Need("source", "s3:DeleteObject"))
    if deletes:
        found.append(Need("destination", "s3:DeleteObject"))
    return tuple(found)


__all__ = ["Need", "Side", "needed"]
