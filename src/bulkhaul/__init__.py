"""bulkhaul moves objects between S3 and disk at the speed of the machine, and never lies about the result.

The public names are loaded when they are first used: a worker process imports this package too and needs few of them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's: importing that would put the forkserver off by 10 ms

if TYPE_CHECKING:
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.engine.shared import open  # noqa: A004 - as the built-in one, for objects
    from bulkhaul.model.results import Progress, TransferResult
    from bulkhaul.model.settings import Settings
    from bulkhaul.store.local import LocalStore
    from bulkhaul.store.memory import MemoryStore
    from bulkhaul.store.protocol import ObjectStore
    from bulkhaul.store.s3 import S3Store

__version__ = "0.1.0"

__all__ = [
    "AsyncEngine",
    "Engine",
    "LocalStore",
    "MemoryStore",
    "ObjectStore",
    "Progress",
    "S3Store",
    "Settings",
    "TransferResult",
    "__version__",
    "open",
]

_HOMES = {
    "AsyncEngine": "bulkhaul.engine.aio",
    "Engine": "bulkhaul.engine.facade",
    "LocalStore": "bulkhaul.store.local",
    "MemoryStore": "bulkhaul.store.memory",
    "ObjectStore": "bulkhaul.store.protocol",
    "Progress": "bulkhaul.model.results",
    "S3Store": "bulkhaul.store.s3",
    "Settings": "bulkhaul.model.settings",
    "TransferResult": "bulkhaul.model.results",
    "open": "bulkhaul.engine.shared",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bulkhaul' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
