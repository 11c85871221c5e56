"""Checksums: known values, folding, and checksums of checksums."""

from __future__ import annotations

import base64
import hashlib
import itertools
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.model.errors import Unsupported
from bulkhaul.policy.verification import FOLDABLE
from bulkhaul.wire.checksums import COMPUTABLE, CRC_BYTES, composite, encoded_crc, fold, hasher, updater

CHECK = b"123456789"

# Source: the "check" values of the catalogue of parametrised CRC algorithms (ISO-HDLC, iSCSI, NVME).
CHECK_VALUES = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}

# Source: the same, polynomials in reflected form.
REFLECTED = {"CRC32": (32, 0xEDB88320), "CRC32C": (32, 0x82F63B78), "CRC64NVME": (64, 0x9A6C9329AC4BC9B5)}

CRCS = sorted(CRC_BYTES)


def crc_by_hand(algorithm: str, data: bytes) -> int:
    """Return a CRC, bit by bit, from its definition."""
    width, polynomial = REFLECTED[algorithm]
    mask = (1 << width) - 1
    crc = mask
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (polynomial if crc & 1 else 0)
    return crc ^ mask


@pytest.mark.parametrize("algorithm", CRCS)
def test_crcs_have_their_published_check_value(algorithm: str) -> None:
    """The CRC of "123456789" is the catalogue's, here and by hand; nothing has CRC 0."""
    assert updater(algorithm)(CHECK, 0) == CHECK_VALUES[algorithm] == crc_by_hand(algorithm, CHECK)
    assert updater(algorithm)(b"", 0) == 0


@pytest.mark.parametrize(
    ("algorithm", "encoded"), [("CRC32", "y/Q5Jg=="), ("CRC32C", "4waSgw=="), ("CRC64NVME", "rosUhgp5mIg=")]
)
def test_crcs_are_written_as_s3_writes_them(algorithm: str, encoded: str) -> None:
    """Base64 of the bytes in network order, leading zeros kept."""
    assert encoded_crc(algorithm, CHECK_VALUES[algorithm]) == encoded
    assert base64.b64decode(encoded_crc(algorithm, 1)) == bytes(CRC_BYTES[algorithm] - 1) + b"\x01"


@settings(max_examples=150)
@given(st.sampled_from(CRCS), st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8))
def test_folded_parts_equal_the_whole(algorithm: str, data: bytes, cuts: list[int]) -> None:
    """However an object is cut, empty pieces included, the fold of its parts is the CRC of the whole."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[begin:end] for begin, end in itertools.pairwise(edges)]
    update = updater(algorithm)
    assert fold(algorithm, [(update(piece, 0), len(piece)) for piece in pieces]) == crc_by_hand(algorithm, data)


@pytest.mark.parametrize("algorithm", CRCS)
def test_parts_of_a_huge_object_fold(algorithm: str) -> None:
    """Lengths beyond 4 GiB count: zeros in front change the CRC as the definition says."""
    update = updater(algorithm)
    length = 5 * 1024**3
    # The CRC of 5 GiB of zeros, by doubling what is proven above for short pieces.
    piece, zeros, parts = 1 << 20, bytes(1 << 20), []
    parts = [(update(zeros, 0), piece)] * (length // piece)
    whole = fold(algorithm, parts)
    assert fold(algorithm, [(whole, length), (update(CHECK, 0), len(CHECK))]) == update(CHECK, whole)


@given(st.sampled_from(CRCS), st.binary(max_size=300), st.integers(0, 300))
def test_a_checksum_continues_where_it_broke_off(algorithm: str, data: bytes, at: int) -> None:
    """``update(rest, crc of the beginning)`` is the CRC of both: a resumed part needs no second reading."""
    update = updater(algorithm)
    assert update(data[at:], update(data[:at], 0)) == crc_by_hand(algorithm, data)
    assert update(memoryview(bytearray(data)), 0) == crc_by_hand(algorithm, data)


@pytest.mark.parametrize("algorithm", sorted(COMPUTABLE))
def test_a_running_checksum_gives_network_bytes(algorithm: str) -> None:
    """Every computable checksum, fed in pieces, digests to what its own library says of the whole."""
    running = hasher(algorithm)
    for piece in (CHECK[:4], b"", CHECK[4:]):
        running.update(piece)
    if algorithm in CHECK_VALUES:
        expected = CHECK_VALUES[algorithm].to_bytes(CRC_BYTES[algorithm], "big")
    else:
        expected = getattr(hashlib, algorithm.lower())(CHECK).digest()
    assert running.digest() == expected


def test_what_cannot_be_computed_is_said_with_a_way_out() -> None:
    """An unknown algorithm is Unsupported, and the message says what to do."""
    with pytest.raises(Unsupported, match=r"XXHASH3.*--verify none"):
        hasher("XXHASH3")


def test_the_rooms_agree_on_what_can_be_folded() -> None:
    """What policy plans to fold is what wire can combine."""
    assert frozenset(CRC_BYTES) == FOLDABLE <= COMPUTABLE


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_a_composite_checksum_is_the_checksum_of_the_parts_checksums(algorithm: str) -> None:
    """As S3 composes it: the digests, concatenated, digested again, with the number of parts."""
    parts = [b"a" * 100, b"b" * 50, b"c"]

    def digest(data: bytes) -> bytes:
        return zlib.crc32(data).to_bytes(4, "big") if algorithm == "CRC32" else hashlib.sha256(data).digest()

    values = [base64.b64encode(digest(part)).decode() for part in parts]
    whole = base64.b64encode(digest(b"".join(digest(part) for part in parts))).decode()
    assert composite(algorithm, values) == f"{whole}-3"
