"""Parses the URL of a store: bucket, prefix, endpoint, region, addressing and flags.

s3+https://host[:port]/bucket/prefix?flags     path-style: the bucket is the first part of the path
s3+https://bucket.host[:port]/prefix?flags     virtual-hosted: the bucket is in the host
s3+http://…                                    the same without TLS; beyond loopback only where it is allowed
s3://bucket/prefix?flags                       AWS, or the endpoint of the settings

The bucket is taken from the host where ``.s3.`` or ``.s3-`` follows it, and only where the host shows that it is one:
any host of AWS; a provider known to serve buckets so; or a region and a domain after it, as in
``bucket.s3.eu-west-1.example.com``. ``minio.s3.corp`` shows neither, so it is an endpoint of that name. If that guess
is wrong, requests still go to the host that was typed; the opposite guess would send them to another host.
``addressing`` overrides both. No environment is read here: the caller says whether plain http is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, get_args
from urllib.parse import quote, unquote_plus

import msgspec

from bulkhaul.model.errors import InvalidUrl
from bulkhaul.model.limits import MAX_PRESIGN_S
from bulkhaul.model.settings import AddressingStyle
from bulkhaul.model.structs import learnt
from bulkhaul.policy.endpoints import DEFAULT_REGION, aws_domain, is_within
from bulkhaul.policy.plainhttp import is_loopback, truthy

StoreScheme = Literal["s3", "https", "http"]
StorageEngine = Literal["bundle", "packchain"]

_BUCKET_DOMAINS = ("wasabisys.com", "scw.cloud", "cloud.ovh.net", "localhost.localstack.cloud")
"""Providers that serve ``bucket.s3[.region].domain`` with no region, or one unlike AWS's (``fr-par``, ``gra``).

Source: public addresses of their buckets, such as ``https://bucket.s3.gra.io.cloud.ovh.net/key``.
"""

_REGIONAL = re.compile(r"s3[.-][a-z]{2}(?:-[a-z]+)+-\d+(?:\.[^.]+){2,}")
"""A service host that names a region as AWS does, and a domain of at least two labels."""

_AWS_REGION = re.compile(
    r"(?:.+\.)?s3(?:-fips)?(?:\.dualstack)?(?:\.(?!dualstack$)([a-z0-9-]+?)|-([a-z]{2,4}(?:-[a-z]+)+-\d+))(?:\.vpce)?"
)
"""The region in a host of AWS, its domain cut off. Source: AWS General Reference, "Amazon S3 endpoints"."""

_PRIVATE_LINK = re.compile(r"(?:(?P<bucket>.+)\.)?(?P<endpoint>bucket\.vpce-[a-z0-9-]+)")
"""What precedes ``s3`` in the host of an interface endpoint. Source: S3 User Guide, "AWS PrivateLink for S3"."""

_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_FALSE = frozenset({"0", "false", "no", "off"})

# Source: S3 User Guide, "General purpose bucket naming rules".
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class StoreUrl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One store: a bucket, where it is served, and how. ``str()`` gives the text that means the same again.

    Attributes:
        prefix: without a slash at either end, percent-escapes as they were written; empty for the whole bucket.
        endpoint_url: scheme, host and port without the bucket; None for ``s3://``.
        region: of the flag, else of the host; ``us-east-1`` beyond AWS; None where the SDK's own chain decides.
        addressing: how requests name the bucket; ``auto`` only for ``s3://``.
        engine, zip, bundle_uri, credential: carried for other programs that use the same URLs.
        bundle_uri_presign_ttl: in seconds.
    """

    scheme: StoreScheme
    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    addressing: AddressingStyle = "auto"
    engine: StorageEngine | None = None
    zip: bool = False
    bundle_uri: bool = False
    bundle_uri_presign_ttl: int | None = None
    credential: str | None = None

    def __str__(self) -> str:
        if self.endpoint_url is None:
            head, region, addressing = f"s3://{self.bucket}", None, "auto"
        else:
            authority = self.endpoint_url.partition("://")[2]
            virtual = self.addressing == "virtual"
            host = _host_of(f"{self.bucket}.{authority}" if virtual else authority)
            head = f"s3+{self.scheme}://" + (f"{self.bucket}.{authority}" if virtual else f"{authority}/{self.bucket}")
            region = _region_of(host)
            addressing = "virtual" if _detect(host) else "path"
        flags = {
            "profile": self.profile,
            "region": self.region if self.region != region else None,
            "addressing": self.addressing if self.addressing != addressing else None,
            "engine": self.engine,
            "zip": "1" if self.zip else None,
            "bundle_uri": "1" if self.bundle_uri else None,
            "bundle_uri_presign_ttl": str(self.bundle_uri_presign_ttl) if self.bundle_uri_presign_ttl else None,
            "credential": self.credential,
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in flags.items() if value is not None)
        text = head + (f"/{self.prefix}" if self.prefix else "")
        # A URL is trimmed when it is read: an empty query keeps the space that the prefix ends with.
        return f"{text}?{query}" if query or text[-1].isspace() else text


