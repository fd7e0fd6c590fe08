"""Originals of every format with canaries in every place that the format has besides pixels.

Each secret contains CANARY: as text, as numbers (of a position), or in an embedded image. Data after the
end of the image is there too: archives, scripts and pages as in polyglots.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from drawing import animated, encoded, photograph
from PIL import Image, ImageCms, PngImagePlugin

from .originals import SIZE
from .oversized import box, png_chunk, segment

CANARY = b"KANARI"
ICC_CANARY = "TKANAR"
"""In the colour profile, which one policy keeps on purpose, so it must not contain CANARY itself."""

_NUMBER = CANARY[:4]  # as a number of 32 bits


def profile() -> bytes:
    result = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    text = "sRGB built-in".encode("utf-16-be")
    at = result.index(text)
    result[at : at + len(text)] = (ICC_CANARY * 3)[: len(text) // 2].encode("utf-16-be")
    return bytes(result)


def secret(place: str) -> bytes:
    return CANARY + place.encode()


def thumbnail() -> bytes:
    small = encoded(photograph().resize((8, 8)), "jpeg")
    return small[:2] + segment(0xFE, secret("thumbnail")) + small[2:]


def exif(*, identifier: bytes = b"Exif\0\0") -> bytes:
    """An EXIF block with owner, serial numbers, comment, maker note, position and thumbnail."""
    picture = thumbnail()
    first = [
        (0x010E, 2, secret("description")),
        (0x010F, 2, secret("make")),
        (0x0131, 2, secret("software")),
        (0x013B, 2, secret("artist")),
        (0x8298, 2, secret("copyright")),
        (0x8769, 4, None),
        (0x8825, 4, None),
        (0xC4A5, 7, secret("print")),
    ]
    photo = [
        (0x9003, 2, b"2026:01:31 12:34:56"),
        (0x927C, 7, secret("makernote")),
        (0x9286, 7, b"ASCII\0\0\0" + secret("usercomment")),
        (0xA420, 2, secret("uniqueid")),
        (0xA430, 2, secret("owner")),
        (0xA431, 2, secret("serial")),
        (0xA435, 2, secret("lensserial")),
    ]
    degrees = (_NUMBER[::-1] + struct.pack("<I", 0x02000000)) * 3
    gps = [(1, 2, b"N"), (2, 5, degrees), (3, 2, b"E"), (4, 5, degrees), (27, 7, secret("gpsmethod"))]
    size = struct.pack("<I", len(picture))
    third = [(0x0103, 3, struct.pack("<H", 6)), (0x0201, 4, None), (0x0202, 4, size)]
    return identifier + _block([first, photo, gps, third], picture)


def _block(directories: Sequence[Sequence[tuple[int, int, bytes | None]]], tail: bytes) -> bytes:
    """Consecutive little-endian directories: the first points to the second and third and is followed by the
    fourth, which points to ``tail``."""
    sizes = [6 + sum(12 + len(value or b"") + 2 for _, _, value in rows) for rows in directories]
    starts = [8 + sum(sizes[:index]) for index in range(len(sizes) + 1)]
    pointed = iter([starts[1], starts[2], starts[4]])
    block = b"II*\0" + struct.pack("<I", 8)
    for index, rows in enumerate(directories):
        following = starts[3] if index == 0 else 0
        block += _directory(rows, starts[index], following, pointed).ljust(sizes[index], b"\0")
    return block + tail


def _directory(
    rows: Sequence[tuple[int, int, bytes | None]], start: int, following: int, pointed: Iterator[int]
) -> bytes:
    sizes = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
    head, outside = struct.pack("<H", len(rows)), b""
    free = start + 2 + 12 * len(rows) + 4
    for tag, kind, given in rows:
        value = struct.pack("<I", next(pointed)) if given is None else given + (b"\0" if kind == 2 else b"")
        head += struct.pack("<HHI", tag, kind, len(value) // sizes[kind])
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack("<I", free + len(outside))
            outside += value
    return head + struct.pack("<I", following) + outside


def xmp() -> bytes:
    names = ("dc:rights", "dc:source", "aux:OwnerName")
    fields = "".join(f"<{name}>{secret('xmp' + name[3:]).decode()}</{name}>" for name in names)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,51.5N" exif:GPSLongitude="2,17.7E">'
        f"{fields}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


def iptc() -> bytes:
    """Photoshop's resource 0x0404 with the byline, the city and the caption."""
    rows = ((80, secret("byline")), (90, secret("city")), (120, secret("caption")))
    data = b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(text)) + text for number, text in rows)
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


def archive() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as result:
        result.writestr(secret("zipname").decode(), secret("zipped"))
    return body.getvalue()


PAGE = b"<html><script>alert('" + secret("script") + b"')</script></html>"
TRAILER = secret("trailer") + PAGE


def _pixels() -> Image.Image:
    return photograph().resize(SIZE)


def jpeg() -> bytes:
    whole = encoded(_pixels(), "jpeg", icc_profile=profile())
    second = encoded(_pixels().rotate(180), "jpeg")
    second = second[:2] + segment(0xFE, secret("second")) + second[2:]
    parts = [
        segment(0xE1, exif()),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp()),
        segment(
            0xE1, b"http://ns.adobe.com/xmp/extension/\0" + secret("extended").ljust(40, b"0") + bytes(8)
        ),
        segment(0xED, b"Photoshop 3.0\0" + iptc()),
        segment(0xEB, b"JP" + bytes(6) + box(b"jumb", secret("jumbf"))),
        segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0" + secret("mpf")),
        segment(0xE5, secret("app5")),
        segment(0xFE, secret("comment")),
    ]
    return whole[:2] + b"".join(parts) + whole[2:] + second + archive() + TRAILER


