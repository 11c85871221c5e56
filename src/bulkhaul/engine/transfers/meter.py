"""Adds up the progress of the bodies that one object is sent in, and tells the sum to its callback."""

from __future__ import annotations

from collections.abc import Callable

from bulkhaul.engine.loop.callbacks import callback_failed

OnMoved = Callable[[int], None]
"""Called with the bytes of one transfer that have been moved so far."""


class Meter:
    """Adds up the bytes that several bodies of one object have moved, each byte once."""

    def __init__(self, on_moved: OnMoved | None, base_bytes: int = 0) -> None:
        self._on_moved = on_moved
        self._total_bytes = base_bytes
        self._moving: dict[int, int] = {}

    def part(self, number: int) -> OnMoved | None:
        """Return the callback for the progress of part ``number``, None where the transfer has none."""
        if self._on_moved is None:
            return None

        def moved(count: int) -> None:
            self._total_bytes += count - self._moving.get(number, 0)
            self._moving[number] = count
            self.tell()

        return moved

    def done(self, number: int, size_bytes: int) -> None:
        """Count a part as whole."""
        self._total_bytes += size_bytes - self._moving.pop(number, 0)
        self.tell()

    def tell(self) -> None:
        """Call the callback with the sum.

        Raises:
            TransferError: the callback failed.
        """
        if self._on_moved is None:
            return
        try:
            self._on_moved(self._total_bytes)
        except BaseException as error:  # noqa: BLE001 - it may raise anything, and that is the failure of this transfer alone
            failed = callback_failed(error)
            raise failed from failed.__cause__
