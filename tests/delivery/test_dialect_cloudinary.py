"""Cloudinary URLs: components, chains, layers, signatures, public IDs, and what is refused."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import peer_urls
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.setting_specs import DIALECTS
from image_processor.delivery.dialects import DialectOptions, load_dialects
from image_processor.delivery.dialects.cloudinary import Cloudinary
from image_processor.delivery.dialects.cloudinary.operations import (
    MAX_RADIUS,
    MODES,
    Corners,
    Effect,
    NeedsSize,
    Operation,
    Resize,
    Turn,
    compose,
)
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.source_crop import output_size
from image_processor.delivery.translate import translate
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import (
    Forbidden,
    Invalid,
    InvalidRequest,
    InvalidTransformation,
    SignatureMismatch,
)
from image_processor.domain.geometry import Size
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    BLACK,
    Colour,
    Fit,
    Flip,
    Gravity,
    ImageOverlay,
    OverlayFit,
    RelativeLength,
    Step,
    Subsampling,
    TextOverlay,
    Transformation,
)

ROOT = Path(__file__).parents[2]
ORIGINAL = ImageMetadata(480, 320, "jpeg", 1, False, 1, "")
DIALECT = Cloudinary(named={"thumb": "c_fill,h_100,w_100", "toned": "e_sepia/r_20"})


def ask(transformation: str, source: str = "a.jpg", dialect: Cloudinary = DIALECT) -> RenditionRequest:
    return dialect.parse(f"demo/image/upload/{transformation}/{source}", "", now=0)


def fields(transformation: str, original: ImageMetadata = ORIGINAL) -> dict[str, Any]:
    """The fields for an original, which is needed only if a geometry says so."""
    request = ask(transformation)
    values = dict(request.values)
    return dict(request.geometry.apply(values, original, None)) if request.geometry else values


def steps(transformation: str) -> list[str]:
    return [str(step) for step in fields(transformation)["steps"]]


@pytest.mark.parametrize(
    ("transformation", "values"),
    [
        ("w_300", {"width": 300, "enlarge": True}),
        ("c_scale,h_200,w_300", {"width": 300, "height": 200, "fit": Fit.FILL, "enlarge": True}),
        ("c_scale,w_0.5", {"zoom": 0.5}),
        ("c_scale,w_iw_div_2", {"zoom": 0.5}),
        ("c_fit,h_200,w_300", {"width": 300, "height": 200, "fit": Fit.INSIDE, "enlarge": True}),
        ("c_limit,h_200,w_300", {"width": 300, "height": 200, "fit": Fit.INSIDE}),
        ("c_limit,w_300", {"width": 300}),
        ("c_fill,h_200,w_300", {"width": 300, "height": 200, "enlarge": True}),
        (
            "c_fill,g_north_east,h_200,w_300",
            {"width": 300, "height": 200, "gravity": Gravity.NORTHEAST, "enlarge": True},
        ),
        ("c_lfill,g_auto,h_200,w_300", {"width": 300, "height": 200, "gravity": Gravity.ATTENTION}),
        ("c_fill,ar_16:9,w_320", {"width": 320, "height": 180, "enlarge": True}),
        ("c_fill,ar_1:1", {"ratio": Fraction(1)}),
        (
            "c_thumb,g_face,h_90,w_90,z_0.4,",
            {"width": 90, "height": 90, "gravity": Gravity.FACES, "enlarge": True},
        ),
        (
            "c_auto,h_90,w_90",
            {"width": 90, "height": 90, "gravity": Gravity.ATTENTION, "enlarge": True},
        ),
        (
            "b_rgb:ff6600,c_pad,g_west,h_200,w_300",
            {
                "width": 300,
                "height": 200,
                "fit": Fit.CONTAIN,
                "gravity": Gravity.WEST,
                "background": Colour(255, 102, 0),
                "enlarge": True,
            },
        ),
        ("b_black,c_lpad,h_9,w_9", {"width": 9, "height": 9, "fit": Fit.CONTAIN, "background": BLACK}),
        ("c_crop,h_200,w_300,x_10,y_20", {"region": (10, 20, 300, 200)}),
        (
            "c_crop,h_200,w_300,x_10,y_20/c_fill,w_30,h_30",
            {"region": (10, 20, 300, 200), "width": 30, "height": 30, "enlarge": True},
        ),
        ("a_90/c_fill,h_20,w_30", {"rotate": 90, "width": 30, "height": 20, "enlarge": True}),
        ("b_red", {"background": Colour(255, 0, 0)}),
        ("b_red,c_limit,w_9", {"width": 9, "background": Colour(255, 0, 0)}),
        (
            "b_red,c_limit,w_9/r_3",
            {"width": 9, "steps": (Step("bg", Colour(255, 0, 0)), Step("round", (3,) * 4))},
        ),
        ("a_hflip", {"flip": Flip.HORIZONTAL}),
        ("c_limit,w_30/e_grayscale/r_max", {"width": 30, "grey": True, "ellipse": True}),
        ("r_20", {"round": (20, 20, 20, 20)}),
        ("r_10:20:30", {"round": (10, 20, 30, 20)}),
        ("o_30", {"opacity": 30}),
        ("e_brightness:30/e_contrast:20", {"brightness": 30, "contrast": 20}),
        ("e_sepia", {"sepia": 80}),
        ("e_blur:500", {"blur": 10}),
        ("e_hue:50", {"hue": 90}),
        ("e_gamma:-50", {"gamma": 0.5}),
        ("e_sharpen:150", {"sharpen": (1, 1.5)}),
        ("e_trim:20", {"trim": 51}),
        ("e_saturation:0", {}),
        ("dpr_2.0,w_100", {"width": 200, "enlarge": True}),
        ("c_limit,w_100/r_5/dpr_2.0", {"width": 200, "round": (10, 10, 10, 10)}),
        ("w_auto,dpr_auto,c_scale", {}),
        ("q_70", {"quality": 70}),
        ("q_auto:eco", {"quality": "auto"}),
        ("f_jpg/q_80:444", {"quality": 80, "subsampling": Subsampling.FULL}),
        ("f_webp/q_80:444", {"quality": 80}),
        ("fl_progressive.lossy", {"progressive": True}),
        ("pg_2", {"frame": 2}),
        ("$size_30/c_limit,h_$size,w_$(size)", {"width": 30, "height": 30, "fit": Fit.INSIDE}),
        ("t_thumb", {"width": 100, "height": 100, "enlarge": True}),
        (
            "t_thumb.toned,q_9",
            {"width": 100, "height": 100, "enlarge": True, "sepia": 80, "round": (20,) * 4, "quality": 9},
        ),
    ],
)
def test_what_fields_express_needs_no_size(transformation: str, values: dict[str, Any]) -> None:
    request = ask(transformation)
    assert request == RenditionRequest("a.jpg", values, {"f": request.format}["f"])
    assert request.geometry is None
    Transformation(**values)


@pytest.mark.parametrize(
    ("text", "format_", "source_formats"),
    [
        ("fl_apng", None, {"png": "apng"}),
        ("f_png,fl_apng", "apng", {"png": "apng"}),
        ("f_webp,fl_apng", "webp", {"png": "apng"}),
        ("f_png", "png", {}),
    ],
)
def test_an_animated_png_is_asked_for_by_a_flag(
    text: str, format_: str | None, source_formats: dict[str, str]
) -> None:
    request = ask(text)
    assert (request.format, dict(request.source_formats)) == (format_, source_formats)


@pytest.mark.parametrize(
    ("transformation", "values"),
    [
        ("c_crop,h_200,w_300", {"region": (90, 60, 300, 200)}),
        ("c_crop,g_south_east,h_100,w_100", {"region": (380, 220, 100, 100)}),
        ("c_crop,g_north_west,h_0.5,w_0.5", {"region": (0, 0, 240, 160)}),
        ("c_crop,g_xy_center,h_200,w_300,x_100,y_50", {"region": (0, 0, 300, 200)}),
        ("c_crop,g_east,w_0.5", {"region": (240, 0, 240, 320)}),
        ("c_mfit,h_100,w_100", {}),
        ("c_mfit,h_400,w_600", {"width": 600, "height": 400, "fit": Fit.INSIDE, "enlarge": True}),
        ("b_red,c_mpad,h_200,w_200", {}),
        (
            "c_fill,g_xy_center,h_150,w_150,x_400,y_160",
            {"width": 150, "height": 150, "focal_point": (0.833, 0.5), "enlarge": True},
        ),
        ("a_auto_right,c_fill,h_300,w_200", {"rotate": 90, "width": 200, "height": 300, "enlarge": True}),
        ("a_auto_right,c_fill,h_200,w_300", {"width": 300, "height": 200, "enlarge": True}),
        ("if_w_gt_400/c_limit,w_400/if_end", {"width": 400}),
        ("if_w_gt_400_and_h_gt_400/c_limit,w_400/if_else/c_limit,w_50/if_end", {"width": 50}),
        ("if_w_gt_400_or_ih_gt_400,e_grayscale", {"grey": True}),
        ("if_ar_eq_3:2/e_negate/if_end", {"negate": True}),
    ],
)
def test_what_depends_on_the_original(transformation: str, values: dict[str, Any]) -> None:
    assert ask(transformation).geometry is not None
    assert fields(transformation) == values


@pytest.mark.parametrize(
    ("transformation", "expected"),
    [
        ("c_limit,w_240/c_crop,h_100,w_100", ["crop:70:30:100:100"]),
        ("c_limit,w_240/c_fill,h_50,w_50", ["resize:75:50", "crop:12:0:50:50"]),
        ("c_limit,w_240/c_fill,g_auto,h_50,w_50", ["resize:75:50", "smart:50:50:attention"]),
        ("c_crop,g_face,h_80,w_80", ["smart:80:80:faces"]),
        ("c_crop,g_auto,w_80", ["smart:80:320:attention"]),
        (
            "b_red,c_pad,h_320,w_320/r_max",
            ["bg:ff0000", "canvas:320:320:0:53:ff0000", "ellipse:160:160:160:160"],
        ),
        ("b_auto,c_pad,h_320,w_600", ["backdrop:600:320:60:0:mean"]),
        ("b_blurred:400:15,c_pad,h_320,w_600", ["backdrop:600:320:60:0:blurred"]),
        ("bo_5px_solid_black", ["canvas:490:330:5:5:000000"]),
        ("bo_5px_solid_black,r_20", ["round:20", "bg:000000", "canvas:490:330:5:5:000000", "round:25"]),
        ("c_limit,w_240/a_10", ["rotate:10"]),
        ("e_blur:300/e_brightness:-50", ["linear:0.5:0"]),
        ("e_negate/e_sepia:100", ["matrix:0.393:0.769:0.189:0.349:0.686:0.168:0.272:0.534:0.131"]),
        ("e_red:50", ["linear:1:1:1:127.5:0:0"]),
        ("e_blackwhite", ["threshold:128"]),
        ("co_rgb:0044ff,e_colorize:40", ["colour:0044ff:40"]),
        ("e_grayscale/c_scale,w_0.5/e_negate", ["resize:240:160", "neg:1"]),
    ],
)
def test_what_fields_do_not_express_becomes_steps(transformation: str, expected: list[str]) -> None:
    assert [step.removesuffix(":over") for step in steps(transformation)] == expected


@pytest.mark.parametrize(
    ("layer", "overlay"),
    [
        (
            "l_logo/c_scale,w_100/o_40/fl_layer_apply,g_north_west,x_10,y_20",
            ImageOverlay(image="logo", width=100, opacity=40, gravity=Gravity.NORTHWEST, x=10, y=20),
        ),
        (
            "l_logos:mark.png,w_100,g_south_east,x_5",
            ImageOverlay(image="logos/mark.png", width=100, gravity=Gravity.SOUTHEAST, x=5),
        ),
        (
            "l_logo/c_fill,h_1.0,w_0.25,fl_relative/fl_layer_apply",
            ImageOverlay(
                image="logo", width=RelativeLength(0.25), height=RelativeLength(1.0), fit=OverlayFit.COVER
            ),
        ),
        (
            "l_image:upload:logos:mark.png/w_50,h_40,c_fill,g_west,y_8,fl_layer_apply",
            ImageOverlay(
                image="logos/mark.png", width=50, height=40, fit=OverlayFit.COVER, gravity=Gravity.WEST, y=8
            ),
        ),
        ("l_logo/a_20/e_multiply,fl_layer_apply", None),
        (
            "co_white,l_text:Arial_60_bold:Hello%20World/fl_layer_apply,g_south,y_9",
            TextOverlay(
                text="Hello World",
                size=60,
                font="Arial bold",
                colour=Colour(255, 255, 255),
                gravity=Gravity.SOUTH,
                y=9,
            ),
        ),
        (
            "l_text:Arial_30_center_stroke:a%252Cb,co_red,bo_2px_solid_blue",
            None,
        ),
    ],
)
def test_layers_become_overlays(layer: str, overlay: Any) -> None:
    found = ask(layer).values["overlays"]
    if overlay is not None:
        assert found == (overlay,)
    elif "text" in layer:
        assert str(found[0]).startswith("text:a~2cb;size:30;font:arial;colour:ff0000;align:centre;outline:2")
    else:
        assert str(found[0]) == "image:logo;rotate:20;blend:multiply"


def test_two_layers_and_what_comes_after_them() -> None:
    text = "l_a/fl_layer_apply,g_west/l_b,g_east/c_limit,w_50"
    assert [overlay.image for overlay in fields(text)["overlays"]] == ["a", "b"]
    assert steps(text) == ["resize:50:33"]
    assert steps("e_grayscale/c_crop,w_30,h_30/l_a/fl_layer_apply") == ["crop:225:145:30:30", "image:a"]


# The pixels, with Pillow's ------------------------------------------------------------------------


def _rounded(im: Image.Image, radius: int) -> Image.Image:
    """A white mask with round corners, four times as fine."""
    mask = Image.new("L", (im.width * 4, im.height * 4))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, im.width * 4 - 1, im.height * 4 - 1), radius * 4, fill=255)
    result = im.convert("RGBA")
    result.putalpha(mask.resize(im.size, Image.Resampling.BOX))
    return result


def _bordered(im: Image.Image) -> Image.Image:
    around = Image.new("RGBA", (im.width + 10, im.height + 10), (0, 102, 255))
    around.alpha_composite(_rounded(im, 20), (5, 5))
    return _rounded(around.convert("RGB"), 25)


def _pasted(im: Image.Image) -> Image.Image:
    mark = im.resize((60, 30), Image.Resampling.LANCZOS)
    result = im.copy()
    result.paste(mark, (200 - 60 - 8, 100 - 30 - 4))
    return result


LANCZOS = Image.Resampling.LANCZOS
PIXELS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "c_crop,h_50,w_80,x_30,y_20": lambda im: im.crop((30, 20, 110, 70)),
    "c_crop,g_south_east,h_50,w_80,x_10,y_5": lambda im: im.crop((110, 45, 190, 95)),
    "c_fill,g_west,h_100,w_50": lambda im: im.crop((0, 0, 50, 100)),
    "c_fill,g_xy_center,h_100,w_50,x_150,y_50": lambda im: im.crop((125, 0, 175, 100)),
    "c_crop,h_100,w_100,x_0,y_0/c_scale,w_50/a_90": lambda im: (
        im.crop((0, 0, 100, 100)).resize((50, 50), LANCZOS).rotate(-90)
    ),
    "a_hflip/c_crop,h_40,w_60,x_10,y_5": lambda im: ImageOps.mirror(im).crop((10, 5, 70, 45)),
    "c_scale,w_100/c_crop,g_east,h_20,w_30": lambda im: im.resize((100, 50), LANCZOS).crop((70, 15, 100, 35)),
    "b_rgb:ff0000,c_pad,g_north,h_100,w_100": lambda im: ImageOps.pad(
        im, (100, 100), LANCZOS, "red", (0.5, 0)
    ),
    "e_grayscale/b_rgb:ff0000,c_pad,h_100,w_100/e_negate": lambda im: ImageOps.invert(
        ImageOps.pad(im.convert("RGB", (0.2126, 0.7152, 0.0722, 0) * 3), (100, 100), LANCZOS, "red")
    ),
    "bo_5px_solid_rgb:0066ff": lambda im: ImageOps.expand(im, 5, (0, 102, 255)),
    "bo_5px_solid_rgb:0066ff,r_20/f_png": _bordered,
    "r_20/f_png": lambda im: _rounded(im, 20),
    "l_geometry.png/c_scale,w_60/fl_layer_apply,g_south_east,x_8,y_4": _pasted,
    "c_scale,w_200/l_geometry.png,w_60,g_south_east,x_8,y_4": _pasted,
    "e_red:20": lambda im: Image.merge(
        "RGB", [band.point(lambda v, d=d: v + d) for band, d in zip(im.split(), (51, 0, 0), strict=True)]
    ),
    "co_rgb:ff8000,e_colorize:50": lambda im: Image.blend(im, Image.new("RGB", im.size, (255, 128, 0)), 0.5),
    "if_ar_gt_1/a_180/if_end": lambda im: im.rotate(180),
}


@pytest.mark.parametrize("transformation", PIXELS)
def test_pixels(transformation: str) -> None:
    got = peer_urls.picture("cloudinary", f"demo/image/upload/{transformation}/geometry.png").convert("RGBA")
    scene = Image.open(io.BytesIO(peer_urls.original("geometry.png"))).convert("RGB")
    expected = PIXELS[transformation](scene).convert("RGBA")
    assert got.size == expected.size
    over_white = [Image.alpha_composite(Image.new("RGBA", one.size, "white"), one) for one in (got, expected)]
    difference = np.asarray(over_white[0], dtype=float) - np.asarray(over_white[1], dtype=float)
    assert 10 * np.log10(255**2 / max(float((difference**2).mean()), 1e-9)) >= 30


# Composition ---------------------------------------------------------------------------------------

SIDES = st.one_of(st.none(), st.integers(1, 900), st.sampled_from([0.25, 0.5, 1.0]).map(RelativeLength))
RESIZES = st.builds(
    Resize,
    st.sampled_from(MODES),
    SIDES,
    SIDES,
    st.sampled_from([None, None, Fraction(1), Fraction(16, 9)]),
    st.sampled_from([None, Gravity.NORTHWEST, Gravity.EAST, Gravity.ATTENTION]),
    background=st.sampled_from([None, Colour(255, 0, 0)]),
)
OPERATIONS = st.one_of(
    RESIZES,
    st.sampled_from([90, 180, 270, 30]).map(Turn),
    st.just(Turn(Flip.VERTICAL)),
    st.just(Effect("e_grayscale", "grey", True, (Step("grey", True),))),
    st.builds(Corners, st.sampled_from([MAX_RADIUS, (3, 3, 3, 3)]), st.sampled_from([0, 4])),
)


@given(st.lists(OPERATIONS, max_size=4).map(tuple), st.integers(1, 600), st.integers(1, 600))
def test_a_size_that_is_known_changes_nothing(
    operations: tuple[Operation, ...], width: int, height: int
) -> None:
    """What can be composed without the size gives an image of the same size with it."""
    original = ImageMetadata(width, height, "png", 1, False, 1, "")
    try:
        blind = Transformation(**compose(operations))
    except NeedsSize:
        blind = None
    try:
        sized = Transformation(**compose(operations, Size(width, height)))
    except InvalidTransformation:  # larger than any rendition
        return
    if blind is not None:
        assert output_size(blind, original) == output_size(sized, original)


# Keys, formats, signatures --------------------------------------------------------------------------


def test_formats() -> None:
    assert ask("w_9").format is None
    assert ask("f_auto").format == AUTO
    assert ask("f_jpg,w_9").format == "jpeg"
    assert ask("w_9", "a.auto").format == AUTO
    assert ask("w_9", "a.auto").key == "a"


def test_public_ids_have_no_extension() -> None:
    dialect = Cloudinary(public_ids=True)
    assert ask("w_9", "photos/a.png", dialect) == RenditionRequest(
        "photos/a", {"width": 9, "enlarge": True}, "png"
    )
    assert ask("f_auto", "photos/a.png", dialect).format == AUTO
    assert ask("w_9", "photos/a", dialect).format is None
    assert ask("w_9", "v1.2", dialect).key == "v1.2"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("demo/image/upload/a.jpg", "a.jpg"),
        ("demo/image/upload/v1312461204/a%20b.jpg", "a b.jpg"),
        ("demo/image/upload/w_9/v1/folder/w_10/a.jpg", "folder/w_10/a.jpg"),
        ("demo/image/upload/folder/w_10/a.jpg", "folder/w_10/a.jpg"),
        ("demo/image/upload/w_9/v2", "v2"),
        ("demo/image/upload/w_9", "w_9"),
        ("demo/image/private/w_9/a.jpg", "a.jpg"),
        ("demo/image/authenticated/a.jpg", "a.jpg"),
        ("demo/image/fetch/w_9/https://images.example.com/b/a.jpg?x=1", "web/b/a.jpg"),
        ("image/upload/w_9/a.jpg", "a.jpg"),
        ("demo/iu/w_9/a.jpg", "a.jpg"),
    ],
)
def test_keys(path: str, key: str) -> None:
    dialect = Cloudinary(buckets=frozenset({"images.example.com=web/"}))
    path, _, query = path.partition("?")
    assert dialect.parse(path, query, now=0).key == key


SIGNED = (
    # What Cloudinary's own libraries expect for the secret "b".
    "test123/image/upload/s--Ai4Znfl3--/c_crop,h_20,w_10/v1234/image.jpg",
    "test123/image/upload/s--Ai4Znfl3--/c_crop,h_20,w_10/image.jpg",
    "test123/image/upload/s----SjmNDA--/v1234/image.jpg",
    "test123/image/upload/s--2hbrSMPO--/sample.jpg",
    "test123/image/upload/s--2hbrSMPOjj5BJ4xV7SgFbRDevFaQNUFf--/sample.jpg",
)


@pytest.mark.parametrize("path", SIGNED)
def test_signatures_of_the_libraries_are_valid(path: str) -> None:
    assert Cloudinary(b"b").parse(path, "", now=0).signed
    with pytest.raises(SignatureMismatch):
        Cloudinary(b"c").parse(path, "", now=0)
    assert not Cloudinary().parse(path, "", now=0).signed


@pytest.mark.parametrize(
    ("old", "new"),
    [("h_20", "h_21"), ("image.jpg", "image.png"), ("Ai4Znfl3", "Ai4Znfl4"), ("w_10/", "w_10/e_sepia/")],
)
def test_an_altered_url_is_refused(old: str, new: str) -> None:
    with pytest.raises(SignatureMismatch):
        Cloudinary(b"b").parse(SIGNED[0].replace(old, new), "", now=0)


def test_an_unsigned_url_is_unsigned() -> None:
    assert not Cloudinary(b"b").parse("demo/image/upload/w_9/a.jpg", "", now=0).signed
    # A signature of other than 8 or 32 characters is none: the segment belongs to the public ID.
    assert not Cloudinary(b"b").parse("demo/image/upload/s--Ai4Z--/image.jpg", "", now=0).signed


@given(st.text(st.sampled_from("abc/_%é"), min_size=1, max_size=20))
def test_a_signature_covers_transformation_and_public_id(text: str) -> None:
    path = f"w_9/{text}.jpg"
    digest = base64.urlsafe_b64encode(hashlib.sha1(path.encode() + b"secret").digest()).decode()[:8]
    with contextlib.suppress(InvalidRequest):
        assert Cloudinary(b"secret").parse(f"x/image/upload/s--{digest}--/{path}", "", now=0).signed


# Named transformations ------------------------------------------------------------------------------


def test_a_named_transformation_that_no_file_has_is_a_preset() -> None:
    request = ask("t_card/f_auto/q_auto")
    assert (request.preset, request.format, request.values) == ("card", AUTO, {})
    for text in ("t_card/w_100", "t_card/t_other"):
        with pytest.raises(InvalidRequest):
            ask(text)


def test_named_transformations_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "named.txt"
    file.write_text("# ours\nthumb=c_fill,h_100,w_100\nt_big = c_limit,w_2000/q_auto\n\n")
    read = {spec.field: spec.read for spec in DIALECTS["cloudinary"].settings}
    named = read["cloudinary_transformations_path"](str(file))
    assert named == {"thumb": "c_fill,h_100,w_100", "big": "c_limit,w_2000/q_auto"}
    settings = {
        "cloudinary_transformations_path": named,
        "cloudinary_secret": "s",
        "cloudinary_public_ids": True,
    }
    dialect = load_dialects(("cloudinary",), settings, DialectOptions(lenient=True))[0]
    assert dialect == Cloudinary(b"s", public_ids=True, named=named, lenient=True)
    assert "b's'" not in repr(dialect)
    for bad in ("thumb", "=w_100", "# none"):
        file.write_text(bad)
        with pytest.raises(ValueError, match="named"):
            read["cloudinary_transformations_path"](str(file))


def test_most_urls_of_public_source_code_work() -> None:
    """Their transformations as they were found; docs/dialects.md has the number."""
    found = json.loads((peer_urls.VECTORS / "cloudinary-public.json").read_text(encoding="utf-8"))
    dialects = (Cloudinary(named={"media_lib_thumb": "c_fill,h_100,w_100"}),)
    refused = []
    for text in found:
        try:
            translate(
                f"/demo/image/upload/{text}/photo.jpg", dialects, ORIGINAL, parse_recipe(DEFAULT_RECIPE)
            )
        except Invalid:
            refused.append(text)
    share = f"{len(found) - len(refused)} of {len(found)} transformations"
    assert share in (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8"), refused


def test_variables_cannot_multiply() -> None:
    """Each would be ten times as long as the one before."""
    doubling = "/".join(
        f"${name}_" + f"$({before})" * 10 for before, name in itertools.pairwise("abcdefghij")
    )
    with pytest.raises(InvalidRequest, match="at most 200 characters"):
        ask(f"$a_1234567890/{doubling}/w_$j")
    assert fields("$a_1/$b_$(a)00/c_limit,w_$b") == {"width": 100}


# What is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transformation",
    [
        *[
            "w_0",
            "w_abc",
            "w_-3",
            "h_1e3",
            "ar_0:1",
            "ar_x",
            "c_stretch,w_9",
            "c_fill_pad,w_9,h_9",
            "g_cat,c_fill,w_9,h_9",
        ],
        *[
            "c_fill,w_9,h_9,x_3",
            "z_0,c_thumb,g_face,w_9,h_9",
            "q_0",
            "q_101",
            "f_svg",
            "f_auto:video",
            "e_cartoonify",
        ],
        *["e_sepia:500", "r_-1", "r_1:2:3:4:5", "a_400", "a_left", "b_gen_fill,c_pad,w_9,h_9", "bo_4px"],
        *[
            "b_rgb:ff000080,c_pad,w_9,h_9",
            "bo_4px_dashed_red",
            "co_nocolour,e_colorize",
            "o_101",
            "o_x",
            "pg_0",
        ],
        *[
            "dpr_0",
            "fl_getinfo",
            "dn_72",
            "so_3",
            "u_under",
            "l_fetch:aHR0/fl_layer_apply",
            "l_a/w_0.5/fl_layer_apply",
        ],
        *["l_a/e_sepia/fl_layer_apply", "l_a,g_face", "l_text:Arial:Hi", "l_text:Arial_20_underline:Hi"],
        *["l_text:Arial_20:", "l_a,b_red", "l_a/r_20/fl_layer_apply", "if_w_gt_9/w_9", "if_end", "$x_3/w_$y"],
        *["if_md:!x!_gt_1/w_9/if_end", "if_w_gt_1_and_h_gt_1_or_h_gt_2,w_9", "e_trim/c_crop,w_9,h_9"],
        *["e_grayscale/e_gamma:50", "c_scale,w_9/e_trim", "w_9,%FF_1"],
        "/".join(["w_9"] * 51),
    ],
)
def test_what_is_refused(transformation: str) -> None:
    with pytest.raises(InvalidRequest):
        ask(transformation)


@pytest.mark.parametrize(
    "path",
    [
        "demo/video/upload/a.mp4",
        "demo/image/facebook/65646572251",
        "demo/image/upload/",
        "demo/image/fetch/https://example.com/a.jpg",
    ],
)
def test_sources_that_are_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.parse(path, "", now=0)


def test_a_crop_outside_of_the_original_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="a part of the image of 480 x 320 pixels"):
        fields("c_crop,w_10,x_480")


def test_lenient_leaves_out_what_is_not_supported() -> None:
    lenient = Cloudinary(lenient=True)
    assert ask("e_cartoonify/w_9/u_under/so_3/fl_getinfo", dialect=lenient).values["width"] == 9


def test_matches() -> None:
    assert DIALECT.matches("demo/image/upload/a.jpg", "")
    assert DIALECT.matches("image/upload/a.jpg", "")
    assert DIALECT.matches("demo/video/upload/a.mp4", "")
    for path in ("photos/image/a.jpg", "a/b/image/upload/a.jpg", "demo/image/uploads/a.jpg"):
        assert not DIALECT.matches(path, "")
    assert DIALECT.error_body(400, "invalid-request", "no") is None


@given(st.text(max_size=60), st.sampled_from([DIALECT, Cloudinary(lenient=True, public_ids=True)]))
def test_arbitrary_text_raises_expected_errors_only(text: str, dialect: Cloudinary) -> None:
    with contextlib.suppress(Invalid, Forbidden):
        assert dialect.parse(f"demo/image/upload/{text}/a.jpg", "", now=0).key


def test_what_a_message_repeats_of_a_url_is_printable() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ask("t_card\udc99/w_4")
    assert str(refusal.value).isprintable()
    assert "card" in str(refusal.value)
