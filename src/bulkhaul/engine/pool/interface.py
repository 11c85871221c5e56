"""What requests need of the workers, and what the workers tell them: the two sides between Dispatcher and Requests."""

from __future__ import annotations

from typing import Literal, Protocol

from bulkhaul.engine.loop.last_resort import LastResort
from bulkhaul.engine.messages.requests import Answer, Early
from bulkhaul.model.errors import TransferError
from bulkhaul.policy.events import Event
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.wire.values import Credentials

WorkerState = Literal["configured", "usable", "lost", "orphaned"]
"""What a worker has become: able to resolve credentials; able to make requests; dead; dead without any fault of its
own, because its forkserver is."""


class Workers(Protocol):
    """The workers of one engine, as those see them who make requests."""

    machine: TransferMachine
    last_resort: LastResort
    last_death: str

    def need(self, count: int) -> None:
        """Have as many workers as this, started or starting, if there may be so many."""
        ...

    def send(self, worker: int, message: object, descriptors: list[int]) -> None:
        """Send a message to a worker."""
        ...

    def sign_with(self, credentials: Credentials | None) -> None:
        """Give every worker these credentials."""
        ...

    def handle(self, event: Event) -> None:
        """Give the state machine an event."""
        ...


class Listener(Protocol):
    """Who is told what workers say and what becomes of them."""

    def answered(self, message: Answer | Early) -> None:
        """A worker says something of a request."""
        ...

    def worker_changed(self, worker: int, state: WorkerState) -> None:
        """A worker has become able to do something, or is dead."""
        ...

    def credentials_expired(self, generation: int) -> None:
        """A service has refused the credentials of a part as expired."""
        ...

    def fail(self, error: TransferError) -> None:
        """Everything of the engine ends with this error."""
        ...
