"""The one table of image formats, and the detection of a format from the first bytes of a file.

To add a format, add its row here and its codec in engine/codecs (docs/extending.md).
"""

from __future__ import annotations

import re
from types import MappingProxyType

from msgspec import Struct


class Format(Struct, frozen=True, kw_only=True):
    """One image format. How the engine reads and writes it is its codec."""

    name: str
    """Its name in transformations."""
    title: str
    extension: str
    media_type: str
    aliases: tuple[str, ...] = ()
    """Other names that URLs may use."""
    writable: bool = False
    """Whether a rendition can have it. Other formats are read only."""
    compatibility: int = 0
    """How widely it is supported: 3 everywhere, 0 new or rare."""
    alpha: bool = True
    animation: bool = False
    quality: int | None = None
    """The encoder's default, 1-100; None for lossless encoders. The defaults give about equal visual quality
    (SSIMULACRA2 near 76 on our test photos)."""
    encoder_options: frozenset[str] = frozenset()
    """The other fields of a transformation that the encoder supports."""
    read_as: str | None = None
    """The format that describes its originals: each of its files is also a file of that format."""
    extra: str | None = None
    """The extra of this package that installs the optional package which reads or writes it."""
    opt_in: bool = False
    """Whether it is read only if the limits allow it."""
    signatures: tuple[bytes, ...] = ()
    """A file that starts with one of these has this format; `sniff` lists formats that need a closer look."""

    @property
    def always_read(self) -> bool:
        """Whether it is read on every installation, whatever the settings."""
        return self.extra is None and self.read_as is None and not self.opt_in


def _options(names: str) -> frozenset[str]:
    return frozenset(names.split())


_TABLE = (
    Format(
        name="jpeg",
        title="JPEG",
        extension="jpg",
        media_type="image/jpeg",
        aliases=("jpg",),
        writable=True,
        compatibility=3,
        alpha=False,
        quality=75,
        encoder_options=_options("progressive subsampling optimise keep_smaller colour"),
        signatures=(b"\xff\xd8\xff",),
    ),
    Format(
        name="png",
        title="PNG",
        extension="png",
        media_type="image/png",
        writable=True,
        compatibility=2,
        encoder_options=_options("progressive effort colours keep_smaller colour"),
        signatures=(b"\x89PNG\r\n\x1a\n",),
    ),
    Format(
        name="webp",
        title="WebP",
        extension="webp",
        media_type="image/webp",
        writable=True,
        compatibility=1,
        animation=True,
        quality=80,
        encoder_options=_options("effort lossless keep_smaller colour"),
    ),
    Format(
        name="avif",
        title="AVIF",
        extension="avif",
        media_type="image/avif",
        writable=True,
        quality=63,
        encoder_options=_options("subsampling effort lossless keep_smaller colour"),
    ),
    Format(
        name="gif",
        title="GIF",
        extension="gif",
        media_type="image/gif",
        writable=True,
        compatibility=2,
        animation=True,
        encoder_options=_options("progressive effort colours keep_smaller"),
        signatures=(b"GIF87a", b"GIF89a"),
    ),
    Format(
        name="tiff",
        title="TIFF",
        extension="tif",
        media_type="image/tiff",
        aliases=("tif",),
        writable=True,
        encoder_options=_options("colour"),
        signatures=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    ),
    Format(
        name="apng",
        title="animated PNG",
        extension="apng",
        media_type="image/apng",
        read_as="png",
        writable=True,
        compatibility=1,
        animation=True,
        encoder_options=_options("effort colour"),
    ),
    Format(
        name="avifs",
        title="AVIF sequence",
        extension="avifs",
        media_type="image/avif",
        read_as="avif",
        extra="sequences",
        writable=True,
        animation=True,
        quality=63,
        encoder_options=_options("subsampling effort colour"),
    ),
    Format(name="heic", title="HEIC", extension="heic", media_type="image/heic", extra="heic"),
    Format(
        name="jxl",
        title="JPEG XL",
        extension="jxl",
        media_type="image/jxl",
        extra="jxl",
        signatures=(b"\xff\x0a", b"\0\0\0\x0cJXL "),
    ),
    Format(
        name="svg",
        title="SVG",
        extension="svg",
        media_type="image/svg+xml",
        opt_in=True,
    ),
)

FORMATS = MappingProxyType({format_.name: format_ for format_ in _TABLE})

WRITABLE = tuple(format_.name for format_ in _TABLE if format_.writable)
"""The names of the output formats."""

READABLE_TITLES = " or ".join(
    ", ".join(format_.title for format_ in _TABLE if format_.always_read).rsplit(", ", 1)
)
"""The formats that are always read, for error messages: `JPEG, PNG or WebP`."""

FORMAT_ALIASES = MappingProxyType({alias: format_.name for format_ in _TABLE for alias in format_.aliases})

ENCODER_OPTIONS = frozenset[str]().union(*(format_.encoder_options for format_ in _TABLE))
"""Every field of a transformation that only some encoders support."""

_SIGNATURES = tuple((signature, format_) for format_ in _TABLE for signature in format_.signatures)

# Recognised so that an error message can name them; never opened.
_FOREIGN_SIGNATURES = (
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1aE\xdf\xa3", "Matroska"),
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def sniff(head: bytes) -> Format | None:
    """The format of a file that starts with ``head``; None if it is unknown.

    256 bytes are enough, except for an SVG with comments or entities before its root element.
    Only the content counts, not a file name or a media type.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FORMATS["webp"]
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return FORMATS["avif"]
    if brands & _HEIC_BRANDS:
        return FORMATS["heic"]
    if svg_root(head) is not None:
        return FORMATS["svg"]
    return next((format_ for signature, format_ in _SIGNATURES if head.startswith(signature)), None)


def describe_foreign(head: bytes) -> str | None:
    """The name of a well-known format that is not supported; None if it is unknown."""
    if _brands(head):
        return "MP4"
    return next((name for signature, name in _FOREIGN_SIGNATURES if head.startswith(signature)), None)


def svg_root(head: bytes) -> int | None:
    """Where the root element of an SVG begins; None if the first element is another one, or further down.

    An XML declaration, comments and a doctype may be before it.
    """
    before = _BEFORE_ROOT.match(head)
    at = before.end() if before else 0
    return at if head[at : at + 4].lower() == b"<svg" else None


_BEFORE_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?"
    rb"(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>)*",
    re.DOTALL | re.IGNORECASE,
)


def _brands(head: bytes) -> frozenset[bytes]:
    """The major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(head[:4], "big"), len(head), 64)
    compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
    return frozenset({head[8:12]} | compatible)
