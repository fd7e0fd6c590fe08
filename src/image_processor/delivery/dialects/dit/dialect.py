"""Dialects: URLs of AWS' Dynamic Image Transformation for Amazon CloudFront (DIT, version 7).

A path is base64 of JSON, `{"key": ..., "edits": {...}}`, or has thumbor's form; parameters of the query
change it, and one of them is the signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from image_processor.delivery.dialects.request_builder import RequestBuilder, allow, bounded, decoded
from image_processor.delivery.request import RenditionRequest
from image_processor.domain.errors import (
    InvalidRequest,
    SignatureExpired,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.redaction import redacted_repr

from .edits import apply
from .path import NAMES, begins, read_path, read_query

_SIGNATURE, _EXPIRES = "signature", "expires"
# What a JSON object begins with in base64, a space or a new line after the brace included.
_OBJECT = ("eyJ", "eyA", "ewo", "ew0", "ewk")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]|%2[BbFf])+(?:=|%3[Dd]){0,2}")
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_JSON = "the path"

CODES = {
    "signature-missing": "AuthorizationQueryParametersError",
    "signature-mismatch": "SignatureDoesNotMatch",
    "signature-expired": "ImageRequestExpired",
    "bucket-not-allowed": "ImageBucket::CannotAccessBucket",
    "not-found": "NoSuchKey",
    "invalid-request": "RequestTypeError",
    "invalid-key": "RequestTypeError",
    "refused": "InstantiationError",
}
"""DIT's names for what our codes say; the others stay ours."""

Pairs = list[tuple[str, str]]


class Dit(Struct, frozen=True):
    """``secret`` verifies signatures. ``unsafe`` says that everybody may ask for everything. ``lenient``
    leaves out what is not made here instead of refusing it. ``buckets`` may be named."""

    secret: bytes | None = None
    unsafe: bool = False
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("secret",))

    @property
    def name(self) -> str:
        return "dit"

    def matches(self, path: str, query: str) -> bool:
        """Whether it is one: by its path, or by a parameter that only DIT has. A key with parameters that
        we have too (`?width=300`) is left to our own grammar where a signature could be wanted."""
        if _is_json(path) or begins(path):
            return True
        names = {part.partition("=")[0] for part in query.split("&")} - {""}
        return bool(names & {_SIGNATURE, _EXPIRES, "flop"}) or (
            self.unsafe and bool(names) and names <= NAMES
        )

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """What the URL asks for. Raises Forbidden before anything else, and InvalidRequest."""
        pairs = self._pairs(query)
        signed = self._verify(path, pairs)
        try:
            return self._asked(path, query, pairs, now, signed=signed)
        except InvalidRequest as error:
            if signed or self.secret is None:
                raise
            # Nobody has signed what cannot be read: it was altered.
            raise SignatureMissing(f"expected a URL that is signed and can be read; {error}") from error

    def _asked(self, path: str, query: str, pairs: Pairs, now: float, *, signed: bool) -> RenditionRequest:
        bounded(path, query)
        _check_end(dict(pairs).get(_EXPIRES), now)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        asked = _read_json(path) if _is_json(path) else read_path(path, builder)
        edits = _edits(asked, builder)
        read_query([pair for pair in pairs if pair[0] not in {_SIGNATURE, _EXPIRES}], edits, builder)
        apply(edits, asked.get("outputFormat"), asked.get("effort"), builder)
        return builder.asked(_key(asked, builder), signed=signed)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """The JSON that DIT's clients know, with its name for the error."""
        name = CODES.get(code, code)
        if code == "invalid-request" and f" for {_EXPIRES}, " in message:
            name = "ImageRequestExpiryFormat"
        elif code == "invalid-request" and f" for {_JSON}, " in message:
            name = "DecodeRequest::CannotDecodeRequest"
        return "application/json", json.dumps({"status": status, "code": name, "message": message})

    def _pairs(self, query: str) -> Pairs:
        try:
            parts = (part.replace("+", " ").partition("=") for part in query.split("&") if part)
            return [(decoded(name), decoded(value)) for name, _, value in parts]
        except UnicodeError:
            if self.secret is not None:
                raise SignatureMismatch("expected a query that is signed, got one that is no UTF-8") from None
            raise InvalidRequest.one("the query", "percent-encoded UTF-8", query) from None

    def _verify(self, path: str, pairs: Pairs) -> bool:
        """Whether a right signature came: hex HMAC-SHA256 of the path as it came, and the other
        parameters as they mean, sorted by name. Without a secret nothing is signed."""
        given = [value for name, value in pairs if name == _SIGNATURE]
        if self.secret is None or not given:  # whether a public preset declares it, others know
            return False
        others = sorted((pair for pair in pairs if pair[0] != _SIGNATURE), key=lambda pair: pair[0])
        text = f"/{path}" + ("?" + "&".join(f"{name}={value}" for name, value in others) if others else "")
        right = hmac.new(self.secret, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
        # A name or value with such a sign would read the same as two parameters.
        clear = not any("&" in name + value or "=" in name for name, value in others)
        same = hmac.compare_digest(right.encode(), given[0].encode(errors="surrogatepass"))
        if not (same and clear and len(given) == 1):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _check_end(text: str | None, now: float) -> None:
    if text is None:
        return
    match = _TIME.fullmatch(text)
    try:
        end = datetime(*map(int, match.groups()), tzinfo=UTC).timestamp() if match else None  # type: ignore[arg-type, misc]  # six numbers
    except ValueError:
        end = None
    if end is None:
        raise InvalidRequest.one(_EXPIRES, "a time as YYYYMMDDTHHmmssZ", text)
    if end <= now:
        raise SignatureExpired(f"expected a URL that has not ended, got one until {text}")


def _is_json(path: str) -> bool:
    return path.startswith(_OBJECT) and _BASE64.fullmatch(path) is not None


def _read_json(path: str) -> dict[str, Any]:
    """The JSON that the path is. Raises InvalidRequest."""
    try:
        plain = unquote_to_bytes(path).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        body = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
        found = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidRequest.one(_JSON, "base64 of a JSON object", path[:100]) from None
    if not isinstance(found, dict):
        raise InvalidRequest.one(_JSON, "base64 of a JSON object", path[:100])
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)


def _edits(asked: dict[str, Any], builder: RequestBuilder) -> dict[str, Any]:
    edits = asked.get("edits")
    if edits is None:
        return {}
    if not isinstance(edits, dict):
        builder.wrong("edits", "an object", edits)
        return {}
    return dict(edits)


def _key(asked: dict[str, Any], builder: RequestBuilder) -> str:
    if asked.get("headers"):
        builder.lacks("headers", "none, as answers have headers of their own here", asked["headers"])
    for name in asked.keys() - {"bucket", "key", "edits", "outputFormat", "effort", "headers"}:
        builder.lacks(name)
    bucket, key = asked.get("bucket"), asked.get("key")
    if bucket is not None:
        if isinstance(bucket, str):
            allow(bucket, builder.buckets)
        else:
            builder.wrong("bucket", "a bucket's name", bucket)
    if not isinstance(key, str):
        builder.wrong("key", "the key of an original", key)
        return ""
    return builder.key(key, "key") or ""
