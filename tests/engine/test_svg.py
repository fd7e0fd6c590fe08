"""SVG: drawn where allowed, sharp at every size, and only from its own bytes."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from drawing import encoded, flat, near, opened, pixel_at
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from image_processor.domain.errors import FIXES, Reason, Refused
from image_processor.domain.formats import FORMATS, sniff
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs import svg as svg_module
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.registry import CODECS
from image_processor.engine.render import render
from image_processor.engine.worker.isolation import IsolatedRenderer

ON = Limits(svg=True)
NAMES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
RED = '<rect width="100%" height="100%" fill="red"/>'


def svg(content: str = RED, size: str = 'width="40" height="20"', before: str = "") -> bytes:
    return f"{before}<svg {NAMES} {size}>{content}</svg>".encode()


def drawn(data: bytes, text: str = "fm=png", limits: Limits = ON) -> Image.Image:
    return opened(render(data, [parse(text)], limits, summary=False).renditions[0].body)


def refusal_of(data: bytes, limits: Limits = ON) -> Refused:
    with pytest.raises(Refused) as refusal:
        render(data, [parse("w=20,fm=png")], limits)
    assert "vips" not in str(refusal.value).lower()
    return refusal.value


def test_svg_is_refused_by_name_unless_allowed() -> None:
    refused = refusal_of(svg(), Limits())
    assert refused.reason is Reason.UNSUPPORTED_FORMAT
    assert refused.message == "expected JPEG, PNG, WebP, AVIF, GIF or TIFF, got SVG"
    assert "IMAGE_PROCESSOR_SVG=1" in FIXES[refused.reason]


def test_libvips_opens_svg_only_if_allowed() -> None:
    """In a separate process, since an opened loader stays open."""
    script = """
import pyvips
from image_processor.engine import runtime

def opens():
    try:
        pyvips.Operation.call("svgload_source", pyvips.Source.new_from_memory(b"<svg width='1' height='1'/>"))
    except pyvips.Error:
        return False
    return True

runtime.start()
print(opens())
runtime.start(svg=True)
print(opens())
try:
    pyvips.Image.new_from_buffer(b"2 1\\n3 4\\n", "")
except pyvips.Error:
    print("and nothing else")
runtime.start()
print(opens())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert printed.stdout.split("\n") == ["False", "True", "and nothing else", "False", ""]


def test_svg_transparency() -> None:
    data = svg('<circle cx="20" cy="10" r="8" fill="blue" fill-opacity="0.5"/>')
    assert sniff(data) is FORMATS["svg"]
    header = probe(data, ON)
    assert (header.width, header.height, header.alpha, header.frames) == (40, 20, True, 1)
    rendition = drawn(data)
    assert near(pixel_at(rendition, 0.5, 0.5), (0, 0, 255, 128), 1)
    assert pixel_at(rendition, 0, 0)[3] == 0
    assert near(pixel_at(drawn(data, "bg=ffffff,fm=png"), 0.5, 0.5), (127, 127, 255), 1)


@pytest.mark.parametrize(
    "text", ["w=400,enlarge=1,fm=png", "w=10,fm=png", "w=400,h=400,fit=fill,enlarge=1,fm=png"]
)
def test_svg_is_drawn_at_the_needed_size(text: str) -> None:
    """An edge at a third of the width is one pixel wide at any size; enlarged, it would be wider."""
    data = svg('<rect x="13.3333" width="40" height="20" fill="red"/>')
    alpha = np.asarray(drawn(data, text))[..., 3]
    assert alpha.shape[1] == int(text.split(",", maxsplit=1)[0][2:])
    between = (alpha > 4) & (alpha < 251)
    assert between.sum(axis=1).max() <= (4 if "fill" in text else 2)


def test_one_drawing_for_all_sizes() -> None:
    expected = [parse("w=400,enlarge=1,fm=png"), parse("w=20,fm=png"), parse("fm=jpeg")]
    result = render(svg(), expected, ON).renditions
    assert [(each.metadata.width, each.metadata.height) for each in result] == [
        (400, 200),
        (20, 10),
        (40, 20),
    ]
    assert near(pixel_at(opened(result[2].body), 0.5, 0.5), (254, 0, 0), 3)


def test_drawn_pixels_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg_module, "_MAX_DRAWN_PIXELS", 3200)
    assert drawn(svg(), "w=400,enlarge=1,fm=png").size == (400, 200)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ('width="30" height="10"', (30, 10)),
        ('viewBox="0 0 300 150"', (300, 150)),
        ('width="100%" height="50%" viewBox="0 0 300 150"', (300, 150)),
        ('width="1in" height="36pt"', (96, 48)),
        ("width='25.4mm' height='2.54cm'", (96, 96)),
        ('width="6pc" height="101.6Q"', (96, 96)),
        ("", (300, 150)),
        ('width="120"', (120, 150)),
        ('width="50%" height="20"', (300, 20)),
        ('width="120" viewBox="0 0 300 150"', (120, 60)),
        ('viewBox="0 0 0.5 0.25"', (300, 150)),
        ('viewBox="0 0 90000 90000"', (150, 150)),
        ('viewBox="0 0 1e9 1e9"', (150, 150)),
        ('viewBox="0 0 1e12 1e12"', (150, 150)),
        ('width="1000000" height="500000"', (300, 150)),
        ('width="0.1" height="0.2" viewBox="0 0 10 20"', (75, 150)),
    ],
)
def test_natural_size_of_an_svg(size: str, expected: tuple[int, int]) -> None:
    header = probe(svg('<rect width="40" height="20"/>', size), ON)
    assert (header.width, header.height) == expected


