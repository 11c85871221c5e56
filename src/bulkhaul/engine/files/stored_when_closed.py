"""Ends file objects that store an object: closing one stores it; an exception, or forgetting that, stores nothing."""

from __future__ import annotations

import io
import os
import warnings
from abc import abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

from bulkhaul.model.errors import Cancelled, UsageError
from bulkhaul.model.results import TransferResult

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class StoredWhenClosed(io.BufferedIOBase):
    """An object that is being written.

    A write that fails gives all of it up: every later call but ``abort`` raises the same, and nothing is stored.
    A wrapper around it, such as ``io.TextIOWrapper``, closes it also when a block of its own raises: that stores.

    Attributes:
        name: the object's URL or path.
        result: what was stored, once it is closed; None before, and after an abort.
    """

    def __init__(self, name: str) -> None:
        """Call this last: one that was not made to its end has nothing to give up."""
        self._at = 0
        self._pid = os.getpid()
        self._failure: BaseException | None = None
        self.name = name
        self.mode = "wb"
        self.result: TransferResult | None = None

    def writable(self) -> bool:
        """It can be written; not read, nor sought."""
        return True

    def tell(self) -> int:
        """Return how many bytes have been written.

        Raises:
            ValueError: it is closed.
        """
        self._require_open()
        return self._at

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of ``data``; waits while it comes faster than it can be stored.

        Raises:
            TransferError: the object cannot be stored; nothing of it is left.
            UsageError: the file belongs to the process that this one was forked from.
        """
        self._require_usable()
        with memoryview(data) as view, view.cast("B") as flat:
            try:
                self._take(flat)
            except BaseException as error:
                self._failure = error
                self._discard()
                raise
            self._at += len(flat)
            return len(flat)

    def close(self) -> None:
        """Store the object; safe to call twice.

        An exception that interrupts it, as Ctrl-C does, gives the object up; the service may have completed it by then.

        Raises:
            TransferError: it could not be stored; nothing of it is left.
            UsageError: the file belongs to the process that this one was forked from.
        """
        if self.closed:
            return
        try:
            self._require_usable()
            self.result = self._store()
        finally:
            self.abort()

    def abort(self) -> None:
        """Close without storing anything; what the key had before stays."""
        if self.closed:
            return
        self._failure = None
        super().close()
        if os.getpid() == self._pid:  # in a forked child it is the parent's, which goes on
            self._discard()

    @abstractmethod
    def _take(self, data: memoryview) -> None:
        """Take all of it."""

    @abstractmethod
    def _store(self) -> TransferResult:
        """Make the object of what was taken."""

    @abstractmethod
    def _discard(self) -> None:
        """Let go of everything; also after ``_store``, and twice."""

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _require_usable(self) -> None:
        self._require_open()
        if os.getpid() != self._pid:
            text = "this file belongs to the process that this one was forked from; open one here"
            raise UsageError(text, self.name)
        if isinstance(self._failure, Exception):
            raise self._failure
        if self._failure is not None:
            raise Cancelled("a write was interrupted, so nothing is stored", self.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if hasattr(self, "result") and not self.closed and os.getpid() == self._pid:  # it was made, and here
            warnings.warn(f"{self!r} was not closed: nothing is stored", ResourceWarning, stacklevel=2, source=self)
            self.abort()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._at} bytes written"
        return f"<{type(self).__name__} {self.name!r}, {state}>"
