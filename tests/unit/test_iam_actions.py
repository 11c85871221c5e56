"""The IAM action that a refusal names is the one that the policy lacks."""

from __future__ import annotations

import pytest

from bulkhaul.policy.actions import action_of, action_of_operation

OF_VERSIONS = {
    "GetObject": "s3:GetObjectVersion",
    "HeadObject": "s3:GetObjectVersion",
    "GetObjectTagging": "s3:GetObjectVersionTagging",
    "PutObjectTagging": "s3:PutObjectVersionTagging",
    "DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "GetObjectAcl": "s3:GetObjectVersionAcl",
    "PutObjectAcl": "s3:PutObjectVersionAcl",
    "GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "DeleteObject": "s3:DeleteObjectVersion",
    "GetObjectRetention": "s3:GetObjectRetention",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "RestoreObject": "s3:RestoreObject",
    "PutObject": "s3:PutObject",
}
"""Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3"."""


@pytest.mark.parametrize("operation", OF_VERSIONS)
def test_operations_on_a_version(operation: str) -> None:
    """A version that is named has actions of its own, where S3 has them."""
    assert action_of_operation(operation, version=True) == OF_VERSIONS[operation]


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        ("GET", ("versionId",), "s3:GetObjectVersion"),
        ("DELETE", ("versionId",), "s3:DeleteObjectVersion"),
        ("GET", ("tagging", "versionId"), "s3:GetObjectVersionTagging"),
        ("PUT", ("tagging", "versionId"), "s3:PutObjectVersionTagging"),
        ("DELETE", ("tagging", "versionId"), "s3:DeleteObjectVersionTagging"),
        ("GET", ("acl", "versionId"), "s3:GetObjectVersionAcl"),
        ("GET", ("attributes", "versionId"), "s3:GetObjectVersionAttributes"),
        ("GET", ("legal-hold", "versionId"), "s3:GetObjectLegalHold"),
        ("GET", (), "s3:GetObject"),
    ],
)
def test_requests_for_a_version(method: str, query: tuple[str, ...], expected: str) -> None:
    """The same from a request."""
    assert action_of(method, bucket=True, key=True, query=query) == expected
