"""Dialects: imgproxy's options, each a function that puts what it means into a `RequestBuilder`.

docs/dialects.md tells for each how its values become ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from image_processor.delivery.dialects.request_builder import RequestBuilder, plain
from image_processor.delivery.request import SizingRule
from image_processor.domain.transformation import Fit, Flip

from .crop import crop, fit_with_extension, gravity
from .option_names import IGNORED, LONG, META
from .watermark import MARK_OPTIONS, from_base64, marked

BEST = ("best", "auto")
"""Formats that leave the choice to the client."""

_MOST = 16_383

OptionReader = Callable[[Sequence[str], RequestBuilder], None]


def apply(options: Sequence[Sequence[str]], builder: RequestBuilder) -> int | None:
    """Put what each of ``options`` means into ``builder``. Returns the second (Unix time) at which the URL
    ends, None where it does not say."""
    given = _joined(options, builder)
    for name, arguments in given.items():
        if name in MARK_OPTIONS or name in _LATER:
            continue
        OPTIONS[name](arguments, builder)
    fit_with_extension(given, builder)
    crop(given, builder)
    marked(given, builder)
    return _end(given, builder)


def _joined(options: Sequence[Sequence[str]], builder: RequestBuilder) -> dict[str, Sequence[str]]:
    """The arguments of each option under its long name; those of `resize` and `size` under what they
    are made of. The last that says a thing counts."""
    found: dict[str, Sequence[str]] = {}
    for short, *arguments in options:
        name = LONG.get(short, short)
        parts = META.get(name)
        if parts is not None:
            for part, one in zip(parts, arguments, strict=False):
                if one:
                    found[part] = [one, *arguments[len(parts) :]] if part == "extend" else [one]
            if len(arguments) > len(parts) and parts[-1] != "extend":
                builder.wrong(short, f"at most {len(parts)} arguments", ":".join(arguments))
        elif name in OPTIONS or name in MARK_OPTIONS or name in _LATER:
            found[name] = arguments
        elif name not in IGNORED:
            builder.lacks(short, "an option of docs/dialects.md", ":".join([short, *arguments]))
    return found


def _type(given: Sequence[str], builder: RequestBuilder) -> None:
    fits = {"fit": Fit.INSIDE, "fill": Fit.COVER, "fill-down": Fit.FILL_DOWN, "force": Fit.FILL}
    if given[0] == "auto":
        builder.sizing = SizingRule.FILL_OR_FIT
    elif given[0] in fits:
        builder.values["fit"] = fits[given[0]]
    else:
        builder.wrong("resizing_type", "fit, fill, fill-down, force or auto", given[0])


def _pixels(name: str, field: str, high: int = _MOST) -> OptionReader:
    """A whole number where 0 means none."""

    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.whole(given[0] or "0", name, 0, high)
        if value:
            builder.put(field, value, name)

    return read


def _number(name: str, field: str, low: float, high: float, least: float = 0) -> OptionReader:
    """A number where 0 means none, and what is below ``least`` nothing that could be seen."""

    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.number(given[0] or "0", name, low, high)
        if value and value >= least:
            builder.put(field, value, name)

    return read


def _flag(name: str, field: str) -> OptionReader:
    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.flag(given[0], name)
        if value is not None:
            builder.values[field] = value

    return read


def _gravity(given: Sequence[str], builder: RequestBuilder) -> None:
    found = gravity(given, "gravity", builder)
    if found is not None:
        builder.values.update(found)


def _zoom(given: Sequence[str], builder: RequestBuilder) -> None:
    factors = {builder.number(text, "zoom", 0.01, 100) for text in given[:2]}
    if None in factors:
        return
    if len(factors) > 1:
        builder.lacks("zoom", "the same for both sides", ":".join(given))
        return
    builder.put("zoom", factors.pop(), "zoom")


def _trim(given: Sequence[str], builder: RequestBuilder) -> None:
    threshold = builder.number(given[0] or "10", "trim", 0, 255)
    if threshold is not None:
        builder.values["trim"] = round(threshold)
    if len(given) > 1 and given[1]:
        colour = builder.colour(given[1], "trim")
        builder.values.update({} if colour is None else {"trim_colour": colour})
    if any([builder.flag(text, "trim") for text in given[2:4]]):  # noqa: C419 - each is judged
        builder.lacks("trim", "no equal parts, as each side is cut by itself here", ":".join(given))


def _padding(given: Sequence[str], builder: RequestBuilder) -> None:
    sides = [builder.whole(text or "0", "padding", 0, _MOST) if text else None for text in given[:4]]
    sides += [None] * (4 - len(sides))
    top = sides[0] or 0
    right = top if sides[1] is None else sides[1]
    bottom = top if sides[2] is None else sides[2]
    left = right if sides[3] is None else sides[3]
    builder.values["padding"] = (top, right, bottom, left)


def _rotate(given: Sequence[str], builder: RequestBuilder) -> None:
    degrees = builder.whole(given[0] or "0", "rotate", -100_000, 100_000)
    if degrees is not None and degrees % 90:
        builder.wrong("rotate", "a multiple of 90 degrees", given[0])
    elif degrees is not None:
        builder.values["rotate"] = degrees % 360


def _flip(given: Sequence[str], builder: RequestBuilder) -> None:
    across, down = (bool(text) and builder.flag(text, "flip") for text in (*given, "", "")[:2])
    if across or down:
        builder.values["flip"] = Flip(("h" if across else "") + ("v" if down else ""))


def _background(given: Sequence[str], builder: RequestBuilder) -> None:
    if not given[0]:
        return
    if len(given) == 3:
        channels = [builder.whole(text, "background", 0, 255) for text in given]
        text = "".join(f"{channel or 0:02x}" for channel in channels)
    else:
        text = given[0]
    colour = builder.colour(text, "background")
    builder.values.update({} if colour is None else {"background": colour})


def _sharpen(given: Sequence[str], builder: RequestBuilder) -> None:
    sigma = builder.number(given[0] or "0", "sharpen", 0, 10)
    if sigma and sigma >= 0.1:
        builder.values["sharpen"] = (sigma, 1)


def _pixelate(given: Sequence[str], builder: RequestBuilder) -> None:
    size = builder.whole(given[0] or "0", "pixelate", 0, 1000)
    if size and size > 1:
        builder.values["pixelate"] = size


def _brightness(given: Sequence[str], builder: RequestBuilder) -> None:
    value = builder.whole(given[0] or "0", "brightness", -255, 255)
    builder.values.update({} if value is None else {"brightness": plain(value / 2.55)})


def _factor(name: str) -> OptionReader:
    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.number(given[0] or "1", name, 0, 2)
        builder.values.update({} if value is None else {name: plain(100 * value - 100)})

    return read


def _format_quality(given: Sequence[str], builder: RequestBuilder) -> None:
    if len(given) % 2:
        builder.wrong("format_quality", "a format and a quality, and so on", ":".join(given))
        return
    for name, text in zip(given[::2], given[1::2], strict=True):
        quality = builder.whole(text, "format_quality", 1, 100)
        if quality is not None:
            builder.qualities[{"jpg": "jpeg"}.get(name, name)] = quality


def _format(given: Sequence[str], builder: RequestBuilder) -> None:
    # The extension of the source comes first.
    if builder.format is None and given[0]:
        builder.written(given[0], "format", automatic=BEST)


def _preset(given: Sequence[str], builder: RequestBuilder) -> None:
    names = [name for name in given if name]
    if len(names) == 1:
        builder.preset = names[0]
    else:
        builder.wrong("preset", "the name of one preset", ":".join(given))


def _page(given: Sequence[str], builder: RequestBuilder) -> None:
    page = builder.whole(given[0] or "0", "page", 0, 99_999)
    if page is not None:
        builder.values["frame"] = page + 1


def _one_frame(given: Sequence[str], builder: RequestBuilder) -> None:
    if builder.flag(given[0], "disable_animation"):
        builder.values.setdefault("frame", 1)


def _filename(given: Sequence[str], builder: RequestBuilder) -> None:

    encoded = len(given) > 1 and builder.flag(given[1], "filename")
    name = from_base64(given[0], "filename", builder) if encoded else given[0]
    if name and name.isprintable():
        builder.filename = name
    elif name:
        builder.wrong("filename", "a name without control characters", name)


def _attachment(given: Sequence[str], builder: RequestBuilder) -> None:
    builder.attachment = bool(builder.flag(given[0], "return_attachment"))


def _kept(name: str) -> OptionReader:
    """Nothing of an original's metadata is kept, whatever is said."""

    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        if builder.flag(given[0], name) == (name == "keep_copyright"):
            builder.lacks(
                name, "1, as no metadata is passed on" if name != "keep_copyright" else "0", given[0]
            )

    return read


