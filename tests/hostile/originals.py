"""Small valid originals, one for each code path of the decoders."""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import pyvips
from drawing import animated, encoded, photograph
from PIL import Image, ImageCms

from image_processor.engine import runtime
from image_processor.engine.codecs.registry import CODECS, is_installed

SIZE = (24, 16)


def _profile() -> bytes:
    """sRGB, without the time of its creation (ICC.1:2022, 7.2.8): mutations are the same in every process."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


PROFILE = _profile()


def _picture(mode: str = "RGB") -> Image.Image:
    picture = photograph().resize(SIZE)
    if mode in {"LA", "RGBA"}:
        picture = picture.convert(mode)
        picture.putalpha(Image.linear_gradient("L").resize(SIZE))
        return picture
    return picture.convert(mode)


def _frames(count: int = 3) -> list[Image.Image]:
    return [_picture().rotate(40 * turn) for turn in range(count)]


def _vips(saver: str, *, bands: int = 3, deep: bool = False, **options: object) -> bytes:
    """What libvips writes and Pillow cannot."""
    runtime.start()
    pixels = np.asarray(_picture("RGBA"))[..., :bands]
    pixels = pixels.astype(np.uint16) * 257 if deep else pixels
    kind, space = ("ushort", "rgb16") if deep else ("uchar", "srgb")
    plain = pyvips.Image.new_from_memory(pixels.tobytes(), *SIZE, bands, kind)
    body: bytes = getattr(plain.copy(interpretation=space), f"{saver}_buffer")(**options)
    return body


def _svg() -> bytes:
    return (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="24" height="16">'
        b'<defs><linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1"/></linearGradient>'
        b'<filter id="f"><feGaussianBlur stdDeviation="1"/></filter></defs>'
        b'<g opacity=".5" filter="url(#f)"><path d="M0 0L9 9 3 1z" fill="url(#g)"/><text y="9">a</text></g>'
        b"</svg>"
    )


def _restarts() -> bytes:
    return encoded(_picture(), "jpeg", restart_marker_blocks=1, subsampling=2)


def _with_exif(format_name: str) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "maker", 6
    tags.get_ifd(0x8769)[0x9003] = "2026:01:31 12:34:56"
    tags.get_ifd(0x8825)[1] = "N"
    return encoded(_picture(), format_name, exif=tags, icc_profile=PROFILE)


def _packed_jpeg() -> bytes:
    """A JPEG XL that holds the coefficients of a JPEG."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(encoded(_picture(), "jpeg"))) as jpeg:
        jpeg.save(packed, "jxl", lossless_jpeg=True)
    return packed.getvalue()


def _jxl_with_exif() -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "maker", 6
    return encoded(_picture(), "jxl", use_container=True, exif=tags.tobytes(), icc_profile=PROFILE)


def _frame_by_frame_webp() -> bytes:
    return animated(_frames(), "webp", [50, 60, 70], lossless=False)


