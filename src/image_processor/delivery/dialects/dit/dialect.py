"""Delivery, step 1: parses URLs of AWS' Dynamic Image Transformation for Amazon CloudFront (DIT), versions 7
and 8.

A path is base64 of JSON, `{"key": ..., "edits": {...}}`, or has thumbor's form. Query parameters override
it; one of them is the signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import unquote, unquote_to_bytes

from msgspec import Struct
from msgspec.structs import replace

from image_processor.delivery.dialects import CERTAIN, POSSIBLE, DialectOptions
from image_processor.delivery.dialects.request_builder import RequestBuilder, check_bucket
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parser import check_length
from image_processor.domain.errors import (
    InvalidRequest,
    SignatureExpired,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.keys import percent_decode
from image_processor.domain.redaction import redacted_repr

from . import version8
from .edits import apply
from .path import QUERY_PARAMETERS, apply_query, is_dit_path, parse_path

_SIGNATURE, _EXPIRES = "signature", "expires"
# The start of a JSON object in base64, with or without white space after the brace.
_OBJECT = ("eyJ", "eyA", "ewo", "ew0", "ewk")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]|%2[BbFf])+(?:=|%3[Dd]){0,2}")
_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_MAX_AGE = re.compile(r"\bmax-age=([0-9]{1,9})\b")
_JSON = "the path"

ERROR_CODES = {
    "signature-missing": "AuthorizationQueryParametersError",
    "signature-mismatch": "SignatureDoesNotMatch",
    "signature-expired": "ImageRequestExpired",
    "bucket-not-allowed": "ImageBucket::CannotAccessBucket",
    "not-found": "NoSuchKey",
    "invalid-request": "RequestTypeError",
    "invalid-key": "RequestTypeError",
    "refused": "InstantiationError",
}
"""DIT's error codes by this program's; codes without an equivalent stay as they are."""

Pairs = list[tuple[str, str]]


class Dit(Struct, frozen=True):
    """The DIT dialect. ``secret`` verifies signatures; ``unsafe`` allows every unsigned request. ``lenient``
    and ``buckets`` as for `RequestBuilder`."""

    secret: bytes | None = None
    unsafe: bool = False
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("secret",))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        secret = settings["dit_secret"]
        return cls(secret.encode() if secret else None, options.unsafe, options.lenient, options.buckets)

    @property
    def name(self) -> str:
        return "dit"

    def matches(self, path: str, query: str) -> int:
        """Whether the path has DIT's form, or a query parameter is DIT's alone. A plain key with parameters
        that the project's own URLs share (`?width=300`) matches only if ``unsafe``."""
        if _is_json(path) or is_dit_path(path):
            return CERTAIN
        names = {part.partition("=")[0] for part in query.split("&")} - {""}
        if names & {_SIGNATURE, _EXPIRES, "flop"} or any(map(version8.is_nested, map(unquote, names))):
            return POSSIBLE
        is_shared = names <= QUERY_PARAMETERS or names <= version8.SCHEMAS.keys()
        return POSSIBLE if self.unsafe and names and is_shared else 0

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Verify the signature, then parse the URL. Raises Forbidden, InvalidRequest."""
        pairs = self._parse_query(query)
        signed = self._verify(path, pairs)
        try:
            return self._parse(path, query, pairs, now, signed=signed)
        except InvalidRequest as error:
            if signed or self.unsafe or self.secret is None:
                raise
            # A URL that cannot be parsed was never signed: it was altered.
            raise SignatureMissing(f"expected a signed URL that can be parsed; {error}") from error

    def _parse(self, path: str, query: str, pairs: Pairs, now: float, *, signed: bool) -> RenditionRequest:
        check_length(path, query)
        expires = _check_expiry(dict(pairs).get(_EXPIRES), now)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        request = _read_json(path) if _is_json(path) else parse_path(path, builder)
        edits = _edits(request, builder)
        _apply_query([pair for pair in pairs if pair[0] not in {_SIGNATURE, _EXPIRES}], edits, builder)
        apply(edits, request.get("outputFormat"), request.get("effort"), builder)
        return replace(builder.build(_key(request, builder), signed=signed), expires=expires)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """The JSON of DIT's error responses, with DIT's error code."""
        name = ERROR_CODES.get(code, code)
        if code == "invalid-request" and f" for {_EXPIRES}, " in message:
            name = "ImageRequestExpiryFormat"
        elif code == "invalid-request" and f" for {_JSON}, " in message:
            name = "DecodeRequest::CannotDecodeRequest"
        return "application/json", json.dumps({"status": status, "code": name, "message": message})

    def _parse_query(self, query: str) -> Pairs:
        try:
            parts = (part.replace("+", " ").partition("=") for part in query.split("&") if part)
            return [(percent_decode(name), percent_decode(value)) for name, _, value in parts]
        except UnicodeError:
            if self.secret is not None:
                raise SignatureMismatch("expected a signed query in UTF-8, got other bytes") from None
            raise InvalidRequest.one("the query", "percent-encoded UTF-8", query) from None

    def _verify(self, path: str, pairs: Pairs) -> bool:
        """Whether the URL has a valid signature: hex HMAC-SHA256 of the undecoded path and the decoded other
        parameters, sorted by name. Without a secret nothing is verified."""
        signatures = [value for name, value in pairs if name == _SIGNATURE]
        if self.secret is None or not signatures:  # a public preset may declare the rendition
            return False
        others = sorted((pair for pair in pairs if pair[0] != _SIGNATURE), key=lambda pair: pair[0])
        text = f"/{path}" + ("?" + "&".join(f"{name}={value}" for name, value in others) if others else "")
        expected = hmac.new(self.secret, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
        # With & or = in a name or value, the signed text would be ambiguous.
        unambiguous = not any("&" in name + value or "=" in name for name, value in others)
        same = hmac.compare_digest(expected.encode(), signatures[0].encode(errors="surrogatepass"))
        if not (same and unambiguous and len(signatures) == 1):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _apply_query(pairs: Pairs, edits: dict[str, Any], builder: RequestBuilder) -> None:
    """Apply parameters of version 8 if there are any and no size of version 7, else those of version 7."""
    names = {name for name, _ in pairs}
    if any(map(version8.is_own, names)) and not names & {"width", "height", "fit"}:
        edits.update(version8.edits_of(pairs))
    else:
        apply_query(pairs, edits, builder)


def _check_expiry(text: str | None, now: float) -> float | None:
    """The Unix time at which the URL expires; None: never. Raises SignatureExpired, InvalidRequest."""
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    try:
        expires = datetime(*map(int, match.groups()), tzinfo=UTC).timestamp() if match else None  # type: ignore[arg-type, misc]  # six numbers
    except ValueError:
        expires = None
    if expires is None:
        raise InvalidRequest.one(_EXPIRES, "a time as YYYYMMDDTHHmmssZ", text)
    if expires <= now:
        raise SignatureExpired(f"expected a URL that has not expired, got one valid until {text}")
    return expires


def _is_json(path: str) -> bool:
    return path.startswith(_OBJECT) and _BASE64.fullmatch(path) is not None


def _read_json(path: str) -> dict[str, Any]:
    """The JSON object in the path. Raises InvalidRequest."""
    try:
        encoded = unquote_to_bytes(path).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        body = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
        parsed = json.loads(body, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest.one(_JSON, "base64 of a JSON object", path[:100]) from None
    if not isinstance(parsed, dict):
        raise InvalidRequest.one(_JSON, "base64 of a JSON object", path[:100])
    return parsed


def _reject_constant(name: str) -> None:
    raise ValueError(name)


def _edits(request: dict[str, Any], builder: RequestBuilder) -> dict[str, Any]:
    edits = request.get("edits")
    if edits is None:
        return {}
    if not isinstance(edits, dict):
        builder.add_error("edits", "an object", edits)
        return {}
    return dict(edits)


def _set_headers(headers: Any, builder: RequestBuilder) -> None:
    """Of the response headers that a request may set, only the `max-age` of Cache-Control is."""
    for name, value in headers.items() if isinstance(headers, dict) else ():
        max_age = _MAX_AGE.search(value) if isinstance(value, str) else None
        if name.lower() == "cache-control" and max_age is not None:
            builder.max_age = int(max_age[1])
        else:
            builder.unsupported(f"headers.{name}", "no header but the max-age of Cache-Control", value)


def _key(request: dict[str, Any], builder: RequestBuilder) -> str:
    _set_headers(request.get("headers"), builder)
    bucket, key = request.get("bucket"), request.get("key")
    if bucket is not None:
        if isinstance(bucket, str):
            prefix = check_bucket(bucket, builder.buckets)
            key = prefix + key if isinstance(key, str) else key
        else:
            builder.add_error("bucket", "a bucket's name", bucket)
    if not isinstance(key, str):
        builder.add_error("key", "the key of an original", key)
        return ""
    return builder.parse_key(key, "key") or ""