def _end(given: dict[str, Sequence[str]], builder: RequestBuilder) -> int | None:
    if "expires" not in given or not given["expires"][0]:
        return None
    return builder.whole(given["expires"][0], "expires", 0, 10**11)


_LATER = frozenset({"crop", "expires", "extend"})
OPTIONS: dict[str, OptionReader] = {
    "auto_rotate": _flag("auto_rotate", "orient"),
    "background": _background,
    "blur": _number("blur", "blur", 0, 250, 0.3),
    "brightness": _brightness,
    "contrast": _factor("contrast"),
    "disable_animation": _one_frame,
    "dpr": _number("dpr", "dpr", 0, 10, 0.1),
    "enlarge": _flag("enlarge", "enlarge"),
    "filename": _filename,
    "flip": _flip,
    "format": _format,
    "format_quality": _format_quality,
    "gravity": _gravity,
    "height": _pixels("height", "height"),
    "keep_copyright": _kept("keep_copyright"),
    "max_bytes": _pixels("max_bytes", "max_bytes", 100_000_000),
    "min-height": _pixels("min-height", "min_height"),
    "min-width": _pixels("min-width", "min_width"),
    "padding": _padding,
    "page": _page,
    "pixelate": _pixelate,
    "preset": _preset,
    "quality": _pixels("quality", "quality", 100),
    "resizing_type": _type,
    "return_attachment": _attachment,
    "rotate": _rotate,
    "saturation": _factor("saturation"),
    "sharpen": _sharpen,
    "strip_metadata": _kept("strip_metadata"),
    "trim": _trim,
    "width": _pixels("width", "width"),
    "zoom": _zoom,
}
