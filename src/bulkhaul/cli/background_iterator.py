"""Runs an iterator in a thread, so that the main thread can wait for its items and for signals at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_UP_S = 0.01
"""How often a full queue is checked for room: if it looked less often, the consumer would wait for it."""

_MAX_WAITING = 1024
"""Items in the queue at most: a few hundred KiB of results."""


class _End:
    """Marks the end in the queue, after the last item."""


class BackgroundIterator(Generic[T]):
    """The items of an iterator, one by one, with a time limit for each wait.

    Attributes:
        ended: whether the last item was taken.
        error: what the iterator raised, None if nothing; final when ``ended`` is true.
    """

    def __init__(self, items: Callable[[], Iterator[T]]) -> None:
        """Begin to iterate over what ``items`` returns, in a thread of its own."""
        self.ended = False
        self.error: BaseException | None = None
        self._items = items
        self._queue = queue.SimpleQueue[T | _End]()
        self._came = threading.Event()  # an item, since the last look
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bulkhaul-feed", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no item is ready to take."""
        return self._queue.empty()

    def take(self, timeout_s: float) -> T | None:
        """Return the next item; None if none came in time, or there are no more.

        The event is waited for, not the queue: in Python 3.11 a ``SimpleQueue`` whose time ends while a signal is
        handled waits for an item without end, and Ctrl-C has no effect.
        """
        if timeout_s > 0 and self._queue.empty():
            self._came.clear()
            if self._queue.empty():  # else it came before the event was cleared
                self._came.wait(timeout_s)
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, _End):
            self.ended = True
            return None
        return item

    def abandon(self) -> None:
        """Tell the thread to stop after its current item; items already in the queue can still be taken."""
        self._abandoned.set()

    def join(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` for the thread to end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            for item in self._items():
                self._put(item)
                if self._abandoned.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - the main thread decides what it means
            self.error = error
        finally:
            self._put(_End())

    def _put(self, item: T | _End) -> None:
        while self._queue.qsize() >= _MAX_WAITING:
            if self._abandoned.wait(_LOOK_UP_S):
                return
        self._queue.put(item)
        if not self._came.is_set():
            self._came.set()
