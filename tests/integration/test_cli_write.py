"""The commands that write to a server: what is stored, what is printed, what stays, what they exit with."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faultserver import MIB, FaultServer, ReplaceObject, StallReceiving, Status, StoredObject, make_object
from tests.integration.command import lines, problems, run, start, stream
from tests.patience import PATIENCE_S

BODY = random.Random(11).randbytes(6 * MIB)
TREE = {"a.txt": b"a" * 10, "empty": b"", "deep/er/b.bin": BODY, "deep/\x1bé \\.txt": b"odd"}
IN_PARTS = ["--multipart-threshold", "5MiB", "--part-size", "5MiB"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server with two empty buckets, which the commands ask by the environment; journals are kept apart."""
    with FaultServer(buckets=["bucket", "other"]) as running:
        monkeypatch.setenv("BULKHAUL_STATE_DIR", str(tmp_path / "state"))
        yield running
        assert running.protocol_errors == []


def stored(server: FaultServer, bucket: str = "bucket") -> dict[str, bytes]:
    """Return every object of a bucket."""
    return {key: one.body for key, one in server.store.in_bucket(bucket).items()}


def put(server: FaultServer, **objects: bytes) -> None:
    """Store objects in the first bucket."""
    for key, body in objects.items():
        server.store.put("bucket", key, make_object(body))


def bulkhaul(server: FaultServer, *words: str | Path) -> tuple[int, str, str]:
    """Run a command against the server: (exit code, stdout, stderr without the summary)."""
    done = run(*words, "--workers", "1", "--endpoint-url", server.endpoint_url)
    return done.returncode, done.stdout, problems(done.stderr)


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_tree(folder: Path) -> Path:
    """Make the tree of files."""
    for name, body in TREE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


def no_journals(folder: Path) -> bool:
    """Whether no journal of an upload is left."""
    return not files(folder / "state")


def test_a_tree_goes_round(server: FaultServer, tmp_path: Path) -> None:
    """A folder goes up, across and back down, byte for byte, with a line and a summary each time."""
    tree = make_tree(tmp_path / "tree")
    status, out, err = bulkhaul(server, "cp", "--json", *IN_PARTS, "--recursive", tree, "s3://bucket/up")
    told, summary = lines(out)
    assert (status, err) == (0, "")
    assert stored(server) == {f"up/{name}": body for name, body in TREE.items()}
    assert {line["source"]: line["destination"] for line in told} == {
        str(tree / name): f"s3://bucket/up/{name}" for name in TREE
    }
    by_key = {line["object"]["key"]: line for line in told}
    large = by_key["up/deep/er/b.bin"]
    known = server.store.get("bucket", "up/deep/er/b.bin")
    assert known is not None
    assert (large["object"]["size"], large["object"]["etag"]) == (len(BODY), f'"{known.etag}"')
    assert large["integrity"] == "checksum"
    assert (summary["verified"], summary["bytes"]) == (4, sum(map(len, TREE.values())))

    status, out, err = bulkhaul(server, "cp", "--recursive", *IN_PARTS, "s3://bucket/up/", "s3://other/across")
    assert (status, err) == (0, "")
    assert stored(server, "other") == {f"across/{name}": body for name, body in TREE.items()}
    assert "cp s3://bucket/up/deep/\\x1bé \\.txt s3://other/across/deep/\\x1bé \\.txt" in out.splitlines()

    assert bulkhaul(server, "cp", "--recursive", "s3://other/across", tmp_path / "back")[0] == 0
    assert files(tmp_path / "back") == TREE
    assert no_journals(tmp_path)


