"""Decides whether what is known of given keys is asked for by pages of a listing, or of each by HEAD."""

from __future__ import annotations

ROWS_OF_A_PAGE = 10
"""Keys that a page of a listing has to tell of to be worth it. Source: S3 pricing, where LIST costs 12.5 HEADs."""


def listing_pays(keys: int, pages: int, told: int) -> bool:
    """Whether the next page of a listing is asked for, rather than each key that is left.

    >>> listing_pays(1000, 0, 0), listing_pays(9, 0, 0), listing_pays(1000, 3, 29), listing_pays(1000, 3, 30)
    (True, False, False, True)

    Args:
        keys: how many are asked for.
        pages: how many were asked for.
        told: keys that they told of.
    """
    return keys >= ROWS_OF_A_PAGE and told >= pages * ROWS_OF_A_PAGE


def common_folder(one: str, other: str) -> str:
    """Return the longest text that ends in a slash with which both begin.

    >>> common_folder("a/b/c", "a/bc/d"), common_folder("a", "b")
    ('a/', '')
    """
    common = 0
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            break
        if a == "/":
            common = at + 1
    return one[:common]


__all__ = ["ROWS_OF_A_PAGE", "common_folder", "listing_pays"]
