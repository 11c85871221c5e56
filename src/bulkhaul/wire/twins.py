"""Sends a GET whose reply is late once more, over a connection of its own: whichever reply begins first gives the body.

    original ──late──▶ twin, on a fresh connection
    the first head that is judged good ─▶ its connection gets the sink, and the other is closed within the same call
    an error of one of them            ─▶ the other goes on; if both fail, it is the original's error

So a GET never ends worse than without a twin. A twin that is still connecting when the original ends is given up, and
the silence of both is counted from the original's request on, so no deadline becomes longer.

One writer (I6): a connection can write only into the sink that ``begin`` returns to it. The one that wins closes the
other before it returns, and a closed connection calls ``begin`` no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bulkhaul.wire.connections import Connections
from bulkhaul.wire.ending import Overtaken
from bulkhaul.wire.http1 import Begin, Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.transport import Sink
from bulkhaul.wire.values import Target

Fetch = Callable[[Connection, Begin], Awaitable[ReplyHead]]
"""Sends the GET over a connection, signed anew, and receives its reply."""


class Twin:
    """The second try of one GET, under way from the beginning on.

    Attributes:
        won: its reply has begun first, and gives the body.
        reply: the head of its reply, as soon as that is whole.
        error: what it has ended with instead.
    """

    def __init__(
        self,
        connections: Connections,
        target: Target,
        fetch: Fetch,
        judge: Begin,
        *,
        since_s: float,
        overtakes: Callable[[], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Begin.

        Args:
            judge: of the head of a 2xx reply, as for the original.
            since_s: when the original was sent.
            overtakes: closes the original.
            on_end: called at the end, unless it was dropped.
        """
        self.won = False
        self.reply: ReplyHead | None = None
        self.error: BaseException | None = None
        self._connections = connections
        self._target = target
        self._fetch = fetch
        self._judge = judge
        self._since_s = since_s
        self._overtakes = overtakes
        self._on_end = on_end
        self._connection: Connection | None = None
        self._dropped = self._over = False
        self._waits = True
        connections.late.twins += 1
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._waits_no_more)

    @property
    def goes_on(self) -> bool:
        """Whether it brings the body, or still may without another connection to be made."""
        return not self._dropped and (self.won or (self._connection is not None and not self._over))

    async def end(self) -> None:
        """Wait for its end."""
        await asyncio.wait({self._task})

    def drop(self) -> None:
        """Close it at once; from now on nothing of it reaches the sink."""
        if self._over or self._dropped:
            return
        self._dropped = True
        if self._connection is not None:
            self._connection.fail(Overtaken())
        self._task.cancel()

    async def _run(self) -> None:
        connections = self._connections
        try:
            connection = await connections.open(self._target)
            self._connection = connection
            connections.lend(connection, since_s=self._since_s)
            try:
                self.reply = await self._fetch(connection, self._begin)
            finally:
                if not self.won:
                    connection.close()
                connections.give_back(connection, self._target)
        except Exception as error:  # noqa: BLE001 - it counts only if it won, and then whoever waits raises it
            self.error = error
        except asyncio.CancelledError as error:
            self.error = error
            raise
        finally:
            self._over = True
            if not self._dropped:
                self._tell()

    def _waits_no_more(self, _task: asyncio.Task[None] | None = None) -> None:
        if self._waits:
            self._waits = False
            self._connections.late.twins -= 1

    def _tell(self) -> None:
        if self.error is not None:
            self._connections.late.saw(self.error)
        elif self.reply is not None:
            self._connections.late.saw_status(self.reply.status)
        if self._on_end is not None:
            self._on_end()

    def _begin(self, reply: ReplyHead) -> Sink:
        sink = self._judge(reply)
        self.won = True
        self._overtakes()
        self._waits_no_more()
        self._connections.late.note(time.monotonic() - self._since_s)
        return sink


class Pair:
    """One GET, with the twin that it may get, once."""

    def __init__(self, connections: Connections, target: Target, fetch: Fetch, judge: Begin) -> None:
        self._connections = connections
        self._target = target
        self._fetch = fetch
        self._judge = judge
        self._twin: Twin | None = None

    async def exchange(self, original: Connection) -> None:
        """Receive the body over ``original``, or over a twin.

        Raises:
            Whatever ``fetch`` raises over the connection that won, or over ``original`` if none did.
        """
        watch = self._connections.watch_of(original)

        def begin(reply: ReplyHead) -> Sink:
            sink = self._judge(reply)
            if self._twin is not None:
                self._twin.drop()
            self._connections.late.note(time.monotonic() - watch.began_s)
            return sink

        def is_late() -> None:
            self._twin = Twin(
                self._connections,
                self._target,
                self._fetch,
                self._judge,
                since_s=watch.began_s,
                overtakes=lambda: original.fail(Overtaken()),
            )

        if self._twin is None:
            watch.late = is_late
        try:
            await self._fetch(original, begin)
        except Exception as error:
            twin = self._twin
            if twin is None or not twin.goes_on:
                raise
            self._connections.late.saw(error)
            await twin.end()
            if not twin.won:
                raise
            if twin.error is not None:
                raise twin.error from None
        finally:
            watch.late = None
            if self._twin is not None:
                self._twin.drop()