def test_one_file_with_options(server: FaultServer, tmp_path: Path) -> None:
    """One file takes its name at a prefix, is stored as the options say, and a copy keeps all that."""
    (tmp_path / "page.html").write_bytes(b"<p>")
    options = ["--cache-control", "no-cache", "--metadata", "a=1,B=two words", "--storage-class", "STANDARD_IA"]
    assert bulkhaul(server, "cp", *options, "--tags", "k=v w", tmp_path / "page.html", "s3://bucket/p/") == (
        0,
        f"cp {tmp_path}/page.html s3://bucket/p/page.html\n",
        "",
    )
    one = server.store.get("bucket", "p/page.html")
    assert one is not None
    assert (one.body, one.content_type, one.storage_class) == (b"<p>", "text/html", "STANDARD_IA")
    assert (dict(one.metadata), dict(one.tags)) == ({"a": "1", "b": "two words"}, {"k": "v w"})
    assert {name.lower(): value for name, value in one.headers.items()}["cache-control"] == "no-cache"

    assert bulkhaul(server, "cp", "s3://bucket/p/page.html", "s3://other") == (
        0,
        "cp s3://bucket/p/page.html s3://other/page.html\n",
        "",
    )
    copy = server.store.get("other", "page.html")
    assert copy is not None
    assert (copy.body, copy.content_type, dict(copy.metadata), dict(copy.tags)) == (
        one.body,
        one.content_type,
        dict(one.metadata),
        dict(one.tags),
    )


def test_a_copy_keeps_what_is_not_named(server: FaultServer) -> None:
    """A new storage class or new tags leave metadata and headers as they are; a new header replaces all of those."""
    source = make_object(b"x")
    known = StoredObject(source.content, source.etag, content_type="a/b", metadata={"m": "1"}, tags={"t": "1"})
    server.store.put("bucket", "k", known)
    for options, kept in (
        (["--storage-class", "STANDARD_IA"], ("a/b", {"m": "1"}, {"t": "1"}, "STANDARD_IA")),
        (["--tags", "u=2"], ("a/b", {"m": "1"}, {"u": "2"}, "STANDARD")),
        (["--content-type", "c/d"], ("c/d", {}, {"t": "1"}, "STANDARD")),
    ):
        assert bulkhaul(server, "cp", *options, "s3://bucket/k", "s3://other/k")[0] == 0
        copy = server.store.get("other", "k")
        assert copy is not None
        assert (copy.content_type, dict(copy.metadata), dict(copy.tags), copy.storage_class) == kept


def test_a_copy_with_new_headers_gets_the_type_of_its_name(server: FaultServer) -> None:
    """Of a type that was replaced with all other headers the service would make binary/octet-stream."""
    source = make_object(b"x")
    known = StoredObject(source.content, source.etag, content_type="a/b", metadata={"m": "1"})
    server.store.put("bucket", "k.html", known)
    for options, metadata, headers in (
        (["--cache-control", "no-store", "--metadata-directive", "REPLACE"], {}, {"Cache-Control": "no-store"}),
        (["--metadata", "n=2"], {"n": "2"}, {}),
    ):
        assert bulkhaul(server, "cp", *options, "s3://bucket/k.html", "s3://other/k")[0] == 0
        copy = server.store.get("other", "k")
        assert copy is not None
        assert (copy.content_type, dict(copy.metadata)) == ("text/html", metadata)
        assert {name: value for name, value in copy.headers.items() if name in headers} == headers


@pytest.mark.parametrize("key", ["s3://other/k", "s3://bucket/k"])
def test_a_redirect_goes_with_what_is_kept(server: FaultServer, key: str) -> None:
    """A redirect is no header that the directive means, so one is sent beside COPY, also onto the object itself."""
    source = make_object(b"x")
    kept = {"Cache-Control": "no-store"}
    known = StoredObject(
        source.content, source.etag, content_type="a/b", headers=kept, metadata={"m": "1"}, tags={"t": "1"}
    )
    server.store.put("bucket", "k", known)
    line = ("cp", "--website-redirect", "/new.html", "--metadata-directive", "COPY", "s3://bucket/k", key)
    assert bulkhaul(server, *line)[0] == 0
    (asked,) = server.requests_for("CopyObject")
    assert asked.headers.get("x-amz-metadata-directive", "COPY") == "COPY"
    assert asked.headers["x-amz-website-redirect-location"] == "/new.html"
    copy = server.store.get(*key.removeprefix("s3://").split("/"))
    assert copy is not None
    assert (copy.content_type, dict(copy.metadata), dict(copy.tags)) == ("a/b", {"m": "1"}, {"t": "1"})
    assert copy.headers["Cache-Control"] == "no-store"
    assert copy.headers["x-amz-website-redirect-location"] == "/new.html"


