"""Computes everything that is wanted of the bytes of a file or an object while they pass once."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.readback import read_back
from bulkhaul.disk.source import SourceFile, reading_error
from bulkhaul.model.errors import LocalError, SourceChanged
from bulkhaul.policy.evidence import Composite
from bulkhaul.wire.checksums import Hasher, hasher


class Digests:
    """Checksums of all bytes, and of the checksums of parts, over bytes that come in order."""

    def __init__(self, digests: Sequence[str], composites: Sequence[Composite]) -> None:
        self._whole = {algorithm: hasher(algorithm) for algorithm in digests}
        self._parts = [_Parts(composite) for composite in composites]
        self.size_bytes = 0

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""
        for running in self._whole.values():
            running.update(data)
        for parts in self._parts:
            parts.update(data, self.size_bytes)
        self.size_bytes += len(data)

    def digests(self) -> dict[str, str]:
        """Return the checksums of all bytes, base64 by algorithm."""
        return {algorithm: _base64(running.digest()) for algorithm, running in self._whole.items()}

    def composites(self) -> dict[Composite, str]:
        """Return the checksums of the parts' checksums, base64."""
        return {parts.composite: parts.value() for parts in self._parts}


class _Parts:
    def __init__(self, composite: Composite) -> None:
        self.composite = composite
        self._outer = hasher(composite.algorithm)
        self._inner: Hasher = hasher(composite.algorithm)
        self._index = 0

    def update(self, data: memoryview, at: int) -> None:
        ends = self.composite.ends
        while data:
            room = ends[self._index] - at
            self._inner.update(data[:room])
            if len(data) < room:
                return
            self._outer.update(self._inner.digest())
            self._inner = hasher(self.composite.algorithm)
            at, data = ends[self._index], data[room:]
            self._index += 1

    def value(self) -> str:
        return _base64(self._outer.digest())


def digest_file(path: str, size_bytes: int, running: Digests) -> None:
    """Read a file once, and show its bytes to ``running``. It blocks.

    Raises:
        SourceChanged: it has another size, or changed while it was read.
        LocalError: it could not be read.
    """
    file = SourceFile.open(path)
    try:
        if file.size_bytes != size_bytes:
            raise SourceChanged(f"it had {size_bytes} bytes and has {file.size_bytes}", path)
        try:
            read_back(file.fd, 0, size_bytes, [running])
        except OSError as error:
            file.check_unchanged()  # it was cut short, perhaps
            raise (reading_error if error.errno else local_error)(error, path) from error
        file.check_unchanged()
    except LocalError as error:
        raise error.named(path) from error.__cause__
    finally:
        file.close()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
