"""Every version of keys, copied on real servers: in order, with delete markers, again, with failures and lost answers.

SeaweedFS tells versions and delete markers in one list, as S3 does; moto in two, with times by the second.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from bulkhaul import Engine, TransferResult
from bulkhaul.errors import NotFound, UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import Content
from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from tests.engines import running_engine
from tests.servers import RunningServer, forgetful, moto, weed

History = list[tuple[str, bytes]]
"""Of one key, oldest first: the version's id, and its bytes; of a delete marker b"DELETED"."""

ENABLED = {"Status": "Enabled"}
IN_PARTS = {"part_size_bytes": 5 * MIB, "multipart_threshold_bytes": 5 * MIB}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """SeaweedFS."""
    with weed() as running:
        yield running


@pytest.fixture(scope="module")
def engine(server: RunningServer) -> Iterator[Engine]:
    """An engine in front of it."""
    with running_engine(server.endpoint_url, server.keys(), **IN_PARTS) as running:
        yield running


def new_bucket(client: Any, *, versions: bool = True) -> str:
    """Make a bucket of a name of its own."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    if versions:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=ENABLED)
    return name


def written(client: Any, bucket: str, key: str, *bodies: bytes | None) -> list[str]:
    """Store bodies one after the other, and for None delete the key; return the ids of the versions."""
    ids = []
    for body in bodies:
        if body is None:
            ids.append(client.delete_object(Bucket=bucket, Key=key)["VersionId"])
        else:
            ids.append(client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "null"))
    return ids


def history(server: RunningServer, bucket: str, key: str) -> History:
    """Return what a bucket holds of a key, in the order of the document that its service writes."""
    client, documents = server.client(), list[str]()

    def keep(response_dict: Any, **_: object) -> None:
        documents.append(response_dict["body"].decode())

    client.meta.events.register("before-parse.s3.ListObjectVersions", keep)
    client.list_object_versions(Bucket=bucket, Prefix=key)
    found = []
    for kind, inside in re.findall(r"<(Version|DeleteMarker)>(.*?)</\1>", documents[0], re.DOTALL):
        version_id = inside.partition("<VersionId>")[2].partition("<")[0]
        if f"<Key>{key}</Key>" not in inside:
            continue
        if kind == "DeleteMarker":
            found.append((version_id, b"DELETED"))
        else:
            got = client.get_object(Bucket=bucket, Key=key, VersionId=version_id)
            found.append((version_id, got["Body"].read()))
    return found[::-1]


def bodies(found: History) -> list[bytes]:
    """Return what the versions hold."""
    return [body for _, body in found]


def copied(results: Iterator[TransferResult]) -> list[TransferResult]:
    """Return the results in the order of the rows; none has failed."""
    found = sorted(results, key=lambda result: result.row)
    assert {result.failure for result in found} == {None}
    return found


OLD = (b"one", b"two", None, None, b"two", b"two", None, b"three" * 1000)


def test_a_history_is_copied_in_its_order(server: RunningServer, engine: Engine) -> None:
    """The null version, equal bytes one after the other, and delete markers: all in their places, ids old to new."""
    client = server.client()
    source, there = new_bucket(client, versions=False), new_bucket(client)
    written(client, source, "in/k", b"null")
    client.put_bucket_versioning(Bucket=source, VersioningConfiguration=ENABLED)
    ids = ["null", *written(client, source, "in/k", *OLD)]
    (gone,) = written(client, source, "in/gone", None)
    written(client, source, "elsewhere", b"not this")
    results = copied(engine.copy_versions(f"s3://{source}/in/", f"s3://{there}/to/"))
    made = history(server, there, "to/k")
    assert bodies(made) == [b"null", *(body or b"DELETED" for body in OLD)]
    assert [one.source_version_id for one in results] == [gone, *ids]
    assert [one.version_id for one in results[1:]] == [version_id for version_id, _ in made]
    assert bodies(history(server, there, "to/gone")) == [b"DELETED"]
    assert [one.delete_marker for one in results] == [True, False, *(body is None for body in OLD)]
    assert history(server, there, "elsewhere") == []

    again = copied(engine.copy_versions(f"s3://{source}/in/", f"s3://{there}/to/"))
    assert {one.skipped for one in again} == {"it is there already"}
    assert [one.version_id for one in again] == [one.version_id for one in results]
    assert history(server, there, "to/k") == made

    new = written(client, source, "in/k", b"four", None)
    later = copied(engine.copy_versions(f"s3://{source}/in/", f"s3://{there}/to/"))
    assert [one.source_version_id for one in later if not one.skipped] == new
    assert history(server, there, "to/k")[: len(made)] == made
    assert bodies(history(server, there, "to/k"))[len(made) :] == [b"four", b"DELETED"]


def test_one_object(server: RunningServer, engine: Engine) -> None:
    """The versions of exactly one key go to another name, with their metadata; keys that begin with it stay."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    client.put_object(Bucket=source, Key="k", Body=b"1", Metadata={"who": "Ann"})
    client.put_object(Bucket=source, Key="k", Body=b"2", Metadata={"who": "Bea"})
    written(client, source, "k2", b"another")
    written(client, there, "new2", b"not of this key")
    copied(engine.copy_versions(f"s3://{source}/k", f"s3://{there}/new", recursive=False))
    made = history(server, there, "new")
    assert bodies(made) == [b"1", b"2"]
    heads = [client.head_object(Bucket=there, Key="new", VersionId=version_id) for version_id, _ in made]
    assert [head["Metadata"] for head in heads] == [{"who": "Ann"}, {"who": "Bea"}]
    assert bodies(history(server, there, "new2")) == [b"not of this key"]
    with pytest.raises(NotFound, match="no object matches"):
        list(engine.copy_versions(f"s3://{source}/absent", f"s3://{there}/new", recursive=False))


