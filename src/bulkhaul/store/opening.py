"""Decides from the URL of a store and its caller's arguments: the settings, and what becomes of the prefix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

from bulkhaul.model.errors import UsageError
from bulkhaul.model.settings import Settings, with_fields
from bulkhaul.policy.plainhttp import allowed_by
from bulkhaul.policy.storeurl import StoreUrl, join_key, parse_store_url

PrefixUse = Literal["apply", "carry"]
"""What becomes of the prefix in a store's URL.

``apply``: every key is below it; it is put before keys on their way to the service, and taken off those that come back.
``carry``: keys are used as they are; the prefix is only kept in ``store.url`` for the caller to compose keys with (C1).
"""


def chosen_use(url: StoreUrl, prefix: PrefixUse | None) -> PrefixUse:
    """Return what becomes of the URL's prefix; it must be said where there is one.

    Raises:
        UsageError: it is not said, or is neither of the two.
    """
    if prefix is not None:
        return checked_use(prefix)
    if url.prefix:
        raise UsageError(
            f'the URL has the prefix {url.prefix!r}; say what becomes of it: prefix="apply" puts it before every key,'
            ' prefix="carry" uses keys as they are and only keeps it in store.url',
            f"s3://{url.bucket}/{url.prefix}",
        )
    return "carry"


def checked_use(prefix: str) -> PrefixUse:
    """Return it if it is one of the two.

    Raises:
        UsageError: it is not.
    """
    for use in get_args(PrefixUse):
        if use == prefix:
            return use  # type: ignore[no-any-return] # one of the literals
    raise UsageError(f'prefix must be "apply" or "carry", not {prefix!r}')


def put_before_keys(url: StoreUrl, prefix: PrefixUse) -> str:
    """Return the text that is put before each key: empty, or the URL's prefix with a slash at its end."""
    return join_key(url.prefix, "") if prefix == "apply" else ""


def settings_for(url: str, given: Mapping[str, Any]) -> tuple[StoreUrl, Settings]:
    """Return what a store is made of: its URL, and the settings that follow from it and from the caller.

    Raises:
        InvalidUrl: the URL is wrong; the message names the part.
        UsageError: a setting is unknown or out of range.
    """
    allowed = given.get("allow_http")
    if allowed is None:
        allowed = allowed_by(os.environ)
    parsed = parse_store_url(url, allow_http=bool(allowed))
    fields: dict[str, Any] = {
        "endpoint_url": parsed.endpoint_url,
        "region": parsed.region,
        "profile": parsed.profile,
        "addressing_style": parsed.addressing,
        "allow_http": bool(allowed),
    }
    return parsed, with_fields(Settings(**fields), given)
