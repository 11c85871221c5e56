"""Lists objects, page by page: a whole prefix, or one folder.

It asks by ListObjectsV2; where the endpoint does not know it, by ListObjects, whose next page begins after a key:

    token of V2: as it came        token of V1: AFTER + key, so that any worker can ask for the next page
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bulkhaul.model.errors import TransferError, UnexpectedReply
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire import told
from bulkhaul.wire.learned import PAGES_V2
from bulkhaul.wire.sdk.calls import call, instant, storage_class
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.listing_checks import goes_on_nowhere, require_bucket, require_listing
from bulkhaul.wire.sdk.page_xml import QUICKLY_READ, telling

AFTER: Final = "bulkhaul:after:"
"""Begins our own token of a page of ListObjects; no service's token begins like this."""


def list_page(
    sdk: SdkClient,
    bucket: str,
    prefix: str,
    token: str,
    max_keys: int | None = None,
    on_token: Callable[[str], None] | None = None,
    *,
    start_after: str = "",
) -> ObjectsPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Args:
        max_keys: fewer objects a page.
        on_token: called with the next token if it is known before the page has been read.
        start_after: without a token, begin after this text; whether the service did is not looked at.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    parameters = {} if max_keys is None else {"MaxKeys": max_keys}
    with telling(on_token):
        return _listing(sdk, bucket, prefix, token, parameters, start_after)


def list_folder(sdk: SdkClient, bucket: str, prefix: str, token: str) -> ObjectsPage:
    """Return one page of a folder, the prefixes of its folders included: ``prefix`` is empty or ends in ``/``.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    return _listing(sdk, bucket, prefix, token, {"Delimiter": "/"})


def _listing(
    sdk: SdkClient, bucket: str, prefix: str, token: str, parameters: Mapping[str, object], start_after: str = ""
) -> ObjectsPage:
    """Return one page, as ListObjectsV2 or ListObjects gives it."""
    if token.startswith(AFTER) or not (token or sdk.takes(PAGES_V2)):
        return _listing_after(sdk, bucket, prefix, token.removeprefix(AFTER) or start_after, parameters)
    more = dict(parameters)
    if token:
        more["ContinuationToken"] = token
    elif start_after:
        more["StartAfter"] = start_after
    subject = f"s3://{bucket}/{prefix}"
    try:
        reply = call(sdk.client.list_objects_v2, subject=subject, Bucket=bucket, Prefix=prefix, **more)
        truncated = require_listing(reply, subject)
    except TransferError as error:
        unknown = sdk.may_do_without(error) or (error.info.status == 405 and error.info.code == "Unsupported")
        if token or not unknown:
            raise
        return _learnt_listing(sdk, bucket, prefix, parameters, start_after, error)
    if truncated and not reply.get("NextContinuationToken"):
        nowhere = goes_on_nowhere(subject)
        if token or "KeyCount" in reply:
            raise nowhere
        # The endpoint ignored list-type and sent a page of ListObjects, whose marker the SDK has not read.
        return _learnt_listing(sdk, bucket, prefix, parameters, start_after, nowhere)
    entries, prefixes = _read(reply, bucket, prefix, subject)
    following = reply.get("NextContinuationToken") if truncated else None
    return ObjectsPage(entries, told.marker(following, "NextContinuationToken", subject), prefixes)


def _learnt_listing(
    sdk: SdkClient,
    bucket: str,
    prefix: str,
    parameters: Mapping[str, object],
    start_after: str,
    failure: TransferError,
) -> ObjectsPage:
    """Return a page without a token by ListObjects; raise ``failure`` if that fails, too."""
    try:
        found = _listing_after(sdk, bucket, prefix, start_after, parameters)
    except TransferError:
        raise failure from None
    sdk.does_without(PAGES_V2)
    return found


def _listing_after(
    sdk: SdkClient, bucket: str, prefix: str, after: str, parameters: Mapping[str, object]
) -> ObjectsPage:
    """Return one page of ListObjects: what comes after a key."""
    more = {**parameters, "Marker": after} if after else parameters
    subject = f"s3://{bucket}/{prefix}"
    reply = call(sdk.client.list_objects, subject=subject, Bucket=bucket, Prefix=prefix, **more)
    truncated = require_listing(reply, subject)
    entries, prefixes = _read(reply, bucket, prefix, subject)
    if not truncated:
        return ObjectsPage(entries, "", prefixes)
    # Without a delimiter the service may leave the marker out: the listing goes on after the last key.
    last = max((*[one.key for one in entries[-1:]], *prefixes[-1:]), key=str.encode, default="")
    following = told.marker(reply.get("NextMarker"), "NextMarker", subject) or last
    if not following or following == after:
        raise goes_on_nowhere(subject)
    return ObjectsPage(entries, AFTER + following, prefixes)


def _read(
    reply: Mapping[str, Any], bucket: str, prefix: str, subject: str
) -> tuple[tuple[ObjectHead, ...], tuple[str, ...]]:
    """Return the objects and the common prefixes of a page."""
    require_bucket(reply.get("Name"), bucket, subject)
    entries: tuple[ObjectHead, ...]
    if (read := reply.get(QUICKLY_READ)) is not None:
        entries, prefixes = read
        for name in (*[one.key for one in entries], *prefixes):
            if len(name) > told.MAX_KEY_CHARACTERS or not name.startswith(prefix):
                told.key(name, prefix, subject)  # raises, and says what is wrong
    else:
        entries = tuple(_entry(item, prefix, subject) for item in reply.get("Contents", ()))
        prefixes = tuple(told.key(item.get("Prefix"), prefix, subject) for item in reply.get("CommonPrefixes", ()))
    if reply.get("KeyCount", 0) > len(entries) + len(prefixes):
        text = f"the page says that it holds {reply['KeyCount']} keys, and holds {len(entries) + len(prefixes)}"
        raise UnexpectedReply(text, subject)
    return entries, prefixes


def _entry(item: Mapping[str, Any], prefix: str, subject: str) -> ObjectHead:
    return ObjectHead(
        key=told.key(item.get("Key"), prefix, subject),
        size_bytes=told.number(item.get("Size"), "Size", subject),
        etag=told.etag(item.get("ETag"), subject),
        last_modified=instant(item.get("LastModified")),
        storage_class=storage_class(item, subject),
    )


__all__ = ["list_folder", "list_page"]
