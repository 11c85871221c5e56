"""The HTML report: well-formed, small, true to the rows, and deaf to whatever keys hold."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.cli.commands.job import job
from bulkhaul.jobs.reports.html_page import page
from bulkhaul.jobs.reports.reported_job import ReportedJob
from bulkhaul.jobs.reports.summary import Tally
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Integrity
from bulkhaul.model.rows import ReportRow, Status
from tests.unit.reported import HOSTILE, failed, report_rows, row, written

VOID = frozenset({"meta", "path", "rect"})
TAGS = re.compile(
    "html|head|meta|title|style|body|main|header|h[123]|p|section|dl|div|dt|dd|small|svg|rect|path|figure|figcaption"
    "|strong|span|code|details|summary|ul|li|pre|table|thead|tbody|tr|th|td|footer"
)
ATTRIBUTES = re.compile(
    "lang|charset|http-equiv|content|name|class|dir|viewbox|preserveaspectratio|role|aria-label|x|y|width|height|d"
)
LOADING = re.compile(r"url\(|@import|@font-face|//|javascript:|data:", re.IGNORECASE)


class Page(HTMLParser):
    """A page, taken apart: every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    @property
    def text(self) -> str:
        """Return all words of the page."""
        return " ".join(self.texts["main"][0].split())


def made(rows: list[ReportRow], job: ReportedJob | None = None) -> Page:
    """Return the page of rows."""
    job = job or ReportedJob()
    tally = Tally()
    tally.add_all(rows)
    return Page(page(tally.summary(job.planned), job))


def check_harmless(told: Page) -> None:
    """Make sure that a page has no element or attribute but ours, and nothing that loads or runs."""
    for tag, attributes in told.elements:
        assert TAGS.fullmatch(tag)
        assert all(ATTRIBUTES.fullmatch(name) for name in attributes)
    assert not LOADING.search(told.texts["style"][0])
    shown = told.texts["main"][0] + "".join(str(v) for _, attributes in told.elements for v in attributes.values())
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_the_page_says_what_the_rows_say() -> None:
    """Totals and their equation, bytes, evidence, causes, reasons, and how to retry."""
    rows = [row(n, size=1024, integrity=Integrity.CHECKSUM, seconds=1.0, ended=1000.0 + n) for n in range(1200)]
    rows += [failed(2000 + n, f"s3://bucket/secret/{n}", service_code="AllAccessDisabled") for n in range(7)]
    rows += [row(3000, Status.SKIPPED, reason="same size and time")]
    told = made(rows, ReportedJob(name="/jobs/my job", kind="copy", source="s3://bucket/", destination="/data"))
    assert "1,208 planned = 1,200 succeeded + 7 failed + 1 skipped" in told.text
    assert "7 objects failed" in told.text
    assert "1.2 MiB" in told.text
    assert "checksum 1,200" in re.sub(r"(checksum)(\d)", r"\1 \2", told.text)
    assert "AccessDenied · AllAccessDisabled" in told.texts["h3"]
    assert "s3://bucket/secret/" in told.texts["code"]
    assert "same size and time" in told.texts["h3"]
    assert "bulkhaul job retry '/jobs/my job'" in told.texts["pre"][0]
    assert [tag for tag, _ in told.elements].count("figure") == 2
    check_harmless(told)


def test_the_commands_on_the_page_are_commands() -> None:
    """What the page says to type is what the program takes."""
    told = made([row(0), failed(1)], ReportedJob(name="my job", planned={0: 2}))
    told_left = made([row(0)], ReportedJob(name="my job", planned={0: 2}))
    commands = [line for text in told.texts["pre"] + told_left.texts["pre"] for line in text.splitlines()]
    assert len(commands) == 4
    for command in commands:
        program, group, name, *arguments = shlex.split(command)
        assert (program, group) == ("bulkhaul", "job")
        found = job.commands[name].make_context(name, arguments)
        assert found.params["job_name"] == "my job"


