"""Delivery, step 1: parses imgproxy's URLs, `SIGNATURE/rs:fill:300:200/q:80/plain/KEY@webp`, or with the
key in base64.

Options may come in any order; a later one overrides an earlier one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from image_processor.delivery.dialects import CERTAIN, POSSIBLE, DialectOptions
from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parser import check_length
from image_processor.domain.errors import SignatureExpired, SignatureMismatch, SignatureMissing
from image_processor.domain.keys import percent_decode
from image_processor.domain.redaction import redacted_repr

from .options import BEST, NO_PRESETS, Presets, apply, is_option
from .watermark import decode_base64, parse_base64

_UNSIGNED = frozenset({"insecure", "unsafe", "_", "-"})
"""What imgproxy's documentation uses in place of a signature."""

_PLAIN = "plain"
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]+")
_OPTION = re.compile(r"([a-z_-]+)(?::|%3A)", re.IGNORECASE)
_BASE64 = re.compile(r"([A-Za-z0-9_-]+)={0,2}(?:\.([A-Za-z0-9]+))?")


class Imgproxy(Struct, frozen=True):
    """The imgproxy dialect. ``lenient`` and ``buckets`` as for `RequestBuilder`."""

    key: bytes | None = None
    """Verifies signatures, with ``salt``."""
    salt: bytes = b""
    signature_bytes: int = 32
    """The length of signatures, 8-32."""
    unsafe: bool = False
    """Whether URLs without a signature are accepted."""
    lenient: bool = False
    buckets: frozenset[str] = frozenset()
    presets: Presets = NO_PRESETS
    """The options of named presets."""
    watermark: str | None = None
    """The key of the watermark of URLs that name none."""

    def __repr__(self) -> str:
        return redacted_repr(self, ("key", "salt"))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        return cls(
            settings["imgproxy_key"] or None,
            settings["imgproxy_salt"] or b"",
            settings["imgproxy_signature_bytes"],
            options.unsafe,
            options.lenient,
            options.buckets,
            {name: parse_options(text) for name, text in _presets(settings).items()},
            settings["imgproxy_watermark"],
        )

    @property
    def name(self) -> str:
        return "imgproxy"

    def matches(self, path: str, query: str) -> int:
        """Whether the path begins like a signature, followed by an option or a source."""
        del query
        first, _, rest = path.partition("/")
        following = rest.partition("/")[0]
        if not rest or not _SIGNATURE.fullmatch(first):
            return 0
        if first not in _UNSIGNED and len(first) != self._signature_length:
            return 0
        name = _OPTION.match(following)
        if following == _PLAIN or (name is not None and is_option(name[1].lower())):
            return CERTAIN
        return POSSIBLE if name is not None or _is_base64_text(rest) else 0

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Verify the signature, then parse the URL. Raises Forbidden, InvalidRequest."""
        first, _, rest = path.partition("/")
        signed = self._verify(first, f"/{rest}")
        check_length(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        # imgproxy ignores the query, which is not signed.
        options, source = _split(rest, builder)
        is_vector = source.lower().endswith(".svg")
        expires = apply(options, builder, self.presets, self.watermark, is_vector=is_vector)
        if expires is not None and expires <= now:
            raise SignatureExpired(f"expected a URL that has not expired, got one valid until {expires}")
        return replace(builder.build(_key(source, builder), signed=signed), expires=expires)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: the error responses of imgproxy are plain text for people."""
        del status, code, message
        return None

    @property
    def _signature_length(self) -> int:
        return -(-8 * self.signature_bytes // 6)

    def _verify(self, signature: str, text: str) -> bool:
        """Whether the signature is valid. Without a key nothing is verified, as in imgproxy."""
        if self.key is None:
            return False
        if signature in _UNSIGNED:
            if not self.unsafe:
                raise SignatureMissing(f"expected a signature, got {signature}")
            return False
        signed = self.salt + text.encode(errors="surrogatepass")
        digest = hmac.new(self.key, signed, hashlib.sha256).digest()[: self.signature_bytes]
        right = base64.urlsafe_b64encode(digest).rstrip(b"=")
        if not hmac.compare_digest(right, signature.encode(errors="surrogatepass")):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _presets(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return {**(settings["imgproxy_presets_path"] or {}), **(settings["imgproxy_presets"] or {})}


def parse_options(text: str) -> list[list[str]]:
    """The options of a preset such as `rs:fill:100:100/q:80`, each a name and its arguments."""
    return [option.split(":") for option in text.split("/") if option]


def _is_base64_text(rest: str) -> bool:
    """Whether ``rest`` is base64 of UTF-8: the only sign of a key without options."""
    match = _BASE64.fullmatch(rest.replace("/", ""))
    return match is not None and decode_base64(match[1]) is not None


def _split(rest: str, builder: RequestBuilder) -> tuple[list[list[str]], str]:
    """The options, each a name and its arguments, and the decoded source without its `@FORMAT` or
    `.FORMAT`."""
    segments = rest.split("/")
    count = next((at for at, segment in enumerate(segments) if not _OPTION.match(segment)), len(segments))
    options = [_parse_option(segment, builder) for segment in segments[:count]]
    if segments[count : count + 1] == [_PLAIN]:
        return options, _plain_source("/".join(segments[count + 1 :]), builder)
    if segments[count : count + 1] == ["enc"]:
        builder.add_error("the source", "plain/KEY or the key in base64", "an encrypted source")
        return options, "-"
    return options, _base64_source("".join(segments[count:]), builder)


def _parse_option(segment: str, builder: RequestBuilder) -> list[str]:
    try:
        return percent_decode(segment).split(":")
    except UnicodeError:
        builder.add_error("options", "percent-encoded UTF-8", segment)
        return ["cb"]


def _plain_source(text: str, builder: RequestBuilder) -> str:
    # An escaped @ does not separate.
    source, sign, extension = text.rpartition("@")
    if sign:
        _set_extension(extension, builder)
    try:
        return percent_decode(source if sign else text)
    except UnicodeError:
        builder.add_error("the source", "percent-encoded UTF-8", text)
        return "-"


def _base64_source(text: str, builder: RequestBuilder) -> str:
    match = _BASE64.fullmatch(text)
    source = parse_base64(match[1] if match else "?", "the source", builder)
    _set_extension(match[2] if match else None, builder)
    return source or "-"


def _set_extension(text: str | None, builder: RequestBuilder) -> None:
    if text:
        builder.set_format(text, "the extension", automatic=BEST)


def _key(source: str, builder: RequestBuilder) -> str:
    return builder.parse_key(source.removeprefix("local:///"), "the source") or ""
