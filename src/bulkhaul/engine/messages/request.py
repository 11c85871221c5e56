"""Defines what every request of the coordinator is: what answers it, whom it stands in line with, what goes along."""

from __future__ import annotations

import functools
import threading
from typing import ClassVar, Generic, Literal, TypeVar, get_args

import msgspec

A = TypeVar("A")

Line = Literal["quick", "slow", "ending"]


class Request(msgspec.Struct, Generic[A], frozen=True):
    """One request, and by its type argument what answers it.

    Attributes:
        line: whom it stands in line with. ``slow`` ones may take a service minutes: they have as many threads as there
            are connections. ``ending`` ones are asked by every upload of an engine that ends, all at once.
        sent: it goes to the service; else the worker answers by itself.
        with_memory: a descriptor of memory goes along: what the request is about, or where its answer goes.
        endless: it takes as long as it takes; the worker notices by itself when nothing moves.
    """

    line: ClassVar[Line] = "quick"
    sent: ClassVar[bool] = True
    with_memory: ClassVar[bool] = False
    endless: ClassVar[bool] = False


learning = threading.Lock()
"""Held while msgspec learns messages, as engines in several threads have it do: see ``model.structs``."""


@functools.cache
def answer_decoder(kind: type[Request[A]]) -> msgspec.msgpack.Decoder[A]:
    """Return what decodes the answers to requests of a kind."""
    (base,) = kind.__orig_bases__  # type: ignore[attr-defined] # every class with a generic base has it
    with learning:
        return msgspec.msgpack.Decoder(get_args(base)[0])
