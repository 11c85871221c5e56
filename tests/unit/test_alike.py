"""Items that are written alike: read by one pattern exactly as the parser of XML reads them, or not by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import UnexpectedReply
from bulkhaul.wire.alike import find_alike
from bulkhaul.wire.documents import Columns, Unreadable, _read_all, read
from bulkhaul.wire.lane.list_objects import PAGE

ROW = (
    "<Contents><Key>{key}</Key><LastModified>2024-05-17T12:34:56.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
ABOUT = "<IsTruncated>false</IsTruncated><Name>b</Name>"
TAIL = "<KeyCount>3</KeyCount></ListBucketResult>"
ROWS = "".join(ROW.format(key=key, etag=key * 4, size=size) for key, size in (("a", 1), ("b%2Fc", 22), ("d+e", 0)))
USUAL = HEAD + ABOUT + ROWS + TAIL

FRAGMENTS = (
    *(
        "<Contents>",
        "</Contents>",
        "<Key>",
        "</Key>",
        "<Key/>",
        "<Size>7</Size>",
        "&quot;",
        "&#34;",
        "&amp;",
        "&lt;",
        "&#65;",
    ),
    *("<!--", "-->", "<![CDATA[", "]]>", "<?x", "?>", ">", "<", "&"),
    *("\r", "\n", "\t", " ", "\x01", "\0", "é", "\ufffe"),
    *("<Owner><ID>1</ID></Owner>", ' a="b"', "<More>", "</More>", '"', "<!DOCTYPE x>", "<Contents></Contents>"),
    *(ROW.format(key="z", etag="z", size=9), ROWS, ABOUT, TAIL, ""),
)


def reading(document: bytes, *, by_tree: bool) -> object:
    """Return what a document reads as; what it is refused as where it is."""
    try:
        found = (_read_all if by_tree else read)(document, PAGE)
    except (Unreadable, UnexpectedReply) as error:
        return type(error)
    members = {name: said.items() if isinstance(said, Columns) else said for name, said in found.members.items()}
    return found.root, members


@pytest.mark.parametrize("quote", ["&quot;", "&#34;"])
def test_the_usual_page_is_read_by_the_pattern_and_says_what_is_written_there(quote: str) -> None:
    """Its rows leave the document but for the first; an ETag keeps its quotes, however they are written."""
    alike = find_alike(USUAL.replace("&quot;", quote).encode(), "Contents")
    assert alike is not None
    assert (
        alike.rest.decode() == HEAD + ABOUT + ROW.format(key="a", etag="aaaa", size=1).replace("&quot;", quote) + TAIL
    )
    assert alike.texts["Key"] == ["a", "b%2Fc", "d+e"]
    assert alike.texts["ETag"] == ['"aaaa"', '"b%2Fcb%2Fcb%2Fcb%2Fc"', '"d+ed+ed+ed+e"']
    assert alike.texts["Size"] == ["1", "22", "0"]


@pytest.mark.parametrize(
    "odd",
    [
        USUAL.replace("<Size>22</Size>", ""),
        USUAL.replace("&quot;", "&#34;", 3),
        USUAL.replace("d+e", "d&amp;e"),
        USUAL.replace("d+e", "é"),
        USUAL.replace("d+e", "d\re"),
        USUAL.replace("<Key>d", '<Key x="y">d'),
        USUAL.replace("</Contents><", "</Contents> <"),
        USUAL.replace("</Contents><", "</Contents>text<"),
        USUAL.replace(ROWS, f"<!--{ROWS}-->"),
        USUAL.replace(ROWS, f"<![CDATA[{ROWS}]]>"),
        USUAL.replace("<Size>22", "<Size>2]]>2"),
        USUAL.replace("<StorageClass>STANDARD</StorageClass>", "<Size>3</Size>"),
    ],
)
def test_what_is_unusual_is_left_to_the_parser(odd: str) -> None:
    """Nothing is found, so nothing can be read wrongly."""
    assert find_alike(odd.encode(), "Contents") is None
    assert reading(odd.encode(), by_tree=False) == reading(odd.encode(), by_tree=True)


@pytest.mark.parametrize(
    "odd",
    [
        USUAL.replace(ROWS, f"<More>{ROWS}</More>"),
        USUAL.replace(ROWS, f"<?x {ROWS}?>"),
        USUAL.replace(TAIL, f"<Contents ><Key>late</Key></Contents>{TAIL}"),
        USUAL.replace(TAIL, ROW.format(key="late", etag="z", size=9).replace("Contents>", "Contents >") + TAIL),
        USUAL.replace(TAIL, f"<More>{ROW}</More>{TAIL}"),
        USUAL.replace(HEAD, HEAD.replace("<ListBucketResult", "<Other><ListBucketResult")) + "</Other>",
    ],
)
def test_rows_that_are_no_items_of_the_listing_are_none(odd: str) -> None:
    """Where the first of them stands is the parser's to say."""
    assert reading(odd.encode(), by_tree=False) == reading(odd.encode(), by_tree=True)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(USUAL)), st.sampled_from(FRAGMENTS), st.integers(0, 12)), min_size=1, max_size=4
    )
)
def test_a_page_changed_anywhere_reads_as_by_the_parser_alone(changes: list[tuple[int, str, int]]) -> None:
    """Both read it the same, or both refuse it."""
    document = USUAL
    for at, fragment, taken in changes:
        document = document[:at] + fragment + document[at + taken :]
    body = document.encode()
    assert reading(body, by_tree=False) == reading(body, by_tree=True)


@given(at=st.integers(0, len(USUAL)))
def test_a_page_cut_off_anywhere_is_refused(at: int) -> None:
    """A page that ends early is no shorter page."""
    body = USUAL[:at].encode()
    assert reading(body, by_tree=False) == (Unreadable if at < len(USUAL) else reading(body, by_tree=True))
