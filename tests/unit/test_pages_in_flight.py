"""How many pages are asked for at once: as many as make them come faster, and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bulkhaul.policy.pages_in_flight import MOST_PAGES, PagesInFlight


def settled(rate: Callable[[int], float], pages: int = 400) -> PagesInFlight:
    """Return the limit after so many pages, which come at ``rate(limit)`` a second."""
    in_flight, now_s = PagesInFlight(), 0.0
    in_flight.arrived(now_s, under_way=1)
    for _ in range(pages):
        now_s += 1 / rate(in_flight.limit)
        in_flight.arrived(now_s, under_way=in_flight.limit)
    return in_flight


def test_one_page_comes_first() -> None:
    """A listing begins with one request, and goes on with two."""
    in_flight = PagesInFlight()
    assert in_flight.limit == 1
    in_flight.arrived(1.0, under_way=1)
    assert in_flight.limit == 2


def test_a_distant_service_gets_as_many_as_it_serves() -> None:
    """Where pages come faster the more are asked for, the limit is what is allowed."""
    assert settled(lambda limit: limit / 0.03).limit == MOST_PAGES


@pytest.mark.parametrize("enough", [2, 4, 8])
def test_a_client_that_is_busy_gets_no_more_than_it_reads(enough: int) -> None:
    """Where more requests bring no more pages, about as many are under way as bring them."""
    assert settled(lambda limit: min(limit, enough) / 0.03).limit <= 2 * enough


def test_a_service_that_chokes_gets_fewer() -> None:
    """A doubling that costs pages is taken back."""
    assert settled(lambda limit: 25.0 * limit if limit <= 4 else 20.0, pages=60).limit <= 4


def test_what_has_become_faster_is_noticed() -> None:
    """The limit is tried again now and then."""
    in_flight = settled(lambda limit: min(limit, 2) / 0.03, pages=50)
    now_s = 1000.0
    for _ in range(2000):
        now_s += 0.03 / in_flight.limit
        in_flight.arrived(now_s, under_way=in_flight.limit)
    assert in_flight.limit == MOST_PAGES


def test_a_reader_who_holds_the_listing_back_teaches_nothing() -> None:
    """While fewer pages are under way than may be, the limit stays as it is."""
    in_flight, now_s = PagesInFlight(), 0.0
    for _ in range(100):
        in_flight.arrived(now_s := now_s + 0.03, under_way=1)
    assert in_flight.limit == 2
