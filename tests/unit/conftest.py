"""How hypothesis searches here: the same examples in every run, and no clock to fail by."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("unit")
