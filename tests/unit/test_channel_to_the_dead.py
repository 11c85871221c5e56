"""A channel whose other end is gone: the end is what it is, however it shows."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from bulkhaul.engine.messages.channel import END_OF_FILE, Channel
from bulkhaul.engine.messages.messages import Fork, FromForkserver
from tests.patience import PATIENCE_S


@pytest.mark.parametrize("waiting", [False, True], ids=["at once", "behind what waits"])
def test_a_message_to_one_that_is_gone(*, waiting: bool) -> None:
    """A send that meets a dead peer before a read does tells an end, no fault of the peer's."""

    async def run() -> str:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ended = asyncio.get_running_loop().create_future()
        channel: Channel[FromForkserver] = Channel(
            ours, FromForkserver, on_message=lambda *_: None, on_closed=ended.set_result
        )
        with contextlib.closing(channel):
            if waiting:
                while not channel._unsent:
                    channel.send(Fork(1))
                asyncio.get_running_loop().remove_reader(ours.fileno())  # the writer comes first
            theirs.close()
            if not waiting:
                channel.send(Fork(1))
            return str(await asyncio.wait_for(ended, PATIENCE_S))

    assert asyncio.run(run()) == END_OF_FILE
