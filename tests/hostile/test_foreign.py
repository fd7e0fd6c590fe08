"""Only content decides: files of other formats are refused, and polyglots become only images."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from io import BytesIO

import pytest
from drawing import OnFirstUse, encoded, photograph

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import WRITABLE
from image_processor.domain.models import Limits, Rendered
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer

from .metadata_canaries import CANARY, PAGE, archive, canaries_in
from .originals import originals

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

FOREIGN = {
    "matrix": b"2 2\n1 2\n3 4\n",
    "matrix with scale": b"3 3 8 0\n1 1 1\n1 1 1\n1 1 1\n",
    "csv": b"1,2,3\n4,5,6\n",
    "pdf": PDF,
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\nshowpage\n",
    "eps in dos": b"\xc5\xd0\xd3\xc6" + bytes(28) + b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "mvg": b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'https://localhost/x'\n",
    "msl": b'<?xml version="1.0"?><image><read filename="/etc/passwd"/><write filename="x.png"/></image>',
    "v": b"\xb6\xa6\xf2\x08" + bytes(60) + bytes(100),
    "v, the other order": b"\x08\xf2\xa6\xb6" + bytes(60) + bytes(100),
    "ppm": b"P6 2 2 255\n" + bytes(12),
    "pgm as text": b"P2\n2 2\n9\n1 2\n3 4\n",
    "pfm": b"PF\n2 2\n-1.0\n" + bytes(48),
    "radiance": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\1\2\3\4",
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "exr": b"\x76\x2f\x31\x01\2\0\0\0" + bytes(100),
    "nifti": b"\x5c\1\0\0" + bytes(340) + b"n+1\0",
    "matlab": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM",
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "psd": b"8BPS\0\1" + bytes(100),
    "mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100),
    "webm": b"\x1aE\xdf\xa3" + bytes(100),
    "zip": archive(),
    "html": PAGE,
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
    "json": b'{"a": 1}',
    "shell": b"#!/bin/sh\nid\n",
    "elf": b"\x7fELF\2\1\1" + bytes(100),
}
DRAWN = OnFirstUse(
    {
        "bmp": lambda: encoded(photograph().resize((8, 8)), "bmp"),
        "ico": lambda: encoded(photograph().resize((16, 16)), "ico"),
        "tga": lambda: encoded(photograph().resize((8, 8)), "tga"),
        "svg in gzip": lambda: gzip.compress(originals()["svg"]),
        "pdf before a jpeg": lambda: PDF + originals()["jpeg"],
        "html before a png": lambda: PAGE + encoded(photograph().resize((24, 16))),
    }
)


@pytest.fixture(scope="module")
def renderer() -> Iterator[IsolatedRenderer]:
    with IsolatedRenderer() as shared:
        yield shared


@pytest.mark.parametrize("svg", [False, True])
@pytest.mark.parametrize("name", [*FOREIGN, *DRAWN])
def test_foreign_content_is_refused(renderer: IsolatedRenderer, name: str, *, svg: bool) -> None:
    data = FOREIGN.get(name) or DRAWN[name]
    with pytest.raises(Refused) as refusal:
        renderer.render(data, [parse("w=20,fm=png")], Limits(svg=svg))
    assert refusal.value.reason in {Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED_FORMAT}


def rendered(renderer: IsolatedRenderer, data: bytes) -> Rendered:
    return renderer.render(data, [parse(f"w=20,fm={name}") for name in WRITABLE], Limits())


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "tiff"])
@pytest.mark.parametrize("second", [archive(), PAGE, PDF + CANARY, b"\n*/=1;alert('" + CANARY + b"')//"])
def test_a_polyglot_becomes_only_an_image(renderer: IsolatedRenderer, name: str, second: bytes) -> None:
    alone = rendered(renderer, originals()[name])
    both = rendered(renderer, originals()[name] + second)
    assert [each.body for each in both.renditions] == [each.body for each in alone.renditions]
    for each in both.renditions:
        assert canaries_in(each.body) == []
        assert not zipfile.is_zipfile(BytesIO(each.body))


def test_a_script_in_a_gif_header_is_removed(renderer: IsolatedRenderer) -> None:
    """`GIF89a/*` is a comment in JavaScript, and a width of 10,799 pixels."""
    whole = originals()["gif"]
    data = b"GIF89a" + b"/*" + whole[8:] + b"*/=1;alert('" + CANARY + b"')"
    result = rendered(renderer, data)
    gif = next(each for each in result.renditions if each.metadata.format == "gif")
    assert not gif.body.startswith(b"GIF89a/*")
    assert canaries_in(gif.body) == []