def test_a_drawing_without_pixels_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        probe(svg(size='width="0" height="0"'), ON)
    assert refusal.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(
    "size",
    [
        "",
        'viewBox="0 0 0.5 0.25"',
        'viewBox="0 0 100000 50000"',
        'width="1e6" height="5e5"',
        'width="2" height="1"',
    ],
)
def test_the_requested_size_counts(size: str) -> None:
    """A vector has detail at every size: its natural size is no limit, as in browsers."""
    for text, expected in (("w=480,fm=png", (480, 240)), ("w=90,h=90,fit=cover,fm=png", (90, 90))):
        shown = drawn(svg(size=size), text)
        assert shown.size == expected
        assert pixel_at(shown, 0.1, 0.9)[:3] == pixel_at(shown, 0.9, 0.1)[:3] == (255, 0, 0)


def test_an_enlarged_vector_is_sharp() -> None:
    shown = np.asarray(drawn(svg('<path d="M0 0h20v20h-20z"/>'), "w=400,fm=png"))[..., 3]
    assert set(np.unique(shown)) == {0, 255}


@pytest.mark.parametrize(
    ("content", "side"),
    [
        ('<rect width="10mm" height="1cm"/>', 38),
        ("<rect width='0.5in' height='36pt'/>", 48),
        ("<style>rect { width: 3pc; height: 48px }</style><rect/>", 48),
        ('<rect style="width:40Q;height: 40q"/>', 38),
        ('<rect width="38" height="38" inkscape="7in the text"/><text y="90">10mm</text>', 38),
    ],
)
def test_lengths_are_those_of_css(content: str, side: int) -> None:
    """CSS Values 4, 6.2: an inch is 96 pixels."""
    alpha = np.asarray(drawn(svg(content, 'width="80" height="80"')))[:60, :60, 3] > 127
    assert (alpha.any(axis=0).sum(), alpha.any(axis=1).sum()) == (side, side)


def test_a_root_far_behind_the_start_is_found() -> None:
    entities = "".join(f'<!ENTITY ns{number} "http://ns.example/{number}/">' for number in range(100))
    for before in (
        f"<!-- {'x' * 5000} > -->",
        f"<?xml version='1.0'?><!DOCTYPE svg [{entities}]><!-- <svg -->",
    ):
        assert drawn(svg(before=before)).size == (40, 20)
    assert sniff(b"<!-- <svg> --><html>") is None


def test_a_single_pixel_is_a_size() -> None:
    assert probe(svg(size='width="1" height="1"'), ON).width == 1


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        yield server


def address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("before", "content"),
    [
        ("", '<image xlink:href="{}/a.png" width="40" height="20"/>'),
        ("", '<image href="{}/a.png" width="40" height="20"/>'),
        ("", '<style>@import url("{}/a.css");</style><rect width="4" height="4"/>'),
        ("", '<use xlink:href="{}/a.svg#a"/>'),
        ("", '<filter id="f"><feImage href="{}/a.png"/></filter><path d="M0 0h9v9" filter="url(#f)"/>'),
        ('<?xml-stylesheet href="{}/a.css"?>', '<rect width="4" height="4"/>'),
        ('<!DOCTYPE svg SYSTEM "{}/a.dtd">', '<rect width="4" height="4"/>'),
        ('<!DOCTYPE svg [<!ENTITY e SYSTEM "{}/a">]>', "<text>&e;</text>"),
        ('<!DOCTYPE svg [<!ENTITY % e SYSTEM "{}/a"> %e;]>', "<text>a</text>"),
    ],
)
def test_no_network_connection_is_opened(before: str, content: str, listener: socket.socket) -> None:
    data = svg(content.replace("{}", address(listener)), before=before.replace("{}", address(listener)))
    with suppress(Refused):
        drawn(data)
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("attribute", ["href", "xlink:href"])
def test_no_local_file_is_embedded(scheme: str, attribute: str, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(encoded(flat("red")))
    there = svg(f'<image {attribute}="{scheme}{path}" width="40" height="20"/>')
    assert np.asarray(drawn(there)).max() == 0


def test_no_file_is_read_as_an_entity(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("red")
    filled = '<rect width="40" height="20" fill="&e;"/>'
    outside = svg(filled, before=f'<!DOCTYPE svg [<!ENTITY e SYSTEM "file://{path}">]>')
    assert refusal_of(outside).reason is Reason.CORRUPT
    inside = svg(filled, before='<!DOCTYPE svg [<!ENTITY e "red">]>')
    assert pixel_at(drawn(inside), 0.5, 0.5) == (255, 0, 0)


def test_entities_that_multiply_are_refused() -> None:
    laughs = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 10))
    assert refusal_of(svg("<text>&a9;</text>", before=f"<!DOCTYPE svg [{laughs}]>")).reason is Reason.CORRUPT
    long = f'<?xml version="1.0"?><!-- <svg> --><!DOCTYPE svg [<!ENTITY a "{"x" * 50_000}">]>'
    assert refusal_of(svg(f"<text>{'&a;' * 10_000}</text>", before=long)).reason is Reason.CORRUPT


