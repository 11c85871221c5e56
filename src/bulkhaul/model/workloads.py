"""The values of a benchmark's work: which operations, on which objects, of which sizes."""

from __future__ import annotations

from typing import Literal

import msgspec

Operation = Literal["get", "put", "list", "stat", "delete"]

OPERATIONS: tuple[Operation, ...] = ("get", "put", "list", "stat", "delete")
"""Every operation; its place here is its number in records."""

Order = Literal["random", "sequential"]


class FixedSize(msgspec.Struct, tag="fixed", frozen=True):
    """Every object has the same size."""

    size_bytes: int


class UniformSizes(msgspec.Struct, tag="uniform", frozen=True):
    """Every size from ``least_bytes`` to ``most_bytes`` is as likely as any other."""

    least_bytes: int
    most_bytes: int


class LogNormalSizes(msgspec.Struct, tag="lognormal", frozen=True):
    """The logarithm of the size is normally distributed, as that of many collections of files is.

    Attributes:
        sigma: standard deviation of the natural logarithm of the size.
        most_bytes: what is drawn beyond it becomes this.
    """

    median_bytes: int
    sigma: float
    most_bytes: int


class WeightedSizes(msgspec.Struct, tag="weights", frozen=True):
    """Sizes that stand in a list: (bytes, weight)."""

    choices: tuple[tuple[int, float], ...]


Sizes = FixedSize | UniformSizes | LogNormalSizes | WeightedSizes


class ObjectTable(msgspec.Struct, frozen=True):
    """The objects that are prepared for a benchmark: names and sizes follow from this alone, so nobody stores them.

    Attributes:
        objects: how many there are.
        prefixes: folders that they are spread over.
        seed: decides which object has which size.
    """

    objects: int
    sizes: Sizes
    prefixes: int = 1
    seed: int = 0


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a benchmark does; a workload file in TOML holds these fields.

    Attributes:
        mix: operation → weight.
        size: of the objects, as ``policy.object_sizes.parse_sizes`` reads it.
        objects: how many are prepared.
        prefixes: folders that they are spread over.
        order: in which objects are read.
        range: length of ranged GETs, such as ``1MiB``; empty for whole objects.
        compressible: by what factor what is stored can be compressed; 1 for noise.
        duration_s: seconds that are measured.
        concurrency: requests in flight at most; 0 to find how many suit the service.
        rate: requests a second that are due whatever the service does; 0 to ask again when a reply has come.
        repeat: how often all of it is measured.
        seed: decides sizes, and what is asked for in which order.
        folder: where the bodies of GETs are written; empty to throw them away.
    """

    mix: dict[Operation, float]
    size: str = "1MiB"
    objects: int = 1000
    prefixes: int = 1
    order: Order = "random"
    range: str = ""
    compressible: float = 1.0
    duration_s: float = 60.0
    concurrency: int = 0
    rate: float = 0.0
    repeat: int = 1
    seed: int = 0
    folder: str = ""
