"""Lists objects by the lane, page by page: a whole prefix, or one folder."""

from __future__ import annotations

import re
from collections.abc import Callable

from bulkhaul.model.errors import OtherError
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.documents import Columns, Members, Shape, Unreadable, boolean, instant, integer, read, texts
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.learned import RESTORE_STATUS
from bulkhaul.wire.listing import ByKey, ByToken, Step, listing_page
from bulkhaul.wire.replies.fields import decoded
from bulkhaul.wire.steps import carried_out_async
from bulkhaul.wire.told import MAX_TOKEN_CHARACTERS
from bulkhaul.wire.values import Target

_RESTORE = Shape({"IsRestoreInProgress": boolean, "RestoreExpiryDate": instant})
_OBJECT = Shape(
    {**texts(("Key", "Size", "ETag", "StorageClass")), "LastModified": instant},
    {"RestoreStatus": ("RestoreStatus", _RESTORE)},
)
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
    restores: bool = False,
    tell_early: Callable[[str], None] | None = None,
) -> ObjectsPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Args:
        folder: stop at the next slash; ``prefix`` is empty or ends in one.
        max_keys: fewer objects a page; 0 for the service's own number.
        start_after: without a token, begin after this text; whether the service did is not looked at.
        restores: ask for the status of archived objects, too; an endpoint may not tell it.
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
    early = ""

    async def make(step: Step) -> Members:
        nonlocal early
        headers = [*lane.payer, *([(RESTORE_STATUS, "RestoreStatus")] if step.restores else [])]
        reply = await lane.ask(target, "GET", "", [*_place(step), *options], headers, subject=subject)
        if tell_early is not None and isinstance(step, ByToken) and (early := _early_token(reply.body)):
            tell_early(early)
        return named(reply.members(PAGE), subject)

    host = target.host
    steps = listing_page(
        token,
        start_after,
        lane.learned,
        host,
        bucket=bucket,
        prefix=prefix,
        subject=subject,
        restores=restores,
    )
    found = await carried_out_async(steps, make)
    if early not in ("", found.next_token):
        raise OtherError("the page tells two places where the listing goes on", subject)
    return found


def _place(step: Step) -> list[tuple[str, str]]:
    """Return the parameters that say by which operation a page is asked for, and where it begins."""
    if isinstance(step, ByKey):
        return [("marker", step.after)] if step.after else []
    operation = ("list-type", "2")
    if step.token:
        return [operation, ("continuation-token", step.token)]
    return [operation, ("start-after", step.start_after)] if step.start_after else [operation]


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
                items.values[field] = _decoded(items.values[field], subject)
            continue
        for item in items:
            if field in item:
                item[field] = decoded(item[field], subject)
    for marker in _MARKERS:
        if marker in page:
            page[marker] = decoded(page[marker], subject)
    return page


def _decoded(names: list[str], subject: str) -> list[str]:
    everything = "".join(names)
    if "%" not in everything and "+" not in everything:
        return names
    return [decoded(name, subject) for name in names]


_MARKERS = ("NextMarker", "NextKeyMarker")
_NAMED = (("Contents", "Key"), ("Versions", "Key"), ("DeleteMarkers", "Key"), ("CommonPrefixes", "Prefix"))
"""The members of listings that hold encoded names. Source: S3 API Reference, "encoding-type" of ListObjectsV2,
ListObjects and ListObjectVersions."""


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
