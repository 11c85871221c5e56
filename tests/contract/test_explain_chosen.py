"""``--explain`` of cp, mv and rm: what is said of a key is what the command does with it, by the rule that is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bulkhaul.engine.operations.delete_many import Deletion
from bulkhaul.errors import LocalError, UsageError
from bulkhaul.jobs.choosing import Choice, chosen_files, chosen_objects
from bulkhaul.jobs.explain import Explanation
from bulkhaul.jobs.explain_chosen import explain_deletion, explain_transfer
from bulkhaul.jobs.several import Several, several_results
from bulkhaul.model.rows import Action
from bulkhaul.policy.overwriting import Overwrite
from bulkhaul.policy.selection import parse_source
from tests.syncing import OURS, Place

TEXTS = Choice(exclude=("*", "!*.txt"))
"""``--exclude '*' --include '*.txt'``"""

OURS_BELOW = "s3://bucket/ours/below/"


def explained(
    place: Place, sources: list[str], destination: str, key: str, choice: Choice, *, recursive: bool = True
) -> Explanation:
    """Return what is said of a key."""
    chosen = Several(sources=sources, destination=destination, recursive=recursive)
    told: Explanation = place.engine.run(explain_transfer, place.engine.aio, chosen, key, choice)
    return told


@pytest.mark.parametrize(
    ("key", "choice", "action", "rule", "reason"),
    [
        ("a.txt", Choice(), "download", "filter", "no filter is given"),
        ("a.txt", TEXTS, "download", "filter", "--include '*.txt', filter 2 of 2, is the last that matches it"),
        (f"{OURS}a.txt", TEXTS, "download", "filter", "--include '*.txt', filter 2 of 2, is the last that matches it"),
        ("b.o", TEXTS, "skip", "filter", "--exclude '*', filter 1 of 2, is the last that matches it"),
        ("none.txt", TEXTS, "skip", "presence", "the source does not have it"),
        ("s3://other/a.txt", TEXTS, "skip", "source", "no source names it"),
        ("../up", Choice(), "skip", "name", "the key cannot be a file"),
        ("folder/", Choice(), "skip", "name", "it marks a folder and holds nothing"),
        ("a.txt", Choice(overwrite=Overwrite(no_clobber=True)), "skip", "overwrite", "--no-clobber: it is at"),
        ("a.txt", Choice(overwrite=Overwrite(if_source_newer=True)), "download", "overwrite", "destination is older"),
        ("b.o", Choice(overwrite=Overwrite(no_clobber=True)), "download", "presence", "not at the destination"),
        ("sub/a.txt", Choice(overwrite=Overwrite(no_clobber=True), flatten=True), "skip", "overwrite", "it is at"),
        ("b.o", Choice(move=True), "download", "filter", "no filter is given; the source is removed then"),
    ],
)
def test_downloads(place: Place, key: str, choice: Choice, action: str, rule: str, reason: str) -> None:
    """Objects below a prefix: the rule that decides, and the filter as it was typed; nothing is done."""
    place.put("ours/a.txt", "ours/b.o", "ours/sub/a.txt", "ours/../up")
    place.put("ours/folder/", body=b"")
    place.make("a.txt")
    told = explained(place, [OURS], str(place.here), key, choice)
    assert (told.action, told.rule) == (action, rule)
    assert reason in told.reason
    assert place.files() == ["a.txt"]


CHOICES = [
    Choice(),
    TEXTS,
    Choice(include=("sub/*",)),
    Choice(overwrite=Overwrite(no_clobber=True)),
    Choice(overwrite=Overwrite(if_size_differs=True)),
    Choice(overwrite=Overwrite(if_source_newer=True), exclude=("l*",)),
    Choice(flatten=True, overwrite=Overwrite(no_clobber=True)),
    Choice(follow_symlinks=False),
]
NAMES = ["a.txt", "b.o", "sub/c.txt", "link.txt", "linked/d.txt"]


@pytest.mark.parametrize("choice", CHOICES, ids=range(len(CHOICES)))
def test_what_is_said_of_an_upload_is_what_is_done(place: Place, tmp_path: Path, choice: Choice) -> None:
    """Of files, of links, and of what lies behind them."""
    place.make("a.txt", "b.o", "sub/c.txt")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "d.txt").touch()
    os.symlink("a.txt", place.here / "link.txt")
    os.symlink(tmp_path / "outside", place.here / "linked")
    place.put("to/a.txt", "to/c.txt", "to/b.o", body=b"longer")
    said = {name: explained(place, [str(place.here)], "s3://bucket/to/", name, choice) for name in NAMES}
    results = place.engine.each(chosen_files(place.engine.aio, str(place.here), "s3://bucket/to/", choice))
    done = {os.path.relpath(one.source, place.here) for one in results if one.ok and not one.skipped}
    assert {name for name, one in said.items() if one.action is Action.UPLOAD} == done


def test_a_path_from_here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that begins with a dot is the same file as without."""
    place.make("a.txt")
    monkeypatch.chdir(place.here.parent)
    here = place.here.name
    told = [explained(place, [here], "s3://bucket/to/", key, Choice()) for key in (f"./{here}/a.txt", f"{here}/a.txt")]
    assert [one.action for one in told] == [Action.UPLOAD, Action.UPLOAD]


