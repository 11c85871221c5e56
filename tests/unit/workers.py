"""Two workers, played in memory: they note what they are asked, and a test says what they answer, and when."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from bulkhaul.engine.loop.last_resort import LastResort
from bulkhaul.engine.messages.requests import Answer, Ask, Early
from bulkhaul.engine.pool.interface import Listener, WorkerState
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Settings, Timeouts
from bulkhaul.policy.events import Event
from bulkhaul.policy.pacing import Randomness
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window
from bulkhaul.wire.values import Credentials, Target

SETTINGS = Settings(workers=2, concurrency=2)


class Workers:
    """What ``Requests`` sees of a Dispatcher.

    Attributes:
        requests: those that these workers make.
        asked: (worker, message), in order.
        needed: how many workers were asked for, in order.
    """

    def __init__(self, rng: Randomness | None = None) -> None:
        self.machine = TransferMachine(
            workers=2, window=Window(2, first=2), timeouts=Timeouts(), rng=rng or random.Random(1)
        )
        self.last_resort = LastResort(lambda error: pytest.fail(str(error)))
        self.last_death = "SIGKILL"
        self.asked: list[tuple[int, Ask]] = []
        self.needed: list[int] = []
        self._more = asyncio.Event()
        self.requests = Requests(SETTINGS, self)
        self._listener: Listener = self.requests
        self.machine.need_workers(2)
        for worker in (1, 2):
            self.change(worker, "usable")

    # What requests need of them

    def need(self, count: int) -> None:
        """Note how many are needed."""
        self.needed.append(count)

    def send(self, worker: int, message: object, _descriptors: list[int]) -> None:
        """Note what is asked."""
        assert isinstance(message, Ask)
        self.asked.append((worker, message))
        self._more.set()

    def sign_with(self, _credentials: Credentials | None) -> None:
        """Take what was resolved."""

    def handle(self, event: Event) -> None:
        """Give the machine an event."""
        self.machine.handle(event, now_s=0.0)

    # What a test lets happen

    def change(self, worker: int, state: WorkerState) -> None:
        """Let a worker become something."""
        self._listener.worker_changed(worker, state)

    def say(self, message: Answer | Early) -> None:
        """Let a worker say something."""
        self._listener.answered(message)

    def answer(self, nth: int, value: object, target: Target | None = None) -> None:
        """Answer the nth request, in two pieces."""
        number, answer = self.asked[nth][1].ask, msgspec.msgpack.encode(value)
        half = len(answer) // 2
        self.say(Answer(number, last=False, piece=answer[:half]))
        self.say(Answer(number, piece=answer[half:], target=target))

    def refuse(self, nth: int, error: ErrorInfo) -> None:
        """Answer the nth request with an error."""
        self.say(Answer(self.asked[nth][1].ask, error=error))

    async def until_asked(self, count: int) -> None:
        """Wait until so many requests were asked for."""
        while len(self.asked) < count:
            self._more.clear()
            await self._more.wait()


async def settle() -> None:
    """Let everything go on as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
