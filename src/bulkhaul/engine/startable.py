"""Starts, watches and ends an engine of an asyncio program: what every such engine offers besides its operations."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Self, Unpack

from bulkhaul.engine.lifetime import Lifetime
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.engine.small_operations import SmallOperations
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.results import Progress
from bulkhaul.model.settings import Settings, SettingsFields, with_fields


class Startable(SmallOperations):
    """An engine from its start to its end.

    Attributes:
        settings: those in force.
        credentials: what was given to sign with; None for what environment, files and profile name.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        credentials: CredentialsSource | None = None,
        forkserver: ForkserverProcess | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        **fields: Unpack[SettingsFields],
    ) -> None:
        """Check the settings; processes start when there is something to do for them.

        Args:
            settings: every setting; or give them by name as keyword arguments.
            credentials: what requests are signed with, in the place of what environment, files and profile name: keys,
                a session of boto3 or botocore, or a function that is asked for them. They stay in this engine.
            forkserver: one that was started earlier; without one, the engine starts it for its first worker.
            on_progress: called with the total when it has changed, at most four times a second, and at the end. What
                it raises is logged, and it is not called again.
            fields: fields of ``Settings``.

        Raises:
            UsageError: a setting is unknown or out of range, or credentials go with ``sign_requests=False``.
        """
        self.settings: Settings = with_fields(settings or Settings(), fields)
        if credentials is not None and not self.settings.sign_requests:
            raise UsageError("credentials are given, and sign_requests=False says not to use them; leave out one")
        self.credentials = credentials
        self._life = Lifetime(self.settings, forkserver, on_progress, credentials)
        self._made_by = os.getpid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {described(self.settings, self.credentials)}: {self._life.state}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an engine cannot be pickled; pickle its settings, or a store, and make another engine there")

    async def start(self) -> Self:
        """Start on the running event loop; for programs without ``async with``, which close it by ``close``.

        The first operation starts an engine, too. One that was closed can be started again. Safe to call twice.
        """
        self._life.start()
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        # Nobody can await its close any more, so its workers are killed. In a forked child they are the parent's.
        if "_made_by" in vars(self) and self._made_by == os.getpid() and self._life.state == "running":
            try:
                self._life.drop()
            finally:
                warnings.warn(f"unclosed engine {self!r}", ResourceWarning, stacklevel=2, source=self)

    def on_own_thread(self) -> Self:
        """Take calls from threads whose event loop is another one: the engine's has a thread of its own."""
        self._life.on_own_thread = True
        return self

    def abandon(self) -> None:
        """End the forkserver of an engine that was never started."""
        self._life.abandon()

    async def close(self) -> None:
        """Cancel what is under way, stop the workers and wait until nothing is left. Safe to call twice."""
        await self._life.close()

    def hurry(self) -> None:
        """Have ``close`` wait no longer, and kill the workers instead."""
        self._life.hurry()

    def kill_workers(self) -> None:
        """Kill every worker at once: for a caller that is about to leave without waiting."""
        self._life.kill_workers()

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return self._life.worker_pids

    def progress(self) -> Progress:
        """Return one total over everything that this engine was asked for."""
        return self._life.progress()

    @property
    def control(self) -> Control:
        """The small operations by bucket and key, where listings come page by page."""
        return self._life.running().control


def described(settings: Settings, credentials: CredentialsSource | None = None) -> str:
    """Say where an engine works, with how many processes and whose keys, in a few words; no key is part of it.

    >>> described(Settings(endpoint_url="http://127.0.0.1:9000", region="eu-west-1", workers=4))
    'of http://127.0.0.1:9000, region eu-west-1, 4 workers'
    >>> described(Settings(workers=1), lambda: credentials_of("team"))
    'of the default endpoint, given credentials, 1 worker'
    """
    where = f"of {settings.endpoint_url or 'the default endpoint'}"
    if settings.region:
        where += f", region {settings.region}"
    if settings.profile:
        where += f", profile {settings.profile}"
    if credentials is not None:
        where += ", given credentials"
    count = settings.worker_count
    return f"{where}, {count} worker{'s' if count > 1 else ''}"