@pytest.mark.parametrize(
    "choice",
    [
        Choice(),
        Choice(exclude=("d/*",)),
        Choice(exclude=("a*",)),
        Choice(include=("d/sub/*", "d0.txt")),
        Choice(exclude=("*/here/d/a.txt", "/*/d0.txt")),
        Choice(exclude=("c.txt",), move=True, dry_run=True),
        Choice(flatten=True, exclude=("*.o",)),
    ],
    ids=range(7),
)
def test_what_is_said_of_what_a_pattern_found_is_what_is_done(place: Place, choice: Choice) -> None:
    """Filters see the path below the destination, and by that it is told; what no match has nobody names."""
    place.make("d/a.txt", "d/b.o", "d/sub/c.txt", "d0.txt")
    folder, file = f"{place.here}/d/", f"{place.here}/d0.txt"
    chosen = Several(sources=[folder, file], destination="s3://bucket/to/", paths={folder: "d", file: "d0.txt"})

    def said(key: str) -> Explanation:
        told: Explanation = place.engine.run(explain_transfer, place.engine.aio, chosen, key, choice)
        return told

    names = ["d/a.txt", "d/b.o", "d/sub/c.txt", "d0.txt"]
    results = place.engine.each(several_results(place.engine.aio, chosen, choice))
    done = {os.path.relpath(one.source, place.here) for one in results if one.ok and not one.skipped}
    assert {name for name in names if said(name).action is Action.UPLOAD} == done
    assert [said(name).name for name in names] == names
    assert said(f"{place.here}/d/a.txt") == said("d/a.txt")
    assert [said(name).rule for name in ("a.txt", "c.txt", "sub/c.txt")] == ["source"] * 3
    with pytest.raises(UsageError, match="name one key"):
        said("d")


def test_a_link_to_a_folder_that_a_pattern_found(place: Place) -> None:
    """Where it is not entered it is skipped, as the command does."""
    place.make("real/r")
    link = f"{place.here}/link"
    os.symlink("real", link)
    chosen = Several(sources=[link], destination="s3://bucket/to/", paths={link: "link"}, recursive=True)
    choice = Choice(move=True)
    told = place.engine.run(explain_transfer, place.engine.aio, chosen, "link", choice)
    assert (told.action, told.rule) == (Action.SKIP, "link")
    (done,) = place.engine.each(several_results(place.engine.aio, chosen, choice))
    assert done.skipped == told.reason


def test_a_source_that_does_not_exist(place: Place) -> None:
    """It fails as the command does, unless another one names the key."""
    place.make("a.txt")
    none, file = f"{place.here}/none/", f"{place.here}/a.txt"
    with pytest.raises(LocalError, match="it does not exist"):
        explained(place, [none], "s3://bucket/to/", "a.txt", Choice())
    assert explained(place, [none, file], "s3://bucket/to/", "a.txt", Choice()).action is Action.UPLOAD


