"""A limit of the bandwidth is kept, whichever way bodies go and however many there are, and costs no retry."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul.model.limits import KIB, MIB
from tests.faultserver import make_object
from tests.patience import SOON_S
from tests.servers import make_certificates
from tests.writing import WriteRig, running_write_rig, serving_writes

RATE = MIB
BODY = random.Random(61).randbytes(3 * MIB // 2)
#: Longer than every patience of the engine under test: no pause of ours may look like a stall.
LEAST_S = 1.2

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])


@pytest.fixture(params=["fast", "sdk"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WriteRig]:
    """An engine of one transport that is held to 1 MiB/s."""
    settings = {"transport": request.param, "bandwidth_bytes_per_s": RATE, "part_size_bytes": 512 * KIB}
    with running_write_rig(tmp_path, **settings) as running:
        running.upload(b"starts the worker").succeeded()
        assert len(running.engine.worker_pids) == 1
        yield running


def assert_limited(began_s: float) -> None:
    """1.5 MiB take a second and a half; a quarter of a second may have been saved up before."""
    assert LEAST_S <= time.monotonic() - began_s <= SOON_S


def test_down(rig: WriteRig, tmp_path: Path) -> None:
    """An object in parts, over several connections."""
    key, _ = rig.new_key(old=BODY)
    began_s = time.monotonic()
    result = rig.engine.download(f"s3://bucket/{key}", tmp_path / "file")
    assert_limited(began_s)
    assert ((tmp_path / "file").read_bytes(), result.parts, result.retries) == (BODY, 3, 0)


def test_up_in_parts(rig: WriteRig) -> None:
    """A file, over several connections."""
    began_s = time.monotonic()
    written = rig.upload(BODY)
    assert_limited(began_s)
    assert written.succeeded().retries == 0


@BOTH
def test_up_whole(tmp_path: Path, transport: str) -> None:
    """One PUT: what is hashed before it is sent is not counted twice."""
    with running_write_rig(tmp_path, transport=transport, bandwidth_bytes_per_s=RATE // 4) as rig:
        rig.upload(b"starts the worker").succeeded()
        key, _ = rig.new_key()
        began_s = time.monotonic()
        result = rig.engine.upload_bytes(BODY, f"s3://bucket/{key}", only_if_absent=True)
        assert 4 * LEAST_S <= time.monotonic() - began_s <= 8 * LEAST_S  # twice would be 11.75 s
        assert (result.parts, result.retries) == (1, 0)


def test_many_small_ones(rig: WriteRig, tmp_path: Path) -> None:
    """The bytes that come together with a header count too."""
    for number in range(60):
        rig.server.store.put("bucket", f"small/{number}", make_object(BODY[: 25 * KIB]))
    began_s = time.monotonic()
    results = list(rig.engine.download_many("s3://bucket/small/", tmp_path / "small"))
    assert_limited(began_s)
    assert [one.error for one in results] == [None] * 60


def test_with_very_many_connections(tmp_path: Path) -> None:
    """However many share the rate, none waits so long that it looks like a stall."""
    settings: dict[str, Any] = {"bandwidth_bytes_per_s": RATE, "concurrency": 30, "part_size_bytes": 64 * KIB}
    with running_write_rig(tmp_path, **settings) as rig:
        key, _ = rig.new_key(old=BODY + BODY)
        began_s = time.monotonic()
        result = rig.engine.download(f"s3://bucket/{key}", tmp_path / "file")
        # Three seconds' bytes, but what may be made up for, and a piece of each connection: a second's bytes in all.
        assert 1.7 < time.monotonic() - began_s < SOON_S
        assert ((tmp_path / "file").read_bytes(), result.retries) == (BODY + BODY, 0)


@BOTH
def test_over_tls(tmp_path: Path, transport: str) -> None:
    """Where the bytes pass through a cipher on their way, both ways."""
    certificates = make_certificates(tmp_path)
    settings = {"transport": transport, "bandwidth_bytes_per_s": RATE, "ca_bundle": str(certificates.ca_bundle)}
    with running_write_rig(tmp_path, server=serving_writes(tls=certificates.server_context()), **settings) as rig:
        rig.upload(b"starts the worker").succeeded()
        began_s = time.monotonic()
        written = rig.upload(BODY)
        assert_limited(began_s)
        began_s = time.monotonic()
        rig.engine.download(f"s3://bucket/{written.key}", tmp_path / "file")
        assert_limited(began_s)
        assert (tmp_path / "file").read_bytes() == BODY
