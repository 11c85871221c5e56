"""Defines what of an object a copy can be asked to keep, and the values of what no listing tells: grants and locks."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class Kept(StrEnum):
    """What a transfer keeps of its source; copies fail where they cannot.

    ``metadata``: content headers and user metadata. ``lock``: retention and legal hold of Object Lock. ``timestamps``
    and ``mode``: of files, kept in user metadata.
    """

    TAGS = "tags"
    ACL = "acl"
    METADATA = "metadata"
    STORAGE_CLASS = "storage-class"
    LOCK = "lock"
    TIMESTAMPS = "timestamps"
    MODE = "mode"


Permission = Literal["FULL_CONTROL", "READ", "READ_ACP", "WRITE", "WRITE_ACP"]
GranteeKind = Literal["id", "uri", "emailAddress"]


class Grant(msgspec.Struct, frozen=True, order=True):
    """One grant of an ACL.

    Attributes:
        kind: of the grantee: an account by its canonical id, a group by its URI, an account by its address.
    """

    permission: Permission
    kind: GranteeKind
    grantee: str


class Acl(msgspec.Struct, frozen=True):
    """Who may do what with an object. ``owner``: canonical id, empty where the service tells none."""

    owner: str
    grants: tuple[Grant, ...]


class ObjectLock(msgspec.Struct, frozen=True, omit_defaults=True):
    """What keeps an object version from being deleted.

    Attributes:
        mode: of its retention, ``GOVERNANCE`` or ``COMPLIANCE``; empty for none.
        until: end of its retention, ISO 8601 in UTC.
        legal_hold: it stays until somebody lifts that.
    """

    mode: str = ""
    until: str = ""
    legal_hold: bool = False
