"""Checksums of which nobody says what they cover: tried as both, and where neither matches, nothing is claimed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.engines import Rig, running_rig
from tests.faultserver import Fault, StoredObject, ToldHeader, make_object

Kind = Literal["FULL_OBJECT", "COMPOSITE"]
Algorithm = Literal["CRC32", "SHA256"]
KINDS: list[tuple[Algorithm, Kind]] = [("CRC32", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE")]
OTHER = {"CRC32": "AAAAAA==", "SHA256": "A" * 43 + "="}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine in front of a fault server."""
    with running_rig(tmp_path_factory.mktemp("restored")) as running:
        yield running


def untyped(algorithm: Algorithm, value: str) -> tuple[Fault, ...]:
    """Return what has HEAD tell a checksum without its kind, and without the number of parts."""
    told = {"x-amz-checksum-type": None, f"x-amz-checksum-{algorithm.lower()}": value}
    return tuple(
        ToldHeader(operation="HeadObject", name=name, value=text, attempt="every") for name, text in told.items()
    )


def stored(algorithm: Algorithm, kind: Kind, size_bytes: int) -> StoredObject:
    """Return an object that was uploaded in three parts."""
    body = random.Random(size_bytes).randbytes(size_bytes)
    return make_object(body, part_size_bytes=-(-size_bytes // 3), algorithm=algorithm, checksum_type=kind)


@pytest.mark.parametrize("size_bytes", [3000, 5_000_000])
@pytest.mark.parametrize(("algorithm", "kind"), KINDS)
def test_either_kind_proves_the_object(rig: Rig, algorithm: Algorithm, kind: Kind, size_bytes: int) -> None:
    """The checksum of the whole object, or that of its parts' checksums, matches: success rests on it."""
    whole = stored(algorithm, kind, size_bytes)
    value = whole.checksums[algorithm].partition("-")[0]
    result = rig.restore(whole, *untyped(algorithm, value)).succeeded()
    assert result.integrity == "checksum"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_what_matches_neither_way_refutes_nothing(rig: Rig, algorithm: Algorithm) -> None:
    """A good object whose checksum covers something that nobody knows is restored, by its ETag."""
    whole = stored(algorithm, "COMPOSITE", 3000)
    assert rig.restore(whole, *untyped(algorithm, OTHER[algorithm])).succeeded().integrity == "etag"


@pytest.mark.parametrize(("told", "integrity"), [("right", "checksum"), ("another", "etag")])
def test_a_stream_is_judged_alike(rig: Rig, tmp_path: Path, told: str, integrity: str) -> None:
    """What is written to a descriptor passes once: both are computed on the way."""
    whole = stored("CRC32", "COMPOSITE", 3_000_000)
    value = whole.checksums["CRC32"].partition("-")[0] if told == "right" else OTHER["CRC32"]
    key, _ = rig.prepare(whole, *untyped("CRC32", value))
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        result = rig.engine.download_stream(f"s3://bucket/{key}", fd)
    finally:
        os.close(fd)
    assert result.integrity == integrity
    assert (tmp_path / "out").read_bytes() == whole.body
