"""How requests are addressed and signed: path and virtual-hosted, tokens, regions, unsigned, proxies, plain http."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine, errors
from tests.engines import PART_BYTES, SECRETS, TOKEN, Rig, aws_environment, keys, running_engine, running_rig, serving
from tests.faultserver import FaultServer, OnlyRegion, Status, make_object

BODY = random.Random(12).randbytes(3 * PART_BYTES + 1)
STORED = make_object(BODY, algorithm="CRC64NVME")
ODD_KEYS = ["plain", "a b/+/%/ü~", "/leading//double", "a/../b/./c", "%2F/%25", "end/."]
TRANSPORTS = pytest.mark.parametrize("transport", ["fast", "sdk"])


@TRANSPORTS
def test_virtual_hosted(tmp_path: Path, transport: str) -> None:
    """The bucket is the first label of the host, and the path is the key alone, byte by byte."""
    # 127.0.1 is 127.0.0.1 to every resolver, so bucket 127 at host 0.1 needs no DNS.
    stored = {f"127/{key}": STORED for key in ODD_KEYS}
    with FaultServer(stored, host="0.1", host_suffixes=("0.1",)) as server:
        chosen: dict[str, Any] = {"transport": transport, "addressing_style": "virtual", "allow_http": True}
        with running_engine(server.endpoint_url, **chosen) as engine:
            for key in ODD_KEYS:
                result = engine.download(f"s3://127/{key}", tmp_path / "restored")
                assert (tmp_path / "restored").read_bytes() == BODY
                assert result.integrity == "checksum"
        assert {one.headers["host"] for one in server.requests} == {f"127.0.1:{server.port}"}
        assert {(one.bucket, one.key) for one in server.requests} == {("127", key) for key in ODD_KEYS}


@TRANSPORTS
def test_path_style_with_token(tmp_path: Path, transport: str) -> None:
    """With path style the bucket leads the path; each request is signed with the session token, for any region."""
    with serving() as server:
        for region in (None, "eu-south-2"):
            with running_engine(server.endpoint_url, transport=transport, region=region) as engine:
                for key in ODD_KEYS:
                    server.store.put("bucket", key, STORED)
                    engine.download(f"s3://bucket/{key}", tmp_path / "restored")
                    assert (tmp_path / "restored").read_bytes() == BODY
            gets = server.requests_for("GetObject")[-4 * len(ODD_KEYS) :]
            scope = f"/{region or 'us-east-1'}/s3/aws4_request"
            assert all(scope in get.headers["authorization"] for get in gets)
        assert {one.headers["x-amz-security-token"] for one in server.requests} == {TOKEN}


@TRANSPORTS
@pytest.mark.parametrize("told", [True, False], ids=["told", "only in a document"])
def test_a_service_with_a_region_of_its_own(tmp_path: Path, transport: str, told: bool) -> None:
    """Whatever comes first, the region is learnt: nobody had to configure it. A small file is not sent before that."""
    (tmp_path / "small").write_bytes(b"tiny")
    (tmp_path / "many").mkdir()
    for name in "abc":
        (tmp_path / "many" / name).write_bytes(b"tiny")
    with FaultServer({"bucket/key": STORED}, [OnlyRegion(region="garage", told=told)]) as server:

        def upload(engine: Engine) -> None:
            engine.upload(tmp_path / "small", "s3://bucket/small")

        def upload_many(engine: Engine) -> None:
            results = list(engine.upload_many(tmp_path / "many", "s3://bucket/many/"))
            assert [result.error for result in results] == [None] * 3

        def download(engine: Engine) -> None:
            engine.download("s3://bucket/key", tmp_path / "restored")

        for first in (upload, upload_many, download):
            with running_engine(server.endpoint_url, transport=transport) as engine:
                first(engine)
        assert (tmp_path / "restored").read_bytes() == BODY
        assert set(server.store.in_bucket("bucket")) == {"key", "small", "many/a", "many/b", "many/c"}
        refused = [put for put in server.requests_for("PutObject") if put.status != 200]
        assert not refused or transport == "sdk"  # its client for writes learns the region by itself


@TRANSPORTS
def test_wrong_token(tmp_path: Path, transport: str) -> None:
    """A token that the service does not know is a credentials error, and is not shown."""
    with serving() as server, running_engine(server.endpoint_url, keys("other-canary"), transport=transport) as engine:
        server.store.put("bucket", "key", STORED)
        with pytest.raises(errors.CredentialsError) as caught:
            engine.download("s3://bucket/key", tmp_path / "restored")
        assert "other-canary" not in repr(caught.value)
        assert len(server.requests) <= 3


@TRANSPORTS
def test_unsigned(tmp_path: Path, transport: str) -> None:
    """Without signing no request carries any sign of credentials, even where there are some."""
    with FaultServer({"bucket/dir/key": STORED, "bucket/dir/small": b"tiny"}) as server:
        with running_engine(server.endpoint_url, transport=transport, sign_requests=False) as engine:
            results = list(engine.download_many("s3://bucket/dir/", tmp_path / "all"))
        assert [result.error for result in results] == [None, None]
        assert (tmp_path / "all" / "key").read_bytes() == BODY
        texts = [f"{name}:{value}" for one in server.requests for name, value in one.headers.items()]
        assert [text for text in texts if "authorization" in text or "security-token" in text] == []


def test_plain_http_beyond_loopback(tmp_path: Path) -> None:
    """Signatures do not go over plain http to another machine unless that was asked for."""
    with running_engine("http://192.0.2.1:9") as engine:
        with pytest.raises(errors.UsageError, match="--allow-http"):
            engine.download("s3://bucket/key", tmp_path / "restored")


def test_proxy_is_left_to_the_sdk(tmp_path: Path) -> None:
    """Where a proxy is configured the fast transport says so, and `auto` leaves the data path to the SDK."""
    with serving() as server:
        server.store.put("bucket", "key", STORED)
        proxied = keys() | {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
        with running_engine(server.endpoint_url, proxied, transport="fast") as engine:
            engine.download("s3://bucket/key", tmp_path / "restored")  # no_proxy covers it
        with running_engine(f"http://localhost:{server.port}", proxied, transport="auto") as engine:
            with pytest.raises(errors.NetworkError, match=r"(?i)proxy"):
                engine.download("s3://bucket/key", tmp_path / "refused")
        assert server.requests_for("GetObject", "key")[-1].headers["host"].startswith("127.0.0.1")


def test_secrets_stay_out_of_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a success nor any failure prints or logs a secret, at whatever log level (I5)."""
    caplog.set_level(0)
    with running_rig(tmp_path, workers=1) as rig:
        rig.restore(STORED)
        for code in ("AccessDenied", "InternalError", "InvalidToken", "SignatureDoesNotMatch"):
            failing = Status(code=code, attempt="every", message=f"denied to {TOKEN[:3]}")
            assert rig.restore(STORED, failing).error is not None
        assert_quiet(rig, capfd, caplog)


def assert_quiet(rig: Rig, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that was printed, logged, or can be printed of the engine holds a secret."""
    printed = capfd.readouterr()
    seen = [printed.out, printed.err, caplog.text, repr(rig.engine.settings), repr(vars(rig.engine))]
    assert [secret for secret in SECRETS for text in seen if secret in text] == []


def test_environment_is_read_when_the_engine_starts(tmp_path: Path) -> None:
    """`AWS_REGION` and `S3_ENDPOINT_URL` are understood as well as the SDK's own names."""
    with serving() as server:
        server.store.put("bucket", "key", STORED)
        variables = keys() | {"AWS_REGION": "ca-west-1", "S3_ENDPOINT_URL": server.endpoint_url}
        with aws_environment({}), running_engine(None, variables) as engine:
            engine.download("s3://bucket/key", tmp_path / "restored")
        assert "/ca-west-1/s3/" in server.requests[-1].headers["authorization"]
