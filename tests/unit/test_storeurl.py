"""What the URL of a store means; rows C2 and C58-C67 of the store's contract."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bulkhaul.model.errors import InvalidUrl
from bulkhaul.policy.plainhttp import truthy
from bulkhaul.policy.storeurl import StoreUrl, check_bucket, flag_boolean, join_key, parse_store_url

AWS = "s3+https://photos.s3.eu-west-1.amazonaws.com"


def wrong(text: str, *, allow_http: bool = False) -> str:
    """Return the message that the URL is refused with."""
    with pytest.raises(InvalidUrl) as caught:
        parse_store_url(text, allow_http=allow_http)
    return caught.value.message


def place(text: str) -> tuple[str, str, str | None, str]:
    """Return (bucket, prefix, endpoint, addressing) of a URL."""
    url = parse_store_url(text, allow_http=True)
    return url.bucket, url.prefix, url.endpoint_url, url.addressing


# C2


@pytest.mark.parametrize(
    ("prefix", "suffix", "key"),
    [
        ("a/b", "c", "a/b/c"),
        ("a", "b/c", "a/b/c"),
        ("a/b", "", "a/b/"),
        ("", "c", "c"),
        (None, "c", "c"),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_c2_keys_are_joined_without_a_leading_slash(prefix: str | None, suffix: str, key: str) -> None:
    """No prefix: the suffix alone; no suffix: the prefix with a slash."""
    assert join_key(prefix, suffix) == key


# C58


@pytest.mark.parametrize(
    ("text", "scheme", "endpoint"),
    [
        ("s3+https://s3.example.com/photos/a", "https", "https://s3.example.com"),
        ("s3+https://s3.example.com:9000/photos/a", "https", "https://s3.example.com:9000"),
        ("s3+http://localhost:9000/photos/a", "http", "http://localhost:9000"),
        ("  s3+https://s3.example.com/photos/a\n", "https", "https://s3.example.com"),
        ("S3+HTTPS://S3.Example.COM/photos/a", "https", "https://s3.example.com"),
        ("s3://photos/a", "s3", None),
        ("\ts3://photos/a ", "s3", None),
    ],
)
def test_c58_three_schemes_are_read_and_trimmed(text: str, scheme: str, endpoint: str | None) -> None:
    """``s3+https``, ``s3+http`` and ``s3`` name a store, whatever surrounds them."""
    url = parse_store_url(text)
    assert (url.scheme, url.endpoint_url, url.bucket, url.prefix) == (scheme, endpoint, "photos", "a")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the URL is empty"),
        ("   ", "the URL is empty"),
        ("s3+ftp://host/photos", "the scheme is not supported"),
        ("https://host/photos", "did you mean s3+https://?"),
        ("http://host/photos", "did you mean s3+http://?"),
        ("photos/a", "the scheme is not supported"),
        ("s3+https:/host/photos", "the scheme is not supported"),
        ("az+https://account.blob.core.windows.net/c", "Azure is not supported"),
        ("s3+https://", "the host is missing"),
        ("s3+https:///photos/a", "the host is missing"),
        ("s3+https://:9000/photos", "the host is missing"),
        ("s3+https://?region=eu-west-1", "the host is missing"),
        ("s3://", "the bucket is missing after s3://"),
        ("s3:///a", "the bucket is missing after s3://"),
        ("s3://me:word@photos/a", "the bucket is preceded by a user or password"),
        ("s3+https://me:word@host/photos", "the host is preceded by a user or password"),
        ("s3+https://s3.example.com", "the bucket is missing"),
        ("s3+https://s3.example.com//?region=a", "the bucket is missing"),
        ("s3+https://s3.example.com:0/photos", "the port must be"),
        ("s3+https://s3.example.com:65536/photos", "the port must be"),
        ("s3+https://s3.example.com:ninety/photos", "the port must be"),
        ("s3+https://s3.example.com:٣/photos", "the port must be"),
        ("s3+https://::1/photos", "the host is no name or address"),
        ("s3+https://[::1/photos", "the host is no name or address"),
        ("s3+https://[::g]/photos", "the host is no name or address"),
        ("s3+https://[fe80::1%eth0]/photos", "the host is no name or address"),
        ("s3+https://[::1]x/photos", "the host is no name or address"),
        ("s3+https://999.1.1.1/photos", "the host is no name or address"),
        ("s3+https://a..b/photos", "the host is no name or address"),
        ("s3+https://s3.amazonaws.com./photos", "the host is no name or address"),
        ("s3+https://-a.example/photos", "the host is no name or address"),
        ("s3+https://h%6fst/photos", "the host is no name or address"),
        ("s3+https://localhost\\.example/photos", "the host is no name or address"),
        ("s3+https://bücher.example/photos", "the host is no name or address"),
        ("s3+https://host/photos/a\x00b", "control character"),
        ("s3+https://host/photos/a\r\nb", "control character"),
        ("s3://photos/\udcff", "not valid UTF-8"),
    ],
)
def test_c58_the_error_names_the_wrong_part(text: str, part: str) -> None:
    """Empty, another scheme, no host, no bucket, a bad port: each has a message of its own."""
    assert part in wrong(text, allow_http=True)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("s3+https://AKIA:se/cr?et#x@host/photos", "s3+https://…"),
        ("s3+https://AKIA:se/cret@host/photos", "s3+https://…@host/photos"),
        ("s3+https://AKIA:secret@host/photos", "s3+https://…@host/photos"),
        ("s3+https://secret@host/photos", "s3+https://…@host/photos"),
        ("s3://AKIA:se/cret@photos/a", "s3://…@photos/a"),
        ("s3://secret@photos", "s3://…@photos"),
        ("s3://AKIA:se?cret@photos", "s3://…"),
        ("AKIA:secret@photos", "…@photos"),
        ("ftp://AKIA:secret@photos?secret", "ftp://…@photos"),
        (f"{AWS}/a?X-Amz-Signature=secret", f"{AWS}/a"),
        (f"{AWS}/a?secret", f"{AWS}/a"),
        (f"{AWS}/a?zip=secret", f"{AWS}/a"),
        (f"{AWS}/a?addressing=secret", f"{AWS}/a"),
        (f"{AWS}/a?engine=secret", f"{AWS}/a"),
        (f"{AWS}/a?bundle_uri_presign_ttl=secret", f"{AWS}/a"),
        (f"{AWS}/a?profile=%00secret#secret", f"{AWS}/a"),
        ("s3://ab/x#y?credential=secret", "s3://ab/x#y"),
        ("s3+https://host/ab\x1b[2J", "s3+https://host/ab�[2J"),
    ],
)
def test_c58_an_error_shows_the_url_without_its_secrets(text: str, subject: str) -> None:
    """User, password and query are left out of the whole error; so is what a terminal would act on."""
    with pytest.raises(InvalidUrl) as caught:
        parse_store_url(text)
    assert caught.value.subject == subject
    assert not {"secret", "cret", "se/cr", "AKIA"} & {
        word for word in ("secret", "cret", "se/cr", "AKIA") if word in repr(caught.value) + str(caught.value)
    }


# C59


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.255.3.4", "[::1]", "[0:0::1]"])
def test_c59_http_reaches_loopback(host: str) -> None:
    """``localhost``, 127/8 and ::1 need no permission, with or without a port."""
    assert parse_store_url(f"s3+http://{host}/photos").scheme == "http"
    assert parse_store_url(f"s3+http://{host}:9000/photos").scheme == "http"


@pytest.mark.parametrize(
    "host",
    ["s3.example.com", "localhost.example.com", "photos.localhost", "128.0.0.1", "0.0.0.0", "[::2]", "[::ffff:7f00:1]"],  # noqa: S104
)
def test_c59_http_beyond_loopback_must_be_allowed(host: str) -> None:
    """Any other host is refused, unless http is allowed; https never is."""
    assert "the scheme s3+http would send to a host beyond loopback" in wrong(f"s3+http://{host}/photos")
    assert parse_store_url(f"s3+http://{host}/photos", allow_http=True).scheme == "http"
    assert parse_store_url(f"s3+https://{host}/photos").scheme == "https"


@pytest.mark.parametrize("host", ["localhost@evil.example", "127.0.0.1:80@evil.example", "localhost\\@evil.example"])
def test_c59_a_user_that_looks_like_loopback_opens_nothing(host: str) -> None:
    """Whatever stands before an @ is no host."""
    assert wrong(f"s3+http://{host}/photos").startswith("the host is preceded by a user or password")


@pytest.mark.parametrize(
    ("text", "on"),
    [
        *[(token, True) for token in ("1", "true", "yes", "on", "TRUE", "Yes", "oN")],
        *[(token, False) for token in ("0", "false", "no", "off", "", "2", "enable", "y", "t", " 1", "11")],
        (None, False),
    ],
)
def test_c59_only_known_words_switch_on(text: str | None, on: bool) -> None:
    """1, true, yes and on, in any case; a word that is not known leaves it closed."""
    assert truthy(text) is on


# C60


def test_c60_every_flag_is_read_into_its_field() -> None:
    """All flags at once, for a URL with an endpoint; values are form-encoded."""
    query = (
        "profile=my+home%2Fx&region=eu-north-1&addressing=path&engine=packchain&zip=1&bundle_uri=Yes"
        "&bundle_uri_presign_ttl=3600&credential=PROD"
    )
    assert parse_store_url(f"s3+https://h/photos/a?{query}") == StoreUrl(
        scheme="https",
        bucket="photos",
        prefix="a",
        endpoint_url="https://h",
        region="eu-north-1",
        profile="my home/x",
        addressing="path",
        engine="packchain",
        zip=True,
        bundle_uri=True,
        bundle_uri_presign_ttl=3600,
        credential="PROD",
    )


def test_c60_s3_urls_take_the_same_flags() -> None:
    """Flags without an endpoint: what they leave out stays unset, for the settings to decide."""
    assert parse_store_url("s3://photos/a?region=eu-north-1&profile=home&addressing=virtual") == StoreUrl(
        scheme="s3", bucket="photos", prefix="a", region="eu-north-1", profile="home", addressing="virtual"
    )
    assert parse_store_url("s3://photos?") == StoreUrl(scheme="s3", bucket="photos")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(token, True) for token in ("1", "true", "yes", "on", "TRUE", "Yes", "oN")],
        *[(token, False) for token in ("0", "false", "no", "off", "FALSE", "No", "oFF")],
    ],
)
def test_c60_booleans_are_read_in_any_case(text: str, value: bool) -> None:
    """Four words each for yes and no."""
    assert flag_boolean("zip", text) is value
    assert parse_store_url(f"{AWS}?zip={text}").zip is value
    assert parse_store_url(f"{AWS}?bundle_uri={text}").bundle_uri is value


@pytest.mark.parametrize("text", ["", "2", "y", "enable", "-1", " 1"])
def test_c60_a_boolean_that_is_neither_is_an_error(text: str) -> None:
    """Unlike a variable of the environment, a flag is never guessed at; the message names it."""
    with pytest.raises(InvalidUrl, match=r"^flag bundle_uri must be"):
        flag_boolean("bundle_uri", text)


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("zip=maybe", "flag zip must be 1, true, yes or on"),
        ("zip=", "flag zip must be"),
        ("bundle_uri=2", "flag bundle_uri must be"),
        ("addressing=Path", "flag addressing must be path or virtual"),
        ("addressing=auto", "flag addressing must be path or virtual"),
        ("addressing=", "flag addressing must be path or virtual"),
        ("engine=pack", "flag engine must be bundle or packchain"),
        ("engine=Bundle", "flag engine must be bundle or packchain"),
        ("bundle_uri_presign_ttl=0", "flag bundle_uri_presign_ttl must be 1 to 604800 seconds"),
        ("bundle_uri_presign_ttl=604801", "flag bundle_uri_presign_ttl must be 1 to 604800 seconds"),
        ("bundle_uri_presign_ttl=-1", "flag bundle_uri_presign_ttl must be"),
        ("bundle_uri_presign_ttl=1.5", "flag bundle_uri_presign_ttl must be"),
        ("bundle_uri_presign_ttl=٣", "flag bundle_uri_presign_ttl must be"),
        (f"bundle_uri_presign_ttl={'9' * 5000}", "flag bundle_uri_presign_ttl must be"),
        ("profile=", "flag profile is empty"),
        ("region=", "flag region is empty"),
        ("region=a%0Ab", "flag region is empty or holds a control character"),
        ("credential=", "flag credential is empty"),
        ("profil=home", "flag 'profil' is unknown"),
        ("Profile=home", "flag 'Profile' is unknown"),
        ("X-Amz-Expires=3", "flag 'X-Amz-Expires' is unknown"),
        ("=home", "flag '' is unknown"),
        ("zip", "the query holds something other than flag=value"),
        ("zip=1&zip=0", "flag zip is given twice"),
        ("region=a&region=a", "flag region is given twice"),
        ("profile=%ff", "the query is not valid UTF-8"),
    ],
)
@pytest.mark.parametrize("base", [AWS, "s3://photos"])
def test_c60_an_unknown_flag_or_a_bad_value_is_an_error(base: str, query: str, part: str) -> None:
    """Nothing in the query is passed over in silence."""
    assert part in wrong(f"{base}?{query}")


@pytest.mark.parametrize(("text", "ttl"), [("1", 1), ("604800", 604800), ("0060", 60)])
def test_c60_the_presign_ttl_reaches_both_ends_of_its_range(text: str, ttl: int) -> None:
    """One second and seven days are the limits."""
    assert parse_store_url(f"{AWS}?bundle_uri_presign_ttl={text}").bundle_uri_presign_ttl == ttl


# C61


@pytest.mark.parametrize(
    ("host", "bucket", "endpoint"),
    [
        ("photos.s3.us-west-2.amazonaws.com", "photos", "s3.us-west-2.amazonaws.com"),
        ("photos.s3-us-west-2.amazonaws.com", "photos", "s3-us-west-2.amazonaws.com"),
        ("photos.s3.amazonaws.com", "photos", "s3.amazonaws.com"),
        ("photos.s3.dualstack.eu-west-1.amazonaws.com", "photos", "s3.dualstack.eu-west-1.amazonaws.com"),
        ("photos.s3-fips.us-gov-west-1.amazonaws.com", "photos", "s3-fips.us-gov-west-1.amazonaws.com"),
        ("photos.s3.cn-north-1.amazonaws.com.cn", "photos", "s3.cn-north-1.amazonaws.com.cn"),
        ("photos.s3-accelerate.amazonaws.com", "photos", "s3-accelerate.amazonaws.com"),
        ("example.com.s3.us-west-2.amazonaws.com", "example.com", "s3.us-west-2.amazonaws.com"),
        ("photos.s3.us-west-004.backblazeb2.com", "photos", "s3.us-west-004.backblazeb2.com"),
        ("photos.s3.eu-central-1.wasabisys.com", "photos", "s3.eu-central-1.wasabisys.com"),
        ("photos.s3.wasabisys.com", "photos", "s3.wasabisys.com"),
        ("photos.s3.fr-par.scw.cloud", "photos", "s3.fr-par.scw.cloud"),
        ("photos.s3.gra.io.cloud.ovh.net", "photos", "s3.gra.io.cloud.ovh.net"),
        ("photos.s3.localhost.localstack.cloud:4566", "photos", "s3.localhost.localstack.cloud:4566"),
        ("photos.s3.eu-west-1.example.com:8443", "photos", "s3.eu-west-1.example.com:8443"),
        ("photos.s3-eu-west-1.example.com", "photos", "s3-eu-west-1.example.com"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "2024/may"])
def test_c61_a_host_with_the_infix_holds_the_bucket(host: str, bucket: str, endpoint: str, prefix: str) -> None:
    """AWS, known providers, and hosts with a region: the bucket is before the infix, the path is all prefix."""
    assert place(f"s3+https://{host}/{prefix}") == (bucket, prefix, f"https://{endpoint}", "virtual")


@pytest.mark.parametrize(
    ("host", "bucket", "endpoint"),
    [
        ("my.s3.photos.s3.us-west-2.amazonaws.com", "my.s3.photos", "s3.us-west-2.amazonaws.com"),
        ("my.s3-photos.s3.us-west-2.amazonaws.com", "my.s3-photos", "s3.us-west-2.amazonaws.com"),
        ("my.s3.photos.s3-us-west-2.amazonaws.com", "my.s3.photos", "s3-us-west-2.amazonaws.com"),
        ("my.s3.photos.s3.dualstack.eu-west-1.amazonaws.com", "my.s3.photos", "s3.dualstack.eu-west-1.amazonaws.com"),
        ("my.s3.photos.s3.eu-west-1.example.com", "my.s3.photos", "s3.eu-west-1.example.com"),
    ],
)
def test_c61_rightmost_infix_splits_the_bucket(host: str, bucket: str, endpoint: str) -> None:
    """A dotted bucket may hold the infix itself; only the last one is the service's."""
    assert place(f"s3+https://{host}/a") == (bucket, "a", f"https://{endpoint}", "virtual")


