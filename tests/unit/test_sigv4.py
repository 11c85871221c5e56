"""The signer equals AWS's documentation and botocore's signer, byte for byte."""

from __future__ import annotations

import calendar
import datetime
from unittest import mock
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SdkCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.wire.sigv4 import Signer
from bulkhaul.wire.values import Credentials, Target
from tests.unit.strategies import KEY_TEXT

DOCS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DOCS_NOW_S = float(calendar.timegm((2013, 5, 24, 0, 0, 0)))
DOCS_HOST = "examplebucket.s3.amazonaws.com"

PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
UNSIGNED_NAMES = {
    "host", "authorization", "user-agent", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token",
    *botocore.auth.SIGNED_HEADERS_BLACKLIST,
}  # fmt: skip
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(lambda n: n.lower() not in UNSIGNED_NAMES)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5, unique_by=lambda header: header[0].lower())
QUERY_TEXT = st.text(max_size=8).map(lambda text: quote(text.encode("utf-8", "surrogatepass"), safe=""))
PAIRS = st.one_of(st.tuples(QUERY_TEXT, st.just("="), QUERY_TEXT), st.tuples(QUERY_TEXT, st.just(""), st.just("")))
QUERIES = st.lists(PAIRS.map("".join), max_size=5).map("&".join)
INSTANTS = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2099, 12, 31))


def authorization(signed: list[tuple[str, str]]) -> str:
    """Return the Authorization header among those of a signed request."""
    return dict(signed)["authorization"]


def botocore_authorization(
    credentials: Credentials, region: str, url: str, headers: list[tuple[str, str]], now: datetime.datetime
) -> str:
    """Return what botocore's S3SigV4Auth signs for a GET, with its clock stopped at ``now``."""
    keys = SdkCredentials(credentials.access_key, credentials.secret_key, credentials.token or None)
    request = AWSRequest(method="GET", url=url, headers=dict(headers))
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        botocore.auth.S3SigV4Auth(keys, "s3", region).add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            "",
            [("Range", "bytes=0-9")],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/", "lifecycle", [], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/", "max-keys=2&prefix=J", [], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
    ids=["GET object", "GET bucket lifecycle", "GET bucket (list objects)"],
)
def test_the_examples_of_the_documentation(
    path: str, query: str, headers: list[tuple[str, str]], signature: str
) -> None:
    """The signatures of "Authenticating Requests: Using the Authorization Header" (S3 API reference)."""
    signed = Signer(DOCS, "us-east-1").sign("GET", DOCS_HOST, path, headers, query=query, now_s=DOCS_NOW_S)
    names = ";".join(["host", *(name.lower() for name, _ in headers), "x-amz-content-sha256", "x-amz-date"])
    assert authorization(signed) == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f" SignedHeaders={names}, Signature={signature}"
    )
    assert dict(signed)["x-amz-date"] == "20130524T000000Z"
    assert dict(signed)["host"] == DOCS_HOST


@settings(max_examples=200)
@given(
    key=KEY_TEXT,
    query=QUERIES,
    headers=HEADERS,
    now=INSTANTS,
    token=st.one_of(st.just(""), PRINTABLE),
    access_key=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    secret_key=PRINTABLE,
    region=st.from_regex(r"[a-z]{2}-[a-z]{4,9}-[1-9]", fullmatch=True),
    port=st.sampled_from([443, 9000]),
)
def test_every_signature_equals_botocores(
    key: str,
    query: str,
    headers: list[tuple[str, str]],
    now: datetime.datetime,
    token: str,
    access_key: str,
    secret_key: str,
    region: str,
    port: int,
) -> None:
    """Over random keys, queries, headers, dates, tokens and regions the Authorization header is the same bytes."""
    credentials = Credentials(access_key, secret_key, token)
    target = Target("https", "bucket.s3.example.com", port, "/", region, fast=True)
    path = target.path_prefix + quote(key, safe="/-_.~")
    url = f"https://bucket.s3.example.com:{port}{path}" + (f"?{query}" if query else "")
    now_s = float(calendar.timegm(now.timetuple()))
    signed = Signer(credentials, region).sign("GET", target.host_header, path, headers, query=query, now_s=now_s)
    assert authorization(signed) == botocore_authorization(credentials, region, url, headers, now)


