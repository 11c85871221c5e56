"""The requests of the coordinator that a worker makes of the service, and the types of their answers.

    coordinator ─▶ worker   Ask (+ a descriptor of memory)
    worker ─▶ coordinator   Early (of a listing) … Answer, Answer … the last one

A request names the type of its answer: ``class Head(Request[ObjectHead])``. An answer is encoded once and cut into as
many frames as it takes.
"""

from __future__ import annotations

import msgspec

from bulkhaul.engine.messages.load_run import LoadRun
from bulkhaul.engine.messages.request import Request
from bulkhaul.model.archives import RestoreAnswer, Tier
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead, PartChecksum
from bulkhaul.model.preserving import Acl, ObjectLock
from bulkhaul.model.presigning import Method
from bulkhaul.model.writing import (
    BucketsPage,
    CopySource,
    NotDeleted,
    ObjectOptions,
    ObjectsPage,
    PartsPage,
    Stored,
    UploadBegun,
    UploadedPart,
    UploadsPage,
    Versioning,
    VersionsPage,
)
from bulkhaul.wire.values import Credentials, Target


class Locate(Request[Target], tag=True, frozen=True):
    """Where requests for a bucket go."""

    bucket: str


class Head(Request[ObjectHead], tag=True, frozen=True):
    """HEAD of one object."""

    bucket: str
    key: str
    version_id: str = ""


class ListPage(Request[ObjectsPage], tag=True, frozen=True):
    """One page of a listing; an empty token asks for the first.

    Attributes:
        folder: stop at the next slash: the page's ``prefixes`` name what lies below.
        max_keys: length of the page, 0 for the service's own.
        start_after: without a token, begin after this text; no key needs to be called so.
        restores: tell the status of archived objects, too, where the endpoint does.
        early: tell the token of the next page before this one has been read, if it can be found so.
    """

    bucket: str
    prefix: str
    token: str
    folder: bool = False
    max_keys: int = 0
    start_after: str = ""
    restores: bool = False
    early: bool = False


class ListBuckets(Request[BucketsPage], tag=True, frozen=True):
    """One page of the caller's buckets; an empty token asks for the first."""

    token: str = ""


class PartChecksums(Request[tuple[PartChecksum, ...]], tag=True, frozen=True):
    """The parts that an object was uploaded in; an empty ``version_id`` asks for the current version."""

    bucket: str
    head: ObjectHead
    version_id: str = ""


FIRST_GENERATION = 1
"""Number of the credentials that an engine begins with; renewed ones count on."""


class Resolve(Request[Credentials | None], tag=True, frozen=True):
    """Ask the SDK's credential chain; one worker is asked for all."""

    sent = False

    generation: int


class Read(Request[None], tag=True, frozen=True):
    """``[start, end)`` of an object, or all of it with -1, into the memory whose descriptor comes along.

    Attributes:
        etag: the object must still have it; empty to read whatever is there.
        version_id: of the object, empty for the current one.
    """

    with_memory = True
    endless = True

    target: Target
    bucket: str
    key: str
    start: int = 0
    end: int = -1
    etag: str = ""
    version_id: str = ""


class PutSmall(Request[Stored], tag=True, frozen=True):
    """Store a few bytes by one PUT that promises whatever is said here.

    Attributes:
        algorithm, checksum: sent along as they are, right or wrong; empty for none.
    """

    bucket: str
    key: str
    body: bytes
    algorithm: str = ""
    checksum: str = ""
    only_if_absent: bool = False


class CreateUpload(Request[UploadBegun], tag=True, frozen=True):
    """Begin a multipart upload."""

    bucket: str
    key: str
    options: ObjectOptions
    algorithm: str
    token: str


class ListParts(Request[PartsPage], tag=True, frozen=True):
    """One page of the parts of an upload, after part ``marker``."""

    line = "ending"

    bucket: str
    key: str
    upload_id: str
    marker: int = 0


class CompleteUpload(Request[Stored], tag=True, frozen=True):
    """Make an object of the parts in the memory, a list of UploadedPart."""

    line = "slow"
    with_memory = True

    bucket: str
    key: str
    upload_id: str
    size_bytes: int
    algorithm: str
    checksum: str


class AbortUpload(Request[None], tag=True, frozen=True):
    """Give an upload up; one that is gone already is no error."""

    line = "ending"

    bucket: str
    key: str
    upload_id: str


class ListUploads(Request[UploadsPage], tag=True, frozen=True):
    """One page of the uploads that are pending."""

    bucket: str
    prefix: str
    key_marker: str = ""
    id_marker: str = ""