@pytest.mark.parametrize(
    "host",
    [
        "s3.us-west-2.amazonaws.com",
        "s3.amazonaws.com",
        "s3-us-west-2.amazonaws.com",
        "s3.dualstack.eu-west-1.amazonaws.com",
        "s3.cn-north-1.amazonaws.com.cn",
        "account.r2.cloudflarestorage.com",
        "play.min.io",
        "s3.example.com",
        "localhost:9000",
        "127.0.0.1:9000",
        "[::1]:9000",
        "my_minio:9000",
    ],
)
def test_c61_without_an_infix_the_first_segment_is_the_bucket(host: str) -> None:
    """Path-style is what is left: the endpoint is the host as it was written."""
    assert place(f"s3+https://{host}/photos/2024/may") == ("photos", "2024/may", f"https://{host}", "path")


@pytest.mark.parametrize(
    "host",
    [
        "minio.s3.corp",
        "minio.s3.corp:9000",
        "minio.s3.example.com",
        "node1.s3.storage.internal",
        "minio.s3-gateway.example.com",
        "minio.s3.eu-west-1.corp",
        "ab.s3.eu-west-1.example.com",
        "amazonaws.com.s3.corp",
    ],
)
def test_c61_a_host_that_only_looks_like_a_bucket_stays_an_endpoint(host: str) -> None:
    """No region with a domain after the infix, no known provider, or no possible bucket before it: path-style."""
    assert place(f"s3+https://{host}/photos/2024") == ("photos", "2024", f"https://{host}", "path")
    assert "add addressing=virtual" in wrong(f"s3+https://{host}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "photos.s3.us-west-2.amazonaws.com/mine/a?addressing=path",
            ("mine", "a", "https://photos.s3.us-west-2.amazonaws.com", "path"),
        ),
        ("minio.s3.corp/a?addressing=virtual", ("minio", "a", "https://s3.corp", "virtual")),
        ("my.own.s3.corp/a?addressing=virtual", ("my.own", "a", "https://s3.corp", "virtual")),
        ("photos.example.com:9000/a?addressing=virtual", ("photos", "a", "https://example.com:9000", "virtual")),
        ("photos.cdn.example.com?addressing=virtual", ("photos", "", "https://cdn.example.com", "virtual")),
        ("photos.localhost/a?addressing=virtual", ("photos", "a", "https://localhost", "virtual")),
        ("s3.example.com/photos/a?addressing=path", ("photos", "a", "https://s3.example.com", "path")),
    ],
)
def test_c61_the_override_wins(text: str, expected: tuple[str, str, str, str]) -> None:
    """``path`` takes the segment whatever the host; ``virtual`` the part before the infix, else the first label."""
    assert place(f"s3+https://{text}") == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", None),
        (
            "photos.bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com",
            ("photos", "", "https://bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", "virtual"),
        ),
    ],
)
def test_c61_the_name_of_a_private_link_is_no_bucket(host: str, expected: tuple[str, str, str, str] | None) -> None:
    """``bucket.vpce-…`` belongs to the endpoint, and what precedes it is the bucket."""
    if expected is None:
        assert place(f"s3+https://{host}/photos") == ("photos", "", f"https://{host}", "path")
        assert "the host holds no bucket" in wrong(f"s3+https://{host}/photos?addressing=virtual")
    else:
        assert place(f"s3+https://{host}") == expected
    assert parse_store_url(f"s3+https://{host}/photos").region == "us-east-1"


