"""Rows about opening a store by its URL: C1, C58 to C67; both stores, through ``from_url``."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bulkhaul.aio
from bulkhaul import S3Store
from bulkhaul.errors import CredentialsError, InvalidUrl, NetworkError, NotFound, OtherError, UsageError
from bulkhaul.store.opening import settings_for
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
    before = len(server.requests)
    with S3Store.from_url(f"{url_of(server)}/some/prefix", prefix="carry", **SETTINGS) as store:
        assert store.url.prefix == "some/prefix"
        store.put_bytes("c64/key", b"x")
        assert [info.key for info in store.list("c64/")] == ["c64/key"]
    assert {one.key for one in server.requests[before:] if one.operation == "PutObject"} == {"c64/key"}


@every_kind
@pytest.mark.parametrize("url", ["s3://photos/some/prefix", "s3://photos/a/", "s3+https://localhost/photos/a?zip=1"])
def test_c1_what_becomes_of_a_prefix_must_be_said(kind: Kind, url: str) -> None:
    """Keys below it, or as they are: neither is guessed, and the error names both."""
    with pytest.raises(UsageError, match=r'prefix="apply".*prefix="carry"'):
        kind.from_url(url)
    assert kind.from_url(url, prefix="carry").url.prefix == kind.from_url(url, prefix="apply").url.prefix


@every_kind
@pytest.mark.parametrize("url", ["s3://photos", "s3://photos/", "s3+https://localhost/photos/?zip=1"])
def test_c1_without_a_prefix_nothing_has_to_be_said(kind: Kind, url: str) -> None:
    """All three do the same."""
    store = kind.from_url(url)
    assert store == kind.from_url(url, prefix="carry") == kind.from_url(url, prefix="apply")
    assert hash(store) == hash(kind.from_url(url, prefix="apply"))


@every_kind
@pytest.mark.parametrize("wrong", ["applied", "", "some/prefix", 1, True])
def test_c1_another_word_is_refused(kind: Kind, wrong: Any) -> None:
    """Also where the URL has no prefix, and where a store is made of a URL that was parsed before."""
    for url in ("s3://photos", "s3://photos/a"):
        with pytest.raises(UsageError, match='"apply" or "carry"'):
            kind.from_url(url, prefix=wrong)
    with pytest.raises(UsageError, match='"apply" or "carry"'):
        kind(*settings_for("s3://photos/a", {}), prefix=wrong)


@every_kind
def test_c1_a_store_keeps_what_becomes_of_its_prefix(kind: Kind) -> None:
    """Pickled, copied, compared and shown: it is a part of what the store is."""
    applied, carried = (kind.from_url("s3://photos/a", prefix=use) for use in ("apply", "carry"))
    assert applied != carried
    for store in (applied, carried):
        again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
        assert (again, hash(again), repr(again)) == (store, hash(store), repr(store))
    assert repr(applied) == "S3Store('s3://photos/a', prefix='apply')"
    assert repr(carried) == "S3Store('s3://photos/a', prefix='carry')"
    assert repr(kind.from_url("s3://photos")) == "S3Store('s3://photos')"


def test_c1_an_applied_prefix_is_before_every_key(server: FaultServer, tmp_path: Path) -> None:
    """The service sees it and the caller does not: of what lies beside the prefix nothing is seen."""
    before = len(server.requests)
    with (
        S3Store.from_url(url_of(server), **SETTINGS) as all_of_it,
        S3Store.from_url(f"{url_of(server)}/pre/fix/", prefix="apply", **SETTINGS) as store,
    ):
        all_of_it.put_bytes("pre/fixed", b"beside")
        result = store.put_bytes("a", b"body")
        assert (result.key, result.destination) == ("a", "s3://bucket/pre/fix/a")
        (tmp_path / "file").write_bytes(b"of a file")
        assert store.put_path("d/b", tmp_path / "file").key == "d/b"
        assert store.put_if_absent("c", b"") is True
        assert store.copy("a", "e").key == "e"
        all_of_it.put_bytes("pre/fix/", b"")  # the mark of the folder, which is no object below it
        assert [info.key for info in store.list_with_delimiter().objects] == ["a", "c", "e"]
        assert [info.key for info in store.list()] == ["a", "c", "d/b", "e"]
        assert [info.key for info in store.list("d")] == ["d/b"]
        assert store.head("d/b").key == "d/b"
        assert store.get_bytes("a") + store.get_bytes_range("e", 1, 3) == b"bodyod"
        fetched = store.get_to_file("a", tmp_path / "fetched")
        assert (fetched.key, fetched.source) == ("a", "s3://bucket/pre/fix/a")
        assert "/bucket/pre/fix/a?" in store.presigned_get_url("a", 60)
        store.probe("d/")
        with pytest.raises(NotFound) as missing:
            store.head("missing")
        assert missing.value.subject == "s3://bucket/pre/fix/missing"
        store.delete("e")
        all_of_it.delete("pre/fix/")
        assert [info.key for info in all_of_it.list("pre/")] == ["pre/fix/a", "pre/fix/c", "pre/fix/d/b", "pre/fixed"]
        with pytest.raises(UsageError, match="1024"):
            store.head("k" * 1020)
        with pytest.raises(UsageError, match="empty"):
            store.head("")
    # what was listed of the whole bucket is asked for below pre/
    assert all(one.key.startswith("pre/") for one in server.requests[before:] if one.key)


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
