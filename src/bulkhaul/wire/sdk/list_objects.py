"""Lists objects, page by page: a whole prefix, or one folder.

It asks by ListObjectsV2; where the endpoint does not know it, by ListObjects, whose next page begins after a key.
"""

from __future__ import annotations

from collections.abc import Mapping

from bulkhaul.model.errors import TransferError
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.learned import PAGES_V2
from bulkhaul.wire.replies.listing_checks import goes_on_nowhere
from bulkhaul.wire.replies.objects_page import AFTER, is_older, page_by_key, page_by_token
from bulkhaul.wire.sdk.calls import call
from bulkhaul.wire.sdk.client import SdkClient


def list_page(
    sdk: SdkClient,
    bucket: str,
    prefix: str,
    token: str,
    max_keys: int | None = None,
    *,
    start_after: str = "",
) -> ObjectsPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Args:
        max_keys: fewer objects a page.
        start_after: without a token, begin after this text; whether the service did is not looked at.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    parameters = {} if max_keys is None else {"MaxKeys": max_keys}
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
        older = is_older(reply, token, subject)
    except TransferError as error:
        unknown = sdk.may_do_without(error) or (error.info.status == 405 and error.info.code == "Unsupported")
        if token or not unknown:
            raise
        return _learnt_listing(sdk, bucket, prefix, parameters, start_after, error)
    if older:  # its marker has not been read by the SDK
        return _learnt_listing(sdk, bucket, prefix, parameters, start_after, goes_on_nowhere(subject))
    return page_by_token(reply, bucket, prefix, subject)


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
    return page_by_key(reply, bucket, prefix, after, subject)


__all__ = ["list_folder", "list_page"]