# C62


@pytest.mark.parametrize(
    "head", ["s3", "s3.us-west-2", "s3-us-west-2", "photos.s3", "photos.s3.us-west-2", "photos.s3-us-west-2"]
)
@pytest.mark.parametrize("domain", ["amazonaws.com", "amazonaws.com.cn"])
def test_c62_hosts_of_aws_that_name_s3_are_taken(head: str, domain: str) -> None:
    """``s3``, ``s3.R``, ``s3-R``, ``*.s3`` and every infix."""
    assert parse_store_url(f"s3+https://{head}.{domain}/photos").bucket == "photos"


@pytest.mark.parametrize(
    "host",
    [
        "photos.us-west-2.amazonaws.com",
        "photos.cn-north-1.amazonaws.com.cn",
        "corp.amazonaws.com",
        "amazonaws.com",
        "mys3.us-west-2.amazonaws.com",
        "s3x.us-west-2.amazonaws.com",
        "dynamodb.us-west-2.amazonaws.com",
    ],
)
@pytest.mark.parametrize("query", ["", "?addressing=path", "?addressing=virtual"])
def test_c62_other_hosts_of_aws_are_refused_whatever_the_override(host: str, query: str) -> None:
    """A forgotten ``.s3.`` is told at once, instead of a name that cannot be resolved."""
    assert wrong(f"s3+https://{host}/photos{query}").startswith("the host is no S3 endpoint of AWS")


