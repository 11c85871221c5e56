"""Asks what the program has given for credentials: keys, a session of an SDK, or a function of its own.

Nothing here imports an SDK: a session is known by its methods. Of what a source returned an error tells the type, and
of what it raised the text without what may be keys.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bulkhaul.engine.loop.threads import in_own_thread
from bulkhaul.model.credentials import Credentials as Given
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import CredentialsError, TransferError
from bulkhaul.policy.hidden_keys import without_keys
from bulkhaul.wire.usable_keys import usable_credentials
from bulkhaul.wire.values import Credentials

_WHAT = "Credentials, a session of boto3 or botocore or its credentials, or a function that returns one of these"

_FAILED = "the given source of credentials failed"


class GivenSource:
    """What the program has given, asked once at a time."""

    def __init__(self, source: CredentialsSource) -> None:
        self._source: Any = source
        self._asking: asyncio.Future[BaseException | None] | None = None
        self._said: list[object] = []

    async def asked(self, generation: int, *, deadline_s: float) -> Credentials:
        """Return what requests are to be signed with from now on.

        Raises:
            CredentialsError: the source failed, gave none within the deadline, or keys that no request can carry or
                that have ended.
        """
        failed, limit = "", asyncio.timeout(deadline_s)
        try:
            async with limit:
                given = await self._given()
        except TransferError:
            raise
        except BaseException as error:  # it is the program's own, and may raise anything
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            failed = _told(error)
        if limit.expired():
            raise CredentialsError(f"the given source of credentials did not answer within {deadline_s:g} s")
        if failed:  # raised here, where the error has no context that would tell what the source raised
            raise CredentialsError(_FAILED, cause=failed)
        if not isinstance(given, Given):
            raise CredentialsError(f"credentials must be {_WHAT}; {type(given).__name__} is none of these")
        expires_s = given.expires.timestamp() if given.expires is not None else 0.0
        if expires_s and expires_s <= time.time():
            raise CredentialsError("the given credentials have ended; give a function that returns new ones")
        keys = (given.access_key, given.secret_key, given.session_token)
        return usable_credentials(*keys, source="the program itself", expires_s=expires_s, generation=generation)

    async def _given(self) -> object:
        """Return Credentials, or whatever else came of the source."""
        given = source = self._source
        if inspect.iscoroutinefunction(source):
            given = await source()
        elif callable(source):
            given = await self._of_thread(source)
            given = await given if inspect.isawaitable(given) else given
        if isinstance(given, Given) or not _is_of_sdk(given):
            return given
        return await self._of_thread(lambda: _of_sdk(given))

    async def _of_thread(self, ask: Callable[[], object]) -> object:
        """Return what a function returns; one that is late is waited for again, and not called beside itself."""
        if self._asking is None or self._asking.done():
            said: list[object] = []
            self._said = said
            self._asking = in_own_thread(lambda: said.append(ask()), "bulkhaul-credentials")
        error = await asyncio.shield(self._asking)
        if error is None:
            return self._said[0]
        # StopIteration, for one, can be raised in no coroutine.
        raise error if isinstance(error, TransferError) else CredentialsError(_FAILED, cause=_told(error))


def _told(error: BaseException) -> str:
    """Return what a source raised, for an error's cause."""
    try:
        text = without_keys(str(error))
    except Exception:  # noqa: BLE001 - it is the user's code, too
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_of_sdk(given: object) -> bool:
    return any(hasattr(given, name) for name in ("get_frozen_credentials", "get_credentials")) or _is_frozen(given)


def _is_frozen(given: object) -> bool:
    """Whether it is what ``get_frozen_credentials`` returns."""
    return all(hasattr(given, name) for name in ("access_key", "secret_key", "token"))


def _of_sdk(source: Any) -> Given:
    """Return the keys of a session or of a credentials object of botocore, which renews them where it has to.

    Raises:
        CredentialsError: the session has none.
    """
    held = source.get_credentials() if hasattr(source, "get_credentials") else source
    if held is None:
        raise CredentialsError("the given session has no credentials")
    keys = held.get_frozen_credentials() if hasattr(held, "get_frozen_credentials") else held
    expires = getattr(held, "_expiry_time", None)  # it has no public name; without it keys are renewed when refused
    if not isinstance(expires, datetime):
        expires = None
    elif expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return Given(keys.access_key, keys.secret_key, keys.token or "", expires)
