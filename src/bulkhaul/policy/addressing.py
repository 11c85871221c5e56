"""Decides where requests for a bucket go, as the SDK's endpoint rules do: its host or a path, and the region.

given endpoint     scheme://host[:port]/path/bucket, or bucket.host where virtual hosts are asked for
AWS                bucket.s3[-fips][.dualstack].region.amazonaws.com, or a path where the name is no host label

Only names and endpoints whose answer is certain are answered. Source: botocore's data/s3, endpoint-rule-set-1;
botocore.handlers, ``customize_endpoint_resolver_builtins``; botocore.args, ``force_path_style``.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from bulkhaul.policy.awsfiles import Unsure

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://"
    rf"(?:(?P<name>(?:{_LABEL}\.)*{_LABEL})|\[(?P<ipv6>[0-9A-Fa-f:]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*)/?"
)
"""An endpoint that has one reading only: nothing in it is encoded, resolved or cut off.
Source: botocore.utils, ``is_valid_endpoint_url``."""

VALID_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""What any service may have as the name of a bucket. Source: botocore.handlers, ``VALID_BUCKET``."""

_HOST_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")

_NOT_BUCKETS = ("--x-s3", "--xa-s3", "--op-s3", "--ol-s3", "--table-s3", "-s3alias", ".mrap")
"""Ends of names of directory buckets, access points and the like, which the SDK addresses or signs by other rules."""

_REGION = re.compile(r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
"""Source: botocore.utils, ``validate_region_name``."""

_PARTITIONS = {
    r"(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+": "amazonaws.com",
    r"us-gov-[a-z]+-[0-9]+": "amazonaws.com",
    r"cn-[a-z]+-[0-9]+": "amazonaws.com.cn",
}
"""Source: botocore's data/partitions.json; regions of other partitions are the SDK's to resolve."""

GLOBAL_REGION = "us-east-1"
"""The region whose endpoint is ``s3.amazonaws.com`` unless ``us_east_1_regional_endpoint`` says otherwise."""


class Place(msgspec.Struct, frozen=True):
    """Where requests for one bucket go.

    Attributes:
        path_prefix: comes before the encoded key: ``/``, ``/bucket/``, and the path of the endpoint before it.
        region: that requests are signed for.
    """

    scheme: str
    host: str
    port: int
    path_prefix: str
    region: str


class Addressing(msgspec.Struct, frozen=True):
    """How buckets of one endpoint are addressed.

    Attributes:
        host: an IPv6 address is without its brackets.
        path: of the endpoint, without a slash at its end.
        forced_path: every bucket is addressed by path.
    """

    scheme: str
    host: str
    port: int
    path: str
    region: str
    forced_path: bool

    @property
    def endpoint_url(self) -> str:
        """The endpoint, without any bucket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    def place(self, bucket: str) -> Place:
        """Return where requests for a bucket go.

        Raises:
            Unsure: it is no name of a plain bucket.
        """
        if not VALID_BUCKET.fullmatch(bucket) or bucket.strip(".") == "" or bucket.endswith(_NOT_BUCKETS):
            raise Unsure("the name is not one of a plain bucket")
        host, prefix = self.host, f"{self.path}/"
        if self._is_virtual(bucket):
            host = f"{bucket}.{host}"
        else:
            prefix += f"{bucket}/"
        return Place(self.scheme, host, self.port, prefix, self.region)

    def _is_virtual(self, bucket: str) -> bool:
        if self.forced_path or len(bucket) < 3 or _IPV4.fullmatch(bucket):
            return False
        if _HOST_LABEL.fullmatch(bucket):
            return not (":" in self.host or _IPV4.fullmatch(self.host))
        # A name with dots fits no wildcard certificate, so only plain http has it in the host.
        dotted = self.scheme == "http" and all(map(_HOST_LABEL.fullmatch, bucket.split(".")))
        if dotted and ":" in self.host:
            raise Unsure("no host has a name in front of an IPv6 address")
        return dotted


_DEFAULT_PORTS = {"http": 80, "https": 443}


def given_endpoint(url: str, *, region: str, virtual: bool) -> Addressing:
    """Return how buckets of an endpoint are addressed that the user chose.

    Args:
        virtual: the user asked for virtual hosts; else every bucket is addressed by path.

    Raises:
        Unsure: the URL or the region is odd, or it is one of transfer acceleration.

    >>> given_endpoint("http://localhost:9000/s3/", region="eu-1", virtual=False).place("photos")
    Place(scheme='http', host='localhost', port=9000, path_prefix='/s3/photos/', region='eu-1')
    """
    match = _ENDPOINT.fullmatch(url)
    if match is None:
        raise Unsure("the endpoint's URL is not a plain one")
    host = (match["name"] or match["ipv6"]).lower()
    port = int(match["port"] or _DEFAULT_PORTS[match["scheme"]])
    if port > 65535 or len(host) > 255 or host.startswith("s3-accelerate") or not _is_address(match["ipv6"]):
        raise Unsure("the endpoint's URL is not a plain one")
    _require_plain(region)
    return Addressing(match["scheme"], host, port, match["path"], region, not virtual)


def _is_address(text: str | None) -> bool:
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _require_plain(region: str) -> None:
    if not _REGION.fullmatch(region) or "fips" in region or region == "aws-global":
        raise Unsure("the region is not a plain one")


def aws_endpoint(region: str, *, dual_stack: bool, fips: bool, regional: bool, forced_path: bool) -> Addressing:
    """Return how buckets on AWS are addressed.

    Args:
        regional: ``us-east-1`` has an endpoint of its own, too.

    Raises:
        Unsure: the region is none of the common partitions, or has no such endpoint.

    >>> aws_endpoint("eu-west-1", dual_stack=True, fips=False, regional=False, forced_path=False).place("photos").host
    'photos.s3.dualstack.eu-west-1.amazonaws.com'
    """
    _require_plain(region)
    domain = next((domain for pattern, domain in _PARTITIONS.items() if re.fullmatch(pattern, region)), None)
    if domain is None or (fips and domain != "amazonaws.com"):
        raise Unsure("the region is not one of AWS's common partitions")
    if region == GLOBAL_REGION and not (regional or dual_stack or fips):
        host = f"s3.{domain}"
    else:
        host = f"s3{'-fips' if fips else ''}{'.dualstack' if dual_stack else ''}.{region}.{domain}"
    return Addressing("https", host, 443, "", region, forced_path)