def test_c62_only_aws_is_held_to_its_names() -> None:
    """A domain that merely ends in the same letters is any other host."""
    assert place("s3+https://photos.notamazonaws.com/mine") == ("mine", "", "https://photos.notamazonaws.com", "path")


# C63


@pytest.mark.parametrize("name", ["my-bucket", "a23", "a.b.c", "1.2.3", "1.2.3.4.5", "0bucket9", "b" * 63, "my.mrap.x"])
def test_c63_names_within_the_rules_are_taken(name: str) -> None:
    """Length, characters, ends, dots and reserved words: all kept."""
    check_bucket(name)
    assert parse_store_url(f"s3://{name}").bucket == name
    assert parse_store_url(f"s3+https://h/{name}").bucket == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("ab", "3 to 63 characters, not 2"),
        ("b" * 64, "3 to 63 characters, not 64"),
        ("UPPER", "only a-z, 0-9, . and -"),
        ("under_score", "only a-z, 0-9, . and -"),
        ("per%63ent", "only a-z, 0-9, . and -"),
        ("bücher", "only a-z, 0-9, . and -"),
        ("١٢٣", "only a-z, 0-9, . and -"),
        ("-leading", "begin and end with a letter or digit"),
        ("trailing-", "begin and end with a letter or digit"),
        (".leading", "begin and end with a letter or digit"),
        ("trailing.", "begin and end with a letter or digit"),
        ("a..b", "two dots in a row"),
        ("192.168.1.1", "an IPv4 address"),
        ("999.999.999.999", "an IPv4 address"),
        ("xn--photos", "begin with xn--"),
        ("sthree-photos", "begin with sthree-"),
        ("amzn-s3-demo-photos", "begin with amzn-s3-demo-"),
        ("photos-s3alias", "end with -s3alias"),
        ("photos--ol-s3", "end with --ol-s3"),
        ("photos.mrap", "end with .mrap"),
        ("photos--x-s3", "end with --x-s3"),
        ("photos--table-s3", "end with --table-s3"),
    ],
)
def test_c63_the_message_names_the_broken_rule(name: str, rule: str) -> None:
    """Each rule has its own words, alone and within a URL; the name itself is the subject."""
    with pytest.raises(InvalidUrl) as caught:
        check_bucket(name)
    assert caught.value.message.startswith("the bucket name ")
    assert rule in caught.value.message
    assert caught.value.subject == name
    assert rule in wrong(f"s3://{name}/a")
    assert rule in wrong(f"s3+https://h/{name}/a")


