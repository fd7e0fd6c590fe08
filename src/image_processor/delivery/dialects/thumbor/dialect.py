"""Dialects: thumbor's URLs, `SIGNATURE/300x200/smart/filters:blur(3)/KEY`.

Each part may be left out, and comes in one order only: what is out of order belongs to the key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from msgspec import Struct

from image_processor.delivery.dialects.filter_parser import parse_filters
from image_processor.delivery.dialects.request_builder import RequestBuilder, bounded, decoded
from image_processor.delivery.request import RenditionRequest, SizingRule
from image_processor.domain.errors import SignatureKeyUnknown, SignatureMismatch, SignatureMissing
from image_processor.domain.redaction import redacted_repr
from image_processor.domain.transformation import Fit, Flip, Gravity

from .filters import apply

_UNSAFE = "unsafe"
# An HMAC-SHA1 is 20 bytes: 27 signs of base64 and one of padding.
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
_SIDES = {"top": "north", "bottom": "south", "left": "west", "right": "east"}
_MOST_TOLERANCE = 442
_LARGEST = 10**6


class Thumbor(Struct, frozen=True):
    """``key`` verifies signatures. ``unsafe`` lets a URL say `unsafe` instead of one. ``lenient`` leaves
    out what is not made here instead of refusing it. ``buckets`` may be named by keys."""

    key: bytes | None = None
    unsafe: bool = False
    lenient: bool = False
    buckets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return redacted_repr(self, ("key",))

    @property
    def name(self) -> str:
        return "thumbor"

    def matches(self, path: str, query: str) -> bool:
        """Whether it begins as every URL of thumbor does: with a signature, or `unsafe`."""
        del query
        first, slash, _ = path.partition("/")
        return bool(slash) and (first == _UNSAFE or _SIGNATURE.fullmatch(first) is not None)

    def parse(self, path: str, query: str, *, now: float) -> RenditionRequest:
        """What the URL asks for. Raises Forbidden before anything else, and InvalidRequest."""
        del now  # these URLs never end
        first, _, rest = path.partition("/")
        signed = self._verify(first, f"{rest}?{query}" if query else rest)
        bounded(path, query)
        builder = RequestBuilder(lenient=self.lenient, buckets=self.buckets)
        if query:
            builder.wrong("the query", "none", query)
        return builder.asked(_read(rest, builder), signed=signed)

    def error_body(self, status: int, code: str, message: str) -> tuple[str, str] | None:
        """None: thumbor's own errors have no body that a client could know."""
        del status, code, message
        return None

    def _verify(self, signature: str, text: str) -> bool:
        if signature == _UNSAFE:
            if not self.unsafe:
                raise SignatureMissing("expected a signature, got unsafe")
            return False
        if self.key is None:
            raise SignatureKeyUnknown("expected a URL of ours, as there is no key for thumbor's signatures")
        digest = hmac.new(self.key, text.encode(errors="surrogatepass"), hashlib.sha1).digest()
        right = base64.urlsafe_b64encode(digest)
        given = signature.replace("%3D", "=").replace("%3d", "=").encode(errors="surrogatepass")
        if not hmac.compare_digest(right, given):
            raise SignatureMismatch("expected a signature of this URL, got another one")
        return True


def _read(text: str, builder: RequestBuilder) -> str:
    """The key, with what stands before it put into ``builder``."""
    match = _PARTS.fullmatch(text)
    if match is None:
        builder.wrong("the path", "the key of an original", text)
        return ""
    parts = match.groupdict()
    if parts["debug"]:
        builder.lacks("debug")
    if parts["meta"]:
        builder.wrong("meta", "a picture, as it is not told about here: ask the REST API", "meta")
    _trim(parts["trim"], builder)
    _crop(parts["crop"], builder)
    _size(parts, builder)
    _gravity(parts, builder)
    calls, rest = parse_filters(parts["rest"])
    apply(calls, builder)
    return _key(rest, builder)


def _key(text: str, builder: RequestBuilder) -> str:
    try:
        key = decoded(text)
    except UnicodeError:
        builder.wrong("the key", "percent-encoded UTF-8", text)
        return ""
    return builder.key(key, "the key") or ""


def _trim(text: str | None, builder: RequestBuilder) -> None:
    if text is None:
        return
    if "bottom-right" in text:
        builder.lacks("trim", "the colour of the top-left pixel", "bottom-right")
        return
    digits = text.rpartition(":")[2]
    tolerance = builder.whole(digits, "trim", 0, _MOST_TOLERANCE) if digits.isdigit() else 0
    if tolerance is not None:
        # thumbor measures how far two colours are apart in space, we the largest of three differences.
        builder.put("trim", round(tolerance / 3**0.5), "trim")


def _crop(text: str | None, builder: RequestBuilder) -> None:
    if text is None or text == "0x0:0x0":
        return
    numbers = [builder.whole(digits, "crop", 0, _LARGEST) for digits in re.findall(r"[0-9]+", text)]
    if None in numbers:
        return
    left, top, right, bottom = (number or 0 for number in numbers)
    if right <= left or bottom <= top:
        builder.wrong("crop", "LEFTxTOP:RIGHTxBOTTOM with its right and bottom beyond its left and top", text)
        return
    builder.put("region", (left, top, right - left, bottom - top), "crop")


def _size(parts: dict[str, str | None], builder: RequestBuilder) -> None:
    width, height = _side(parts["width"], "width", builder), _side(parts["height"], "height", builder)
    if width or height:
        fit = parts["fit"] or ""
        builder.values["fit"] = Fit.OUTSIDE if "full-" in fit else Fit.INSIDE if fit else Fit.COVER
        # Within a box nothing grows, to fill one it has to.
        builder.values["enlarge"] = not fit
        own = [name for name in ("width", "height") if parts[name] == "orig"]
        if own:
            builder.sizing = SizingRule.ORIGINAL_WIDTH if own == ["width"] else SizingRule.ORIGINAL_HEIGHT
        elif fit.startswith("adaptive-"):
            builder.sizing = SizingRule.ADAPTIVE
    mirrored = ("h" if parts["flop"] else "") + ("v" if parts["flip"] else "")
    if mirrored:
        builder.values["flip"] = Flip(mirrored)


def _side(text: str | None, field_: str, builder: RequestBuilder) -> bool:
    """Whether a side is given in pixels, which is then put into ``builder``."""
    if text in {None, "orig"} or not text or not text.strip("0"):
        return False
    builder.put(field_, int(text[:9]) if len(text) <= 9 else _LARGEST, field_)
    return True


def _gravity(parts: dict[str, str | None], builder: RequestBuilder) -> None:
    if parts["smart"]:
        builder.values["gravity"] = Gravity.ATTENTION
        return
    name = "".join(_SIDES.get(parts[part] or "", "") for part in ("valign", "halign"))
    if name:
        builder.values["gravity"] = Gravity(name)
