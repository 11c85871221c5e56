"""Which actions a plan needs, on which side."""

from __future__ import annotations

from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action
from bulkhaul.policy.permissions import Need, needed


def names(*needs: Need) -> list[str]:
    """Needs as side and action."""
    return [f"{need.side} {need.action}" for need in needs]


def test_each_direction() -> None:
    """User Guide, "Required permissions for Amazon S3 API operations"."""
    assert names(*needed([Action.DOWNLOAD], lists=["source"])) == ["source s3:ListBucket", "source s3:GetObject"]
    assert names(*needed([Action.UPLOAD])) == ["destination s3:PutObject"]
    assert names(*needed([Action.DELETE], lists=["source"])) == ["source s3:ListBucket", "source s3:DeleteObject"]
    assert names(*needed([Action.COPY], move=True)) == [
        "source s3:GetObject",
        "destination s3:PutObject",
        "source s3:DeleteObject",
    ]
    assert names(*needed([Action.SKIP])) == []


def test_what_more_is_asked_for() -> None:
    """What is preserved is read here and written there; versions have actions of their own."""
    assert names(*needed([Action.COPY], preserve=list(Kept))) == [
        "source s3:GetObject",
        "source s3:GetObjectAcl",
        "source s3:GetObjectRetention",
        "source s3:GetObjectTagging",
        "destination s3:PutObject",
        "destination s3:PutObjectAcl",
        "destination s3:PutObjectRetention",
        "destination s3:PutObjectTagging",
        "destination s3:GetObject",
        "destination s3:GetObjectAcl",
        "destination s3:GetObjectRetention",
        "destination s3:GetObjectTagging",
    ]
    assert names(*needed([Action.COPY], lists=["source", "destination"], versions=True)) == [
        "source s3:ListBucketVersions",
        "destination s3:ListBucketVersions",
        "source s3:GetObjectVersion",
        "destination s3:PutObject",
    ]
    assert names(*needed([Action.DELETE], versions=True)) == ["source s3:DeleteObjectVersion"]
    assert names(*needed([Action.DOWNLOAD], restore=True)) == ["source s3:GetObject", "source s3:RestoreObject"]
    assert names(*needed([Action.UPLOAD, Action.DELETE], deletes=True)) == [
        "destination s3:PutObject",
        "destination s3:DeleteObject",
    ]
