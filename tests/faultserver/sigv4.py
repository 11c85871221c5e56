"""Who may ask: SigV4 recomputed with botocore's own signer.

Job: refuse a request whose signature, token or clock is wrong, as S3 would.
Must not know operations.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SignerCredentials

from .http1 import HttpRequest
from .replies import S3Error

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([^/, ]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;\-]+), ?Signature=([0-9a-f]{64})"
)
#: Source: S3 API Reference, error RequestTimeTooSkewed (15 minutes).
_MAX_SKEW_S = 15 * 60


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

    def check(self, http: HttpRequest) -> None:
        """Return if the request is signed right.

        Raises:
            S3Error: it is not; the code says why.
        """
        header = http.headers.get("authorization")
        if header is None:
            raise S3Error("AccessDenied", "Access Denied")
        match = _AUTHORIZATION.fullmatch(header)
        if match is None:
            raise S3Error("InvalidArgument", "the Authorization header is malformed")
        access_key, _, region, names, signature = match.groups()
        if access_key != self.access_key:
            raise S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist")
        self._check_token(http)
        _check_clock(http)
        _check_payload(http)
        signed = names.split(";")
        unsigned = [name for name in http.headers if name.startswith("x-amz-") and name not in signed]
        if unsigned or "host" not in signed:
            raise S3Error("AccessDenied", f"There were headers present which were not signed: {unsigned}")
        if self._signature(http, signed, region) != signature:
            raise S3Error("SignatureDoesNotMatch", "The request signature we calculated does not match")

    def _check_token(self, http: HttpRequest) -> None:
        token = http.headers.get("x-amz-security-token")
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
            headers={name: http.headers.get(name, "") for name in signed},
            data=http.body,
        )
        request.context["timestamp"] = http.headers["x-amz-date"]
        signer = S3SigV4Auth(SignerCredentials(self.access_key, self.secret_key), "s3", region)
        canonical = signer.canonical_request(request)
        return str(signer.signature(signer.string_to_sign(request, canonical), request))


def _check_clock(http: HttpRequest) -> None:
    try:
        signed_at = datetime.strptime(http.headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ")
    except ValueError as error:
        raise S3Error("AccessDenied", "AWS authentication requires a valid x-amz-date header") from error
    skew_s = (datetime.now(UTC) - signed_at.replace(tzinfo=UTC)).total_seconds()
    if abs(skew_s) > _MAX_SKEW_S:
        raise S3Error("RequestTimeTooSkewed", "The difference between the request time and ours is too large.")


def _check_payload(http: HttpRequest) -> None:
    claimed = http.headers.get("x-amz-content-sha256")
    if claimed is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if claimed == "UNSIGNED-PAYLOAD" or claimed.startswith("STREAMING-"):
        return
    if claimed != hashlib.sha256(http.body).hexdigest():
        raise S3Error("XAmzContentSHA256Mismatch", "x-amz-content-sha256 does not match what was computed.")
