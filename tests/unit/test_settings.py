"""Settings: what is accepted, what is refused with which words, and what follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.errors import ErrorInfo, NotFound, UsageError
from bulkhaul.model.limits import GIB, KIB, MIB, S3Limits
from bulkhaul.model.objects import Integrity, ObjectRef, Verify
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import (
    DEFAULT_PART_SIZE_BYTES,
    MOST_IN_FLIGHT,
    Settings,
    Timeouts,
    default_workers,
    with_fields,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allow_http", "no"),
        ("workers", "2"),
        ("part_size_bytes", 1e9),
        ("sse_c_key", "x" * 32),
        ("timeouts", 3),
        ("region", b"eu"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(field: str, value: object) -> None:
    """``"no"`` is not false: what looks right must not be taken for something else."""
    with pytest.raises(UsageError, match=f"{field} has the wrong type"):
        Settings(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:CANARY@127.0.0.1",
        "ftp://CANARY",
        "http://",
        "https://host:0/CANARY",
        "https://host:x/CANARY",
        "https://host/?key=CANARY",
        "https://host/#CANARY",
        "CANARY",
    ],
)
def test_an_endpoint_that_cannot_be_shown_is_refused_without_showing_it(url: str) -> None:
    """Messages name the endpoint, so it holds no secret; and only what can be reached is tried."""
    with pytest.raises(UsageError) as caught:
        Settings(endpoint_url=url)
    assert "endpoint URL" in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bandwidth_bytes_per_s", 64 * KIB - 1),
        ("workers", 0),
        ("workers", -1),
        ("workers", 257),
        ("concurrency", 0),
        ("concurrency", 4097),
        ("part_size_bytes", 64 * KIB - 1),
        ("part_size_bytes", 5 * GIB + 1),
        ("part_size_bytes", 0),
        ("part_size_bytes", -16 * MIB),
        ("transport", "quic"),
        ("transport", ""),
        ("landing", "floating"),
        ("addressing_style", "Path"),
        ("verify", "sometimes"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    """The message names the setting and the value, so that it can be mended."""
    with pytest.raises(UsageError, match=field.split("_")[0]) as caught:
        Settings(**{field: value})  # type: ignore[arg-type]
    text = f"{value!r}" if isinstance(value, str) else str(value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workers", 1),
        ("workers", 256),
        ("concurrency", 1),
        ("concurrency", 4096),
        ("part_size_bytes", 64 * KIB),
        ("part_size_bytes", 5 * GIB),
        ("transport", "sdk"),
        ("landing", "written"),
        ("addressing_style", "virtual"),
        ("verify", Verify.FULL),
    ],
)
def test_the_ends_of_every_range_are_accepted(field: str, value: object) -> None:
    """A limit is itself allowed."""
    assert getattr(Settings(**{field: value}), field) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("verify", ["auto", "full", "none"])
def test_verify_is_the_enum_whichever_way_it_is_written(verify: str) -> None:
    """``verify="none"`` switches checks off just as ``Verify.NONE`` does: policies compare by identity."""
    assert Settings(verify=verify).verify is Verify(verify)  # type: ignore[arg-type]


def test_the_defaults_are_those_that_were_decided() -> None:
    """16 MiB ranges, automatic choices, checks on, TLS checked, requests signed, no fsync."""
    settings = Settings()
    assert DEFAULT_PART_SIZE_BYTES == 16 * MIB
    assert (settings.transport, settings.landing, settings.verify) == ("auto", "auto", Verify.AUTO)
    assert settings.verify_tls
    assert settings.sign_requests
    assert not settings.allow_http
    assert not settings.fsync
    assert settings.limits == S3Limits()
    assert (settings.workers, settings.concurrency) == (None, None)
    assert 2 <= settings.worker_count == default_workers() <= 8


def test_the_network_deadlines_are_those_of_the_contract() -> None:
    """Connect 3.1 s, read 30 s, idle 30 s (C68); every other wait is bounded too (I4)."""
    timeouts = Timeouts()
    assert (timeouts.connect_s, timeouts.read_s, timeouts.idle_s) == (3.1, 30.0, 30.0)
    assert all(getattr(timeouts, field) > 0 for field in timeouts.__struct_fields__)


@given(st.integers(1, 256), st.one_of(st.none(), st.integers(1, 4096)))
def test_connections_cover_the_concurrency_and_no_worker_is_idle(workers: int, concurrency: int | None) -> None:
    """Workers times connections reach the concurrency with less than one connection a worker to spare."""
    settings = Settings(workers=workers, concurrency=concurrency)
    assert 1 <= settings.worker_count <= workers
    assert settings.asked_at_once == (concurrency or 4 * workers)
    total = settings.worker_count * settings.connections
    assert settings.asked_at_once <= total < settings.asked_at_once + settings.worker_count
    assert settings.max_in_flight == (concurrency or MOST_IN_FLIGHT)


def test_a_url_is_written_for_people() -> None:
    """Keys are shown as they are, never escaped or normalised."""
    assert ObjectRef("b", "a//../x y%20").url == "s3://b/a//../x y%20"


def test_a_result_is_ok_only_if_the_object_is_there() -> None:
    """Failed and skipped are not ok, and a failure comes back as the exception it was."""
    common = {"source": "s3://b/k", "destination": "/d/k", "bucket": "b", "key": "k"}
    good = TransferResult(**common, integrity=Integrity.CHECKSUM)  # type: ignore[arg-type]
    bad = TransferResult(**common, failure=ErrorInfo("NotFound", "gone"))  # type: ignore[arg-type]
    skipped = TransferResult(**common, skipped="it is there already")  # type: ignore[arg-type]
    assert [one.ok for one in (good, bad, skipped)] == [True, False, False]
    assert good.error is None
    assert skipped.error is None
    assert isinstance(bad.error, NotFound)


def test_a_timeout_is_changed_as_if_it_were_given_first() -> None:
    """What follows from ``timeout_s`` follows from the last one, so equal settings are equal."""
    changed = with_fields(Settings(timeout_s=120.0), {"timeout_s": 5.0})
    assert changed == Settings(timeout_s=5.0)
    assert changed.waits == Settings(timeout_s=5.0).waits
    assert with_fields(changed, {"timeout_s": None}).waits == Timeouts()


def test_an_sse_c_key_is_held_as_bytes() -> None:
    """Settings can be hashed, and nobody else can change their key."""
    key = bytearray(32)
    settings = Settings(sse_c_key=key)  # type: ignore[arg-type] # some have it so
    key[0] = 1
    assert settings.sse_c_key == bytes(32)
    assert hash(settings) == hash(Settings(sse_c_key=bytes(32)))
