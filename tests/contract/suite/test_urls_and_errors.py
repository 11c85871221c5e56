"""Presigned URLs, and what failures are called: C37, C50, C51, C56, C71."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

import pytest

from bulkhaul import ObjectStore
from bulkhaul.errors import AccessDenied, NetworkError, NotFound, OtherError, TransferError

from .bodies import made
from .subjects import Subject


def calls_on(store: ObjectStore, folder: Path) -> dict[str, Callable[[], object]]:
    """Return one call of every method that asks the service for something."""
    (folder / "source").write_bytes(b"abc")
    return {
        "list": lambda: list(store.list("key")),
        "head": lambda: store.head("key"),
        "get_to_file": lambda: store.get_to_file("key", folder / "restored"),
        "get_bytes": lambda: store.get_bytes("key"),
        "get_bytes_range": lambda: store.get_bytes_range("key", 0, 1),
        "put_bytes": lambda: store.put_bytes("key", b"abc"),
        "put_path": lambda: store.put_path("key", folder / "source"),
        "put_if_absent": lambda: store.put_if_absent("key", b"abc"),
        "copy": lambda: store.copy("key", "destination"),
        "delete": lambda: store.delete("key"),
        "probe": lambda: store.probe("key"),
    }


def test_c37_a_presigned_url_is_signed_for_its_time(store: ObjectStore) -> None:
    """SigV4 in the query: algorithm, date, lifetime and signature."""
    for ttl_s in (1, 60, 604800):
        query = parse_qs(urlsplit(store.presigned_get_url("dir/key", ttl_s)).query, strict_parsing=True)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == [f"{ttl_s}"]
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - signed) < timedelta(minutes=1)
        assert len(query["X-Amz-Signature"][0]) == 64
    for url in (store.presigned_get_url("dir/key"), store.presigned_put_url("dir/key")):
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["3600"], "an hour, as aws-cli's"


def test_c37_anyone_can_fetch_a_presigned_url(store: ObjectStore) -> None:
    """Without credentials, and whatever the key is."""
    for key in ("plain", "a b+c/ü#?%2F"):
        store.put_bytes(key, made(1000))
        with build_opener(ProxyHandler({})).open(store.presigned_get_url(key, 60), timeout=30) as reply:
            assert reply.read() == made(1000)


def test_c37_nothing_is_checked_for_a_presigned_url(subject: Subject) -> None:
    """No request is made: a missing object has a URL, and so has a bucket that cannot be reached."""
    assert "X-Amz-Signature=" in subject.store.presigned_get_url("missing", 60)
    for where in ("missing", "unreachable"):
        with subject.elsewhere(where) as store:
            assert "X-Amz-Signature=" in store.presigned_get_url("key", 60)


@pytest.mark.parametrize("ttl_s", [0, -5, 604801, 1.5, True])
def test_c37_a_lifetime_over_a_week_is_refused(store: ObjectStore, ttl_s: int) -> None:
    """Whole seconds from 1 to 604800; the service would refuse anything else only when the URL is used."""
    with pytest.raises(OtherError, match="604800"):
        store.presigned_get_url("key", ttl_s)


@pytest.mark.parametrize("operation", ["head", "get_to_file", "get_bytes", "get_bytes_range", "copy", "delete"])
def test_c50_a_missing_object_is_not_found_by_its_name(subject: Subject, tmp_path: Path, operation: str) -> None:
    """Every method that needs the object says NotFound, names it, and makes nothing."""
    subject.store.put_bytes("key2", b"x")
    with pytest.raises(NotFound) as caught:
        calls_on(subject.store, tmp_path)[operation]()
    assert caught.value.subject == subject.url("key")
    assert [info.key for info in subject.store.list()] == ["key2"]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_c50_a_missing_bucket_is_not_found(subject: Subject, tmp_path: Path) -> None:
    """Every method says NotFound."""
    with subject.elsewhere("missing") as store:
        for operation, call in calls_on(store, tmp_path).items():
            with pytest.raises(NotFound) as caught:
                call()
            assert "/key" in caught.value.subject, operation


def test_c51_unknown_credentials_are_access_denied(subject: Subject, tmp_path: Path) -> None:
    """Every method says AccessDenied."""
    subject.store.put_bytes("key", b"x")
    with subject.elsewhere("denied") as store:
        for call in calls_on(store, tmp_path).values():
            with pytest.raises(AccessDenied):
                call()
    assert subject.store.get_bytes("key") == b"x"


def test_c56_an_endpoint_that_nobody_listens_at_is_a_network_error(subject: Subject, tmp_path: Path) -> None:
    """Every method says NetworkError and shows the cause."""
    with subject.elsewhere("unreachable") as store:
        for call in calls_on(store, tmp_path).values():
            with pytest.raises(NetworkError) as caught:
                call()
            assert caught.value.cause
            assert caught.value.cause in str(caught.value)


def test_c71_a_store_writes_nothing_to_stdout(
    subject: Subject, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Stdout is the caller's: whether calls succeed or fail, not a byte is written to it."""
    failed = []
    for call in calls_on(subject.store, tmp_path).values():
        try:
            call()
        except TransferError as error:
            failed.append(error)
    subject.store.put_bytes("large", made(subject.large_bytes))
    subject.store.get_to_file("large", tmp_path / "large")
    assert failed
    assert capfd.readouterr().out == ""
