"""Who may ask: SigV4 of headers or of a presigned URL, recomputed with botocore's own signer.

Job: refuse a request whose signature, token or clock is wrong, as S3 would.
Must not know operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SignerCredentials

from bulkhaul.testing.faultserver.http1 import HttpRequest
from bulkhaul.testing.faultserver.replies import S3Error

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([^/, ]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;\-]+), ?Signature=([0-9a-f]{64})"
)
#: Source: S3 API Reference, error RequestTimeTooSkewed (15 minutes).
_MAX_SKEW_S = 15 * 60
#: Source: S3 API Reference, "Authenticating Requests: Using Query Parameters" (7 days).
_MAX_EXPIRES_S = 7 * 24 * 3600
_SCOPE = re.compile(r"([^/]+)/(\d{8})/([^/]+)/s3/aws4_request")


class Credentials:
    """The one access key that the server accepts, and its session tokens.

    With ``accept_tokens`` a request must carry one of these tokens; ``expire`` turns one into
    an expired one while the server runs.
    """

    def __init__(self, access_key: str, secret_key: str, *, accept_tokens: Iterable[str] = ()) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self._accepted = set(accept_tokens)
        self._expired: set[str] = set()
        self._needs_token = bool(self._accepted)

    def accept(self, token: str) -> None:
        """Accept a session token from now on."""
        self._needs_token = True
        self._accepted.add(token)

    def expire(self, token: str) -> None:
        """Answer ExpiredToken to this token from now on."""
        self._accepted.discard(token)
        self._expired.add(token)

    def check(self, http: HttpRequest, *, clock_offset_s: float = 0.0) -> None:
        """Return if the request is signed right, in its headers or its URL.

        Args:
            clock_offset_s: how far this server's clock is ahead.

        Raises:
            S3Error: it is not; the code says why.
        """
        header = http.headers.get("authorization")
        query = dict(parse_qsl(http.target.partition("?")[2], keep_blank_values=True))
        if header is None and "X-Amz-Algorithm" in query:
            self._check_presigned(http, query, clock_offset_s)
            return
        if header is None:
            raise S3Error("AccessDenied", "Access Denied")
        match = _AUTHORIZATION.fullmatch(header)
        if match is None:
            raise S3Error("InvalidArgument", "the Authorization header is malformed")
        access_key, _, region, names, signature = match.groups()
        if access_key != self.access_key:
            raise S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist")
        self._check_token(http.headers.get("x-amz-security-token"))
        check_clock(http, clock_offset_s=clock_offset_s)
        if "x-amz-content-sha256" not in http.headers:
            raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        signed = names.split(";")
        unsigned = [name for name in http.headers if name.startswith("x-amz-") and name not in signed]
        if unsigned or "host" not in signed:
            raise S3Error("AccessDenied", f"There were headers present which were not signed: {unsigned}")
        if self._signature(http, signed, region) != signature:
            raise S3Error("SignatureDoesNotMatch", "The request signature we calculated does not match")

    def _check_presigned(self, http: HttpRequest, query: Mapping[str, str], clock_offset_s: float) -> None:
        try:
            scope, names, signature = (query[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature"))
            signed_at_s = _instant_s(query["X-Amz-Date"])
            expires_s = int(query["X-Amz-Expires"])
        except (KeyError, ValueError) as error:
            raise S3Error("AuthorizationQueryParametersError", f"Query-string authentication: {error}") from error
        match = _SCOPE.fullmatch(scope)
        if query["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or match is None or not 0 < expires_s <= _MAX_EXPIRES_S:
            raise S3Error("AuthorizationQueryParametersError", "X-Amz-Algorithm, -Credential or -Expires is not valid")
        if match[1] != self.access_key:
            raise S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist")
        self._check_token(query.get("X-Amz-Security-Token"))
        age_s = datetime.now(UTC).timestamp() + clock_offset_s - signed_at_s
        if not -_MAX_SKEW_S <= age_s <= expires_s:
            raise S3Error("AccessDenied", "Request has expired" if age_s > 0 else "Request is not valid yet")
        target = re.sub(r"&?X-Amz-Signature=[^&]*", "", http.target)
        request = AWSRequest(
            method=http.method,
            url=f"http://{http.headers['host']}{target}",
            headers={name: http.headers.get(name, "") for name in names.split(";")},
        )
        request.context["timestamp"] = query["X-Amz-Date"]
        signer = S3SigV4QueryAuth(SignerCredentials(self.access_key, self.secret_key), "s3", match[3], expires_s)
        if signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request) != signature:
            raise S3Error("SignatureDoesNotMatch", "The request signature we calculated does not match")

    def _check_token(self, token: str | None) -> None:
        if token in self._expired:
            raise S3Error("ExpiredToken", "The provided token has expired.")
        if self._needs_token and token not in self._accepted:
            raise S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.")

    def _signature(self, http: HttpRequest, signed: list[str], region: str) -> str:
        url = f"http://{http.headers['host']}{http.target.partition('?')[0]}"
        request = AWSRequest(
            method=http.method,
            url=url,
            params=dict(parse_qsl(http.target.partition("?")[2], keep_blank_values=True)),
            headers={name: _letters(http.headers.get(name, "")) for name in signed},
        )
        request.context["timestamp"] = http.headers["x-amz-date"]
        signer = S3SigV4Auth(SignerCredentials(self.access_key, self.secret_key), "s3", region)
        canonical = signer.canonical_request(request)
        return str(signer.signature(signer.string_to_sign(request, canonical), request))


def _letters(value: str) -> str:
    """Return the text that the signer encodes to the bytes of a header; HTTP reads them as Latin-1."""
    return value.encode("latin-1").decode()


def check_clock(http: HttpRequest, *, clock_offset_s: float = 0.0) -> None:
    """Return if a request was signed about now, by a clock that is ``clock_offset_s`` ahead of this machine's.

    Raises:
        S3Error: it was not.
    """
    try:
        signed_at_s = _instant_s(http.headers.get("x-amz-date", ""))
    except ValueError as error:
        raise S3Error("AccessDenied", "AWS authentication requires a valid x-amz-date header") from error
    if abs(datetime.now(UTC).timestamp() + clock_offset_s - signed_at_s) > _MAX_SKEW_S:
        raise S3Error("RequestTimeTooSkewed", "The difference between the request time and ours is too large.")


def _instant_s(text: str) -> float:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
