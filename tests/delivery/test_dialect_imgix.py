"""imgix URLs: each parameter of imgix's list has its effect, is accepted without one, or refused by name."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import peer_urls
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter, JpegImagePlugin
from scipy.ndimage import gaussian_filter

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.dialects.imgix import Imgix
from image_processor.delivery.dialects.imgix.dialect import OWN_ONLY
from image_processor.delivery.dialects.imgix.parameters import (
    ALIASES,
    IGNORED,
    NAMES,
    REFUSED,
    SUPPORTED,
    UNLISTED,
    UNLISTED_SUPPORTED,
)
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import HttpRequest, RenditionRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import (
    Forbidden,
    Invalid,
    InvalidRequest,
    SignatureExpired,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.models import ImageMetadata
from image_processor.engine.operations import text as text_module

Pixels = NDArray[np.float64]
Picture = Image.Image
PUBLISHED = Path(__file__).with_name("vectors") / "imgix_parameters.txt"
DIALECT = Imgix()
LUMA = np.array([0.2126, 0.7152, 0.0722])

needs_font = pytest.mark.skipif(not text_module._has_font(), reason="NO FONT ON THIS MACHINE")


def ask(query: str, key: str = "geometry.png", dialect: Imgix = DIALECT) -> RenditionRequest:
    return dialect.parse(key, query, now=0)


def body(query: str, key: str = "geometry.png") -> bytes:
    request = ask(query, key)
    transformation = peer_urls.transformation_of(request, peer_urls.metadata_of(request.key))
    return peer_urls.render_bytes(request.key, transformation)[0]


def drawn(query: str, key: str = "geometry.png") -> Picture:
    return Image.open(io.BytesIO(body(query, key)))


def pixels(query: str, key: str = "geometry.png") -> Pixels:
    """RGBA of the rendition."""
    return np.asarray(drawn(query, key).convert("RGBA"), dtype=float)


def scene(key: str = "geometry.png") -> Picture:
    return Image.open(io.BytesIO(peer_urls.original(key))).convert("RGB")


def colours(key: str = "geometry.png") -> Pixels:
    return np.asarray(scene(key), dtype=float)


def red_box(query: str, key: str = "geometry.png") -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pure red pixels; zeros if there are none."""
    got = pixels(query, key)
    red = (got[..., 0] > 240) & (got[..., 1] < 20) & (got[..., 2] < 20) & (got[..., 3] > 250)
    rows, columns = np.nonzero(red)
    if not rows.size:
        return 0, 0, 0, 0
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def ink_box(query: str) -> tuple[int, int, int, int]:
    """The box of what is not white, on white."""
    rows, columns = np.nonzero(pixels(query, "white.png")[..., :3].min(axis=-1) < 200)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


# The list ------------------------------------------------------------------------------------------


def test_every_parameter_of_the_list_is_in_one_table() -> None:
    published = dict[str, list[str]]()
    for line in PUBLISHED.read_text(encoding="utf-8").splitlines():
        name, *aliases = line.split()
        published[name] = aliases
    assert len(published) == 179
    assert published.keys() == NAMES
    assert len(SUPPORTED) + len(IGNORED) + len(REFUSED) == len(NAMES)
    assert {alias: name for name, aliases in published.items() for alias in aliases} == dict(ALIASES)
    assert len(SUPPORTED) >= 120
    assert (len(SUPPORTED), len(IGNORED), len(REFUSED)) == (123, 11, 45)


def test_the_document_names_every_parameter() -> None:
    text = (Path(__file__).parents[2] / "docs/dialects.md").read_text(encoding="utf-8")
    section = text.partition("## imgix\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", section)) >= NAMES | UNLISTED
    reported = re.search(
        r"(\d+) have their effect, (\d+) are accepted without one and (\d+) are refused", section
    )
    assert reported is not None
    assert tuple(map(int, reported.groups())) == (len(SUPPORTED), len(IGNORED), len(REFUSED))


# Effects -------------------------------------------------------------------------------------------


def size(query: str, wanted: tuple[int, int], key: str = "geometry.png") -> Callable[[], None]:
    def check() -> None:
        assert drawn(query, key).size == wanted

    return check


def like(
    query: str, formula: Callable[[Picture], Picture], least: float = 28, key: str = "geometry.png"
) -> Callable[[], None]:
    """The rendition is what Pillow makes of the original."""

    def check() -> None:
        got = np.asarray(drawn(query, key).convert("RGB"), dtype=float)
        expected = np.asarray(formula(scene(key)).convert("RGB"), dtype=float)
        assert got.shape == expected.shape
        error = float(((got - expected) ** 2).mean())
        assert error == 0 or 10 * np.log10(255**2 / error) >= least

    return check


