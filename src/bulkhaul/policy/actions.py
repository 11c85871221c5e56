"""Names the IAM action that a request needs, so that a refusal can say which one is not allowed.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".
"""

from __future__ import annotations

from collections.abc import Collection

_OF_OBJECT = {
    "tagging": ("s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging"),
    "acl": ("s3:GetObjectAcl", "s3:PutObjectAcl", ""),
    "attributes": ("s3:GetObjectAttributes", "", ""),
    "retention": ("s3:GetObjectRetention", "s3:PutObjectRetention", ""),
    "legal-hold": ("s3:GetObjectLegalHold", "s3:PutObjectLegalHold", ""),
    "restore": ("", "s3:RestoreObject", ""),
    "uploadId": ("s3:ListMultipartUploadParts", "s3:PutObject", "s3:AbortMultipartUpload"),
    "": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
}
"""Subresource of an object → the action of reading, of writing, and of deleting it."""

_OF_VERSION = {
    f"s3:{verb}Object{of}": f"s3:{verb}ObjectVersion{of}"
    for of, verbs in (
        ("", ("Get", "Delete")),
        ("Tagging", ("Get", "Put", "Delete")),
        ("Acl", ("Get", "Put")),
        ("Attributes", ("Get",)),
    )
    for verb in verbs
}
"""Action → the one on a version that is named."""

_OF_BUCKET = {
    "versions": "s3:ListBucketVersions",
    "uploads": "s3:ListBucketMultipartUploads",
    "versioning": "s3:GetBucketVersioning",
    "location": "s3:GetBucketLocation",
    "delete": "s3:DeleteObject",
}
"""Subresource of a bucket → the action, whatever the method."""

_BUCKET_METHODS = {"PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}

_WRITING = {"GET": 0, "HEAD": 0, "PUT": 1, "POST": 1, "DELETE": 2}

_OPERATIONS = {
    "HeadObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject, and s3:GetObject of the source",
    "CopyObject": "s3:PutObject, and s3:GetObject of the source",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
}
"""Operation → action, where they are not called alike."""


def action_of(method: str, *, bucket: bool, key: bool, query: Collection[str] = (), copies: bool = False) -> str:
    """Return the action that a request needs, empty where that is not known.

    Args:
        bucket: it is about a bucket or an object; else about the service.
        key: it is about an object.
        query: names of the parameters of its URL.
        copies: it names another object that is read.

    >>> action_of("HEAD", bucket=True, key=True), action_of("GET", bucket=True, key=False, query=("list-type",))
    ('s3:GetObject', 's3:ListBucket')
    """
    if not bucket:
        return "s3:ListAllMyBuckets"
    if key:
        found = next((actions for name, actions in _OF_OBJECT.items() if name in query), _OF_OBJECT[""])
        action = found[_WRITING.get(method, 0)]
        if "versionId" in query:
            action = _of_version(action)
        return f"{action}, and s3:GetObject of the source" if copies else action
    return next((action for name, action in _OF_BUCKET.items() if name in query), "") or _BUCKET_METHODS.get(
        method, "s3:ListBucket"
    )


def action_of_operation(name: str, *, version: bool = False) -> str:
    """Return the action that an operation of the SDK needs; ``version`` if it names a version.

    >>> action_of_operation("HeadObject"), action_of_operation("PutObjectTagging")
    ('s3:GetObject', 's3:PutObjectTagging')
    """
    action = _OPERATIONS.get(name, f"s3:{name}")
    return _of_version(action) if version else action


def _of_version(action: str) -> str:
    """Return the action on a version that is named, which is another one for some."""
    return _OF_VERSION.get(action, action)


__all__ = ["action_of", "action_of_operation"]