def test_c63_an_empty_name_is_too_short() -> None:
    """No name at all breaks the first rule."""
    with pytest.raises(InvalidUrl, match="3 to 63 characters, not 0"):
        check_bucket("")


def test_c63_a_bucket_in_the_host_is_held_to_the_rules_too() -> None:
    """On AWS the part before the infix can only be a bucket."""
    assert "3 to 63 characters, not 2" in wrong("s3+https://ab.s3.eu-west-1.amazonaws.com/a")


# C64


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("", ""),
        ("/", ""),
        ("/a", "a"),
        ("/a/", "a"),
        ("//a///b//", "a/b"),
        ("/a%20b/c%2Fd", "a%20b/c%2Fd"),
        ("/a%2520/%e2%82%ac", "a%2520/%e2%82%ac"),
        ("/a b/ü+@:", "a b/ü+@:"),
        ("/..a/b..", "..a/b.."),
    ],
)
@pytest.mark.parametrize("base", [AWS, "s3+https://h/photos", "s3://photos"])
def test_c64_prefix_is_the_non_empty_segments_as_written(base: str, path: str, prefix: str) -> None:
    """No slash at either end, none doubled, no escape touched; and so the canonical text writes it."""
    url = parse_store_url(base + path)
    assert url.prefix == prefix
    assert str(url) == base + (f"/{prefix}" if prefix else "")