@pytest.mark.parametrize("words", [["cp"], ["mv"], ["cp", "--recursive"], ["sync"], ["cp", "--acl", "private"]])
def test_a_redirect_of_every_copy(server: FaultServer, words: list[str]) -> None:
    """Whole or in parts, one or many: the copies keep headers and metadata, and redirect anew."""
    for key, body in (("p/small", b"x"), ("p/large", BODY)):
        source = make_object(body)
        known = StoredObject(source.content, source.etag, content_type="a/b", metadata={"m": "1"}, tags={"t": "1"})
        server.store.put("bucket", key, known)
    names = ["p/"] if words[0] == "sync" or "--recursive" in words else ["p/small", "p/large"]
    for name in names:
        target = "s3://other/" if name == "p/" else f"s3://other/{name.removeprefix('p/')}"
        line = [*words, *IN_PARTS, "--website-redirect", "/new.html", f"s3://bucket/{name}", target]
        assert bulkhaul(server, *line)[0] == 0
    assert stored(server, "other") == {"small": b"x", "large": BODY}
    for name in ("small", "large"):
        copy = server.store.get("other", name)
        assert copy is not None
        assert (copy.content_type, copy.metadata["m"], dict(copy.tags)) == ("a/b", "1", {"t": "1"})
        assert copy.headers["x-amz-website-redirect-location"] == "/new.html"


def test_into_itself(server: FaultServer) -> None:
    """A prefix can be copied into itself: what is or comes there is left out, so that it ends."""
    put(server, **{"p/a": b"1", "p/zz/old": b"2"})
    status, out, err = bulkhaul(server, "cp", "--json", "--recursive", "s3://bucket/p/", "s3://bucket/p/zz/")
    told, summary = lines(out)
    assert (status, err) == (0, "")
    assert {line["source"]: line.get("skipped", "") for line in told} == {
        "s3://bucket/p/a": "",
        "s3://bucket/p/zz/old": "it lies in the destination",
    }
    assert (summary["verified"], summary["skipped"]) == (1, 1)
    assert stored(server) == {"p/a": b"1", "p/zz/a": b"1", "p/zz/old": b"2"}


def test_between_two_stores(server: FaultServer) -> None:
    """With an endpoint for SRC the object goes from one store to the other, with its metadata."""
    source = StoredObject(
        content=make_object(BODY).content, etag=make_object(BODY).etag, content_type="a/b", metadata={"m": "1"}
    )
    with FaultServer({"theirs/k": source}) as partner:
        status, out, err = bulkhaul(
            server,
            "mv",
            "--json",
            *IN_PARTS,
            "--source-endpoint-url",
            partner.endpoint_url,
            "s3://theirs/k",
            "s3://bucket",
        )
        assert (status, err) == (0, "")
        assert partner.store.in_bucket("theirs") == {}
    (line,), _ = lines(out, "mv")
    assert (line["source"], line["destination"]) == ("s3://theirs/k", "s3://bucket/k")
    copy = server.store.get("bucket", "k")
    assert copy is not None
    assert (copy.body, copy.content_type, copy.metadata["m"]) == (BODY, "a/b", "1")
    assert not server.requests_for("CopyObject")


