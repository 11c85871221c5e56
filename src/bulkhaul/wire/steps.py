"""Carries out what is decided step by step, whoever has the connection.

    yields  a step ─▶ the lane awaits its request, the SDK makes it in a thread ─▶ the reply is sent, or thrown, back in

Such a generator decides what follows from a reply or a refusal, so both do the same; it does no I/O.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from bulkhaul.model.errors import TransferError

S = TypeVar("S")
R = TypeVar("R")


def carried_out(steps: Generator[S, Any, R], make: Callable[[S], object]) -> R:
    """Have each request made, and return what the steps return."""
    try:
        step = next(steps)
        while True:
            try:
                told = make(step)
            except TransferError as error:
                step = steps.throw(error)
            else:
                step = steps.send(told)
    except StopIteration as end:
        found: R = end.value
        return found


async def carried_out_async(steps: Generator[S, Any, R], make: Callable[[S], Awaitable[object]]) -> R:
    """Have each request made, and return what the steps return."""
    try:
        step = next(steps)
        while True:
            try:
                told = await make(step)
            except TransferError as error:
                step = steps.throw(error)
            else:
                step = steps.send(told)
    except StopIteration as end:
        found: R = end.value
        return found


__all__ = ["carried_out", "carried_out_async"]
