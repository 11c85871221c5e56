"""Receives batches of small objects, in a worker: each into a temp file of its own, and all of them reported at once.

    batch ─▶ rows ─▶ connections, each of which takes the next row by itself ─▶ temp file, checksum ─▶ BatchEnded

What befalls the whole host (throttling, a broken connection, expired credentials) ends a batch early: rows that were
not begun go back untouched, and the coordinator decides when they are tried again.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import deque

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.small_files import SmallFile, temp_of
from bulkhaul.engine.loop.threads import in_thread, unforeseen
from bulkhaul.engine.messages.messages import BatchEnded, GetBatch, GetRow, Landed, RowFailed
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.limits import KIB
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.wire.checksums import COMPUTABLE, CRC_BYTES, Hasher, Update, encoded_crc, hasher, updater
from bulkhaul.wire.small_gets import Stopped
from bulkhaul.wire.transport import NotSpoken
from bulkhaul.wire.values import GetRequest

SCRATCH_BYTES = 256 * KIB
"""Memory that bodies pass through on the way to the disk; all connections share it, as each read is written at once."""

ENDS_BATCH = frozenset({"Throttled", "NetworkError", "ExpiredCredentials"})
"""Errors that the next object would meet as well."""


class _Row:
    """One object on its way into its file.

    Attributes:
        request: what is asked for.
        place: of the row in its batch.
    """

    __slots__ = ("_batch", "_crc", "_file", "_hasher", "_promised", "_received_bytes", "_update", "place", "request")

    def __init__(self, batch: BatchRun, place: int, row: GetRow) -> None:
        lease, size_bytes = batch.lease, row.size_bytes
        self.place = place
        self.request = GetRequest(
            lease.target, lease.bucket, lease.prefix + row.name, row.etag, 0, size_bytes, size_bytes, whole=True
        )
        self._batch = batch
        self._file: SmallFile | None = None
        self._update: Update | None = None
        self._hasher: Hasher | None = None
        self._promised: Checksum | None = None
        self._crc = 0
        self._received_bytes = 0

    def expect(self, checksum: Checksum | None) -> None:
        """Note the checksum in the reply's header, and compute it from now on if that is possible."""
        self._promised = checksum
        if checksum is None or checksum.kind is not ChecksumKind.FULL_OBJECT or checksum.algorithm not in COMPUTABLE:
            return
        if checksum.algorithm in CRC_BYTES:
            self._update = updater(checksum.algorithm)
        else:
            self._hasher = hasher(checksum.algorithm)

    def space(self) -> memoryview:
        """Return writable space for the next bytes."""
        return self._batch.scratch

    def received(self, count: int) -> None:
        """Write the first ``count`` bytes of the space to the file."""
        data = self._batch.scratch[:count]
        if self._file is None:
            self._file = self._batch.file_of(self.place)
        if self._update is not None:
            self._crc = self._update(data, self._crc)
        elif self._hasher is not None:
            self._hasher.update(data)
        self._file.write(data)
        self._received_bytes += count

    def arrived(self, etag: str) -> None:
        """All of it has been received."""
        batch, file = self._batch, self._file
        try:
            if file is None:  # no object of a batch is empty
                raise OSError(0, "nothing was received")
            inode, changed_ns, private = file.settle(batch.lease.rows[self.place].name, batch.lease.mode)
            computed = ""
            if self._promised is not None and self._update is not None:
                computed = encoded_crc(self._promised.algorithm, self._crc)
            elif self._hasher is not None:
                computed = base64.b64encode(self._hasher.digest()).decode()
        except Exception as error:  # noqa: BLE001 - it would end in a callback of the loop
            self.failed(error)
            return
        batch.landed(
            Landed(self.place, inode, changed_ns, private, self._received_bytes, etag, self._promised, computed), file
        )

    def failed(self, error: ErrorInfo | BaseException) -> None:
        """It ends with an error, or is not wanted any more."""
        file, self._file = self._file, None
        if file is not None:
            file.discard()
        self._batch.failed(self.place, error)


