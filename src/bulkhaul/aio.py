"""The public names for asyncio programs; it must define nothing of its own."""

from bulkhaul.engine.aio import AsyncEngine as Engine
from bulkhaul.store.aio import S3Store

__all__ = ["Engine", "S3Store"]
