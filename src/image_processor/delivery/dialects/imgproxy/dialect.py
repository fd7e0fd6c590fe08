"""Dialects: imgproxy's URLs, `SIGNATURE/rs:fill:300:200/q:80/plain/KEY@webp`, or with the key in base64.

Options may come in any order; of two that say the same the later one counts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from msgspec import Struct

from image_processor.delivery.dialects.request_builder import RequestBuilder, bounded, decoded
from image_processor.delivery.request import RenditionRequest
from image_processor.domain.errors import SignatureExpired, SignatureMismatch, SignatureMissing
from image_processor.domain.redaction import redacted_repr

from .options import BEST, apply
from .watermark import from_base64, text_of

_UNSIGNED = frozenset({"insecure", "unsafe", "_", "-"})
"""What imgproxy's papers write where a signature is not wanted."""

_PLAIN = "plain"
_SIGN = re.compile(r"[A-Za-z0-9_-]+")
_OPTION = re.compile(r"[a-z_-]+(?::|%3A)", re.IGNORECASE)
_BASE64 = re.compile(r"([A-Za-z0-9_-]+)={0,2}(?:\.([A-Za-z0-9]+))?")


class Imgproxy(Struct, frozen=True):
    """``key`` and ``salt`` verify signatures of ``signature_bytes`` (8-32). ``unsafe`` lets a URL go
    without one. ``lenient`` leaves out what is not made here instead of refusing it. ``buckets`` may be
    named by keys."""

    key: bytes | None = None
    salt: bytes = b""
    signature_bytes: int = 32
    unsafe: bool = False
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("key", "salt"))

    @property
    def name(self) -> str:
        return "imgproxy"

    def matches(self, path: str, query: str) -> bool:
        """Whether it begins with what has the form of a signature and goes on as imgproxy's URLs do."""
        del query
        first, _, rest = path.partition("/")
        following = rest.partition("/")[0]
        if not rest or not _SIGN.fullmatch(first):
            return False
        if first not in _UNSIGNED and len(first) != self._length:
            return False
        return following == _PLAIN or _OPTION.match(following) is not None or _is_text(rest)

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """What the URL asks for. Raises Forbidden before anything else, and InvalidRequest."""
        first, _, rest = path.partition("/")
        signed = self._verify(first, f"/{rest}")
        bounded(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        # imgproxy does not sign the query, and does not hear it.
        options, source = _parted(rest, builder)
        end = apply(options, builder)
        if end is not None and end <= now:
            raise SignatureExpired(f"expected a URL that has not ended, got one until {end}")
        return builder.asked(_key(source, builder), signed=signed)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: imgproxy's own errors are words for people."""
        del status, code, message
        return None

    @property
    def _length(self) -> int:
        return -(-8 * self.signature_bytes // 6)

    def _verify(self, signature: str, text: str) -> bool:
        """Whether a right signature came. Without a key nothing is signed, as in imgproxy."""
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


def _is_text(rest: str) -> bool:
    """Whether it is base64 of a text: a key without options has nothing else to tell it by."""
    match = _BASE64.fullmatch(rest.replace("/", ""))
    return match is not None and text_of(match[1]) is not None


def _parted(rest: str, builder: RequestBuilder) -> tuple[list[list[str]], str]:
    """The options, each a name and its arguments, and what the source is: percent-decoded, `@` or `.`
    with a format taken off."""
    segments = rest.split("/")
    count = next((at for at, one in enumerate(segments) if not _OPTION.match(one)), len(segments))
    options = [_arguments(one, builder) for one in segments[:count]]
    if segments[count : count + 1] == [_PLAIN]:
        return options, _plain("/".join(segments[count + 1 :]), builder)
    if segments[count : count + 1] == ["enc"]:
        builder.wrong("the source", "plain/KEY or the key in base64", "an encrypted one")
        return options, "-"
    return options, _encoded("".join(segments[count:]), builder)


def _arguments(segment: str, builder: RequestBuilder) -> list[str]:
    try:
        return decoded(segment).split(":")
    except UnicodeError:
        builder.wrong("options", "percent-encoded UTF-8", segment)
        return ["cb"]


def _plain(text: str, builder: RequestBuilder) -> str:
    # What is escaped is no separator.
    source, sign, extension = text.rpartition("@")
    if sign:
        _extension(extension, builder)
    try:
        return decoded(source if sign else text)
    except UnicodeError:
        builder.wrong("the source", "percent-encoded UTF-8", text)
        return "-"


def _encoded(text: str, builder: RequestBuilder) -> str:
    match = _BASE64.fullmatch(text)
    source = from_base64(match[1] if match else "?", "the source", builder)
    _extension(match[2] if match else None, builder)
    return source or "-"


def _extension(text: str | None, builder: RequestBuilder) -> None:
    if text:
        builder.written(text, "the extension", automatic=BEST)


def _key(source: str, builder: RequestBuilder) -> str:
    return builder.key(source.removeprefix("local:///"), "the source") or ""