def formula(query: str, of: Callable[[Pixels], Pixels], most: float = 1.01) -> Callable[[], None]:
    """The rendition is the formula's, of colours of 0-255, rounded and clipped."""

    def check() -> None:
        got, expected = pixels(query)[..., :3], np.clip(of(colours()), 0, 255)
        assert np.abs(got - expected).max() <= most

    return check


def box(query: str, wanted: tuple[int, int, int, int], key: str = "geometry.png") -> Callable[[], None]:
    def check() -> None:
        assert red_box(query, key) == wanted

    return check


def pixel(
    query: str, at: tuple[int, int], wanted: tuple[int, ...], key: str = "geometry.png"
) -> Callable[[], None]:
    """A pixel's colour, with alpha if ``wanted`` has it."""

    def check() -> None:
        got = pixels(query, key)[at[1], at[0]]
        assert np.abs(got[: len(wanted)] - wanted).max() <= 3, got

    return check


def field(query: str, name: str, wanted: object) -> Callable[[], None]:
    def check() -> None:
        assert ask(query).values[name] == wanted

    return check


def check_that(test: Callable[[], bool]) -> Callable[[], None]:
    def check() -> None:
        assert test()

    return check


def both(*checks: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        for one in checks:
            one()

    return check


def unsharp(c: Pixels, sigma: float, amount: float) -> Pixels:
    bright = c @ LUMA
    soft = gaussian_filter(bright, sigma, mode="nearest")
    return c + ((bright - soft) * amount)[..., None]


def vibrant(c: Pixels) -> Pixels:
    bright = (c @ LUMA)[..., None]
    spread = (c.max(-1) - c.min(-1))[..., None] / 255
    return bright + (c - bright) * (1 + 0.5 * (1 - spread))


def toned(c: Pixels, dark: tuple[int, ...], light: tuple[int, ...], alpha: float) -> Pixels:
    share = (c @ LUMA)[..., None] / 255
    return c * (1 - alpha) + (np.array(dark) + (np.array(light) - np.array(dark)) * share) * alpha


def expires() -> None:
    assert ask("expires=100").expires == 100
    with pytest.raises(SignatureExpired):
        DIALECT.parse("a.jpg", "expires=100", now=100)
    with pytest.raises(InvalidRequest, match="Unix seconds"):
        ask("expires=tomorrow")


def blocks() -> None:
    got = pixels("px=10")
    assert (got.reshape(10, 10, 20, 10, 4).std(axis=(1, 3)) < 0.01).all()


def downloads() -> None:
    request = ask("dl=cat.jpg")
    assert (request.filename, request.attachment) == ("cat.jpg", True)


def has_more_bytes(more: str, fewer: str, key: str = "photo.jpg") -> Callable[[], None]:
    return check_that(lambda: len(body(more, key)) > len(body(fewer, key)))


MARK, PLAIN = "mark=watermark.png", "blend=watermark.png&blend-mode=normal"
FILL = "fit=fill&w=200&h=200"
GRADIENT = f"{FILL}&fill=gradient&fm=png"
LINEAR = f"{GRADIENT}&fill-gradient-linear=ff0000,0000ff"
RADIAL = f"{GRADIENT}&fill-gradient-type=radial&fill-gradient-radial=ff0000,0000ff"
CROP, SQUARE = "fit=crop&crop=focalpoint", "fit=crop&w=100&h=100"
FOCUS = f"{CROP}&w=100&h=100"
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)