def test_many_versions_and_keys(server: RunningServer, engine: Engine) -> None:
    """More versions than there are slots, and more than a page has: each key in its order, keys side by side."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    numbers = [b"%d" % number for number in range(1100)]
    written(client, source, "a", *numbers)
    for name in "bcd":
        written(client, source, name, b"1", None, b"2")
    assert len(copied(engine.copy_versions(f"s3://{source}/", f"s3://{there}/"))) == 1109
    page = client.get_paginator("list_object_versions").paginate(Bucket=there, Prefix="a")
    found = [one["VersionId"] for some in page for one in some["Versions"]][::-1]
    assert len(found) == 1100
    for place in (0, 1, 99, 100, 101, 999, 1000, 1001, 1099):
        got = client.get_object(Bucket=there, Key="a", VersionId=found[place])
        assert got["Body"].read() == numbers[place]
    assert [bodies(history(server, there, name)) for name in "bcd"] == [[b"1", b"DELETED", b"2"]] * 3


def test_a_history_that_a_listing_leaves_out(server: RunningServer, engine: Engine) -> None:
    """SeaweedFS loses a key behind a page of others that begin with it: it is found all the same, and made once."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    written(client, source, "k", b"1", b"2")
    for number in range(1001):
        client.put_object(Bucket=there, Key=f"k-{number:04}", Body=b"")
    made = copied(engine.copy_versions(f"s3://{source}/k", f"s3://{there}/k", recursive=False))
    results = sorted(
        engine.copy_versions(f"s3://{source}/k", f"s3://{there}/k", recursive=False), key=lambda one: one.row
    )
    assert [one.failure.code if one.failure else "" for one in results] == ["UnexpectedReply", "PreconditionFailed"]
    for page in client.get_paginator("list_object_versions").paginate(Bucket=there, Prefix="k-"):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        assert "Errors" not in client.delete_objects(Bucket=there, Delete={"Objects": objects, "Quiet": True})
    assert [version_id for version_id, _ in history(server, there, "k")] == [one.version_id for one in made]


