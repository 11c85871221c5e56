"""Spells the region of a new bucket as a request for it does."""

from __future__ import annotations


def location_constraint(region: str) -> str:
    """Return what CreateBucket says of a region; nothing for the one that S3 takes where it is told none.

    >>> location_constraint("us-east-1"), location_constraint("eu-central-1")
    ('', 'eu-central-1')

    Source: S3 API Reference, CreateBucket, LocationConstraint; ``aws-global`` is botocore's name of us-east-1.
    """
    return "" if region in ("us-east-1", "aws-global") else region


__all__ = ["location_constraint"]
