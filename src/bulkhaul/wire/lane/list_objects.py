"""Lists objects by the lane, page by page: a whole prefix, or one folder.

It asks by ListObjectsV2; where the endpoint does not know it, by ListObjects, whose next page begins after a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bulkhaul.model.errors import OtherError, TransferError
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.documents import Columns, Members, Shape, Unreadable, boolean, instant, integer, read, texts
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.learned import PAGES_V2
from bulkhaul.wire.replies.fields import decoded
from bulkhaul.wire.replies.listing_checks import goes_on_nowhere
from bulkhaul.wire.replies.objects_page import AFTER, is_older, page_by_key, page_by_token
from bulkhaul.wire.told import MAX_TOKEN_CHARACTERS
from bulkhaul.wire.values import Target

_OBJECT = Shape({**texts(("Key", "Size", "ETag", "StorageClass")), "LastModified": instant})
_FOLDER = Shape(texts(("Prefix",)))
PAGE = Shape(
    {
        **texts(("Name", "NextContinuationToken", "NextMarker", "EncodingType")),
        "IsTruncated": boolean,
        "KeyCount": integer,
    },
    {"Contents": ("Contents", _OBJECT), "CommonPrefixes": ("CommonPrefixes", _FOLDER)},
    columns="Contents",
)
"""Source: S3 API Reference, ListObjectsV2 and ListObjects."""

_TRUNCATED = b"<IsTruncated>true</IsTruncated>"
_NEXT = re.compile(rb"<NextContinuationToken>[^<>]+</NextContinuationToken>")

Pairs = Sequence[tuple[str, str]]


async def ask_page(
    lane: Lane,
    target: Target,
    bucket: str,
    prefix: str,
    token: str,
    *,
    folder: bool = False,
    max_keys: int = 0,
    start_after: str = "",
    tell_early: Callable[[str], None] | None = None,
) -> ObjectsPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Args:
        folder: stop at the next slash; ``prefix`` is empty or ends in one.
        max_keys: fewer objects a page; 0 for the service's own number.
        start_after: without a token, begin after this text; whether the service did is not looked at.
        tell_early: called with the next token where that is known before the page has been read.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        OtherError: an entry without a key, or the listing goes on nowhere.
        TransferError: the service or the connection failed.
    """
    options = [("prefix", prefix), ("encoding-type", "url")]
    if folder:
        options.append(("delimiter", "/"))
    if max_keys:
        options.append(("max-keys", str(max_keys)))
    subject = f"s3://{bucket}/{prefix}"
    if token.startswith(AFTER) or not (token or lane.learned.takes(target.host, PAGES_V2)):
        after = token.removeprefix(AFTER) or start_after
        return await _page_after(lane, target, bucket, prefix, after, options, subject)
    more = [("list-type", "2"), *options]
    if token:
        more.append(("continuation-token", token))
    elif start_after:
        more.append(("start-after", start_after))
    try:
        reply = await lane.ask(target, "GET", "", more, lane.payer, subject=subject)
        early = _early_token(reply.body) if tell_early is not None else ""
        if early and tell_early is not None:
            tell_early(early)
        page = named(reply.members(PAGE), subject)
        older = is_older(page, token, subject)
    except TransferError as error:
        unknown = lane.may_do_without(target, error) or (error.info.status == 405 and error.info.code == "Unsupported")
        if token or not unknown:
            raise
        return await _learnt_page(lane, target, bucket, prefix, start_after, options, subject, error)
    if older:
        failure = goes_on_nowhere(subject)
        return await _learnt_page(lane, target, bucket, prefix, start_after, options, subject, failure)
    found = page_by_token(page, bucket, prefix, subject)
    if early not in ("", found.next_token):
        raise OtherError("the page tells two places where the listing goes on", subject)
    return found


def named(page: Members, subject: str) -> Members:
    """Return a page of a listing with its names decoded, if they are encoded.

    Raises:
        UnexpectedReply: a name is not UTF-8 under its percent-encoding.
    """
    if page.get("EncodingType") != "url":
        return page
    for member, field in _NAMED:
        items = page.get(member, ())
        if isinstance(items, Columns):
            if field in items.values:
                items.values[field] = [decoded(name, subject) for name in items.values[field]]
            continue
        for item in items:
            if field in item:
                item[field] = decoded(item[field], subject)
    for marker in _MARKERS:
        if marker in page:
            page[marker] = decoded(page[marker], subject)
    return page


_MARKERS = ("NextMarker", "NextKeyMarker")
_NAMED = (("Contents", "Key"), ("Versions", "Key"), ("DeleteMarkers", "Key"), ("CommonPrefixes", "Prefix"))
"""The members of listings that hold encoded names. Source: S3 API Reference, "encoding-type" of ListObjectsV2,
ListObjects and ListObjectVersions."""


async def _learnt_page(
    lane: Lane,
    target: Target,
    bucket: str,
    prefix: str,
    after: str,
    options: Pairs,
    subject: str,
    failure: TransferError,
) -> ObjectsPage:
    """Return the first page by ListObjects; raise ``failure`` if that fails, too."""
    try:
        found = await _page_after(lane, target, bucket, prefix, after, options, subject)
    except TransferError:
        raise failure from None
    lane.learned.does_without(target.host, PAGES_V2)
    return found


async def _page_after(
    lane: Lane, target: Target, bucket: str, prefix: str, after: str, options: Pairs, subject: str
) -> ObjectsPage:
    """Return one page of ListObjects: what comes after a key."""
    more = [*options, ("marker", after)] if after else options
    reply = await lane.ask(target, "GET", "", more, lane.payer, subject=subject)
    return page_by_key(named(reply.members(PAGE), subject), bucket, prefix, after, subject)


def _early_token(body: bytes) -> str:
    """Return the token of the next page if it can be found without reading this one, else an empty text."""
    found = _NEXT.findall(body)
    if len(found) != 1 or body.count(_TRUNCATED) != 1 or b"<!" in body:
        return ""
    try:
        token = read(b"<Page>" + found[0] + b"</Page>", PAGE).members["NextContinuationToken"]
    except Unreadable:
        return ""
    return "" if len(token) > MAX_TOKEN_CHARACTERS else str(token)


__all__ = ["PAGE", "ask_page", "named"]
