"""The boto3 client is tuned as the architecture says; nothing here opens a connection to a service."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bulkhaul.engine.worker.transports import Transports
from bulkhaul.errors import Unsupported, UsageError
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Settings, Timeouts
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.sdk_transport import SdkTransport
from bulkhaul.wire.values import Credentials


def settings(**changes: object) -> Settings:
    """Return settings for a client of a store on loopback."""
    fields: dict[str, object] = {
        "endpoint_url": "http://127.0.0.1:9",
        "region": "us-east-1",
        "profile": None,
        "sign_requests": True,
        "verify_tls": True,
        "ca_bundle": None,
        "allow_http": False,
        "addressing_style": "auto",
        "transport": "auto",
        "timeouts": Timeouts(),
    }
    return Settings(**(fields | changes))  # type: ignore[arg-type] # every field has its type above


def test_connections_have_real_keepalive_timers() -> None:
    """A socket of the SDK's pool is opened with timers of its own: the private list that carries them still works."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    client = SdkClient(settings(endpoint_url=f"http://127.0.0.1:{port}")).client
    pool = client._endpoint.http_session._manager.connection_from_url(f"http://127.0.0.1:{port}")
    connection = pool._new_conn()
    connection.connect()
    try:
        opened = connection.sock
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    finally:
        connection.close()
        listener.close()


def test_retries_are_the_engines() -> None:
    """The client makes one attempt, with the deadlines of the settings and a connection for each of its users."""
    config = SdkClient(settings()).client.meta.config
    assert config.retries["total_max_attempts"] == 1
    assert (config.connect_timeout, config.read_timeout) == (3.1, 30.0)
    assert config.max_pool_connections >= 4


@pytest.mark.parametrize(
    ("style", "host_first"), [("auto", False), ("path", False), ("virtual", True)], ids=lambda value: str(value)
)
def test_addressing_of_a_compatible_store(style: str, host_first: bool) -> None:
    """Path style unless virtual hosts are asked for: few stores have a DNS name for every bucket."""
    sdk = SdkClient(settings(endpoint_url="https://store.example.com", addressing_style=style))
    sdk.use(Credentials("AKIDEXAMPLE", "secret"))
    url: str = sdk.client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"})
    assert url.startswith("https://bucket.store.example.com/k" if host_first else "https://store.example.com/bucket/k")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"endpoint_url": "http://store.example.com"}, "--allow-http"),
        ({"endpoint_url": "https://store.example.com", "ca_bundle": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    ],
    ids=["plain http", "missing authorities"],
)
def test_settings_that_cannot_be_used(changes: dict[str, object], named: str) -> None:
    """What cannot work is refused before any request, and the message names it."""
    with pytest.raises(UsageError, match=named):
        SdkClient(settings(**changes))


def test_a_proxy_does_not_get_dot_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that sees the path would resolve ``..`` and fetch another object: only such a key is refused."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    sdk = SdkClient(settings(endpoint_url="http://store.example.com", allow_http=True))
    sdk.require_unrewritten("a..b/c")
    with pytest.raises(Unsupported, match="proxy"):
        sdk.require_unrewritten("a/../../x")


def test_secrets_that_a_service_echoes_are_masked() -> None:
    """An error that a worker reports holds neither the secret key nor the token, whatever the service wrote."""
    plain = settings()
    transports = Transports(
        "fast",
        FastTransport(plain, ca_bundle=None, user_agent="t"),
        SdkTransport(plain, SdkClient(plain)),
        secrets=("canary-sse-c",),
    )
    transports.use(Credentials("AKIDEXAMPLE", "canary-secret", "canary-token"))
    told = transports.cleaned(
        ErrorInfo("OtherError", "no canary-secret, canary-sse-c", cause="token canary-token is bad" + "x" * 9999)
    )
    assert "canary" not in told.message + told.cause
    assert len(told.cause) <= 500


@pytest.mark.parametrize("where", ["environment", "configuration"])
def test_a_password_in_a_configured_endpoint_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """Wherever the SDK takes the endpoint from: it would print it with every failure to connect."""
    url = "http://user:CANARY@127.0.0.1:9"
    if where == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    else:
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(UsageError, match=f"{where} must hold no user or password") as caught:
        SdkClient(settings(endpoint_url=None))
    assert "CANARY" not in str(caught.value)
