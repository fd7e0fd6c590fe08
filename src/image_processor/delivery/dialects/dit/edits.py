"""Dialects: DIT's edits, which have sharp's names and values, as fields of a transformation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from image_processor.delivery.dialects.request_builder import Draft, plain
from image_processor.domain.formats import WRITABLE
from image_processor.domain.transformation import BLACK, Edge, Fit, Flip, Gravity, Subsampling

from . import tone as dit_tone
from .overlay import overlay
from .values import absent, amount, colour, flag, inner, pixels, position, word

_LONGEST = 16_383
_OUTPUTS = (*WRITABLE, "jpg", "heif", "raw")
_SUBSAMPLING = {"4:2:0": Subsampling.HALF, "4:4:4": Subsampling.FULL}
_HIGHEST_EFFORT = {"webp": 6}


def apply(edits: Mapping[str, Any], output: Any, effort: Any, draft: Draft) -> None:
    """Put what ``edits`` mean into ``draft``, with the output format and effort beside them."""
    for name, value in edits.items():
        read = EDITS.get(name) or dit_tone.EDITS.get(name)
        if name in _OUTPUTS:
            _encoder(name, value, draft)
        elif read is not None:
            read(value, draft)
        else:
            draft.lacks(name)
    _cut_later(edits, draft)
    _mirrored(edits, draft)
    _circle(draft)
    for wanted in (output, edits.get("toFormat")):
        if wanted is not None:
            draft.written(wanted if isinstance(wanted, str) else repr(wanted), "toFormat")
    if effort is not None:
        _effort("webp", effort, "effort", draft)


def _resize(value: Any, draft: Draft) -> None:
    given = inner(value, "resize", draft)
    sides = [
        side for side in ("width", "height") if not (absent(given.get(side)) or word(given[side]) == "0")
    ]
    for side in sides:
        pixels(given[side], side, f"resize.{side}", draft)
    fit = _fit(given.get("fit"), draft)
    if sides:
        draft.values["fit"] = fit
        draft.values["enlarge"] = not flag(
            given.get("withoutEnlargement"), "resize.withoutEnlargement", draft
        )
    background = given.get("background")
    if background is not None:
        found = colour(background, "resize.background", draft)
        draft.values.update({} if found is None else {"background": found})
    elif fit is Fit.CONTAIN and len(sides) == 2 and "background" not in draft.values:
        draft.values["background"] = BLACK
    for name in ("position", "gravity"):
        if given.get(name) is not None:
            _position(given[name], f"resize.{name}", draft)
    ratio = given.get("ratio")
    if ratio is not None:
        zoom = amount(ratio, "resize.ratio", 0.01, 100, draft)
        draft.values.update({} if zoom is None else {"zoom": zoom})
    _unused(given, draft)


def _unused(given: Mapping[str, Any], draft: Draft) -> None:
    if flag(given.get("withoutReduction"), "resize.withoutReduction", draft):
        draft.lacks("resize.withoutReduction", "false, as pictures are always made smaller here")
    if word(given.get("kernel"), "lanczos3") not in {"lanczos3", "lanczos2", "cubic", "mitchell"}:
        draft.lacks("resize.kernel", "lanczos3", given["kernel"])
    known = "width height fit position gravity background withoutEnlargement withoutReduction ratio kernel"
    for name in given.keys() - {*known.split(), "fastShrinkOnLoad"}:
        draft.lacks(f"resize.{name}")


def _fit(value: Any, draft: Draft) -> Fit:
    if value is None:
        return Fit.COVER
    names = [fit for fit in Fit if fit is not Fit.FILL_DOWN]
    if value in names:
        return Fit(value)
    draft.wrong("resize.fit", " | ".join(names), value)
    return Fit.COVER


def _position(value: Any, name: str, draft: Draft) -> None:
    gravity = position(value)
    if gravity is None:
        draft.wrong(
            name, "a side such as right top, a gravity such as northeast, entropy or attention", value
        )
    else:
        draft.values["gravity"] = Gravity(gravity)


def _extract(name: str) -> Callable[[Any, Draft], None]:
    def read(value: Any, draft: Draft) -> None:
        given = inner(value, name, draft)
        numbers = [
            amount(given.get(side), f"{name}.{side}", low, 10**6, draft)
            for side, low in (("left", 0), ("top", 0), ("width", 1), ("height", 1))
        ]
        if None not in numbers:
            draft.put("region", tuple(round(number or 0) for number in numbers), name)

    return read


def _cut_later(edits: Mapping[str, Any], draft: Draft) -> None:
    """sharp cuts out of what is resized where that is said first."""
    order = list(edits)
    for name in ("extract", "crop"):
        if name in edits and "resize" in edits and order.index(name) > order.index("resize"):
            draft.lacks(name, "it before resize, as it is cut out of the original here", edits[name])


def _rotate(value: Any, draft: Draft) -> None:
    if value is None:
        return
    degrees = amount(value, "rotate", -100_000, 100_000, draft)
    if degrees is not None:
        draft.values["rotate"] = plain(degrees % 360)


def _mirrored(edits: Mapping[str, Any], draft: Draft) -> None:
    """`flip` is top to bottom and `flop` left to right. sharp mirrors before it turns, we after."""
    down, across = flag(edits.get("flip"), "flip", draft), flag(edits.get("flop"), "flop", draft)
    if not (down or across):
        return
    draft.values["flip"] = Flip(("h" if across else "") + ("v" if down else ""))
    if down != across and draft.values.get("rotate"):
        draft.values["rotate"] = plain(-draft.values["rotate"] % 360)


def _extend(value: Any, draft: Draft) -> None:
    names = ("top", "right", "bottom", "left")
    given = inner(value, "extend", draft) if isinstance(value, dict) else dict.fromkeys(names, value)
    sides = [amount(given.get(side, 0), f"extend.{side}", 0, _LONGEST, draft) for side in names]
    if None not in sides:
        draft.values["padding"] = tuple(round(side or 0) for side in sides)
    background = given.get("background")
    # sharp's own is black.
    found = BLACK if background is None else colour(background, "extend.background", draft)
    kind = word(given.get("extendWith"), "background")
    if kind in {"copy", "repeat", "mirror", "background"}:
        draft.values["edge"] = Edge(kind)
    else:
        draft.wrong("extend.extendWith", "background | copy | repeat | mirror", kind)
    if found is not None and kind == "background":
        draft.values["background"] = found


def _trim(value: Any, draft: Draft) -> None:
    if value is False:
        return
    given = {} if value is True else value if isinstance(value, dict) else {"threshold": value}
    threshold = amount(given.get("threshold", 10), "trim.threshold", 0, 255, draft)
    if threshold is not None:
        draft.values["trim"] = round(threshold)
    if given.get("background") is not None:
        found = colour(given["background"], "trim.background", draft)
        draft.values.update({} if found is None else {"trim_colour": found})
    for name in given.keys() - {"threshold", "background"}:
        draft.lacks(f"trim.{name}")


def _smart_crop(value: Any, draft: Draft) -> None:
    if value is False:
        return
    if value is not True and value != {}:
        draft.lacks("smartCrop", "true, as no face is chosen here and none gets a border", value)
    draft.values["gravity"] = Gravity.FACES


def _round_crop(value: Any, draft: Draft) -> None:
    """A circle in the middle, as large as it fits; what is around it is cut off."""
    if value is False:
        return
    if value is not True and value != {}:
        draft.lacks("roundCrop", "true, as the circle always lies in the middle here", value)
    draft.values["ellipse"] = True


def _circle(draft: Draft) -> None:
    if not draft.values.get("ellipse"):
        return
    sides = [draft.values[side] for side in ("width", "height") if side in draft.values]
    if not sides:
        draft.values |= {"ratio": Fraction(1), "fit": Fit.COVER}
    elif len(sides) == 1 or sides[0] != sides[1] or draft.values["fit"] is not Fit.COVER:
        draft.lacks("roundCrop", "a resize that covers a box of equal sides, or none", sides)


def _encoder(name: str, value: Any, draft: Draft) -> None:
    """sharp writes the format whose options were given, unless another one is asked for."""
    given = inner(value, name, draft)
    draft.written(name, name)
    format_ = "jpeg" if name == "jpg" else name
    for option, one in given.items():
        where = f"{name}.{option}"
        if option == "quality":
            quality = amount(one, where, 1, 100, draft)
            draft.qualities.update({} if quality is None else {format_: round(quality)})
        elif option in {"progressive", "lossless", "mozjpeg"}:
            draft.values["optimise" if option == "mozjpeg" else option] = flag(one, where, draft)
        elif option == "effort":
            _effort(format_, one, where, draft)
        elif option in {"colours", "colors"}:
            colours = amount(one, where, 2, 256, draft)
            draft.values.update({} if colours is None else {"colours": round(colours)})
        elif option == "chromaSubsampling" and word(one) in _SUBSAMPLING:
            draft.values["subsampling"] = _SUBSAMPLING[one]
        else:
            draft.lacks(where, got=one)


def _effort(format_: str, value: Any, name: str, draft: Draft) -> None:
    """On our scale of 0-9; sharp's ends where the encoder's does."""
    highest = _HIGHEST_EFFORT.get(format_, 9)
    effort = amount(value, name, 0, max(highest, 9) + 1, draft)
    if effort is not None:
        draft.values["effort"] = min(9, round(effort * 9 / highest))


def _quality(value: Any, draft: Draft) -> None:
    quality = amount(value, "quality", 1, 100, draft)
    draft.values.update({} if quality is None else {"quality": round(quality)})


def _animated(value: Any, draft: Draft) -> None:
    if not flag(value, "animated", draft):
        draft.values["frame"] = 1


def _nothing(value: Any, draft: Draft) -> None:
    """Done anyway, or somewhere else."""
    del value, draft


EDITS: dict[str, Callable[[Any, Draft], None]] = {
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
