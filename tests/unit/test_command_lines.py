"""The lines of a file of commands: words as in a shell, and the lines that need no parser of their command."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.errors import UsageError
from bulkhaul.policy.command_lines import PlainLine, plain_line, plain_words, words_of


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" \t ", []),
        ("# line comments are supported", []),
        ("   # and after blanks", []),
        ("ls # inline comments are OK too", ["ls"]),
        ("ls #", ["ls"]),
        ("cp f s3://b/a#1", ["cp", "f", "s3://b/a#1"]),
        ("cp 'a # b' s3://b/", ["cp", "a # b", "s3://b/"]),
        (r"cp \#a s3://b/", ["cp", "#a", "s3://b/"]),
        ("cp ''#a s3://b/", ["cp", "#a", "s3://b/"]),
        ("cp s3://bucket/2020/03/* logs/2020/03/", ["cp", "s3://bucket/2020/03/*", "logs/2020/03/"]),
        ('cp "a b" s3://b/', ["cp", "a b", "s3://b/"]),
        ("cp 'a b' s3://b/", ["cp", "a b", "s3://b/"]),
        (r"cp a\ b s3://b/", ["cp", "a b", "s3://b/"]),
        (r'cp "a \$x \"q\" \\ \n" y', ["cp", 'a $x "q" \\ \\n', "y"]),
        (r"cp 'a\b' y", ["cp", r"a\b", "y"]),
        ("cp it\"'\"s'\"'y", ["cp", "it's\"y"]),
        ("cp '' y", ["cp", "", "y"]),
        ("cp\ta\t\tb\t", ["cp", "a", "b"]),
        ("rm s3://b/ä\u00a0ö", ["rm", "s3://b/ä\u00a0ö"]),
        ("s5cmd cp a s3://b/", ["cp", "a", "s3://b/"]),
        ("bulkhaul rm s3://b/k", ["rm", "s3://b/k"]),
        ("s5cmd", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    """Quotes, backslashes and comments are those of POSIX.1-2017, Shell Command Language, 2.2 and 2.3."""
    assert words_of(line) == words


@pytest.mark.parametrize(
    ("line", "says"), [("cp 'a b", "quote"), ('cp "a b', "quote"), ('cp "a\\"', "quote"), ("cp a\\", "backslash")]
)
def test_what_is_not_closed(line: str, says: str) -> None:
    """An open quote, and a backslash that escapes nothing, are refused."""
    with pytest.raises(UsageError, match=says):
        words_of(line)


@given(st.lists(st.text(min_size=0).filter(lambda text: "\n" not in text), min_size=1))
def test_what_is_quoted_comes_back(words: list[str]) -> None:
    """Every word, quoted as shlex quotes it, is read as it was."""
    line = shlex.join(words)
    assert words_of(line) == (words[1:] if words[0] in ("s5cmd", "bulkhaul") else words)


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("cp s3://b/k dir/k", PlainLine("cp", "s3://b/k", "dir/k")),
        ("cp s3://b/k .", PlainLine("cp", "s3://b/k", ".")),
        ("s5cmd mv  s3://b/k\ts3://c/", PlainLine("mv", "s3://b/k", "s3://c/")),
        ("cp a#b s3://b/k#1", PlainLine("cp", "a#b", "s3://b/k#1")),
        ("cp s3://b/ä ö", PlainLine("cp", "s3://b/ä", "ö")),
        ("rm s3://b/k", PlainLine("rm", "s3://b/k")),
    ],
)
def test_plain_lines(line: str, plain: PlainLine) -> None:
    """Two words without an option, a quote or a pattern are one object's."""
    assert plain_line(line) == plain
    assert plain_words(words_of(line)) == plain


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("cp 's3://b/a b' dir/", PlainLine("cp", "s3://b/a b", "dir/")),
        (r"mv a\ b s3://b/ # why", PlainLine("mv", "a b", "s3://b/")),
        ('rm "s3://b/#"', PlainLine("rm", "s3://b/#")),
        ("cp 's3://b/*' d", None),
        ("cp '-r' s3://b/", None),
        ("cp '' s3://b/", None),
        ("cp s3://b/k ''", None),
        ("rm s3://b/k ''", None),
        ("rm", None),
        ("ls s3://b/k d", None),
    ],
)
def test_plain_words(line: str, plain: PlainLine | None) -> None:
    """So are words that were quoted."""
    assert plain_words(words_of(line)) == plain


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "#",
            "# cp s3://b/k d",
            "cp",
            "cp s3://b/k",
            "rm s3://b/k s3://b/l",
            "rm k",
            "ls s3://b/k",
            "xcp s3://b/k d",
        ),
        *("cp s3://b/k d # why", "cp s3://b/k #d", "cp -r s3://b/k d", "cp s3://b/k -d", "cp s3://b/k d e"),
        *("cp s3://b/* d", "cp s3://b/a? d", "rm s3://b/*", "cp *.gz s3://b/", "cp s3://b/k 'd'", "cp s3://b/k\\ d"),
        *(
            "cp s3://b/ d",
            "cp s3://b d",
            "cp s3:///k d",
            "rm s3://b/p/",
            "cp a b",
            "cp s3://b/k gs://b/k",
            "cp x://y s3://b/",
        ),
        *("cp s3://arn:aws:s3:us-east-1:1:accesspoint/p d", "cp s3://b/\udcff d", "cp - s3://b/k", "cp s3://b/k -"),
    ],
)
def test_other_lines(line: str) -> None:
    """Everything else goes to the parser of its command."""
    assert plain_line(line) is None


@given(st.from_regex(r"(s5cmd )?(cp|mv|rm|ls) [ -~ä]{0,12} ?(s3://b/)?[ -~ä]{0,12}", fullmatch=True))
@example("cp s3://b/k s3://b/l")
@example("rm s3://b/k")
def test_a_plain_line_is_what_its_words_are(line: str) -> None:
    """What the short way reads is what the long one reads."""
    if (plain := plain_line(line)) is not None:
        assert plain_words(words_of(line)) == plain
        assert words_of(line) == [word for word in (plain.command, plain.source, plain.destination) if word]
