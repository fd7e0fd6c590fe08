"""Delivery, step 1: parses imgix's URLs, `photos/cat.jpg?w=300&h=200&fit=crop&auto=format`.

The path is the key, the query has imgix's parameters. They look like the project's own URLs and mean other
things, such as `w=300&h=200`, which fits the image inside; so an enabled imgix dialect parses every URL with
a query, unless that has a parameter or a signature of the project's own.
"""

from __future__ import annotations

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
from image_processor.delivery.url import parameter_names as own
from image_processor.delivery.url.parser import check_length
from image_processor.domain.errors import SignatureExpired, SignatureMismatch
from image_processor.domain.keys import percent_decode
from image_processor.domain.redaction import redacted_repr

from . import adjustments, layers, output, surroundings
from .arguments import Arguments, canonical_name, parse_arguments
from .composition import Composition
from .parameters import NAMES
from .sizes import set_sizes

_SIGNATURE = re.compile(r"(?:^|&)s=([0-9a-f]{32})(?=&|$)")
_VISIBLE = re.compile(r"[!-~]*")
_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_LIBRARY = frozenset({"ixlib", "ixid"})
"""Parameters that imgix's own clients add."""

OWN_ONLY = frozenset({
    *own.PARAMETER_ORDER, *own.ALIASES, *own.SIGNATURE_PARAMETERS, own.FOCAL_POINT[0],
}) - NAMES - {"s", "expires", "width", "height", "invert"}  # fmt: skip
"""Parameters that only the project's own URLs have."""

_SHARED = frozenset({"expires", "fit", "flip", "format", "h", "height", "q", "url", "v", "w", "width"})
"""Parameters that other products have, too."""

_OTHERS = frozenset({"signature", "url"})
"""Parameters that only other products have."""


class Imgix(Struct, frozen=True):
    """The imgix dialect. ``tokens`` verify signatures, each of them. ``lenient`` and ``buckets`` as for
    `RequestBuilder`."""

    tokens: tuple[str, ...] = ()
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("tokens",))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        return cls(tuple(settings["imgix_tokens"] or ()), options.lenient, options.buckets)

    @property
    def name(self) -> str:
        return "imgix"

    def matches(self, path: str, query: str) -> int:
        """Whether there is a query without parameters that only the project's own URLs have."""
        del path
        if _SIGNATURE.search(query):
            return CERTAIN
        names = {part.partition("=")[0].lower() for part in query.split("&")} - {""}
        names = {name for name in names if not own.is_ignored(name)}
        if not names or names & OWN_ONLY or "s" in names:
            return 0
        is_imgix = names & _LIBRARY or any(canonical_name(name) in NAMES for name in names - _SHARED)
        return CERTAIN if is_imgix and not names & _OTHERS else POSSIBLE

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Verify the signature, then parse the URL. Raises Forbidden, InvalidRequest."""
        signed = self._verify(path, query)
        check_length(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        arguments = parse_arguments(query, builder)
        expires = _expiry(arguments, now)
        key = _key(path, builder)
        composition = Composition(arguments)
        output.apply(arguments)
        adjustments.apply(arguments, composition)
        set_sizes(arguments, composition)
        layers.set_blend(arguments, composition)
        surroundings.apply(arguments, composition)
        layers.set_layers(arguments, composition)
        composition.finish(builder)
        # A parameter that decides about several things is read for each.
        builder.problems = list(dict.fromkeys(builder.problems))
        return replace(builder.build(key, signed=signed), expires=expires)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: imgix's error responses are for people."""
        del status, code, message
        return None

    def _verify(self, path: str, query: str) -> bool:
        """Whether the signature is valid: MD5 of a token, then the path and the query without `s` as they
        arrived. Without a token nothing is verified.

        A hash of a secret followed by a text can be extended by anyone who knows the hash, with bytes that
        pad it. These are not printable, so a signed URL may have printable ASCII only.
        """
        match = _SIGNATURE.search(query)
        if not self.tokens or match is None:
            return False
        others = "&".join(part for part in query.split("&") if part and not part.startswith("s="))
        text = f"/{path}?{others}" if others else f"/{path}"
        if not _VISIBLE.fullmatch(text):
            raise SignatureMismatch("expected a signed URL of printable ASCII characters, got others")
        matches = [hmac.compare_digest(_md5(token, text), match[1]) for token in self.tokens]
        if not any(matches):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _md5(token: str, text: str) -> str:
    return hashlib.md5(f"{token}{text}".encode(), usedforsecurity=False).hexdigest()


def _expiry(arguments: Arguments, now: float) -> float | None:
    """The Unix time after which the URL is not valid. Raises SignatureExpired."""
    text = arguments.text("expires").strip()
    if not text:
        return None
    if not _TIMESTAMP.fullmatch(text):
        arguments.builder.add_error("expires", "Unix seconds", text)
        return None
    if int(text) <= now:
        raise SignatureExpired(f"expected a URL that has not expired, got one valid until {text}")
    return float(text)


def _key(path: str, builder: RequestBuilder) -> str:
    try:
        return builder.parse_key(percent_decode(path), "the path") or ""
    except UnicodeError:
        builder.add_error("the path", "percent-encoded UTF-8", path)
        return ""