def test_the_destination_keeps_versions(server: RunningServer, engine: Engine) -> None:
    """Else nothing is written at all."""
    client = server.client()
    source, plain = new_bucket(client), new_bucket(client, versions=False)
    written(client, source, "k", b"1", b"2")
    with pytest.raises(UsageError, match="enable its versioning first"):
        list(engine.copy_versions(f"s3://{source}/", f"s3://{plain}/"))
    row = Row(
        n=0, action=Action.COPY, source=f"s3://{source}/k", destination=f"s3://{plain}/k", version_id="null", older=0
    )
    (failed,) = engine.copy_rows([[row]])
    assert failed.failure is not None
    assert failed.failure.code == "UsageError"
    client.put_object(Bucket=plain, Key="k", Body=b"1")
    mark = Row(
        n=0, action=Action.MARK, source=f"s3://{source}/k", destination=f"s3://{plain}/k", version_id="m", older=1
    )
    (failed,) = engine.copy_rows([[mark]])  # a deletion of this would be one
    assert failed.failure is not None
    assert failed.failure.code == "UsageError"
    assert [one["Key"] for one in client.list_objects_v2(Bucket=plain)["Contents"]] == ["k"]
    client.delete_object(Bucket=plain, Key="k")
    client.put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(UsageError, match="suspended"):
        list(engine.copy_versions(f"s3://{source}/", f"s3://{plain}/"))
    assert "Contents" not in client.list_objects_v2(Bucket=plain)


def test_another_history_stays(server: RunningServer, engine: Engine) -> None:
    """Versions of somebody else are neither built upon nor doubled: other bytes, other kinds, too many of them."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    theirs: dict[str, tuple[bytes | None, ...]] = {
        "bytes": (b"1", b"x"),
        "length": (b"1", b"22"),
        "kind": (b"1", None),
        "more": (b"1", b"2", b"3", b"4"),
    }
    for name, others in theirs.items():
        written(client, source, name, b"1", b"2", b"3")
        written(client, there, name, *others)
    before = {name: history(server, there, name) for name in theirs}
    results = list(engine.copy_versions(f"s3://{source}/", f"s3://{there}/"))
    assert {name: history(server, there, name) for name in theirs} == before
    told = {one.source.rpartition("/")[2]: list[str]() for one in results}
    for one in sorted(results, key=lambda one: one.row):
        told[one.source.rpartition("/")[2]].append(one.failure.code if one.failure else one.skipped)
    wrong = ["it is there already", "PreconditionFailed", "PreconditionFailed"]
    assert told == {"bytes": wrong, "length": wrong, "kind": wrong, "more": ["it is there already"] * 3}


def test_source_and_destination_are_apart(server: RunningServer, engine: Engine) -> None:
    """A history is not copied onto itself, and what lies in the destination stays where it is."""
    client = server.client()
    bucket = new_bucket(client)
    written(client, bucket, "k", b"1")
    written(client, bucket, "in/old", b"2")
    for source, there in (("", ""), ("in/", "in/")):
        with pytest.raises(UsageError, match="same object"):
            list(engine.copy_versions(f"s3://{bucket}/{source}", f"s3://{bucket}/{there}"))
    with pytest.raises(UsageError, match="same object"):
        list(engine.copy_versions(f"s3://{bucket}/k", f"s3://{bucket}/k", recursive=False))
    results = copied(engine.copy_versions(f"s3://{bucket}/", f"s3://{bucket}/in/"))
    assert {one.source: one.skipped for one in results} == {
        f"s3://{bucket}/in/old": "it lies in the destination",
        f"s3://{bucket}/k": "",
    }
    assert bodies(history(server, bucket, "in/k")) == [b"1"]


def test_relayed_to_another_service(server: RunningServer) -> None:
    """The same through memory, small and in parts, and a second time; a copy in other parts is read to be known."""
    large = bytes(range(256)) * (6 * MIB // 256)
    with weed() as other:
        client = other.client()
        source, there = new_bucket(client), new_bucket(server.client())
        written(client, source, "in/k", b"1", None, large, b"1", None)
        with running_engine(server.endpoint_url, server.keys(), **IN_PARTS) as engine:
            origin = engine.beside(Settings(endpoint_url=other.endpoint_url))
            results = copied(engine.copy_versions(f"s3://{source}/in/", f"s3://{there}/", origin=origin))
            made = history(server, there, "k")
            assert bodies(made) == [b"1", b"DELETED", large, b"1", b"DELETED"]
            assert [one.version_id for one in results] == [version_id for version_id, _ in made]
            head = server.client().head_object(Bucket=there, Key="k", VersionId=made[2][0])
            assert "-" in head["ETag"]
            again = copied(engine.copy_versions(f"s3://{source}/in/", f"s3://{there}/", origin=origin))
            assert [one.skipped for one in again] == ["it is there already"] * 5


def test_parts_make_another_etag(server: RunningServer, engine: Engine) -> None:
    """A copy whose ETag is another one, because its parts are, is recognised by its bytes, and only by these."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    large = bytes(range(256)) * (6 * MIB // 256)
    written(client, source, "k", large)
    for body in (large, large[:-1] + b"x"):
        upload = client.create_multipart_upload(Bucket=there, Key="k")
        names = {"Bucket": there, "Key": "k", "UploadId": upload["UploadId"]}
        part = client.upload_part(PartNumber=1, Body=body, **names)
        client.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **names)
        assert "-" in client.head_object(Bucket=there, Key="k")["ETag"]
        (result,) = engine.copy_versions(f"s3://{source}/", f"s3://{there}/")
        assert bool(result.failure) is (body != large)
        assert result.skipped == ("it is there already" if body == large else "")
        (version_id,) = [version_id for version_id, _ in history(server, there, "k")]
        client.delete_object(Bucket=there, Key="k", VersionId=version_id)


