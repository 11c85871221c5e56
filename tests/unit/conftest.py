"""How hypothesis searches here: the same examples in every run, and no clock to fail by. And the ways of clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "unit",
    deadline=None,
    derandomize=True,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # explanations cost more than they tell
)
settings.load_profile("unit")


@pytest.fixture(params=["sdk", "lane"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test with the clients of either way; see ``both_ways``."""
    from tests.unit.both_ways import the_way

    with the_way(request.param):
        yield
