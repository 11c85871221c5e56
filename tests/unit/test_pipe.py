"""Pipes that are read block by block."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from bulkhaul.engine.transfers import pipe
from bulkhaul.engine.transfers.pipe import PipeReader
from bulkhaul.model.errors import LocalError


def test_no_descriptor_for_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of memory has one: where there is none, the error says which limit to raise."""

    def refuse() -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(pipe, "new_memory", refuse)

    async def play() -> None:
        fd, other = os.pipe()
        reader = PipeReader(fd)
        try:
            await reader.block(0, 1, 1000)
        finally:
            reader.stop()
            os.close(fd)
            os.close(other)

    with pytest.raises(LocalError, match="ulimit -n"):
        asyncio.run(play())
