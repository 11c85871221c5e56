"""The limit of a download: raw sockets, in each of the ways of ``floor.py``."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.contestants import Contestant
from bench.movers import EXAMPLE, Move

FLOOR = Path(__file__).with_name("floor.py")
FLOORS = {f"floor-{way}": way for way in ("written", "mapped", "blocking")}


def find_floors() -> list[Contestant[Move]]:
    """Return all of them; they download one object."""
    program = (sys.executable, str(FLOOR))
    return [Contestant(name, "", program, _floor(way), EXAMPLE) for name, way in FLOORS.items()]


def _floor(way: str) -> Callable[[Move], Sequence[str]]:
    def arguments(move: Move) -> Sequence[str]:
        return f"{move.endpoint}/{move.bucket}/{move.key}", move.path, "--way", way

    return arguments
