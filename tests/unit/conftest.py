"""How hypothesis searches here: the same examples in every run, and no clock to fail by."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "unit",
    deadline=None,
    derandomize=True,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # explanations cost more than they tell
)
settings.load_profile("unit")
