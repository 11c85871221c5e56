"""The page of a benchmark in a real browser: it is drawn, legible by day and night, and asks nobody for anything."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from bulkhaul.benchmark.report import html
from bulkhaul.model.workloads import OPERATIONS
from tests.integration.browser import Page, browser
from tests.unit.benchmark.made_up import made_result, made_run

WIDTHS = (380, 1280)

OVERFLOWING = """[...document.querySelectorAll("body *")]
    .filter(one => !one.closest(".scroll, .skip") || one.matches(".scroll"))
    .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5 || one.getBoundingClientRect().left < -0.5)
    .map(one => one.outerHTML.slice(0, 120))"""

OVERLAPPING = """(() => {
  const found = [];
  const apart = (boxes, where) => boxes.forEach((a, at) => boxes.slice(at + 1).forEach(b => {
    const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
    const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
    if (wide > 1 && high > 3) found.push(`${where}: ${a.text} / ${b.text}`);
  }));
  const boxed = (list) => [...list].map(one => (
    {box: one.getBoundingClientRect(), text: one.textContent.slice(0, 40)}));
  document.querySelectorAll("figure").forEach(one => apart(boxed(one.querySelectorAll("text")), one.innerText));
  apart(boxed(document.querySelectorAll("figure")), "figures");
  document.querySelectorAll("section").forEach(one => apart(boxed(one.children), one.innerText.slice(0, 20)));
  apart(boxed(document.querySelectorAll("body > :not(main):not(.skip), section")), "page");
  return found;
})()"""

CUT_TEXTS = """[...document.querySelectorAll("svg text")].filter(one => {
    const box = one.getBoundingClientRect(), around = one.ownerSVGElement.getBoundingClientRect();
    return box.left < around.left - 1 || box.right > around.right + 1 || box.top < around.top - 1
      || box.bottom > around.bottom + 1;
  }).map(one => one.textContent)"""

LINES = """[...document.querySelectorAll("figure")].map(figure => ({
    title: figure.querySelector("figcaption").innerText,
    seen: [...figure.querySelectorAll("path")].filter(one => {
      const style = getComputedStyle(one), box = one.getBoundingClientRect();
      const series = /--series|--bad/.test(one.getAttribute("stroke") + one.getAttribute("fill"));
      return series && (style.stroke !== "none" || style.fill !== "none") && box.width + box.height > 10;
    }).length,
    width: figure.querySelector("svg").getBoundingClientRect().width,
    letters: Math.min(...[...figure.querySelectorAll("text")].map(one => one.getBoundingClientRect().height)),
  }))"""

CONTRASTS = """(() => {
  const light = (colour) => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map(one => one / 255)
      .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = (one) => {
    while (one && getComputedStyle(one).backgroundColor === "rgba(0, 0, 0, 0)") one = one.parentElement;
    return getComputedStyle(one || document.body).backgroundColor;
  };
  const texts = [...document.querySelectorAll("h1, h2, h3, p, a, dt, dd, small, th, td, caption, figcaption")];
  const words = texts.filter(one => !one.closest(".skip")).map(one => ratio(getComputedStyle(one).color, behind(one)));
  const drawn = [...document.querySelectorAll("svg text")].map(one => ratio(getComputedStyle(one).fill, behind(one)));
  const lines = [...document.querySelectorAll("svg path[stroke^='var(--series']")]
    .map(one => ratio(getComputedStyle(one).stroke, behind(one)));
  return {words: Math.min(...words, ...drawn), lines: Math.min(...lines), card: behind(texts[3])};
})()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two runs of every operation, with what others might have written."""
    runs = [made_run(n, operations=OPERATIONS, classes=(0, 2, 3, 4), windows=400, waiting=True) for n in (1, 2)]
    result = made_result(*runs, open_loop=True, text='<img src="http://127.0.0.1:9/x"><script src="//a/b"></script>')
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html(result), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a browser."""
    with browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