@pytest.mark.parametrize("path", ["/a/../b", "/..", "/./a", "/a/."])
def test_c64_dots_in_a_web_url_are_refused(path: str) -> None:
    """Resolving them would write elsewhere than the text says; keeping them would not survive other programs."""
    assert "the prefix holds . or .." in wrong(f"{AWS}{path}")
    assert parse_store_url(f"s3://photos{path}").prefix == path.strip("/")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("S3+HTTPS://Host:443/photos//a/?zip=0&bundle_uri=no#top", "s3+https://host/photos/a"),
        ("s3+http://localhost:80/photos", "s3+http://localhost/photos"),
        ("s3+http://localhost:443/photos", "s3+http://localhost:443/photos"),
        ("s3+https://[0:0::1]:9000/photos", "s3+https://[::1]:9000/photos"),
        ("s3+https://host:/photos", "s3+https://host/photos"),
        (f"{AWS}?region=eu-west-1&addressing=virtual", AWS),
        (f"{AWS}?region=us-east-1", f"{AWS}?region=us-east-1"),
        (f"{AWS}/mine?addressing=path", f"{AWS}/mine?addressing=path"),
        ("s3+https://h/photos?addressing=path&region=us-east-1", "s3+https://h/photos"),
        ("s3+https://minio.s3.corp/a?addressing=virtual", "s3+https://minio.s3.corp/a?addressing=virtual"),
        ("s3+https://photos.example.com:9/?addressing=virtual", "s3+https://photos.example.com:9?addressing=virtual"),
        ("s3://photos/a?profile=a+b%26c&zip=ON", "s3://photos/a?profile=a%20b%26c&zip=1"),
        ("s3://photos/a#b/", "s3://photos/a#b"),
        ("s3://photos/a ?", "s3://photos/a ?"),
        ("s3://photos/a ", "s3://photos/a"),
        ("s3://photos?addressing=path&region=us-east-1", "s3://photos?region=us-east-1&addressing=path"),
    ],
)
def test_c64_canonical_text_is_the_shortest_that_means_the_same(text: str, canonical: str) -> None:
    """Flags that say what the host says already are left out; nothing else is lost."""
    url = parse_store_url(text)
    assert str(url) == canonical
    assert parse_store_url(canonical) == url


NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{1,10}[a-z0-9]", fullmatch=True)
BUCKETS = st.one_of(NAMES, st.builds("{}.{}".format, NAMES, NAMES), st.builds("{}.s3.{}".format, NAMES, NAMES))
SERVICES = st.sampled_from(
    [
        *(
            "s3.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
            "s3-eu-west-1.amazonaws.com",
            "s3-accelerate.amazonaws.com",
        ),
        *("s3.dualstack.eu-west-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn", "s3-fips.us-east-2.amazonaws.com"),
        *("bucket.vpce-1a.s3.us-east-1.vpce.amazonaws.com", "s3.eu-west-1.example.com", "s3.wasabisys.com", "s3.corp"),
        *("example.com", "minio.s3.corp", "h", "127.0.0.1", "[::1]", "[2001:db8::7]", "node-1.s3-x.internal"),
    ]
)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
SEGMENTS = st.text(st.sampled_from("abcXYZ012-_.~%+@:=&!$'()*,; é€"), max_size=6).filter(lambda s: s not in (".", ".."))
FLAGS = st.fixed_dictionaries(
    {},
    optional={
        "profile": TEXTS,
        "region": st.sampled_from(["us-east-1", "eu-west-1", "auto"]) | TEXTS,
        "addressing": st.sampled_from(["path", "virtual"]),
        "engine": st.sampled_from(["bundle", "packchain"]),
        "zip": st.booleans(),
        "bundle_uri": st.booleans(),
        "bundle_uri_presign_ttl": st.integers(1, 604800),
        "credential": TEXTS,
    },
)


@given(
    scheme=st.sampled_from(["s3", "s3+https", "s3+http"]),
    bucket=BUCKETS,
    in_host=st.booleans(),
    service=SERVICES,
    port=st.sampled_from(["", ":80", ":443", ":9000"]),
    segments=st.lists(SEGMENTS, max_size=4),
    flags=FLAGS,
)
def test_c64_canonical_text_round_trips(
    scheme: str,
    bucket: str,
    in_host: bool,
    service: str,
    port: str,
    segments: list[str],
    flags: dict[str, object],
) -> None:
    """Of every URL that is taken, the canonical text means the same store and is its own canonical text."""
    assume(not (in_host and (service.startswith("[") or service == "127.0.0.1")))
    authority = bucket if scheme == "s3" else f"{bucket}.{service}{port}" if in_host else f"{service}{port}/{bucket}"
    text = "/".join([f"{scheme}://{authority}", *segments]) + "?" + urlencode(flags)
    url: StoreUrl | InvalidUrl
    try:
        url = parse_store_url(text, allow_http=True)
    except InvalidUrl as error:
        url = error
    if isinstance(url, InvalidUrl):
        assert url.message.startswith(("the bucket", "the host holds no bucket"))
        return
    canonical = str(url)
    assert parse_store_url(canonical, allow_http=True) == url
    assert str(parse_store_url(canonical, allow_http=True)) == canonical
    for name in ("profile", "engine", "bundle_uri_presign_ttl", "credential"):
        assert getattr(url, name) == flags.get(name)
    assert (url.zip, url.bundle_uri) == (flags.get("zip", False), flags.get("bundle_uri", False))
    assert flags.get("region", url.region) == url.region
    assert flags.get("addressing", url.addressing) == url.addressing