def png() -> bytes:
    return _png()


def apng() -> bytes:
    return _png(save_all=True, append_images=[_pixels().rotate(90)], duration=50)


def _png(**options: Any) -> bytes:
    metadata = PngImagePlugin.PngInfo()
    metadata.add_text("Author", secret("author").decode())
    metadata.add_text("Comment", secret("ztxt").decode(), zip=True)
    metadata.add_itxt("XML:com.adobe.xmp", xmp().decode())
    whole = encoded(_pixels(), pnginfo=metadata, icc_profile=profile(), dpi=(1234, 1234), **options)
    chunks = [png_chunk(b"eXIf", exif(identifier=b"")), png_chunk(b"prVt", secret("private"))]
    chunks += [png_chunk(b"tIME", b"\x07\xea\1\x1f\x0c\x22\x38"), png_chunk(b"caBX", secret("c2pa"))]
    return whole[:33] + b"".join(chunks) + whole[33:] + archive() + TRAILER


def gif() -> bytes:
    whole = animated([_pixels(), _pixels().rotate(90)], "gif", [50, 50], comment=secret("comment"))
    at = 13 + (3 << ((whole[10] & 7) + 1))
    application = secret("application")
    plain = secret("plaintext")
    extensions = b"\x21\xff\x0bXMP DataXMP" + xmp() + b"\1" + bytes(range(255, -1, -1)) + b"\0"
    extensions += b"\x21\xff\x0bKANARIAPP10" + bytes([len(application)]) + application + b"\0"
    extensions += b"\x21\x01\x0c" + bytes(12) + bytes([len(plain)]) + plain + b"\0"
    return whole[:at] + extensions + whole[at:] + b"/*" + PAGE + b"*/" + TRAILER


def webp() -> bytes:
    whole = encoded(_pixels(), "webp", exif=exif(), xmp=xmp(), icc_profile=profile())
    unknown = secret("unknown!")
    body = whole[8:] + b"KNRI" + struct.pack("<I", len(unknown)) + unknown
    return b"RIFF" + struct.pack("<I", len(body)) + body + archive() + TRAILER


def _boxed(whole: bytes) -> bytes:
    return whole + box(b"uuid", bytes(16) + xmp()) + box(b"free", TRAILER + archive())


def avif() -> bytes:
    return _boxed(encoded(_pixels(), "avif", exif=exif(), xmp=xmp(), icc_profile=profile()))


def avifs() -> bytes:
    second = [_pixels().rotate(90)]
    metadata = {"exif": exif(), "xmp": xmp(), "icc_profile": profile()}
    return _boxed(encoded(_pixels(), "avif", save_all=True, append_images=second, duration=50, **metadata))


def heic() -> bytes:
    return _boxed(encoded(_pixels(), "heic", exif=exif(), xmp=xmp(), icc_profile=profile()))


def jxl() -> bytes:
    whole = encoded(_pixels(), "jxl", use_container=True, exif=exif(), icc_profile=profile())
    return _boxed(whole) + box(b"Exif", bytes(4) + exif(identifier=b"")) + box(b"xml ", xmp())


def tiff() -> bytes:
    tags = {
        270: secret("description").decode(),
        271: secret("make").decode(),
        305: secret("software").decode(),
        315: secret("artist").decode(),
        700: xmp(),
        33432: secret("copyright").decode(),
        33723: iptc()[12:],
        34377: iptc(),
        65000: secret("private").decode(),
    }
    metadata = Image.Exif()
    metadata.load(exif())
    for tag, value in tags.items():
        metadata[tag] = value
    second = _pixels().rotate(180)
    whole = encoded(
        _pixels(), "tiff", exif=metadata, icc_profile=profile(), save_all=True, append_images=[second]
    )
    return whole + thumbnail() + TRAILER


def svg() -> bytes:
    hidden = secret("hidden").decode()
    packet = xmp().decode().split("?>", 1)[1].split("<?")[0]
    return (
        f'<?xml version="1.0"?><!-- {hidden} --><svg width="24" height="16" '
        'xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:i="http://www.inkscape.org/namespaces/inkscape" i:export-filename="/home/{hidden}">'
        f"<title>{hidden}</title><desc>{hidden}</desc><metadata>{packet}"
        f'</metadata><script>{hidden}</script><rect width="24" height="16" fill="red"/>'
        f"<foreignObject width='9' height='9'>{hidden}</foreignObject></svg><!-- {hidden} -->"
    ).encode()


WITH_CANARIES = {
    make.__name__: make for make in (jpeg, png, apng, gif, webp, avif, avifs, tiff, heic, jxl, svg)
}


def canaries_in(body: bytes) -> list[str]:
    """Every occurrence of CANARY in ``body``: as bytes, in UTF-16, as a number of either byte order, and
    inside zlib streams."""
    forms = [CANARY, CANARY.decode().encode("utf-16-be"), CANARY.decode().encode("utf-16-le"), _NUMBER[::-1]]
    found = [f"{form!r} at {body.index(form)}" for form in forms if form in body]
    for at in _zlib_starts(body):
        try:
            inflated = zlib.decompressobj().decompress(body[at:], 100_000)
        except zlib.error:
            continue
        found += [f"{form!r}, deflated at {at}" for form in forms if form in inflated]
    return found


def _zlib_starts(body: bytes) -> list[int]:
    return [
        at for at in range(len(body) - 1) if body[at] == 0x78 and (body[at] * 256 + body[at + 1]) % 31 == 0
    ]