_MAKERS = {
    "jpeg": lambda: encoded(_picture(), "jpeg"),
    "jpeg-progressive": lambda: encoded(_picture(), "progressive"),
    "jpeg-grey": lambda: encoded(_picture("L"), "jpeg"),
    "jpeg-cmyk": lambda: encoded(_picture("CMYK"), "jpeg"),
    "jpeg-restarts": _restarts,
    "jpeg-exif": lambda: _with_exif("jpeg"),
    "png": lambda: encoded(_picture()),
    "png-alpha": lambda: encoded(_picture("RGBA")),
    "png-grey": lambda: encoded(_picture("L")),
    "png-palette": lambda: encoded(_picture().quantize(16), transparency=0),
    "png-interlaced": lambda: _vips("pngsave", interlace=True),
    "png-deep": lambda: _vips("pngsave", bands=4, deep=True),
    "png-exif": lambda: _with_exif("png"),
    "apng": lambda: animated(_frames(), "png", [50, 60, 70], disposal=[0, 2, 0], blend=1),
    "apng-alpha": lambda: animated([_picture("RGBA"), _picture("RGBA")], "png", [50, 60], disposal=1),
    "apng-default": lambda: animated(_frames(), "png", [50, 60, 70], default_image=True),
    "avifs": lambda: animated(_frames(), "avif", [50, 60, 70]),
    "avifs-alpha": lambda: animated([_picture("RGBA"), _picture("RGBA").rotate(90)], "avif", [50, 60]),
    "gif": lambda: encoded(_picture(), "gif"),
    "gif-interlaced": lambda: encoded(_picture(), "gif", interlace=1),
    "gif-animated": lambda: animated(_frames(), "gif", [50, 60, 70]),
    "webp": lambda: encoded(_picture(), "webp"),
    "webp-lossless": lambda: encoded(_picture("RGBA"), "webp", lossless=True),
    "webp-alpha": lambda: encoded(_picture("RGBA"), "webp"),
    "webp-animated": _frame_by_frame_webp,
    "webp-exif": lambda: _with_exif("webp"),
    "avif": lambda: encoded(_picture(), "avif"),
    "avif-alpha": lambda: encoded(_picture("RGBA"), "avif"),
    "avif-grey": lambda: encoded(_picture("L"), "avif", subsampling="4:0:0", range="limited"),
    "avif-premultiplied": lambda: encoded(_picture("RGBA"), "avif", alpha_premultiplied=True),
    "avif-deep": lambda: _vips("heifsave", deep=True, compression="av1", bitdepth=10),
    "avif-exif": lambda: _with_exif("avif"),
    "tiff": lambda: encoded(_picture(), "tiff"),
    "tiff-lzw": lambda: encoded(_picture("RGBA"), "tiff", compression="tiff_lzw"),
    "tiff-jpeg": lambda: encoded(_picture(), "tiff", compression="jpeg"),
    "tiff-deflate": lambda: _vips("tiffsave", deep=True, compression="deflate", predictor="horizontal"),
    "tiff-tiles": lambda: _vips("tiffsave", bands=4, tile=True, tile_width=16, tile_height=16),
    "tiff-big": lambda: _vips("tiffsave", bigtiff=True, compression="packbits"),
    "tiff-group4": lambda: encoded(_picture("1"), "tiff", compression="group4"),
    "tiff-pages": lambda: encoded(_picture(), "tiff", save_all=True, append_images=_frames()),
    "heic": lambda: encoded(_picture(), "heic"),
    "heic-alpha": lambda: encoded(_picture("RGBA"), "heic"),
    "heic-grey": lambda: encoded(_picture("L"), "heic"),
    "heic-444": lambda: encoded(_picture(), "heic", chroma=444),
    "heic-deep": lambda: encoded(_picture("L").convert("I;16"), "heic"),
    "heic-exif": lambda: _with_exif("heic"),
    "jxl": lambda: encoded(_picture(), "jxl"),
    "jxl-container": lambda: encoded(_picture("RGBA"), "jxl", use_container=True),
    "jxl-lossless": lambda: encoded(_picture("RGBA"), "jxl", lossless=True),
    "jxl-grey": lambda: encoded(_picture("L"), "jxl"),
    "jxl-exif": _jxl_with_exif,
    "jxl-packed": _packed_jpeg,
    "svg": _svg,
}


@cache
def originals() -> dict[str, bytes]:
    """By name: the format, and the variant after a hyphen. A format whose package is not installed is left
    out."""
    return {name: make() for name, make in _MAKERS.items() if is_installed(CODECS[format_of(name)])}


def format_of(name: str) -> str:
    return name.partition("-")[0]


def chunk_ends(data: bytes, name: str) -> list[int]:
    """The boundaries of chunks or segments, if the format has any."""
    walk = {"png": _png_chunks, "apng": _png_chunks, "webp": _riff_chunks, "jpeg": _jpeg_segments}.get(
        format_of(name)
    )
    if walk is None:
        return [*range(4, min(len(data), 200), 4)]
    return [at for at in walk(data) if 0 < at < len(data)]


def _png_chunks(data: bytes) -> list[int]:
    at, ends = 8, [8]
    while at + 8 <= len(data):
        at += 12 + struct.unpack_from(">I", data, at)[0]
        ends.append(at)
    return ends


def _riff_chunks(data: bytes) -> list[int]:
    at, ends = 12, [12]
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        at += 8 + size + size % 2
        ends.append(at)
    return ends


def _jpeg_segments(data: bytes) -> list[int]:
    at, ends = 2, [2]
    while at + 4 <= len(data) and data[at] == 0xFF:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        ends.append(at)
    return ends
