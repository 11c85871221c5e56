"""Decides how a page of a listing is asked for: by ListObjectsV2, or by ListObjects where the endpoint knows no better.

Where the status of archived objects is asked for and the endpoint refuses that, the page is asked for without it.

The pages of ListObjects go on after a key, so their token is our own: any worker can ask for the next page.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import msgspec

from bulkhaul.model.errors import TransferError
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.wire.learned import PAGES_V2, RESTORE_STATUS, Learned
from bulkhaul.wire.replies.listing_checks import goes_on_nowhere
from bulkhaul.wire.replies.objects_page import AFTER, is_older, page_by_key, page_by_token


class ByToken(msgspec.Struct, frozen=True):
    """Ask by ListObjectsV2: at ``token``, without one after ``start_after``, without both at the beginning.

    Attributes:
        restores: ask for the status of archived objects, too.
    """

    token: str
    start_after: str
    restores: bool = False


class ByKey(msgspec.Struct, frozen=True):
    """Ask by ListObjects: after a key, or at the beginning if it is empty. ``restores``: as of ``ByToken``."""

    after: str
    restores: bool = False


Step = ByToken | ByKey
Steps = Generator[Step, Mapping[str, Any], ObjectsPage]


def listing_page(
    token: str,
    start_after: str,
    learned: Learned,
    host: str,
    *,
    bucket: str,
    prefix: str,
    subject: str,
    restores: bool = False,
) -> Steps:
    """Yield the requests for a page and get the members of each reply, names decoded; return the page.

    Args:
        token: empty for the first page.
        start_after: without a token, begin after this text; whether the service did is not looked at.
        learned: whether ``host`` has ListObjectsV2, and takes the question for the status of archived objects.
        restores: ask for that status; where it is refused the page comes without.

    Raises:
        OtherError: an entry without a key, or the listing goes on nowhere.
        TransferError: the service or the connection failed.
    """
    where = _Where(token, start_after, bucket, prefix, subject)
    if not (restores and learned.takes(host, RESTORE_STATUS)):
        return (yield from _page(where, learned, host, restores=False))
    try:
        return (yield from _page(where, learned, host, restores=True))
    except TransferError as error:
        if not may_go_without(host, error.info):
            raise
    found = yield from _page(where, learned, host, restores=False)
    learned.does_without(host, RESTORE_STATUS)
    return found


class _Where(msgspec.Struct, frozen=True):
    token: str
    start_after: str
    bucket: str
    prefix: str
    subject: str


def _page(where: _Where, learned: Learned, host: str, *, restores: bool) -> Steps:
    token, subject = where.token, where.subject
    if token.startswith(AFTER) or not (token or learned.takes(host, PAGES_V2)):
        return (yield from _by_key(where, token.removeprefix(AFTER) or where.start_after, restores=restores))
    try:
        reply = yield ByToken(token, where.start_after, restores)
        older = is_older(reply, token, subject)
    except TransferError as error:
        unknown = may_go_without(host, error.info) or (error.info.status == 405 and error.info.code == "Unsupported")
        if token or not unknown:
            raise
        failure = error
    else:
        if not older:
            return page_by_token(reply, where.bucket, where.prefix, subject)
        failure = goes_on_nowhere(subject)  # its marker may not have been read
    try:
        found = yield from _by_key(where, where.start_after, restores=restores)
    except TransferError:
        raise failure from None
    learned.does_without(host, PAGES_V2)
    return found


def _by_key(where: _Where, after: str, *, restores: bool) -> Steps:
    return page_by_key((yield ByKey(after, restores)), where.bucket, where.prefix, after, where.subject)


__all__ = ["ByKey", "ByToken", "Step", "listing_page"]