learnt(StoreUrl)


def parse_store_url(text: str, *, allow_http: bool = False) -> StoreUrl:
    """Return what the URL of a store means.

    Args:
        allow_http: take ``s3+http`` to hosts other than loopback too.

    Raises:
        InvalidUrl: the message names the wrong part; the subject is the URL without user, password and query.

    >>> url = parse_store_url("s3+https://photos.s3.dualstack.eu-west-1.amazonaws.com/2024/?profile=home")
    >>> url.bucket, url.prefix, url.endpoint_url, url.region
    ('photos', '2024', 'https://s3.dualstack.eu-west-1.amazonaws.com', 'eu-west-1')
    >>> str(url)
    's3+https://photos.s3.dualstack.eu-west-1.amazonaws.com/2024?profile=home'
    >>> parse_store_url("s3+https://minio.s3.corp/photos/2024").endpoint_url
    'https://minio.s3.corp'
    """
    text = text.strip()
    try:
        return _parse(text, allow_http)
    except InvalidUrl as error:
        raise InvalidUrl(error.message, _shown(text)) from None


def check_bucket(name: str) -> None:
    """Check a bucket's name against the rules for general purpose buckets.

    Raises:
        InvalidUrl: the message says which rule is broken.

    >>> check_bucket("my.photos-2024")
    """
    broken = _broken_rule(name)
    if broken:
        raise InvalidUrl(broken, name)


def join_key(prefix: str | None, suffix: str) -> str:
    """Return the key of ``suffix`` below the prefix of a store's URL, which has no slash at its end (C2).

    >>> join_key("a/b", "c"), join_key("a/b", ""), join_key("", "c"), join_key(None, "c")
    ('a/b/c', 'a/b/', 'c', 'c')
    """
    return f"{prefix}/{suffix}" if prefix else suffix


def flag_boolean(name: str, text: str) -> bool:
    """Return what a flag of a URL says.

    Raises:
        InvalidUrl: neither yes nor no; the message names the flag.
    """
    if truthy(text):
        return True
    if text.lower() in _FALSE:
        return False
    raise InvalidUrl(f"flag {name} must be 1, true, yes or on, or else 0, false, no or off")


