"""Symbolic links that are stored as objects, as rclone does, and made again: never out of the destination."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from bulkhaul.disk.links import remove_link
from bulkhaul.model.rows import Action, Row
from tests.engines import keys, running_engine, serving
from tests.faultserver import Etag, Fault, FaultServer, Status, make_object
from tests.integration.command import lines, run
from tests.integration.linked_trees import FILES, LINKS, links, make_tree, plain
from tests.integration.rclone import rclone
from tests.servers import weed


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a bucket."""
    with serving() as running:
        yield running


def bodies(server: FaultServer) -> dict[str, bytes]:
    """Return every object of the bucket."""
    return {key: one.body for key, one in server.store.in_bucket("bucket").items()}


@pytest.mark.parametrize("move", [False, True])
def test_there_and_back(server: FaultServer, tmp_path: Path, *, move: bool) -> None:
    """Links come back as they were, with their times, and a move takes them along."""
    tree, back = make_tree(tmp_path / "tree"), tmp_path / "back"
    words = ["mv" if move else "cp", "-r", "--symlinks", "store", "--preserve", "timestamps"]
    where = ["--endpoint-url", server.endpoint_url, "--workers", "1"]
    done = run(*words, tree, "s3://bucket/", *where)
    assert done.returncode == 0, done.stderr
    stored = {f"{name}.rclonelink": target.encode() for name, target in LINKS.items()}
    assert bodies(server) == FILES | stored
    assert (links(tree), plain(tree)) == (({}, {}) if move else (LINKS, FILES))
    done = run(*words, "s3://bucket/", back, *where)
    assert done.returncode == 0, done.stderr
    assert (links(back), plain(back)) == (LINKS, FILES)
    assert {(back / name).lstat().st_mtime_ns for name in LINKS} == {1_500_000_000_000_000_001}
    assert bodies(server) == ({} if move else FILES | stored)


@pytest.mark.parametrize("command", ["cp", "mv"])
def test_links_that_no_download_makes_again(server: FaultServer, tmp_path: Path, command: str) -> None:
    """They are stored as they are, and a warning names the first and says why; others have none."""
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / "fine").symlink_to("../other")
    where = ["--endpoint-url", server.endpoint_url, "--workers", "1", "--symlinks", "store", "-r"]
    assert "no download" not in run("cp", tree, "s3://bucket/fine/", *where).stderr
    for name in ("abs1", "abs2"):
        (tree / name).symlink_to("/etc/passwd")
    done = run(command, tree, "s3://bucket/p/", *where)
    assert done.returncode == 0
    assert done.stderr.count("no download makes them again: its target is an absolute path") == 1
    assert bodies(server)["p/abs1.rclonelink"] == b"/etc/passwd"


def test_one_link(server: FaultServer, tmp_path: Path) -> None:
    """A link that is named itself, there and back, and over an older link."""
    tree = make_tree(tmp_path / "tree")
    where = ["--endpoint-url", server.endpoint_url, "--symlinks", "store"]
    assert run("cp", tree / "link", "s3://bucket/p/", *where).returncode == 0
    assert bodies(server) == {"p/link.rclonelink": b"a"}
    (tmp_path / "link").symlink_to("elsewhere")
    assert run("cp", "s3://bucket/p/link.rclonelink", tmp_path, *where).returncode == 0
    assert (tmp_path / "link").readlink() == Path("a")


@pytest.mark.parametrize(
    ("key", "target", "why"),
    [
        ("p/x", "/etc/passwd", "an absolute path"),
        ("p/x", "../x", "leads out"),
        ("p/d/x", "../../x", "leads out"),
        ("p/d/x", "y/../../../z", "behind a name"),
        ("p/x", "", "no target"),
        ("p/x", "a\0b", "NUL"),
        ("p/x", "x" * 4096, "4096 bytes"),
    ],
)
def test_a_target_that_leads_out(server: FaultServer, tmp_path: Path, key: str, target: str, why: str) -> None:
    """It is refused by name, and the rest goes on; nothing of it is left."""
    server.store.put("bucket", f"{key}.rclonelink", make_object(target.encode()))
    server.store.put("bucket", "p/file", make_object(b"body"))
    with running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        results = list(engine.download_many("s3://bucket/p/", tmp_path / "out"))
    (failed,) = [one for one in results if not one.ok]
    assert isinstance(failed.error, errors.UnsafeKey)
    assert why in str(failed.error)
    assert f"{key}.rclonelink" in str(failed.error)
    assert (links(tmp_path / "out"), plain(tmp_path / "out")) == ({}, {"file": b"body"})