def test_a_complete_job_needs_nothing() -> None:
    """Nothing to retry is offered where nothing failed."""
    told = made([row(0), row(1, Status.SKIPPED, reason="same")])
    assert "All of 2 objects accounted for: nothing failed, nothing is missing." in told.text
    assert "retry" not in told.text
    assert "100 %" not in told.text


def test_a_row_that_is_missing_or_too_many_is_said() -> None:
    """A report that does not add up never looks complete."""
    assert "1 object not done yet" in made([row(0)], ReportedJob(planned={0: 2})).text
    told = made([row(0), row(1)], ReportedJob(planned={0: 1}))
    assert "1 more rows were reported than were planned" in told.text
    assert "accounted for" not in told.text
    told = made([row(0), row(0, plan=1), row(1, plan=1)], ReportedJob(planned={0: 2, 1: 1}))
    assert "accounted for" not in told.text
    assert "Nothing was planned." in made([]).text
    assert "The plan is not whole yet." in made([], ReportedJob(planning=True)).text
    told = made([row(0), failed(1)], ReportedJob(planning=True))
    assert "1 object failed, the plan is not whole yet." in told.text


def test_one_failure_of_a_million_is_not_100_percent() -> None:
    """A share is 100 % only where it is all of them."""
    tally = Tally()
    tally.add(failed(0))
    summary = msgspec.structs.replace(tally.summary(), objects=1_000_000, succeeded=999_999)
    told = Page(page(summary, ReportedJob()))
    assert "99.99 %" in told.text
    assert "100 %" not in told.text


def test_the_policy_allows_the_one_style_sheet_only() -> None:
    """No script, image, font, frame or connection, wherever from; the style by its hash."""
    told = made([])
    (policy,) = (a["content"] for tag, a in told.elements if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(told.texts["style"][0].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_texts_are_words(hostile: str) -> None:
    """Wherever somebody's text stands, it is text: in names, messages, causes, reasons and the job's own name."""
    error = ErrorInfo(hostile, hostile, cause=hostile, service_code=hostile)
    rows = [row(n, Status.FAILED, f"s3://b/{n}/{hostile}", error=error) for n in range(3)]
    rows += [row(9, Status.SKIPPED, hostile, reason=hostile), row(10, source=hostile)]
    told = made(rows, ReportedJob(name=hostile, kind=hostile, source=hostile, destination=hostile))
    check_harmless(told)
    if "<" in hostile:
        assert any(hostile in text for text in told.texts["code"])


@given(st.lists(report_rows(), max_size=12))
def test_any_rows_make_a_harmless_page(rows: list[ReportRow]) -> None:
    """Whatever rows hold, the page is well-formed, loads nothing, and its equation is right."""
    told = Page(written(rows, "html").decode())
    check_harmless(told)
    equation = re.search(
        r"([\d,]+) planned = ([\d,]+) succeeded \+ (-?[\d,]+) failed \+ ([\d,]+) skipped(?: \+ (-?[\d,]+) not done)?",
        told.text,
    )
    assert equation is not None
    planned, *parts = (int((number or "0").replace(",", "")) for number in equation.groups())
    assert planned == sum(parts)


def test_the_page_stays_small() -> None:
    """Many causes, prefixes and reasons with the longest and most expensive keys stay below 1 MiB."""
    tally = Tally()
    for n in range(20_000):
        key = f"s3://bucket/{n // 500 % 12:02}/{n % 23}/{n}" + '"' * 900
        error = ErrorInfo(f"C{n % 15}", '"' * 5_000, cause="<" * 5_000, service_code=f"{n % 2}" + '"' * 500)
        tally.add(row(n, Status.FAILED, key, error=error))
        tally.add(row(n, Status.SKIPPED, key, reason=f"{n % 23}" + '"' * 2_000))
    told = page(tally.summary(), ReportedJob(name='"' * 4_000))
    assert 300_000 < len(told.encode()) < 1024 * 1024  # it is not small for want of rows
    assert told.count('class="prefix"') <= 2 * 12 * 8
    text = Page(told).text
    assert re.search(r"and \d+ more causes with [\d,]+ objects", text)
    assert re.search(r"and \d+ more prefixes with [\d,]+ objects", text)
