"""Sends the small files of a batch, in a worker: each is read whole, looked at again, and sent by one PUT."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import msgspec

from bulkhaul.disk.source import read_small
from bulkhaul.engine.messages.messages import PutBatch, PutRow, Sent
from bulkhaul.engine.worker.batch_run import BatchRun
from bulkhaul.engine.worker.put import other_checksum
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.writing import Stored
from bulkhaul.policy.file_metadata import metadata_of
from bulkhaul.wire.checksums import encoded_crc, updater
from bulkhaul.wire.option_headers import put_headers
from bulkhaul.wire.values import PutRequest


class _Row:
    """One file on its way to the service.

    Attributes:
        place: of the row in its batch.
    """

    __slots__ = ("_batch", "_checksum", "_row", "place")

    def __init__(self, batch: PutRun, place: int, row: PutRow) -> None:
        self.place = place
        self._batch = batch
        self._row = row
        self._checksum = ""

    def load(self) -> tuple[PutRequest, bytes]:
        """Return the request and the body.

        Raises:
            LocalError: it is no regular file, or has not the length that was listed, or has just changed.
            OSError: it cannot be read.
            UsageError: a value that no header can carry.
        """
        lease, row = self._batch.lease, self._row
        body, found = read_small(self._batch.folder_fd, row.name, row.size_bytes)
        headers = self._batch.headers_of(row.content_type)
        if kept := metadata_of(found, lease.preserves):
            named = lease.options.content.metadata
            headers = (*headers, *((f"x-amz-meta-{name}", value) for name, value in kept.items() if name not in named))
        if lease.algorithm:
            self._checksum = encoded_crc(lease.algorithm, updater(lease.algorithm)(body, 0))
            headers = (*headers, (f"x-amz-checksum-{lease.algorithm.lower()}", self._checksum))
        return PutRequest(lease.target, lease.bucket, lease.prefix + row.name, headers), body

    def stored(self, stored: Stored) -> None:
        """The service has stored it."""
        if wrong := other_checksum(self._batch.lease.algorithm, self._checksum, stored):
            self.failed(ErrorInfo("BodyCorrupted", "the service stored other bytes than were sent", cause=wrong))
        else:
            self._batch.sent(Sent(self.place, stored, self._checksum))

    def failed(self, error: ErrorInfo | BaseException) -> None:
        """It ends with an error, or is not wanted any more."""
        self._batch.failed(self.place, error)


class PutRun(BatchRun):
    """A batch of files that are sent."""

    def __init__(self, lease: PutBatch, folder_fd: int, transports: Transports, crowded: Callable[[], bool]) -> None:
        """Take over the descriptor of the folder."""
        super().__init__(lease, folder_fd, transports, crowded)
        self.lease = lease
        self._headers: dict[str, tuple[tuple[str, str], ...]] = {}

    def _lane(self) -> Coroutine[None, None, None]:
        return self.transports.put_small(self.lease.target, self)

    async def _finish(self) -> None:
        pass

    def take(self) -> _Row | None:
        """Return the next file, None if no other is to be begun."""
        place = self.next_place()
        return None if place is None else _Row(self, place, self.lease.rows[place])

    def headers_of(self, content_type: str) -> tuple[tuple[str, str], ...]:
        """Return the headers of files of one content type.

        Raises:
            UsageError: a value that no header can carry.
        """
        known = self._headers.get(content_type)
        if known is None:
            options = self.lease.options
            content = msgspec.structs.replace(options.content, content_type=content_type)
            known = tuple(put_headers(msgspec.structs.replace(options, content=content)))
            self._headers[content_type] = known
        return known

    def sent(self, sent: Sent) -> None:
        """A file is stored."""
        self.is_through(sent.row)
        self.ended.sent.append(sent)