def test_moved(server: FaultServer, tmp_path: Path) -> None:
    """A move leaves what cp would have made and no source, in each direction; folders stay."""
    tree = make_tree(tmp_path / "tree")
    status, out, err = bulkhaul(server, "mv", "--recursive", "--exclude", "empty", tree, "s3://bucket/up/")
    moved = {name: body for name, body in TREE.items() if name != "empty"}
    assert (status, err) == (0, "")
    assert f"mv {tree}/a.txt s3://bucket/up/a.txt" in out.splitlines()
    assert stored(server) == {f"up/{name}": body for name, body in moved.items()}
    assert files(tree) == {"empty": b""}
    assert (tree / "deep" / "er").is_dir()

    assert bulkhaul(server, "mv", "s3://bucket/up/*.txt", "s3://other/")[0] == 0
    assert stored(server) == {"up/deep/er/b.bin": BODY}
    assert stored(server, "other") == {name: body for name, body in moved.items() if name.endswith(".txt")}

    assert bulkhaul(server, "mv", "s3://bucket/up/deep/er/b.bin", tmp_path / "down")[0] == 0
    assert ((tmp_path / "down").read_bytes(), stored(server)) == (BODY, {})


@pytest.mark.parametrize("options", [[], ["--source-region", "us-east-1"]], ids=["copy", "relay"])
def test_keys_that_end_in_a_slash_are_moved(server: FaultServer, options: list[str]) -> None:
    """Folder markers, and objects with such a key, go along with the rest."""
    put(server, **{"m/sub/": b"", "m/full/": b"1234", "m/sub/a": b"a"})
    status, out, err = bulkhaul(server, "mv", "-r", *options, "s3://bucket/m/", "s3://other/n/")
    assert (status, err, len(out.splitlines())) == (0, "", 3)
    assert (stored(server), stored(server, "other")) == ({}, {"n/sub/": b"", "n/full/": b"1234", "n/sub/a": b"a"})


def test_one_key_that_ends_in_a_slash(server: FaultServer, tmp_path: Path) -> None:
    """With --raw a folder marker that holds something is fetched, copied and moved like any object."""
    put(server, **{"m/full/": b"1234", "m/a": b"a"})
    url, file = "s3://bucket/m/full/", tmp_path / "file"
    assert bulkhaul(server, "cp", url, file)[0] == 2
    status, _, err = bulkhaul(server, "cp", "-r", "s3://bucket/m/", tmp_path / "down")
    assert (status, files(tmp_path / "down")) == (1, {"a": b"a"})
    assert "`bulkhaul cp --raw URL FILE` fetches it" in err
    assert bulkhaul(server, "cp", "--raw", "--dry-run", url, file)[:2] == (0, f"(dry run) cp {url} {file}\n")
    assert bulkhaul(server, "cp", "--raw", url, file) == (0, f"cp {url} {file}\n", "")
    assert file.read_bytes() == b"1234"
    assert bulkhaul(server, "cp", "--raw", url, "-")[:2] == (0, "1234")
    assert bulkhaul(server, "cp", "--raw", url, "s3://other/copied/")[0] == 0
    assert bulkhaul(server, "mv", "--raw", url, "s3://other/moved")[0] == 0
    assert (stored(server), stored(server, "other")) == ({"m/a": b"a"}, {"copied/full": b"1234", "moved": b"1234"})


@pytest.mark.parametrize("destination", ["s3://other/k", "file"])
def test_a_source_that_cannot_be_removed(server: FaultServer, tmp_path: Path, destination: str) -> None:
    """The move has failed, and says that the copy is there."""
    put(server, k=b"body")
    server.add_fault(Status(code="AccessDenied", operation="DeleteObject"))
    target = destination if destination.startswith("s3://") else str(tmp_path / destination)
    status, _, err = bulkhaul(server, "mv", "s3://bucket/k", target)
    assert status == 1
    assert f"s3://bucket/k: it was copied to {target}, but could not be removed: the credentials" in err
    assert stored(server) == {"k": b"body"}
    copied = stored(server, "other").get("k") or (tmp_path / "file").read_bytes()
    assert copied == b"body"