def test_nothing_is_written_through_a_link(server: FaultServer, tmp_path: Path) -> None:
    """Of a link and of what would lie behind it only one is made, whichever comes first; files are never replaced."""
    (tmp_path / "out" / "real").mkdir(parents=True)
    (tmp_path / "out" / "file").write_bytes(b"mine")
    server.store.put("bucket", "p/l.rclonelink", make_object(b"real"))
    server.store.put("bucket", "p/l/planted", make_object(b"bad"))
    server.store.put("bucket", "p/file.rclonelink", make_object(b"real"))
    with running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        failed = [one for one in engine.download_many("s3://bucket/p/", tmp_path / "out") if not one.ok]
    assert len(failed) == 2
    assert list((tmp_path / "out" / "real").iterdir()) == []
    assert (tmp_path / "out" / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("by_rows", [False, True])
def test_a_link_and_a_file_of_one_name(server: FaultServer, tmp_path: Path, *, by_rows: bool, move: bool) -> None:
    """Of an object and a stored link that would have one path the first is restored; the other fails, and stays."""
    stored = {"p/a": b"A" * (6 << 20), "p/a.rclonelink": b"b", "p/b": b"B", "p/c.rclonelink.rclonelink": b"a"}
    for key, body in stored.items():
        server.store.put("bucket", key, make_object(body))
    out = tmp_path / "out"
    rows = [
        Row(n=n, action=Action.DOWNLOAD, source=f"s3://bucket/{key}", destination=f"{out}/{key[2:]}")
        for n, key in enumerate(stored)
    ]
    with running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        if by_rows:
            results = list(engine.download_rows([rows], out, move=move))
        else:
            results = list(engine.download_many("s3://bucket/p/", out, move=move))
    (failed,) = [one for one in results if not one.ok]
    assert (failed.source, type(failed.error)) == ("s3://bucket/p/a.rclonelink", errors.UnsafeKey)
    assert {one.key: one.destination for one in results if one.ok} == {
        "p/a": f"{out}/a",
        "p/b": f"{out}/b",
        "p/c.rclonelink.rclonelink": f"{out}/c.rclonelink",
    }
    assert (links(out), plain(out)) == ({"c.rclonelink": "a"}, {"a": stored["p/a"], "b": b"B"})
    assert bodies(server) == ({"p/a.rclonelink": b"b"} if move else stored)


@pytest.mark.parametrize("move", [False, True])
def test_links_that_are_named_as_stored_ones(server: FaultServer, tmp_path: Path, *, move: bool) -> None:
    """Each link has a key of its own, the same in a dry run; a file of such a name is refused, and stays."""
    tree, back = tmp_path / "tree", tmp_path / "back"
    tree.mkdir()
    (tree / "target").write_bytes(b"T")
    (tree / "x.rclonelink").write_bytes(b"plain")
    made = {"x": "target", "y": "t1", "y.rclonelink": "t2"}
    for name, target in made.items():
        (tree / name).symlink_to(target)
    stored = {"target": b"T", **{f"{name}.rclonelink": target.encode() for name, target in made.items()}}
    with running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        for dry_run in (True, False):
            results = list(engine.upload_many(tree, "s3://bucket/", move=move, dry_run=dry_run))
            (failed,) = [one for one in results if not one.ok]
            assert failed.source == str(tree / "x.rclonelink")
            assert "would come back as a link" in str(failed.error)
            assert {one.key for one in results if one.ok} == set(stored)
        assert bodies(server) == stored
        assert plain(tree) == {"x.rclonelink": b"plain"} | ({} if move else {"target": b"T"})
        assert all(one.ok for one in engine.download_many("s3://bucket/", back))
        engine.upload(back / "y.rclonelink", "s3://bucket/alone/")
    assert (links(back), plain(back)) == (made, {"target": b"T"})
    assert bodies(server)["alone/y.rclonelink.rclonelink"] == b"t2"


def test_links_cannot_be_followed_and_stored(server: FaultServer, tmp_path: Path) -> None:
    """Who asks for both is told so, at once."""
    with (
        running_engine(server.endpoint_url, keys(), store_links=True) as engine,
        pytest.raises(errors.UsageError, match="one of the two"),
    ):
        list(engine.upload_many(tmp_path, "s3://bucket/", follow_symlinks=True))


def test_a_dry_run_names_the_links_that_it_would_make(server: FaultServer, tmp_path: Path) -> None:
    """The destinations are those of the run."""
    server.store.put("bucket", "p/l.rclonelink", make_object(b"real"))
    with running_engine(server.endpoint_url, keys(), store_links=True) as engine:
        for dry_run in (True, False):
            (one,) = engine.download_many("s3://bucket/p/", tmp_path / "out", dry_run=dry_run)
            assert one.destination == str(tmp_path / "out" / "l")


@pytest.mark.parametrize(
    "fault",
    [
        Status(code="NoSuchKey", operation="HeadObject"),
        Etag(operation="HeadObject", etag="0" * 32),
        Etag(operation="HeadObject", etag=None),
        Status(code="AccessDenied", operation="PutObject", attempt="every"),
    ],
)
def test_a_move_keeps_a_link_that_may_not_be_stored(server: FaultServer, tmp_path: Path, fault: Fault) -> None:
    """Where a HEAD does not show the object, the link stays, and that is a failure."""
    (tmp_path / "link").symlink_to("a")
    server.add_fault(fault)
    with running_engine(server.endpoint_url, keys(), store_links=True) as engine, pytest.raises(errors.TransferError):
        engine.upload(tmp_path / "link", "s3://bucket/link", move=True)
    assert links(tmp_path) == {"link": "a"}


def test_a_link_that_was_changed_is_not_removed(tmp_path: Path) -> None:
    """What leads elsewhere by now is not what was stored."""
    (tmp_path / "link").symlink_to("b")
    with pytest.raises(errors.SourceChanged):
        remove_link(str(tmp_path / "link"), b"a")
    assert links(tmp_path) == {"link": "b"}


def test_follow_and_skip(server: FaultServer, tmp_path: Path) -> None:
    """They are what ``--[no-]follow-symlinks`` says; what is skipped is counted with its reason."""
    tree = make_tree(tmp_path / "tree")
    (tree / "gone").unlink()
    where = ["--endpoint-url", server.endpoint_url, "--workers", "1"]
    done = run("cp", "-r", "--json", "--symlinks", "skip", tree, "s3://bucket/", *where)
    told, summary = lines(done.stdout)
    assert (summary["verified"], summary["skipped"], bodies(server)) == (2, 4, FILES)
    assert {line["skipped"] for line in told if line.get("skipped")} == {"a symbolic link, which is not followed"}
    assert run("cp", "-r", "--symlinks", "follow", tree, "s3://bucket/", *where).returncode == 0
    assert bodies(server)["dir/up"] == b"A"


def test_a_download_without_the_option(server: FaultServer, tmp_path: Path) -> None:
    """What is called like a stored link is a file like any other."""
    server.store.put("bucket", "p/l.rclonelink", make_object(b"real"))
    with running_engine(server.endpoint_url, keys()) as engine:
        assert all(one.ok for one in engine.download_many("s3://bucket/p/", tmp_path))
    assert plain(tmp_path) == {"l.rclonelink": b"real"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--symlinks", "skip", "--follow-symlinks", "x", "s3://bucket"], "say the same"),
        (["--symlinks", "skip", "s3://bucket/a", "x"], "nothing for a download"),
        (["--symlinks", "store", "-n", "x", "s3://bucket"], "chooses by what exists"),
        (["--symlinks", "store", "s3://bucket/a", "s3://bucket/b"], "means nothing for a copy"),
    ],
)
def test_what_makes_no_sense(server: FaultServer, words: list[str], why: str) -> None:
    """It is a usage error that says so."""
    done = run("cp", *words, "--endpoint-url", server.endpoint_url)
    assert done.returncode == 2
    assert why in done.stderr


