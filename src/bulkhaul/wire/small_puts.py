"""Sends small objects one after the other over one connection: the whole body with the request, then its reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bulkhaul.model.errors import TransferError
from bulkhaul.model.writing import Stored
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.late_replies import LateReplies
from bulkhaul.wire.reply import failed_put, stored_by
from bulkhaul.wire.request_log import RequestLog
from bulkhaul.wire.small_exchanges import Rows, Small, SmallExchanges
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.values import PutRequest


class Given(Small, Protocol):
    """One object that is sent whole."""

    def load(self) -> tuple[PutRequest, bytes]:
        """Return the request and the body.

        Raises:
            TransferError: it cannot be sent.
            OSError: it cannot be read.
        """
        ...

    def stored(self, stored: Stored) -> None:
        """Take what the service says of the stored object. Raises nothing."""
        ...


class SmallPuts(SmallExchanges[Given]):
    """What one connection sends."""

    def __init__(
        self,
        connection: Connection,
        encode: Callable[[PutRequest, bytes], bytes],
        rows: Rows[Given],
        watch: Watch,
        late: LateReplies,
        log: RequestLog,
    ) -> None:
        """Take a connection, what writes the head of a request, what is to be sent, and who is told of trouble."""
        super().__init__(connection, rows, watch, late, log)
        self._encode = encode
        self._where = self._url = ""

    def _start(self, one: Given) -> None:
        request, body = one.load()
        self._where = request.target.host_header
        self._url = request.target.url(request.key) if self._log.on else ""
        self._connection.start(self._encode(request, body), None, self._ended, body)

    def _named(self, one: Given) -> tuple[str, str]:  # noqa: ARG002 - its request is made anew by every load
        return "PUT", self._url

    def _answered(self, one: Given, reply: ReplyHead) -> None:
        if wrong := failed_put(reply.status, reply.headers, self._connection.error_body):
            one.failed(wrong)
            return
        try:
            stored = stored_by(reply.headers, etag=reply.headers.get("etag", ""), where=self._where)
        except TransferError as error:
            one.failed(error.info)
            return
        one.stored(stored)
