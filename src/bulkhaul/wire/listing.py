"""Decides how a page of a listing is asked for: by ListObjectsV2, or by ListObjects where the endpoint knows no better.

The pages of ListObjects go on after a key, so their token is our own: any worker can ask for the next page.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import msgspec

from bulkhaul.model.errors import TransferError
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.wire.learned import PAGES_V2, Learned
from bulkhaul.wire.replies.listing_checks import goes_on_nowhere
from bulkhaul.wire.replies.objects_page import AFTER, is_older, page_by_key, page_by_token


class ByToken(msgspec.Struct, frozen=True):
    """Ask by ListObjectsV2: at ``token``, without one after ``start_after``, without both at the beginning."""

    token: str
    start_after: str


class ByKey(msgspec.Struct, frozen=True):
    """Ask by ListObjects: after a key, or at the beginning if it is empty."""

    after: str


Step = ByToken | ByKey
Steps = Generator[Step, Mapping[str, Any], ObjectsPage]


def listing_page(
    token: str, start_after: str, learned: Learned, host: str, *, bucket: str, prefix: str, subject: str
) -> Steps:
    """Yield the requests for a page and get the members of each reply, names decoded; return the page.

    Args:
        token: empty for the first page.
        start_after: without a token, begin after this text; whether the service did is not looked at.
        learned: whether ``host`` has ListObjectsV2.

    Raises:
        OtherError: an entry without a key, or the listing goes on nowhere.
        TransferError: the service or the connection failed.
    """
    if token.startswith(AFTER) or not (token or learned.takes(host, PAGES_V2)):
        return (yield from _by_key(token.removeprefix(AFTER) or start_after, bucket, prefix, subject))
    try:
        reply = yield ByToken(token, start_after)
        older = is_older(reply, token, subject)
    except TransferError as error:
        unknown = may_go_without(host, error.info) or (error.info.status == 405 and error.info.code == "Unsupported")
        if token or not unknown:
            raise
        failure = error
    else:
        if not older:
            return page_by_token(reply, bucket, prefix, subject)
        failure = goes_on_nowhere(subject)  # its marker may not have been read
    try:
        found = yield from _by_key(start_after, bucket, prefix, subject)
    except TransferError:
        raise failure from None
    learned.does_without(host, PAGES_V2)
    return found


def _by_key(after: str, bucket: str, prefix: str, subject: str) -> Steps:
    return page_by_key((yield ByKey(after)), bucket, prefix, after, subject)


__all__ = ["ByKey", "ByToken", "Step", "listing_page"]
