"""Starts the forkserver before the command line is parsed; it must not know what the command is.

The forkserver's imports take longer than everything else before the first request, so they begin with the process.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's: importing that would put the forkserver off by 10 ms

if TYPE_CHECKING:
    from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

_ASKING = frozenset({"cp", "mv", "cat", "pipe", "ls", "head", "rm", "du", "presign", "cleanup", "doctor"})
_HELP = frozenset({"-h", "--help"})

_started: ForkserverProcess | None = None


def start(arguments: list[str]) -> None:
    """Start it if these arguments look like a command that asks the service."""
    global _started
    if arguments[:1] and arguments[0] in _ASKING and not _HELP.intersection(arguments):
        from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

        try:
            _started = ForkserverProcess()
        except Exception:  # noqa: BLE001 - the command meets the same failure where it can be told
            _started = None


def take() -> ForkserverProcess:
    """Return the forkserver, which is the caller's from now on; a new one if none was started.

    Raises:
        Unsupported: this platform cannot run one.
    """
    global _started
    from bulkhaul.engine.pool.forkserver_process import ForkserverProcess

    taken, _started = _started, None
    return taken or ForkserverProcess()


def abandon() -> None:
    """End one that nobody took, without waiting for its imports."""
    global _started
    unused, _started = _started, None
    if unused is not None:
        unused.process.kill()
        unused.close()
