"""Dialects: thumbor's filters, each a function that puts what it means into a `Draft`.

docs/dialects.md tells for each how its numbers become ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from image_processor.delivery.dialects.filter_parser import Call
from image_processor.delivery.dialects.request_builder import Draft, clamped, plain
from image_processor.delivery.dialects.rotation import turned_last
from image_processor.delivery.dialects.watermark import laid, place, share
from image_processor.domain.transformation import Edge, Fit, ImageOverlay

_FOCAL = re.compile(r"([0-9]{1,9})x([0-9]{1,9}):([0-9]{1,9})x([0-9]{1,9})")
_MOST_SIGMA = 250
_LEAST_SIGMA = 0.3
"""A blur of less changes nothing that could be seen."""

Read = Callable[[Sequence[str], Draft], None]


def apply(calls: Sequence[Call], draft: Draft) -> None:
    """Put what each of ``calls`` means into ``draft``. Their order means nothing but among overlays."""
    for call in calls:
        row = FILTERS.get(call.name)
        if row is None:
            draft.lacks(call.name, "one of " + ", ".join(sorted(FILTERS)), call.text)
            continue
        least, most, form, read = row
        given = () if call.arguments == ("",) else call.arguments
        if least <= len(given) <= most:
            read(given, draft)
        else:
            draft.wrong(call.name, f"{call.name}({form})", call.text)
    turned_last(draft)


def _quality(given: Sequence[str], draft: Draft) -> None:
    value = draft.whole(given[0], "quality", 1, 100)
    if value is not None:
        draft.values["quality"] = value


def _format(given: Sequence[str], draft: Draft) -> None:
    draft.written(given[0], "format")


def _autojpg(given: Sequence[str], draft: Draft) -> None:
    if not given or draft.flag(given[0], "autojpg"):
        draft.written("auto", "autojpg", automatic=("auto",))


def _max_bytes(given: Sequence[str], draft: Draft) -> None:
    value = draft.whole(given[0], "max_bytes", 100, 100_000_000)
    if value is not None:
        draft.values["max_bytes"] = value


def _background(given: Sequence[str], draft: Draft) -> None:
    colour = draft.colour(given[0], "background_color")
    if colour is not None:
        draft.values["background"] = colour


def _fill(given: Sequence[str], draft: Draft) -> None:
    if len(given) > 1:
        draft.flag(given[1], "fill")
    if given[0] == "auto":
        draft.lacks("fill", "a colour, transparent or blur", "auto")
        return
    if given[0] == "blur":
        draft.values["edge"] = Edge.BLUR
    elif given[0] != "transparent":
        colour = draft.colour(given[0], "fill")
        if colour is not None:
            draft.values["background"] = colour
    if draft.values.get("fit") is Fit.INSIDE:
        draft.values["fit"] = Fit.CONTAIN


def _blur(given: Sequence[str], draft: Draft) -> None:
    radius = draft.number(given[0], "blur", 0, _MOST_SIGMA)
    sigma = draft.number(given[1], "blur", 0, _MOST_SIGMA) if len(given) > 1 else radius
    if sigma is not None and sigma >= _LEAST_SIGMA:
        draft.values["blur"] = sigma


def _sharpen(given: Sequence[str], draft: Draft) -> None:
    amount, radius = draft.number(given[0], "sharpen", 0, 10), draft.number(given[1], "sharpen", 0, 10)
    if len(given) > 2:
        draft.flag(given[2], "sharpen")
    if amount and radius:
        draft.values["sharpen"] = (clamped(radius, 0.1, 10), clamped(amount, 0.1, 10))


def _percent(name: str) -> Read:
    def read(given: Sequence[str], draft: Draft) -> None:
        value = draft.number(given[0], name, -100, 100)
        if value is not None:
            draft.values[name] = value

    return read


def _saturation(given: Sequence[str], draft: Draft) -> None:
    factor = draft.number(given[0], "saturation", 0, 2)
    if factor is not None:
        draft.values["saturation"] = plain(100 * factor - 100)


def _switch(field: str) -> Read:
    def read(given: Sequence[str], draft: Draft) -> None:
        del given
        draft.values[field] = True

    return read


def _rgb(given: Sequence[str], draft: Draft) -> None:
    amounts = {draft.number(text, "rgb", -100, 100) for text in given}
    if None in amounts:
        return
    if len(amounts) > 1:
        draft.lacks("rgb", "three equal amounts, as no channel is changed alone here", ",".join(given))
        return
    draft.values["brightness"] = amounts.pop()


def _rotate(given: Sequence[str], draft: Draft) -> None:
    degrees = draft.number(given[0], "rotate", -100_000, 100_000)
    if degrees is not None:
        draft.values["rotate"] = plain(-degrees % 360)


def _round_corner(given: Sequence[str], draft: Draft) -> None:
    radii = {draft.whole(text, "round_corner", 0, 16_383) for text in given[0].split("|")}
    channels = [draft.whole(text, "round_corner", 0, 255) for text in given[1:4]]
    clear = draft.flag(given[4], "round_corner") if len(given) > 4 else False
    if None in radii or None in channels or clear is None:
        return
    if len(radii) > 1:
        draft.lacks("round_corner", "one radius", given[0])
        return
    draft.put("round", (radii.pop(),) * 4, "round_corner")
    if not clear:
        colour = draft.colour("".join(f"{channel or 0:02x}" for channel in channels), "round_corner")
        draft.values["background"] = colour


def _convolution(given: Sequence[str], draft: Draft) -> None:
    numbers = [draft.number(text, "convolution", -1000, 1000) for text in given[0].split(";")]
    columns = draft.whole(given[1], "convolution", 1, 1000)
    scaled = draft.flag(given[2], "convolution") if len(given) > 2 else True
    if None in numbers or columns is None or scaled is None:
        return
    if len(numbers) != columns**2 or columns not in {3, 5}:
        draft.lacks("convolution", "3 or 5 columns and as many rows", given[0])
    elif not scaled and plain(sum(number or 0 for number in numbers)) not in {0, 1}:
        draft.lacks("convolution", "true, as numbers are always divided by their sum here", "false")
    else:
        draft.put("convolve", tuple(numbers), "convolution")


def _watermark(given: Sequence[str], draft: Draft) -> None:
    key = draft.key(given[0], "watermark")
    x, y = place(given[1], "watermark", draft), place(given[2], "watermark", draft)
    clear = draft.number(given[3], "watermark", 0, 100)
    shares = [share(text, "watermark", draft) for text in given[4:]]
    if key is None or clear is None or x is None or y is None:
        return
    fields = {"image": key, "opacity": round(100 - clear), **laid(x, y)}
    fields |= {side: part for side, part in zip(("width", "height"), shares, strict=False) if part}
    draft.overlay(ImageOverlay, fields, "watermark")


def _stretch(given: Sequence[str], draft: Draft) -> None:
    del given
    if draft.values.get("fit") is Fit.COVER:
        draft.values["fit"] = Fit.FILL


def _enlarge(*, wanted: bool) -> Read:
    def read(given: Sequence[str], draft: Draft) -> None:
        del given
        if "fit" in draft.values:
            draft.values["enlarge"] = wanted

    return read


def _proportion(given: Sequence[str], draft: Draft) -> None:
    part = draft.number(given[0], "proportion", 0.01, 1)
    if part is not None:
        draft.values["zoom"] = part


def _focal(given: Sequence[str], draft: Draft) -> None:
    match = _FOCAL.fullmatch(given[0])
    if match is None:
        draft.wrong("focal", "focal(LEFTxTOP:RIGHTxBOTTOM)", given[0])
        return
    left, top, right, bottom = map(int, match.groups())
    draft.focus = ((left + right) / 2, (top + bottom) / 2)


def _cover(given: Sequence[str], draft: Draft) -> None:
    del given
    draft.values["frame"] = 1


def _nothing(given: Sequence[str], draft: Draft) -> None:
    """What is done anyway."""


# The least and the most arguments, their form, and what reads them.
FILTERS: dict[str, tuple[int, int, str, Read]] = {
    "autojpg": (0, 1, "", _autojpg),
    "background_color": (1, 1, "COLOUR", _background),
    "blur": (1, 2, "RADIUS,SIGMA", _blur),
    "brightness": (1, 1, "AMOUNT", _percent("brightness")),
    "contrast": (1, 1, "AMOUNT", _percent("contrast")),
    "convolution": (2, 3, "NUMBERS,COLUMNS,DIVIDE", _convolution),
    "cover": (0, 0, "", _cover),
    "equalize": (0, 0, "", _switch("equalise")),
    "fill": (1, 2, "COLOUR,TRANSPARENT_TOO", _fill),
    "focal": (1, 1, "LEFTxTOP:RIGHTxBOTTOM", _focal),
    "format": (1, 1, "NAME", _format),
    "grayscale": (0, 0, "", _switch("grey")),
    "max_bytes": (1, 1, "BYTES", _max_bytes),
    "no_upscale": (0, 0, "", _enlarge(wanted=False)),
    "proportion": (1, 1, "SHARE", _proportion),
    "quality": (1, 1, "1-100", _quality),
    "rgb": (3, 3, "RED,GREEN,BLUE", _rgb),
    "rotate": (1, 1, "DEGREES", _rotate),
    "round_corner": (4, 5, "RADIUS,RED,GREEN,BLUE,TRANSPARENT", _round_corner),
    "saturation": (1, 1, "FACTOR", _saturation),
    "sharpen": (2, 3, "AMOUNT,RADIUS,LUMINANCE_ONLY", _sharpen),
    "stretch": (0, 0, "", _stretch),
    "strip_exif": (0, 0, "", _nothing),
    "strip_icc": (0, 0, "", _nothing),
    "upscale": (0, 0, "", _enlarge(wanted=True)),
    "watermark": (4, 6, "KEY,X,Y,TRANSPARENCY,WIDTH,HEIGHT", _watermark),
}
