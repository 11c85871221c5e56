"""Each fault does on the wire what it says, seen through a bare socket."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.engines import eventually
from tests.faultserver import (
    ChecksumOnRange,
    ChunkedTransfer,
    ConnectionClose,
    ContentEncoding,
    CutBody,
    CutHead,
    Drip,
    ErrorXmlWith200,
    Etag,
    ExtraBytes,
    Fault,
    FaultServer,
    FlipBit,
    FullBody200,
    HugeHead,
    Interim,
    Latency,
    LongRange,
    MalformedHead,
    NoContentRange,
    RawBody,
    Redirect,
    RepeatedListToken,
    ReplaceObject,
    ShiftedRange,
    ShortContentLength,
    ShortRange,
    SplitHead,
    Stall,
    Status,
    ToldChecksum,
    WrongTotal,
    clock_skew,
    delete_object,
    hang_before_head,
    make_object,
    reset_before_head,
    storm,
    truncate_object,
)
from tests.faultserver.on_wire import Malformation
from tests.patience import PATIENCE_S
from tests.servers import make_certificates

BODY = random.Random(2).randbytes(4096)
STORED = make_object(BODY, algorithm="CRC32C")
ASKED = (1000, 2000)
#: Silence for this long counts as "the server keeps the connection open".
SILENCE_S = 1.0


@dataclass(frozen=True)
class Seen:
    """What came back on one connection until it ended or fell silent."""

    raw: bytes
    ended: Literal["close", "reset", "open", "ragged"]

    @property
    def head(self) -> bytes:
        """The last head, without interim ones."""
        before = self.raw
        while before.startswith(b"HTTP/1.1 1"):
            before = before.partition(b"\r\n\r\n")[2]
        return before.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """Everything after the last head."""
        return self.raw.partition(self.head + b"\r\n\r\n")[2]

    @property
    def status(self) -> int:
        """The status of the last head."""
        return int(self.head.split(b" ")[1])

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        lines = (line.decode("latin-1").partition(": ") for line in self.head.split(b"\r\n")[1:])
        return next((value for key, _, value in lines if key.lower() == name.lower()), None)


def ask(
    server: FaultServer,
    span: tuple[int, int] | None = ASKED,
    *,
    headers: str = "",
    target: str = "/bucket/key",
) -> Seen:
    """Send one GET on its own connection and read until it ends or falls silent."""
    asked = "" if span is None else f"Range: bytes={span[0]}-{span[1] - 1}\r\n"
    count = len(server.requests)
    raw = bytearray()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{asked}{headers}\r\n".encode())
        sock.settimeout(0.01)
        heard_s = time.monotonic()
        while True:
            # Once the server has finished, all it sent is here: no need to wait for silence.
            finished = any(one.finished_s is not None for one in server.requests[count:])
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                return Seen(bytes(raw), "reset")
            except TimeoutError:
                if finished or time.monotonic() - heard_s > SILENCE_S:
                    return Seen(bytes(raw), "open")
                continue
            if not data:
                return Seen(bytes(raw), "close")
            raw += data
            heard_s = time.monotonic()


def ask_over_tls(server: FaultServer, context: ssl.SSLContext) -> Seen:
    """Send one GET and read until the end; tells a reset from a close without goodbye."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    # Early CPython 3.11 has OpenSSL 3 take an end without goodbye for a close (python/cpython#95494).
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    tls = context.wrap_bio(received, to_send, server_hostname="localhost")
    raw = bytearray()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as sock:

        def step(action: Callable[[], bytes | int | None]) -> bytes:
            while True:
                try:
                    result = action()
                except ssl.SSLWantReadError:
                    flush()
                    data = sock.recv(65536)
                    if data:
                        received.write(data)
                    else:
                        received.write_eof()
                else:
                    flush()
                    return result if isinstance(result, bytes) else b""

        def flush() -> None:
            # Sending nothing would already raise what the peer's reset left behind.
            if data := to_send.read():
                sock.sendall(data)

        step(tls.do_handshake)
        asked = f"GET /bucket/key HTTP/1.1\r\nHost: a\r\nRange: bytes={ASKED[0]}-{ASKED[1] - 1}\r\n\r\n"
        step(lambda: tls.write(asked.encode()))
        while True:
            try:
                data = step(lambda: tls.read(65536))
            except ConnectionResetError:
                return Seen(bytes(raw), "reset")
            except ssl.SSLError as error:
                if not isinstance(error, ssl.SSLEOFError) and error.reason != "UNEXPECTED_EOF_WHILE_READING":
                    raise
                return Seen(bytes(raw), "ragged")
            if not data:
                return Seen(bytes(raw), "close")
            raw += data


