"""``cp`` and ``mv`` of several sources, folders that are made and that are not left, and selections of nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faultserver import FaultServer, make_object
from tests.integration.command import lines, run
from tests.integration.test_choosing import files, stored


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A server with two buckets and three objects; the working folder is the test's own."""
    with FaultServer(buckets=["bucket", "other"]) as running:
        for key, body in {"k1": b"1", "d/k2": b"2", "d/k3": b"3"}.items():
            running.store.put("bucket", key, make_object(body))
        monkeypatch.setenv("BULKHAUL_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.chdir(tmp_path)
        yield running
        assert running.protocol_errors == []


def write(*names: str) -> None:
    """Write files that hold their own names."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def told(server: FaultServer, *words: str, status: int = 0) -> str:
    """Run a command; return what it said on stderr."""
    ended = run(*words, "--endpoint-url", server.endpoint_url)
    assert ended.returncode == status, (ended.stdout, ended.stderr)
    return ended.stderr


def test_several_files_go_up_with_one_summary(server: FaultServer) -> None:
    """Each takes its own name; a quoted pattern is expanded as the shell would; one summary counts all."""
    write("a", "in/b.bin", "in/c.bin", "in/d.txt")
    ended = run("cp", "--json", "a", "in/*.bin", "s3://other/p/", "--endpoint-url", server.endpoint_url)
    objects, summary = lines(ended.stdout)
    assert (ended.returncode, len(objects), summary["verified"]) == (0, 3, 3)
    assert stored(server, "other") == {"p/a": b"a", "p/b.bin": b"in/b.bin", "p/c.bin": b"in/c.bin"}


def test_a_pattern_leaves_hidden_files_out_as_a_shell_does(server: FaultServer) -> None:
    """Quoted or not, ``*`` matches no name that begins with a dot; a pattern that begins with one does."""
    write("in/a", "in/.env")
    told(server, "cp", "in/*", "s3://other/")
    assert stored(server, "other") == {"a": b"in/a"}
    told(server, "cp", "in/.e*", "s3://other/")
    assert stored(server, "other") == {"a": b"in/a", ".env": b"in/.env"}


@pytest.mark.parametrize("recursive", [[], ["--recursive"]])
def test_a_pattern_keeps_the_paths_of_what_it_finds(server: FaultServer, recursive: list[str]) -> None:
    """From the segment of its first wildcard on, files and all that is in folders, whether one matches or several."""
    write("in/x/f", "in/x/sub/g", "in/y/f", "in/z.txt")
    told(server, "cp", *recursive, "in/x*", "s3://other/one/")
    told(server, "cp", *recursive, "in/*", "s3://other/all/")
    told(server, "cp", *recursive, "in/*/f", "s3://other/f/")
    one = {"x/f": b"in/x/f", "x/sub/g": b"in/x/sub/g"}
    found = {
        "one": one,
        "all": {**one, "y/f": b"in/y/f", "z.txt": b"in/z.txt"},
        "f": {"x/f": b"in/x/f", "y/f": b"in/y/f"},
    }
    assert stored(server, "other") == {
        f"{top}/{name}": body for top, names in found.items() for name, body in names.items()
    }


def test_filters_of_a_pattern_look_at_those_paths(server: FaultServer) -> None:
    """Of files and below folders, and whole paths where the filter is absolute."""
    write("in/x/f", "in/x/g", "in/y/f", "in/z")
    told(server, "cp", "--exclude", "x/f", "--exclude", f"{Path.cwd()}/in/y/*", "in/*", "s3://other/")
    assert stored(server, "other") == {"x/g": b"in/x/g", "z": b"in/z"}


def test_a_pattern_enters_links_to_folders_as_the_options_say(server: FaultServer) -> None:
    """By default it follows them; with --no-follow-symlinks they are left out."""
    write("real/f")
    Path("in").mkdir()
    os.symlink("../real", "in/link")
    told(server, "cp", "--no-follow-symlinks", "in/*", "s3://other/")
    assert stored(server, "other") == {}
    told(server, "cp", "in/*", "s3://other/")
    assert stored(server, "other") == {"link/f": b"real/f"}


@pytest.mark.parametrize("how", ["plain", "recursive", "line", "followed"])
def test_mv_of_a_pattern_with_a_link_to_a_folder(server: FaultServer, how: str) -> None:
    """It is skipped with its reason; where links are followed, what is behind it stays where it is."""
    write("in/real/r")
    os.symlink("real", "in/alink")
    os.symlink("real/r", "in/flink")
    where = ("--endpoint-url", server.endpoint_url)
    words = ["mv", "in/*", "s3://other/p/"]
    if how == "line":
        Path("lines").write_text(" ".join(words))
        done = run("run", "lines", "--json", *where)
    else:
        option = {"recursive": ["-r"], "followed": ["--follow-symlinks"]}.get(how, [])
        done = run(*words, *option, "--json", *where)
    objects, summary = lines(done.stdout, "mv")
    found = {"p/real/r": b"in/real/r"}
    if how != "line":
        assert (done.returncode, summary["failed"]) == (0, 0), done.stdout
    # The uploads of a line go side by side: what the link leads to may have been moved before it, and then it stays.
    if how != "line" or not os.path.lexists("in/flink"):
        found["p/flink"] = b"in/real/r"
    if how == "followed":
        found["p/alink/r"] = b"in/real/r"
    else:
        (skipped,) = [one for one in objects if one.get("skipped")]
        assert (skipped["source"], "symbolic link" in skipped["skipped"]) == ("in/alink", True)
    assert stored(server, "other") == found
    assert os.path.islink("in/alink")
    assert not os.path.lexists("in/real/r")
    assert os.path.lexists("in/flink") is ("p/flink" not in found)


def test_a_folder_that_ends_in_a_slash_is_taken_whole(server: FaultServer) -> None:
    """Without --recursive, alone and among others; moved, too."""
    write("in/x/f", "in/g", "a")
    told(server, "cp", "in/", "s3://other/p")
    told(server, "cp", "a", "in/", "s3://other/q/")
    found = {"x/f": b"in/x/f", "g": b"in/g"}
    expected = {f"{top}/{name}": body for top in "pq" for name, body in found.items()} | {"q/a": b"a"}
    assert stored(server, "other") == expected
    told(server, "mv", "in/", "s3://other/r/")
    assert stored(server, "other") == expected | {f"r/{name}": body for name, body in found.items()}
    assert not [path for path in Path("in").rglob("*") if path.is_file()]
    assert "is a folder; add --recursive, or a slash" in told(server, "cp", "in", "s3://other/", status=2)


def test_several_objects_go_down_into_a_folder_that_is_made(server: FaultServer) -> None:
    """Patterns may be among them."""
    told(server, "cp", "s3://bucket/k1", "s3://bucket/d/*", "new/in/")
    assert files(Path("new")) == {"in/k1": b"1", "in/k2": b"2", "in/k3": b"3"}


def test_several_objects_are_copied(server: FaultServer) -> None:
    """From one bucket and another to a third place."""
    server.store.put("other", "x/k9", make_object(b"9"))
    told(server, "cp", "s3://bucket/k1", "s3://other/x/k9", "s3://other/p/")
    assert stored(server, "other") == {"x/k9": b"9", "p/k1": b"1", "p/k9": b"9"}


def test_several_are_moved(server: FaultServer) -> None:
    """What was moved is gone, up and down; a link goes before what it leads to."""
    write("a", "b")
    os.symlink("a", "link")
    told(server, "mv", "a", "b", "link", "s3://other")
    assert stored(server, "other") == {"a": b"a", "b": b"b", "link": b"a"}
    assert not [name for name in ("a", "b", "link") if os.path.lexists(name)]
    told(server, "mv", "s3://other/a", "s3://other/b", "down/")
    assert files(Path("down")) == {"a": b"a", "b": b"b"}
    assert stored(server, "other") == {"link": b"a"}


def test_folders_take_their_names_along_unless_they_end_in_a_slash(server: FaultServer) -> None:
    """As with Unix cp and rsync; so do prefixes."""
    write("one/f", "two/sub/g")
    told(server, "cp", "--recursive", "one", "two/", "s3://other/p/")
    assert stored(server, "other") == {"p/one/f": b"one/f", "p/sub/g": b"two/sub/g"}
    told(server, "cp", "--recursive", "s3://bucket/d", "s3://other/p/one/", "down/")
    assert files(Path("down")) == {"d/k2": b"2", "d/k3": b"3", "f": b"one/f"}


def test_two_of_one_name_are_refused_before_anything_begins(server: FaultServer) -> None:
    """Named ones are; of those that are found below folders, the second one fails by name."""
    write("x/a", "y/a", "y/b")
    assert "would both be s3://other/a" in told(server, "cp", "x/a", "y/a", "s3://other/", status=2)
    assert not server.requests
    assert "x/a has the same destination" in told(server, "cp", "-r", "x/", "y/", "s3://other/", status=1)
    assert stored(server, "other") == {"a": b"x/a", "b": b"y/b"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "b", "s3://other/p"], "must be a bucket, or end in a slash"),
        (["s3://bucket/k1", "s3://bucket/d/k2", "new"], "must be a folder, or end in a slash"),
        (["a", "s3://bucket/k1", "s3://other/"], "all local, or all in s3://"),
        (["a", "in", "s3://other/"], "in is a folder; add --recursive"),
        (["s3://bucket/k1", "s3://bucket/d/k2", "-"], "stdout takes one object"),
        (["--version-id", "1", "s3://bucket/k1", "s3://bucket/d/k2", "in/"], "--version-id goes with one SRC"),
    ],
)
def test_what_several_sources_cannot_be(server: FaultServer, words: list[str], says: str) -> None:
    """It is a usage error, and nothing is asked for."""
    write("a", "b", "in/c")
    assert says in told(server, "cp", *words, status=2)
    assert not server.requests


def test_one_of_several_fails_by_itself(server: FaultServer) -> None:
    """The others go on, and the status tells."""
    words = ("s3://bucket/k1", "s3://bucket/none", "s3://bucket/no*", "down/")
    said = told(server, "cp", *words, status=1)
    assert "s3://bucket/none" in said
    assert "s3://bucket/no*" in said
    assert files(Path("down")) == {"k1": b"1"}


def test_lines_take_several_sources(server: FaultServer) -> None:
    """As the command does."""
    write("a", "b")
    Path("lines").write_text("cp a b s3://other/p/\ncp s3://bucket/k1 s3://bucket/d/k2 down/\n")
    told(server, "run", "lines")
    assert stored(server, "other") == {"p/a": b"a", "p/b": b"b"}
    assert files(Path("down")) == {"k1": b"1", "k2": b"2"}


@pytest.mark.parametrize("destination", ["new/", "new/deep/k1", "./new/k1"])
def test_a_download_makes_the_folder(server: FaultServer, destination: str) -> None:
    """As aws-cli and s5cmd do; a dry run, and one that fails, leave none behind."""
    told(server, "cp", "--dry-run", "s3://bucket/k1", destination)
    told(server, "cp", "s3://bucket/none", destination, status=1)
    told(server, "cp", "-n", "s3://bucket/none", destination, status=1)
    assert not Path("new").exists()
    told(server, "cp", "s3://bucket/k1", destination)
    assert list(files(Path("new")).values()) == [b"1"]


def test_a_failed_recursive_download_leaves_no_empty_folder(server: FaultServer) -> None:
    """Neither the destination nor what lies below it; a folder that was there stays."""
    told(server, "cp", "-r", "s3://bucket/none/", "new/deep", status=1)
    assert not Path("new").exists()
    server.store.put("bucket", "bad/x/../f", make_object(b"1"))
    told(server, "cp", "-r", "s3://bucket/bad/", "new", status=1)
    assert not Path("new").exists()
    Path("kept").mkdir()
    told(server, "cp", "-r", "s3://bucket/none/", "kept", status=1)
    assert Path("kept").is_dir()


def test_nothing_selected_says_so_and_is_no_failure(server: FaultServer) -> None:
    """Filters that leave nothing, an empty folder, one named thing; a prefix that holds nothing, only to rm."""
    Path("empty").mkdir()
    write("a", "in/b")
    assert "nothing was to be done" in told(server, "cp", "-r", "empty", "s3://other/")
    assert "nothing was to be done" in told(server, "cp", "-r", "--exclude", "*", "in", "s3://other/")
    assert "nothing was to be done" in told(server, "cp", "-r", "--exclude", "*", "s3://bucket/d/", "down")
    assert "nothing was deleted" in told(server, "rm", "-r", "--exclude", "*", "s3://bucket/")
    assert "nothing was deleted" in told(server, "rm", "--exclude", "k*", "s3://bucket/k1")
    for words in (["a", "s3://other/"], ["s3://bucket/k1", "down"], ["s3://bucket/k1", "s3://other/"]):
        ended = run("cp", "--exclude", "*", *words, "--endpoint-url", server.endpoint_url)
        assert (ended.returncode, ended.stdout) == (0, f"(skipped) cp {words[0]}: --exclude '*' matches it\n")
    assert stored(server, "other") == {}
    assert len(stored(server, "bucket")) == 3
    assert not Path("down").exists()
    assert "no object matches" in told(server, "cp", "-r", "s3://bucket/none/", "down", status=1)
    assert "nothing was deleted" in told(server, "rm", "-r", "s3://bucket/none/")
    assert "no object matches" in told(server, "rm", "s3://bucket/none/*", status=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing was deleted: nothing is there\n"),
        (["--dry-run"], "nothing would be deleted: nothing is there\n"),
        (
            ["--exclude", "x"],
            "nothing was deleted: nothing is there, or --include and --exclude leave out all that is\n",
        ),
    ],
)
def test_why_rm_has_deleted_nothing(server: FaultServer, options: list[str], said: str) -> None:
    """It speaks of filters where there are some, and of a dry run as one."""
    assert told(server, "rm", "-r", *options, "s3://bucket/none/") == f"bulkhaul: {said}"


def test_raw_takes_a_file_name_as_it_is(server: FaultServer) -> None:
    """A file whose name holds a star."""
    write("f*.txt", "f1.txt")
    told(server, "cp", "--raw", "f*.txt", "s3://other/")
    assert stored(server, "other") == {"f*.txt": b"f*.txt"}