def test_a_bucket_to_copy_to_that_is_not_there(server: FaultServer) -> None:
    """The error names the destination: the source is there."""
    put(server, k=b"body")
    status, _, err = bulkhaul(server, "cp", "s3://bucket/k", "s3://nowhere/k")
    assert status == 1
    assert "s3://nowhere/k: there is no such bucket" in err


@pytest.mark.parametrize("destination", ["s3://other/k", "file"])
def test_a_source_that_is_replaced_stays(server: FaultServer, tmp_path: Path, destination: str) -> None:
    """An object that is another one by the time its copy is done is not deleted, and the move has failed."""
    put(server, k=b"old")
    # The last HEAD is the one right before the deletion; that of the copy has the same key.
    last = 3 if destination.startswith("s3://") else 2
    server.add_fault(ReplaceObject(operation="HeadObject", nth=last, replacement=b"new!"))
    target = destination if destination.startswith("s3://") else str(tmp_path / destination)
    status, out, err = bulkhaul(server, "mv", "s3://bucket/k", target)
    server.assert_all_fired()
    assert (status, out) == (1, "")
    assert "the source was replaced after it had been copied" in err
    assert stored(server) == {"k": b"new!"}


def test_a_file_that_is_replaced_stays(server: FaultServer, tmp_path: Path) -> None:
    """A file that is written to while it is moved up is kept as it is by then, and the move has failed."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    go_on = threading.Event()
    server.add_fault(StallReceiving(after_bytes=3, until=go_on))
    process = start("mv", "--workers", "1", "--endpoint-url", server.endpoint_url, path, "s3://bucket/k")
    server.wait_for(lambda it: any(one.bytes_received == 3 for one in it.requests_for("PutObject")))
    path.write_bytes(b"new!")
    go_on.set()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, "")
    assert str(path) in err
    assert path.read_bytes() == b"new!"


def test_not_onto_itself(server: FaultServer) -> None:
    """An object cannot be moved onto itself, which would delete it, nor copied where nothing would change."""
    put(server, k=b"kept")
    for verb, *options in (
        ["mv"],
        ["mv", "--dry-run"],
        ["mv", "--source-endpoint-url", server.endpoint_url],
        ["cp"],
        ["cp", "--dry-run"],
    ):
        status, _, err = bulkhaul(server, verb, *options, "s3://bucket/k", "s3://bucket/k")
        assert status == 2
        assert "the same object" in err
    assert stored(server) == {"k": b"kept"}


def test_dry_runs_change_nothing(server: FaultServer, tmp_path: Path) -> None:
    """--dry-run says for every direction what would be done, sends no write, and leaves both sides as they are."""
    put(server, k=b"body", **{"p/a": b"1", "p/b": b"2"})
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "x").write_bytes(b"x")
    before, here = stored(server), files(tmp_path)
    t = str(tmp_path / "t")
    for words, said in (
        (["cp", f"{t}/x", "s3://bucket/q/"], {f"cp {t}/x s3://bucket/q/x"}),
        (["mv", "s3://bucket/k", "s3://other"], {"mv s3://bucket/k s3://other/k"}),
        (
            ["cp", "s3://bucket/p/*", "s3://other/q"],
            {"cp s3://bucket/p/a s3://other/q/a", "cp s3://bucket/p/b s3://other/q/b"},
        ),
        (["pipe", "s3://bucket/new"], {"pipe - s3://bucket/new"}),
    ):
        status, out, err = bulkhaul(server, *words, "--dry-run")
        assert (status, err) == (0, "")
        assert set(out.splitlines()) == {f"(dry run) {line}" for line in said}
    status, out, err = bulkhaul(server, "cp", "--dry-run", "s3://bucket/k", "-")
    assert (status, out, err) == (0, "", "(dry run) cp s3://bucket/k -\n")
    assert (stored(server), stored(server, "other"), files(tmp_path)) == (before, {}, here)
    assert {one.operation for one in server.requests} <= {"HeadObject", "ListObjectsV2", "HeadBucket"}


def test_some_fail(server: FaultServer, tmp_path: Path) -> None:
    """One file that is refused fails by name, the others are stored, and the exit code is 1."""
    tree = make_tree(tmp_path / "tree")
    os.mkfifo(tree / "fifo")
    server.add_fault(Status(operation="PutObject", key="up/a.txt", status=403, code="AccessDenied", attempt="every"))
    status, out, err = bulkhaul(server, "cp", "--json", "--recursive", tree, "s3://bucket/up")
    told, summary = lines(out)
    failed = {line["source"]: line["error"]["code"] for line in told if not line["success"]}
    assert status == 1
    assert failed == {str(tree / "a.txt"): "AccessDenied", str(tree / "fifo"): "LocalError"}
    assert (summary["verified"], summary["failed"], summary["success"]) == (3, 2, False)
    assert err == ""  # JSON has told it
    assert set(stored(server)) == {f"up/{name}" for name in TREE if name != "a.txt"}


def test_links_that_are_left_out(server: FaultServer, tmp_path: Path) -> None:
    """Links are followed, or left out if asked, which is no failure; what is excluded cannot fail either."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(b"A")
    (tree / "link").symlink_to("a")
    os.mkfifo(tree / "fifo")
    words = ["cp", "--json", "--recursive", "--exclude", "fifo", str(tree), "s3://bucket"]
    status, out, err = bulkhaul(server, *words, "--no-follow-symlinks")
    told, summary = lines(out)
    assert (status, err) == (0, "")
    assert {line["source"] for line in told if line.get("skipped")} == {str(tree / "link")}
    assert (summary["verified"], summary["skipped"], stored(server)) == (1, 1, {"a": b"A"})
    assert bulkhaul(server, *words)[0] == 0
    assert stored(server) == {"a": b"A", "link": b"A"}


