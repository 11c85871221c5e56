"""The typed errors, under the name that callers import them by; it must define nothing of its own."""

from bulkhaul.model.errors import *  # noqa: F403 - one public list, kept by model.errors.__all__
from bulkhaul.model.errors import __all__ as __all__