EFFECTS: Mapping[str, Callable[[], None]] = {
    # Size
    "ar": both(size("ar=1:1&fit=crop", (100, 100)), size("ar=2:1&w=50&fit=crop", (50, 25))),
    "crop": both(
        like(f"{SQUARE}&crop=left", lambda im: im.crop((0, 0, 100, 100)), 60),
        like(f"{SQUARE}&crop=right,top", lambda im: im.crop((100, 0, 200, 100)), 60),
    ),
    "dpr": size("w=50&dpr=2", (100, 50)),
    "fit": both(
        size("w=50&h=50", (50, 25)),
        size("fit=scale&w=50&h=50", (50, 50)),
        size("fit=min&w=400&h=400", (100, 100)),
        size("fit=max&w=400&h=400", (200, 100)),
        size("fit=clip&w=400&h=400", (400, 200)),
        size("fit=facearea,crop&w=50&h=50", (50, 50)),
        pixel("fit=clamp&w=200&h=200", (100, 10), tuple(colours()[0, 100]), "geometry.png"),
    ),
    "h": both(size("h=50", (100, 50)), size("h=0.5", (100, 50))),
    "w": both(size("w=50", (50, 25)), size("w=0.25", (50, 25))),
    "max-h": size("fit=crop&w=200&max-h=50", (200, 50)),
    "max-w": size("fit=crop&h=100&max-w=50", (50, 100)),
    "min-h": size("fit=crop&w=50&min-h=80", (50, 80)),
    "min-w": size("fit=crop&h=50&min-w=150", (150, 50)),
    "fp-x": like(f"{FOCUS}&fp-x=0.4", lambda im: im.crop((30, 0, 130, 100)), 60),
    "fp-y": like(f"{CROP}&w=200&h=50&fp-y=0.4", lambda im: im.crop((0, 15, 200, 65)), 60),
    "fp-z": like(f"{CROP}&w=100&h=50&fp-z=2&fp-x=0.25", lambda im: im.crop((0, 25, 100, 75)), 60),
    "rect": both(
        like("rect=10,20,50,30", lambda im: im.crop((10, 20, 60, 50)), 60),
        like("rect=center,bottom,0.5,full", lambda im: im.crop((50, 0, 150, 100)), 60),
        like("rect=0.25,middle,40,20", lambda im: im.crop((50, 40, 90, 60)), 60),
    ),
    # Rotation
    "flip": like("flip=h", lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 60),
    "orient": both(
        like("orient=6", lambda im: im.transpose(Image.Transpose.ROTATE_270), 60),
        like("orient=5", lambda im: im.transpose(Image.Transpose.TRANSPOSE), 60),
        like("orient=7", lambda im: im.transpose(Image.Transpose.TRANSVERSE), 60),
        like("orient=2&flip=h", lambda im: im, 60),
        like("orient=270", lambda im: im.transpose(Image.Transpose.ROTATE_90), 60),
    ),
    "rot": both(
        like("rot=180", lambda im: im.rotate(180), 60),
        like(
            "rot=20",
            lambda im: (
                im.resize((330, 165), Image.Resampling.BICUBIC)
                .rotate(20, Image.Resampling.BICUBIC)
                .crop((65, 32, 265, 132))
            ),
            24,
        ),
    ),
    "rot-type": both(
        like("rot=90&rot-type=pivot", lambda im: im.transpose(Image.Transpose.ROTATE_90), 60),
        size("rot=90&rot-type=straighten", (200, 100)),
    ),
    # Trim
    "trim": size("trim=auto", (320, 220), "trim1.png"),
    "trim-color": both(
        size("trim=color&trim-color=0000ff", (200, 130), "trim2.png"),
        size("trim=color&trim-color=f00", (200, 170), "trim2.png"),
    ),
    "trim-md": size("trim=auto&trim-md=60", (290, 190), "trim1.png"),
    "trim-pad": size("trim=auto&trim-pad=10", (340, 240), "trim1.png"),
    "trim-tol": size("trim=color&trim-tol=60", (290, 190), "trim1.png"),
    # Adjustments
    "auto": both(
        check_that(lambda: ask("auto=format").format == AUTO),
        field("auto=compress", "quality", 45),
        check_that(lambda: np.ptp(pixels("auto=enhance")[..., :3]) > np.ptp(colours())),
        check_that(lambda: ask("auto=compress&auto=format,enhance").values["normalise"]),
    ),
    "bri": formula("bri=50", lambda c: c / 2 + 127.5),
    "con": formula("con=50", lambda c: (c - 127.5) * 1.5 + 127.5),
    "exp": formula("exp=50", lambda c: c * 2 ** (50 / 110)),
    "gam": formula("gam=100", lambda c: 255 * (c / 255) ** 0.5),
    "high": formula("high=-100", lambda c: c - 3 * 255 * (c / 255) ** 3 * (1 - c / 255)),
    "hue": formula(
        "hue=180",
        lambda c: c @ (2 * np.tile(LUMA[:, None], 3) - np.eye(3)),
    ),
    "invert": formula("invert=true", lambda c: 255 - c),
    "sat": formula("sat=-100", lambda c: np.repeat((c @ LUMA)[..., None], 3, -1)),
    "shad": formula("shad=100", lambda c: c + 3 * 255 * (c / 255) * (1 - c / 255) ** 3),
    "sharp": formula("sharp=20", lambda c: unsharp(c, 1, 1), 1.6),
    "usm": formula("usm=50", lambda c: unsharp(c, 2.5, 1), 1.6),
    "usmrad": formula("usm=50&usmrad=1", lambda c: unsharp(c, 1, 1), 1.6),
    "vib": formula("vib=50", vibrant),
    "nr": like("nr=20", lambda im: im.filter(ImageFilter.MedianFilter(3)), 40),
    "nrs": formula("nrs=50", lambda c: unsharp(c, 1, 1), 1.6),
    # Stylise
    "blur": like("blur=50", lambda im: im.filter(ImageFilter.GaussianBlur(5)), 30),
    "duotone": formula("duotone=102030,ffd080", lambda c: toned(c, (16, 32, 48), (255, 208, 128), 1)),
    "duotone-alpha": formula(
        "duotone=102030,ffd080&duotone-alpha=50", lambda c: toned(c, (16, 32, 48), (255, 208, 128), 0.5)
    ),
    "monochrome": both(
        formula("monochrome=ff8000", lambda c: toned(c, (0, 0, 0), (255, 128, 0), 1)),
        formula("monochrome=80ff8000", lambda c: toned(c, (0, 0, 0), (255, 128, 0), 128 / 255)),
    ),
    "px": blocks,
    "sepia": formula(
        "sepia=100",
        lambda c: c @ np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]).T,
    ),
    # Format
    "chromasub": both(
        check_that(lambda: JpegImagePlugin.get_sampling(drawn("chromasub=444", "photo.jpg")) == 0),
        check_that(lambda: JpegImagePlugin.get_sampling(drawn("chromasub=420", "photo.jpg")) == 2),
    ),
    "colorquant": check_that(
        lambda: len(drawn("colorquant=4&fm=png8").convert("RGB").getcolors() or ()) == 4
    ),
    "dl": downloads,
    "expires": expires,
    "fm": both(
        check_that(lambda: drawn("fm=webp").format == "WEBP"),
        check_that(lambda: drawn("fm=png8").mode == "P"),
        check_that(lambda: "progressive" in drawn("fm=pjpg").info),
    ),
    "frame": check_that(
        lambda: not np.array_equal(pixels("frame=1&fm=png", "gif.gif"), pixels("frame=2&fm=png", "gif.gif"))
    ),
    "page": check_that(
        lambda: np.array_equal(pixels("page=2&fm=png", "gif.gif"), pixels("frame=2&fm=png", "gif.gif"))
    ),
    "jpg-progressive": check_that(lambda: "progressive" in drawn("jpg-progressive=true", "photo.jpg").info),
    "lossless": formula("lossless=true&fm=webp", lambda c: c, 0),
    "q": has_more_bytes("q=90", "q=0"),
    # Fill
    "bg": both(
        pixel("bg=red", (0, 0), (*RED, 255), "alpha.png"),
        pixel("bg=8f00", (0, 0), (*RED, 136), "alpha.png"),
        check_that(lambda: pixels("bg=0fff&fm=png", "alpha.png")[0, 0, 3] == 0),
    ),
    "fill": both(
        pixel(FILL, (5, 5), (0, 0, 0, 0)),
        check_that(lambda: pixels(f"{FILL}&fill=blur")[5, 5, 3] == 255),
    ),
    "fill-color": both(
        pixel(f"{FILL}&fill=solid&fill-color=red", (5, 5), (*RED, 255)),
        # An adjustment changes the image, not its bars, also where the format has no transparency.
        pixel(f"{FILL}&fill-color=804020&exp=100&fm=jpg&q=100&chromasub=444", (5, 5), (0x80, 0x40, 0x20)),
    ),
    "fill-gradient-type": both(pixel(LINEAR, (0, 0), RED), pixel(RADIAL, (0, 0), BLUE)),
    "fill-gradient-linear": both(pixel(LINEAR, (5, 0), RED), pixel(LINEAR, (5, 199), BLUE)),
    "fill-gradient-linear-direction": both(
        pixel(f"{LINEAR}&fill-gradient-linear-direction=left,right", (0, 5), RED),
        pixel(f"{LINEAR}&fill-gradient-linear-direction=bottom,top", (5, 0), BLUE),
    ),
    "fill-gradient-radial": pixel(f"{RADIAL}&fill-gradient-radial-y=0.1", (0, 0), BLUE),
    "fill-gradient-radial-radius": pixel(
        f"{RADIAL}&fill-gradient-radial-y=0&fill-gradient-radial-radius=0,0.2", (100, 20), (124, 0, 131)
    ),
    "fill-gradient-radial-x": pixel(
        f"{RADIAL}&fill-gradient-radial-x=0.1&fill-gradient-radial-y=0.1", (20, 20), RED
    ),
    "fill-gradient-radial-y": pixel(f"{RADIAL}&fill-gradient-radial-y=0.1", (100, 20), RED),
    "transparency": pixel("transparency=grid", (1, 1), (0xD0, 0xD7, 0xDD, 255), "alpha.png"),
    "grid-colors": pixel("transparency=grid&grid-colors=f00,00f", (5, 1), BLUE, "alpha.png"),
    "grid-size": pixel("transparency=grid&grid-colors=f00,00f&grid-size=2", (3, 1), BLUE, "alpha.png"),
    # Border and padding
    "border": both(
        pixel("border=5,ff0000", (2, 50), RED),
        pixel("border=5,80ff0000", (2, 50), tuple((colours()[50, 2] * 127 + np.array(RED) * 128) / 255)),
        check_that(lambda: np.array_equal(pixels("border=5,red")[5:95, 5:195, :3], colours()[5:95, 5:195])),
    ),
    "border-top": both(pixel("border=2,red&border-top=9", (50, 8), RED), size("border=2,red", (200, 100))),
    "border-bottom": pixel("border=2,red&border-bottom=9", (50, 91), RED),
    "border-left": pixel("border=2,red&border-left=9", (8, 50), RED),
    "border-right": pixel("border=2,red&border-right=9", (191, 50), RED),
    "border-radius": both(
        pixel("border=5,red&border-radius=20", (1, 1), (255, 0, 0, 0)[3:] and (255, 0, 0, 0)),
        pixel("border=5,red&border-radius=20,0,0,0", (198, 1), (*RED, 255)),
    ),
    "border-radius-inner": both(
        pixel("border=5,red&border-radius-inner=20", (6, 6), RED),
        pixel("border=5,red&border-radius-inner=0,20,20,20", (6, 6), tuple(colours()[6, 6])),
    ),
    "pad": both(size("pad=10", (220, 120)), size("pad=10&w=100&h=100", (100, 60))),
    "pad-top": both(size("pad-top=10", (200, 110)), pixel("pad-top=10&bg=red", (50, 5), RED)),
    "pad-bottom": pixel("pad-bottom=10&bg=red", (50, 105), RED),
    "pad-left": pixel("pad-left=10&bg=red", (5, 50), RED),
    "pad-right": both(pixel("pad-right=10&bg=red", (205, 50), RED), size("pad=5&pad-right=0", (205, 110))),
    # Mask
    "mask": both(
        pixel("mask=ellipse", (0, 0), (*tuple(colours()[0, 0]), 0)),
        pixel("mask=corners", (3, 3), (*tuple(colours()[3, 3]), 0)),
        check_that(lambda: abs(pixels("mask=halves.png")[95, 100, 3] - 0.0722 * 255) < 2),
        check_that(lambda: abs(pixels("mask=halves.png")[5, 100, 3] - 0.2126 * 255) < 2),
    ),
    "mask-bg": both(
        pixel("mask=ellipse&mask-bg=0f0", (0, 0), (*GREEN, 255)),
        pixel("mask=corners&mask-bg=8000ff00", (0, 0), (*GREEN, 128)),
    ),
    "corner-radius": both(
        check_that(lambda: pixels("mask=corners&corner-radius=30")[3, 3, 3] == 0),
        check_that(lambda: pixels("mask=corners&corner-radius=2")[3, 3, 3] == 255),
        check_that(
            lambda: pixels("mask=corners&corner-radius=0,30,0,0")[3, [3, 196], 3].tolist() == [255, 0]
        ),
    ),
    # Blend
    "blend": both(
        pixel("blend=00ff00&blend-mode=normal", (50, 50), GREEN),
        box(PLAIN, (90, 45, 110, 55)),
        box("blend64=d2F0ZXJtYXJrLnBuZw&blend-mode=normal", (90, 45, 110, 55)),
    ),
    "blend-align": box(f"{PLAIN}&blend-align=top,left", (0, 0, 20, 10)),
    "blend-alpha": formula("blend=000&blend-mode=normal&blend-alpha=50", lambda c: c / 2),
    "blend-color": pixel("blend-color=0f0&blend-mode=normal", (50, 50), GREEN),
    "blend-crop": box(
        "blend=halves.png&blend-mode=normal&blend-w=40&blend-h=20&blend-fit=crop&blend-crop=top",
        (80, 40, 120, 60),
    ),
    "blend-fit": box(f"{PLAIN}&blend-w=40&blend-h=10&blend-fit=scale", (80, 45, 120, 55)),
    "blend-h": box(f"{PLAIN}&blend-h=20", (80, 40, 120, 60)),
    "blend-w": box(f"{PLAIN}&blend-w=0.2", (80, 40, 120, 60)),
    "blend-mode": both(
        formula("blend=80c040&blend-mode=multiply", lambda c: c * np.array([0x80, 0xC0, 0x40]) / 255),
        formula("blend=80c040&blend-mode=difference", lambda c: np.abs(c - np.array([0x80, 0xC0, 0x40]))),
    ),
    "blend-pad": box(f"{PLAIN}&blend-align=top,left&blend-pad=7", (7, 7, 27, 17)),
    "blend-size": box(f"{PLAIN}&blend-size=inherit", (0, 0, 200, 100)),
    "blend-x": box(f"{PLAIN}&blend-x=3", (3, 45, 23, 55)),
    "blend-y": box(f"{PLAIN}&blend-y=4", (90, 4, 110, 14)),
    # Watermark
    "mark": both(
        box(MARK, (175, 85, 195, 95)),
        box("mark64=d2F0ZXJtYXJrLnBuZw", (175, 85, 195, 95)),
        box(f"{MARK}&mask=ellipse", (175, 85, 195, 95)),
    ),
    "mark-align": box(f"{MARK}&mark-align=top,left", (5, 5, 25, 15)),
    "mark-alpha": pixel(f"{MARK}&mark-alpha=50", (180, 90), tuple((colours()[90, 180] + np.array(RED)) / 2)),
    "mark-base": check_that(
        lambda: ask("mark=a.png&mark-base=logos/").values["overlays"][0].image == "logos/a.png"
    ),
    "mark-fit": both(
        box(f"{MARK}&mark-w=10&mark-h=10&mark-fit=scale", (185, 85, 195, 95)),
        box(f"{MARK}&mark-w=80&mark-fit=max", (175, 85, 195, 95)),
    ),
    "mark-h": box(f"{MARK}&mark-h=20", (155, 75, 195, 95)),
    "mark-w": both(
        box(f"{MARK}&mark-w=40", (155, 75, 195, 95)), box(f"{MARK}&mark-w=0.5", (185, 90, 195, 95))
    ),
    "mark-if-min-height": both(
        box(f"{MARK}&mark-if-min-height=101", (0, 0, 0, 0)),
        box(f"{MARK}&mark-if-min-height=100", (175, 85, 195, 95)),
    ),
    "mark-if-min-width": both(
        box(f"{MARK}&w=100&mark-if-min-width=101", (0, 0, 0, 0)),
        box(f"{MARK}&w=100&mark-if-min-width=100", (75, 35, 95, 45)),
        box(f"{MARK}&mask=ellipse&mark-if-min-width=201", (0, 0, 0, 0)),
    ),
    "mark-pad": box(f"{MARK}&mark-pad=20", (160, 70, 180, 80)),
    "mark-rot": box(f"{MARK}&mark-rot=90", (185, 75, 195, 95)),
    "mark-scale": box(f"{MARK}&mark-scale=50", (185, 90, 195, 95)),
    "mark-tile": both(
        pixel(f"{MARK}&mark-tile=grid&mark-pad=10", (10, 10), RED),
        pixel(f"{MARK}&mark-tile=grid&mark-pad=10", (40, 30), RED),
        pixel(f"{MARK}&mark-tile=grid&mark-pad=10", (35, 15), tuple(colours()[15, 35])),
    ),
    "mark-x": box(f"{MARK}&mark-x=3", (3, 85, 23, 95)),
    "mark-y": box(f"{MARK}&mark-y=4", (175, 4, 195, 14)),
}