def serve(*faults: Fault, tls: ssl.SSLContext | None = None) -> FaultServer:
    """Return a server with one object and these faults."""
    return FaultServer({"bucket/key": STORED}, faults, tls=tls)


def assert_honest(seen: Seen, span: tuple[int, int] = ASKED) -> None:
    """Pass if this is the good answer to a range request."""
    assert seen.status == 206
    assert seen.header("Content-Range") == f"bytes {span[0]}-{span[1] - 1}/4096"
    assert seen.header("Content-Length") == str(span[1] - span[0])
    assert seen.header("ETag") == f'"{STORED.etag}"'
    assert (seen.body, seen.ended) == (BODY[slice(*span)], "open")


@pytest.mark.parametrize(
    ("fault", "raw", "ended"),
    [
        (reset_before_head(), b"", "reset"),
        (hang_before_head(), b"", "open"),
        (CutHead(after_bytes=20), b"HTTP/1.1 206 Partial", "reset"),
        (CutHead(after_bytes=12, how="close"), b"HTTP/1.1 206", "close"),
    ],
)
def test_cut_head(fault: Fault, raw: bytes, ended: str) -> None:
    """The head ends where the fault says, and the next attempt is honest."""
    with serve(fault) as server:
        assert ask(server) == Seen(raw, ended)  # type: ignore[arg-type]
        assert_honest(ask(server))
        server.assert_all_fired()


@pytest.mark.parametrize(
    ("fault", "length", "ended"),
    [
        (CutBody(after_bytes=10), 10, "reset"),
        (CutBody(after_bytes=0), 0, "reset"),
        (CutBody(after_bytes=-1), 999, "reset"),
        (CutBody(after_bytes=1000), 1000, "reset"),
        (CutBody(after_bytes=500, how="close"), 500, "close"),
        (Stall(after_bytes=300), 300, "open"),
        (ConnectionClose(announced=False, attempt=1), 1000, "close"),
    ],
)
def test_cut_body(fault: Fault, length: int, ended: str) -> None:
    """The body ends where the fault says under an honest head, and the next attempt is honest."""
    with serve(fault) as server:
        seen = ask(server)
        assert (seen.header("Content-Length"), seen.header("Connection")) == ("1000", None)
        assert (seen.body, seen.ended) == (BODY[1000 : 1000 + length], ended)
        assert_honest(ask(server))
        server.assert_all_fired()


@pytest.mark.parametrize("how", ["ragged", "close", "reset"])
def test_endings_over_tls(how: Literal["ragged", "close", "reset"], tmp_path: Path) -> None:
    """Over TLS a close says goodbye, a ragged one does not, and a reset is a reset."""
    certificates = make_certificates(tmp_path)
    with serve(CutBody(after_bytes=500, how=how), tls=certificates.server_context()) as server:
        seen = ask_over_tls(server, certificates.client_context())
        assert (seen.head.split(b"\r\n")[0], seen.body) == (b"HTTP/1.1 206 Partial Content", BODY[1000:1500])
        assert seen.ended == how


