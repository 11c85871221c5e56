"""Turns the totals of a transfer into the differences that the caller's progress callback gets."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from bulkhaul.engine.loop.callbacks import callback_failed
from bulkhaul.model.results import ProgressCallback, TransferResult

_log = logging.getLogger("bulkhaul")


class Deltas:
    """The differences between totals; their sum is the size on success (C48, C49).

    After an object was replaced its bytes count from 0 again: nothing is told until they pass what was told before.
    """

    def __init__(self, progress: ProgressCallback | None) -> None:
        self._progress = progress
        self._told = 0

    def reached(self, total: int) -> None:
        """Take how many bytes are there."""
        if self._progress is not None and total > self._told:
            self._progress(total - self._told)
            self._told = total  # only now: a callback that raised was told nothing

    def end(self, size_bytes: int) -> None:
        """Tell what is missing to the size; a negative difference if an object became shorter meanwhile.

        The object is in place by now, so what the callback raises is logged: it must not look like a failure of that.
        """
        if self._progress is not None and size_bytes != self._told:
            try:
                self._progress(size_bytes - self._told)
            except Exception:  # noqa: BLE001 - a callback may raise anything
                _log.warning("the progress callback failed after the transfer had succeeded", exc_info=True)
            self._told = size_bytes


async def telling(
    progress: ProgressCallback | None, transfer: Callable[[Callable[[int], None] | None], Awaitable[TransferResult]]
) -> TransferResult:
    """Carry out a transfer, and tell its progress.

    Args:
        progress: of the caller.
        transfer: gets what it is to call with its totals, None where nobody asks for them.

    Raises:
        TransferError: the transfer failed, or the callback has ended the program; see ``callbacks``.
    """
    if progress is None:
        return await transfer(None)
    deltas = Deltas(progress)
    result = await transfer(deltas.reached)
    try:
        deltas.end(result.size)
    except BaseException as error:
        raise callback_failed(error) from error
    return result