def right_bottom(query: str) -> tuple[int, int]:
    return ink_box(query)[2:]


def span(query: str) -> tuple[int, int]:
    left, top, right, bottom = ink_box(query)
    return right - left, bottom - top


def red_ink(query: str) -> bool:
    return bool((np.abs(pixels(query, "white.png")[..., :3] - RED).max(axis=-1) < 40).any())


TEXT_EFFECTS: Mapping[str, Callable[[], None]] = {
    "txt": check_that(lambda: right_bottom("txt=H") == (190, 90)),
    "txt-align": check_that(lambda: ink_box("txt=H&txt-align=top,left")[:2] == (10, 10)),
    "txt-color": check_that(lambda: red_ink("txt=H&txt-size=40&txt-color=f00") and not red_ink("txt=H")),
    "txt-font": check_that(
        lambda: span("txt=iiii&txt-size=30&txt-font=monospace") != span("txt=iiii&txt-size=30")
    ),
    "txt-line": check_that(
        lambda: (
            span("txt=H&txt-size=40&txt-line=3&txt-line-color=000")
            == tuple(side + 6 for side in span("txt=H&txt-size=40"))
        )
    ),
    "txt-line-color": check_that(lambda: red_ink("txt=H&txt-size=40&txt-line=3&txt-line-color=f00")),
    "txt-pad": check_that(lambda: right_bottom("txt=H&txt-pad=30") == (170, 70)),
    "txt-shad": check_that(
        lambda: pixels("txt=H&txt-shad=4", "white.png").sum() < pixels("txt=H", "white.png").sum()
    ),
    "txt-size": check_that(lambda: span("txt=H&txt-size=40")[1] > 2 * span("txt=H")[1]),
    "txt-width": check_that(lambda: span("txt=HHH HHH&txt-width=40")[1] > 1.5 * span("txt=HHH HHH")[1]),
    "txt-x": check_that(lambda: ink_box("txt=H&txt-x=50")[0] == 50),
    "txt-y": check_that(lambda: ink_box("txt=H&txt-y=20")[1] == 20),
}


