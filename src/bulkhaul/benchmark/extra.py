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


def require_packages(*more: str) -> None:
    """Make sure that a result can be counted and written, before anything is measured.

    Raises:
        UsageError: a module of these, or of ``more``, cannot be imported; install the extra.
    """
    for module in ("hdrh", "jinja2", "matplotlib", *more):
        require(module)
