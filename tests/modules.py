"""Names the modules of the program."""

from __future__ import annotations

from pathlib import Path

import bulkhaul

SOURCE = Path(bulkhaul.__file__).parents[1]


def names(package: str) -> list[str]:
    """Return the names of a package and of all modules below it."""
    modules = (path.relative_to(SOURCE) for path in SOURCE.joinpath(*package.split(".")).rglob("*.py"))
    return [".".join(module.with_suffix("").parts).removesuffix(".__init__") for module in modules]