def test_every_supported_parameter_has_a_test_of_its_effect() -> None:
    assert {*EFFECTS, *TEXT_EFFECTS} == SUPPORTED.keys()


@pytest.mark.parametrize("name", EFFECTS)
def test_effect(name: str) -> None:
    EFFECTS[name]()


@needs_font
@pytest.mark.parametrize("name", TEXT_EFFECTS)
def test_effect_of_text(name: str) -> None:
    TEXT_EFFECTS[name]()


def test_fill_max_caps_the_frame() -> None:
    assert drawn("fit=fillmax&w=300&h=80&fill-max=source").size == (200, 80)
    assert {"fill-max"} == UNLISTED_SUPPORTED


@pytest.mark.parametrize("name", IGNORED)
@pytest.mark.parametrize("value", ["1", "x", ""])
def test_what_is_ignored_changes_nothing(name: str, value: str) -> None:
    assert ask(f"{name}={value}&w=50") == ask("w=50")


@pytest.mark.parametrize("name", [*REFUSED, *sorted(UNLISTED)])
def test_what_is_refused_is_named_with_a_reason(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"nothing, as .* for {name}, got '1'"):
        ask(f"{name}=1")
    assert ask(f"{name}=1&w=50", dialect=Imgix(lenient=True)) == ask("w=50")
    if name != "fill-gradient-cs":
        assert ask(f"{name}=false&w=50") == ask("w=50")


