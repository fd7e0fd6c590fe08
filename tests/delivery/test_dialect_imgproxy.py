"""imgproxy URLs: the documented signature, options with their short names, sources, unsigned URLs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.bootstrap.delivery import build_dialects
from image_processor.config.settings import from_environment
from image_processor.delivery.dialects.imgproxy import Imgproxy
from image_processor.delivery.request import CropSpec, RenditionRequest, SizingRule
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import (
    BucketNotAllowed,
    Forbidden,
    Invalid,
    InvalidRequest,
    InvalidSettings,
    SignatureExpired,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.transformation import (
    BLACK,
    Colour,
    Fit,
    Flip,
    Gravity,
    ImageOverlay,
    RelativeLength,
    TextOverlay,
    Transformation,
)

KEY, SALT = b"test-key", b"test-salt"
SIGNED = Imgproxy(KEY, SALT)
OPEN = Imgproxy(buckets=frozenset({"photos"}))
NOW = 1_800_000_000.0
RED = Colour(255, 0, 0)
BOX = {"width": 300, "height": 200}


def sign(path: str, size: int = 32) -> str:
    digest = hmac.new(KEY, SALT + path.encode(), hashlib.sha256).digest()[:size]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def ask(options: str, source: str = "plain/a.jpg", dialect: Imgproxy = OPEN) -> RenditionRequest:
    return dialect.parse("/".join(filter(None, ("_", options, source))), "", now=NOW)


def problems(options: str, source: str = "plain/a.jpg", dialect: Imgproxy = OPEN) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        ask(options, source, dialect)
    return [str(each) for each in caught.value.problems]


# Signatures ---------------------------------------------------------------------------------------


def test_the_documented_signature_matches() -> None:
    assert sign("/asd") == "oWaL7QoW5TsgbuiS9-5-DI8S3Ibbo1gdB2SteJh3a20"
    # The signature is valid; the source is not.
    with pytest.raises(InvalidRequest):
        SIGNED.parse("oWaL7QoW5TsgbuiS9-5-DI8S3Ibbo1gdB2SteJh3a20/asd", "", now=NOW)
    with pytest.raises(SignatureMismatch):
        SIGNED.parse("oWaL7QoW5TsgbuiS9-5-DI8S3Ibbo1gdB2SteJh3a21/asd", "", now=NOW)


def test_a_signature_is_truncated_before_encoding() -> None:
    path = "/rs:fill:300:200/plain/a.jpg"
    cut = Imgproxy(KEY, SALT, signature_bytes=8)
    assert cut.parse(sign(path, 8) + path, "", now=NOW).signed
    assert cut.matches(sign(path, 8) + path, "")
    assert not cut.matches(sign(path) + path, "")
    for signature in (sign(path), sign(path)[:11]):
        with pytest.raises(SignatureMismatch):
            cut.parse(signature + path, "", now=NOW)


def test_unsigned_urls() -> None:
    path = "rs:fill:300:200/plain/a.jpg"
    with pytest.raises(SignatureMissing):
        SIGNED.parse(f"insecure/{path}", "", now=NOW)
    assert not Imgproxy(KEY, SALT, unsafe=True).parse(f"insecure/{path}", "", now=NOW).signed
    with pytest.raises(SignatureMismatch):
        Imgproxy(KEY, SALT, unsafe=True).parse(f"{'A' * 43}/{path}", "", now=NOW)
    assert not OPEN.parse(f"{'A' * 43}/{path}", "", now=NOW).signed


@given(st.data())
def test_every_altered_byte_of_a_signed_url_is_forbidden(data: st.DataObject) -> None:
    path = f"/rs:fill:300:200/exp:1900000000/{b64('photos/a b.jpg')}.webp"
    url = sign(path) + path
    assert SIGNED.parse(url, "", now=NOW).signed
    at = data.draw(st.integers(0, len(url) - 1))
    other = data.draw(st.integers(0x21, 0x7E).map(chr).filter(lambda one: one != url[at]))
    with pytest.raises(Forbidden):
        SIGNED.parse(url[:at] + other + url[at + 1 :], "", now=NOW)


def test_an_expired_url_is_rejected() -> None:
    for option in ("exp:1799999999", "expires:1800000000"):
        with pytest.raises(SignatureExpired):
            ask(option)
        path = f"/{option}/w:x/plain/a.jpg"
        with pytest.raises(SignatureExpired):
            SIGNED.parse(sign(path) + path, "", now=NOW)
    assert ask("exp:1800000001") == RenditionRequest("a.jpg", expires=1_800_000_001)
    assert ask("exp:") == ask("") == RenditionRequest("a.jpg")
    assert problems("exp:soon")
    with pytest.raises(SignatureMismatch):  # nobody learns by guessing
        SIGNED.parse(f"{'A' * 43}/exp:1/plain/a.jpg", "", now=NOW)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (f"{'A' * 43}/rs:fill:300:200/plain/a.jpg", True),
        (f"{'A' * 43}/plain/a.jpg", True),
        (f"{'A' * 43}/{b64('a.jpg')}", True),
        (f"{'A' * 43}/{b64('a.jpg')}.png", True),
        ("insecure/w:300/plain/a.jpg", True),
        ("_/w%3A300/plain/a.jpg", True),
        ("unsafe/300x200/a.jpg", False),
        ("unsafe/fit-in/300x200/filters:blur(3)/a.jpg", False),
        ("AAAA/rs:fill:300:200/plain/a.jpg", False),
        ("photos/plain/cat.jpg", False),
        ("photos/cat.jpg/w=640,fm=webp.webp", False),
        ("insecure", False),
        ("", False),
    ],
)
def test_which_urls_match(path: str, *, meant: bool) -> None:
    assert bool(OPEN.matches(path, "")) is meant


# Sources ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "key", "format_"),
    [
        ("plain/photos/a.jpg", "photos/a.jpg", None),
        ("plain/photos/a.jpg@png", "photos/a.jpg", "png"),
        ("plain/photos%2Fa%40b%20%C3%A4.jpg@jpg", "photos/a@b ä.jpg", "jpeg"),
        ("plain/s3://photos/a.jpg@webp", "a.jpg", "webp"),
        ("plain/s3%3A%2F%2Fphotos%2Fa.jpg", "a.jpg", None),
        ("plain/local:///a.jpg", "a.jpg", None),
        ("plain/plain/w:3/a.jpg", "plain/w:3/a.jpg", None),
        (b64("photos/ä.jpg"), "photos/ä.jpg", None),
        (b64("photos/ä.jpg") + ".avif", "photos/ä.jpg", "avif"),
        (b64("s3://photos/b/c.jpg") + "==.png", "b/c.jpg", "png"),
        (b64("photos/abcdef.jpg")[:6] + "/" + b64("photos/abcdef.jpg")[6:], "photos/abcdef.jpg", None),
        ("plain/a.jpg@best", "a.jpg", AUTO),
    ],
)
def test_sources(source: str, key: str, format_: str | None) -> None:
    assert ask("", source) == RenditionRequest(key, format=format_)
    assert ask("w:3", source) == RenditionRequest(key, {"width": 3, "fit": Fit.INSIDE}, format=format_)


def test_urls_of_other_servers_are_rejected() -> None:
    for source in ("plain/http://other/a.jpg", "plain/https%3A%2F%2Fother%2Fa.jpg", b64("gs://other/a.jpg")):
        assert "for the source" in problems("", source)[0]
    for source in ("plain/s3://other/a.jpg", b64("s3://other/a.jpg")):
        with pytest.raises(BucketNotAllowed):
            ask("", source)


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ("w:300/h:200", {**BOX, "fit": Fit.INSIDE}),
        ("width:300/height:200", {**BOX, "fit": Fit.INSIDE}),
        ("s:300:200", {**BOX, "fit": Fit.INSIDE}),
        ("size:300:200:1", {**BOX, "fit": Fit.INSIDE, "enlarge": True}),
        ("rs:fill:300:200", {**BOX, "fit": Fit.COVER}),
        ("resize:fill-down:300:200:0", {**BOX, "fit": Fit.FILL_DOWN, "enlarge": False}),
        ("rs:force:300:200:t", {**BOX, "fit": Fit.FILL, "enlarge": True}),
        ("rt:fill/w:300/h:200/el:true", {**BOX, "fit": Fit.COVER, "enlarge": True}),
        ("rs::300:200", {**BOX, "fit": Fit.INSIDE}),
        ("rs:fill:1:2/w:300/h:200", {**BOX, "fit": Fit.COVER}),
        ("w:0/h:0", {}),
        ("rs:fill:300:200/g:noea:10:0.25",
         {**BOX, "fit": Fit.COVER, "gravity": Gravity.NORTHEAST,
          "gravity_x": 10, "gravity_y": RelativeLength(0.25)}),
        ("rs:fill:300:200/g:sm", {**BOX, "fit": Fit.COVER, "gravity": Gravity.ATTENTION}),
        ("rs:fill:300:200/g:obj:face", {**BOX, "fit": Fit.COVER, "gravity": Gravity.FACES}),
        ("rs:fill:300:200/g:fp:0.3:0.7", {**BOX, "fit": Fit.COVER, "focal_point": (0.3, 0.7)}),
        ("rs:fit:300:200:0:1", {**BOX, "fit": Fit.CONTAIN, "enlarge": False}),
        ("s:300:200/ex:1:so:0:5", {**BOX, "fit": Fit.CONTAIN, "gravity": Gravity.SOUTH, "gravity_x": 0,
                                   "gravity_y": 5}),
        ("min-width:30/mh:40", {"min_width": 30, "min_height": 40}),
        ("z:2", {"zoom": 2}),
        ("zoom:0.5:0.5", {"zoom": 0.5}),
        ("dpr:2", {"dpr": 2}),
        ("t:10", {"trim": 10}),
        ("trim:12.6:ff0000:0:0", {"trim": 13, "trim_colour": RED}),
        ("pd:10", {"padding": (10,) * 4}),
        ("padding:10:20", {"padding": (10, 20, 10, 20)}),
        ("pd:1:2:3:4", {"padding": (1, 2, 3, 4)}),
        ("pd:1:2::4", {"padding": (1, 2, 1, 4)}),
        ("ar:0", {"orient": False}),
        ("rot:-90", {"rotate": 270}),
        ("fl:1:0", {"flip": Flip.HORIZONTAL}),
        ("flip::1", {"flip": Flip.VERTICAL}),
        ("bg:ff0000", {"background": RED}),
        ("bg:255:0:0", {"background": RED}),
        ("background:", {}),
        ("bl:2.5", {"blur": 2.5}),
        ("bl:0", {}),
        ("sh:0.7", {"sharpen": (0.7, 1)}),
        ("pix:8", {"pixelate": 8}),
        ("pix:1", {}),
        ("q:80", {"quality": 80}),
        ("q:0", {}),
        ("mb:20000", {"max_bytes": 20000, "soft_limit": True}),
        ("a:51:1.2:0.5", {"brightness": 20, "contrast": 20, "saturation": -50}),
        ("br:-255", {"brightness": -100}),
        ("pg:2", {"frame": 3}),
        ("da:1", {"frame": 1}),
        ("sm:1/scp:0/kcr:0/cb:anything:at:all/eth:1/ra:cubic", {}),
        ("W%3A3".lower(), {"width": 3, "fit": Fit.INSIDE}),
        ("w:1/w:3", {"width": 3, "fit": Fit.INSIDE}),
    ],
)  # fmt: skip
def test_options(options: str, values: dict[str, Any]) -> None:
    assert replace(ask(options), geometry=None) == RenditionRequest("a.jpg", values)
    Transformation(**ask(options).values)


def test_what_depends_on_the_original() -> None:
    assert ask("rs:auto:300:200") == RenditionRequest("a.jpg", BOX, sizing=SizingRule.FILL_OR_FIT)
    for options in (
        "rs:force:300:0",
        "dpr:2",
        "z:2:1",
        "mw:5",
        "ex:1/w:5",
        "exar:1",
        "rot:90/c:5:5",
        "c:5:5:sm",
    ):
        assert ask(options).geometry is not None
    for options in ("rs:fill:300:200", "rs:fit:5:5:0:1", "c:5:5", "pd:3", "t:10", "pr:card/dpr:2"):
        assert ask(options).geometry is None


def test_presets_are_expanded_where_they_stand() -> None:
    presets = {
        "default": [["q", "50"], ["w", "10"]],
        "one": [["w", "20"], ["pr", "two"]],
        "two": [["h", "30"], ["pr", "one"]],
    }
    dialect = Imgproxy(presets=presets)
    assert ask("", dialect=dialect).values == {"quality": 50, "width": 10, "fit": Fit.INSIDE}
    assert ask("pr:one/w:40", dialect=dialect).values["width"] == 40
    assert ask("w:40/pr:one", dialect=dialect).values["width"] == 20
    assert ask("pr:one:two", dialect=dialect).values["height"] == 30
    assert ask("pr:card", dialect=dialect).preset == "card"


def test_presets_and_the_watermark_come_from_settings(tmp_path: Path) -> None:
    file = tmp_path / "presets"
    file.write_text("# comment\nsmall=rs:fill:10:10/q:60\nboth=w:1\n")
    variables = {
        "IMAGE_PROCESSOR_DIALECTS": "imgproxy",
        "IMAGE_PROCESSOR_IMGPROXY_PRESETS": "both=w:2, mark=wm:0.5",
        "IMAGE_PROCESSOR_IMGPROXY_PRESETS_PATH": str(file),
        "IMAGE_PROCESSOR_IMGPROXY_WATERMARK": "logos/a.png",
    }
    (dialect,) = build_dialects(from_environment(variables))
    assert isinstance(dialect, Imgproxy)
    assert ask("pr:small", dialect=dialect).values["quality"] == 60
    assert ask("pr:both", dialect=dialect).values["width"] == 2
    (overlay,) = ask("pr:mark", dialect=dialect).values["overlays"]
    assert (overlay.image, overlay.opacity) == ("logos/a.png", 50)


@pytest.mark.parametrize("text", ["", "small", "=w:1", "small=", "missing-file"])
def test_presets_that_cannot_be_read_are_an_error(text: str) -> None:
    for name in ("PRESETS", "PRESETS_PATH"):
        if text == "":
            continue
        with pytest.raises(InvalidSettings, match=f"IMGPROXY_{name}"):
            from_environment({f"IMAGE_PROCESSOR_IMGPROXY_{name}": text})


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ("c:400:300", CropSpec(400, 300)),
        ("crop:0.5:0", CropSpec(RelativeLength(0.5), None)),
        ("c:400:300:nowe:10:20", CropSpec(400, 300, Gravity.NORTHWEST, 10, 20)),
        ("c:400:300:fp:0.1:0.2", CropSpec(400, 300, focal_point=(0.1, 0.2))),
        ("c:400:300/g:so", CropSpec(400, 300, Gravity.SOUTH)),
        ("c:400:300:ce/g:sm", CropSpec(400, 300)),
        ("c:0:0", None),
    ],
)
def test_crop_options(options: str, cut: CropSpec | None) -> None:
    assert ask(options).crop == cut


def test_options_beside_the_transformation() -> None:
    assert ask("f:jpg").format == "jpeg"
    assert ask("ext:webp", "plain/a.jpg@png").format == "png"
    assert ask("fq:jpeg:70:avif:50:jpg:60").qualities == {"jpeg": 60, "avif": 50}
    assert ask("pr:card").preset == "card"
    # A preset keeps its own fit.
    assert ask("preset:card/w:300") == RenditionRequest("a.jpg", {"width": 300}, preset="card")
    assert ask("rs:fit:300/pr:card").values == {"width": 300, "fit": Fit.INSIDE}
    asked = ask(f"fn:{b64('ä b')}:1/att:1")
    assert (asked.filename, asked.attachment) == ("ä b", True)
    assert ask("filename:a%20b.jpg").filename == "a b.jpg"


@pytest.mark.parametrize(
    ("options", "overlay"),
    [
        (f"wm:0.5:soea:10:20/wmu:{b64('logos/a.png')}",
         ImageOverlay(image="logos/a.png", opacity=50, gravity=Gravity.SOUTHEAST, x=10, y=20)),
        (
            f"wm:1::0.1/watermark_url:{b64('s3://photos/a.png')}",
            ImageOverlay(image="a.png", x=RelativeLength(0.1)),
        ),
        (f"wm:1:ce:::0.25/wmu:{b64('a.png')}",
         ImageOverlay(image="a.png", width=RelativeLength(0.25), height=RelativeLength(0.25))),
        (f"wm:1:re:20/wmu:{b64('a.png')}/wms:30:0",
         ImageOverlay(image="a.png", tile=True, gap=20, gravity=Gravity.NORTHWEST, width=30)),
        (f"wm:1:no/wmt:{b64('Hello')}/wmr:45",
         TextOverlay(text="Hello", size=16, colour=BLACK, gravity=Gravity.NORTH, rotate=45)),
    ],
)  # fmt: skip
def test_watermarks(options: str, overlay: ImageOverlay | TextOverlay) -> None:
    assert ask(options).values == {"overlays": (overlay,)}


def test_no_watermark_is_none() -> None:
    assert ask("wm:0").values == ask(f"wmu:{b64('a.png')}").values == {}


# Unsupported operations ----------------------------------------------------------------------------------


def test_all_problems_are_reported_with_their_options() -> None:
    assert problems("rs:squeeze:-1:x/q:250/bd:3/rot:45/f:doc", "plain/../a.jpg") == [
        "expected an option of docs/dialects.md for bd, got 'bd:3'",
        "expected fit, fill, fill-down, force or auto for resizing_type, got 'squeeze'",
        "expected a whole number from 0 to 16383 for width, got '-1'",
        "expected a whole number from 0 to 16383 for height, got 'x'",
        "expected a whole number from 0 to 100 for quality, got '250'",
        "expected a multiple of 90 degrees for rotate, got '45'",
        (
            "expected one of jpg, jpeg, png, webp, avif, gif, tiff, apng, avifs, best, auto for format, "
            "got 'doc'"
        ),
        "expected a key inside the bucket's root for the source, got '../a.jpg'",
    ]


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ("rs:fit:300:200:0:1:sm", "plain/a.jpg"),
        ("g:nn", "plain/a.jpg"),
        ("g:obj:cat", "plain/a.jpg"),
        ("g:fp:2:0", "plain/a.jpg"),
        ("c:300:200/t:10", "plain/a.jpg"),
        ("c:-1:3", "plain/a.jpg"),
        ("t:x", "plain/a.jpg"),
        ("bg:nocolour", "plain/a.jpg"),
        ("bg:1:2:300", "plain/a.jpg"),
        ("fq:jpeg", "plain/a.jpg"),
        ("fq:jpeg:0", "plain/a.jpg"),
        ("pr:a:b", "plain/a.jpg"),
        ("pr:", "plain/a.jpg"),
        ("skp:doc", "plain/a.jpg"),
        ("exar:1:sm", "plain/a.jpg"),
        ("pd:1:2:3:4:5", "plain/a.jpg"),
        ("dpr:0", "plain/a.jpg"),
        ("wm:1", "plain/a.jpg"),
        ("wm:2", "plain/a.jpg"),
        (f"wm:1:ch/wmu:{b64('a.png')}", "plain/a.jpg"),
        ("wm:1/wmu:!", "plain/a.jpg"),
        ("s:1:2:3:4:5:6:7", "plain/a.jpg"),
        ("a:1:1:1:1", "plain/a.jpg"),
        ("fn:%07", "plain/a.jpg"),
        ("w:%FF", "plain/a.jpg"),
        ("w:" + "9" * 5000, "plain/a.jpg"),
        ("", "plain/"),
        ("", "plain/%FF"),
        ("", "plain/a.jpg@doc"),
        ("", "enc/AAAA"),
        ("", "a"),
        ("", "%2F"),
        ("", "_w"),
        ("cb:" + "x" * 9000, "plain/a.jpg"),
    ],
)
def test_unsupported_operations_are_rejected(options: str, source: str) -> None:
    assert problems(options, source)


def test_lenient_ignores_unsupported_operations() -> None:
    lenient = Imgproxy(lenient=True)
    assert ask("bd:3/raw:1/z:1:2/wm:1/sm:0/gr:1/q:9", dialect=lenient).values == {"quality": 9}
    assert problems("q:250", dialect=lenient)


def test_repr_hides_key_and_salt() -> None:
    assert "test" not in repr(SIGNED)


# Properties ---------------------------------------------------------------------------------------

WORDS = """plain/ rs: w: h: g: c: t: pd: rot: fl: bg: bl: sh: pix: wm: wmu: wmt: wms: wmr: q: fq: mb: f: z:
dpr: s: a: pr: exp: fn: att: ex: el: ar: sm: pg: fill fit auto force 300 0 1 -1 0.5 1e9 ce noea fp sm obj
face re jpeg : : / / / ff0000 %FF aGk"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=25).map("".join), st.booleans())
def test_random_combinations_raise_expected_errors_only(options: str, lenient: Any) -> None:
    try:
        asked = ask(options, dialect=Imgproxy(lenient=lenient))
    except (Invalid, Forbidden):
        return
    with contextlib.suppress(Invalid):  # such as sides that become too long by dpr
        assert Transformation(**asked.values)


