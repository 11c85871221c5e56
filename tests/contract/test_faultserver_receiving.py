"""Faults while a body is received, to a bare socket that sees the connection as it is."""

from __future__ import annotations

import random
import time
from typing import Any, Literal

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.faultserver import (
    CutReceiving,
    EarlyReply,
    Fault,
    FaultServer,
    FlipReceivedBit,
    SlowReceiving,
    StallReceiving,
    make_object,
)
from tests.patience import SOON_S
from tests.s3_client import client_for, crc, refused
from tests.wire_client import Wire

BODY = random.Random(4).randbytes(300_000)


def serve(*faults: Fault, **options: Any) -> FaultServer:
    """Return a server with an empty bucket, one object to copy, no minimum of a part, and these faults."""
    source = {"bucket/source": make_object(BODY, algorithm="CRC32")}
    return FaultServer(source, faults, min_part_size_bytes=1, **options)


def begin(client: Any, **options: Any) -> dict[str, str]:
    """Return the address of a new upload."""
    upload_id = client.create_multipart_upload(Bucket="bucket", Key="key", **options)["UploadId"]
    return {"Bucket": "bucket", "Key": "key", "UploadId": upload_id}


def stored(server: FaultServer, key: str = "key") -> bytes | None:
    """Return the bytes of an object, or None."""
    found = server.store.get("bucket", key)
    return None if found is None else found.body


@pytest.mark.parametrize(
    ("after_bytes", "received", "how"),
    [
        (0, 0, "reset"),
        (0, 0, "close"),
        (150_001, 150_001, "reset"),
        (-1, 299_999, "close"),
        (300_000, 300_000, "reset"),
    ],
)
def test_cut_while_receiving(after_bytes: int, received: int, how: Literal["reset", "close"]) -> None:
    """The connection ends after so many bytes of the body, nothing is stored, and the next attempt succeeds."""
    with serve(CutReceiving(after_bytes=after_bytes, how=how), buckets=["bucket"]) as server:
        with Wire(server) as wire:
            wire.head("PUT", "/bucket/key", len(BODY))
            if received:  # else the end may have come already, and even nothing cannot be sent
                wire.send(BODY[:received])
            assert wire.ending() == how
        server.wait_for(lambda one: one.requests[0].finished_s is not None)
        (request,) = server.requests_for("PutObject", "key")
        assert (request.bytes_received, request.body_size_bytes, request.status) == (received, 300_000, None)
        assert stored(server) is None
        client_for(server).put_object(Bucket="bucket", Key="key", Body=BODY)
        assert (stored(server), server.requests[-1].attempt) == (BODY, 2)
        server.assert_all_fired()


def test_cut_of_what_has_no_body() -> None:
    """Operations without a body are cut before they have an effect; a shorter body is not cut at all."""
    longer = CutReceiving(after_bytes=300_001)
    cuts = [CutReceiving(operation=one) for one in ("CreateMultipartUpload", "DeleteObject")]
    with serve(*cuts, longer) as server:
        client = client_for(server)
        with pytest.raises(ConnectionClosedError):
            begin(client)
        with pytest.raises(ConnectionClosedError):
            client.delete_object(Bucket="bucket", Key="source")
        client.put_object(Bucket="bucket", Key="key", Body=BODY)
        assert (server.store.uploads.pending("bucket"), stored(server, "source")) == ([], BODY)
        assert server.fired(longer) == 0


def test_body_is_counted_as_it_comes() -> None:
    """The record tells how much of a body has come while the rest is still on its way."""
    with serve() as server, Wire(server) as wire:
        wire.head("PUT", "/bucket/key", len(BODY))
        wire.send(BODY[:100_000])
        server.wait_for(lambda one: bool(one.requests) and one.requests[0].bytes_received == 100_000)
        assert server.requests[0].finished_s is None
        wire.send(BODY[100_000:])
        assert (wire.reply()[0], stored(server), server.requests[0].bytes_received) == (200, BODY, 300_000)


def test_continue_is_sent_before_the_body() -> None:
    """A client that waits for "100 Continue" gets it, and then the reply."""
    with serve() as server, Wire(server) as wire:
        wire.head("PUT", "/bucket/key", len(BODY), "Expect: 100-continue")
        assert wire.reply()[0] == 100
        wire.send(BODY)
        assert (wire.reply()[0], stored(server)) == (200, BODY)


@pytest.mark.parametrize(
    ("code", "status", "expected"), [("SlowDown", 0, 503), ("RequestTimeTooSkewed", 0, 403), ("ExpiredToken", 403, 403)]
)
def test_early_reply_that_keeps_the_connection(code: str, status: int, expected: int) -> None:
    """The error comes before the body is sent, the body is dropped, and the connection goes on."""
    with serve(EarlyReply(key="key", code=code, status=status, rest="drain")) as server, Wire(server) as wire:
        wire.head("PUT", "/bucket/key", len(BODY))
        got, text = wire.reply()
        assert (got, f"<Code>{code}</Code>".encode() in text, b"Connection: close" in text) == (expected, True, False)
        wire.send(BODY)
        wire.head("PUT", "/bucket/other", 3)
        wire.send(b"123")
        assert wire.reply()[0] == 200
        assert (stored(server), stored(server, "other")) == (None, b"123")
        assert {one.connection_id for one in server.requests} == {0}
        server.assert_all_fired()


