"""Fixtures and servers for the tests of projects that use bulkhaul: ``pytest_plugins = ["bulkhaul.testing"]``.

    bulkhaul_server, bulkhaul_engine, …      fixtures of pytest; docs/guides/testing.md has them all
    embedded_server, EmbeddedServer          a real S3 server (SeaweedFS) on this machine, for other ways to run tests
    FaultServer                              a server in front of it that misbehaves where a test says so
    slow_down, refusal, error_in_200, cut_body, stall, other_etag, corrupt_byte      the ways to misbehave

A project that does not name it is left alone: nothing here is found by being installed. The names are loaded when they
are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkhaul.testing.embedded import EmbeddedServer, embedded_server
    from bulkhaul.testing.faults import (
        corrupt_byte,
        cut_body,
        error_in_200,
        other_etag,
        refusal,
        slow_down,
        stall,
    )
    from bulkhaul.testing.faultserver.faults import Fault, Request
    from bulkhaul.testing.faultserver.proxy import FaultServer

pytest_plugins = ("bulkhaul.testing.fixtures",)
"""What pytest loads once a project names this package as a plugin."""

__all__ = [
    "EmbeddedServer",
    "Fault",
    "FaultServer",
    "Request",
    "corrupt_byte",
    "cut_body",
    "embedded_server",
    "error_in_200",
    "other_etag",
    "refusal",
    "slow_down",
    "stall",
]

_HOMES = {
    "EmbeddedServer": "embedded",
    "Fault": "faultserver.faults",
    "FaultServer": "faultserver.proxy",
    "Request": "faultserver.faults",
    "embedded_server": "embedded",
}
"""The modules of the public names. All others are ways to misbehave."""


if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name for a public one

    def __getattr__(name: str) -> object:
        """Import a public name from its home on first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module 'bulkhaul.testing' has no attribute {name!r}")
        value = getattr(import_module(f"bulkhaul.testing.{_HOMES.get(name, 'faults')}"), name)
        globals()[name] = value
        return value
