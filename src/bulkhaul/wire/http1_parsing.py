"""Parses the header block of an HTTP/1.1 reply, and the body of one that reports an error.

llhttp (httptools) does the parsing; it refuses what RFC 9112 forbids. A parser holds methods of whoever listens to it,
so that one keeps no parser: a cycle would hold a whole document until the next look for garbage.
"""

from __future__ import annotations

import httptools
import msgspec

MAX_ERROR_BYTES = 64 * 1024
"""Most bytes of an error document that are kept."""


class ReplyHead(msgspec.Struct):
    """Status and headers of a reply, header names in lower case, repeated ones joined by a comma."""

    status: int
    headers: dict[str, str]
    keep_alive: bool


class ProtocolError(ConnectionError):
    """The peer sent something other than an HTTP/1.1 reply."""


class _HeadJudge:
    """Hears from llhttp that it has understood a whole header block, and whether the connection outlives the reply."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.complete = self.keep_alive = False

    def on_headers_complete(self) -> None:
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()


def parse_head(block: bytes) -> ReplyHead:
    """Parse one header block, its blank line included.

    llhttp judges the block. That it calls back for each header would cost more than all the rest: as it lets none be
    continued on another line, or end in anything but CR LF, they can be told apart without it.

    Raises:
        ProtocolError: it is not a well-formed HTTP/1.1 reply.
    """
    judge = _HeadJudge()
    parser = judge.parser
    try:
        parser.feed_data(block)
        status = parser.get_status_code()
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise ProtocolError(f"malformed reply header: {error}") from None
    finally:
        del judge.parser
    if not judge.complete:
        raise ProtocolError("a reply without a status line")
    first, *lines = block.decode("latin-1").strip("\r\n").split("\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in [line.partition(":") for line in lines]]
    headers = dict(pairs)
    if len(headers) < len(pairs):
        headers = _joined(pairs)
    return ReplyHead(status, headers, judge.keep_alive and first.startswith("HTTP/1.1 "))


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class DocumentTooLong(Exception):
    """The body of a reply is longer than any that it can be."""


class _Found:
    """Collects what llhttp finds in the body of one reply."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = self.garbled = False

    def on_message_begin(self) -> None:
        """Called by the parser at the beginning, and again if another reply follows."""
        self.garbled = self.garbled or self.complete

    def on_body(self, data: bytes) -> None:
        """Called by the parser with the next bytes."""
        if not self.complete:  # not of a second reply, which nobody has asked for
            self.body += data

    def on_message_complete(self) -> None:
        """Called by the parser at the end."""
        self.complete = True


class Document:
    """The body of a reply that is kept whole, in any framing: an error, or what a small request asked for.

    Attributes:
        most_bytes: of the body; more of it is not read.
    """

    def __init__(self, head: bytes, most_bytes: int = MAX_ERROR_BYTES) -> None:
        self.most_bytes = most_bytes
        self._found = _Found()
        self._parser = httptools.HttpResponseParser(self._found)
        self.read(head)

    @property
    def body(self) -> bytearray:
        """What has come of it."""
        return self._found.body

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self._found.complete

    @property
    def garbled(self) -> bool:
        """Whether its framing is broken, or more has come than it announces."""
        return self._found.garbled

    def read(self, data: bytes) -> bool:
        """Take the next bytes of the reply; True when it has ended, or its most bytes are known."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._found.garbled = True  # what was understood up to here says what happened
            return True
        return self.complete or len(self.body) > self.most_bytes

    def end(self) -> None:
        """Take the end of the connection for that of the body."""
        self._found.complete = not self._found.garbled

    def require_whole(self) -> None:
        """Raise unless all of it has come, and no more than its most bytes.

        Raises:
            DocumentTooLong: it is longer.
            ProtocolError: its framing is broken.
            ConnectionError: it was cut off.
        """
        if len(self.body) > self.most_bytes:
            raise DocumentTooLong(f"the reply is a document of more than {self.most_bytes >> 20} MiB")
        if self.complete:
            return
        if self.garbled:
            raise ProtocolError("the framing of the reply's body is broken")
        raise ConnectionError(f"the connection was closed after {len(self.body)} bytes of the reply")