@pytest.mark.parametrize("recursive", [[], ["--recursive"]], ids=["file", "folder"])
def test_a_link_that_is_named_itself_is_left_out(server: FaultServer, tmp_path: Path, recursive: list[str]) -> None:
    """Where links are left out, SRC is no exception, and people are told; with a slash it is the folder behind it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"A")
    link = tmp_path / "link"
    link.symlink_to("real" if recursive else "real/a")
    words = [*recursive, "--no-follow-symlinks", str(link), "s3://bucket"]
    told = f"{link}: a symbolic link, which is not followed\n"
    for dry_run, prefix in (["--dry-run"], "(dry run) (skipped)"), ([], "(skipped)"):
        assert bulkhaul(server, "cp", *dry_run, *words) == (0, f"{prefix} cp {told}", "")
        assert bulkhaul(server, "mv", *dry_run, *words) == (0, f"{prefix} mv {told}", "")
    assert (stored(server), link.is_symlink()) == ({}, True)
    if recursive:
        assert bulkhaul(server, "cp", *recursive, "--no-follow-symlinks", f"{link}/", "s3://bucket")[0] == 0
        assert stored(server) == {"a": b"A"}


LINKED = {"a": b"A", "b": b"A", "hard": b"A", "deep/c": b"A", "deep/c2": b"C2", "deep/x": b"X"}


def make_linked(tmp_path: Path) -> Path:
    """Make a tree whose names share files: links to links, hard links, links to folders inside and outside of it."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "deep").mkdir(parents=True)
    (outside / "below").mkdir(parents=True)
    (outside / "below" / "o").write_bytes(b"O")
    (tree / "a").write_bytes(b"A")
    (tree / "hard").hardlink_to(tree / "a")
    (tree / "b").symlink_to("a")
    (tree / "deep" / "c").symlink_to("../b")  # a link to a link
    (tree / "deep" / "c2").symlink_to(outside / "c2")
    (tree / "deep" / "x").write_bytes(b"X")
    (outside / "c2").write_bytes(b"C2")
    (tree / "out").symlink_to(outside)
    (tree / "z-deep").symlink_to("deep")
    return tree


