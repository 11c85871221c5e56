"""Brings each new worker into use: gives it settings and credentials, or kills it when it is not ready in time.

started ──Ready──▶ configured ──credentials are known──▶ usable
"""

from __future__ import annotations

from collections.abc import Callable

from bulkhaul.engine.messages.messages import Configure, UseCredentials
from bulkhaul.engine.pool.supervisor import Supervisor
from bulkhaul.model.settings import Settings
from bulkhaul.wire.values import Credentials


class Startup:
    """The workers of one engine on their way into use."""

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        most: int,
        *,
        on_configured: Callable[[int], None],
        on_usable: Callable[[int], None],
    ) -> None:
        """Take what is called.

        Args:
            most: connections of a worker at most.
        """
        self._most = most
        self._known: set[int] = set()  # workers that have spoken and are not dead
        self._settings = settings
        self._supervisor = supervisor
        self._on_configured = on_configured
        self._on_usable = on_usable
        self._starting: dict[int, float] = {}  # worker → instant of its start
        self._signing: tuple[Credentials | None] | None = None  # what workers were told to sign with, once it is known
        self._waiting_to_sign: list[int] = []

    def started(self, worker: int, now_s: float) -> None:
        """A worker was asked for."""
        self._starting[worker] = now_s

    def ready(self, worker: int) -> None:
        """A worker has spoken for the first time."""
        if self._starting.pop(worker, None) is None:
            return
        self._known.add(worker)
        self._supervisor.tell(worker, Configure(self._most, self._settings.connections))
        if self._signing is None:
            self._waiting_to_sign.append(worker)
            self._on_configured(worker)
        else:
            self._supervisor.tell(worker, UseCredentials(self._signing[0]))
            self._on_usable(worker)

    def sign_with(self, credentials: Credentials | None) -> None:
        """Give every worker these credentials; the first time, this is what makes workers usable."""
        self._signing = (credentials,)
        for worker in self._known:
            self._supervisor.tell(worker, UseCredentials(credentials))
        waiting, self._waiting_to_sign = self._waiting_to_sign, []
        for worker in waiting:
            self._on_usable(worker)

    def lost(self, worker: int) -> None:
        """A worker is dead."""
        self._starting.pop(worker, None)
        self._known.discard(worker)
        if worker in self._waiting_to_sign:
            self._waiting_to_sign.remove(worker)

    def expire(self, now_s: float, pause_s: float) -> None:
        """Kill workers that are not ready in time.

        Args:
            pause_s: how long this process was paused since the last look: no worker was late by that.
        """
        if pause_s:
            self._starting = {worker: started_s + pause_s for worker, started_s in self._starting.items()}
        for worker, started_s in list(self._starting.items()):
            if now_s - started_s > self._settings.waits.start_s:
                self._supervisor.kill(worker, "not being ready in time", unborn=True)
