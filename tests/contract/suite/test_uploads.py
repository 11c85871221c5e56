"""What put_bytes and put_path store: C4, C5, C24 to C27, C42, C46, C48, C49, C54."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkhaul import ObjectStore, TransferResult
from bulkhaul.errors import NotFound, OtherError, PayloadTooLarge, UsageError

from .bodies import Deltas, made
from .subjects import Subject

DISPOSITION = 'attachment; filename="a b.txt"'


def written(path: Path, body: bytes) -> Path:
    """Return a file with these bytes."""
    path.write_bytes(body)
    return path


def test_c4_disposition_and_metadata_are_given_back(store: ObjectStore, tmp_path: Path) -> None:
    """Both ways of storing keep both; without them there are none."""
    metadata = {"owner": "Ann, B.", "count": "1"}
    path = written(tmp_path / "file", b"abc")
    store.put_bytes("bytes", b"abc", content_disposition=DISPOSITION, metadata=metadata)
    store.put_path("path", path, content_disposition=DISPOSITION, metadata=metadata)
    store.put_bytes("plain", b"abc")
    for key in ("bytes", "path"):
        info = store.head(key)
        assert info.metadata == metadata
        assert info.content.content_disposition == DISPOSITION
    info = store.head("plain")
    assert (info.metadata, info.content.content_disposition) == ({}, "")


def test_c4_an_empty_value_of_metadata_is_kept(store: ObjectStore) -> None:
    """A name with nothing in it is still a name."""
    store.put_bytes("key", b"abc", metadata={"empty": "", "full": "1"})
    assert store.head("key").metadata == {"empty": "", "full": "1"}


def test_c4_a_put_says_what_it_stored(subject: Subject, tmp_path: Path) -> None:
    """The result names bucket, key and size, and the ETag that head then tells."""
    path = written(tmp_path / "file", b"abc")
    puts: list[tuple[Callable[[], TransferResult], str]] = [
        (lambda: subject.store.put_bytes("dir/key", b"abc"), "-"),
        (lambda: subject.store.put_path("dir/key", path), str(path)),
    ]
    for put, source in puts:
        result = put()
        assert result.ok
        assert (result.bucket, result.key, result.size) == (subject.bucket, "dir/key", 3)
        assert (result.source, result.destination) == (source, subject.url("dir/key"))
        assert result.etag == subject.store.head("dir/key").etag


def test_c4_a_new_put_forgets_the_old_metadata(store: ObjectStore) -> None:
    """An object is replaced with all that belongs to it."""
    store.put_bytes("key", b"abc", content_disposition=DISPOSITION, metadata={"a": "b"})
    store.put_bytes("key", b"abc", metadata={"c": "d"})
    info = store.head("key")
    assert (info.metadata, info.content.content_disposition) == ({"c": "d"}, "")


def test_c5_metadata_names_come_back_in_lower_case(store: ObjectStore) -> None:
    """S3 does not keep the case of names; values keep theirs."""
    store.put_bytes("key", b"", metadata={"Owner-Name": "Ann", "UPPER": "Case"})
    assert store.head("key").metadata == {"owner-name": "Ann", "upper": "Case"}


@pytest.mark.parametrize(
    "metadata",
    [{"a": "x\r\ny: z"}, {"a": "x\ny"}, {"a": "ü"}, {"ü": "a"}, {"a b": "c"}, {"A": "1", "a": "2"}, {"a": "b" * 2048}],
    ids=["crlf", "newline", "value-not-ascii", "name-not-ascii", "name-with-space", "twice", "too-much"],
)
def test_c5_metadata_that_cannot_be_kept_is_refused(
    store: ObjectStore, tmp_path: Path, metadata: dict[str, str]
) -> None:
    """Nothing is stored that would come back otherwise, and no line break gets into a request."""
    with pytest.raises(UsageError, match="metadata"):
        store.put_bytes("key", b"abc", metadata=metadata)
    with pytest.raises(UsageError, match="metadata"):
        store.put_path("key", written(tmp_path / "file", b"abc"), metadata=metadata)
    assert list(store.list()) == []


def test_c5_a_disposition_with_a_line_break_is_refused(store: ObjectStore) -> None:
    """A disposition is a header like the others."""
    with pytest.raises(UsageError, match="content_disposition"):
        store.put_bytes("key", b"abc", content_disposition="inline\r\nx-amz-acl: public-read")
    assert list(store.list()) == []


def test_c24_a_put_overwrites(store: ObjectStore, tmp_path: Path) -> None:
    """The last one stored is the one that is there, whichever way, longer or shorter."""
    for number, body in enumerate((b"first", b"", b"longer than the first")):
        store.put_bytes("key", body)
        assert store.get_bytes("key") == body
        other = body + b" from a file"
        store.put_path("key", written(tmp_path / f"{number}", other))
        assert store.get_bytes("key") == other
    assert [info.key for info in store.list()] == ["key"]


@pytest.mark.parametrize("extra_bytes", [-1, 0, 1])
def test_c24_sizes_around_the_threshold_are_stored_exactly(subject: Subject, tmp_path: Path, extra_bytes: int) -> None:
    """One request below the threshold, parts at it and above: the bytes are the same."""
    body = made(subject.multipart_threshold_bytes + extra_bytes)
    subject.store.put_bytes("bytes", body)
    subject.store.put_path("path", written(tmp_path / "file", body))
    assert subject.store.get_bytes("bytes") == body
    assert subject.store.get_bytes("path") == body
    assert subject.pending_uploads() == []


def test_c24_a_large_body_is_stored_in_parts(subject: Subject, tmp_path: Path) -> None:
    """Every part is in its place, and no upload is left behind."""
    body = made(subject.large_bytes)
    assert subject.store.put_bytes("bytes", body).size == len(body)
    assert subject.store.put_path("path", written(tmp_path / "file", body)).size == len(body)
    assert subject.store.get_bytes("bytes") == body
    assert subject.store.get_bytes("path") == body
    assert subject.pending_uploads() == []


def test_c25_a_file_is_never_found_again_by_its_name(subject: Subject, tmp_path: Path) -> None:
    """Another file moved into its place meanwhile is not mixed in: what was opened is what is stored."""
    body = made(subject.large_bytes, seed=1)
    path = written(tmp_path / "file", body)
    written(tmp_path / "other", made(subject.large_bytes, seed=2))

    def replace(_: int) -> None:
        if (tmp_path / "other").exists():
            os.replace(tmp_path / "other", path)

    subject.store.put_path("key", path, progress=replace)
    assert not (tmp_path / "other").exists()
    assert subject.store.get_bytes("key") == body


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, None], ids=["folder", "fifo", "missing"])
def test_c25_only_a_regular_file_is_stored(
    store: ObjectStore, tmp_path: Path, make: Callable[[Path], None] | None
) -> None:
    """A folder, a FIFO or nothing at all is an OtherError, at once, and nothing is stored."""
    if make is not None:
        make(tmp_path / "source")
    with pytest.raises(OtherError):
        store.put_path("key", tmp_path / "source")
    assert list(store.list()) == []


def test_c26_a_large_object_has_its_headers_too(subject: Subject, tmp_path: Path) -> None:
    """Disposition and metadata go with the object, not with its parts."""
    path = written(tmp_path / "file", made(subject.large_bytes))
    subject.store.put_path("key", path, content_disposition=DISPOSITION, metadata={"Owner": "Ann"})
    info = subject.store.head("key")
    assert (info.metadata, info.content.content_disposition) == ({"owner": "Ann"}, DISPOSITION)
    assert info.size == subject.large_bytes


def cut_short(subject: Subject, path: Path) -> TransferResult:
    """Upload a large file that loses its end once the first part is done."""
    written(path, made(subject.large_bytes))
    return subject.store.put_path("key", path, progress=lambda _: os.truncate(path, 100))


def test_c27_a_file_cut_short_meanwhile_is_not_stored(subject: Subject, tmp_path: Path) -> None:
    """The upload fails and the destination does not exist."""
    with pytest.raises(OtherError):
        cut_short(subject, tmp_path / "file")
    with pytest.raises(NotFound):
        subject.store.head("key")


def test_c27_a_file_written_anew_meanwhile_is_not_stored(subject: Subject, tmp_path: Path) -> None:
    """Of the same length, but with other bytes: an object of both would be nobody's."""
    path = written(tmp_path / "file", made(subject.large_bytes, seed=1))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    other = made(subject.large_bytes, seed=2)

    def overwrite(_: int) -> None:
        with path.open("r+b") as file:
            file.write(other)

    with pytest.raises(OtherError):
        subject.store.put_path("key", path, progress=overwrite)
    with pytest.raises(NotFound):
        subject.store.head("key")