def test_lines_that_hold_no_links(server: FaultServer, tmp_path: Path) -> None:
    """``run --symlinks store`` takes single files however they are chosen; where links may be it says what to do."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in "abcd":
        (tree / name).write_text(name)
    (tree / "l").symlink_to("a")
    good = [
        f"sync {tree}/a s3://bucket/",
        f"cp -n {tree}/b s3://bucket/",
        f"cp {tree}/c {tree}/d s3://bucket/",
        f"cp {tree}/l s3://bucket/",
        f"cp -n s3://bucket/e {tmp_path}/e",
    ]
    bad = [
        f"cp -n {tree}/l s3://bucket/n/",
        f"cp {tree}/a {tree}/ s3://bucket/n/",
        f"cp -n s3://bucket/* {tmp_path}/n/",
    ]
    server.store.put("bucket", "e", make_object(b"e"))
    (tmp_path / "good").write_text("\n".join(good))
    (tmp_path / "bad").write_text("\n".join(bad))
    where = ["--symlinks", "store", "--endpoint-url", server.endpoint_url]
    done = run("run", str(tmp_path / "good"), *where)
    assert done.returncode == 0, done.stderr
    expected = {name: name.encode() for name in "abcde"} | {"l.rclonelink": b"a"}
    assert bodies(server) == expected
    assert (tmp_path / "e").read_bytes() == b"e"
    done = run("run", str(tmp_path / "bad"), *where)
    # Each is told at once, and once more below the totals.
    assert (done.returncode, done.stderr.count("Transfer it by itself")) == (1, 6), done.stderr
    assert bodies(server) == expected


def test_rclone_understands(tmp_path: Path) -> None:
    """What rclone has stored of links comes back here, and the other way round."""
    tree = make_tree(tmp_path / "tree")
    with weed() as server:
        server.client().create_bucket(Bucket="bucket")
        secrets = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        with running_engine(server.endpoint_url, secrets, store_links=True) as engine:
            assert all(one.ok for one in engine.upload_many(tree, "s3://bucket/ours/"))
            rclone(server, "copy", "--links", "there:bucket/ours", tmp_path / "theirs")
            rclone(server, "copy", "--links", tree, "there:bucket/theirs")
            assert all(one.ok for one in engine.download_many("s3://bucket/theirs/", tmp_path / "ours"))
    for folder in (tmp_path / "theirs", tmp_path / "ours"):
        assert (links(folder), plain(folder)) == (LINKS, FILES)
