"""What a source URL names and which keys it takes."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.errors import InvalidUrl, UsageError
from bulkhaul.policy.selection import (
    Source,
    parse_destination,
    parse_listing,
    parse_source,
    selector,
    wildcard_regex,
)


@pytest.mark.parametrize(
    ("url", "recursive", "expected"),
    [
        ("s3://b1/k", False, Source("b1", key="k")),
        ("s3://b1/a/b/c.txt", False, Source("b1", key="a/b/c.txt")),
        ("s3://b1//a//b", False, Source("b1", key="/a//b")),
        ("s3://b1/../x y%20#z", False, Source("b1", key="../x y%20#z")),
        ("s3://b1/logs/", True, Source("b1", prefix="logs/", base="logs/", many=True)),
        ("s3://b1/logs", True, Source("b1", prefix="logs/", base="logs/", many=True)),
        ("s3://b1", True, Source("b1", many=True)),
        ("s3://b1/", True, Source("b1", many=True)),
        ("s3://b1/logs/*.gz", False, Source("b1", prefix="logs/", base="logs/", pattern="logs/*.gz", many=True)),
        ("s3://b1/lo*/x", False, Source("b1", prefix="lo", base="", pattern="lo*/x", many=True)),
        ("s3://b1/a/b?", False, Source("b1", prefix="a/b", base="a/", pattern="a/b?", many=True)),
        ("s3://b1/*", False, Source("b1", pattern="*", many=True)),
        ("s3://b1/x*/", True, Source("b1", prefix="x", base="", pattern="x*/*", many=True)),
    ],
)
def test_a_url_names_one_object_a_prefix_or_a_pattern(url: str, recursive: bool, expected: Source) -> None:
    """Keys are taken as they are; a prefix is cut at a slash; a path begins after the last slash before a wildcard."""
    assert parse_source(url, recursive=recursive) == expected


@pytest.mark.parametrize(
    "url", ["", "b/k", "http://b/k", "S3://b/k", "s3:/b/k", "s3://", "s3:///k", "s3://b b/k", "s3://../k"]
)
def test_a_url_without_scheme_or_bucket_is_invalid(url: str) -> None:
    """What does not begin with s3:// and a bucket is refused, and the error names it."""
    with pytest.raises(InvalidUrl) as caught:
        parse_source(url)
    assert caught.value.subject == url
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("url", ["s3://b1", "s3://b1/", "s3://b1/logs/"])
def test_a_prefix_without_recursive_is_a_usage_error(url: str) -> None:
    """A folder is not restored by accident: the message says what to add."""
    with pytest.raises(UsageError, match="--recursive"):
        parse_source(url)


GLOB_TEXT = st.text("ab/.[]!^$\\\n-*?", max_size=8)


@given(GLOB_TEXT, st.text("ab/.[]!^$\\\n-", max_size=8))
def test_only_star_and_question_mark_are_special(pattern: str, key: str) -> None:
    """A pattern matches as a shell pattern does in which brackets are escaped; slashes and newlines are characters."""
    reference = fnmatch.translate(pattern.replace("[", "[[]"))
    assert bool(re.fullmatch(wildcard_regex(pattern), key, re.DOTALL)) == bool(re.match(reference, key))


@pytest.mark.parametrize(
    ("url", "taken", "left"),
    [
        ("s3://b1/logs/*.gz", ["logs/a.gz", "logs/x/y.gz", "logs/.gz"], ["logs/a.gzip", "a.gz", "logsa.gz"]),
        ("s3://b1/a?c", ["abc", "a/c"], ["ac", "abbc", "abcd"]),
        ("s3://b1/a[1]*", ["a[1]", "a[1]x"], ["a1"]),
        ("s3://b1/a.b*", ["a.b", "a.bc"], ["axb"]),
        ("s3://b1/*\n", ["x\n", "x\ny\n"], ["x"]),
    ],
)
def test_a_pattern_takes_whole_keys(url: str, taken: list[str], left: list[str]) -> None:
    """A pattern is matched against the whole key."""
    takes = selector(parse_source(url))
    assert [key for key in taken + left if takes(key)] == taken


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ([], [], ["d/a.txt", "d/b.log", "d/x/c.txt"]),
        (["*.txt"], [], ["d/a.txt", "d/x/c.txt"]),
        (["*.txt", "*.log"], [], ["d/a.txt", "d/b.log", "d/x/c.txt"]),
        ([], ["x/*"], ["d/a.txt", "d/b.log"]),
        (["*.txt"], ["x/*"], ["d/a.txt"]),
        (["d/*"], [], []),
        ([], ["*"], []),
        ([], ["*", "!*.txt"], ["d/a.txt", "d/x/c.txt"]),
        (["*.txt"], ["x/*", "!x/c*"], ["d/a.txt", "d/x/c.txt"]),
    ],
)
def test_filters_look_at_the_path_below_the_destination(
    include: list[str], exclude: list[str], taken: list[str]
) -> None:
    """Of ``include``, then ``exclude``, the last one that matches decides, and ``!`` takes back in."""
    takes = selector(parse_source("s3://b1/d/", recursive=True), include, exclude)
    assert [key for key in ("d/a.txt", "d/b.log", "d/x/c.txt") if takes(key)] == taken


def test_a_recursive_prefix_takes_everything_below_it() -> None:
    """Without a pattern the listing's prefix alone decides."""
    takes = selector(parse_source("s3://b1/d", recursive=True))
    assert takes("d/a")
    assert takes("d/x/y\n")


def test_a_literal_key_may_hold_wildcards() -> None:
    """One object can be named whatever characters its key holds."""
    source = parse_source("s3://bucket/what?*", literal=True)
    assert (source.key, source.many) == ("what?*", False)


def test_an_access_point_is_a_bucket() -> None:
    """The slash inside an access point's ARN does not end the bucket's name."""
    arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-point"
    source = parse_source(f"s3://{arn}/a/key")
    assert (source.bucket, source.key) == (arn, "a/key")


@pytest.mark.parametrize(
    "bucket", ["arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-lambda", "my-lambda-a1b2--ol-s3"]
)
def test_object_lambda_is_refused(bucket: str) -> None:
    """It gives other bytes than HEAD and listings tell of: nothing that is promised could be kept."""
    for parse in (parse_source, parse_listing, parse_destination):
        with pytest.raises(UsageError, match="Object Lambda"):
            parse(f"s3://{bucket}/key")
