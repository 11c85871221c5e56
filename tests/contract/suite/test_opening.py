"""Rows about opening a store by its URL: C1, C58 to C67; both stores, through ``from_url``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bulkhaul.aio
from bulkhaul import S3Store
from bulkhaul.errors import CredentialsError, InvalidUrl, NetworkError, OtherError, UsageError
from bulkhaul.store.aio import settings_for
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN, aws_environment, keys
from tests.faultserver import FaultServer

from .wired import SETTINGS, url_of, wired_server

Kind = type[S3Store] | type[bulkhaul.aio.S3Store]
every_kind = pytest.mark.parametrize("kind", [S3Store, bulkhaul.aio.S3Store], ids=["blocking", "async"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    """A server that wants signatures."""
    with wired_server(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment allows plain http."""
    for name in ("BULKHAUL_ALLOW_HTTP", "ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)


@every_kind
@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "the URL is empty"),
        ("s3+ftp://localhost/photos", "the scheme is not supported"),
        ("http://localhost/photos", "did you mean s3+http://?"),
        ("s3+https:///photos", "host"),
        ("s3+https://localhost:70000/photos", "port"),
        ("s3+https://localhost/", "the bucket is missing"),
        ("s3+https://localhost/Photos", "the bucket name may hold only"),
        ("s3+https://localhost/photos?color=blue", "flag 'color' is unknown"),
        ("s3+https://localhost/photos?zip=maybe", "flag zip"),
        ("s3+https://localhost/photos?addressing=PATH", "flag addressing"),
        ("s3+https://localhost/photos?bundle_uri_presign_ttl=604801", "flag bundle_uri_presign_ttl"),
        ("s3+https://photos.ec2.eu-west-1.amazonaws.com/a", "host"),
        ("s3+https://localhost/photos?addressing=virtual", "virtual"),
        ("az+https://account.blob.core.windows.net/container", "Azure"),
    ],
)
def test_c58_a_wrong_url_is_refused_by_its_wrong_part(kind: Kind, url: str, part: str) -> None:
    """C58 and C60 to C67: InvalidUrl before anything is started, and it names what is wrong."""
    with pytest.raises(InvalidUrl, match=re.escape(part)):
        kind.from_url(url)


@every_kind
@pytest.mark.parametrize("host", ["192.168.0.1", "example.com", "[::2]", "localhost.example.com"])
def test_c59_http_beyond_loopback_is_refused(kind: Kind, host: str) -> None:
    """Signatures and bytes would travel in the clear."""
    with pytest.raises(InvalidUrl, match="http"):
        kind.from_url(f"s3+http://{host}/photos")


@every_kind
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_c59_http_reaches_loopback(kind: Kind, host: str) -> None:
    """Nothing leaves the machine."""
    assert kind.from_url(f"s3+http://{host}:9000/photos").url.endpoint_url == f"http://{host}:9000"


@every_kind
@pytest.mark.parametrize("name", ["BULKHAUL_ALLOW_HTTP", "ALLOW_HTTP"])
@pytest.mark.parametrize(
    ("value", "allowed"), [("1", True), ("TRUE", True), ("yes", True), ("on", True), ("0", False), ("enable", False)]
)
def test_c59_the_environment_may_allow_http(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: bool
) -> None:
    """Either variable, with one of the known words; any other word leaves it closed."""
    monkeypatch.setenv(name, value)
    if allowed:
        assert kind.from_url("s3+http://example.com/photos").url.bucket == "photos"
    else:
        with pytest.raises(InvalidUrl):
            kind.from_url("s3+http://example.com/photos")


