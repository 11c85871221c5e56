"""Forks the forkserver from a command's own process, before the command imports and starts what only it needs.

Both need asyncio, msgspec and the messages between them. So these are imported once, and the forkserver goes on with
the worker's imports while the command goes on with its own.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing it from typing would delay `--version` by 10 ms

if TYPE_CHECKING:
    from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

_own_process = False
_started: ForkserverProcess | None = None


def allow() -> None:
    """Say that this process is the command's own, with one thread, so that it may be forked."""
    global _own_process
    _own_process = True


def start() -> None:
    """Start the forkserver, where that is allowed; elsewhere the engine starts one by exec when it needs it.

    Raises:
        TransferError: the platform cannot run one, or starts no more processes.
    """
    global _started
    if not _own_process:
        return
    from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

    _started = ForkserverProcess(fork=True)


def take() -> ForkserverProcess | None:
    """Return the forkserver if one was started; the caller owns it from now on."""
    global _started
    taken, _started = _started, None
    return taken


def abandon() -> None:
    """End a forkserver that was started but never taken, without waiting for its imports."""
    if (unused := take()) is not None:
        unused.close()
