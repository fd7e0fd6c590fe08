"""Dialects: DIT's edits, which have sharp's names and values, as fields of a transformation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, plain
from image_processor.domain.formats import WRITABLE
from image_processor.domain.transformation import BLACK, Edge, Fit, Flip, Gravity, Subsampling

from . import tone as dit_tone
from .overlay import overlay
from .values import absent, amount, colour, flag, inner, pixels, position, word

_LONGEST = 16_383
_OUTPUTS = (*WRITABLE, "jpg", "heif", "raw")
_SUBSAMPLING = {"4:2:0": Subsampling.HALF, "4:4:4": Subsampling.FULL}
_HIGHEST_EFFORT = {"webp": 6}


def apply(edits: Mapping[str, Any], output: Any, effort: Any, builder: RequestBuilder) -> None:
    """Put what ``edits`` mean into ``builder``, with the output format and effort beside them."""
    for name, value in edits.items():
        read = EDITS.get(name) or dit_tone.EDITS.get(name)
        if name in _OUTPUTS:
            _encoder(name, value, builder)
        elif read is not None:
            read(value, builder)
        else:
            builder.lacks(name)
    _cut_later(edits, builder)
    _mirrored(edits, builder)
    _circle(builder)
    for wanted in (output, edits.get("toFormat")):
        if wanted is not None:
            builder.written(wanted if isinstance(wanted, str) else repr(wanted), "toFormat")
    if effort is not None:
        _effort("webp", effort, "effort", builder)


def _resize(value: Any, builder: RequestBuilder) -> None:
    given = inner(value, "resize", builder)
    sides = [
        side for side in ("width", "height") if not (absent(given.get(side)) or word(given[side]) == "0")
    ]
    for side in sides:
        pixels(given[side], side, f"resize.{side}", builder)
    fit = _fit(given.get("fit"), builder)
    if sides:
        builder.values["fit"] = fit
        builder.values["enlarge"] = not flag(
            given.get("withoutEnlargement"), "resize.withoutEnlargement", builder
        )
    background = given.get("background")
    if background is not None:
        found = colour(background, "resize.background", builder)
        builder.values.update({} if found is None else {"background": found})
    elif fit is Fit.CONTAIN and len(sides) == 2 and "background" not in builder.values:
        builder.values["background"] = BLACK
    for name in ("position", "gravity"):
        if given.get(name) is not None:
            _position(given[name], f"resize.{name}", builder)
    ratio = given.get("ratio")
    if ratio is not None:
        zoom = amount(ratio, "resize.ratio", 0.01, 100, builder)
        builder.values.update({} if zoom is None else {"zoom": zoom})
    _unused(given, builder)


def _unused(given: Mapping[str, Any], builder: RequestBuilder) -> None:
    if flag(given.get("withoutReduction"), "resize.withoutReduction", builder):
        builder.lacks("resize.withoutReduction", "false, as pictures are always made smaller here")
    if word(given.get("kernel"), "lanczos3") not in {"lanczos3", "lanczos2", "cubic", "mitchell"}:
        builder.lacks("resize.kernel", "lanczos3", given["kernel"])
    known = "width height fit position gravity background withoutEnlargement withoutReduction ratio kernel"
    for name in given.keys() - {*known.split(), "fastShrinkOnLoad"}:
        builder.lacks(f"resize.{name}")


def _fit(value: Any, builder: RequestBuilder) -> Fit:
    if value is None:
        return Fit.COVER
    names = [fit for fit in Fit if fit is not Fit.FILL_DOWN]
    if value in names:
        return Fit(value)
    builder.wrong("resize.fit", " | ".join(names), value)
    return Fit.COVER


def _position(value: Any, name: str, builder: RequestBuilder) -> None:
    gravity = position(value)
    if gravity is None:
        builder.wrong(
            name, "a side such as right top, a gravity such as northeast, entropy or attention", value
        )
    else:
        builder.values["gravity"] = Gravity(gravity)


def _extract(name: str) -> Callable[[Any, RequestBuilder], None]:
    def read(value: Any, builder: RequestBuilder) -> None:
        given = inner(value, name, builder)
        numbers = [
            amount(given.get(side), f"{name}.{side}", low, 10**6, builder)
            for side, low in (("left", 0), ("top", 0), ("width", 1), ("height", 1))
        ]
        if None not in numbers:
            builder.put("region", tuple(round(number or 0) for number in numbers), name)

    return read


def _cut_later(edits: Mapping[str, Any], builder: RequestBuilder) -> None:
    """sharp cuts out of what is resized where that is said first."""
    order = list(edits)
    for name in ("extract", "crop"):
        if name in edits and "resize" in edits and order.index(name) > order.index("resize"):
            builder.lacks(name, "it before resize, as it is cut out of the original here", edits[name])


def _rotate(value: Any, builder: RequestBuilder) -> None:
    if value is None:
        return
    degrees = amount(value, "rotate", -100_000, 100_000, builder)
    if degrees is not None:
        builder.values["rotate"] = plain(degrees % 360)


def _mirrored(edits: Mapping[str, Any], builder: RequestBuilder) -> None:
    """`flip` is top to bottom and `flop` left to right. sharp mirrors before it turns, we after."""
    down, across = flag(edits.get("flip"), "flip", builder), flag(edits.get("flop"), "flop", builder)
    if not (down or across):
        return
    builder.values["flip"] = Flip(("h" if across else "") + ("v" if down else ""))
    if down != across and builder.values.get("rotate"):
        builder.values["rotate"] = plain(-builder.values["rotate"] % 360)


def _extend(value: Any, builder: RequestBuilder) -> None:
    names = ("top", "right", "bottom", "left")
    given = inner(value, "extend", builder) if isinstance(value, dict) else dict.fromkeys(names, value)
    sides = [amount(given.get(side, 0), f"extend.{side}", 0, _LONGEST, builder) for side in names]
    if None not in sides:
        builder.values["padding"] = tuple(round(side or 0) for side in sides)
    background = given.get("background")
    # sharp's own is black.
    found = BLACK if background is None else colour(background, "extend.background", builder)
    kind = word(given.get("extendWith"), "background")
    if kind in {"copy", "repeat", "mirror", "background"}:
        builder.values["edge"] = Edge(kind)
    else:
        builder.wrong("extend.extendWith", "background | copy | repeat | mirror", kind)
    if found is not None and kind == "background":
        builder.values["background"] = found


def _trim(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    given = {} if value is True else value if isinstance(value, dict) else {"threshold": value}
    threshold = amount(given.get("threshold", 10), "trim.threshold", 0, 255, builder)
    if threshold is not None:
        builder.values["trim"] = round(threshold)
    if given.get("background") is not None:
        found = colour(given["background"], "trim.background", builder)
        builder.values.update({} if found is None else {"trim_colour": found})
    for name in given.keys() - {"threshold", "background"}:
        builder.lacks(f"trim.{name}")


def _smart_crop(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    if value is not True and value != {}:
        builder.lacks("smartCrop", "true, as no face is chosen here and none gets a border", value)
    builder.values["gravity"] = Gravity.FACES


def _round_crop(value: Any, builder: RequestBuilder) -> None:
    """A circle in the middle, as large as it fits; what is around it is cut off."""
    if value is False:
        return
    if value is not True and value != {}:
        builder.lacks("roundCrop", "true, as the circle always lies in the middle here", value)
    builder.values["ellipse"] = True


def _circle(builder: RequestBuilder) -> None:
    if not builder.values.get("ellipse"):
        return
    sides = [builder.values[side] for side in ("width", "height") if side in builder.values]
    if not sides:
        builder.values |= {"ratio": Fraction(1), "fit": Fit.COVER}
    elif len(sides) == 1 or sides[0] != sides[1] or builder.values["fit"] is not Fit.COVER:
        builder.lacks("roundCrop", "a resize that covers a box of equal sides, or none", sides)


def _encoder(name: str, value: Any, builder: RequestBuilder) -> None:
    """sharp writes the format whose options were given, unless another one is asked for."""
    given = inner(value, name, builder)
    builder.written(name, name)
    format_ = "jpeg" if name == "jpg" else name
    for option, one in given.items():
        where = f"{name}.{option}"
        if option == "quality":
            quality = amount(one, where, 1, 100, builder)
            builder.qualities.update({} if quality is None else {format_: round(quality)})
        elif option in {"progressive", "lossless", "mozjpeg"}:
            builder.values["optimise" if option == "mozjpeg" else option] = flag(one, where, builder)
        elif option == "effort":
            _effort(format_, one, where, builder)
        elif option in {"colours", "colors"}:
            colours = amount(one, where, 2, 256, builder)
            builder.values.update({} if colours is None else {"colours": round(colours)})
        elif option == "chromaSubsampling" and word(one) in _SUBSAMPLING:
            builder.values["subsampling"] = _SUBSAMPLING[one]
        else:
            builder.lacks(where, got=one)


def _effort(format_: str, value: Any, name: str, builder: RequestBuilder) -> None:
    """On our scale of 0-9; sharp's ends where the encoder's does."""
    highest = _HIGHEST_EFFORT.get(format_, 9)
    effort = amount(value, name, 0, max(highest, 9) + 1, builder)
    if effort is not None:
        builder.values["effort"] = min(9, round(effort * 9 / highest))


def _quality(value: Any, builder: RequestBuilder) -> None:
    quality = amount(value, "quality", 1, 100, builder)
    builder.values.update({} if quality is None else {"quality": round(quality)})


def _animated(value: Any, builder: RequestBuilder) -> None:
    if not flag(value, "animated", builder):
        builder.values["frame"] = 1


def _nothing(value: Any, builder: RequestBuilder) -> None:
    """Done anyway, or somewhere else."""
    del value, builder


EDITS: dict[str, Callable[[Any, RequestBuilder], None]] = {
    "animated": _animated,
    "crop": _extract("crop"),
    "extend": _extend,
    "extract": _extract("extract"),
    "flip": _nothing,
    "flop": _nothing,
    "overlayWith": overlay,
    "quality": _quality,
    "resize": _resize,
    "rotate": _rotate,
    "roundCrop": _round_crop,
    "smartCrop": _smart_crop,
    "stripExif": _nothing,
    "stripIcc": _nothing,
    "toFormat": _nothing,
    "trim": _trim,
}
