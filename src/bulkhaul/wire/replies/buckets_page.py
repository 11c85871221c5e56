"""Reads a page of the caller's buckets, and tells which refusals of a bucket show where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.model.objects import Bucket
from bulkhaul.model.writing import BucketsPage
from bulkhaul.wire import told
from bulkhaul.wire.replies.fields import instant
from bulkhaul.wire.reply import not_of_s3

TELLING = frozenset({"AccessDenied", "NotFound", "OtherError", "Unsupported"})
"""Refusals of a HEAD of the bucket that still show where its requests go; the next request will report the refusal."""


def buckets_page(reply: Mapping[str, Any]) -> BucketsPage:
    """Return a page of buckets.

    Raises:
        UnexpectedReply: it is no list of buckets.
    """
    if "Buckets" not in reply:
        raise UnexpectedReply(not_of_s3("what came is no list of buckets"), "s3://")
    found = tuple(_bucket(one) for one in reply["Buckets"])
    return BucketsPage(found, told.marker(reply.get("ContinuationToken"), "ContinuationToken", "s3://"))


def _bucket(item: Mapping[str, Any]) -> Bucket:
    name = told.text(item.get("Name"), "Name", "s3://", most=told.MAX_NAME_CHARACTERS)
    if not name:
        raise UnexpectedReply("the list of buckets holds one without a name", "s3://")
    return Bucket(name, instant(item.get("CreationDate")))


__all__ = ["TELLING", "buckets_page"]