def _parse(text: str, allow_http: bool) -> StoreUrl:
    if not text:
        raise InvalidUrl("the URL is empty; write s3+https://host/bucket/prefix or s3://bucket/prefix")
    if _CONTROL.search(text):
        raise InvalidUrl("the URL holds a control character or is not valid UTF-8")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower() if separator else ""
    if scheme == "s3":
        return _parse_plain(rest)
    if scheme not in ("s3+https", "s3+http"):
        hint = f"; did you mean s3+{scheme}://?" if scheme in ("https", "http") else ""
        other = "Azure is not supported" if scheme.startswith("az+") else "the scheme is not supported"
        raise InvalidUrl(f"{other}: a store begins with s3+https://, s3+http:// or s3://{hint}")
    rest, _, query = rest.partition("#")[0].partition("?")
    authority, _, path = rest.partition("/")
    host, port = _read_authority(authority)
    web: StoreScheme = "https" if scheme == "s3+https" else "http"
    if web == "http" and not allow_http and not is_loopback(host.strip("[]")):
        raise InvalidUrl(
            "the scheme s3+http would send to a host beyond loopback in the clear; use s3+https, or allow http"
        )
    if port == (443 if web == "https" else 80):
        port = None
    flags = _read_flags(query)
    domain = aws_domain(host)
    if domain and not re.search(r"(?:^|\.)s3(?:[.-]|$)", host.removesuffix(domain).rstrip(".")):
        raise InvalidUrl("the host is no S3 endpoint of AWS: write bucket.s3.region.amazonaws.com")
    segments = [segment for segment in path.split("/") if segment]
    if any(segment in (".", "..") for segment in segments):
        raise InvalidUrl("the prefix holds . or .., which URLs give another meaning; write the s3:// form")
    override = flags.pop("addressing", None)
    found = None if override == "path" else _detect(host) if override is None else _divide(host)
    if found is None and override == "virtual":
        raise InvalidUrl("the host holds no bucket to address as virtual; write bucket.host, or addressing=path")
    if found:
        (bucket, service), addressing = found, "virtual"
    elif segments:
        bucket, service, addressing = segments.pop(0), host, "path"
    else:
        raise InvalidUrl("the bucket is missing: write it after the host, or add addressing=virtual if the host is it")
    check_bucket(bucket)
    fields = {"region": _region_of(host), **flags}
    return msgspec.convert(
        fields
        | {"scheme": web, "bucket": bucket, "prefix": "/".join(segments), "addressing": addressing}
        | {"endpoint_url": f"{web}://{service}" + (f":{port}" if port else "")},
        StoreUrl,
    )


def _parse_plain(rest: str) -> StoreUrl:
    """Parse what follows ``s3://``; a ``#`` is part of the prefix there, as in every other tool."""
    path, _, query = rest.partition("?")
    bucket, _, prefix = path.partition("/")
    if not bucket:
        raise InvalidUrl("the bucket is missing after s3://")
    if "@" in bucket:
        raise InvalidUrl("the bucket is preceded by a user or password; name a profile instead")
    check_bucket(bucket)
    fields = {"scheme": "s3", "bucket": bucket, "prefix": "/".join(part for part in prefix.split("/") if part)}
    return msgspec.convert(fields | _read_flags(query), StoreUrl)


