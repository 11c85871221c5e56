"""What each server is known not to keep, whatever store is used on it.

Job: the gaps of servers, each by the name of its test and with what the server does instead. Must not know any store.
"""

from __future__ import annotations

from urllib.error import URLError

from bulkhaul.errors import OtherError

from .subjects import Gap

_NO_LOGIN = Gap("it checks no credentials")
_CREATES_BUCKETS = Gap("an object put into a bucket that is not there makes the bucket")

MEMORY = {
    "test_c37_anyone_can_fetch_a_presigned_url": Gap("nothing answers at a stub's URL", (URLError,)),
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
