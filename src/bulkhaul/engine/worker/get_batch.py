"""Receives the small objects of a batch, in a worker: each into a temp file of its own, with its checksum."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine

from bulkhaul.disk.small_files import SmallFile, temp_of
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.messages import GetBatch, GetRow, Landed, RowFailed
from bulkhaul.engine.worker.batch_run import BatchRun, info_of
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.limits import KIB
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.model.preserving import Kept
from bulkhaul.policy.file_metadata import MODE, MTIME, kept_mode, kept_mtime
from bulkhaul.wire.checksums import COMPUTABLE, CRC_BYTES, Hasher, Update, encoded_crc, hasher, updater
from bulkhaul.wire.reply import Headers
from bulkhaul.wire.values import GetRequest

SCRATCH_BYTES = 256 * KIB
"""Memory that bodies pass through on the way to the disk; all connections share it, as each read is written at once."""


class _Row:
    """One object on its way into its file.

    Attributes:
        request: what is asked for.
        place: of the row in its batch.
    """

    __slots__ = (
        "_batch",
        "_crc",
        "_file",
        "_hasher",
        "_mode",
        "_mtime_ns",
        "_promised",
        "_received_bytes",
        "_update",
        "place",
        "request",
    )

    def __init__(self, batch: GetRun, place: int, row: GetRow) -> None:
        lease, size_bytes = batch.lease, row.size_bytes
        self.place = place
        self.request = GetRequest(
            lease.target, lease.bucket, lease.prefix + row.name, row.etag, 0, size_bytes, size_bytes, whole=True
        )
        self._batch = batch
        self._mtime_ns = row.mtime_ns
        self._mode: int | None = None
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

    def take_headers(self, headers: Headers) -> None:
        """Take what the reply tells of the file that the object was made of."""
        lease = self._batch.lease
        if Kept.TIMESTAMPS in lease.preserves:
            kept = kept_mtime({MTIME: headers.get(f"x-amz-meta-{MTIME}", "")})
            self._mtime_ns = self._mtime_ns if kept is None else kept
        if Kept.MODE in lease.preserves:
            self._mode = kept_mode({MODE: headers.get(f"x-amz-meta-{MODE}", "")})

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
        self._batch.arriving_bytes += count

    def arrived(self, etag: str) -> None:
        """All of it has been received."""
        batch, file = self._batch, self._file
        try:
            if file is None:  # no object of a batch is empty
                raise OSError(0, "nothing was received")
            inode, changed_ns, private = file.settle(
                batch.lease.mode if self._mode is None else self._mode, self._mtime_ns
            )
            computed = ""
            if self._promised is not None and self._update is not None:
                computed = encoded_crc(self._promised.algorithm, self._crc)
            elif self._hasher is not None:
                computed = base64.b64encode(self._hasher.digest()).decode()
        except Exception as error:  # noqa: BLE001 - it would end in a callback of the loop
            self.failed(error)
            return
        batch.arriving_bytes -= self._received_bytes
        received = (self._received_bytes, etag, self._promised, computed)
        batch.landed(Landed(self.place, inode, changed_ns, private, *received, self._mode), file)

    def failed(self, error: ErrorInfo | BaseException) -> None:
        """It ends with an error, or is not wanted any more."""
        file, self._file = self._file, None
        if file is not None:
            file.discard()
        self._batch.arriving_bytes -= self._received_bytes
        self._batch.failed(self.place, error)


class GetRun(BatchRun):
    """A batch of objects that are received.

    Attributes:
        scratch: where bodies are received.
    """

    def __init__(
        self,
        lease: GetBatch,
        folder_fd: int,
        transports: Transports,
        crowded: Callable[[], bool],
        scratch: memoryview,
    ) -> None:
        """Take over the descriptor of the folder."""
        super().__init__(lease, folder_fd, transports, crowded)
        self.lease = lease
        self.scratch = scratch
        self._unflushed: list[tuple[Landed, SmallFile]] = []

    def _lane(self) -> Coroutine[None, None, None]:
        return self.transports.get_small(self.lease.target, self)

    def take(self) -> _Row | None:
        """Return the next object, None if no other is to be begun."""
        place = self.next_place()
        return None if place is None else _Row(self, place, self.lease.rows[place])

    def file_of(self, place: int) -> SmallFile:
        """Create the temp file of a row.

        Raises:
            OSError: the folder refuses.
        """
        lease = self.lease
        name = "" if lease.vacant else lease.rows[place].name
        mode = 0o600 if Kept.MODE in lease.preserves else lease.mode  # which is told by the reply, and may be as narrow
        return SmallFile(self.folder_fd, temp_of(lease.token, place), name, mode)

    def landed(self, landed: Landed, file: SmallFile) -> None:
        """A row is in its file."""
        self.is_through(landed.row)
        if self.lease.fsync:
            self._unflushed.append((landed, file))
        else:
            file.close()
            self.ended.landed.append(landed)

    async def _finish(self) -> None:
        """Flush the files in a thread, since each takes milliseconds."""
        if not self._unflushed:
            return
        files = [file for _, file in self._unflushed]
        errors: list[TransferError | OSError | None]
        try:
            errors = await in_thread(_flush_all, files)
        except TransferError as error:  # no thread
            errors = [error] * len(files)
        for (landed, file), failure in zip(self._unflushed, errors, strict=True):
            if failure is None:
                file.close()
                self.ended.landed.append(landed)
            else:
                file.discard()
                self.ended.failed.append(RowFailed(landed.row, self.transports.cleaned(info_of(failure))))


def _flush_all(files: list[SmallFile]) -> list[TransferError | OSError | None]:
    errors: list[TransferError | OSError | None] = []
    for file in files:
        try:
            file.flush()
            errors.append(None)
        except OSError as error:
            errors.append(error)
    return errors