def _read_authority(authority: str) -> tuple[str, int | None]:
    """Return the host in lower case, IPv6 in brackets, and the port, None where it is left out."""
    if "@" in authority:
        raise InvalidUrl("the host is preceded by a user or password; name a profile instead")
    found = re.fullmatch(r"(\[[^\]%]*\]|[^:\[\]]*)(?::([^:]*))?", authority)
    host, port_text = (found.group(1).lower(), found.group(2) or "") if found else (authority, "")
    if not host:
        raise InvalidUrl("the host is missing")
    address = _address_of(host) if found else None
    labels = host.split(".")
    named = len(host) <= 253 and all(map(_HOST_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if address is None and not named:
        raise InvalidUrl("the host is no name or address (labels of a-z, 0-9 and -, or an address as in [::1])")
    if isinstance(address, ipaddress.IPv6Address):
        host = f"[{address.compressed}]"
    if not port_text:
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= 65535:
        raise InvalidUrl("the port must be 1 to 65535")
    return host, int(port_text)


def _read_flags(query: str) -> dict[str, str | int | bool]:
    flags: dict[str, str | int | bool] = {}
    for pair in filter(None, query.split("&")):
        raw_name, separator, raw = pair.partition("=")
        if not separator:
            raise InvalidUrl("the query holds something other than flag=value")
        try:
            name, text = unquote_plus(raw_name, errors="strict"), unquote_plus(raw, errors="strict")
        except UnicodeDecodeError:
            raise InvalidUrl("the query is not valid UTF-8") from None
        if name in flags:
            raise InvalidUrl(f"flag {name} is given twice")
        flags[name] = _read_flag(name, text)
    return flags


def _read_flag(name: str, text: str) -> str | int | bool:
    if name in ("zip", "bundle_uri"):
        return flag_boolean(name, text)
    if name == "bundle_uri_presign_ttl":
        if not re.fullmatch(r"[0-9]{1,18}", text) or not 1 <= int(text) <= MAX_PRESIGN_S:
            raise InvalidUrl(f"flag {name} must be 1 to {MAX_PRESIGN_S} seconds")
        return int(text)
    choices = {"addressing": ("path", "virtual"), "engine": get_args(StorageEngine)}.get(name)
    if choices and text not in choices:
        raise InvalidUrl(f"flag {name} must be {' or '.join(choices)}")
    if name not in ("addressing", "engine", "profile", "region", "credential"):
        raise InvalidUrl(f"flag {name[:40]!r} is unknown")
    if not text or _CONTROL.search(text):
        raise InvalidUrl(f"flag {name} is empty or holds a control character")
    return text


def _detect(host: str) -> tuple[str, str] | None:
    """Return (bucket, service host) where the host shows that it holds a bucket, else None."""
    found = _divide(host) if re.search(r"\.s3[.-]", host) else None
    if found is None or aws_domain(host):
        return found
    bucket, service = found
    shown = _REGIONAL.fullmatch(service) or any(is_within(service, domain) for domain in _BUCKET_DOMAINS)
    return found if shown and not _broken_rule(bucket) else None


def _divide(host: str) -> tuple[str, str] | None:
    """Return (bucket, service host): at the rightmost ``.s3.`` or ``.s3-``, else after the first label."""
    if _address_of(host):
        return None
    at = max(host.rfind(".s3."), host.rfind(".s3-"))
    if at < 0:
        bucket, dot, service = host.partition(".")
        return (bucket, service) if dot and not aws_domain(host) else None
    bucket, service = host[:at], host[at + 1 :]
    private = _PRIVATE_LINK.fullmatch(bucket) if ".vpce." in service and aws_domain(host) else None
    if private is None:
        return bucket, service
    return (private["bucket"], f"{private['endpoint']}.{service}") if private["bucket"] else None


def _region_of(host: str) -> str | None:
    domain = aws_domain(host)
    if domain is None:
        return DEFAULT_REGION
    found = _AWS_REGION.fullmatch(host.removesuffix(f".{domain}"))
    return (found.group(1) or found.group(2)) if found else None


def _broken_rule(name: str) -> str | None:
    """Return the rule that a bucket's name breaks, None if it keeps all."""
    if not 3 <= len(name) <= 63:
        return f"the bucket name must have 3 to 63 characters, not {len(name)}"
    if not re.fullmatch(r"[a-z0-9.-]+", name):
        return "the bucket name may hold only a-z, 0-9, . and -"
    if name[0] in ".-" or name[-1] in ".-":
        return "the bucket name must begin and end with a letter or digit"
    if ".." in name:
        return "the bucket name may not hold two dots in a row"
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", name):
        return "the bucket name may not look like an IPv4 address"
    for prefix in _RESERVED_PREFIXES:
        if name.startswith(prefix):
            return f"the bucket name may not begin with {prefix}, which is reserved"
    for suffix in _RESERVED_SUFFIXES:
        if name.endswith(suffix):
            return f"the bucket name may not end with {suffix}, which is reserved"
    return None


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        if host.startswith("[") and host.endswith("]"):
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    except ValueError:
        return None


def _host_of(authority: str) -> str:
    return _read_authority(authority)[0]


def _shown(text: str) -> str:
    """Return the URL fit for a message: a secret key may hold / ? and #, so all up to the last @ may be one."""
    plain = text.lower().startswith("s3://")
    head, *tail = re.split(r"\?" if plain else r"[?#]", text, maxsplit=1)
    scheme, separator, rest = head.partition("://") if "://" in head else ("", "", head)
    if "@" in "".join(tail):
        rest = "…"
    elif "@" in rest:
        rest = f"…@{rest.rpartition('@')[2]}"
    return _CONTROL.sub("�", scheme + separator + rest)
