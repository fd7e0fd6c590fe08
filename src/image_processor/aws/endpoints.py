"""The HTTP endpoints of AWS APIs, by region, or those that environment variables put in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from msgspec import Struct

from image_processor.domain.errors import InvalidSettings, Problem

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[^/?#@:\s][^/?#@\s]*)(?P<path>(?:/[^?#\s]*)?)", re.IGNORECASE
)
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")


class Endpoint(Struct, frozen=True):
    """``scheme`` is `https` or `http`. ``host`` may include a port. ``path`` precedes the path of every
    request and has no slash at its end."""

    scheme: str
    host: str
    path: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"


def region_from(environment: Mapping[str, str] = os.environ) -> str:
    """The region in AWS_REGION or AWS_DEFAULT_REGION. Raises InvalidSettings."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    return check_region(region)


def check_region(region: str) -> str:
    """Return ``region`` if it can be a part of a host name. Raises InvalidSettings."""
    if not _REGION.fullmatch(region):
        raise InvalidSettings([Problem("AWS_REGION", "a region such as eu-west-1", repr(region))])
    return region


def endpoint_override(api: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The URL that the environment gives for `s3`, `dynamodb` or `cloudfront`, from the variables that
    AWS's SDKs read ("Service-specific endpoints")."""
    return environment.get(f"AWS_ENDPOINT_URL_{api.upper()}") or environment.get("AWS_ENDPOINT_URL")


def regional_endpoint(api: str, region: str, override: str | None) -> Endpoint:
    """The endpoint of `s3` or `dynamodb` in a region, or ``override`` parsed. Raises InvalidSettings."""
    if override is not None:
        return parse_endpoint(override)
    return Endpoint("https", f"{api}.{region}.{_domain(region)}")


def global_endpoint(api: str, region: str) -> tuple[Endpoint, str]:
    """The one endpoint of an API for all regions of a partition, and the region that its signatures name
    ("AWS service endpoints": CloudFront)."""
    if region.startswith("cn-"):
        return Endpoint("https", f"{api}.cn-northwest-1.{_domain(region)}"), "cn-northwest-1"
    return Endpoint("https", f"{api}.{_domain(region)}"), "us-east-1"


def bucket_endpoint(bucket: str, region: str, override: str | None) -> Endpoint:
    """The endpoint of a bucket. On AWS the bucket is part of the host name, except one with a dot,
    which the certificate `*.s3.region...` does not cover; elsewhere it is part of the path."""
    regional = regional_endpoint("s3", region, override)
    if override is None and "." not in bucket:
        return Endpoint("https", f"{bucket}.{regional.host}")
    return Endpoint(regional.scheme, regional.host, f"{regional.path}/{bucket}")


def parse_endpoint(url: str) -> Endpoint:
    """The endpoint of an http or https URL. Raises InvalidSettings for anything else."""
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidSettings([Problem("AWS_ENDPOINT_URL", "a URL like https://host:port", repr(url))])
    return Endpoint(match["scheme"].lower(), match["host"], match["path"].rstrip("/"))


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
