"""Replies that HTTP allows, or forbids, and that few servers send: read right, or refused and asked for again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from tests.engines import PART_BYTES, Rig, running_rig
from tests.faultserver import (
    MIB,
    ChunkedTransfer,
    ConnectionClose,
    CutBody,
    ExtraBytes,
    Fault,
    FlipBit,
    HugeHead,
    Interim,
    Latency,
    MalformedHead,
    SplitHead,
    make_object,
)
from tests.faultserver.on_wire import Malformation
from tests.servers import make_certificates

SIZE_BYTES = 5 * PART_BYTES + 4321
BODY = random.Random(8).randbytes(SIZE_BYTES)
CHECKED = make_object(BODY, part_size_bytes=5 * MIB, algorithm="CRC32")
SMALL = make_object(BODY[:70_000], algorithm="CRC32")
AT = 2 * PART_BYTES


@pytest.fixture(scope="module", params=[("fast", "mapped"), ("sdk", "written")], ids="-".join)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine of each transport; framing is the transport's alone, so each has one landing."""
    transport, landing = request.param
    with running_rig(tmp_path_factory.mktemp("framing"), transport=transport, landing=landing) as running:
        yield running


@pytest.fixture(scope="module", params=["auto", "sdk"])
def auto_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine that may choose its transport by the reply, and one that always takes the SDK's."""
    with running_rig(tmp_path_factory.mktemp("auto"), transport=request.param) as running:
        yield running


@pytest.fixture(scope="module", params=["fast", "sdk"])
def tls_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An engine of each transport before a fault server with TLS."""
    folder = tmp_path_factory.mktemp("tls")
    certificates = make_certificates(folder)
    chosen = {"transport": request.param, "ca_bundle": str(certificates.ca_bundle)}
    with running_rig(folder, tls=certificates.server_context(), **chosen) as running:
        yield running


@pytest.mark.parametrize(
    "fault",
    [
        SplitHead(step_bytes=1, start=AT, attempt="every"),
        SplitHead(step_bytes=7, attempt="every"),
        Interim(status=100),
        Interim(status=103, count=3),
        ConnectionClose(),
        ConnectionClose(announced=False),
        ConnectionClose(announced=False, how="reset"),
        HugeHead(size_bytes=24 * 1024, attempt="every"),
        Latency(seconds=0.2, start=AT),
    ],
    ids=["split-1", "split-7", "100", "103x3", "close", "close-silent", "reset-after", "head-24k", "latency"],
)
@pytest.mark.parametrize("stored", [CHECKED, SMALL], ids=["parts", "whole"])
def test_allowed(rig: Rig, fault: Fault, stored: object) -> None:
    """A reply that is unusual but right is taken as it is: no request is made twice for it."""
    chosen = CHECKED if stored is CHECKED else SMALL
    if chosen is SMALL and fault.start is not None:
        fault = SplitHead(attempt="every") if isinstance(fault, SplitHead) else Latency(seconds=0.2)
    outcome = rig.restore(chosen, fault)
    assert outcome.succeeded().integrity == "checksum"
    silent = isinstance(fault, ConnectionClose) and not fault.announced
    assert silent or max(get.attempt for get in outcome.gets) == 1


@pytest.mark.parametrize(
    "how", ["obs_fold", "two_lengths", "length_and_chunked", "bad_length", "bad_name", "bad_status_line", "garbage"]
)
def test_malformed_head(rig: Rig, how: Malformation) -> None:
    """A head that breaks RFC 9112 never lets a byte through that is not the object's."""
    outcome = rig.restore(CHECKED, MalformedHead(how=how, start=AT), old=b"old")
    assert outcome.succeeded().integrity == "checksum"
    if rig.engine.settings.transport == "fast":
        assert [get.attempt for get in outcome.gets if get.faults or get.attempt > 1] == [1, 2]


def test_endless_head(rig: Rig) -> None:
    """A head of 256 KiB is refused rather than stored, and the part asked for again."""
    outcome = rig.restore(CHECKED, HugeHead(size_bytes=256 * 1024, start=AT))
    assert outcome.succeeded().integrity == "checksum"
    assert max(get.attempt for get in outcome.gets) == 2


@pytest.mark.parametrize("stored", [CHECKED, SMALL], ids=["parts", "whole"])
@pytest.mark.parametrize("chunk_size_bytes", [1000, 65536])
def test_chunked(auto_rig: Rig, stored: object, chunk_size_bytes: int) -> None:
    """A chunked body is read by the SDK, which `auto` turns to by itself; every byte is counted and checked."""
    fault = ChunkedTransfer(chunk_size_bytes=chunk_size_bytes)
    outcome = auto_rig.restore(CHECKED if stored is CHECKED else SMALL, fault)
    assert outcome.succeeded().integrity == "checksum"


def test_chunked_and_cut(auto_rig: Rig) -> None:
    """A chunked body that ends early counts as cut, not as whole."""
    cut = CutBody(after_bytes=PART_BYTES // 2, how="close", start=AT)
    outcome = auto_rig.restore(CHECKED, ChunkedTransfer(), cut)
    assert outcome.succeeded().integrity == "checksum"
    assert max(get.attempt for get in outcome.gets) >= 2


def test_chunked_is_not_guessed(rig: Rig) -> None:
    """The fast transport by itself says that it does not read a chunked body; the SDK's reads it."""
    outcome = rig.restore(CHECKED, ChunkedTransfer(), old=b"old")
    if rig.engine.settings.transport == "sdk":
        outcome.succeeded()
    else:
        assert "--transport auto" in str(outcome.failed(errors.Unsupported))


@pytest.mark.parametrize("how", ["ragged", "close", "reset"])
@pytest.mark.parametrize("after_bytes", [0, 700_000, -1])
def test_tls_cut(tls_rig: Rig, how: str, after_bytes: int) -> None:
    """Row 6: a TLS body that breaks off, with or without a goodbye, is gone on with and exact in the end."""
    endings = {"ragged": "ragged", "close": "close", "reset": "reset"}
    cut = CutBody(after_bytes=after_bytes, how=endings[how], start=AT)  # type: ignore[arg-type]
    outcome = tls_rig.restore(CHECKED, cut)
    assert outcome.succeeded().integrity == "checksum"
    assert max(get.attempt for get in outcome.gets) == 2


def test_tls_faults(tls_rig: Rig) -> None:
    """Extra bytes, split heads and interim replies are what they are under TLS as well."""
    for fault in (ExtraBytes(start=AT), SplitHead(start=AT), Interim(count=2), ConnectionClose()):
        assert tls_rig.restore(CHECKED, fault).succeeded().integrity == "checksum"
    damaged = tls_rig.restore(CHECKED, FlipBit(offset=AT), old=b"old")
    damaged.failed(errors.IntegrityError)


def test_untrusted_certificate(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is refused, with what to do; unverified TLS must be asked for."""
    certificates = make_certificates(tmp_path)
    for folder, chosen in (("refused", {}), ("taken", {"verify_tls": False})):
        with running_rig(tmp_path / folder, tls=certificates.server_context(), **chosen) as rig:
            rig.folder.mkdir()
            if chosen:
                assert rig.restore(CHECKED).succeeded().integrity == "checksum"
                continue
            rig.prepare(CHECKED)
            with pytest.raises(errors.TransferError, match=r"(?i)certificate") as caught:
                rig.engine.download("s3://bucket/case-1", rig.folder / "restored")
            assert not caught.value.retryable
            assert list(rig.folder.iterdir()) == []
