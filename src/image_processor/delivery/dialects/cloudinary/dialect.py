"""Delivery, step 1: parses Cloudinary's URLs,
`CLOUD/image/upload/s--SIGNATURE--/c_fill,w_300,h_200/f_auto/v1234/photos/cat.jpg`.

Every part but the public ID is optional. Segments that look like components belong to the transformation; a
version ends it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from msgspec import Struct

from image_processor.delivery.dialects import CERTAIN, DialectOptions
from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.delivery.url.parser import check_length
from image_processor.domain.errors import InvalidTransformation, SignatureMismatch
from image_processor.domain.formats import FORMAT_ALIASES, FORMATS
from image_processor.domain.keys import percent_decode
from image_processor.domain.redaction import redacted_repr

from .components import is_component, read_components
from .operations import Chain, Effect, NeedsSize, compose

_START = re.compile(
    r"(?:[A-Za-z0-9_-]+/)?(?:(?P<kind>image|video|raw)/"
    r"(?P<type>upload|private|authenticated|fetch|sprite|facebook|twitter|gravatar|youtube|multi)|(?P<short>iu))/"
)
_STORED = frozenset({"upload", "private", "authenticated"})
_SIGNATURE = re.compile(r"s--([A-Za-z0-9_-]{8}|[A-Za-z0-9_-]{32})--")
_VERSION = re.compile(r"v[0-9]+")
_EXTENSION = re.compile(r"(.+)\.([A-Za-z0-9]+)", re.DOTALL)


class Cloudinary(Struct, frozen=True):
    """The Cloudinary dialect. ``secret`` (the API secret) verifies signatures. ``public_ids``: keys are
    public IDs, and an extension in a URL is the format; else it belongs to the key. ``named`` are the named
    transformations. ``lenient`` and ``buckets`` as for `RequestBuilder`."""

    secret: bytes | None = None
    public_ids: bool = False
    named: Mapping[str, str] = {}
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("secret",))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        secret = settings["cloudinary_secret"]
        return cls(
            secret.encode() if secret else None,
            bool(settings["cloudinary_public_ids"]),
            settings["cloudinary_transformations_path"] or {},
            options.lenient,
            options.buckets,
        )

    @property
    def name(self) -> str:
        return "cloudinary"

    def matches(self, path: str, query: str) -> int:
        """Whether the path begins with a cloud, or none, an asset type and a delivery type."""
        del query
        return CERTAIN if _START.match(path) else 0

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Verify the signature, then parse the URL; the query is ignored. Raises Forbidden,
        InvalidRequest."""
        del now
        start = _START.match(path)
        segments = path[start.end() :].split("/") if start else []
        signature = _SIGNATURE.fullmatch(segments[0]) if segments else None
        if signature is not None:
            segments = segments[1:]
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        components, source = _split(segments, builder)
        signed = self._verify(signature, "/".join(filter(None, ("/".join(components), source))))
        check_length(path, query)
        kind, type_ = (start["kind"] or "image", start["type"] or "upload") if start else ("", "")
        if kind != "image" or type_ not in {*_STORED, "fetch"}:
            builder.add_error("the URL", "image/upload, private, authenticated or fetch", f"{kind}/{type_}")
        key = self._key(source, type_, builder)
        texts = [_decode(component, builder) for component in components]
        operations = read_components(list(filter(None, texts)), builder, self.named)
        if builder.preset is not None and operations:
            builder.add_error("t", "no other operations with it", f"t_{builder.preset} with others")
        elif not builder.problems:
            _set_operations(operations, builder)
        return builder.build(key, signed=signed)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: Cloudinary's errors are in a header, for people."""
        del status, code, message
        return None

    def _key(self, source: str, type_: str, builder: RequestBuilder) -> str:
        text = _decode(source, builder)
        match = _EXTENSION.fullmatch(text) if type_ in _STORED else None
        if match is not None and match[2] == AUTO:
            text, builder.format = match[1], AUTO
        elif match is not None and self.public_ids:
            format_ = FORMAT_ALIASES.get(match[2].lower(), match[2].lower())
            if format_ in FORMATS:
                text = match[1]
                builder.set_format(format_, "the extension")
        return builder.parse_key(text, "the public ID") or ""

    def _verify(self, signature: re.Match[str] | None, text: str) -> bool:
        """Whether the URL has a valid signature: URL-safe base64 of the SHA-1 or SHA-256 of the
        transformation, the public ID and the secret; 8 characters, or 32 of SHA-256. Without a secret nothing
        is verified."""
        if self.secret is None or signature is None:
            return False
        signed = text.encode(errors="surrogatepass") + self.secret
        length = len(signature[1])
        algorithms = (hashlib.sha1, hashlib.sha256) if length == 8 else (hashlib.sha256,)
        digests = [base64.urlsafe_b64encode(hash_(signed).digest())[:length] for hash_ in algorithms]
        if not any(hmac.compare_digest(digest, signature[1].encode()) for digest in digests):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _split(segments: Sequence[str], builder: RequestBuilder) -> tuple[list[str], str]:
    """The components and the source, as they arrived. The version, which is not signed, is left out."""
    count = 0
    while count < len(segments) - 1 and is_component(_decode(segments[count], builder)):
        count += 1
    rest = segments[count:]
    if len(rest) > 1 and _VERSION.fullmatch(rest[0]):
        rest = rest[1:]
    return list(segments[:count]), "/".join(rest)


def _decode(text: str, builder: RequestBuilder) -> str:
    try:
        return percent_decode(text)
    except UnicodeError:
        builder.add_error("the path", "percent-encoded UTF-8", text)
        return ""


def _set_operations(operations: tuple[Any, ...], builder: RequestBuilder) -> None:
    """The fields of the operations, or what makes them once the original's size is known."""
    try:
        builder.values |= compose(operations)
    except NeedsSize:
        if any(isinstance(operation, Effect) and operation.field == "trim" for operation in operations):
            builder.add_error("e_trim", "no operation after it that needs the size", "one")
        builder.geometry = Chain(operations)
    except InvalidTransformation as error:
        builder.problems += error.problems