def test_c27_a_failed_upload_leaves_the_old_object(subject: Subject, tmp_path: Path) -> None:
    """What the key had before, it still has."""
    subject.store.put_bytes("key", b"old", metadata={"a": "b"})
    with pytest.raises(OtherError):
        cut_short(subject, tmp_path / "file")
    assert subject.store.get_bytes("key") == b"old"
    assert subject.store.head("key").metadata == {"a": "b"}


def test_c46_a_failed_upload_leaves_no_parts(subject: Subject, tmp_path: Path) -> None:
    """It is aborted before the call returns: nothing is left to be paid for."""
    with pytest.raises(OtherError):
        cut_short(subject, tmp_path / "file")
    assert subject.pending_uploads() == []


def test_c42_the_largest_object_is_allowed(subject: Subject, tmp_path: Path) -> None:
    """A body of exactly the limit is stored."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(subject.max_object_bytes)
    assert subject.store.put_path("key", tmp_path / "file").size == subject.max_object_bytes
    assert subject.store.head("key").size == subject.max_object_bytes


def test_c54_a_larger_object_is_refused(subject: Subject, tmp_path: Path) -> None:
    """One byte over the limit is PayloadTooLarge before anything is sent; the text states the limit exactly."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(subject.max_object_bytes + 1)
    unit_bytes, unit = (1024**2, "MiB") if subject.max_object_bytes % 1024**2 == 0 else (1024, "KiB")
    with pytest.raises(PayloadTooLarge, match=f"{subject.max_object_bytes // unit_bytes} {unit}") as caught:
        subject.store.put_path("key", tmp_path / "file")
    assert caught.value.subject == subject.url("key")
    with pytest.raises(PayloadTooLarge):
        subject.store.put_bytes("key", bytes(subject.max_object_bytes + 1))
    assert list(subject.store.list()) == []
    assert subject.pending_uploads() == []


