"""Judges each check of ``bulkhaul doctor`` and says what helps.

an answer or a failure ─▶ Finding: ok, warning (works, with less safety or comfort), failed, skipped
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from bulkhaul.model.errors import WRONG_KEYS, ErrorInfo, error_of
from bulkhaul.model.limits import MAX_SKEW_S

NOTABLE_SKEW_S = 60.0

CERTIFICATE_DAYS = 14


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True):
    """The outcome of one check. ``remedy``: what to do about it, empty where nothing needs to be done."""

    check: str
    verdict: Verdict
    details: str = ""
    remedy: str = ""


_REMEDIES = {
    "AccessDenied": "allow {permission} to these credentials on this bucket",
    "ClockSkew": "set this machine's clock (chronyc makestep, or ntpdate)",
    "CredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile",
    "EndpointRedirect": "set --region or --endpoint-url to where the bucket lives",
    "ExpiredCredentials": "renew the credentials: their session has ended",
    "NetworkError": "check --endpoint-url, the network, and proxies",
    "NotFound": "check the name of the bucket, and --endpoint-url",
    "StallTimeout": "check the network; the endpoint answers too slowly",
    "Throttled": "try again later; the endpoint asks to slow down",
    "Unsupported": "this endpoint does not know the operation",
}


def refused(check: str, failure: ErrorInfo, permission: str = "", *, needed: bool = True) -> Finding:
    """Return the finding for a check that ended in an error.

    Args:
        permission: the IAM action that it needs.
        needed: transfers cannot do without it.
    """
    remedy = _REMEDIES.get(failure.code, "").format(permission=permission or "this")
    if failure.service_code in WRONG_KEYS:
        remedy = "these are not the endpoint's keys: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and --profile"
    verdict = Verdict.FAILED if needed else Verdict.WARNING
    return Finding(check, verdict, str(error_of(failure)), remedy)


def ok(check: str, details: str = "") -> Finding:
    """Return the finding for a check that went well."""
    return Finding(check, Verdict.OK, details)


def skipped(check: str, why: str) -> Finding:
    """Return the finding for a check that was not made."""
    return Finding(check, Verdict.SKIPPED, why)


def masked(access_key: str) -> str:
    """Return an access key with all but its last four characters hidden.

    >>> masked("AKIAIOSFODNN7EXAMPLE"), masked("abc")
    ('****************MPLE', '***')
    """
    shown = access_key[-4:] if len(access_key) > 4 else ""
    return "*" * (len(access_key) - len(shown)) + shown


def credentials(access_key: str, *, signs: bool, source: str = "") -> Finding:
    """Judge what requests are signed with; ``source`` says where that was found."""
    if not signs:
        return Finding("credentials", Verdict.OK, "none: requests are sent unsigned, as asked for")
    return ok("credentials", f"access key {masked(access_key)}{source and f', from {source}'}")


def clock(skew_s: float | None) -> Finding:
    """Judge how far this machine's clock is ahead of the endpoint's, None where it told no time.

    >>> clock(-1200).verdict, clock(90).verdict, clock(2.0).details
    (<Verdict.FAILED: 'failed'>, <Verdict.WARNING: 'warning'>, 'within 2 s of the endpoint')
    """
    if skew_s is None:
        return skipped("clock", "the endpoint tells no time (no Date header)")
    off = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the endpoint"
    remedy = _REMEDIES["ClockSkew"]
    if abs(skew_s) >= MAX_SKEW_S:
        return Finding("clock", Verdict.FAILED, f"{off}; signatures are refused from 15 minutes on", remedy)
    if abs(skew_s) >= NOTABLE_SKEW_S:
        return Finding("clock", Verdict.WARNING, off, remedy)
    return ok("clock", f"within {abs(skew_s):.0f} s of the endpoint")


def region(actual: str, signed: str, chosen: str = "") -> Finding:
    """Judge the region of the bucket against the one that requests are signed for; empty where unknown.

    Args:
        actual: as the service tells it.
        signed: what requests for the bucket ended up with.
        chosen: what the settings name; where it is wrong, the SDK learns the right one from a refusal.
    """
    remedy = f"set --region {actual or signed}"
    if actual and signed and actual != signed:
        text = f"the bucket is in {actual}, and requests are signed for {signed}"
        return Finding("bucket and region", Verdict.FAILED, text, remedy)
    if chosen and signed and chosen != signed:
        text = f"the bucket is in {actual or signed}; requests for {chosen} are refused there, and made again"
        return Finding("bucket and region", Verdict.WARNING, text, remedy)
    return ok("bucket and region", actual or signed)


def certificate(days: float | None, details: str) -> Finding:
    """Judge the connection, and how many days its certificate still holds; None for plain http."""
    if days is not None and days < CERTIFICATE_DAYS:
        text = f"{details}; its certificate ends in {days:.0f} days"
        return Finding("endpoint", Verdict.WARNING, text, "tell the operator of the endpoint")
    return ok("endpoint", details)


def contents(check: str, *, expected: bytes, got: bytes) -> Finding:
    """Judge what came back of what was written."""
    if expected == got:
        return ok(check)
    text = f"{len(got)} bytes came back, and they are not the {len(expected)} that were written"
    return Finding(check, Verdict.FAILED, text, "do not use this endpoint: it changes what it stores")


def conditional_write(outcome: ErrorInfo | None) -> Finding:
    """Judge a PUT of an existing key with If-None-Match: it must have been refused with 412."""
    check = "conditional write"
    if outcome is None:
        text = "If-None-Match is ignored: an object that exists was overwritten"
        return Finding(check, Verdict.WARNING, text, "do not rely on put_if_absent with this endpoint")
    if outcome.code in ("PreconditionFailed", "Conflict"):
        return ok(check, "If-None-Match is honoured")
    if outcome.code in ("Unsupported", "UsageError") or outcome.status in (400, 501):
        text = f"If-None-Match is refused: {outcome.message}"
        return Finding(check, Verdict.WARNING, text, "put_if_absent does not work with this endpoint")
    return refused(check, outcome, "s3:PutObject", needed=False)


def checksums(algorithm: str, right: ErrorInfo | None, wrong: ErrorInfo | None, *, kept: bool) -> Finding:
    """Judge two PUTs with a checksum.

    Args:
        right: what became of the one whose checksum was right.
        wrong: what became of the one whose checksum was wrong.
        kept: the checksum was told back, by the reply or by HEAD.
    """
    check = "checksums"
    less = "uploads are protected by MD5 or TLS only; use --checksum-algorithm none if they fail"
    if right is not None:
        return Finding(check, Verdict.WARNING, f"{algorithm} is refused: {right.message}", less)
    if wrong is None:
        text = f"{algorithm} is {'kept' if kept else 'accepted'}, but not verified: a wrong one was stored"
        return Finding(check, Verdict.WARNING, text, "compare what was uploaded by downloading it with --verify full")
    if not kept:
        text = f"{algorithm} is verified on upload, but not kept"
        return Finding(check, Verdict.WARNING, text, "downloads rest on ETags and lengths")
    return ok(check, f"{algorithm} is verified and kept")


def fit(findings: list[Finding]) -> bool:
    """Whether nothing that is needed failed."""
    return all(finding.verdict is not Verdict.FAILED for finding in findings)