@pytest.mark.parametrize(
    ("fault", "span", "claimed"),
    [
        (ShortContentLength(missing_bytes=100), (1000, 1900), "bytes 1000-1999/4096"),
        (ShortRange(missing_bytes=100), (1000, 1900), "bytes 1000-1899/4096"),
        (LongRange(extra_bytes=100), (1000, 2100), "bytes 1000-2099/4096"),
        (ShiftedRange(by_bytes=8), (1008, 2008), "bytes 1008-2007/4096"),
        (ShiftedRange(by_bytes=-8, honest=False), (992, 1992), "bytes 1000-1999/4096"),
        (WrongTotal(by_bytes=1), ASKED, "bytes 1000-1999/4097"),
        (WrongTotal(by_bytes=None), ASKED, "bytes 1000-1999/*"),
        (NoContentRange(), ASKED, None),
    ],
)
def test_wrong_range(fault: Fault, span: tuple[int, int], claimed: str | None) -> None:
    """A 206 claims what the fault says, with as many bytes as its Content-Length tells."""
    with serve(fault) as server:
        seen = ask(server)
        assert (seen.status, seen.header("Content-Range")) == (206, claimed)
        assert seen.header("Content-Length") == str(len(seen.body))
        assert (seen.body, seen.ended) == (BODY[slice(*span)], "open")
        assert_honest(ask(server))
        server.assert_all_fired()


def test_full_body_200() -> None:
    """A range request gets 200 and everything."""
    with serve(FullBody200()) as server:
        seen = ask(server)
        assert (seen.status, seen.body, seen.header("Content-Range")) == (200, BODY, None)
        assert seen.header("Content-Length") == "4096"


@pytest.mark.parametrize(
    ("fault", "name", "value"),
    [
        (Etag(etag="other"), "ETag", '"other"'),
        (Etag(etag=None), "ETag", None),
        (ContentEncoding(encoding="gzip"), "Content-Encoding", "gzip"),
        (ChecksumOnRange(attempt=1), "x-amz-checksum-crc32c", STORED.checksums["CRC32C"]),
        (ConnectionClose(attempt=1), "Connection", "close"),
    ],
)
def test_wrong_header(fault: Fault, name: str, value: str | None) -> None:
    """One header differs from the honest reply, and the bytes are as stored."""
    with serve(fault) as server:
        changed, honest = ask(server), ask(server)
        assert (changed.status, changed.body, changed.header(name)) == (206, BODY[1000:2000], value)
        assert honest.header(name) != value
        assert changed.ended == ("close" if name == "Connection" else "open")


def test_flipped_bit() -> None:
    """Exactly one bit differs, in whichever request covers that byte."""
    flip = FlipBit(offset=1500, bit=7)
    with serve(flip) as server:
        assert_honest(ask(server, (0, 1000)), (0, 1000))
        assert server.fired(flip) == 0
        got, expected = ask(server).body, BODY[1000:2000]
        assert [i for i in range(1000) if got[i] != expected[i]] == [500]
        assert got[500] ^ expected[500] == 0x80
        assert_honest(ask(server))


def test_extra_bytes() -> None:
    """More follows the announced body, and the connection stays open."""
    with serve(ExtraBytes(data=b"HTTP/1.1 200 OK\r\n")) as server:
        seen = ask(server)
        assert seen.header("Content-Length") == "1000"
        assert (seen.body, seen.ended) == (BODY[1000:2000] + b"HTTP/1.1 200 OK\r\n", "open")


@pytest.mark.parametrize(
    ("fault", "at_least_s"),
    [
        (Latency(seconds=0.12), 0.12),
        (Stall(after_bytes=10, seconds=0.12), 0.12),
        (Drip(bytes_per_s=8000), 0.1),
        (SplitHead(step_bytes=1), 0.0),
    ],
)
def test_slow_but_whole(fault: Fault, at_least_s: float) -> None:
    """The reply is honest in the end, and takes as long as the fault says."""
    with serve(fault) as server:
        assert_honest(ask(server))
        (request,) = server.requests
        assert request.finished_s is not None
        assert request.finished_s - request.arrived_s >= at_least_s
        server.assert_all_fired()


def test_chunked_transfer() -> None:
    """The body comes in chunks with a last one, without Content-Length."""
    with serve(ChunkedTransfer(chunk_size_bytes=600)) as server:
        seen = ask(server)
        assert (seen.header("Transfer-Encoding"), seen.header("Content-Length")) == ("chunked", None)
        chunks = b"258\r\n" + BODY[1000:1600] + b"\r\n190\r\n" + BODY[1600:2000] + b"\r\n0\r\n\r\n"
        assert (seen.body, seen.ended) == (chunks, "open")


