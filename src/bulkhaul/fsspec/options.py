"""Understands storage options: bulkhaul's settings by name, and what s3fs calls the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.credentials import Credentials, CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.settings import Settings, with_fields

SECRETS = ("key", "secret", "token", "credentials", "sse_c_key")
"""Storage options that are never shown."""

_CLIENT = {"endpoint_url": "endpoint_url", "region_name": "region"}
"""What of s3fs's ``client_kwargs`` is understood, with its name here."""

_CACHE = ("use_listings_cache", "listings_expiry_time", "max_paths")
"""Options of a cache of listings; there is none, so they change nothing."""


class GivenBy:
    """A source of credentials that is told from others by being itself: fsspec compares options by ``repr``."""

    def __init__(self, source: CredentialsSource) -> None:
        self.source = source

    def __repr__(self) -> str:
        return f"<credentials {id(self.source):#x}>"


def comparable(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose ``repr`` tells accounts apart, which that of ``Credentials`` does not.

    Raises:
        ValueError: keys are given twice.
    """
    given = options.get("credentials")
    if given is None or isinstance(given, GivenBy):
        return options
    rest = {name: value for name, value in options.items() if name != "credentials"}
    if not isinstance(given, Credentials):
        return rest | {"credentials": GivenBy(given)}
    if any(rest.get(name) for name in ("key", "secret", "token")):
        raise ValueError("give credentials=, or key=, secret= and token=, not both")
    keys = {"key": given.access_key, "secret": given.secret_key}
    return rest | keys | ({"token": given.session_token} if given.session_token else {})


def understood(options: Mapping[str, Any]) -> tuple[Settings, CredentialsSource | None]:
    """Return settings and credentials for storage options.

    Raises:
        ValueError: one is unknown, and the message names the nearest; or they contradict each other.
    """
    fields = {name: value for name, value in options.items() if name not in _CACHE}
    key, secret, token = (fields.pop(name, None) or None for name in ("key", "secret", "token"))
    given = fields.pop("credentials", None)
    for name, value in dict(fields.pop("client_kwargs", None) or {}).items():
        if name not in _CLIENT:
            raise ValueError(f"client_kwargs may hold {' and '.join(_CLIENT)}, not {name!r}: see bulkhaul's settings")
        fields.setdefault(_CLIENT[name], value)
    if _flag(fields, "anon"):
        if key or secret or token or given:
            raise ValueError("anon=True goes with no credentials")
        fields["sign_requests"] = False
    if _flag(fields, "requester_pays"):
        fields["request_payer"] = True
    if (key is None) != (secret is None) or (token is not None and key is None):
        raise ValueError("credentials are key= and secret=, and token= with those that have one")
    if given is not None and key is not None:
        raise ValueError("give credentials=, or key= and secret=, not both")
    try:
        settings = with_fields(Settings(), fields)
        if key is not None:
            return settings, Credentials(key, secret or "", token or "")
    except UsageError as error:
        raise ValueError(str(error)) from error
    return settings, given.source if isinstance(given, GivenBy) else given


def _flag(fields: dict[str, Any], name: str) -> bool:
    given = fields.pop(name, None)
    if given is not None and not isinstance(given, bool):
        raise ValueError(f"{name}= is True or False, not {given!r}")
    return bool(given)