class BatchRun:
    """One batch in this worker, and the rows that its connections take.

    Attributes:
        scratch: where bodies are received.
    """

    def __init__(self, lease: GetBatch, folder_fd: int, transports: Transports, scratch: memoryview) -> None:
        """Take over the descriptor of the folder."""
        self.lease = lease
        self.scratch = scratch
        self._folder_fd = folder_fd
        self._transports = transports
        self._waiting = deque(range(len(lease.rows)))
        self._under_way = 0
        self._lanes: set[asyncio.Task[None]] = set()
        self._landed: list[Landed] = []
        self._failed: list[RowFailed] = []
        self._unflushed: list[tuple[Landed, SmallFile]] = []
        self._error: ErrorInfo | None = None
        self._settled_bytes = 0
        self._reported = False

    @property
    def reached(self) -> tuple[int, int]:
        """The lease, and the bytes of its rows that are through."""
        return self.lease.lease, self._settled_bytes

    @property
    def _over(self) -> bool:
        return not self._under_way and (self._error is not None or not self._waiting)

    async def serve(self) -> BatchEnded | None:
        """Fetch rows over one connection as long as there are any; return the outcome of all if these were the last.

        Never raises.
        """
        if not self._over:
            lane = asyncio.create_task(self._transports.get_small(self.lease.target, self))
            self._lanes.add(lane)
            try:
                await lane
            except asyncio.CancelledError:
                pass  # stopped
            except Exception as error:  # noqa: BLE001 - whatever a batch brings about must not end the worker
                self._end(self._transports.cleaned(unforeseen(error, "the objects could not be received")))
            finally:
                self._lanes.discard(lane)
        if self._reported or not self._over:
            return None
        self._reported = True
        if self._unflushed:
            await self._flush()
        os.close(self._folder_fd)
        return BatchEnded(self.lease.lease, self._landed, self._failed, self._error)

    def stop(self) -> None:
        """Begin no other row, and give up those under way."""
        self._end(ErrorInfo("Cancelled", "the batch was taken back"))
        for lane in self._lanes:
            lane.cancel()

    def _end(self, error: ErrorInfo) -> None:
        if self._error is None:
            self._error = error

    # What a connection asks for and tells

    def take(self) -> _Row | None:
        """Return the next row, None if no other is to be begun."""
        if self._error is not None or not self._waiting:
            return None
        place = self._waiting.popleft()
        self._under_way += 1
        return _Row(self, place, self.lease.rows[place])

    def put_back(self, place: int) -> None:
        """Take a row back of which nothing was asked for yet."""
        self._under_way -= 1
        self._waiting.appendleft(place)

    def file_of(self, place: int) -> SmallFile:
        """Create the temp file of a row.

        Raises:
            OSError: the folder refuses.
        """
        return SmallFile(self._folder_fd, temp_of(self.lease.token, place))

    def landed(self, landed: Landed, file: SmallFile) -> None:
        """A row is in its file."""
        self._under_way -= 1
        self._settled_bytes += landed.size_bytes
        if self.lease.fsync:
            self._unflushed.append((landed, file))
        else:
            file.close()
            self._landed.append(landed)

    def failed(self, place: int, error: ErrorInfo | BaseException) -> None:
        """A row has failed, and nothing is left of it."""
        self._under_way -= 1
        if isinstance(error, Stopped):
            self._waiting.appendleft(place)
            return
        info = self._transports.cleaned(_info_of(error))
        self._settled_bytes += self.lease.rows[place].size_bytes
        self._failed.append(RowFailed(place, info))
        if info.code in ENDS_BATCH:
            self._end(info)

    async def _flush(self) -> None:
        """Flush the files in a thread, since each takes milliseconds."""
        files = [file for _, file in self._unflushed]
        try:
            errors = await in_thread(_flush_all, files)
        except TransferError as error:  # no thread
            errors = [error] * len(files)
        for (landed, file), failure in zip(self._unflushed, errors, strict=True):
            if failure is None:
                file.close()
                self._landed.append(landed)
            else:
                file.discard()
                self._failed.append(RowFailed(landed.row, self._transports.cleaned(_info_of(failure))))


class BatchFetcher:
    """The batches of one worker."""

    def __init__(self, transports: Transports) -> None:
        self._transports = transports
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._runs: dict[int, BatchRun] = {}

    def begin(self, lease: GetBatch, folder_fd: int) -> BatchRun:
        """Take a batch and the descriptor of its folder."""
        run = self._runs[lease.lease] = BatchRun(lease, folder_fd, self._transports, self._scratch)
        return run

    async def serve(self, run: BatchRun) -> BatchEnded | None:
        """See ``BatchRun.serve``."""
        ended = await run.serve()
        if ended is not None:
            del self._runs[run.lease.lease]
        return ended

    def reached(self) -> list[tuple[int, int]]:
        """Return (lease, bytes of the rows that are through) of the batches under way."""
        return [run.reached for run in self._runs.values()]

    def stop(self, lease: int) -> bool:
        """End a batch early; whether it is here."""
        if (run := self._runs.get(lease)) is None:
            return False
        run.stop()
        return True


def _flush_all(files: list[SmallFile]) -> list[TransferError | OSError | None]:
    errors: list[TransferError | OSError | None] = []
    for file in files:
        try:
            file.flush()
            errors.append(None)
        except OSError as error:
            errors.append(error)
    return errors


def _info_of(error: ErrorInfo | BaseException) -> ErrorInfo:
    if isinstance(error, ErrorInfo):
        return error
    if isinstance(error, TransferError):
        return error.info
    if isinstance(error, NotSpoken):
        return ErrorInfo("Unsupported", f"the fast transport does not read {error}")
    if isinstance(error, OSError):
        return local_error(error).info
    return unforeseen(error if isinstance(error, Exception) else Exception(repr(error)), "the object was not received")
