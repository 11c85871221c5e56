"""The models of bench/simulate.py keep to what they say, and the window finds the best number in flight on each."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from bench.simulate import Comparison, simulate
from bench.simulation.client import Client, Fixed
from bench.simulation.networks import IN_REGION, MIB, NETWORKS, OBJECT_BYTES, WORKLOADS, Network, Workload
from bench.simulation.plots import regret_plot, window_plot

from bulkhaul.policy.window import Window


def delivered(network: Network, workload: Workload, size: int, *, seconds: float = 6.0) -> float:
    """Return the bytes a second that a fixed number in flight delivers, from 2 s on."""
    return Client(network, workload, Fixed(size), seed=1).play(seconds).rate(2.0, seconds)


def test_what_is_in_flight_by_the_latency_is_delivered_until_the_line_is_full() -> None:
    """Little's law where nothing is full, and the shared line where it is."""
    calm = replace(IN_REGION, spread=0.0, request_cpu_s=0.0)
    each_s = calm.latency_s + OBJECT_BYTES / calm.connection_bytes_per_s
    assert delivered(calm, WORKLOADS["objects"], 8) == pytest.approx(8 * OBJECT_BYTES / each_s, rel=0.02)
    assert delivered(calm, WORKLOADS["parts"], 4) == pytest.approx(4 * 16 * MIB / (calm.latency_s + 0.2097), rel=0.05)
    assert delivered(NETWORKS["wan"], WORKLOADS["parts"], 64) == pytest.approx(125e6, rel=0.01)
    assert delivered(NETWORKS["s3"], WORKLOADS["parts"], 512, seconds=4.0) == pytest.approx(12.5e9, rel=0.01)


def test_too_many_in_flight_hurt_over_loopback() -> None:
    """That is what the model is for: with 256 the client gets less done than with 8."""
    loopback = NETWORKS["loopback"]
    few, many = (delivered(loopback, WORKLOADS["objects"], size, seconds=3.0) for size in (8, 256))
    assert many < 0.7 * few


def test_beyond_the_limit_a_service_refuses_and_serves_no_more() -> None:
    """500 requests a second are served, with however many in flight."""
    run = Client(NETWORKS["slowdown"], WORKLOADS["objects"], Fixed(64), seed=1).play(6.0)
    assert run.rate(2.0, 6.0) == pytest.approx(500 * OBJECT_BYTES, rel=0.03)
    assert run.refused > 1000


def test_the_same_seed_gives_the_same_run() -> None:
    """A simulation can be told from another only by its seed."""
    runs = [
        Client(NETWORKS["tails"], WORKLOADS["mixture"], Window(64), seed=seed).play(2.0).delivered for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_window_that_is_not_needed_does_not_grow() -> None:
    """With 5 requests wanted at a time from a distant service, it stays what it was."""
    run = Client(NETWORKS["s3"], WORKLOADS["objects"], Window(), seed=1, wanted=5).play(10.0)
    assert set(run.sizes) == {8}


def test_twins_shorten_the_tail_and_stay_in_their_budget() -> None:
    """One reply in a hundred takes 2 s; hedged, hardly one in a thousand does, for a twentieth of load at most."""
    tails = NETWORKS["tails"]
    hedged, plain = (
        Client(tails, WORKLOADS["objects"], Fixed(64), seed=1, hedges=hedges).play(10.0) for hedges in (True, False)
    )
    assert sum(ttfb_s >= 2.0 for ttfb_s in plain.ttfb_s) >= 0.005 * len(plain.ttfb_s)
    assert sum(ttfb_s >= 2.0 for ttfb_s in hedged.ttfb_s) <= 0.0015 * len(hedged.ttfb_s)
    assert 0 < hedged.twins <= 0.05 * hedged.requests + 10 * tails.workers


@pytest.mark.parametrize(
    ("network", "workload", "seconds", "fixed"),
    [
        ("loopback", "parts", 16.0, (1, 4, 16, 64)),
        ("lan", "parts", 16.0, (1, 4, 16, 64)),
        ("s3", "parts", 12.0, (128, 256, 512)),
        ("wan", "parts", 16.0, (1, 4, 16, 64)),
        ("wan", "objects", 16.0, (256, 512)),
        ("slowdown", "objects", 24.0, (8, 16, 64)),
        ("tails", "parts", 12.0, (128, 256, 512)),
    ],
)
def test_the_window_delivers_nine_tenths_of_the_best_fixed_setting(
    network: str, workload: str, seconds: float, fixed: tuple[int, ...]
) -> None:
    """On each modelled network, in a short run: settled, and nearly so over the first 10 s with connecting included."""
    (compared,), _ = simulate([network], [workload], seconds=seconds, seeds=[1], fixed=fixed)
    assert compared.settled[0] >= 0.9
    assert compared.first[0] >= 0.8


def test_both_plots_are_drawings_that_name_what_they_show() -> None:
    """Well-formed SVG, with each network and a bar and a line for each workload."""
    lines = window_plot([("S3 & co", [("parts", [8, 16, 512]), ("objects", [8, 1])])], step_s=0.25)
    bars = regret_plot([("S3 & co", [("parts", 0.99, 0.9)])], (0.95, 0.85))
    for text in (lines, bars):
        drawing = ET.fromstring(text)  # noqa: S314 - made here
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert "S3 & co" in "".join(drawing.itertext())
    assert lines.count("<polyline") == 2
    assert bars.count("<rect") == 2


def test_a_goal_counts_as_reached_only_if_every_seed_reaches_it() -> None:
    """The least of all seeds decides, settled and at first."""
    good = Comparison("lan", "parts", 8, 4, 1.0, [0.95, 1.0], [0.85, 0.9], [8.0], [0], [0], [1])
    assert good.reached
    assert not replace(good, settled=[0.94, 1.0]).reached
    assert not replace(good, first=[0.9, 0.84]).reached
