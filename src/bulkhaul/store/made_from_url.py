"""Holds what a store of S3 is made from, with an event loop or without: for its equality, its pickle and its text."""

from __future__ import annotations

import inspect
from typing import Any, Generic, Protocol, Self, TypeVar, Unpack

from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.settings import Settings, SettingsFields
from bulkhaul.policy.storeurl import StoreUrl
from bulkhaul.store.opening import PrefixUse, checked_use, chosen_use, put_before_keys, settings_for

OF_SERVICE = ("endpoint_url", "profile", "sign_requests", "request_payer", "sse_c_key")
"""Settings that two stores have in common if a service can copy from the bucket of one to that of the other."""


class HasSettings(Protocol):
    """What a store asks of an engine before it has anything to do for it."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...


E = TypeVar("E", bound=HasSettings)


class MadeFromUrl(Generic[E]):
    """One bucket, and the engine that was given for it, if there is one.

    Attributes:
        url: what the store was made from.
    """

    def __init__(
        self,
        url: StoreUrl,
        settings: Settings,
        *,
        engine: E | None = None,
        credentials: CredentialsSource | None = None,
        prefix: PrefixUse = "carry",
    ) -> None:
        """Take a parsed URL and the settings for it; ``from_url`` makes both.

        Args:
            engine: one that runs already, and is not ended by this store; its own settings and keys are in force.
            credentials: see ``AsyncEngine``. With an ``engine``, what that was given.
            prefix: what becomes of the prefix in the URL; see ``from_url``.

        Raises:
            UsageError: ``prefix`` is neither ``"apply"`` nor ``"carry"``.
        """
        self.url = url
        self._credentials = credentials
        self._prefix: PrefixUse = checked_use(prefix)
        self._above = put_before_keys(url, self._prefix)
        self._settings = settings if engine is None else engine.settings
        self._shared = engine

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: PrefixUse | None = None,
        credentials: CredentialsSource | None = None,
        **settings: Unpack[SettingsFields],
    ) -> Self:
        """Return the store that a URL names.

        Args:
            url: ``s3+https://…``, ``s3+http://…`` or ``s3://bucket/prefix`` (C58 to C67).
            prefix: what becomes of a prefix in the URL, which must be said where there is one. ``"apply"``: all keys
                are below it, and callers neither write nor see it. ``"carry"``: keys are used as they are (C1), and
                ``store.url.prefix`` keeps it.
            settings: fields of ``Settings``; they go before what the URL says.

        Raises:
            InvalidUrl: the message names the wrong part.
            UsageError: a setting is unknown or out of range, or nothing is said of the prefix.
        """
        parsed, chosen = settings_for(url, settings)
        return cls(parsed, chosen, credentials=credentials, prefix=chosen_use(parsed, prefix))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what the store was made from; unpickling makes a new store, which has not begun.

        Raises:
            TypeError: credentials were given that are no part of a pickle: what came of it would use another account.
        """
        if self._credentials is not None and not _goes_by_name(self._credentials):
            raise TypeError(
                f"{self!r} cannot be pickled, since keys are never part of a pickle: make the store where it is used,"
                " or give it a function of a module that returns the credentials, which goes by its name"
            )
        return _again, (type(self), self.url, self._settings, self._prefix, self._credentials)

    def __copy__(self) -> Self:
        """Make another store of the same, with the same credentials; it has not begun."""
        return _again(type(self), self.url, self._settings, self._prefix, self._credentials)

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same class and do the same: URL, keys, settings and given credentials are equal."""
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, MadeFromUrl)
        return (self._identity(), self._credentials) == (other._identity(), other._credentials)

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        """Return a text for people: what becomes of a prefix, and that credentials were given; never which."""
        use = f", prefix={self._prefix!r}" if self.url.prefix else ""
        given = ", credentials=..." if self._credentials is not None else ""
        return f"{type(self).__name__}({str(self.url)!r}{use}{given})"

    def _identity(self) -> tuple[StoreUrl, str, Settings]:
        return self.url, self._above, self._settings

    def _same_account(self, other: MadeFromUrl[E]) -> bool:
        """Whether one service serves both, each by an engine of its own; one that was given has its own credentials."""
        mine, others = self._settings, other._settings
        return (
            self._shared is None
            and other._shared is None
            and self._credentials == other._credentials
            and all(getattr(mine, name) == getattr(others, name) for name in OF_SERVICE)
        )


S = TypeVar("S", bound=MadeFromUrl[Any])


def _again(
    kind: type[S], url: StoreUrl, settings: Settings, prefix: PrefixUse, credentials: CredentialsSource | None
) -> S:
    return kind(url, settings, prefix=prefix, credentials=credentials)


def _goes_by_name(source: CredentialsSource) -> bool:
    """Whether a pickle refers to it by its name, as to a function of a module: no key is then part of it."""
    return inspect.isfunction(source) and "<" not in source.__qualname__
