"""Uploads over TLS: on the fault server, which counts connections, and on a real store behind nginx."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bulkhaul import Engine
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.settings import Timeouts
from tests.engines import aws_environment
from tests.faultserver import FlipReceivedBit, StallReceiving
from tests.patience import PATIENCE_S, SOON_S
from tests.servers import make_certificates, nginx_proxy, weed
from tests.writing import PART_BYTES, running_write_rig, serving_writes

#: A pause that is none of ours would last a minute.
PATIENT = Timeouts(read_s=PATIENCE_S, ack_s=PATIENCE_S, lease_s=PATIENCE_S, heartbeat_s=PATIENCE_S)

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])


@BOTH
@pytest.mark.parametrize("size_bytes", [0, 1, 200 * KIB, PART_BYTES, 6 * PART_BYTES + 1])
def test_sent_once_over_kept_connections(tmp_path: Path, transport: str, size_bytes: int) -> None:
    """Empty, small, whole and in parts: each body is sent once, at once, and its connection is used again."""
    certificates = make_certificates(tmp_path)
    settings = {"transport": transport, "workers": 1, "ca_bundle": str(certificates.ca_bundle), "timeouts": PATIENT}
    body = random.Random(size_bytes).randbytes(size_bytes)
    with running_write_rig(tmp_path, server=serving_writes(tls=certificates.server_context()), **settings) as rig:
        rig.upload(b"warm").succeeded()
        for _ in range(3):
            written = rig.upload(body)
            result = written.succeeded()
            assert (result.retries, written.seconds < SOON_S) == (0, True)
        sent = [one for one in rig.server.requests if one.operation in ("PutObject", "UploadPart")]
        used = len({one.connection_id for one in sent})
        assert used == 1 if result.parts == 1 else used <= rig.engine.settings.max_in_flight


@BOTH
def test_garbled_under_way(tmp_path: Path, transport: str) -> None:
    """A part that the service refuses is sent again; what was sent is what is checked."""
    certificates = make_certificates(tmp_path)
    settings = {"transport": transport, "ca_bundle": str(certificates.ca_bundle)}
    body = random.Random(3).randbytes(3 * PART_BYTES)
    with running_write_rig(tmp_path, server=serving_writes(tls=certificates.server_context()), **settings) as rig:
        written = rig.upload(body, FlipReceivedBit(operation="UploadPart", part=2, offset=9, bit=3))
        assert (written.succeeded().retries, written.result and written.result.integrity) == (1, "checksum")


@BOTH
@pytest.mark.parametrize("after_bytes", [0, MIB])
def test_stalled_under_way(tmp_path: Path, transport: str, after_bytes: int) -> None:
    """A server that reads no more is given up after ``read_s``, and the body is sent anew."""
    certificates = make_certificates(tmp_path)
    server = serving_writes(tls=certificates.server_context(), receive_buffer_bytes=64 * KIB)
    timeouts = msgspec.structs.replace(PATIENT, read_s=2.0)
    settings: dict[str, Any] = {"transport": transport, "ca_bundle": str(certificates.ca_bundle), "timeouts": timeouts}
    with running_write_rig(tmp_path, server=server, multipart_threshold_bytes=16 * MIB, **settings) as rig:
        written = rig.upload(random.Random(5).randbytes(12 * MIB), StallReceiving(after_bytes=after_bytes))
        assert (written.succeeded().retries, written.succeeded().integrity) == (1, "checksum")
        assert 2.0 <= written.seconds < PATIENCE_S / 2


@BOTH
@pytest.mark.parametrize("workers", [1, 2])
def test_real_store_behind_nginx(tmp_path: Path, transport: str, workers: int) -> None:
    """Large parts, several connections to a worker: all leave without a pause, and come back exact."""
    certificates = make_certificates(tmp_path)
    path = tmp_path / "source"
    path.write_bytes(random.Random(4).randbytes(24 * MIB + 1))
    with weed() as store, nginx_proxy(store, certificates=certificates) as server:
        store.client().create_bucket(Bucket="bucket")
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        chosen: dict[str, Any] = {
            "transport": transport,
            "part_size_bytes": 8 * MIB,
            "multipart_threshold_bytes": 8 * MIB,
            "state_dir": str(tmp_path / "state"),
        }
        with (
            aws_environment(keys),
            Engine(
                endpoint_url=server.endpoint_url,
                ca_bundle=str(certificates.ca_bundle),
                workers=workers,
                **chosen,
            ) as engine,
        ):
            began_s = time.monotonic()
            result = engine.upload(path, "s3://bucket/key")
            assert time.monotonic() - began_s < 25
            assert (result.parts, result.retries, result.integrity) == (4, 0, "checksum")
            engine.download("s3://bucket/key", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
