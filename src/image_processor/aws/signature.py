"""AWS Signature Version 4 of an HTTP request or a text, as pure functions.

AWS describes the steps in "Create a signed AWS API request" (IAM User Guide); tests compare the
signatures with botocore's. Our own because loading botocore's signer takes 100 ms of a cold start.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from urllib.parse import quote

from msgspec import Struct

from image_processor.domain.hashing import sha256_hex

from .credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


class Scope(Struct, frozen=True):
    """What a signature is valid for: a region such as `eu-west-1` and an API such as `s3`."""

    region: str
    api: str


Sign = Callable[[str, str, Mapping[str, str], str, Scope, Credentials, datetime], dict[str, str]]
"""A function like `signed_headers`."""


def escape_path(path: str) -> str:
    """``path`` percent-encoded for the request line and the signature. `.`, `..` and empty segments
    stay, because S3 keys may contain them."""
    return quote(path, safe="/" + _UNRESERVED)


def escape_query(query: Iterable[tuple[str, str]]) -> str:
    """``query`` percent-encoded for the request line and the signature, sorted as the latter needs it."""
    pairs = sorted((quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body_sha256: str,
    scope: Scope,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """``headers`` (lower-case names, `host` included) with those that sign the request.

    ``target`` is the escaped path, followed by `?` and the escaped query if there is one;
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
    terms = credential_scope(scope, time)
    text = "\n".join([ALGORITHM, time, "/".join(terms), sha256_hex(request.encode())])
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{'/'.join(terms)}, "
        f"SignedHeaders={names}, Signature={sign(text, terms, credentials)}"
    )
    return signed


def credential_scope(scope: Scope, time: str) -> tuple[str, ...]:
    """The terms from which a signing key is derived. ``time`` looks like 20260131T120000Z; only the day
    is used."""
    return (time[:8], scope.region, scope.api, "aws4_request")


def sign(text: str, terms: Iterable[str], credentials: Credentials) -> str:
    """The hexadecimal signature of ``text`` with the key derived from ``terms``."""
    key = f"AWS4{credentials.secret_access_key}".encode()
    for term in (*terms, text):
        key = hmac.digest(key, term.encode(), "sha256")
    return key.hex()
