"""Each module of the commands can be imported first of all: it needs no other one to be there already."""

from __future__ import annotations

import subprocess
import sys

from tests import modules

EACH_ALONE = """
import os, sys
from importlib import import_module

for name in "asyncio", "click", "concurrent.futures", "logging", "msgspec", "ssl", "uvloop":
    import_module(name)  # which takes most of the time, and hides nothing
for name in sys.argv[1:]:
    if os.fork() == 0:
        import_module(name)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(name)
"""


def test_each_module_of_commands_alone() -> None:
    """Commands import them late, each in another order."""
    names = modules.names("bulkhaul.cli")
    assert len(names) > 80
    done = subprocess.run(
        [sys.executable, "-c", EACH_ALONE, *names], capture_output=True, text=True, check=False, cwd=modules.SOURCE
    )
    assert (done.returncode, done.stderr) == (0, "")
