"""A way to a real server on which one answer is lost: the server does what it was asked, and nobody hears of it.

Job: pass everything on, in a process of its own, but for the answer to the first request that holds some bytes; write a
file when it was dropped. Must not know what passes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bulkhaul.embedded.ports import free_ports

from .process import accepts, running


@contextmanager
def forgetful(server_port: int, marks: bytes) -> Iterator[tuple[str, Path]]:
    """Yield the URL that leads to the server, and the file that appears when the answer is dropped.

    Args:
        marks: bytes of the request whose answer is lost; they must come in one piece.
    """
    with free_ports(1) as (port,), tempfile.TemporaryDirectory(prefix="forgetful-") as name:
        dropped = Path(name) / "dropped"
        command = [
            sys.executable,
            "-m",
            "tests.servers.forgetful",
            str(port),
            str(server_port),
            marks.hex(),
            str(dropped),
        ]
        here = {"PYTHONPATH": str(Path(__file__).parents[2])}
        with running(command, folder=Path(name), ready=lambda: accepts(port), environment=here):
            yield f"http://127.0.0.1:{port}", dropped


async def _serve(port: int, server_port: int, marks: bytes, dropped: Path) -> None:
    def forget() -> bool:
        first = not dropped.exists()
        dropped.touch()
        return first

    async def passed(ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        theirs, there = await asyncio.open_connection("127.0.0.1", server_port)
        doomed = asyncio.Event()

        async def up() -> None:
            while data := await ours.read(1 << 16):
                if marks in data and forget():
                    doomed.set()
                there.write(data)
            there.close()

        async def down() -> None:
            while (data := await theirs.read(1 << 16)) and not doomed.is_set():
                back.write(data)
            back.close()

        with suppress(OSError):
            await asyncio.gather(up(), down())

    async with await asyncio.start_server(passed, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]), Path(sys.argv[4])))