@settings(max_examples=200)
@given(
    keys=st.lists(KEY_TEXT, min_size=1, max_size=3),
    headers=HEADERS,
    varying=NAMES,
    values=st.lists(VALUES.map(str.strip), min_size=3, max_size=3),
    now=INSTANTS,
    token=st.one_of(st.just(""), PRINTABLE),
    secret_key=PRINTABLE,
)
def test_requests_that_share_their_parts_are_signed_as_botocore_signs_them(
    keys: list[str],
    headers: list[tuple[str, str]],
    varying: str,
    values: list[str],
    now: datetime.datetime,
    token: str,
    secret_key: str,
) -> None:
    """Whatever they share, and wherever the header that differs is sorted to, each has botocore's Authorization."""
    varying = varying.lower()
    headers = [(name, value.strip()) for name, value in headers if name.lower() != varying]
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", secret_key, token)
    target = Target("https", "bucket.s3.example.com", 9000, "/", "eu-west-1", fast=True)
    now_s = float(calendar.timegm(now.timetuple()))
    shared = Signer(credentials, "eu-west-1").shared("GET", target.host_header, headers, varying, now_s=now_s)
    assert shared.second == int(now_s)
    for key, value in zip(keys, values, strict=False):
        path = target.path_prefix + quote(key, safe="/-_.~")
        line, *sent = shared.request(path, value).removesuffix("\r\n").split("\r\n")
        assert line == f"GET {path} HTTP/1.1"
        pairs = [(name, text) for name, _, text in (one.partition(": ") for one in sent)]
        whole = Signer(credentials, "eu-west-1").sign(
            "GET", target.host_header, path, [*headers, (varying, value)], now_s=now_s
        )
        assert pairs == whole
        url = f"https://bucket.s3.example.com:9000{path}"
        expected = botocore_authorization(credentials, "eu-west-1", url, [*headers, (varying, value)], now)
        assert dict(pairs)["authorization"] == expected


def test_one_signer_serves_many_days() -> None:
    """The derived key follows the date: a signer kept over midnight equals one made anew, forth and back."""
    kept = Signer(DOCS, "eu-west-1")
    for now_s in (DOCS_NOW_S - 1.0, DOCS_NOW_S, DOCS_NOW_S + 0.9, DOCS_NOW_S + 86_400.0, DOCS_NOW_S):
        fresh = Signer(DOCS, "eu-west-1").sign("GET", DOCS_HOST, "/k", now_s=now_s)
        assert kept.sign("GET", DOCS_HOST, "/k", now_s=now_s) == fresh


def test_every_given_header_is_sent_and_signed() -> None:
    """Nothing is dropped: the session token and every header are in the reply's list and among the signed names."""
    credentials = Credentials("AK", "SK", "TOKEN")
    signed = dict(Signer(credentials, "us-east-1").sign("GET", "h", "/k", [("If-Match", '"e"')], now_s=DOCS_NOW_S))
    assert signed["if-match"] == '"e"'
    assert signed["x-amz-security-token"] == "TOKEN"
    assert (
        "SignedHeaders=host;if-match;x-amz-content-sha256;x-amz-date;x-amz-security-token," in signed["authorization"]
    )
    assert "SK" not in signed["authorization"]


def test_a_header_beyond_ascii_is_signed_by_its_bytes() -> None:
    """Text of headers is bytes, read as Latin-1: what is signed are the bytes that are sent, none of them a space."""
    name, text = "x-amz-meta-a", "J\u00f6rg \u00e0"
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    told = text.encode().decode("latin-1")
    ours = Signer(DOCS, "us-east-1").sign("GET", "h", "/k", [(name, told)], now_s=now.timestamp())
    theirs = botocore_authorization(DOCS, "us-east-1", "https://h/k", [(name, text)], now)
    assert authorization(ours).rpartition("=")[2] == theirs.rpartition("=")[2]