def test_refused_values() -> None:
    for query in ("fm=json", "fm=mp4", "auto=redeye", "fit=facearea", "fill=gen&fit=fill", "frame=3-5"):
        with pytest.raises(InvalidRequest):
            ask(query)
    assert ask("fill-gradient-cs=srgb&w=50") == ask("w=50")


def test_unknown_parameters_and_empty_values_are_ignored_as_in_imgix() -> None:
    assert ask("ixlib=react-9.0.1&ixid=abc&utm_source=x&w=50&h=") == ask("w=50")


def test_aliases_and_base64() -> None:
    assert ask("width=50&f=crop&height=40") == ask("w=50&fit=crop&h=40")
    assert ask("txt64=SGVsbG8&tsz=20") == ask("txt=Hello&txt-size=20")
    encoded = base64.urlsafe_b64encode("/logos/ä.png".encode()).decode()
    assert ask(f"mark64={encoded}").values["overlays"][0].image == "logos/ä.png"
    with pytest.raises(InvalidRequest, match="base64"):
        ask("txt64=%FF%FF&w=1".replace("%FF", "~"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("w=a", "a number from 0 to"),
        ("fit=cover", "clip | max"),
        ("crop=nose&fit=crop&w=1", "top, bottom"),
        ("rect=1,2,3", "x,y,width,height"),
        ("bg=reddish", "a colour"),
        ("duotone=red", "two colours"),
        ("border=5", "a size and a colour"),
        ("corner-radius=1,2&mask=corners", "one radius or four"),
        ("ar=0:1&fit=crop", "a ratio"),
        ("q=101", "0 to 100"),
        ("blend-mode=plus&blend=red", "normal | color"),
        ("txt-align=inside&txt=a", "top, middle"),
        (
            "fill-gradient-linear-direction=up&fill-gradient-linear=f00,00f&fill=gradient&fit=fill",
            "top,bottom",
        ),
        ("mark=https://other.example/a.png", "nothing is fetched"),
        ("mark=a.png%3Fw=1", "without parameters"),
        ("w=a&w=b&q=101", "q"),
    ],
)
def test_a_wrong_value_says_what_was_expected(query: str, expected: str) -> None:
    with pytest.raises(InvalidRequest, match=expected.replace("|", r"\|")) as caught:
        ask(query)
    problems = [str(problem) for problem in caught.value.problems]
    assert len(problems) == len(set(problems))


