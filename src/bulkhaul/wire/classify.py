"""The error table: maps what a service or a library reports to our typed errors.

The status of a reply decides first, then its S3 error code: the reply to a HEAD has no body, and so no code.
"""

from __future__ import annotations

import calendar
import errno
import re
import socket
import ssl
import time
from collections.abc import Mapping

from bulkhaul.model.errors import NOT_EMPTY, ErrorInfo
from bulkhaul.model.limits import MAX_SKEW_S
from bulkhaul.wire.masking import hidden_by_place

_BY_CODE: dict[str, tuple[str, str]] = {
    "NoSuchKey": ("NotFound", "there is no such key; check its spelling"),
    "NoSuchBucket": ("NotFound", "there is no such bucket; check its name and the endpoint"),
    "NoSuchVersion": ("NotFound", "there is no such version"),
    "NotFound": ("NotFound", "there is no such bucket or key"),
    "AccessDenied": ("AccessDenied", "the credentials do not allow it"),
    "SignatureDoesNotMatch": ("AccessDenied", "the service does not accept the signature; check the secret key"),
    "InvalidAccessKeyId": ("AccessDenied", "the service does not know the access key"),
    "RequestTimeTooSkewed": ("ClockSkew", "this machine's clock differs too much from the service's; set it right"),
    "ExpiredToken": ("ExpiredCredentials", "the credentials have expired; renew them"),
    "TokenRefreshRequired": ("ExpiredCredentials", "the credentials have expired; renew them"),
    "InvalidToken": ("CredentialsError", "the service does not accept the session token"),
    "PreconditionFailed": ("PreconditionFailed", "the object is no longer the one that the transfer began with"),
    "ConditionalRequestConflict": ("Conflict", "another conditional write was under way"),
    "BucketNotEmpty": ("Conflict", NOT_EMPTY),
    "BucketAlreadyExists": ("Conflict", "somebody else has a bucket of this name; choose another one"),
    "BucketAlreadyOwnedByYou": ("Conflict", "the bucket is there already, and is yours"),
    "Conflict": ("Conflict", "the service says that it conflicts with what is there, or with another request"),
    "EntityTooLarge": ("PayloadTooLarge", "the service takes at most 5 GiB in one request"),
    "BadDigest": ("BodyCorrupted", "the service received other bytes than were sent"),
    "XAmzContentChecksumMismatch": ("BodyCorrupted", "the service received other bytes than were sent"),
    "XAmzContentSHA256Mismatch": ("BodyCorrupted", "the service received other bytes than were sent"),
    "InvalidRange": ("RangeNotSatisfiable", "the range lies outside the object, which may have shrunk"),
    "SlowDown": ("Throttled", "the service asks to slow down; try again later, or lower --concurrency"),
    "Throttling": ("Throttled", "the service asks to slow down; try again later, or lower --concurrency"),
    "ThrottlingException": ("Throttled", "the service asks to slow down; try again later, or lower --concurrency"),
    "RequestLimitExceeded": ("Throttled", "the service asks to slow down; try again later, or lower --concurrency"),
    "TooManyRequests": ("Throttled", "the service asks to slow down; try again later, or lower --concurrency"),
    "RequestTimeout": ("ServerError", "the service waited too long for the request; try again later"),
    "InternalError": ("ServerError", "the service failed by itself; try again later, or look at its logs"),
    "PermanentRedirect": ("EndpointRedirect", "the bucket lives elsewhere; set --region or --endpoint-url"),
    "TemporaryRedirect": ("EndpointRedirect", "the bucket lives elsewhere; set --region or --endpoint-url"),
    "AuthorizationHeaderMalformed": (
        "EndpointRedirect",
        "the service refuses the region of the signature, or its access key; set --region to that of the bucket",
    ),
    "IllegalLocationConstraintException": (
        "EndpointRedirect",
        "the region does not fit the endpoint; set --region or --endpoint-url",
    ),
    "InvalidObjectState": (
        "Archived",
        "the object is archived: it must be restored before it is read; add --restore STANDARD, or BULK",
    ),
    "GlacierExpeditedRetrievalNotAvailable": (
        "RetrievalUnavailable",
        "no capacity for expedited retrievals now; try later, or name another tier: --restore STANDARD, or BULK",
    ),
    "NotImplemented": ("Unsupported", "the endpoint cannot do it"),
    "MethodNotAllowed": ("Unsupported", "the endpoint cannot do it"),
}

