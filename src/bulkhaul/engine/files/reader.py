"""Reads one version of an object as a seekable file, and asks for what follows before it is wanted."""

from __future__ import annotations

import io
import os
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, NamedTuple

from bulkhaul.engine.files.runs import Runs
from bulkhaul.model.errors import Cancelled
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy.read_ahead import FIRST_BYTES, ReadAhead
from bulkhaul.wire.values import RemoteObject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ObjectReader(io.BufferedReader):
    """An object, open for reading: ``open(url, "rb")`` returns it.

    All bytes are of the version that was there when it was opened; once another one is in its place, reading fails.
    Only where the service tells neither ETag nor version id can that not be seen.
    What follows is on its way while a program reads on; after a ``seek`` little is asked for. At most 36 MiB are held.
    A ranged reply is checked for its length and its version; for the stored checksum, ``download`` the object.

    Attributes:
        name: the object's URL.
        size: its length in bytes.
        etag: of the version that is read; empty where the service tells none.
        version_id: of the same; empty where the service tells none.
    """

    raw: _RawObject

    def __init__(self, engine: Runs, ref: ObjectRef, version_id: str = "") -> None:
        """Look at the object.

        Raises:
            NotFound: there is no such object.
            TransferError: it cannot be looked at.
        """
        remote = engine.run(engine.aio.control.look, ref, version_id)
        super().__init__(_RawObject(engine, remote), FIRST_BYTES)

    @property
    def name(self) -> str:
        """The object's URL."""
        return self.raw.remote.ref.url

    @property
    def size(self) -> int:
        """Length of the object in bytes."""
        return self.raw.remote.head.size

    @property
    def etag(self) -> str:
        """ETag of the version that is read."""
        return self.raw.remote.head.etag

    @property
    def version_id(self) -> str:
        """Id of the version that is read."""
        return self.raw.remote.head.version_id

    def __repr__(self) -> str:
        try:
            state = self._state()
        except ValueError:  # as io's own readers say it
            state = "detached"
        return f"<{type(self).__name__} {state}>"

    def _state(self) -> str:
        state = "closed" if self.closed else f"at {self.tell()} of {self.size} bytes"
        return f"{self.name!r}, {state}"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an open object cannot be pickled; pickle its URL, and open it anew")


class _Piece(NamedTuple):
    start: int
    end: int
    data: Future[bytes]


class _RawObject(io.RawIOBase):
    mode = "rb"

    def __init__(self, engine: Runs, remote: RemoteObject) -> None:
        self._engine = engine
        self.remote = remote
        self._plan = ReadAhead(remote.head.size)
        self._pieces: deque[_Piece] = deque()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._require_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.remote.head.size}.get(whence)
        if base is None:
            raise ValueError(f"whence is {whence}; it can be 0, 1 or 2")
        if base + offset < 0:
            raise ValueError(f"there is no byte {base + offset} in a file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        self._require_open()
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._require_open()
        with memoryview(buffer) as view, view.cast("B") as space:
            wanted = min(len(space), self.remote.head.size - self._at)
            if wanted <= 0:
                return 0
            piece = self._piece(wanted)
            data = self._fetched(piece)
            begin = self._at - piece.start
            count = min(wanted, len(data) - begin)
            space[:count] = memoryview(data)[begin : begin + count]
        self._at += count
        return count

    def readall(self) -> bytes:
        self._require_open()
        data = bytearray(max(0, self.remote.head.size - self._at))
        filled = 0
        with memoryview(data) as view:
            while filled < len(data):
                filled += self.readinto(view[filled:])
        return bytes(data)

    def close(self) -> None:
        if not self.closed:
            self._drop_all()
        super().close()

    def _piece(self, wanted: int) -> _Piece:
        """Return the piece that holds the next byte, and have what follows asked for."""
        at = self._at
        if not self._pieces or not self._pieces[0].start <= at <= self._plan.end:
            self._drop_all()
            self._plan.jump(at)
        # The piece before is kept: a reader that looks back a little, as unzip does, finds it.
        while len(self._pieces) > 1 and self._pieces[1].end <= at:
            self._pieces.popleft().data.cancel()
        for start, end in self._plan.ranges(at, wanted):
            data = self._engine.start_task(self._engine.aio.read_of, self.remote, start, end)
            self._pieces.append(_Piece(start, end, data))
        return next(piece for piece in self._pieces if piece.start <= at < piece.end)

    def _fetched(self, piece: _Piece) -> bytes:
        try:
            return piece.data.result()
        except CancelledError as error:
            self._drop_all()
            raise Cancelled("the engine was closed", self.remote.ref.url) from error
        except BaseException:
            self._drop_all()  # the next read asks anew
            raise

    def _drop_all(self) -> None:
        for piece in self._pieces:
            piece.data.cancel()
        self._pieces.clear()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
