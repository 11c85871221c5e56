"""Offers objects to what reads and writes by fsspec (pandas, pyarrow, dask, zarr): ``pip install bulkhaul[fsspec]``.

``bulkhaul://bucket/key`` is known to fsspec as soon as bulkhaul is installed; ``register()`` takes ``s3://``, too.
"""

from __future__ import annotations

from bulkhaul.fsspec.filesystem import BulkhaulFileSystem

__all__ = ["BulkhaulFileSystem", "register"]


def register(*protocols: str) -> None:
    """Have fsspec open URLs of these protocols by bulkhaul, in this process; without any, ``s3`` and ``s3a``."""
    import fsspec

    for protocol in protocols or ("s3", "s3a"):
        fsspec.register_implementation(protocol, BulkhaulFileSystem, clobber=True)