def test_early_reply_instead_of_continue() -> None:
    """A client that waits for "100 Continue" gets the error instead, sends no body, and may go on."""
    with serve(EarlyReply(code="SlowDown", rest="drain")) as server, Wire(server) as wire:
        wire.head("PUT", "/bucket/key", len(BODY), "Expect: 100-continue")
        assert wire.reply()[0] == 503
        wire.head("PUT", "/bucket/key", 3)
        wire.send(b"123")
        assert (wire.reply()[0], stored(server)) == (200, b"123")


def test_early_reply_that_closes() -> None:
    """The error says Connection: close, the server's side is closed, and a client may send to the end."""
    with serve(EarlyReply(code="SlowDown", after_bytes=1000)) as server, Wire(server) as wire:
        wire.head("PUT", "/bucket/key", len(BODY))
        wire.send(BODY[:1000])
        status, text = wire.reply()
        assert (status, b"\r\nConnection: close\r\n" in text) == (503, True)
        assert (wire.ending(), server.requests[0].bytes_received) == ("close", 1000)
        wire.send(BODY[1000:])
        assert stored(server) is None


def test_early_reply_that_resets() -> None:
    """A client that goes on sending after the error meets a reset."""
    with serve(EarlyReply(code="SlowDown", rest="reset")) as server, Wire(server) as wire:
        wire.head("PUT", "/bucket/key", 2**24)
        assert wire.reply()[0] == 503
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            wire.send(bytes(2**24))


def test_stall_while_receiving() -> None:
    """The server stops reading, so that a client can send no more than buffers hold; it stops all the same."""
    with serve(StallReceiving(after_bytes=1000), receive_buffer_bytes=4096) as server:
        with Wire(server) as wire:
            wire.head("PUT", "/bucket/key", 2**25)
            assert 1000 <= wire.send_until_stuck(bytes(2**25), timeout_s=0.2) < 2**24
            server.wait_for(lambda one: one.requests[0].bytes_received == 1000)
            assert server.requests[0].finished_s is None
        server.wait_for(lambda one: one.requests[0].finished_s is not None)
        assert stored(server) is None


def test_stops_promptly_while_stalled() -> None:
    """Leaving the block ends connections that the server does not read from."""
    with serve(StallReceiving(operation="DeleteObject", key="key")) as server:
        wire = Wire(server)
        wire.head("DELETE", "/bucket/key", 0)
        server.wait_for(lambda one: len(one.requests) == 1)
        left_s = time.monotonic()
    assert time.monotonic() - left_s < SOON_S
    with wire:
        assert wire.ending() in ("close", "reset")


@pytest.mark.parametrize("fault", [StallReceiving(after_bytes=100_000, seconds=0.15), SlowReceiving(bytes_per_s=2e6)])
def test_slow_but_received(fault: Fault) -> None:
    """The body is taken in the end, after as long as the fault says."""
    with serve(fault) as server:
        client_for(server).put_object(Bucket="bucket", Key="key", Body=BODY)
        server.wait_for(lambda one: one.requests[-1].finished_s is not None)
        request = server.requests[-1]
        assert (request.finished_s or 0) - request.arrived_s >= 0.14
        assert stored(server) == BODY
        server.assert_all_fired()


def test_flipped_bit() -> None:
    """A checksum finds the damage; without one the store keeps wrong bytes."""
    flips = [FlipReceivedBit(operation=one, offset=5, bit=3, attempt="every") for one in ("PutObject", "UploadPart")]
    with serve(*flips) as server:
        client = client_for(server)
        for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA256"):
            sent = {f"Checksum{algorithm}": crc(algorithm, BODY)}
            with refused("BadDigest", 400):
                client.put_object(Bucket="bucket", Key="key", Body=BODY, **sent)
            with refused("BadDigest", 400):
                address = begin(client, ChecksumAlgorithm=algorithm)
                client.upload_part(**address, PartNumber=1, Body=BODY, **sent)
        with refused("XAmzContentSHA256Mismatch", 400):
            client.put_object(Bucket="bucket", Key="key", Body=BODY)
        assert stored(server) is None
        framed = b"8\r\n12345678\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % crc("CRC32", b"12345678").encode()
        chunked = ("Content-Encoding: aws-chunked", "x-amz-trailer: x-amz-checksum-crc32",
                   "x-amz-decoded-content-length: 8")  # fmt: skip
        with Wire(server) as wire:
            wire.head("PUT", "/bucket/key", len(framed), *chunked)
            wire.send(framed)
            status, text = wire.reply()
            assert (status, b"<Code>BadDigest</Code>" in text) == (400, True)
            wire.head("PUT", "/bucket/key", len(BODY))
            wire.send(BODY)
            assert wire.reply()[0] == 200
        wrong = stored(server) or b""
        assert [at for at in range(len(BODY)) if wrong[at] != BODY[at]] == [5]
        assert wrong[5] ^ BODY[5] == 8
        server.assert_all_fired()
