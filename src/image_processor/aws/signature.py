"""AWS room: Signature Version 4, of one HTTP request or of a text, as pure functions.

Amazon's steps are in "Create a signed AWS API request" (IAM User Guide). Here they are as few
as S3 and DynamoDB need; docs/adr/0007 says why no library signs for us.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from image_processor.domain.hashing import sha256_hex

from .credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


class Scope(Struct, frozen=True):
    """Whom a signature is meant for: a region such as `eu-west-1`, an API such as `s3`."""

    region: str
    api: str


def escape_path(path: str) -> str:
    """A path of any characters as it goes over the wire and into the signature. `.`, `..` and
    empty segments stay: in S3 they are part of a key."""
    return path if path == "/" else _quote(path, "/" + _UNRESERVED)


def escape_query(query: Iterable[tuple[str, str]]) -> str:
    """A query as it goes over the wire and into the signature, sorted as the latter wants it."""
    pairs = sorted((_quote(name, _UNRESERVED), _quote(value, _UNRESERVED)) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _quote(text: str, safe: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - with ipaddress, 1 ms of a cold start; DynamoDB needs none

    return quote(text, safe=safe)


def signed_headers(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body_sha256: str,
    scope: Scope,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """``headers`` (lower-case names, `host` among them) with those that make the request signed.

    ``target`` is the escaped path, with the escaped query behind a `?` if there is one;
    ``body_sha256`` is hexadecimal; ``now`` is UTC.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "x-amz-date": time}
    if credentials.token is not None:
        signed["x-amz-security-token"] = credentials.token
    if scope.api == "s3":
        signed["x-amz-content-sha256"] = body_sha256
    names = ";".join(sorted(signed))
    path, _, query = target.partition("?")
    lines = (f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed))
    request = "\n".join([method, path, query, *lines, "", names, body_sha256])
    terms = terms_of(scope, time)
    what = "\n".join([ALGORITHM, time, "/".join(terms), sha256_hex(request.encode())])
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{'/'.join(terms)}, "
        f"SignedHeaders={names}, Signature={sign(what, terms, credentials)}"
    )
    return signed


def terms_of(scope: Scope, time: str) -> tuple[str, ...]:
    """What narrows a signing key: ``time`` as 20260131T120000Z, of which the day counts."""
    return (time[:8], scope.region, scope.api, "aws4_request")


def sign(text: str, terms: Iterable[str], credentials: Credentials) -> str:
    """The hexadecimal signature of ``text``, by a key that is good for ``terms`` only."""
    key = f"AWS4{credentials.secret_access_key}".encode()
    for term in (*terms, text):
        key = hmac.digest(key, term.encode(), "sha256")
    return key.hex()