def test_a_version_fails() -> None:
    """The later ones of its key fail as well, and say why; other keys go on. Once it is no more, the rest follows."""
    with moto() as server:
        client = server.client()
        source, there = new_bucket(client), new_bucket(client)
        written(client, source, "k", b"1")
        client.put_object(Bucket=source, Key="k", Body=b"archived", StorageClass="GLACIER")
        archived = client.head_object(Bucket=source, Key="k")["VersionId"]
        written(client, source, "k", b"3", None)
        written(client, source, "other", b"1", b"2")
        with running_engine(server.endpoint_url, server.keys()) as engine:
            results = list(engine.copy_versions(f"s3://{source}/", f"s3://{there}/"))
            results.sort(key=lambda one: one.row)
            codes = [one.failure.code if one.failure else "" for one in results]
            refused = codes[1]  # as moto calls it: another code than S3's
            assert refused
            assert codes == ["", refused, "PreconditionFailed", "PreconditionFailed", "", ""]
            later = results[3].failure
            assert later is not None
            assert f"an older version of it, {archived}, failed with {refused}" in later.message
            assert versions_on(client, there, "k") == ([b"1"], 0)
            client.delete_object(Bucket=source, Key="k", VersionId=archived)
            again = copied(engine.copy_versions(f"s3://{source}/", f"s3://{there}/"))
            done = "it is there already"
            assert [one.skipped for one in again] == [done, "", "", done, done]
            assert versions_on(client, there, "k") == ([b"1", b"3"], 1)
            assert {one.skipped for one in engine.copy_versions(f"s3://{source}/", f"s3://{there}/")} == {done}


def test_an_order_that_is_not_told() -> None:
    """Moto lists versions and delete markers apart, by the second: what nobody can put in order is not copied."""
    with moto() as server:
        client = server.client()
        there, moments = new_bucket(client), set[object]()
        while len(moments) != 1:
            source = new_bucket(client)
            written(client, source, "k", b"1", None, b"2", b"3")  # within one second, as a rule
            page = client.list_object_versions(Bucket=source)
            moments = {one["LastModified"] for one in [*page["Versions"], *page["DeleteMarkers"]]}
        with running_engine(server.endpoint_url, server.keys()) as engine:
            results = list(engine.copy_versions(f"s3://{source}/", f"s3://{there}/"))
            told = {one.failure.message for one in results if one.failure}
            assert len(told) == 1
            assert "the service does not tell their order" in told.pop()
            assert versions_on(client, there, "k") == ([], 0)


def versions_on(client: Any, bucket: str, key: str) -> tuple[list[bytes], int]:
    """Return the bodies of a key, oldest first, and how many delete markers there are."""
    page = client.list_object_versions(Bucket=bucket, Prefix=key)
    ids = [one["VersionId"] for one in page.get("Versions", []) if one["Key"] == key]
    found = [client.get_object(Bucket=bucket, Key=key, VersionId=one)["Body"].read() for one in ids[::-1]]
    return found, len([one for one in page.get("DeleteMarkers", []) if one["Key"] == key])