def test_multiplying_elements_terminate() -> None:
    ten = ("".join(10 * [f"<use xlink:href='#u{at}'/>"]) for at in range(9))
    uses = "".join(f'<g id="u{at}">{content}</g>' for at, content in enumerate(ten, 1))
    data = svg(f'<defs><g id="u0"><rect width="1" height="1"/></g>{uses}</defs><use xlink:href="#u9"/>')
    with IsolatedRenderer() as renderer, pytest.raises(Refused) as refusal:
        renderer.render(data, [parse("fm=png")], Limits(svg=True, cpu_seconds=1))
    assert refusal.value.reason in {Reason.TOO_SLOW, Reason.CORRUPT}


@pytest.mark.parametrize(
    ("content", "mebibytes"),
    [
        ("<g/>" * 170_000, 536),
        ('<text x="1">' + "a " * 90_000 + "</text>", 564),
        ("<text><![CDATA[" + "a " * 90_000 + "]]></text>", 564),
    ],
)
def test_elements_and_text_are_counted_before_it_is_opened(
    content: str, mebibytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = replace(CODECS["svg"], open=lambda *_: pytest.fail("it was opened"))
    monkeypatch.setitem(CODECS, "svg", never)
    refused = refusal_of(svg(content))
    assert refused.reason is Reason.TOO_MANY_PIXELS
    assert f"got a svg that takes {mebibytes} MiB" in refused.message


def test_an_embedded_image_is_drawn_within_limits() -> None:
    def holding(picture: Image.Image) -> bytes:
        body = base64.b64encode(encoded(picture)).decode()
        return svg(f'<image href="data:image/png;base64,{body}" width="40" height="20"/>')

    assert near(pixel_at(drawn(holding(flat("red", size=(40, 20)))), 0.5, 0.5), (255, 0, 0), 1)
    assert np.asarray(drawn(holding(Image.new("1", (30_000, 30_000), 1)))).max() == 0


def test_a_truncated_file_is_refused() -> None:
    whole = svg()
    for cut in (1, 6, 30):
        assert refusal_of(whole[:-cut]).reason is Reason.TRUNCATED


def test_svg_in_the_isolated_renderer() -> None:
    with IsolatedRenderer() as renderer:
        assert renderer.render(svg(), [parse("w=20,fm=png")], ON).original.format == "svg"
        with pytest.raises(Refused, match="got SVG"):
            renderer.render(svg(), [parse("w=20,fm=png")], Limits())


SMALL = svg('<g opacity=".5"><path d="M0 0L9 9"/></g>', before="<?xml version='1.0'?>")


@settings(max_examples=50)
@given(st.binary(max_size=30), st.integers(0, len(SMALL)))
def test_any_bytes_are_rendered_or_refused(noise: bytes, at: int) -> None:
    data = bytearray(SMALL)
    data[at : at + len(noise)] = noise
    try:
        render(bytes(data), [parse("w=20,fm=png")], Limits(svg=True, max_pixels=100_000))
    except Refused:
        return


@pytest.mark.parametrize("text", ["rect=0:0:12:12,w=240,fm=png", "rect=0.0:0.0:0.5:0.5,w=240,fm=png"])
@pytest.mark.parametrize("turned", ["", ",rot=180"])
def test_a_region_is_drawn_at_the_size_that_is_needed(text: str, turned: str) -> None:
    """An edge at a quarter of the drawing is between two pixels; drawn at 24 and enlarged it blurs."""
    data = svg(
        '<rect width="100%" height="100%" fill="white"/><rect width="6" height="24"/>',
        'width="24" height="24"',
    )
    picture = drawn(data, text.replace(",fm", f"{turned},fm"))
    if turned:  # `rot` is applied after `rect`
        picture = picture.transpose(Image.Transpose.ROTATE_180)
    assert picture.size == (240, 240)
    row = np.asarray(picture.convert("L"))[100]
    assert set(row[:120]) == {0}
    assert set(row[120:]) == {255}


def test_a_region_of_a_region_keeps_its_place() -> None:
    data = svg('<circle cx="30" cy="10" r="5" fill="red"/>', 'width="40" height="20" viewBox="0 0 40 20"')
    whole = drawn(data, "w=800,fm=png").crop((400, 0, 800, 400))
    part = drawn(data, "rect=20:0:20:20,w=400,fm=png")
    assert np.abs(np.asarray(whole, dtype=int) - np.asarray(part, dtype=int)).max() <= 1
