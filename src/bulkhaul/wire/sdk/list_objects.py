"""Lists objects, page by page: a whole prefix, or one folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire.listing import ByToken, Step, listing_page
from bulkhaul.wire.sdk.calls import call
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.steps import carried_out


def list_page(
    sdk: SdkClient,
    bucket: str,
    prefix: str,
    token: str,
    max_keys: int | None = None,
    *,
    start_after: str = "",
    restores: bool = False,
) -> ObjectsPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Args:
        max_keys: fewer objects a page.
        start_after: without a token, begin after this text; whether the service did is not looked at.
        restores: ask for the status of archived objects, too; an endpoint may not tell it.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    parameters = {} if max_keys is None else {"MaxKeys": max_keys}
    return _listing(sdk, bucket, prefix, token, parameters, start_after, restores=restores)


def list_folder(sdk: SdkClient, bucket: str, prefix: str, token: str) -> ObjectsPage:
    """Return one page of a folder, the prefixes of its folders included: ``prefix`` is empty or ends in ``/``.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    return _listing(sdk, bucket, prefix, token, {"Delimiter": "/"})


def _listing(
    sdk: SdkClient,
    bucket: str,
    prefix: str,
    token: str,
    parameters: Mapping[str, object],
    start_after: str = "",
    *,
    restores: bool = False,
) -> ObjectsPage:
    """Return one page, as ListObjectsV2 or ListObjects gives it."""
    subject = f"s3://{bucket}/{prefix}"

    def make(step: Step) -> Mapping[str, Any]:
        if isinstance(step, ByToken):
            operation = sdk.client.list_objects_v2
            place = {"ContinuationToken": step.token, "StartAfter": "" if step.token else step.start_after}
        else:
            operation, place = sdk.client.list_objects, {"Marker": step.after}
        more: dict[str, object] = {name: value for name, value in place.items() if value}
        if step.restores:
            more["OptionalObjectAttributes"] = ["RestoreStatus"]
        reply: Mapping[str, Any] = call(operation, subject=subject, Bucket=bucket, Prefix=prefix, **parameters, **more)
        return reply

    steps = listing_page(
        token,
        start_after,
        sdk.learned,
        sdk.hostname,
        bucket=bucket,
        prefix=prefix,
        subject=subject,
        restores=restores,
    )
    return carried_out(steps, make)


__all__ = ["list_folder", "list_page"]
