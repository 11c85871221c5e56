"""The page of a benchmark: true to the result, well-formed, small, and deaf to whatever others have written."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re

import matplotlib as mpl
import msgspec
import pytest

from bulkhaul.benchmark.report import html
from bulkhaul.benchmark.report.sections import SHOWN_RUNS
from bulkhaul.benchmark.results import FailureCount, Limit, Result, Window
from bulkhaul.model.workloads import OPERATIONS
from tests.unit.benchmark.made_up import made_latencies, made_measured, made_result, made_run, small_run
from tests.unit.benchmark.taken_apart import Page, check_harmless
from tests.unit.reported import HOSTILE


def made(result: Result) -> Page:
    """Return the page of a result."""
    return Page(html(result))


@pytest.fixture(scope="module")
def mixed() -> Page:
    """The page of two runs of every operation."""
    return made(made_result(*(made_run(n, operations=OPERATIONS, windows=30) for n in (1, 2)), open_loop=True))


def test_what_limited_the_runs_comes_first(mixed: Page) -> None:
    """The first words below the first heading are the sentence of the limit, said once where runs agree."""
    assert mixed.texts["h2"][0] == "What limited it"
    section = " ".join(mixed.texts["section"][0].split())
    assert section.startswith("What limited it Runs 1, 2: Limited by the store's time to first byte: 88 % of the time")
    assert mixed.text.count("Limited by the store") == 1


def test_every_figure_says_what_one_sees(mixed: Page) -> None:
    """Each figure has a caption, and a text with numbers for those who do not see it."""
    figures = [attributes["aria-labelledby"] for tag, attributes in mixed.elements if tag == "figure"]
    texts = [attributes["aria-label"] for tag, attributes in mixed.elements if attributes.get("role") == "img"]
    assert len(figures) == len(texts) == len(mixed.texts["figcaption"]) > 20
    assert all(re.search(r"\d", text) for text in texts)
    assert any(text.startswith("Run 1, 30 s, steady from 8 to 30 s: GET: median ") for text in texts)


def test_headings_tables_and_landmarks(mixed: Page) -> None:
    """One first heading, no level left out, every section and table named, every cell of a head with its scope."""
    levels = [int(tag[1]) for tag, _ in mixed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    tags = [tag for tag, _ in mixed.elements]
    assert {tags.count(tag) for tag in ("main", "header", "nav", "footer")} == {1}
    assert tags.count("table") == tags.count("caption") > 8
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in mixed.elements if tag == "th")
    assert all("aria-labelledby" in attributes for tag, attributes in mixed.elements if tag == "section")


def test_ids_are_unique_and_every_reference_has_its_aim(mixed: Page) -> None:
    """Figures share no id, and nothing points to nowhere."""
    ids = mixed.values("id")
    assert len(ids) == len(set(ids))
    aims = [link.removeprefix("#") for link in mixed.values("href")] + mixed.values("aria-labelledby")
    aims += re.findall(r"url\(#([^)]+)\)", " ".join(mixed.values("clip-path")))
    assert len(aims) > 40
    assert set(aims) <= set(ids)


def test_figures_take_the_colours_of_the_page(mixed: Page) -> None:
    """Nothing is drawn in a colour that stays the same in the dark."""
    colours = {*mixed.values("fill"), *mixed.values("stroke")}
    assert {"none", "currentColor", "var(--series-1)", "var(--band)"} <= colours
    assert [colour for colour in colours if colour.startswith("#") or colour in ("black", "white")] == []
    defined = set(re.findall(r"(--[a-z0-9-]+):", mixed.texts["style"][0]))
    assert {colour[4:-1] for colour in colours if colour.startswith("var(")} <= defined


def test_the_policy_allows_the_one_style_sheet_only(mixed: Page) -> None:
    """No script, image, font, frame or connection, wherever from; the style by its hash, and no other style."""
    (policy,) = (a["content"] for tag, a in mixed.elements if a.get("http-equiv") == "Content-Security-Policy")
    (style,) = mixed.texts["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert mixed.values("style") == []
    check_harmless(mixed)


def test_hostile_texts_are_words() -> None:
    """Wherever somebody's text stands, it is text: names, messages, sentences, settings, labels of figures."""
    hostile = "".join(HOSTILE) + "{{ 7 * 7 }} </style><script>"
    run = small_run(
        failures=(FailureCount(hostile, 500, 1, hostile),),
        limit=Limit(hostile, hostile, {"$\\frac{1}$": 0.4, hostile: 0.6}),
        began=hostile,
    )
    run = msgspec.structs.replace(
        run, processes=tuple(msgspec.structs.replace(one, name=hostile) for one in run.processes)
    )
    result = msgspec.structs.replace(made_result(run, text=hostile), floors=None, no_floors=hostile, version=hostile)
    told = made(result)
    check_harmless(told)
    assert "<script>alert(1)</script>" in told.texts["h1"][0]
    assert "{{ 7 * 7 }}" in told.texts["h1"][0]


def test_the_same_result_gives_the_same_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, whatever somebody has set for the plots of their own, and that stays as it was."""
    result = made_result(small_run())
    first = html(result)
    monkeypatch.setitem(mpl.rcParams, "font.size", 31.0)
    monkeypatch.setitem(mpl.rcParams, "axes.labelsize", 31.0)
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "path")
    assert html(result) == first
    assert mpl.rcParams["font.size"] == 31.0


def test_an_hour_of_five_hundred_connections_stays_below_a_megabyte() -> None:
    """With more runs than are drawn, every operation and class of sizes; how many are left out is said."""
    many = tuple(FailureCount(f"Code{n}", 500, n, '"' * 5000) for n in range(300))
    runs = [
        made_run(n, operations=OPERATIONS, classes=range(6), windows=3600, connections=512, waiting=True, failures=many)
        for n in range(1, SHOWN_RUNS + 2)
    ]
    text = html(made_result(*runs, open_loop=True))
    assert 300_000 < len(text.encode()) < 1_000_000
    assert "1 more run not drawn" in text
    assert "260 more kinds" in text


def test_a_run_of_nothing_is_told() -> None:
    """No run, one without any request, and one that ended within its first second are no errors."""
    assert "No run was recorded" in made(made_result()).text
    none = made_latencies(1.0, 0, 1)
    nothing = msgspec.structs.replace(made_measured("get", 0, 0, 1), whole=none, first_byte=none)
    window = Window(0.0, 0.5, {}, {}, 0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    for measured, windows in (((), ()), ((nothing,), (window,)), ((nothing,), (window, window))):
        run = small_run(measured=measured, windows=windows, connections=(), processes=(), failures=())
        run = msgspec.structs.replace(run, limit=Limit("unknown", "no request ended", {}), requests_per_s=0.0)
        text = made(made_result(run)).text
        assert "No request ended." in text
        assert "No connection was measured." in text