def test_a_move_removes_nothing_outside_of_its_folder(server: FaultServer, tmp_path: Path) -> None:
    """Links to folders are not entered; every name of a shared file is stored, and only names in the folder go."""
    tree = make_linked(tmp_path)
    before = files(tmp_path / "outside")
    status, out, err = bulkhaul(server, "mv", "--json", "--recursive", "--concurrency", "16", tree, "s3://bucket")
    told, summary = lines(out, "mv")
    assert (status, err) == (0, "")
    assert {line["source"] for line in told if line.get("skipped")} == {str(tree / "out"), str(tree / "z-deep")}
    assert all("not entered" in line.get("skipped", "not entered") for line in told)
    assert (summary["verified"], stored(server)) == (len(LINKED), LINKED)
    assert files(tmp_path / "outside") == before
    assert sorted(os.listdir(tree)) == ["deep", "out", "z-deep"]
    assert os.listdir(tree / "deep") == []


def test_a_move_that_follows_links_to_folders(server: FaultServer, tmp_path: Path) -> None:
    """What is behind a link to a folder is stored if that was asked for, and stays there."""
    tree = make_linked(tmp_path)
    before = files(tmp_path / "outside")
    status, _, err = bulkhaul(server, "mv", "--recursive", "--follow-symlinks", tree, "s3://bucket")
    assert (status, err) == (0, "")
    behind = {f"out/{name}": body for name, body in before.items()}
    again = {f"z-{name}": body for name, body in LINKED.items() if name.startswith("deep/")}
    assert stored(server) == {**LINKED, **behind, **again}
    assert files(tmp_path / "outside") == before
    assert sorted(os.listdir(tree)) == ["deep", "out", "z-deep"]
    assert os.listdir(tree / "deep") == []


def test_a_move_without_links(server: FaultServer, tmp_path: Path) -> None:
    """Where links are left out of a move they stay, and so does what they lead to outside."""
    tree = make_linked(tmp_path)
    status, _, err = bulkhaul(server, "mv", "--recursive", "--no-follow-symlinks", tree, "s3://bucket")
    assert (status, err) == (0, "")
    assert stored(server) == {"a": b"A", "hard": b"A", "deep/x": b"X"}
    assert sorted(os.listdir(tree)) == ["b", "deep", "out", "z-deep"]
    assert sorted(os.listdir(tree / "deep")) == ["c", "c2"]