def test_interim_replies() -> None:
    """Interim heads come first, then the honest reply."""
    with serve(Interim(status=103, count=2)) as server:
        seen = ask(server)
        assert seen.raw.count(b"HTTP/1.1 103 ") == 2
        assert_honest(seen)


@pytest.mark.parametrize(
    ("how", "fragment"),
    [
        ("obs_fold", b"x-folded: one\r\n two\r\n"),
        ("two_lengths", b"Content-Length: 1\r\n"),
        ("length_and_chunked", b"Transfer-Encoding: chunked\r\n"),
        ("bad_length", b"Content-Length: +1_0\r\n"),
        ("bad_name", b"x bad name: 1\r\n"),
        ("bad_status_line", b"HTTP/1.1  206"),
        ("garbage", b"\x00\xff not http at all\r\n"),
    ],
)
def test_malformed_head(how: Malformation, fragment: bytes) -> None:
    """The head breaks the rule that the fault names, once, and the connection closes."""
    with serve(MalformedHead(how=how)) as server:
        seen = ask(server)
        assert seen.raw.count(fragment) == 1
        assert (seen.raw.endswith(BODY[1000:2000]), seen.ended) == (True, "close")
        kept = how in ("obs_fold", "two_lengths", "length_and_chunked", "bad_name", "bad_status_line")
        assert (b"Content-Length: 1000\r\n" in seen.raw) == kept
        assert_honest(ask(server))


def test_huge_head() -> None:
    """The head is as large as asked for, and still a head."""
    with serve(HugeHead(size_bytes=100_000)) as server:
        seen = ask(server)
        assert len(seen.head) > 99_000
        assert_honest(seen)


@pytest.mark.parametrize(
    ("fault", "status", "fragment"),
    [
        (Status(code="SlowDown", headers={"Retry-After": "3"}), 503, b"Retry-After: 3\r\n"),
        (Status(code="InternalError"), 500, b"<Code>InternalError</Code>"),
        (Status(code="Odd", status=499), 499, b"<Code>Odd</Code>"),
        (ErrorXmlWith200(code="SlowDown"), 200, b"<Error><Code>SlowDown</Code>"),
        (Redirect(status=301, region="eu-west-1", attempt=1), 301, b"x-amz-bucket-region: eu-west-1\r\n"),
        (RawBody(body=b"<!DOCTYPE x>"), 200, b"\r\n\r\n<!DOCTYPE x>"),
    ],
)
def test_wrong_status(fault: Fault, status: int, fragment: bytes) -> None:
    """The status and the document are the fault's, and the next attempt is honest."""
    with serve(fault) as server:
        seen = ask(server)
        assert (seen.status, fragment in seen.raw, seen.ended) == (status, True, "open")
        assert seen.header("Content-Length") == str(len(seen.body))
        assert_honest(ask(server))


def test_redirect_points_at_itself() -> None:
    """Location is the URL that was asked for."""
    with serve(Redirect()) as server:
        for _ in range(2):
            assert ask(server).header("Location") == f"{server.endpoint_url}/bucket/key"


def test_clock_skew() -> None:
    """The refusal carries one Date, far from now."""
    with serve(clock_skew(delta_s=7200)) as server:
        seen = ask(server)
        assert (seen.status, seen.raw.count(b"\r\nDate: ")) == (403, 1)
        assert b"<Code>RequestTimeTooSkewed</Code>" in seen.body


def test_storm_by_count_and_by_time() -> None:
    """A storm throttles everything, so many times or so long, and then it is over."""
    counted = storm(times=2, retry_after_s=1)
    with serve(counted) as server:
        assert [ask(server).status for _ in range(3)] == [503, 503, 206]
        assert server.fired(counted) == 2
    with serve(storm(for_s=0.3)) as server:
        eventually(lambda: ask(server).status == 206, "the storm goes on")
        *refused, served = server.requests
        assert {one.status for one in refused} == {503}
        assert served.arrived_s - refused[0].arrived_s >= 0.3
    with pytest.raises(ValueError, match="a storm ends"):
        storm()


