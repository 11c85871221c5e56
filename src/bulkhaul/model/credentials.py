"""Defines the credentials that a program gives an engine, and what it may give in their place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, TypeAlias

import msgspec

from bulkhaul.model.errors import UsageError


class Credentials(msgspec.Struct, frozen=True):
    """Keys of an account. ``repr`` shows none of them.

    Attributes:
        session_token: of keys that were lent for some time; empty for an account's own.
        expires: when they end, with a time zone; None if they do not, or where that is not known.

    Raises:
        UsageError: ``expires`` has no time zone, or a key is no text.
    """

    access_key: str
    secret_key: str
    session_token: str = ""
    expires: datetime | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(key, str) for key in (self.access_key, self.secret_key, self.session_token)):
            raise UsageError("the keys of credentials are texts; without a session token leave it out")
        if self.expires is not None and (not isinstance(self.expires, datetime) or self.expires.tzinfo is None):
            raise UsageError("credentials expire at a datetime with a time zone, such as datetime.now(UTC)")

    def __repr__(self) -> str:
        return f"Credentials(expires={self.expires!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("expires", self.expires)]


class SdkCredentials(Protocol):
    """The credentials object of botocore, which renews itself."""

    def get_frozen_credentials(self) -> Any:
        """Return ``access_key``, ``secret_key`` and ``token`` of one moment."""
        ...


class SdkSession(Protocol):
    """A session of boto3 or botocore."""

    def get_credentials(self) -> Any:
        """Return an ``SdkCredentials``, None where there are none."""
        ...


class FrozenSdkCredentials(Protocol):
    """What ``get_frozen_credentials`` of botocore returns."""

    @property
    def access_key(self) -> str:
        """Id of the key."""
        ...

    @property
    def secret_key(self) -> str:
        """The key itself."""
        ...

    @property
    def token(self) -> str | None:
        """Of keys that were lent; None for an account's own."""
        ...


GivenCredentials: TypeAlias = Credentials | SdkSession | SdkCredentials | FrozenSdkCredentials

CredentialsSource: TypeAlias = (
    GivenCredentials | Callable[[], GivenCredentials] | Callable[[], Awaitable[GivenCredentials]]
)
"""What an engine takes its credentials from.

A callable is asked before the first request, again ten minutes before those keys end, and again when the service
refuses them as expired; never by two threads at once. One that is no coroutine function is called in a thread.
"""
