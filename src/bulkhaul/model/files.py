"""Defines how a file, a folder or an object is recognised again: its identity."""

from __future__ import annotations

import msgspec


class SourceIdentity(msgspec.Struct, frozen=True):
    """Which file an upload was begun from, and in which state. ``mtime_ns``: since the epoch."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


class SourceObject(msgspec.Struct, frozen=True):
    """Which object a copy was begun from, and in which state; ``etag`` is never empty."""

    endpoint: str
    bucket: str
    key: str
    version_id: str
    etag: str
    size_bytes: int


class FolderIdentity(msgspec.Struct, frozen=True):
    """Which folder is meant, whatever path leads to it."""

    device: int
    inode: int