def test_object_replaced() -> None:
    """From the nth GET on there is another object: 412 for If-Match, or its bytes if that is ignored."""
    match = f'If-Match: "{STORED.etag}"\r\n'
    new = BODY[::-1]
    with serve(ReplaceObject(replacement=new, nth=2)) as server:
        assert_honest(ask(server, headers=match))
        assert [ask(server, headers=match).status for _ in range(2)] == [412, 412]
        assert ask(server).body == new[1000:2000]
    with serve(ReplaceObject(replacement=new, if_match="ignored")) as server:
        seen = ask(server, headers=match)
        assert (seen.status, seen.body) == (206, new[1000:2000])
        assert seen.header("ETag") == f'"{make_object(new).etag}"'


def test_object_truncated_or_deleted() -> None:
    """An emptied object answers 416 to ranges, a deleted one 404."""
    with serve(truncate_object(nth=2)) as server:
        assert [ask(server, headers=f'If-Match: "{STORED.etag}"\r\n').status for _ in range(2)] == [206, 416]
    with serve(delete_object(nth=2)) as server:
        assert [ask(server).status for _ in range(3)] == [206, 404, 404]


def test_listing_that_never_ends() -> None:
    """Every page claims to be truncated, with the token it was asked with."""
    with serve(RepeatedListToken()) as server:
        seen = ask(server, None, target="/bucket/?list-type=2")
        assert seen.body.count(b"<IsTruncated>true</IsTruncated><NextContinuationToken>") == 1
        assert b"<Key>key</Key>" in seen.body
        again = ask(server, None, target="/bucket/?list-type=2&continuation-token=YQ==")
        assert b"<NextContinuationToken>YQ==</NextContinuationToken>" in again.body


def test_addresses() -> None:
    """A fault hits its part and attempt alone; a resumed request is the next attempt on its part."""
    by_start = Status(code="SlowDown", start=1000, attempt=2)
    by_part = Status(code="InternalError", part=2)
    by_key = Status(code="NoSuchKey", key="k*", operation=None, attempt="every", nth=5)
    with serve(by_start, by_part, by_key) as server:
        statuses = [ask(server, span).status for span in ((1000, 2000), (1400, 2000), (1400, 2000), (0, 9))]
        assert statuses == [206, 503, 206, 500]
        assert ask(server, (0, 9)).status == 404
        assert [server.fired(fault) for fault in (by_start, by_part, by_key)] == [1, 1, 1]
        assert [one.faults for one in server.requests] == [(), ("Status",), (), ("Status",), ("Status",)]


def test_told_checksum() -> None:
    """The value is another one, its kind the same."""
    with serve(ChecksumOnRange(attempt=1), ToldChecksum(value="AAAAAA==")) as server:
        seen = ask(server)
        told = seen.header("x-amz-checksum-crc32c"), seen.header("x-amz-checksum-type")
        assert (told, seen.body) == (("AAAAAA==", "FULL_OBJECT"), BODY[1000:2000])


def test_faults_compose() -> None:
    """Several faults on one request all take effect."""
    with serve(Etag(etag="other"), Latency(seconds=0.1), CutBody(after_bytes=7)) as server:
        server.add_fault(FlipBit(offset=1000))
        began_s = time.monotonic()
        seen = ask(server)
        assert time.monotonic() - began_s >= 0.1
        assert (seen.header("ETag"), seen.body[1:], seen.ended) == ('"other"', BODY[1001:1007], "reset")
        assert seen.body[0] == BODY[1000] ^ 1
        server.assert_all_fired()


def test_faults_that_never_fired_are_named() -> None:
    """A plan that was not exercised fails the test, by name."""
    with serve(Stall(after_bytes=5000), FlipBit(offset=1)) as server:
        assert_honest(ask(server))
        with pytest.raises(AssertionError, match=r"Stall.*FlipBit"):
            server.assert_all_fired()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /bucket/key HTTP/1.1\r\n\r\n",
        b"GET /bucket/key HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET  /bucket/key HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /bucket/key HTTP/1.1\r\nHost: a\r\nx: 1\r\n 2\r\n\r\n",
        b"GET /bucket/key HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        b"GET /bucket/%ff HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused(request_bytes: bytes) -> None:
    """A client that breaks HTTP gets 400, and the test can see it."""
    with serve() as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(request_bytes)
        assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert (len(server.protocol_errors), server.requests) == (1, ())