@pytest.mark.parametrize("marks", [b"x-amz-copy-source", b"DELETE /"], ids=["copy", "mark"])
def test_a_lost_answer_makes_nothing_twice(server: RunningServer, marks: bytes) -> None:
    """The copy, or the delete marker, is there though its answer was lost: it is looked for before it is made again."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    written(client, source, "k", b"1", None, b"1")
    with forgetful(server.port, marks) as (url, dropped), running_engine(url, server.keys()) as engine:
        results = copied(engine.copy_versions(f"s3://{source}/", f"s3://{there}/"))
        assert dropped.exists()
    made = history(server, there, "k")
    assert bodies(made) == [b"1", b"DELETED", b"1"]
    assert [(one.version_id, one.skipped) for one in results] == [(version_id, "") for version_id, _ in made]


def test_a_relayed_version_that_was_stored_twice(server: RunningServer) -> None:
    """A PUT whose answer is lost is sent again: that there are two fails, and the same again names the second."""
    with weed() as other:
        source, there = new_bucket(other.client()), new_bucket(server.client())
        written(other.client(), source, "k", b"1", b"2")
        way = forgetful(server.port, b"PUT /")
        with way as (url, dropped), running_engine(url, server.keys(), **IN_PARTS) as engine:
            origin = engine.beside(Settings(endpoint_url=other.endpoint_url))

            def failures() -> list[str]:
                results = list(engine.copy_versions(f"s3://{source}/", f"s3://{there}/", origin=origin))
                results.sort(key=lambda one: one.row)
                return [one.failure.message if one.failure else "" for one in results]

            first = failures()
            assert dropped.exists()
            made = history(server, there, "k")
            assert bodies(made) == [b"1", b"1", b"2"]
            assert first[0] == ""
            assert "3 versions where 2 were to be" in first[1]
            assert f"its version {made[1][0]} stands in the place of this one" in failures()[1]
            server.client().delete_object(Bucket=there, Key="k", VersionId=made[1][0])
            assert failures() == ["", ""]
        assert history(server, there, "k") == [made[0], made[2]]


def test_what_is_there_has_kept_what_it_was_to_keep(server: RunningServer, engine: Engine) -> None:
    """A version whose tags an earlier copy has lost is no success of the second run, either."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    for body in (b"1", b"2"):
        client.put_object(Bucket=source, Key="k", Body=body, Tagging="a=b")
    written(client, there, "k", b"1")
    before = history(server, there, "k")
    results = sorted(
        engine.copy_versions(f"s3://{source}/", f"s3://{there}/", preserve=[Kept.TAGS]), key=lambda one: one.row
    )
    assert [one.failure.code if one.failure else "" for one in results] == ["Unsupported", "PreconditionFailed"]
    assert history(server, there, "k") == before
    client.put_object_tagging(Bucket=there, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    for skipped in (["it is there already", ""], ["it is there already"] * 2):
        again = copied(engine.copy_versions(f"s3://{source}/", f"s3://{there}/", preserve=[Kept.TAGS]))
        assert [one.skipped for one in again] == skipped


def test_what_a_copy_is_to_be_like(server: RunningServer, engine: Engine) -> None:
    """Options go for every version, and rows that make no sense fail by themselves."""
    client = server.client()
    source, there = new_bucket(client), new_bucket(client)
    ids = written(client, source, "k", b"1", b"2")
    options = ObjectOptions(content=Content(content_type="text/x-old"))
    copied(engine.copy_versions(f"s3://{source}/", f"s3://{there}/", options))
    heads = [client.head_object(Bucket=there, Key="k", VersionId=one) for one, _ in history(server, there, "k")]
    assert [head["ContentType"] for head in heads] == ["text/x-old"] * 2
    rows = [
        Row(n=0, action=Action.MARK, source=f"s3://{source}/k", destination=f"s3://{there}/k", version_id=ids[0]),
        Row(n=1, action=Action.COPY, source=f"s3://{source}/k", destination=f"s3://{there}/k", older=0),
        Row(
            n=2,
            action=Action.COPY,
            source=f"s3://{source}/k",
            destination=f"s3://{there}/late",
            version_id=ids[1],
            older=1,
        ),
    ]
    results = sorted(engine.copy_rows([rows]), key=lambda one: one.row)
    codes = [one.failure.code if one.failure else "" for one in results]
    assert codes == ["UsageError", "UsageError", "PreconditionFailed"]
    assert history(server, there, "late") == []
    dry = list(engine.copy_versions(f"s3://{source}/", f"s3://{there}/dry/", dry_run=True))
    assert [one.source_version_id for one in dry] == ids
    assert history(server, there, "dry/k") == []
