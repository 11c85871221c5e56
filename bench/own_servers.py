"""The benchmarks' own servers: each a module that prints a line of JSON when it is ready, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
STOP_TIMEOUT_S = 10.0


@contextmanager
def own_server(module: str, options: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run ``python -m MODULE`` until the block ends; gives its process id and what its line says.

    Raises:
        RuntimeError: it did not start; its reason is on stderr.
    """
    command = [sys.executable, "-m", module, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{module} did not start")
            yield process.pid, json.loads(line)
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)
