"""Which checksum uploads send by default, by the endpoint's name."""

from __future__ import annotations

import pytest

from bulkhaul.cli.options import make_settings
from bulkhaul.errors import UsageError
from bulkhaul.policy.endpoints import AWS_DOMAINS, EndpointProfile, aws_domain, is_within, profile_for
from bulkhaul.wire.sdk.client import SdkClient
from tests.unit.test_sdk_client import settings

REQUIRED = ("CRC64NVME", True)
TRIED = ("CRC32", False)
NONE = (None, False)


@pytest.mark.parametrize(
    ("host", "name", "sent"),
    [
        ("s3.amazonaws.com", "AWS", REQUIRED),
        ("s3.eu-west-1.amazonaws.com", "AWS", REQUIRED),
        ("S3.Dualstack.eu-west-1.AmazonAWS.com", "AWS", REQUIRED),
        ("bucket.s3-fips.us-gov-west-1.amazonaws.com", "AWS", REQUIRED),
        ("s3.cn-north-1.amazonaws.com.cn", "AWS", REQUIRED),
        ("s3.eusc-de-east-1.amazonaws.eu", "AWS", REQUIRED),
        ("s3.us-west-2.api.aws", "AWS", REQUIRED),
        ("s3.amazonaws.com.", "AWS", REQUIRED),
        ("", "AWS", REQUIRED),
        ("storage.googleapis.com", "Google Cloud Storage", NONE),
        ("bucket.storage.googleapis.com", "Google Cloud Storage", NONE),
        ("s3.us-west-004.backblazeb2.com", "Backblaze B2", NONE),
        ("S3.EU-Central-003.BackblazeB2.com", "Backblaze B2", NONE),
        ("s3.eu-central-1.wasabisys.com", "S3-compatible", TRIED),
        ("127.0.0.1", "S3-compatible", TRIED),
        ("::1", "S3-compatible", TRIED),
        ("localhost", "S3-compatible", TRIED),
    ],
)
def test_the_host_decides_the_checksum(host: str, name: str, sent: tuple[str | None, bool]) -> None:
    """AWS must take it, services that document otherwise are not sent it, any other is tried."""
    assert profile_for(host) == EndpointProfile(name, *sent)


@pytest.mark.parametrize(
    "host",
    [
        "notamazonaws.com",
        "s3.notamazonaws.com",
        "amazonaws.com.example.org",
        "amazonaws.com.cn.example",
        "xapi.aws",
        "api.aws.example",
        "aws",
        "storage.fakegoogleapis.com",
        "storage.googleapis.com.example.org",
        "mybackblazeb2.com",
        "backblazeb2.community",
    ],
)
def test_only_whole_labels_at_the_end_count(host: str) -> None:
    """A name that merely resembles a known one is treated as any other host."""
    assert profile_for(host) == EndpointProfile("S3-compatible", "CRC32", False)
    assert aws_domain(host) is None


@pytest.mark.parametrize("domain", AWS_DOMAINS)
def test_each_aws_domain_is_recognised_as_itself(domain: str) -> None:
    """The domain itself and every name below it belong to it; no other of AWS's is taken for it."""
    assert aws_domain(domain) == domain
    assert aws_domain(f"s3.region.{domain}") == domain
    assert is_within(f"A.{domain.upper()}", domain)
    assert not is_within(f"a{domain}", domain)


def test_cloudflare_wants_parts_of_one_length() -> None:
    """R2 refuses an upload whose parts but the last differ in length; nobody else does."""
    assert profile_for("account.r2.cloudflarestorage.com").even_parts
    assert not profile_for("s3.eu-west-1.amazonaws.com").even_parts
    assert not profile_for("notr2.cloudflarestorage.com.example.com").even_parts


@pytest.mark.parametrize("ours", ["http://ours", ""])
@pytest.mark.parametrize("ignored", ["true", "True", "1", ""])
def test_commands_and_the_sdk_find_the_same_endpoint(monkeypatch: pytest.MonkeyPatch, ours: str, ignored: str) -> None:
    """Variables that the SDK is told to ignore are ignored by all; they hide no other one, and may hold anything."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    unsaid = settings(endpoint_url=None, allow_http=True)
    given = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": ignored, "AWS_ENDPOINT_URL": "no URL", "S3_ENDPOINT_URL": ours}
    for name, value in given.items():
        if value:
            monkeypatch.setenv(name, value)
    if ignored in ("true", "True"):
        assert make_settings({}).endpoint_url is None
        assert SdkClient(unsaid).endpoint_url == (ours or "https://s3.amazonaws.com")
    else:
        for refused in (lambda: make_settings({}), lambda: SdkClient(unsaid)):
            with pytest.raises(UsageError, match="must be https://HOST"):
                refused()
