"""Reads the ACL of an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.model.preserving import Acl, Grant
from bulkhaul.model.structs import learnt
from bulkhaul.wire import told

learnt(Grant)

MAX_GRANTS = 1000
"""S3 allows 100."""

_GRANTEES = (("ID", "id"), ("URI", "uri"), ("EmailAddress", "emailAddress"))


def acl_of(reply: Mapping[str, Any], subject: str) -> Acl:
    """Return the ACL that a reply tells.

    Raises:
        UnexpectedReply: it tells none, or a grant that can be none.
    """
    found = reply.get("Grants")
    if not isinstance(found, list) or len(found) > MAX_GRANTS:
        raise UnexpectedReply(
            "the reply to a question for an ACL tells no grants, or more than any object has", subject
        )
    owner = told.text((reply.get("Owner") or {}).get("ID"), "owner", subject, most=told.MAX_NAME_CHARACTERS)
    return Acl(owner, tuple(_grant(one, subject) for one in found))


def _grant(said: Mapping[str, Any], subject: str) -> Grant:
    grantee = said.get("Grantee") or {}
    given = {
        kind: told.text(grantee[name], "grantee", subject, most=told.MAX_NAME_CHARACTERS)
        for name, kind in _GRANTEES
        if grantee.get(name)
    }
    if len(given) != 1 or '"' in "".join(given.values()):
        raise UnexpectedReply("the reply tells a grant to nobody, or to several at once", subject)
    ((kind, value),) = given.items()
    try:
        return msgspec.convert({"permission": said.get("Permission"), "kind": kind, "grantee": value}, Grant)
    except msgspec.ValidationError as error:
        raise UnexpectedReply("the reply tells a grant that can be none", subject, str(error)) from error


__all__ = ["acl_of"]
