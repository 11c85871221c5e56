"""I5: no text shows a secret, however it is spelled there and wherever it stands."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.masking import Mask, hidden_by_place
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.sdk_transport import SdkTransport
from bulkhaul.wire.values import Credentials, object_headers
from tests.unit.test_sdk_client import settings

SECRETS = ["CANARY/with+slash=and&more", "CANARY-with-a-line-end\n", "\tCANARY 'quoted' \"twice\"\r\n", "CANARY-ü-\\x"]

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "stripped": str.strip,
    "repr": repr,
    "repr of its bytes": lambda secret: repr(secret.encode()),
    "JSON": json.dumps,
    "escaped": lambda secret: secret.encode("unicode_escape").decode(),
    "percent-encoded": quote,
    "percent-encoded with its slashes": lambda secret: quote(secret, safe=""),
    "percent-encoded in lower case": lambda secret: quote(secret, safe="").lower(),
    "as a form's field": quote_plus,
    "XML": html.escape,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_hidden_in_every_spelling(secret: str, spelling: Callable[[str], str]) -> None:
    """However a service or a library writes a secret that is known, only what stands around it is left."""
    shown = Mask(["other-secret", secret]).hide(f"<before {spelling(secret)} after>")
    assert "canary" not in shown.lower()
    assert base64.b64encode(b"CANARY").decode() not in shown
    assert shown.startswith("<before ")
    assert shown.endswith(" after>")


@pytest.mark.parametrize(
    "text",
    [
        "Invalid header value b'AWS4-HMAC-SHA256 Credential=CANARY\\n/20260101'",
        "An HTTP Client raised an unhandled exception: Invalid header value 'CANARY\\r\\n'",
        "Invalid header name b'x-CANARY'",
        "Authorization: AWS4-HMAC-SHA256 Credential=CANARY/20260101/us-east-1/s3/aws4_request, Signature=CANARY",
        "AWS4-HMAC-SHA256 Credential=CANARY/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=CANARY",
        "{'x-amz-security-token': 'CANARY'}",
        'Could not connect to "http://h/b/k?X-Amz-Credential=CANARY%2F20260101&X-Amz-Signature=CANARY"',
        "URL can't contain control characters. '/k?x-amz-security-token=CANARY&x=1' (found at least '\\n')",
        "http://h/b/k?AWSAccessKeyId=CANARY&Signature=CANARY%3D&Expires=1",
        "x-amz-server-side-encryption-customer-key: CANARY",
        "x-amz-copy-source-server-side-encryption-customer-key: CANARY",
    ],
)
def test_what_stands_where_secrets_stand_is_hidden(text: str) -> None:
    """Signatures, presigned query strings and the headers of a request are hidden though nobody knows their values."""
    assert "CANARY" not in hidden_by_place(text)
    assert "CANARY" not in network_error(ValueError(text)).cause


def test_what_is_no_secret_stays() -> None:
    """A message that only speaks of signatures and headers is left as it is."""
    text = "the signature is wrong: check the credential scope and x-amz-date; s3://bucket/signature/key"
    assert Mask(["short", "a-long-secret"]).hide(text) == text


@pytest.mark.parametrize("field", ["message", "cause", "service_code", "request_id", "host_id"])
def test_no_part_of_an_error_shows_a_secret(field: str) -> None:
    """Whatever a service puts a secret into, a worker's report has none: keys, token, customer's key."""
    wire = settings(sse_c_key=b"CANARY-customer-key-of-32-bytes!")
    sdk = SdkTransport(wire, SdkClient(wire))
    secrets = tuple(value for name, value in object_headers(wire) if "customer-key" in name)
    transports = Transports("fast", FastTransport(wire, ca_bundle=None, user_agent="t"), sdk, secrets=secrets)
    transports.use(Credentials("AKIDEXAMPLE", "CANARY/secret", "CANARY/token"))
    for secret in (
        "CANARY/secret",
        quote("CANARY/token", safe=""),
        *secrets,
        b"CANARY-customer-key-of-32-bytes!".hex(),
    ):
        told = transports.cleaned(msgspec.structs.replace(ErrorInfo("OtherError", "no"), **{field: f"echo {secret}"}))
        assert getattr(told, field) == "echo ***"


def test_keys_that_were_renewed_are_hidden_for_a_while() -> None:
    """What was signed with the last ones may be answered yet, and so quote them."""
    wire = settings()
    sdk = SdkTransport(wire, SdkClient(wire))
    transports = Transports("fast", FastTransport(wire, ca_bundle=None, user_agent="t"), sdk, secrets=())
    for token in ("CANARY/first", "CANARY/second"):
        transports.use(Credentials("AKIDEXAMPLE", "CANARY/secret", token))
    told = transports.cleaned(ErrorInfo("ExpiredCredentials", "CANARY/first has expired", cause="not CANARY/second"))
    assert (told.message, told.cause) == ("*** has expired", "not ***")
