"""AWS room: at which address an API of a region answers, or what stands in its place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from msgspec import Struct

from image_processor.domain.errors import InvalidSettings, Problem

_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/?#@:\s][^/?#@\s]*)(?P<path>(?:/[^?#\s]*)?)", re.IGNORECASE
)
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")


class Endpoint(Struct, frozen=True):
    """``scheme`` is `https`, or `http` where somebody asked for it. ``host`` may end in a port,
    ``path`` has no slash at its end and is what every request's path begins with."""

    scheme: str
    host: str
    path: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"


def region_from(environment: Mapping[str, str] = os.environ) -> str:
    """The region that the environment names. Raises InvalidSettings."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    return check_region(region)


def check_region(region: str) -> str:
    """Return ``region`` if it can be a part of a host's name, else raise InvalidSettings."""
    if not _REGION.fullmatch(region):
        raise InvalidSettings([Problem("AWS_REGION", "a region such as eu-west-1", repr(region))])
    return region


def override_of(api: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The address that the environment gives for `s3`, `dynamodb`, `sqs` or `cloudfront`, by the names that
    Amazon's own SDKs read ("Service-specific endpoints")."""
    return environment.get(f"AWS_ENDPOINT_URL_{api.upper()}") or environment.get("AWS_ENDPOINT_URL")


def endpoint_of(api: str, region: str, override: str | None) -> Endpoint:
    """Where `s3`, `dynamodb` or `sqs` answers in a region, or ``override`` taken apart."""
    if override is not None:
        return parse_endpoint(override)
    return Endpoint("https", f"{api}.{region}.{_domain(region)}")


def global_endpoint(api: str, region: str) -> tuple[Endpoint, str]:
    """Where an API answers that has one address for all regions, and the region that its signatures name
    ("AWS service endpoints": CloudFront)."""
    if region.startswith("cn-"):
        return Endpoint("https", f"{api}.cn-northwest-1.{_domain(region)}"), "cn-northwest-1"
    return Endpoint("https", f"{api}.{_domain(region)}"), "us-east-1"


def bucket_endpoint(bucket: str, region: str, override: str | None) -> Endpoint:
    """Where a bucket's keys begin. On AWS the bucket is part of the host's name, except one with
    a dot, which the certificate `*.s3.region...` would not cover; elsewhere, of the path."""
    regional = endpoint_of("s3", region, override)
    if override is None and "." not in bucket:
        return Endpoint("https", f"{bucket}.{regional.host}")
    return Endpoint(regional.scheme, regional.host, f"{regional.path}/{bucket}")


def parse_endpoint(url: str) -> Endpoint:
    """Raises InvalidSettings for what is no http or https address."""
    # Not urlsplit: it loads ipaddress, and both take 1 ms of a cold start.
    parts = _ADDRESS.fullmatch(url)
    if parts is None:
        raise InvalidSettings([Problem("AWS_ENDPOINT_URL", "an address like https://host:port", repr(url))])
    return Endpoint(parts["scheme"].lower(), parts["host"], parts["path"].rstrip("/"))


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
