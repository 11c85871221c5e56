"""Says which packages a benchmark needs that a transfer does not: those of the extra ``bench``."""

from __future__ import annotations

import importlib

from bulkhaul.model.errors import UsageError


def require(module: str) -> None:
    """Make sure that a module can be imported.

    Raises:
        UsageError: it cannot; install the extra.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        text = f"this needs {module.partition('.')[0]}; pip install 'bulkhaul[bench]'"
        raise UsageError(text, cause=str(error)) from error
