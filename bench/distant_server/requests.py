"""The head of a request, parsed as far as this server needs it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        headers: by lower-case name.
        body: of a request whose body the service reads; None of one that was only counted.
        size_bytes: of the object or part in the body, without the framing of aws-chunked.
        trailer: the checksum headers at the end of an aws-chunked body.
    """

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes | None = None
    size_bytes: int = 0
    trailer: tuple[tuple[str, str], ...] = ()

    @property
    def content_length(self) -> int:
        """How many bytes follow the head."""
        return int(self.headers.get("content-length", 0))

    @property
    def is_chunked(self) -> bool:
        """Whether the body has the framing of aws-chunked."""
        return "x-amz-decoded-content-length" in self.headers


def parse(head: bytes) -> Request:
    """Parse a head, its empty line not included.

    Raises:
        ValueError: it is no HTTP/1.1 request.
    """
    lines = head.decode("latin-1").split("\r\n")
    method, target, version = lines[0].split(" ")
    if version != "HTTP/1.1":
        raise ValueError(f"not a request of HTTP/1.1: {lines[0][:80]!r}")
    path, _, search = target.partition("?")
    if "%" in path:
        path = unquote(path)
    _, bucket, key = f"{path}/".split("/", 2)
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    query = dict(parse_qsl(search, keep_blank_values=True)) if search else {}
    return Request(method, bucket, key[:-1] if key else "", query, headers)


def trailer_of(tail: bytes) -> tuple[tuple[str, str], ...]:
    """Return the checksum headers in the last bytes of an aws-chunked body."""
    rows = (line.partition(":") for line in tail.decode("latin-1").split("\r\n") if line.startswith("x-amz-checksum-"))
    return tuple((name, value.strip()) for name, _, value in rows)


class HttpChunks:
    """The body of a request with ``Transfer-Encoding: chunked``, taken apart as it comes."""

    def __init__(self) -> None:
        self._line = b""
        self._left = 0  # of the chunk's bytes
        self._skip = 0  # of the line's end after them
        self.is_over = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of the body among these.

        Raises:
            ValueError: the framing is wrong, or something follows the body.
        """
        pieces, at = [], 0
        while at < len(data):
            if self.is_over:
                raise ValueError("bytes after the last chunk")
            if self._left > 0:
                piece = data[at : at + self._left]
                pieces.append(piece)
                self._left -= len(piece)
                self._skip = 0 if self._left else 2
                at += len(piece)
            elif self._skip:
                self._skip -= 1
                at += 1
            else:
                end = data.find(b"\n", at) + 1 or len(data)
                self._line += data[at:end]
                at = end
                if self._line.endswith(b"\r\n"):
                    self._take_line(self._line[:-2])
                    self._line = b""
        return b"".join(pieces)

    def _take_line(self, line: bytes) -> None:
        if self._left < 0:  # after the chunk of no bytes: headers, then an empty line
            self.is_over = not line
        else:
            self._left = int(line.partition(b";")[0], 16) or -1


def without_framing(body: bytes) -> bytes:
    """Return the bytes of an aws-chunked body.

    Raises:
        ValueError: the framing is wrong.
    """
    pieces: list[bytes] = []
    position = 0
    while True:
        end = body.index(b"\r\n", position)
        count = int(body[position:end].partition(b";")[0], 16)
        if not count:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + count])
        position = end + 2 + count + 2