class CopyPart(Request[UploadedPart], tag=True, frozen=True):
    """Copy ``[start, end)`` of an object as a part of an upload."""

    line = "slow"

    bucket: str
    key: str
    upload_id: str
    number: int
    source: CopySource
    start: int
    end: int


class CopyObject(Request[Stored], tag=True, frozen=True):
    """Copy a whole object; without options it keeps its own, but for its class and redirect, which are said anew."""

    line = "slow"

    bucket: str
    key: str
    source: CopySource
    options: ObjectOptions | None = None
    storage_class: str = ""
    website_redirect: str = ""


class Delete(Request[str], tag=True, frozen=True):
    """Delete one object or one version of it; what is not there is no error. ``etag``: only if it has this one.

    The answer is the version of the delete marker that this has made, empty where none was made or told.
    """

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""


class DeleteMany(Request[tuple[NotDeleted, ...]], tag=True, frozen=True):
    """Delete up to 1,000 keys in the memory, a list of Doomed; the answer names those that were not."""

    line = "slow"
    with_memory = True

    bucket: str


class ListVersions(Request[VersionsPage], tag=True, frozen=True):
    """One page of the versions of objects."""

    bucket: str
    prefix: str
    key_marker: str = ""
    version_marker: str = ""


class Tags(Request[dict[str, str]], tag=True, frozen=True):
    """The tags of one object."""

    bucket: str
    key: str
    version_id: str = ""


class Restore(Request[RestoreAnswer], tag=True, frozen=True):
    """Have an archived object brought back, for so many days; 0 leaves them out, see ``Control.restore``."""

    line = "slow"

    bucket: str
    key: str
    tier: Tier
    days: int
    version_id: str = ""


class GetAcl(Request[Acl], tag=True, frozen=True):
    """The ACL of one object."""

    bucket: str
    key: str
    version_id: str = ""


class GetLock(Request[ObjectLock], tag=True, frozen=True):
    """What keeps one object from being deleted."""

    bucket: str
    key: str
    version_id: str = ""


class Presign(Request[str], tag=True, frozen=True):
    """A URL that does one thing with one object without credentials for a while.

    Attributes:
        content_type: that a PUT must come with, empty for any.
    """

    sent = False

    bucket: str
    key: str
    ttl_s: int
    version_id: str = ""
    method: Method = "GET"
    content_type: str = ""


class SetTags(Request[None], tag=True, frozen=True):
    """Give one object these tags instead of all that it has; none takes them all away."""

    bucket: str
    key: str
    tags: dict[str, str]
    version_id: str = ""


class CreateBucket(Request[None], tag=True, frozen=True):
    """Make a bucket; an empty region is that of the endpoint."""

    bucket: str
    region: str = ""


class DeleteBucket(Request[None], tag=True, frozen=True):
    """Remove a bucket, which the service does only if nothing is in it."""

    bucket: str


class BucketVersioning(Request[Versioning], tag=True, frozen=True):
    """Whether a bucket keeps versions."""

    bucket: str


class BucketRegion(Request[str], tag=True, frozen=True):
    """The region of a bucket."""

    bucket: str


AnyRequest = (
    Locate
    | Head
    | ListBuckets
    | ListPage
    | PartChecksums
    | Resolve
    | Read
    | LoadRun
    | PutSmall
    | CreateUpload
    | ListParts
    | CompleteUpload
    | AbortUpload
    | ListUploads
    | CopyPart
    | CopyObject
    | Delete
    | DeleteMany
    | ListVersions
    | Tags
    | SetTags
    | CreateBucket
    | DeleteBucket
    | Restore
    | GetAcl
    | GetLock
    | Presign
    | BucketRegion
    | BucketVersioning
)

REQUESTS: msgspec.msgpack.Decoder[AnyRequest] = msgspec.msgpack.Decoder(AnyRequest)


class Ask(msgspec.Struct, tag=True, frozen=True, omit_defaults=True):
    """A request for a worker to make; ``ask`` numbers it.

    Attributes:
        target: where requests for its bucket go, if an answer has told.
        attempt: which try it is.
    """

    ask: int
    request: AnyRequest
    target: Target | None = None
    attempt: int = 1


class Early(msgspec.Struct, tag=True, frozen=True):
    """Where the next page of a listing begins, told while the page itself is still being read."""

    ask: int
    token: str


class Answer(msgspec.Struct, tag=True, frozen=True, omit_defaults=True):
    """A piece of the answer to a request; the ``last`` one ends it.

    Attributes:
        piece: of the encoded answer; see ``answer_decoder``.
        target: where the request went, with the last piece; None for one that no bucket has to do with.
    """

    ask: int
    last: bool = True
    error: ErrorInfo | None = None
    piece: bytes = b""
    target: Target | None = None
