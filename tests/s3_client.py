"""boto3 as the independent judge of the fault server's writes, and S3's checksums written once more.

Job: what the tests of writes have in common. Must not know how the server works.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import boto3
import pytest
from awscrt import checksums
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.faultserver import FaultServer

ACCESS_KEY, SECRET_KEY = "access", "secret"
#: Small enough for tests to upload several parts.
MIN_PART_SIZE_BYTES = 1000


def client_for(server: FaultServer, *, calculate: str = "when_required") -> Any:
    """Return a boto3 client for the server that makes one attempt and sends what the test says."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            retries={"total_max_attempts": 1},
            request_checksum_calculation=calculate,
        ),
    )


@contextmanager
def refused(code: str, status: int) -> Iterator[None]:
    """Expect boto3 to raise the S3 error ``code`` with this HTTP status."""
    with pytest.raises(ClientError) as caught:
        yield
    reply = caught.value.response
    assert (reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def crc(algorithm: str, body: bytes) -> str:
    """Return a checksum as S3 writes it."""
    if algorithm == "SHA256":
        return b64encode(sha256(body).digest()).decode()
    width = 8 if algorithm == "CRC64NVME" else 4
    value: int = getattr(checksums, algorithm.lower())(body)
    return b64encode(value.to_bytes(width, "big")).decode()
