"""Objects that are stored gzipped and unpacked on the way: restored as they are stored, or refused by name."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from tests.engines import PART_BYTES, Rig, running_rig
from tests.faultserver import Transcoding, make_object

SMALL = gzip.compress(b"text " * 1000)
LARGE = gzip.compress(random.Random(5).randbytes(3 * PART_BYTES))


@pytest.fixture(params=["auto", "sdk"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """An engine in front of a fault server."""
    with running_rig(tmp_path, transport=request.param) as running:
        yield running


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["whole", "in ranges"])
def test_stored_bytes_come(rig: Rig, body: bytes) -> None:
    """Once the endpoint is known to unpack, requests say that they take gzip, and the very bytes are restored."""
    rig.server.add_fault(Transcoding())
    rig.restore(make_object(body, content_encoding="gzip")).succeeded()
    rig.restore(make_object(b"plain")).succeeded()
    assert (
        "accept-encoding" not in rig.server.requests[0].headers
        or "gzip" not in (rig.server.requests[0].headers["accept-encoding"])
    )


def test_a_listing_leads_to_stored_bytes(rig: Rig) -> None:
    """Where no HEAD is made the GET itself shows it."""
    rig.server.add_fault(Transcoding())
    rig.server.store.put("bucket", "many/a", make_object(SMALL, content_encoding="gzip"))
    (result,) = rig.engine.download_many("s3://bucket/many/", rig.folder / "many")
    assert result.error is None
    assert (rig.folder / "many/a").read_bytes() == SMALL


def test_what_cannot_be_had_is_told(rig: Rig) -> None:
    """Where it is unpacked all the same, the error says what to change about the object."""
    rig.server.add_fault(Transcoding(stubborn=True))
    error = rig.restore(make_object(SMALL, content_encoding="gzip")).failed(errors.Unsupported)
    assert "no-transform" in str(error)