@pytest.mark.parametrize("choice", CHOICES[:-1], ids=range(len(CHOICES) - 1))
@pytest.mark.parametrize("destination", ["s3://bucket/to/", OURS_BELOW])
def test_what_is_said_of_a_copy_is_what_is_done(place: Place, choice: Choice, destination: str) -> None:
    """Of objects that have copies already, and of those that lie in the destination."""
    names = [*NAMES[:3], "below/a.txt"]
    place.put(*(f"ours/{name}" for name in names), "to/a.txt")
    place.put("to/b.o", "to/c.txt", body=b"longer")
    said = {name: explained(place, [OURS], destination, name, choice) for name in names}
    results = place.engine.each(chosen_objects(place.engine.aio, OURS, destination, choice, recursive=True))
    done = {one.source.removeprefix(OURS) for one in results if one.ok and not one.skipped}
    assert {name for name, one in said.items() if one.action is Action.COPY} == done
    if destination == OURS_BELOW and said["below/a.txt"].rule != "filter":
        assert said["below/a.txt"].rule == "place"


def test_one_object_and_several_sources(place: Place) -> None:
    """A single one is known by its last name; of several sources the one that has the key is told of."""
    place.put("ours/a.txt", "ours/p/b.txt", "to/a.txt")
    one = ["s3://bucket/ours/a.txt"]
    told = explained(place, one, "s3://bucket/to/", "a.txt", TEXTS, recursive=False)
    assert (told.action, told.rule) == (Action.COPY, "filter")
    told = explained(place, one, "s3://bucket/to/", "b.txt", TEXTS, recursive=False)
    assert (told.action, told.rule) == (Action.SKIP, "source")
    several = ["s3://bucket/none/", "s3://bucket/ours/p", *one]
    fresh = Choice(overwrite=Overwrite(no_clobber=True))
    told = explained(place, several, "s3://bucket/to/", "b.txt", fresh)
    assert (told.action, told.rule) == (Action.COPY, "presence")
    place.put("to/p/b.txt")
    told = explained(place, several, "s3://bucket/to/", "b.txt", fresh)
    assert (told.action, told.rule) == (Action.SKIP, "overwrite")


def test_one_file_and_what_is_none(place: Place) -> None:
    """A FIFO cannot be uploaded, a file that is missing is not there, and a folder is no file."""
    place.make("sub/a.txt")
    os.mkfifo(place.here / "fifo")
    for key, rule in {"fifo": "file", "none": "presence", "sub": "file"}.items():
        told = explained(place, [str(place.here)], "s3://bucket/to/", key, Choice())
        assert (told.action, told.rule) == (Action.SKIP, rule)
    told = explained(place, [str(place.here / "sub/a.txt")], "s3://bucket/to/", "a.txt", TEXTS, recursive=False)
    assert (told.action, told.rule) == (Action.UPLOAD, "filter")
    with pytest.raises(UsageError, match="name one key"):
        explained(place, [str(place.here)], "s3://bucket/to/", str(place.here), Choice())


@pytest.mark.parametrize(
    ("url", "key", "action", "rule"),
    [
        (OURS, "a.txt", "delete", "filter"),
        (OURS, "keep/b.txt", "skip", "filter"),
        (OURS, "none", "skip", "presence"),
        (f"{OURS}*.txt", "c.o", "skip", "filter"),
        (f"{OURS}none", "none", "delete", "filter"),
        (f"{OURS}a.txt", "c.o", "skip", "source"),
    ],
)
def test_deletions(place: Place, url: str, key: str, action: str, rule: str) -> None:
    """A key that is named is deleted whatever is there; of others those that are there and that filters take."""
    place.put("ours/a.txt", "ours/keep/b.txt", "ours/c.o")
    source = parse_source(url, recursive=url.endswith("/"))
    control = place.engine.aio.control
    for all_versions in (False, True):
        if url.endswith("none") and all_versions:
            continue  # it has no version
        deletion = Deletion(sources=(source,), exclude=("keep/*",), all_versions=all_versions)
        told = place.engine.run(explain_deletion, control, deletion, key)
        assert (told.action, told.rule) == (action, rule)
    assert place.keys("ours/") == ["a.txt", "c.o", "keep/b.txt"]


def test_the_mark_of_a_folder(place: Place) -> None:
    """It is told by its own key, for without the slash it would be another one; filters see its name alone."""
    place.put("ours/end/")
    source = parse_source(f"{OURS}end/", literal=True, marker=True)
    control = place.engine.aio.control
    for exclude, action in (((), Action.DELETE), (("end",), Action.SKIP)):
        deletion = Deletion(sources=(source,), exclude=exclude)
        told = place.engine.run(explain_deletion, control, deletion, "end/")
        assert (told.name, told.action, told.rule) == ("end/", action, "filter")
    assert place.engine.run(explain_deletion, control, deletion, "end").rule == "source"
