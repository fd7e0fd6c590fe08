"""Ground floor: the one table of image formats, and the sniffing of bytes.

What is known of a format (names, alpha, default quality, libvips' loader and saver) stands here;
elsewhere is only what is done differently for one, such as the options of its encoder.
"""

from __future__ import annotations

from types import MappingProxyType

from msgspec import Struct


class Format(Struct, frozen=True):
    """One image format.

    ``loader`` and ``saver`` are the libvips operations for it, without what they read from or write
    to (`_source`, `_buffer`); no other loader is opened for untrusted bytes, and without a saver
    the format is only read. Without a loader an optional package reads it, which the extra of the
    name ``extra`` installs. One that is ``opt_in`` is only read where Limits allow it.
    ``compatibility`` ranks formats by how widely they are read: 3 is everywhere, 0 is new or rare.
    ``quality`` is the default of 1-100, None where the encoder is lossless. The defaults give
    about equal visual quality (SSIMULACRA2 near 76 on our test photographs).
    ``takes`` names what else can be asked of the encoder, fields of engine.encode.Encoding.
    """

    name: str
    title: str
    extension: str
    media_type: str
    loader: str | None
    saver: str | None
    compatibility: int
    alpha: bool
    animation: bool
    quality: int | None
    takes: frozenset[str] = frozenset()
    extra: str | None = None
    opt_in: bool = False

    @property
    def always_read(self) -> bool:
        """Whether it is read wherever the program runs, however it is set up."""
        return self.extra is None and not self.opt_in


def _takes(names: str) -> frozenset[str]:
    return frozenset(names.split())


_TABLE = (
    Format("jpeg", "JPEG", "jpg", "image/jpeg", "jpegload", "jpegsave", 3, False, False, 75,
           _takes("progressive subsampling optimise")),
    Format("png", "PNG", "png", "image/png", "pngload", "pngsave", 2, True, False, None,
           _takes("progressive effort colours")),
    Format("webp", "WebP", "webp", "image/webp", "webpload", "webpsave", 1, True, True, 80,
           _takes("effort lossless")),
    Format("avif", "AVIF", "avif", "image/avif", "heifload", "heifsave", 0, True, False, 63,
           _takes("subsampling effort lossless")),
    Format("gif", "GIF", "gif", "image/gif", "gifload", "gifsave", 2, True, True, None,
           _takes("progressive effort colours")),
    Format("tiff", "TIFF", "tif", "image/tiff", "tiffload", "tiffsave", 0, True, False, None),
    Format("heic", "HEIC", "heic", "image/heic", None, None, 0, True, False, None, extra="heic"),
    Format("jxl", "JPEG XL", "jxl", "image/jxl", None, None, 0, True, False, None, extra="jxl"),
    Format("svg", "SVG", "svg", "image/svg+xml", "svgload", None, 0, True, False, None, opt_in=True),
)  # fmt: skip

FORMATS = MappingProxyType({entry.name: entry for entry in _TABLE})
WRITABLE = tuple(entry.name for entry in _TABLE if entry.saver)
READABLE_TITLES = " or ".join(", ".join(entry.title for entry in _TABLE if entry.always_read).rsplit(", ", 1))

_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL ", "jxl"),
)

# Known by sight so that a refusal can name them; never opened.
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
    """The format that the first bytes announce, or None. 256 bytes are enough, but for an SVG whose
    editor put its name and licence first: 1,024 are for that.

    Only content decides: neither a name nor a client's media type is asked.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FORMATS["webp"]
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return FORMATS["avif"]
    if brands & _HEIC_BRANDS:
        return FORMATS["heic"]
    if _is_svg(head):
        return FORMATS["svg"]
    return next((FORMATS[name] for sign, name in _SIGNATURES if head.startswith(sign)), None)


def describe_foreign(head: bytes) -> str | None:
    """The name of a well-known format that is not supported, or None if the bytes tell nothing."""
    if _brands(head):
        return "MP4"
    return next((name for sign, name in _FOREIGN_SIGNATURES if head.startswith(sign)), None)


def _is_svg(head: bytes) -> bool:
    """An element of that name first, or behind what XML lets stand before it."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!")) and b"<svg" in start)


def _brands(head: bytes) -> frozenset[bytes]:
    """The major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(head[:4], "big"), len(head), 64)
    compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
    return frozenset({head[8:12]} | compatible)
