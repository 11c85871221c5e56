"""Warns of engines that nobody has closed, and closes them when the program ends, so that nothing of them is left."""

from __future__ import annotations

import atexit
import contextlib
import os
import warnings
import weakref
from typing import Protocol

from bulkhaul.engine.startable import described
from bulkhaul.model.settings import Settings


class Closable(Protocol):
    """An engine of a program without an event loop."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    def close(self) -> None:
        """Wait until nothing is left."""
        ...


open_engines: weakref.WeakSet[Closable] = weakref.WeakSet()
"""Those that were started and not closed."""

nobodys: weakref.WeakSet[Closable] = weakref.WeakSet()
"""Those that the program shares: nobody has to close them."""


def warn_unclosed(engine: Closable) -> None:
    """Tell the program that it forgot to close an engine."""
    text = f"unclosed engine <Engine {described(engine.settings)}>; call close(), or use it in a `with` block"
    warnings.warn(text, ResourceWarning, stacklevel=2, source=engine)


def _close_forgotten() -> None:
    for engine in list(open_engines):
        with contextlib.suppress(Exception):  # at exit there is no caller to tell
            engine.close()
            if engine not in nobodys:
                warn_unclosed(engine)


atexit.register(_close_forgotten)
os.register_at_fork(after_in_child=open_engines.clear)  # they are the parent's