def test_c48_progress_of_a_small_upload_is_told_once(store: ObjectStore, tmp_path: Path) -> None:
    """One PUT is one delta, of the whole size."""
    puts: list[Callable[[Deltas], TransferResult]] = [
        lambda progress: store.put_bytes("key", made(1000), progress=progress),
        lambda progress: store.put_path("key", written(tmp_path / "file", made(1000)), progress=progress),
    ]
    for put in puts:
        deltas = Deltas()
        put(deltas)
        assert deltas.seen == [1000]


def test_c48_an_empty_body_has_no_progress(store: ObjectStore, tmp_path: Path) -> None:
    """There is nothing to tell; the object exists nevertheless."""
    deltas = Deltas()
    store.put_bytes("bytes", b"", progress=deltas)
    store.put_path("path", written(tmp_path / "file", b""), progress=deltas)
    assert deltas.seen == []
    assert [store.head(key).size for key in ("bytes", "path")] == [0, 0]


def test_c49_progress_of_a_large_upload_adds_up(subject: Subject, tmp_path: Path) -> None:
    """Told part by part, in any order; the sum is the size, and no delta is more than a part."""
    body = made(subject.large_bytes)
    path = written(tmp_path / "file", body)
    puts: list[Callable[[Deltas], TransferResult]] = [
        lambda progress: subject.store.put_bytes("key", body, progress=progress),
        lambda progress: subject.store.put_path("key", path, progress=progress),
    ]
    for put in puts:
        deltas = Deltas()
        put(deltas)
        assert deltas.total_bytes == len(body)
        assert 0 < min(deltas.seen) <= max(deltas.seen) <= subject.part_size_bytes
