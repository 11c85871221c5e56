"""What planning, signing, header parsing and CRC folding cost."""

from __future__ import annotations

import random

from pytest_benchmark.fixture import BenchmarkFixture

from bulkhaul.model.limits import GIB, MIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.policy.events import Assign, PartDone, TransferAdded, WorkerReady
from bulkhaul.policy.layout import plan_download
from bulkhaul.policy.parttable import new_part_table
from bulkhaul.policy.transfer import TransferMachine
from bulkhaul.policy.window import Window
from bulkhaul.wire.checksums import fold, updater
from bulkhaul.wire.http1_parsing import parse_head
from bulkhaul.wire.sigv4 import Signer
from bulkhaul.wire.values import Credentials

HEAD = (
    b"HTTP/1.1 206 Partial Content\r\n"
    b"x-amz-id-2: eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran\r\n"
    b"x-amz-request-id: 318BC8BC148832E5\r\n"
    b"Date: Mon, 28 Sep 2026 20:10:10 GMT\r\n"
    b"Last-Modified: Sun, 27 Sep 2026 10:00:00 GMT\r\n"
    b'ETag: "828ef3fdfa96f00ad9f27c383fc9ac7f-128"\r\n'
    b"Accept-Ranges: bytes\r\n"
    b"Content-Range: bytes 0-16777215/2147483648\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Length: 16777216\r\n"
    b"Server: AmazonS3\r\n\r\n"
)


def test_plan_of_10_000_parts(benchmark: BenchmarkFixture) -> None:
    """A plan and its table for 10,000 parts are made in well under a millisecond."""

    def plan() -> int:
        layout = plan_download(100 * GIB, part_size_bytes=8 * MIB)
        return len(new_part_table(len(layout))["crc"])

    assert 9_000 < benchmark(plan) <= 10_000


def test_sign_a_ranged_get(benchmark: BenchmarkFixture) -> None:
    """One signature of a ranged GET."""
    signer = Signer(Credentials("AKIDEXAMPLE", "secret", "token" * 60), "us-east-1")
    headers = [("range", "bytes=0-16777215"), ("if-match", '"828ef3fdfa96f00ad9f27c383fc9ac7f-128"')]
    signed = benchmark(signer.sign, "GET", "bucket.s3.amazonaws.com", "/a/key", headers, now_s=1_800_000_000.0)
    assert signed[-1][0] == "authorization"


def test_parse_a_reply_head(benchmark: BenchmarkFixture) -> None:
    """One header block as S3 sends it."""
    assert benchmark(parse_head, HEAD).headers["content-length"] == "16777216"


def test_fold_10_000_crcs(benchmark: BenchmarkFixture) -> None:
    """The checksum of an object from those of 10,000 parts."""
    part = bytes(1000)
    crc = updater("CRC64NVME")(part, 0)
    whole = benchmark(fold, "CRC64NVME", [(crc, len(part))] * 10_000)
    assert whole == updater("CRC64NVME")(part * 10_000, 0)


def test_crc_of_a_mebibyte(benchmark: BenchmarkFixture) -> None:
    """A checksum over one MiB that is in cache."""
    data = memoryview(bytes(MIB))
    assert benchmark(updater("CRC64NVME"), data, 0) > 0


def test_state_machine_for_1_000_parts(benchmark: BenchmarkFixture) -> None:
    """All decisions for one object of 1,000 parts: leases, replies, the end."""

    def run() -> int:
        machine = TransferMachine(workers=2, window=Window(8, first=8), timeouts=Timeouts(), rng=random.Random(1))
        machine.need_workers(2)
        for worker in (1, 2):
            machine.handle(WorkerReady(worker), now_s=0.0)
        out = machine.handle(TransferAdded(1, plan_download(1000 * 16 * MIB)), now_s=0.0)
        done = 0
        while out:
            instruction = out.pop()
            if isinstance(instruction, Assign):
                length = instruction.end - instruction.start
                event = PartDone(instruction.worker, instruction.lease, length, 7)
                out += machine.handle(event, now_s=1.0)
                done += 1
        return done

    assert benchmark(run) == 1000
