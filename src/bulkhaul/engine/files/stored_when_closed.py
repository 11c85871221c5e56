"""Ends file objects that store an object: closing one stores it; an exception, or forgetting that, stores nothing."""

from __future__ import annotations

import io
import warnings
from abc import abstractmethod
from types import TracebackType

from bulkhaul.model.results import TransferResult


class StoredWhenClosed(io.BufferedIOBase):
    """An object that is being written.

    Attributes:
        name: the object's URL or path.
        result: what was stored, once it is closed; None before, and after an abort.
    """

    def __init__(self, name: str) -> None:
        """Call this last: one that was not made to its end has nothing to give up."""
        self._at = 0
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

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    @abstractmethod
    def abort(self) -> None:
        """Close without storing anything; what the key had before stays."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if hasattr(self, "result") and not self.closed:  # it was made
            warnings.warn(f"{self!r} was not closed: nothing is stored", ResourceWarning, stacklevel=2, source=self)
            self.abort()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._at} bytes written"
        return f"<{type(self).__name__} {self.name!r}, {state}>"
