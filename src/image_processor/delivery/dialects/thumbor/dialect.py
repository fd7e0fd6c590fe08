"""Delivery, step 1: parses thumbor's URLs, `SIGNATURE/300x200/smart/filters:blur(3)/KEY`.

Each part is optional, and their order is fixed: a part out of order belongs to the key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from msgspec import Struct

from image_processor.delivery.dialects import CERTAIN, POSSIBLE, DialectOptions
from image_processor.delivery.dialects.filter_syntax import parse_filters
from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.delivery.request import RenditionRequest, SizingRule
from image_processor.delivery.url.parser import check_length
from image_processor.domain.errors import SignatureKeyUnknown, SignatureMismatch, SignatureMissing
from image_processor.domain.keys import percent_decode
from image_processor.domain.redaction import redacted_repr
from image_processor.domain.transformation import Fit, Flip, Gravity

from .filters import apply
from .geometry import Filter, FilterChain

_UNSAFE = "unsafe"
# An HMAC-SHA1 is 20 bytes: 27 characters of base64 and one of padding.
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{27}(?:=|%3[Dd])")
_PARTS = re.compile(
    r"(?:(?P<debug>debug)/)?"
    r"(?:(?P<meta>meta)/)?"
    r"(?:trim(?P<trim>(?::(?:top-left|bottom-right))?(?::[0-9]+)?)/)?"
    r"(?:(?P<crop>[0-9]+x[0-9]+:[0-9]+x[0-9]+)/)?"
    r"(?:(?P<fit>(?:adaptive-)?(?:full-)?fit-in)/)?"
    r"(?:(?P<flop>-)?(?P<width>[0-9]+|orig)?x(?P<flip>-)?(?P<height>[0-9]+|orig)?/)?"
    r"(?:(?P<halign>left|right|center)/)?"
    r"(?:(?P<valign>top|bottom|middle)/)?"
    r"(?:(?P<smart>smart)/)?"
    r"(?P<rest>.+)",
    re.DOTALL,
)
# A part that only thumbor has.
_OWN_PART = re.compile(
    r"(?:meta|smart|trim(?::(?:top-left|bottom-right)(?::[0-9]+)?)?|(?:adaptive-)?(?:full-)?fit-in"
    r"|-?(?:[0-9]+|orig)?x-?(?:[0-9]+|orig)?|filters:[^/]*)/"
)
_SOURCE_FORMATS = {"tiff": "png"}
"""thumbor never writes TIFF."""

_SIDES = {"top": "north", "bottom": "south", "left": "west", "right": "east"}
_MAX_TOLERANCE = 442
_MAX_PIXELS = 10**6


class Thumbor(Struct, frozen=True):
    """The thumbor dialect. ``key`` verifies signatures; ``unsafe`` accepts URLs that begin with `unsafe`.
    ``lenient`` and ``buckets`` as for `RequestBuilder`."""

    key: bytes | None = None
    unsafe: bool = False
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("key",))

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], options: DialectOptions) -> Self:
        """The dialect as the settings configure it."""
        key = settings["thumbor_key"]
        return cls(key.encode() if key else None, options.unsafe, options.lenient, options.buckets)

    @property
    def name(self) -> str:
        return "thumbor"

    def matches(self, path: str, query: str) -> int:
        """Whether the path begins with a signature, or with `unsafe`, which imgproxy's may, too."""
        del query
        first, slash, rest = path.partition("/")
        if not slash or (first != _UNSAFE and _SIGNATURE.fullmatch(first) is None):
            return 0
        return CERTAIN if first != _UNSAFE or _OWN_PART.match(rest) else POSSIBLE

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """Verify the signature, then parse the URL. Raises Forbidden, InvalidRequest."""
        del now  # thumbor URLs do not expire
        first, _, rest = path.partition("/")
        signed = self._verify(first, rest)
        check_length(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        builder.source_formats = _SOURCE_FORMATS
        return builder.build(_parse(rest, builder), signed=signed)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: the error responses of thumbor have no documented body."""
        del status, code, message
        return None

    def _verify(self, signature: str, text: str) -> bool:
        if signature == _UNSAFE:
            if not self.unsafe:
                raise SignatureMissing("expected a signature, got unsafe")
            return False
        if self.key is None:
            raise SignatureKeyUnknown(
                "expected no thumbor signature, as IMAGE_PROCESSOR_THUMBOR_KEY is not set"
            )
        digest = hmac.new(self.key, text.encode(errors="surrogatepass"), hashlib.sha1).digest()
        right = base64.urlsafe_b64encode(digest)
        arguments = signature.replace("%3D", "=").replace("%3d", "=").encode(errors="surrogatepass")
        if not hmac.compare_digest(right, arguments):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _parse(text: str, builder: RequestBuilder) -> str:
    """Parse ``text`` into ``builder``. Returns the key."""
    match = _PARTS.fullmatch(text)
    if match is None:
        builder.add_error("the path", "the key of an original", text)
        return ""
    parts = match.groupdict()
    if parts["debug"]:
        builder.unsupported("debug")
    if parts["meta"]:
        builder.add_error("meta", "no meta, as metadata is served by the REST API only", "meta")
    _trim(parts["trim"], builder)
    _crop(parts["crop"], builder)
    _size(parts, builder)
    _gravity(parts, builder)
    calls, rest = parse_filters(parts["rest"])
    ordered = apply(calls, builder)
    _set_chain(ordered, parts, builder)
    return _key(rest, builder)


def _set_chain(ordered: Sequence[Filter], parts: Mapping[str, str | None], builder: RequestBuilder) -> None:
    fit = parts["fit"] or ""
    own = [name for name in ("width", "height") if parts[name] == "orig"]
    if ordered or (own and fit.startswith("adaptive-")):
        builder.geometry = FilterChain(
            tuple(ordered),
            builder.values.get("width", 0),
            builder.values.get("height", 0),
            "width" in own,
            "height" in own,
            fit,
        )
        builder.sizing = None


def _key(text: str, builder: RequestBuilder) -> str:
    try:
        key = percent_decode(text)
    except UnicodeError:
        builder.add_error("the key", "percent-encoded UTF-8", text)
        return ""
    return builder.parse_key(key, "the key") or ""


def _trim(text: str | None, builder: RequestBuilder) -> None:
    if text is None:
        return
    # thumbor takes whatever follows for the corner: with `trim:50` it is the last one, the tolerance 0.
    _, corner, digits = (*text.split(":"), "", "")[:3]
    if corner not in {"", "top-left"}:
        builder.values["trim_last"] = True
    tolerance = builder.integer(digits, "trim", 0, _MAX_TOLERANCE) if digits else 0
    if tolerance is not None:
        # thumbor measures the Euclidean distance of colours, trim the largest difference of a channel.
        builder.set_field("trim", int(tolerance / 3**0.5), "trim")


def _crop(text: str | None, builder: RequestBuilder) -> None:
    if text is None or text == "0x0:0x0":
        return
    numbers = [builder.integer(digits, "crop", 0, _MAX_PIXELS) for digits in re.findall(r"[0-9]+", text)]
    if None in numbers:
        return
    left, top, right, bottom = (number or 0 for number in numbers)
    if right <= left or bottom <= top:
        return  # as thumbor does
    builder.set_field("region", (left, top, right - left, bottom - top), "crop")
    # Its crop has the coordinates of the untrimmed image: only its part within the border differs.
    builder.remove_fields("trim", "trim_last")


def _size(parts: dict[str, str | None], builder: RequestBuilder) -> None:
    width, height = _side(parts["width"], "width", builder), _side(parts["height"], "height", builder)
    if width or height:
        fit = parts["fit"] or ""
        builder.values["fit"] = Fit.OUTSIDE if "full-" in fit else Fit.INSIDE if fit else Fit.COVER
        # thumbor enlarges to fill the size, also with `full-fit-in`, but not to fit in it.
        builder.values["enlarge"] = not fit or "full-" in fit
        own = [name for name in ("width", "height") if parts[name] == "orig"]
        if own:
            builder.sizing = SizingRule.ORIGINAL_WIDTH if own == ["width"] else SizingRule.ORIGINAL_HEIGHT
        elif fit.startswith("adaptive-"):
            builder.sizing = SizingRule.ADAPTIVE
    flipped = ("h" if parts["flop"] else "") + ("v" if parts["flip"] else "")
    if flipped:
        builder.values["flip"] = Flip(flipped)


def _side(text: str | None, field_: str, builder: RequestBuilder) -> bool:
    """Whether a side is given in pixels; it is then set in ``builder``."""
    if text in {None, "orig"} or not text or not text.strip("0"):
        return False
    builder.set_field(field_, int(text[:9]) if len(text) <= 9 else _MAX_PIXELS, field_)
    return True


def _gravity(parts: dict[str, str | None], builder: RequestBuilder) -> None:
    if parts["smart"]:
        builder.values["gravity"] = Gravity.ATTENTION
        return
    name = "".join(_SIDES.get(parts[part] or "", "") for part in ("valign", "halign"))
    if name:
        builder.values["gravity"] = Gravity(name)