def pixels(page: Page) -> Any:
    """Return the picture of all of a page, float[height, width, 3]."""
    return image.imread(io.BytesIO(page.picture()))[..., :3]


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_asked_for_and_nothing_is_wrong(page: Page, report: Path, width: int) -> None:
    """The file is all that is loaded, and the console stays empty."""
    page.open(report, width=width)
    page.picture()
    asked = [told["request"]["url"] for name, told in page.events if name == "Network.requestWillBeSent"]
    assert asked == [report.as_uri()]
    wrong = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [told for name, told in page.events if name in wrong] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_or_overlaps(page: Page, report: Path, width: int) -> None:
    """On a phone and on a screen nothing is wider than the window, on top of something else, or cut off."""
    page.open(report, width=width)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate(CUT_TEXTS) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_drawn(page: Page, report: Path, width: int) -> None:
    """Each has its lines, fills its place, and its letters can be read."""
    page.open(report, width=width)
    figures = page.evaluate(LINES)
    assert len(figures) > 20
    for figure in figures:
        assert figure["seen"] >= 1, figure
        assert figure["width"] > 250, figure
        assert figure["letters"] >= 9, figure
    titles = {figure["title"] for figure in figures}
    assert {"Throughput, MiB/s", "GET: time to first byte by percentile", "PUT: whole request by percentile"} <= titles


def test_it_is_dark_where_that_is_asked_for(page: Page, report: Path) -> None:
    """By night the page is dark, by day light; on paper light, whatever is asked for."""
    brightness = {}
    for name, dark, medium in (("day", False, "screen"), ("night", True, "screen"), ("paper", True, "print")):
        page.open(report, width=1280, dark=dark, medium=medium)
        picture = pixels(page)
        brightness[name] = float(np.median(picture[:200])), float(np.median(picture))  # above the sections, and within
    assert min(brightness["day"] + brightness["paper"]) > 0.9
    assert max(brightness["night"]) < 0.2


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_and_lines_stand_out(page: Page, report: Path, dark: bool) -> None:
    """Contrast is 4.5 for text and 3 for lines at least (WCAG 2.2, 1.4.3 and 1.4.11)."""
    page.open(report, width=1280, dark=dark)
    contrasts = page.evaluate(CONTRASTS)
    assert contrasts["words"] >= 4.5
    assert contrasts["lines"] >= 3.0


def test_it_can_be_used_by_keys(page: Page, report: Path) -> None:
    """The first key leads past the menu, visibly; every link and every table that can be scrolled has its turn."""
    page.open(report, width=380)
    page.press("Tab")
    where = page.evaluate(
        "(() => { const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);"
        " return [one.innerText, box.left >= 0 && box.right <= innerWidth, style.outlineStyle, style.outlineWidth] })()"
    )
    assert where == ["To the results", True, "solid", "3px"]
    page.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll"
    page.open(report, width=380)
    reached = []
    for _ in range(page.evaluate("document.querySelectorAll('a, .scroll').length")):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
    assert reached.count("DIV") == page.evaluate("document.querySelectorAll('table').length")
    assert reached.count("A") == page.evaluate("document.querySelectorAll('a').length")


def test_a_screen_reader_is_told_everything(page: Page, report: Path) -> None:
    """Landmarks, a name for each section, figure, picture and table, and heads of columns and rows."""
    page.open(report, width=1280)
    nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            role, name = node["role"]["value"], node.get("name", {}).get("value", "")
            named.setdefault(role, []).append(name)
    assert [len(named[role]) for role in ("main", "banner", "navigation", "contentinfo")] == [1, 1, 1, 1]
    for role in ("region", "figure", "image", "table"):
        assert len(named[role]) > 8
        assert all(named[role]), role
    assert all(re.search(r"\d", name) for name in named["image"])
    assert {"columnheader", "rowheader"} <= named.keys()
    assert "SvgRoot" not in named  # each is told by the words beside it


def test_it_can_be_printed(page: Page, report: Path) -> None:
    """On paper there is no menu, and no table is cut off at its side."""
    page.open(report, width=794, medium="print")  # A4 at 96 dpi
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    wide = """[...document.querySelectorAll("table")].filter(
        one => one.getBoundingClientRect().right > innerWidth).map(one => one.caption.innerText)"""
    assert page.evaluate(wide) == []
    told = page.ask("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
    assert len(told["data"]) > 50_000
