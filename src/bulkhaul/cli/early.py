"""Starts the forkserver before the command line is parsed.

The forkserver's imports take longer than everything else before the first request, so they begin with the process.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing it from typing would delay the forkserver by 10 ms

if TYPE_CHECKING:
    from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

_USES_SERVICE = frozenset({"cp", "mv", "cat", "pipe", "ls", "head", "rm", "du", "presign", "cleanup", "doctor"})
_HELP = frozenset({"-h", "--help"})

_started: ForkserverProcess | None = None


def start(arguments: list[str]) -> None:
    """Start the forkserver if these arguments look like a command that uses the service."""
    global _started
    if arguments[:1] and arguments[0] in _USES_SERVICE and not _HELP.intersection(arguments):
        from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

        try:
            _started = ForkserverProcess()
        except Exception:  # noqa: BLE001 - ``take`` meets the same failure, and can report it
            _started = None


def take() -> ForkserverProcess:
    """Return the forkserver that was started, or a new one; the caller owns it from now on.

    Raises:
        Unsupported: this platform cannot run one.
    """
    global _started
    from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

    taken, _started = _started, None
    return taken or ForkserverProcess()


def abandon() -> None:
    """Kill a forkserver that was started but never taken, without waiting for its imports."""
    global _started
    unused, _started = _started, None
    if unused is not None:
        unused.process.kill()
        unused.close()
