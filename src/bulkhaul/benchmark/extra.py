"""Says which packages a benchmark needs that a transfer does not: those of the extra ``bench``."""

from __future__ import annotations

import importlib

from bulkhaul.model.errors import UsageError

OF_RESULTS = ("hdrh", "jinja2", "matplotlib")
"""What a result and its page need: looked for before anything is measured."""


def require(*modules: str) -> None:
    """Make sure that modules can be imported.

    Raises:
        UsageError: one cannot; install the extra.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            text = f"this needs {module.partition('.')[0]}; pip install 'bulkhaul[bench]'"
            raise UsageError(text, cause=str(error)) from error