def test_urls_of_our_hosts_are_keys() -> None:
    dialect = Imgix(buckets=frozenset({"mine.imgix.net", "old=archive/"}))
    for mark in ("https://mine.imgix.net/logos/a.png", "//MINE.imgix.net/logos/a.png", "/logos/a.png"):
        assert ask(f"mark={mark}", dialect=dialect).values["overlays"][0].image == "logos/a.png"
    assert ask("mark=s3://old/a.png", dialect=dialect).values["overlays"][0].image == "archive/a.png"
    remote = dialect.parse("https%3A%2F%2Fmine.imgix.net%2Fcats%2Fa.jpg", "w=5", now=0)
    assert remote.key == "cats/a.jpg"
    for mark in (
        "https://theirs.imgix.net/a.png",
        "ftp://mine.imgix.net/a.png",
        "https://[x/a.png",
        "https://mine.imgix.net",
    ):
        with pytest.raises(InvalidRequest):
            ask(f"mark={mark}", dialect=dialect)


def test_the_recipe_of_the_guide_makes_urls_public() -> None:
    guide = (Path(__file__).parents[2] / "docs/migrating-from-imgix.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    original = ImageMetadata(4000, 3000, "jpeg", 1, False, 1, "")
    policy = Policy(dialects=(KEYED,))
    resolver = RequestResolver(parse_recipe(recipe), policy, lambda _: original, lambda: 0.0)
    for query, name in (
        ("w=640&auto=format", "w=640,enlarge=1,fm=avif.avif"),
        ("w=640&fm=webp&ixlib=js", "w=640,enlarge=1,fm=webp.webp"),
    ):
        request = HttpRequest("GET", "cat.jpg", query, {"accept": "image/avif,image/webp,*/*"})
        assert resolver.resolve(request).stored_key == f"cat.jpg/{name}"
    with pytest.raises(SignatureMissing):
        resolver.resolve(HttpRequest("GET", "cat.jpg", "w=641&fm=webp"))


# Signatures ----------------------------------------------------------------------------------------

# The examples of imgix's clients.
SIGNED = (
    ("users/1.png", "", "6797c24146142d5b40bde3141fd3600c"),
    ("users/1.png", "h=300&w=400", "1a4e48641614d1109c6a7af51be23d18"),
    ("http%3A%2F%2Favatars.com%2Fjohn-smith.png", "", "493a52f008c91416351f8b33d4883135"),
    ("http%3A%2F%2Favatars.com%2Fjohn-smith.png", "h=300&w=400", "a201fe1a3caef4944dcb40f6ce99e746"),
)
TOKEN = "FOO123bar"
KEYED = Imgix((TOKEN,))


@pytest.mark.parametrize(("path", "query", "signature"), SIGNED)
def test_the_documented_signatures_are_valid(path: str, query: str, signature: str) -> None:
    full = f"{query}&s={signature}" if query else f"s={signature}"
    assert KEYED._verify(path, full)
    assert KEYED.matches(path, full)
    for altered in (f"{path}x", path.replace("1", "2"), path.upper()):
        if altered != path:
            with pytest.raises(SignatureMismatch):
                KEYED.parse(altered, full, now=0)
    with pytest.raises(SignatureMismatch):
        KEYED.parse(path, f"w=5&{full}", now=0)


def test_each_of_several_tokens_verifies() -> None:
    path, query, signature = SIGNED[1]
    full = f"{query}&s={signature}"
    assert Imgix(("new", TOKEN)).parse(path, full, now=0).signed
    with pytest.raises(SignatureMismatch):
        Imgix(("new",)).parse(path, full, now=0)


def test_without_signature_or_token_nothing_is_signed() -> None:
    assert not KEYED.parse("users/1.png", "w=5", now=0).signed
    assert not Imgix().parse("users/1.png", f"w=5&s={'0' * 32}", now=0).signed
    assert TOKEN not in repr(KEYED)


def test_an_extended_url_is_refused() -> None:
    """MD5 of token and URL can be extended without the token, by bytes that are not printable."""
    extended = "w=5\x80\x00&w=9"
    digest = hashlib.md5(f"{TOKEN}/a.png?{extended}".encode(), usedforsecurity=False).hexdigest()
    with pytest.raises(SignatureMismatch, match="printable"):
        KEYED.parse("a.png", f"{extended}&s={digest}", now=0)


def test_an_expired_signed_url() -> None:
    digest = hashlib.md5(f"{TOKEN}/a.png?expires=100".encode(), usedforsecurity=False).hexdigest()
    query = f"expires=100&s={digest}"
    assert KEYED.parse("a.png", query, now=99).expires == 100
    with pytest.raises(SignatureExpired):
        KEYED.parse("a.png", query, now=100)


# Shape ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "certainty"),
    [
        ("", 0),
        ("v=3", 0),
        ("w=300", 1),
        ("w=300&fit=crop", 1),
        ("utm_source=x", 0),
        ("size=large", 1),
        ("auto=format", 2),
        ("w=300&ixlib=js", 2),
        ("url=%2Fa.png&w=64&q=75&auto=format", 1),
        ("width=300&signature=aa&expires=20270101T000000Z", 1),
        (f"w=300&s={'a' * 32}", 2),
        (f"w=300&s={'a' * 43}", 0),
        ("w=300&kid=a", 0),
        ("preset=card", 0),
        ("w=300&format=webp", 0),
        ("w=300&then=blur:3", 0),
    ],
)
def test_matches(query: str, certainty: int) -> None:
    assert DIALECT.matches("photos/cat.jpg", query) == certainty


def test_no_parameter_of_imgix_counts_as_ours_alone() -> None:
    assert not OWN_ONLY & (NAMES | ALIASES.keys())


@given(st.text(max_size=60))
def test_arbitrary_text_raises_expected_errors_only(text: str) -> None:
    with contextlib.suppress(Invalid, Forbidden):
        assert DIALECT.parse("a.jpg", text, now=0).key


@given(st.sampled_from(sorted(SUPPORTED)), st.text("0123456789.,-:abcdefxyz%/", max_size=12))
def test_arbitrary_values_raise_expected_errors_only(name: str, value: str) -> None:
    with contextlib.suppress(Invalid, Forbidden):
        request = DIALECT.parse("geometry.png", f"{name}={value}&w=20&mark=watermark.png&txt=a", now=0)
        peer_urls.transformation_of(request, peer_urls.metadata_of("geometry.png"))
