"""Reads what became of each key of a batch of deletes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.policy.deletions import ToldDeleted, not_deleted
from bulkhaul.wire.reply import not_of_s3

NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot carry; a client would send them, and no parser would read them. Source: XML 1.0 §2.2,
Char. The complement of that production says the same, but takes 10 ms to compile."""

NO_BATCHES = frozenset({400, 403, 404, 405, 500, 501})
"""Statuses by which endpoints say that they have no DeleteObjects. Source: boto/boto3 issue 2293 (Google Cloud
Storage: 400 InvalidArgument), supabase/storage issue 898 (400 NotImplemented), scality/cloudserver issue 83 (400
InvalidURI), basho/riak_cs issue 549 (405)."""

PATIENCE = 3
"""After so many batches in a row that end in a 500, the endpoint is taken to have no DeleteObjects."""


_DELETE_RESULT = re.compile(rb"<(?:\w+:)?DeleteResult[\s/>]")


def require_result(body: bytes, subject: str = "") -> None:
    """Raise UnexpectedReply for a 200 that is no result: silence would mean that everything was deleted."""
    if not _DELETE_RESULT.search(body):
        text = "what came is no result of a batch of deletes: nobody knows what was deleted"
        raise UnexpectedReply(not_of_s3(text), subject)


def batch_result(reply: Mapping[str, Any], doomed: Sequence[Doomed]) -> list[NotDeleted]:
    """Return the keys that are not deleted for sure, with the service's reasons."""
    deleted = [ToldDeleted(str(item.get("Key", "")), _versions_in(item)) for item in reply.get("Deleted", ())]
    errors = [
        NotDeleted(
            str(item.get("Key", "")),
            str(item.get("VersionId", "")),
            str(item.get("Code", "")),
            str(item.get("Message", "")),
        )
        for item in reply.get("Errors", ())
    ]
    return not_deleted(doomed, deleted, errors)


def _versions_in(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(item[name]) for name in ("VersionId", "DeleteMarkerVersionId") if item.get(name))


__all__ = ["NOT_IN_XML", "NO_BATCHES", "PATIENCE", "batch_result", "require_result"]
