"""What each store or server is known not to keep.

Job: the gaps, each by the name of its test and with what is done instead; those of servers are any store's on them.
"""

from __future__ import annotations

from urllib.error import URLError

from bulkhaul.errors import LocalError, OtherError, UnsafeKey, Unsupported

from .subjects import Gap

_NO_LOGIN = Gap("it checks no credentials")
_CREATES_BUCKETS = Gap("an object put into a bucket that is not there makes the bucket")

MEMORY = {
    "test_c37_anyone_can_fetch_a_presigned_url": Gap("nothing answers at a stub's URL", (URLError,)),
    "test_c51_unknown_credentials_are_access_denied": Gap("it has no credentials"),
    "test_c56_an_endpoint_that_nobody_listens_at_is_a_network_error": Gap("it has no network"),
}

_NO_PATH = Gap("a key that is no path is refused", (UnsafeKey,))
_A_TREE = Gap("a file cannot lie below another one: the second of the two is refused", (LocalError,))
_NO_URLS = Gap("nobody serves the files of a folder", (Unsupported,))

LOCAL = {
    "test_c1_a_double_slash_is_kept": _NO_PATH,
    "test_c1_dots_are_no_path": _NO_PATH,
    "test_c1_a_slash_at_the_end_is_part_of_the_key": _NO_PATH,
    "test_c1_a_slash_at_the_beginning_is_part_of_the_key": _NO_PATH,
    "test_c1_an_object_may_lie_below_another": _A_TREE,
    "test_c7_a_prefix_is_compared_character_by_character": _A_TREE,
    "test_c7_an_empty_prefix_finds_everything": _A_TREE,
    "test_c36_only_the_named_object_is_deleted": _A_TREE,
    "test_c37_a_presigned_url_is_signed_for_its_time": _NO_URLS,
    "test_c37_anyone_can_fetch_a_presigned_url": _NO_URLS,
    "test_c37_nothing_is_checked_for_a_presigned_url": _NO_URLS,
    "test_c51_unknown_credentials_are_access_denied": Gap("it has no credentials"),
    "test_c56_an_endpoint_that_nobody_listens_at_is_a_network_error": Gap("it has no network"),
}

WEED = {
    "test_c1_a_double_slash_is_kept": Gap("it stores a//b as a/b, over whatever is there"),
    "test_c1_dots_are_no_path": Gap("it refuses a key with . or .. as a segment", (OtherError,)),
    "test_c1_a_slash_at_the_end_is_part_of_the_key": Gap(
        "a key with a slash at its end is a folder, and loses its body"
    ),
    "test_c1_a_slash_at_the_beginning_is_part_of_the_key": Gap("it stores /a as a, over whatever is there"),
    "test_c1_a_backslash_is_no_slash": Gap("it stores a backslash as a slash, over whatever is there"),
    "test_c4_an_empty_value_of_metadata_is_kept": Gap("it drops metadata without a value"),
    "test_c28_a_failure_is_no_answer": _CREATES_BUCKETS,
    "test_c50_a_missing_bucket_is_not_found": _CREATES_BUCKETS,
}

MINISTACK = {"test_c51_unknown_credentials_are_access_denied": _NO_LOGIN}

MOTO = {"test_c51_unknown_credentials_are_access_denied": _NO_LOGIN}