_BY_STATUS: dict[int, str] = {
    301: "PermanentRedirect",
    302: "PermanentRedirect",
    307: "TemporaryRedirect",
    308: "PermanentRedirect",
    403: "AccessDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    416: "InvalidRange",
    429: "SlowDown",
    501: "NotImplemented",
    503: "SlowDown",
}

OVERLOADED = frozenset(status for status, code in _BY_STATUS.items() if code == "SlowDown")
"""Statuses of refusals for load. Source: S3 API Reference, "List of error codes": SlowDown; RFC 6585."""

_MORE_PRECISE = frozenset(
    {
        "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "SignatureDoesNotMatch", "InvalidAccessKeyId",
        "RequestTimeTooSkewed", "ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidObjectState",
        "BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "ConditionalRequestConflict",
        "GlacierExpeditedRetrievalNotAvailable", "BucketNotEmpty", "BucketAlreadyExists", "BucketAlreadyOwnedByYou",
    }
)  # fmt: skip
"""Codes that decide before the status, for they say more."""

_UNREACHED_NAMES = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"})
"""Source: botocore.exceptions."""

_GARBLED_NAMES = frozenset({"BadStatusLine", "LineTooLong", "UnknownProtocol", "InvalidHeader"})
"""Errors of libraries for a head that is no HTTP. Source: http.client, and urllib3.exceptions for the last."""

_NO_AUTHORITIES = ("NO_CERTIFICATE_OR_CRL_FOUND", "[X509] PEM lib", "Is a directory")
"""What OpenSSL, or the system, says of a file that is given for one of certificate authorities."""

_UNREACHED_ERRNOS = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})

MAX_CODE_CHARACTERS = 128

MAX_DETAIL_CHARACTERS = 512
"""Texts of a service are cut, not refused: they explain a failure, and decide nothing."""

SSE_C_MISSING = "the object is encrypted with a customer's key (SSE-C), or is not; check it (--sse-c-key, sse_c_key)"
"""Source: S3 User Guide, "Using server-side encryption with customer-provided keys": 400 InvalidRequest."""

DELETE_MARKER = (
    "it was deleted, and this is the delete marker; `bulkhaul ls --all-versions` tells the older versions, and"
    " `bulkhaul rm --version-id` of the marker brings the newest of them back"
)
"""Source: S3 User Guide, "Working with delete markers": a GET of one is answered with 404, or 405 where it is named."""


def service_error(
    status: int,
    *,
    service_code: str = "",
    detail: str = "",
    headers: Mapping[str, str],
    subject: str = "",
    now_s: float | None = None,
    action: str = "",
) -> ErrorInfo:
    """Return the typed error for a reply that reports a failure.

    Args:
        status: 0 where one reply reports many outcomes, and this is one of them.
        service_code: from the error document; empty or the bare status where there was none.
        detail: the service's own message.
        headers: of the reply, names in lower case.
        now_s: Unix time, to tell a clock that is wrong; None takes the current one.
        action: of IAM, that the request needs; empty where that is not known.
    """
    code = "" if service_code.isdigit() else service_code[:MAX_CODE_CHARACTERS]
    skew_s = _skew_s(headers.get("date", ""), time.time() if now_s is None else now_s)
    if status == 403 and code in ("", "AccessDenied", "Forbidden") and abs(skew_s) >= MAX_SKEW_S:
        code = "RequestTimeTooSkewed"
    known = code if code in _MORE_PRECISE else _BY_STATUS.get(status, code)
    if known in _BY_CODE:
        name, message = _BY_CODE[known]
    elif status >= 500:
        name, message = (
            "ServerError",
            f"the service failed by itself (HTTP {status}); try again later, or look at its logs",
        )
    else:
        name, message = "OtherError", f"the service answered HTTP {status} {code}".rstrip()
    if status in (404, 405) and headers.get("x-amz-delete-marker") == "true":
        name, message = "NotFound", DELETE_MARKER
    if known == "AccessDenied" and action:
        message = f"the credentials do not allow it: it takes {action}"
    if code == "InvalidRequest" and "server side encryption" in detail.lower():
        message = SSE_C_MISSING
    if name == "ClockSkew":
        message = f"this machine's clock differs by {skew_s:+.0f} s from the service's; set it right"
    answered = " ".join(filter(None, (f"HTTP {status}" if status else "", code)))
    return ErrorInfo(
        code=name,
        message=message,
        subject=subject,
        cause=": ".join(filter(None, (answered, detail[:MAX_DETAIL_CHARACTERS]))),
        status=status,
        service_code=code,
        request_id=headers.get("x-amz-request-id", "")[:MAX_DETAIL_CHARACTERS],
        host_id=headers.get("x-amz-id-2", "")[:MAX_DETAIL_CHARACTERS],
        retry_after_s=_seconds(headers.get("retry-after", "")),
    )