@every_kind
def test_c59_the_setting_beats_the_environment(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller says stands, either way."""
    assert kind.from_url("s3+http://example.com/photos", allow_http=True).url.scheme == "http"
    monkeypatch.setenv("ALLOW_HTTP", "1")
    with pytest.raises(InvalidUrl):
        kind.from_url("s3+http://example.com/photos", allow_http=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "s3+https://photos.s3.eu-west-1.amazonaws.com/a?profile=home",
            ("https://s3.eu-west-1.amazonaws.com", "eu-west-1", "home", "virtual"),
        ),
        ("s3+https://minio.example.com/photos", ("https://minio.example.com", "us-east-1", None, "path")),
        ("s3+https://minio.example.com/photos?region=r", ("https://minio.example.com", "r", None, "path")),
        ("s3://photos/a?region=eu-west-1", (None, "eu-west-1", None, "auto")),
    ],
)
def test_c61_the_url_becomes_settings(url: str, expected: tuple[str | None, ...]) -> None:
    """C60 to C62, C65 and C66: endpoint, region, profile and addressing follow from the URL."""
    parsed, settings = settings_for(url, {})
    assert parsed.bucket == "photos"
    assert (settings.endpoint_url, settings.region, settings.profile, settings.addressing_style) == expected


def test_c67_what_the_caller_says_goes_before_the_url() -> None:
    """A setting given by name beats the flag; an unknown one is an error of the call."""
    settings = settings_for("s3+https://localhost/photos?region=a&profile=b", {"region": "c", "profile": "d"})[1]
    assert (settings.region, settings.profile) == ("c", "d")
    with pytest.raises(UsageError, match="no such setting"):
        settings_for("s3+https://localhost/photos", {"regoin": "c"})
    with pytest.raises(UsageError, match="workers"):
        settings_for("s3+https://localhost/photos", {"workers": 0})


def test_c64_the_prefix_is_carried_and_never_put_before_keys(server: FaultServer) -> None:
    """C1: callers compose keys; the store uses them as they are."""
    with S3Store.from_url(f"{url_of(server)}/some/prefix", **SETTINGS) as store:
        assert store.url.prefix == "some/prefix"
        store.put_bytes("c64/key", b"x")
        assert [info.key for info in store.list("c64/")] == ["c64/key"]
    assert {one.key for one in server.requests_for("PutObject")} == {"c64/key"}


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("s3+https://photos.s3.eu-west-1.amazonaws.com/", "https://photos.s3.eu-west-1.amazonaws.com/key"),
        ("s3+https://photos.localhost:9000/?addressing=virtual", "https://photos.localhost:9000/key"),
        ("s3+https://localhost:9000/photos", "https://localhost:9000/photos/key"),
    ],
)
def test_c61_the_bucket_is_addressed_where_the_url_has_it(url: str, signed: str) -> None:
    """In the host or in the path, and never in both; an endpoint keeps its port."""
    with aws_environment(keys()), S3Store.from_url(url, **SETTINGS) as store:
        assert store.presigned_get_url("key", 60).partition("?")[0] == signed


def test_c67_credentials_come_from_the_chain_and_the_profile(server: FaultServer, tmp_path: Path) -> None:
    """A profile in the URL beats AWS_PROFILE; one that does not exist, or none at all, is told as what it is."""
    (tmp_path / "credentials").write_text(
        f"[right]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\naws_session_token={TOKEN}\n"
        "[wrong]\naws_access_key_id=nobody\naws_secret_access_key=nothing\n"
    )
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_PROFILE": "wrong"}
    with aws_environment(files), S3Store.from_url(f"{url_of(server)}?profile=right", **SETTINGS) as store:
        store.probe()
    with aws_environment({}), S3Store.from_url(f"{url_of(server)}?profile=missing", **SETTINGS) as store:
        with pytest.raises(OtherError, match="missing"):
            store.probe()
    with aws_environment({}), S3Store.from_url(url_of(server), **SETTINGS) as store:
        with pytest.raises(CredentialsError):
            store.presigned_get_url("key", 60)


@every_kind
def test_c58_opening_asks_nothing(kind: Kind) -> None:
    """A store of an endpoint where nobody listens opens; its first request fails."""
    url = "s3+http://127.0.0.1:1/photos"
    assert kind.from_url(url).url.bucket == "photos"
    options: dict[str, Any] = {**SETTINGS, "sign_requests": False}
    with S3Store.from_url(url, **options) as store:
        with pytest.raises(NetworkError):
            store.probe()
