"""Every status and S3 code has one typed error, in one table."""

from __future__ import annotations

import calendar
import errno
import socket
import ssl
from http.client import BadStatusLine, LineTooLong, RemoteDisconnected
from pathlib import Path

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
)
from botocore.exceptions import SSLError as SdkSslError
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import InvalidHeader
from urllib3.exceptions import ProtocolError as BrokenReply

from bulkhaul.model import errors
from bulkhaul.policy.outage import sign_of
from bulkhaul.wire.classify import error_document, network_error, service_error
from bulkhaul.wire.http1_parsing import ProtocolError
from bulkhaul.wire.tls import client_context

NOW_S = float(calendar.timegm((2026, 1, 2, 3, 4, 5)))
NOW_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", "NotFound"),
        (404, "NoSuchBucket", "NotFound"),
        (404, "NoSuchUpload", "NotFound"),
        (404, "", "NotFound"),
        (404, "404", "NotFound"),
        (400, "NoSuchKey", "NotFound"),
        (403, "AccessDenied", "AccessDenied"),
        (403, "", "AccessDenied"),
        (403, "403", "AccessDenied"),
        (403, "SignatureDoesNotMatch", "AccessDenied"),
        (403, "InvalidAccessKeyId", "AccessDenied"),
        (400, "AccessDenied", "AccessDenied"),
        (403, "RequestTimeTooSkewed", "ClockSkew"),
        (403, "InvalidObjectState", "Archived"),
        (503, "GlacierExpeditedRetrievalNotAvailable", "RetrievalUnavailable"),
        (412, "PreconditionFailed", "PreconditionFailed"),
        (412, "", "PreconditionFailed"),
        (400, "PreconditionFailed", "PreconditionFailed"),
        (409, "ConditionalRequestConflict", "Conflict"),
        (409, "OperationAborted", "Conflict"),
        (400, "EntityTooLarge", "PayloadTooLarge"),
        (413, "", "PayloadTooLarge"),
        (416, "InvalidRange", "RangeNotSatisfiable"),
        (416, "", "RangeNotSatisfiable"),
        (400, "ExpiredToken", "ExpiredCredentials"),
        (403, "ExpiredToken", "ExpiredCredentials"),
        (400, "TokenRefreshRequired", "ExpiredCredentials"),
        (400, "InvalidToken", "CredentialsError"),
        (503, "SlowDown", "Throttled"),
        (503, "ServiceUnavailable", "Throttled"),
        (503, "", "Throttled"),
        (429, "", "Throttled"),
        (429, "TooManyRequests", "Throttled"),
        (400, "RequestLimitExceeded", "Throttled"),
        (400, "ThrottlingException", "Throttled"),
        (500, "InternalError", "ServerError"),
        (500, "", "ServerError"),
        (502, "", "ServerError"),
        (504, "GatewayTimeout", "ServerError"),
        (599, "", "ServerError"),
        (200, "InternalError", "ServerError"),
        (400, "RequestTimeout", "ServerError"),
        (301, "PermanentRedirect", "EndpointRedirect"),
        (301, "", "EndpointRedirect"),
        (302, "", "EndpointRedirect"),
        (307, "TemporaryRedirect", "EndpointRedirect"),
        (308, "", "EndpointRedirect"),
        (400, "AuthorizationHeaderMalformed", "EndpointRedirect"),
        (400, "IllegalLocationConstraintException", "EndpointRedirect"),
        (405, "MethodNotAllowed", "Unsupported"),
        (501, "NotImplemented", "Unsupported"),
        (400, "", "OtherError"),
        (400, "MalformedXML", "OtherError"),
        (418, "Teapot", "OtherError"),
        (304, "", "OtherError"),
    ],
)
def test_status_and_code_have_one_error(status: int, code: str, expected: str) -> None:
    """Status first, then the code, as in contract rows C50-C57 and faults 24-32; a bare number is no code."""
    info = service_error(status, service_code=code, headers={}, now_s=NOW_S)
    assert info.code == expected
    assert info.status == status
    assert info.service_code == ("" if code.isdigit() else code)


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (500, ""), (502, ""), (503, "SlowDown"), (504, ""), (429, ""), (400, "RequestTimeout")],
)
def test_a_service_that_cannot_answer_now(status: int, code: str) -> None:
    """What is told after all retries says what to do."""
    assert "; try again later" in service_error(status, service_code=code, headers={}, now_s=NOW_S).message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, ""),
        (307, "TemporaryRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "IllegalLocationConstraintException"),
    ],
)
def test_a_bucket_that_lives_elsewhere(status: int, code: str) -> None:
    """The option that names its place stands in the message."""
    assert "set --region" in service_error(status, service_code=code, headers={}, now_s=NOW_S).message


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(-2, "Name or service not known"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        OSError(errno.EHOSTUNREACH, "no route"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError("no bytes"),
        BadStatusLine("SSH-2.0"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_an_endpoint_that_is_away_says_what_to_check(error: BaseException) -> None:
    """Whatever befell the connection, the message names what to look at."""
    assert "check " in network_error(error).message


@given(st.integers(100, 999), st.text(st.characters(min_codepoint=48, max_codepoint=122), max_size=20))
def test_every_reply_has_an_error_of_the_tree(status: int, code: str) -> None:
    """No status and no code, known or not, is without a typed error with a message."""
    info = service_error(status, service_code=code, headers={}, now_s=NOW_S)
    assert info.code in errors.__all__
    assert info.message


def test_what_support_asks_for_is_kept() -> None:
    """Request id, host id, the service's own words and the subject stay with the error."""
    info = service_error(
        403,
        service_code="AccessDenied",
        detail="Access Denied by policy",
        headers={"x-amz-request-id": "REQ", "x-amz-id-2": "HOST"},
        subject="s3://b/k",
        now_s=NOW_S,
    )
    assert (info.request_id, info.host_id, info.subject) == ("REQ", "HOST", "s3://b/k")
    assert info.cause == "HTTP 403 AccessDenied: Access Denied by policy"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("", 0.0), ("-3", 0.0), ("soon", 0.0), ("inf", 0.0), ("nan", 0.0),
     ("9" * 400, 0.0), ("Fri, 02 Jan 2026 03:04:05 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_read_in_seconds(header: str, seconds: float) -> None:
    """A number of seconds is obeyed; anything else counts as not said."""
    assert service_error(503, headers={"retry-after": header}, now_s=NOW_S).retry_after_s == seconds


# Clocks


@pytest.mark.parametrize(
    ("ahead_s", "code", "expected"),
    [
        (0.0, "AccessDenied", "AccessDenied"),
        (899.0, "AccessDenied", "AccessDenied"),
        (901.0, "AccessDenied", "ClockSkew"),
        (-901.0, "AccessDenied", "ClockSkew"),
        (901.0, "", "ClockSkew"),
        (901.0, "SignatureDoesNotMatch", "AccessDenied"),
        (86_400.0, "", "ClockSkew"),
    ],
)
def test_a_wrong_clock_is_named_by_how_much(ahead_s: float, code: str, expected: str) -> None:
    """A bare 403 whose Date is over 15 minutes away from ours is a matter of clocks, and the message says how much."""
    info = service_error(403, service_code=code, headers={"date": NOW_DATE}, now_s=NOW_S + ahead_s)
    assert info.code == expected
    if expected == "ClockSkew":
        assert f"{ahead_s:+.0f} s" in info.message


def test_skew_told_by_the_service_shows_the_difference() -> None:
    """RequestTimeTooSkewed is fatal and carries the delta (fault 29), even a small one."""
    info = service_error(403, service_code="RequestTimeTooSkewed", headers={"date": NOW_DATE}, now_s=NOW_S - 1200.0)
    assert info.code == "ClockSkew"
    assert "-1200 s" in info.message


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05Z", "\0"])
def test_a_date_that_cannot_be_read_blames_no_clock(date: str) -> None:
    """Without a readable Date header a 403 is what it says."""
    assert service_error(403, headers={"date": date}, now_s=0.0).code == "AccessDenied"


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_only_a_403_is_blamed_on_the_clock(status: int) -> None:
    """Other replies are not explained by a wrong clock."""
    info = service_error(status, headers={"date": NOW_DATE}, now_s=NOW_S + 10_000.0)
    assert info.code != "ClockSkew"


# Documents and connections


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ("", "")),
        (b"<html>502 Bad Gateway</html>", ("", "")),
        (b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>", ("NoSuchKey", "gone")),
        (b'<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code> SlowDown </Code></Error>', ("SlowDown", "")),
        (b"<Error><Code>NoSuch", ("", "")),
        (b"<Error><Code></Code></Error>", ("", "")),
        (b"<Code>" + b"x" * 5000 + b"</Code>", ("", "")),
        (b"<Code>\xff\xfe</Code>", ("\ufffd\ufffd", "")),
    ],
)
def test_error_documents_are_read_without_expanding_them(body: bytes, expected: tuple[str, str]) -> None:
    """Code and message where they stand in plain text; no entity, no nesting, no exception."""
    assert error_document(body) == expected


def test_an_xml_bomb_is_only_text() -> None:
    """Entities are never expanded."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Error><Code>&b;</Code></Error>'
    assert error_document(bomb) == ("&b;", "")


@given(st.binary(max_size=300))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    """Any bytes give a pair of texts of bounded length."""
    code, message = error_document(b"<Code>" + body + b"</Code><Message>" + body + b"</Message>")
    assert len(code) <= 128
    assert len(message) <= 512


@pytest.mark.parametrize(
    ("error", "expected", "cause"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "NetworkError", "Connection reset by peer"),
        (ConnectionRefusedError(), "NetworkError", "ConnectionRefusedError"),
        (OSError("broken"), "NetworkError", "OSError: broken"),
        (EOFError(), "NetworkError", "EOFError"),
        (TimeoutError("no bytes for 30 s"), "StallTimeout", "no bytes for 30 s"),
        (ReadTimeoutError(endpoint_url="http://s3.example"), "StallTimeout", "s3.example"),
    ],
)
def test_a_failed_connection_is_a_network_error(error: BaseException, expected: str, cause: str) -> None:
    """Timeouts are stalls, the rest is the network; the cause stays in the text (C56)."""
    info = network_error(error, "s3://b/k")
    assert (info.code, info.subject) == (expected, "s3://b/k")
    assert cause in info.cause


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        ConnectTimeoutError(endpoint_url="https://s3.example"),
        ProxyConnectionError(proxy_url="http://proxy.example"),
    ],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'errno', '')}",
)
def test_what_could_not_connect_has_asked_nothing(error: Exception) -> None:
    """Such a request is told apart: it cannot have taken effect, and its endpoint may be away."""
    info = network_error(error)
    assert (info.code, info.unreached) == ("NetworkError", True)


@pytest.mark.parametrize(
    "error",
    [
        ProtocolError("a reply that says SSH-2.0"),
        HTTPClientError(error=InvalidHeader("it says SSH-2.0")),
        ConnectionClosedError(endpoint_url="", error=BrokenReply("Connection aborted.", BadStatusLine("SSH-2.0"))),
        ConnectionClosedError(endpoint_url="", error=BrokenReply("Connection aborted.", LineTooLong("SSH-2.0"))),
    ],
    ids=["fast", "header", "status line", "long line"],
)
def test_what_is_no_http_reply_says_that_something_answers(error: Exception) -> None:
    """Such an endpoint is not away: the request is tried again as any other, and people are told what came back."""
    info = network_error(error)
    assert (info.code, info.unreached, info.garbled) == ("NetworkError", False, True)
    assert "no HTTP reply" in info.message
    assert "SSH-2.0" in info.cause
    assert sign_of(info) == "none"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "reset"),
        ConnectionClosedError(endpoint_url="", error=BrokenReply("Connection aborted.", RemoteDisconnected("closed"))),
    ],
    ids=["reset", "closed"],
)
def test_what_brings_no_reply_says_nothing_of_the_kind(error: Exception) -> None:
    """A connection that ends before the reply may be the sign of an endpoint that is away."""
    assert not network_error(error).garbled
    assert sign_of(network_error(error)) == "broken"


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), TimeoutError("no bytes"), BrokenPipeError()]
)
def test_what_broke_later_may_have_taken_effect(error: Exception) -> None:
    """A connection that was there may have carried the request."""
    assert not network_error(error).unreached


def test_the_sdk_tells_why_it_could_not_connect() -> None:
    """The cause is the operating system's, and not the URL, which holds upload ids."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    inner = RuntimeError("HTTPConnection(host='127.0.0.1', port=1): failed")
    inner.__cause__ = refused
    info = network_error(EndpointConnectionError(endpoint_url="http://127.0.0.1:1/b?uploadId=1", error=inner))
    assert info.cause == "ConnectionRefusedError: [Errno 111] Connection refused"


@pytest.mark.parametrize(("number", "unreached"), [(errno.EMFILE, False), (errno.ECONNABORTED, True)])
def test_a_failed_connect_is_the_endpoint_s_unless_this_machine_failed(number: int, unreached: bool) -> None:
    """While connecting, any failure means that nothing was sent; no descriptor left says nothing of the endpoint."""
    assert network_error(OSError(number, "failed"), connecting=True).unreached == unreached


def test_a_server_that_speaks_no_tls_is_told_at_once() -> None:
    """Trying again would not help: it is named with https:// by mistake."""
    info = network_error(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), connecting=True)
    assert info.code == "OtherError"
    assert "http://" in info.message


@pytest.mark.parametrize(
    "content",
    [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None],
    ids=["empty", "another file", "broken", "a folder"],
)
def test_a_file_of_authorities_that_holds_none_is_told_at_once(tmp_path: Path, content: bytes | None) -> None:
    """Neither the endpoint nor the network is to blame, and trying again would not help."""
    path = tmp_path
    if content is not None:
        path = tmp_path / "ca.pem"
        path.write_bytes(content)
    with pytest.raises((ssl.SSLError, IsADirectoryError)) as caught:
        client_context(str(path), verify=True)
    wrapped = SdkSslError(endpoint_url="https://h", error=caught.value)
    for info in (network_error(caught.value, connecting=True), network_error(wrapped)):
        assert (info.code, info.unreached) == ("OtherError", False)
        assert "AWS_CA_BUNDLE" in info.message


def test_a_connection_for_which_there_is_no_descriptor() -> None:
    """The endpoint is not to blame, and asking again would not help: the limit to raise is named."""
    info = network_error(OSError(errno.EMFILE, "Too many open files"), "s3://b/k")
    assert info.code == "LocalError"
    assert "ulimit -n" in info.message


@pytest.mark.parametrize("status", [404, 405])
def test_a_delete_marker_is_no_lack_of_the_endpoint(status: int) -> None:
    """What was deleted in a bucket with versions is not there, and the message says how to get it back."""
    info = service_error(status, headers={"x-amz-delete-marker": "true"}, now_s=NOW_S)
    assert info.code == "NotFound"
    assert "--all-versions" in info.message
    assert service_error(405, headers={"x-amz-delete-marker": "false"}, now_s=NOW_S).code == "Unsupported"
