"""Names that are claimed once: the first claim is found again, in memory or on disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.jobs.manifests.claims import Claims
from bulkhaul.model.errors import LocalError


@given(
    pages=st.lists(st.lists(st.text("abc", min_size=1, max_size=3), max_size=8), max_size=12), run=st.integers(1, 20)
)
def test_first_claim(pages: list[list[str]], run: int) -> None:
    """Each later claim of a name gets the place of the first, wherever that was put meanwhile."""
    claims, first, place = Claims(run_rows=run), dict[str, str](), 0
    for page in pages:
        rows, wanted = [], []
        for name in page:
            place += 1
            rows.append((name, f"m:{place}"))
            wanted.append(first.get(name, ""))
            first.setdefault(name, f"m:{place}")
        assert claims.claim(rows) == wanted
    claims.close()


def test_many() -> None:
    """What many runs hold is found, and what none holds is not."""
    claims = Claims(run_rows=2000)
    for page in range(20):
        assert claims.claim([(f"{page}/{n}", f"m:{page}-{n}") for n in range(1000)]) == [""] * 1000
    assert claims.claim([(f"{page}/7", "x") for page in range(20)]) == [f"m:{page}-7" for page in range(20)]
    claims.close()


def test_full_disk() -> None:
    """A disk without room for the names is told as such."""
    claims = Claims(run_rows=1)
    claims.claim([("a", "m:1")])
    claims.close()  # the database refuses from now on
    with pytest.raises(LocalError, match="set TMPDIR"):
        claims.claim([("b", "m:2")])
