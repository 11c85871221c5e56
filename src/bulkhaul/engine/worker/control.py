"""Has each request of the coordinator answered by who can: the lane on the loop, or the SDK in a thread.

settled, and spoken by the lane ─▶ lane_answers ──SdkNeeded──╮
anything else ───────────────────────────────────────────────┴▶ sdk_answers
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.requests import FIRST_GENERATION, AnyRequest, Ask, Resolve
from bulkhaul.engine.worker import lane_answers
from bulkhaul.engine.worker.sdk_on_demand import SdkOnDemand
from bulkhaul.model.settings import Settings
from bulkhaul.policy.resolution import AskSdk
from bulkhaul.wire.lane.client import Lane, SdkNeeded
from bulkhaul.wire.sdk import CONTROL_THREADS, ENDING_THREADS
from bulkhaul.wire.settled import Settled, settled_credentials
from bulkhaul.wire.values import Credentials, Target

RESOLVED_WITHIN = 0.8
"""Part of the time for a request that the program of a profile may take to print keys: its end is told, too."""


QUICK_AT_ONCE = 32
"""HEADs, DELETEs and the like that one worker makes at a time by the lane: at 20 ms each some 1,500 a second, which is
about what a core of Python makes."""


class Control:
    """Answers the requests of one worker."""

    def __init__(
        self, settings: Settings, settled: Settled | None, lane: Lane | None, sdk: SdkOnDemand, asking: int
    ) -> None:
        """Take what answers.

        Args:
            settled: None if only the SDK knows where requests go.
            lane: None for the same reason.
            asking: requests of each line that are made at a time, at least; more of the quick ones, which take no
                thread, where nobody has said how many there may be.
        """
        self._settings = settings
        self._settled = settled
        self._lane = lane
        self._sdk = sdk
        most = max(asking, CONTROL_THREADS)
        self._lines = {
            "quick": asyncio.Semaphore(most if settings.concurrency else max(most, QUICK_AT_ONCE)),
            "slow": asyncio.Semaphore(most),
            "ending": asyncio.Semaphore(ENDING_THREADS),
        }
        self._asking = asking
        self._threads: dict[str, ThreadPoolExecutor] = {}

    async def answer(self, ask: Ask, memory_fd: int, tell_early: Callable[[str], None]) -> tuple[object, Target | None]:
        """Return the answer to a request, of the type that it names, and where the request went.

        Args:
            memory_fd: descriptor that came along with it, -1 for none.
            tell_early: called with where the next page of a listing begins, before the answer is ready.

        Raises:
            TransferError: what the service or the SDK reported.
        """
        request = ask.request
        if isinstance(request, Resolve):
            found = await self._credentials(request.generation)
            if not isinstance(found, AskSdk):
                return found, None
        elif self._lane is not None and lane_answers.speaks(request):
            target = ask.target or self._target(request)
            if target is not None and target.fast:
                asked = lane_answers.Asked(self._lane, target, memory_fd, tell_early)
                try:
                    async with self._lines[request.line]:
                        value = await lane_answers.answer(request, asked)
                    return value, target if request.sent else None  # what was not sent has found nothing there
                except SdkNeeded:
                    pass  # nothing was done
        return await self._by_sdk(request, memory_fd)

    def _target(self, request: AnyRequest) -> Target | None:
        """Return where the request goes, None if only the SDK knows."""
        if self._settled is None:
            return None
        bucket = getattr(request, "bucket", "")
        found = self._settled.target(bucket) if bucket else self._settled.service()
        return None if isinstance(found, AskSdk) else found

    async def _credentials(self, generation: int) -> Credentials | AskSdk | None:
        """Return what requests are signed with, as far as that is known without the SDK."""
        settled, deadline_s = self._settled, self._settings.waits.ask_s * RESOLVED_WITHIN
        if settled is None:
            return AskSdk("nothing is settled")
        if generation != FIRST_GENERATION:  # the files may have changed
            return await in_thread(settled_credentials, self._settings, generation, deadline_s=deadline_s)
        if settled.runs_process:
            return await in_thread(settled.credentials, generation, deadline_s=deadline_s)
        return settled.credentials(generation, deadline_s=deadline_s)

    async def _by_sdk(self, request: AnyRequest, memory_fd: int) -> tuple[object, Target | None]:
        client = await self._sdk.client()
        from bulkhaul.engine.worker import sdk_answers

        if request.line not in self._threads:
            count = {"quick": CONTROL_THREADS, "slow": self._asking, "ending": ENDING_THREADS}[request.line]
            self._threads[request.line] = ThreadPoolExecutor(count, thread_name_prefix=f"{request.line}-control")
        asked = sdk_answers.Asked(self._settings, client, memory_fd)
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run  # which try it is
        return await loop.run_in_executor(self._threads[request.line], run, sdk_answers.answer, request, asked)