# C65


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("s3+https://host:9000/photos/a?region=x#top", "https://host:9000"),
        ("s3+https://host/photos/a#b?c", "https://host"),
        ("s3+http://127.0.0.1:9000/photos", "http://127.0.0.1:9000"),
        ("s3+https://[::1]:9000/photos", "https://[::1]:9000"),
        ("s3+https://photos.s3.eu-west-1.amazonaws.com:8443/a?zip=1", "https://s3.eu-west-1.amazonaws.com:8443"),
        ("s3+https://a.b.s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com"),
    ],
)
def test_c65_endpoint_is_scheme_host_and_port(text: str, endpoint: str) -> None:
    """Path, query and fragment are no part of it, nor is a bucket in the host."""
    assert parse_store_url(text).endpoint_url == endpoint


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "my_minio:9000",
        "127.0.0.1",
        "[::1]:9000",
        "s3.eu-west-1.amazonaws.com",
        "s3-eu-west-1.amazonaws.com",
    ],
)
def test_c65_a_host_without_a_bucket_label_cannot_be_virtual(host: str) -> None:
    """No dot, an address, or AWS's own labels: there is nothing to strip."""
    assert wrong(f"s3+https://{host}/photos?addressing=virtual").startswith("the host holds no bucket")


# C66


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("s3.us-west-2.amazonaws.com", "us-west-2"),
        ("s3-us-west-2.amazonaws.com", "us-west-2"),
        ("s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3-fips.dualstack.us-east-2.amazonaws.com", "us-east-2"),
        ("s3-fips-us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("s3.dualstack.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"),
        ("s3.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("s3.moon.amazonaws.com", "moon"),
        ("s3.amazonaws.com", None),
        ("s3.amazonaws.com.cn", None),
        ("s3-accelerate.amazonaws.com", None),
        ("s3-accelerate.dualstack.amazonaws.com", None),
        ("s3-external-1.amazonaws.com", None),
        ("s3-fips.amazonaws.com", None),
        ("s3.dualstack.amazonaws.com", None),
        ("s3.two.labels.amazonaws.com", None),
    ],
)
def test_c66_region_of_an_aws_host(host: str, region: str | None) -> None:
    """From the host in either style, dualstack and FIPS alike; None leaves it to the SDK's chain."""
    assert parse_store_url(f"s3+https://{host}/photos").region == region
    assert parse_store_url(f"s3+https://photos.{host}").region == region
    assert parse_store_url(f"s3+https://my.s3.photos.{host}").region == region


@pytest.mark.parametrize(
    "host", ["localhost:9000", "127.0.0.1", "[::1]", "minio.s3.corp", "s3.us-west-004.backblazeb2.com", "play.min.io"]
)
def test_c66_region_beyond_aws_is_us_east_1(host: str) -> None:
    """Whatever its name looks like."""
    assert parse_store_url(f"s3+https://{host}/photos").region == "us-east-1"


@pytest.mark.parametrize("base", [AWS, "s3+https://s3.amazonaws.com/photos", "s3+https://h/photos", "s3://photos"])
def test_c66_the_flag_beats_the_host(base: str) -> None:
    """A region that is named is the region."""
    assert parse_store_url(f"{base}?region=ap-south-2").region == "ap-south-2"


# C67


@pytest.mark.parametrize("base", [AWS.replace(".eu-west-1", ""), "s3://photos"])
def test_c67_what_a_url_does_not_name_is_left_to_the_chain(base: str) -> None:
    """No flag: None, so that AWS_PROFILE and AWS_REGION decide; with the flag, the URL does."""
    url = parse_store_url(base)
    assert (url.profile, url.region) == (None, None)
    named = parse_store_url(f"{base}?profile=home&region=eu-west-3")
    assert (named.profile, named.region) == ("home", "eu-west-3")


def test_c67_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same text means the same store everywhere."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "BULKHAUL_ALLOW_HTTP"):
        monkeypatch.setenv(name, "1")
    assert parse_store_url("s3://photos/a") == StoreUrl(scheme="s3", bucket="photos", prefix="a")
    assert "beyond loopback" in wrong("s3+http://s3.example.com/photos")


@pytest.mark.parametrize("text", ["az+https://a.blob.core.windows.net/c", "az+http://127.0.0.1:10000/a/c"])
def test_c67_the_url_of_another_kind_of_store_is_refused(text: str) -> None:
    """A URL for Azure never becomes an S3 store."""
    assert wrong(text).startswith("Azure is not supported")