def error_document(body: bytes) -> tuple[str, str]:
    """Return (code, message) of an S3 error document; both are empty for another document. No entity is expanded."""
    code = re.search(rb"<Code>([^<]{1,128})</Code>", body)
    message = re.search(rb"<Message>([^<]{1,512})</Message>", body)
    return (
        code.group(1).decode("utf-8", "replace").strip() if code else "",
        message.group(1).decode("utf-8", "replace").strip() if message else "",
    )


def network_error(error: BaseException, subject: str = "", *, connecting: bool = False) -> ErrorInfo:
    """Return the typed error for a connection that failed; the text never holds a request.

    Args:
        connecting: it failed while it was being made. Some errors tell this by themselves.
    """
    garbled = _garbled(error)
    beneath = garbled or _beneath(error)
    said = hidden_by_place(str(beneath))
    cause = f"{type(beneath).__name__}: {said}" if said else type(beneath).__name__
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        text = "the endpoint's certificate is not trusted; name the file of its authority (AWS_CA_BUNDLE, ca_bundle)"
        return ErrorInfo("OtherError", text, subject, cause)
    if any(word in cause for word in _NO_AUTHORITIES):
        text = "the file of certificate authorities (AWS_CA_BUNDLE, ca_bundle) holds no certificate as PEM; correct it"
        return ErrorInfo("OtherError", text, subject, cause)
    if isinstance(beneath, OSError) and beneath.errno in (errno.EMFILE, errno.ENFILE):
        text = "too many open files; raise the limit (ulimit -n) or lower --concurrency"
        return ErrorInfo("LocalError", text, subject, cause)
    if "WRONG_VERSION_NUMBER" in cause or "RECORD_LAYER_FAILURE" in cause:
        text = "the endpoint does not speak TLS; name it with http:// if that is meant"
        return ErrorInfo("OtherError", text, subject, cause)
    if _unreached(error) or (connecting and not isinstance(error, ssl.SSLError)):
        text = "the endpoint cannot be reached; check --endpoint-url and the network"
        return ErrorInfo("NetworkError", text, subject, cause, unreached=True)
    if isinstance(error, TimeoutError) or type(error).__name__ == "ReadTimeoutError":  # botocore's and urllib3's
        return ErrorInfo(
            "StallTimeout",
            "the endpoint did not answer in time; check the network, or give it more time (--timeout, timeout_s)",
            subject,
            cause,
        )
    if garbled is not None:
        text = "what came back is no HTTP reply; check --endpoint-url, and what stands between"
        return ErrorInfo("NetworkError", text, subject, cause, garbled=True)
    return ErrorInfo(
        "NetworkError", "no complete reply came from the endpoint; check the network and --endpoint-url", subject, cause
    )


def _beneath(error: BaseException) -> BaseException:
    """Return the cause beneath an error of the SDK's that only tells the URL it could not connect to."""
    known = type(error).__name__ in _UNREACHED_NAMES - {"ProxyConnectionError"}  # that it is the proxy says more
    inner = getattr(error, "kwargs", {}).get("error") if known else None
    if not isinstance(inner, BaseException):
        return error
    return inner.__cause__ or inner


def _unreached(error: BaseException) -> bool:
    """Whether the error alone tells that no connection was made. The SDK's errors are known by their names."""
    if type(error).__name__ in _UNREACHED_NAMES or isinstance(error, ConnectionRefusedError | socket.gaierror):
        return True
    return isinstance(error, OSError) and error.errno in _UNREACHED_ERRNOS


def _garbled(error: BaseException) -> BaseException | None:
    """Return the error that tells that the reply was no HTTP: the fast transport's, or one that the SDK has wrapped."""
    if isinstance(error, ConnectionError):
        return error if type(error).__name__ == "ProtocolError" else None
    inner = getattr(error, "kwargs", {}).get("error")
    for one in (inner, *getattr(inner, "args", ())):
        if isinstance(one, Exception) and type(one).__name__ in _GARBLED_NAMES:
            return one
    return None


def _seconds(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", text) else 0.0


def _skew_s(date: str, now_s: float) -> float:
    """Return how far this machine's clock is ahead of an HTTP date; 0 if ``date`` is none."""
    try:
        return now_s - calendar.timegm(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT"))
    except ValueError:
        return 0.0
