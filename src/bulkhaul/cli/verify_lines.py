"""Makes the lines of ``verify``: one a name, for people or as JSON, and the totals."""

from __future__ import annotations

from typing import Any

import msgspec

from bulkhaul.cli.lines import json_text
from bulkhaul.jobs.verify_options import VerifyCounts
from bulkhaul.model.verdicts import PairResult, Verdict
from bulkhaul.policy.naming import printable

OPERATION = "verify"


def human_line(result: PairResult) -> str:
    r"""Return the line for people that says how a name came out, and why it is not equal.

    >>> human_line(PairResult(name="a", one="s3://b/a\n", other="d/a", verdict=Verdict.DIFFERENT, reason="r"))
    'different s3://b/a\\x0a d/a: r\n'
    """
    places = " ".join(printable(place) for place in (result.one, result.other) if place)
    why = f": {printable(result.reason)}" if result.reason else f" ({result.evidence})" if result.evidence else ""
    return f"{result.verdict} {places}{why}\n"


def json_line(result: PairResult) -> str:
    """Return one name's outcome as a line of JSON."""
    line: dict[str, Any] = {
        "operation": OPERATION,
        "success": result.verdict is Verdict.EQUAL,
        "key": result.name,
        "a": result.one,
        "b": result.other,
        "verdict": str(result.verdict),
        "evidence": str(result.evidence) if result.evidence else None,
        "size": result.size,
        "read_bytes": result.read_bytes,
        "seconds": round(result.seconds, 6),
    }
    if result.reason:
        line["reason"] = result.reason
    if result.missing:
        line["missing"] = result.missing
    for name, facts in zip(("facts_a", "facts_b"), result.facts, strict=True):
        if facts is not None:
            line[name] = msgspec.to_builtins(facts)
    return json_text("object", line)


def json_summary(
    counts: VerifyCounts, seconds: float, *, success: bool, seed: int | None = None, more: dict[str, Any] | None = None
) -> str:
    """Return the totals as a line of JSON.

    Args:
        seed: of the sample that was checked.
        more: what else there is to tell.
    """
    line: dict[str, Any] = {
        "operation": "summary",
        "success": success,
        "compared": counts.compared,
        **{str(verdict): counts.verdicts[verdict] for verdict in Verdict},
        "evidence": {str(evidence): count for evidence, count in counts.evidence.most_common()},
        "read_bytes": counts.read_bytes,
        "seconds": round(seconds, 6),
        **(more or {}),
    }
    if seed is not None:
        line["seed"] = seed
    if counts.root:
        line["root"] = counts.root
    return json_text("summary", line)
