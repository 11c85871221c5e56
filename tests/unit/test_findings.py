"""How the doctor judges what an endpoint did."""

from __future__ import annotations

import pytest

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy import findings
from bulkhaul.policy.durations import parse_duration
from bulkhaul.policy.findings import Finding, Verdict

OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED
REFUSED = ErrorInfo("OtherError", "it was refused", status=400, service_code="BadDigest")


@pytest.mark.parametrize(
    ("skew_s", "verdict"),
    [(None, SKIPPED), (0.0, OK), (59.0, OK), (-60.0, WARNING), (899.0, WARNING), (900.0, FAILED), (-4000.0, FAILED)],
)
def test_clock(skew_s: float | None, verdict: Verdict) -> None:
    """A minute is worth a word, a quarter of an hour breaks every signature; both ways."""
    finding = findings.clock(skew_s)
    assert finding.verdict is verdict
    assert bool(finding.remedy) == (verdict in (WARNING, FAILED))


@pytest.mark.parametrize(
    ("actual", "signed", "verdict"),
    [("eu-west-1", "eu-west-1", OK), ("eu-west-1", "us-east-1", FAILED), ("", "us-east-1", OK), ("eu-west-1", "", OK)],
)
def test_region(actual: str, signed: str, verdict: Verdict) -> None:
    """Requests must be signed for the region of the bucket, where both are known."""
    finding = findings.region(actual, signed)
    assert finding.verdict is verdict
    assert (finding.remedy == "set --region eu-west-1") == (verdict is FAILED)


@pytest.mark.parametrize("actual", ["eu-west-1", ""], ids=["told", "untold"])
def test_a_region_that_the_sdk_had_to_find(actual: str) -> None:
    """Requests for another region work by being refused first: the right one is named, told or not."""
    finding = findings.region(actual, "eu-west-1", "us-east-1")
    assert (finding.verdict, finding.remedy) == (WARNING, "set --region eu-west-1")
    assert findings.region(actual, "eu-west-1", "eu-west-1").verdict is OK


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (None, WARNING),
        (ErrorInfo("PreconditionFailed", "it exists", status=412), OK),
        (ErrorInfo("Conflict", "another write", status=409), OK),
        (ErrorInfo("Unsupported", "not implemented", status=501), WARNING),
        (ErrorInfo("AccessDenied", "denied", status=403), WARNING),
    ],
)
def test_conditional_write(outcome: ErrorInfo | None, verdict: Verdict) -> None:
    """Only a refusal of the second write shows that the condition is honoured."""
    assert findings.conditional_write(outcome).verdict is verdict


@pytest.mark.parametrize(
    ("right", "wrong", "kept", "verdict", "says"),
    [
        (None, REFUSED, True, OK, "verified and kept"),
        (None, REFUSED, False, WARNING, "not kept"),
        (None, None, True, WARNING, "not verified"),
        (None, None, False, WARNING, "not verified"),
        (REFUSED, None, False, WARNING, "is refused"),
    ],
)
def test_checksums(right: ErrorInfo | None, wrong: ErrorInfo | None, kept: bool, verdict: Verdict, says: str) -> None:
    """A checksum protects only where a wrong one is refused, and helps downloads only where it is kept."""
    finding = findings.checksums("CRC64NVME", right, wrong, kept=kept)
    assert finding.verdict is verdict
    assert says in finding.details


def test_access_keys_are_masked() -> None:
    """No more than the last four characters of a key are shown, and none of a short one."""
    assert findings.credentials("AKIAIOSFODNN7EXAMPLE", signs=True).details == "access key ****************MPLE"
    assert findings.masked("abcd") == "****"
    assert "unsigned" in findings.credentials("", signs=False).details


def test_wrong_keys_are_no_missing_permission() -> None:
    """A signature that does not match is a matter of keys; a refusal is one of the permission that is named."""
    wrong = findings.refused("list", ErrorInfo("AccessDenied", "x", service_code="SignatureDoesNotMatch"), "s3:List")
    denied = findings.refused("list", ErrorInfo("AccessDenied", "x", service_code="AccessDenied"), "s3:List")
    assert "AWS_SECRET_ACCESS_KEY" in wrong.remedy
    assert denied.remedy == "allow s3:List to these credentials on this bucket"


def test_contents() -> None:
    """Other bytes than were written fail the endpoint."""
    assert findings.contents("get", expected=b"ab", got=b"ab").verdict is OK
    assert findings.contents("get", expected=b"ab", got=b"aB").verdict is FAILED


def test_certificate() -> None:
    """A certificate that soon ends is worth a word; plain http has none."""
    assert [findings.certificate(days, "x").verdict for days in (None, 90.0, 3.0)] == [OK, OK, WARNING]


def test_fit() -> None:
    """Only a failure makes an endpoint unfit."""
    fine = [Finding("a", OK), Finding("b", WARNING), Finding("c", SKIPPED)]
    assert findings.fit(fine)
    assert not findings.fit([*fine, Finding("d", FAILED)])


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("90S", 90), ("2m", 120), ("12h", 43200), ("1w", 604800)]
)
def test_durations(text: str, seconds: int) -> None:
    """A number alone is seconds; a letter names its unit, in either case."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1.5h", "-1", "1h30m", "١h", "1y", "9" * 12])
def test_no_durations(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="is not a span of time"):
        parse_duration(text)
