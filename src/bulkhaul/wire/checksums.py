"""Computes and combines the checksums that S3 stores.

awscrt is loaded on first use: it takes longer to import than a small transfer takes. CRC32 is zlib-ng's: awscrt has
it without the processor's help, at a quarter of the speed (docs/decisions/0008-upload-bodies.md).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable
from typing import Protocol

from bulkhaul.model.errors import Unsupported

Buffer = bytes | bytearray | memoryview
Update = Callable[[Buffer, int], int]
Combine = Callable[[int, int, int], int]

CRC_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}
"""Bytes of each checksum that can be combined from those of the parts. Source: S3 User Guide, "Checking object
integrity"."""

DIGESTS = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512", "MD5": "md5"}
"""Checksums that hashlib computes, in order from the first byte."""

COMPUTABLE = frozenset(CRC_BYTES) | frozenset(DIGESTS)
"""All that can be checked here. An object whose only checksum is another one is verified by ETag and length."""


@functools.cache
def updater(algorithm: str) -> Update:
    """Return ``update(data, crc) -> crc`` of a checksum in ``CRC_BYTES``; the first ``crc`` is 0."""
    if algorithm == "CRC32":
        from zlib_ng import zlib_ng

        return zlib_ng.crc32
    import awscrt.checksums as crt

    functions: dict[str, Update] = {"CRC32C": crt.crc32c, "CRC64NVME": crt.crc64nvme}
    return functions[algorithm]


@functools.cache
def combiner(algorithm: str) -> Combine:
    """Return ``combine(crc_of_a, crc_of_b, length_of_b) -> crc_of_a_then_b``."""
    if algorithm == "CRC32":
        from zlib_ng import zlib_ng

        return zlib_ng.crc32_combine
    import awscrt.checksums as crt

    functions: dict[str, Combine] = {
        "CRC32C": crt.combine_crc32c,
        "CRC64NVME": crt.combine_crc64nvme,
    }
    return functions[algorithm]


def fold(algorithm: str, parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC of a whole from those of its parts: ``parts`` are (crc, length in bytes), in order."""
    combine = combiner(algorithm)
    whole = 0
    for crc, length in parts:
        whole = combine(whole, crc, length)
    return whole


def encoded_crc(algorithm: str, crc: int) -> str:
    """Return a CRC as S3 writes it: base64 of its bytes in network order."""
    return base64.b64encode(crc.to_bytes(CRC_BYTES[algorithm], "big")).decode()


class Hasher(Protocol):
    """A running checksum of bytes in order."""

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the checksum in network byte order."""
        ...


class _CrcHasher:
    def __init__(self, algorithm: str) -> None:
        self._update = updater(algorithm)
        self._length = CRC_BYTES[algorithm]
        self._crc = 0

    def update(self, data: Buffer, /) -> None:
        self._crc = self._update(data, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(self._length, "big")


def hasher(algorithm: str) -> Hasher:
    """Return a running checksum.

    Raises:
        Unsupported: an algorithm outside ``COMPUTABLE``.
    """
    if algorithm in CRC_BYTES:
        return _CrcHasher(algorithm)
    if algorithm in DIGESTS:
        return hashlib.new(DIGESTS[algorithm], usedforsecurity=False)
    raise Unsupported(f"{algorithm} checksums cannot be computed here; use --verify none to restore without")


def composite(algorithm: str, values: Iterable[str]) -> str:
    """Return the checksum of the parts' checksums (base64, in order), as S3 writes it: ``base64-count``."""
    whole, count = hasher(algorithm), 0
    for value in values:
        whole.update(base64.b64decode(value))
        count += 1
    return f"{base64.b64encode(whole.digest()).decode()}-{count}"
