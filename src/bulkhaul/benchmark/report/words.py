"""Says numbers, times and how a benchmark was made, in words that all forms of the report share."""

from __future__ import annotations

from bulkhaul.benchmark.results import Measured, Result, Run
from bulkhaul.model.limits import MIB
from bulkhaul.policy.naming import printable
from bulkhaul.policy.object_sizes import CLASS_NAMES

MAX_TEXT = 300
"""Characters shown of a text from outside at most: a report stays small whatever a service says."""

CLOSED_LOOP = (
    "Closed loop: each connection asked again only when it had its reply, so a slow service was asked less often, and"
    " the latencies leave out the time that requests would have waited meanwhile (coordinated omission)."
)
OPEN_LOOP = (
    "Open loop: requests were due by a schedule, whatever the service did, and latency counts from the instant at which"
    " each was due, so time spent waiting behind slow replies is in it (no coordinated omission)."
)


def loop(result: Result) -> str:
    """Say what kind of loop made the requests, and what that means for latencies."""
    return OPEN_LOOP if result.open_loop else CLOSED_LOOP


def shown(text: str, most: int = MAX_TEXT) -> str:
    r"""Return text from outside without control and bidirectional characters, and cut if it is long.

    >>> shown("a\u202eb"), shown("abcdef", 3)
    ('a\\u202eb', 'abc…')
    """
    told = printable(text[: most + 1])
    return told if len(told) <= most else f"{told[:most]}…"


def number(value: float) -> str:
    """Return a number for people: whole from a hundred on, its thousands apart.

    >>> number(1234567), number(1234.5), number(0.25), number(12.34), number(9.999), number(0)
    ('1,234,567', '1,234', '0.25', '12.3', '10', '0')
    """
    if isinstance(value, int) or abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def mebibytes(size_bytes: float) -> str:
    """Return bytes in MiB, without the unit."""
    return number(size_bytes / MIB)


def milliseconds(value_ms: float) -> str:
    """Return a time with its unit.

    >>> milliseconds(0.25), milliseconds(12.34), milliseconds(1500)
    ('0.25 ms', '12.3 ms', '1.5 s')
    """
    return f"{number(value_ms)} ms" if value_ms < 999.5 else f"{number(value_ms / 1000)} s"


def seconds(value_s: float) -> str:
    """Return a span of time for people.

    >>> seconds(0.25), seconds(60), seconds(3725)
    ('0.25 s', '60 s', '62 min 5 s')
    """
    if value_s < 600:
        return f"{number(value_s)} s"
    minutes, rest_s = divmod(round(value_s), 60)
    return f"{minutes} min {rest_s} s"


def percent(part: float, whole: float) -> str:
    """Return a share that is 100 % or 0 % only where it is exactly so.

    >>> percent(1, 3), percent(0, 3), percent(999_999, 1_000_000), percent(1, 10**9)
    ('33.3 %', '0 %', '99.99 %', '0.01 %')
    """
    share = part * 100 / whole if whole else 0.0
    if 0 < part < whole:
        share = min(max(share, 0.01), 99.99)
    return f"{share:.4g} %" if share > 99 else f"{share:.3g} %"


def sentence(text: str) -> str:
    """Return text from outside as a sentence.

    >>> sentence("limited by its rate; ask for more")
    'Limited by its rate; ask for more.'
    """
    told = shown(text).rstrip(".")
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def named(text: str) -> str:
    """Return a name from outside with a capital."""
    told = shown(text, 80)
    return f"{told[:1].upper()}{told[1:]}"


def steady(run: Run) -> str:
    """Say which part of a run counts."""
    if run.steady.replayed:
        return "all of it"
    if run.steady.reached:
        return f"from {number(run.steady.from_s)} to {number(run.steady.to_s)} s"
    return "never steady"


def size_name(measured: Measured) -> str:
    """Name the sizes of what was measured; requests without a body have none."""
    return "no body" if measured.operation in ("stat", "delete") else CLASS_NAMES[measured.size_class]


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return so many of something.

    >>> counted(1, "run"), counted(1200, "request"), counted(2, "process", "processes")
    ('1 run', '1,200 requests', '2 processes')
    """
    return f"{number(count)} {noun if count == 1 else plural or noun + 's'}"