@given(st.text(max_size=60), st.text(max_size=10))
@example("\ud800", "")
@example("w:\ud800/plain/a", "")
@example("plain/\ud800", "")
@example("w:\u0663/plain/a", "")
def test_arbitrary_text_raises_expected_errors_only(text: str, query: str) -> None:
    for dialect in (OPEN, SIGNED):
        for path in (text, f"_/{text}", f"_/plain/{text}", f"{'A' * 43}/{text}"):
            dialect.matches(path, query)
            with contextlib.suppress(Invalid, Forbidden):
                assert dialect.parse(path, query, now=NOW).key


@given(
    st.permutations(["rs:fill:300:200", "q:77", "bl:3", "bg:ff0000", "g:we", "el:1"]),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
)
def test_known_urls_are_parsed_as_expected(options: list[str], plain: Any, name: str) -> None:
    key = "k/" + name.replace("..", "__")
    source = "plain/" + "".join(f"%{byte:02X}" for byte in key.encode()) if plain else b64(key)
    expected = {**BOX, "fit": Fit.COVER, "quality": 77, "blur": 3, "background": RED, "enlarge": True}
    west = {"gravity": Gravity.WEST, "gravity_x": 0, "gravity_y": 0}
    path = f"/{'/'.join(options)}/{source}@webp" if plain else f"/{'/'.join(options)}/{source}.webp"
    asked = SIGNED.parse(sign(path) + path, "", now=NOW)
    assert asked == RenditionRequest(key, {**expected, **west}, "webp", signed=True)
