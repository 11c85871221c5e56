"""Which local path a key gets: inside the destination, one of its own, or none."""

from __future__ import annotations

import os
import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.policy.naming import FileFolderClash, KeyPaths, base_name, folded, local_name, printable
from tests.unit.strategies import HOSTILE_TEXT

REFUSED = {
    "nothing": "",
    "folder": "a/",
    "only a slash": "/",
    "absolute": "/etc/passwd",
    "absolute twice": "//etc/passwd",
    "up": "../x",
    "up in the middle": "a/../../x",
    "up at the end": "a/..",
    "dot": "./x",
    "dot in the middle": "a/./b",
    "only dots": "..",
    "empty segment": "a//b",
    "NUL": "a\0b",
    "NUL in a folder": "a\0/b",
    "256 bytes": "x" * 256,
    "128 letters of two bytes": "é" * 128,
    "64 of four bytes": "😀" * 64,
    "long folder": "y" * 256 + "/z",
    "lone surrogate": "a\udc80",
}

ACCEPTED = {
    "plain": "a",
    "deep": "a/b/c.txt",
    "255 bytes": "x" * 255,
    "127 letters of two bytes": "é" * 127,
    "three dots": "...",
    "hidden": ".bashrc",
    "dots inside": "a..b",
    "backslash": "..\\..\\x",
    "tilde": "~/x",
    "control characters": "a\x1b[2Jb\n",
    "space": " ",
    "dash": "-rf",
}


@pytest.mark.parametrize("relative_key", ["", "folder/"])
def test_what_marks_a_folder_says_how_it_is_read(relative_key: str) -> None:
    """A marker that holds bytes is no file below the destination, also where it marks the prefix itself."""
    assert "`bulkhaul cp --raw URL FILE` fetches it" in local_name(relative_key).refused


@pytest.mark.parametrize("key", REFUSED.values(), ids=REFUSED)
def test_keys_that_are_no_plain_names_are_refused_with_a_reason(key: str) -> None:
    """What a file system would take as something else than a name gets no path, and is never rewritten."""
    name = local_name(key)
    assert name.components == ()
    assert name.refused


@pytest.mark.parametrize("key", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_but_harmless_keys_keep_every_character(key: str) -> None:
    """A segment that is a plain file name becomes just that name."""
    name = local_name(key)
    assert name.refused == ""
    assert "/".join(name.components) == key


@given(HOSTILE_TEXT)
@example("..")
@example("a/../b")
def test_no_key_escapes_the_destination(key: str) -> None:
    """Joined to any folder, the path of an accepted key lies below it, and the system takes every component."""
    name = local_name(key)
    assert bool(name.components) != bool(name.refused)
    if name.components:
        path = posixpath.normpath(posixpath.join("/dest", *name.components))
        assert path.startswith("/dest/")
        assert path == "/dest/" + "/".join(name.components), "nothing is left for the system to normalise"
        for component in name.components:
            assert component not in ("", ".", "..")
            assert "/" not in component
            assert "\0" not in component
            assert len(os.fsencode(component)) <= 255


@given(HOSTILE_TEXT, HOSTILE_TEXT)
def test_distinct_keys_never_meet_in_one_file(one: str, other: str) -> None:
    """Two accepted keys have the same path only if they are the same key."""
    first, second = local_name(one).components, local_name(other).components
    if first and second:
        assert (first == second) == (one == other)


@pytest.mark.parametrize(
    ("key", "expected"), [("a/b/c.txt", "c.txt"), ("plain", "plain"), ("../../x", "x"), ("a//b", "b")]
)
def test_one_object_takes_the_last_segment_as_its_name(key: str, expected: str) -> None:
    """Copied into a folder, an object is named by what follows the key's last slash."""
    assert base_name(key).components == (expected,)


@pytest.mark.parametrize("key", ["a/..", "a/.", "a/", "", "a/\0"])
def test_one_object_without_a_safe_last_segment_is_refused(key: str) -> None:
    """A last segment that is no file name is refused like any other."""
    assert base_name(key).refused


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("A",), ("a",), True),
        (("straße",), ("STRASSE",), True),
        (("é",), ("e\u0301",), True),
        (("É", "x"), ("e\u0301", "X"), True),
        (("a", "b"), ("a", "c"), False),
        (("a",), ("b",), False),
    ],
)
def test_paths_that_fold_together_are_found(one: tuple[str, ...], other: tuple[str, ...], same: bool) -> None:
    """Names that differ only by case or by Unicode composition share their folded form."""
    assert (folded(one) == folded(other)) is same


# Files where folders are needed

SEGMENT = st.sampled_from(["a", "b", "a-", "a.", "a0", "ab", "!", "é"])
TREES = st.lists(st.lists(SEGMENT, min_size=1, max_size=4).map("/".join), max_size=25, unique=True)


def clashes(keys: list[str]) -> dict[str, str]:
    """Return for each key the shortest other key that is a folder of it, by comparing all with all."""
    return {
        key: parents[0]
        for key in keys
        if (parents := sorted((other for other in keys if key.startswith(other + "/")), key=len))
    }


@given(TREES)
def test_a_file_where_a_folder_is_needed_is_always_found(keys: list[str]) -> None:
    """On any listing in the order of S3 (UTF-8 bytes) exactly the keys below another key are reported, by its name."""
    listed = sorted(keys, key=lambda key: key.encode())
    watch = FileFolderClash()
    found = {key: parent for key in listed if (parent := watch.parent_of(key))}
    assert found == clashes(listed)


def test_siblings_between_a_file_and_its_folder_do_not_hide_the_clash() -> None:
    """``a``, ``a!``, ``a-b`` sort before ``a/b``, which still clashes with ``a``."""
    watch = FileFolderClash()
    assert [watch.parent_of(key) for key in ("a", "a!", "a-b", "a/b", "a/c/d", "a0", "b")] == [
        "", "", "", "a", "a", "", "",
    ]  # fmt: skip


def test_keys_and_stored_links_of_one_path() -> None:
    """Of ``a`` and its stored link the key has the path; below a link is no folder. Whole keys are told."""
    keys = ["a", "a.rclonelink", "l!", "l.rclonelink", "l/x", "m.rclonelink", "m.rclonelink/x"]
    linking, plain = (KeyPaths("p/", stores_links=stores) for stores in (True, False))
    assert [(found.components, found.refused) for found in map(linking.path_of, keys)] == [
        (("a",), ""),
        ((), "it would be a link where the key 'p/a' is a file"),
        (("l!",), ""),
        (("l",), ""),
        ((), "it needs a folder where the key 'p/l.rclonelink' is a link"),
        (("m",), ""),
        (("m.rclonelink", "x"), ""),
    ]
    assert [key for key in keys if plain.path_of(key).refused] == ["m.rclonelink/x"]


# For terminals


@given(st.text(st.characters()))
def test_printed_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    """Control, bidirectional and other unprintable characters are escaped; all else is shown as it is."""
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\t", "a\\x0ab\\x0d\\x09"),
        ("\x9b", "\\x9b"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2066", "\\u2066"),
        ("\udc80", "\\udc80"),
        ("\U000e0001", "\\U000e0001"),
        ("naïve 日本 😀", "naïve 日本 😀"),
    ],
)
def test_escapes_name_the_character(text: str, shown: str) -> None:
    """C0, C1, bidi controls, surrogates and tags appear by their code."""
    assert printable(text) == shown
