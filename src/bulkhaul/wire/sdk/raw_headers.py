"""Sends headers through the SDK byte for byte.

before-sign   they are added as text that the signer encodes to the right bytes
before-send   text that is not ASCII is replaced by its bytes

As parameters they would be respelled, and values that services have stored would be refused: text that is not ASCII,
an Expires that is no date.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bulkhaul.policy.described import header_text

OPERATIONS = ("PutObject", "UploadPart", "CreateMultipartUpload", "CopyObject")


class RawHeaders:
    """The headers to send with the requests of a thread."""

    def __init__(self) -> None:
        self._held = threading.local()

    @contextmanager
    def sending(self, headers: Sequence[tuple[str, str]]) -> Iterator[None]:
        """In the block, send ``headers`` (names in lower case) with the requests of this thread."""
        self._held.headers = headers
        try:
            yield
        finally:
            self._held.headers = ()

    def tune(self, client: Any) -> None:
        """Have a client send them."""
        for operation in OPERATIONS:
            client.meta.events.register(f"before-sign.s3.{operation}", self._add)
            client.meta.events.register_first(f"before-send.s3.{operation}", self._encode)

    def _add(self, request: Any, **_: object) -> None:
        for name, value in getattr(self._held, "headers", ()):
            if name in request.headers:
                del request.headers[name]  # the SDK's own guess, such as a Content-Type
            request.headers[name] = header_text(value)  # the signer writes text as UTF-8

    def _encode(self, request: Any, **_: object) -> None:
        for name, value in getattr(self._held, "headers", ()):
            if not value.isascii():
                request.headers[name] = value.encode("latin-1")