def test_a_link_that_is_planted_during_a_move(server: FaultServer, tmp_path: Path) -> None:
    """A folder that becomes a link while its files are stored does not lead the removal out of what was named."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "d").mkdir(parents=True)
    outside.mkdir()
    (tree / "d" / "x").write_bytes(BODY)
    (outside / "x").hardlink_to(tree / "d" / "x")  # the same file, under a name that nobody has given away
    go_on = threading.Event()
    server.add_fault(StallReceiving(after_bytes=3, until=go_on))
    running = start("mv", "-r", "--endpoint-url", server.endpoint_url, tree, "s3://bucket/")
    server.wait_for(lambda s: bool(s.requests_for("PutObject")))
    (tree / "d").rename(tmp_path / "away")
    (tree / "d").symlink_to(outside)
    go_on.set()
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "leads out of the folder; that file was not removed" in err
    assert (outside / "x").exists()
    assert (tmp_path / "away" / "x").exists()


def test_nothing_to_send(server: FaultServer, tmp_path: Path) -> None:
    """A file or folder that is missing, or a bucket, is one line on stderr and 1."""
    (tmp_path / "f").write_bytes(b"")
    none = str(tmp_path / "none")
    for words, says in (
        (["cp", none, "s3://bucket/k"], "it does not exist"),
        (["cp", str(tmp_path / "f"), "s3://nowhere/k"], "s3://nowhere/k"),
    ):
        status, out, err = bulkhaul(server, *words)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert says in err
    assert stored(server) == {}


def test_several_to_stdout(server: FaultServer) -> None:
    """cat writes what it is given, in the order given, and what a pattern matches in the order of keys; no more."""
    put(server, **{"p/b": b"B", "p/a": b"A", "p/é": b"E", "z": b"Z"})
    done = stream("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/z", "s3://bucket/p/*")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ZABE", b"")
    done = stream("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/z", "s3://bucket/no", "s3://bucket/p/a")
    assert (done.returncode, done.stdout) == (1, b"Z")
    assert done.stderr.startswith(b"bulkhaul: error: s3://bucket/no: ")


def test_a_folder_to_stdout(server: FaultServer) -> None:
    """cat writes what lies in a folder itself, in the order of keys; a bucket may be empty, a prefix may not."""
    put(server, **{"p/": b"", "p/b": b"B", "p/a": b"A", "p/deep/c": b"C", "z": b"Z"})
    for url, written in (("s3://bucket/p/", b"AB"), ("s3://bucket", b"Z"), ("s3://bucket/", b"Z")):
        done = stream("cat", "--endpoint-url", server.endpoint_url, url)
        assert (done.returncode, done.stdout, done.stderr) == (0, written, b""), url
    done = stream("cat", "--endpoint-url", server.endpoint_url, "s3://bucket/none/")
    assert (done.returncode, done.stdout) == (1, b"")
    with FaultServer(buckets=["empty"]) as empty:
        done = stream("cat", "--endpoint-url", empty.endpoint_url, "s3://empty")
    assert (done.returncode, done.stdout) == (0, b"")


def test_json_beside_stdout(server: FaultServer) -> None:
    """cat --json writes the bytes alone to stdout, and tells of each object on stderr."""
    put(server, a=b"A")
    done = stream("--json", "--endpoint-url", server.endpoint_url, "cat", "s3://bucket/a", "s3://bucket/no")
    (first, second), summary = lines(done.stderr.decode(), "cat")
    assert (done.returncode, done.stdout) == (1, b"A")
    assert (first["source"], first["success"]) == ("s3://bucket/a", True)
    assert (second["error"]["code"], summary["failed"]) == ("NotFound", 1)


def test_an_object_that_exists_stays(server: FaultServer) -> None:
    """pipe -n stores what is new, and tells what it has left."""
    put(server, old=b"old")
    left = stream("pipe", "-n", "--endpoint-url", server.endpoint_url, "s3://bucket/old", given=b"new")
    made = stream("pipe", "-n", "--endpoint-url", server.endpoint_url, "s3://bucket/k", given=b"new")
    assert (left.returncode, made.returncode) == (0, 0)
    assert left.stdout == b"(skipped) pipe - s3://bucket/old: it is at the destination already\n"
    assert stored(server) == {"old": b"old", "k": b"new"}


def test_empty_stdin(server: FaultServer) -> None:
    """An empty stdin is an empty object, and pipe says so as JSON on stdout."""
    done = stream("pipe", "--json", "--content-type", "a/b", "--endpoint-url", server.endpoint_url, "s3://bucket/k")
    assert done.returncode == 0
    (line,), _ = lines(done.stdout.decode(), "pipe")
    assert (line["source"], line["destination"], line["object"]["size"]) == ("-", "s3://bucket/k", 0)
    one = server.store.get("bucket", "k")
    assert one is not None
    assert (one.body, one.content_type) == (b"", "a/b")


def test_a_secret_key_is_not_told(server: FaultServer, tmp_path: Path) -> None:
    """A key of SSE-C appears in no line, whatever fails and whatever is logged."""
    key = "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5LTEyMzQ="
    (tmp_path / "f").write_bytes(b"x")
    server.add_fault(Status(operation="PutObject", status=403, code="AccessDenied", attempt="every"))
    words = ["--json", "--log-level", "debug", "--sse-c-key", key, str(tmp_path / "f"), "s3://bucket/k"]
    status, out, err = bulkhaul(server, "cp", *words)
    server.assert_all_fired()
    assert status == 1
    assert json.loads(out.splitlines()[0])["error"]["code"] == "AccessDenied"
    assert key not in out + err
