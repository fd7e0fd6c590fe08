"""Delivery, step 1: imgproxy's options, each a function that sets fields of a `RequestBuilder`.

docs/dialects.md documents how the values of each are converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from image_processor.delivery.dialects.request_builder import RequestBuilder, normalise
from image_processor.delivery.request import SizingRule
from image_processor.domain.transformation import Fit, Flip

from .crop import parse_gravity, set_crop, set_fit
from .sizes import NO_FIELD, set_size_rules
from .watermark import WATERMARK_OPTIONS, add_watermark, parse_base64

BEST = ("best", "auto")
"""Formats that stand for content negotiation."""

_MAX_SIDE = 16_383

COMBINED = {
    "resize": ("resizing_type", "width", "height", "enlarge", "extend"),
    "size": ("width", "height", "enlarge", "extend"),
    "adjust": ("brightness", "contrast", "saturation"),
}
"""Options that combine others, with the names of their arguments."""

IGNORED = frozenset({
    "cachebuster", "strip_color_profile", "enforce_thumbnail", "dpi", "resizing_algorithm", "strip_metadata",
    "keep_copyright", "preserve_hdr", "cache_tags", "bypass_cache",
})  # fmt: skip
"""Options without effect on the rendition, or whose effect is always the same here."""

_SHORT_NAMES = """
rs=resize s=size rt=resizing_type w=width h=height mw=min-width mh=min-height z=zoom el=enlarge
ex=extend extend_ar=extend_aspect_ratio exar=extend_aspect_ratio
g=gravity c=crop t=trim pd=padding ar=auto_rotate rot=rotate fl=flip bg=background
a=adjust br=brightness co=contrast sa=saturation bl=blur sh=sharpen pix=pixelate wm=watermark
wmu=watermark_url wmt=watermark_text wms=watermark_size wmr=watermark_rotate
wm_rot=watermark_rotate sm=strip_metadata kcr=keep_copyright scp=strip_color_profile
eth=enforce_thumbnail ra=resizing_algorithm q=quality fq=format_quality mb=max_bytes f=format
ext=format pg=page da=disable_animation cb=cachebuster exp=expires fn=filename
att=return_attachment pr=preset skp=skip_processing ph=preserve_hdr msr=max_src_resolution
msfs=max_src_file_size maf=max_animation_frames mafr=max_animation_frame_resolution
mrd=max_result_dimension ct=cache_tags bc=bypass_cache
"""
LONG_NAMES = MappingProxyType(dict(re.findall(r"([a-z_]+)=([a-z_-]+)", _SHORT_NAMES)))
"""The long name of each short one."""

Presets = Mapping[str, Sequence[Sequence[str]]]
"""The options of presets by their names."""

NO_PRESETS: Presets = MappingProxyType({})
_DEFAULT = "default"

OptionReader = Callable[[Sequence[str], RequestBuilder], None]
"""Applies an option's arguments to a builder."""


def apply(
    options: Sequence[Sequence[str]],
    builder: RequestBuilder,
    presets: Presets = NO_PRESETS,
    watermark: str | None = None,
    *,
    is_vector: bool = False,
) -> int | None:
    """Apply the options to ``builder``. Returns the expiry in Unix seconds, None without one.

    ``presets`` are the options of each named preset, ``watermark`` the key of the configured watermark.
    ``is_vector`` as for `set_size_rules`.
    """
    values = _expand(_with_presets(options, presets), builder)
    for name, arguments in values.items():
        if name in WATERMARK_OPTIONS or name in _APPLIED_LAST:
            continue
        OPTIONS[name](arguments, builder)
    set_fit(values, builder)
    set_crop(values, builder)
    add_watermark(values, builder, watermark)
    set_size_rules(values, builder, is_vector=is_vector)
    return _expiry(values, builder)


def is_option(name: str) -> bool:
    """Whether imgproxy has an option of this name, short or long, that is accepted here."""
    long_name = LONG_NAMES.get(name, name)
    known = (COMBINED, IGNORED, OPTIONS, WATERMARK_OPTIONS, _APPLIED_LAST)
    return any(long_name in names for names in known)


def _with_presets(
    options: Sequence[Sequence[str]], presets: Presets, used: frozenset[str] = frozenset()
) -> list[Sequence[str]]:
    """The options with those of the presets that they name; those of the preset `default` come first. A
    preset that uses itself is used once, as in imgproxy."""
    expanded: list[Sequence[str]] = []
    if not used and _DEFAULT in presets:
        expanded += _with_presets(presets[_DEFAULT], presets, frozenset({_DEFAULT}))
    for option in options:
        names = option[1:] if LONG_NAMES.get(option[0], option[0]) == "preset" else ()
        known = [name for name in names if name in presets]
        for name in known:
            if name not in used:
                expanded += _with_presets(presets[name], presets, used | {name})
        if not known:
            expanded.append(option)
        elif len(known) < len(names):
            expanded.append([option[0], *(name for name in names if name not in presets)])
    return expanded


def _expand(options: Sequence[Sequence[str]], builder: RequestBuilder) -> dict[str, Sequence[str]]:
    """The arguments of each option by long name; combined options are split. The last one counts."""
    values: dict[str, Sequence[str]] = {}
    for short, *arguments in options:
        name = LONG_NAMES.get(short, short)
        parts = COMBINED.get(name)
        if parts is not None:
            for part, argument in zip(parts, arguments, strict=False):
                if argument:
                    values[part] = [argument, *arguments[len(parts) :]] if part == "extend" else [argument]
            if len(arguments) > len(parts) and parts[-1] != "extend":
                builder.add_error(short, f"at most {len(parts)} arguments", ":".join(arguments))
        elif name in OPTIONS or name in WATERMARK_OPTIONS or name in _APPLIED_LAST:
            values[name] = arguments
        elif name not in IGNORED:
            builder.unsupported(short, "an option of docs/dialects.md", ":".join([short, *arguments]))
    return values


def _type(arguments: Sequence[str], builder: RequestBuilder) -> None:
    fits = {"fit": Fit.INSIDE, "fill": Fit.COVER, "fill-down": Fit.FILL_DOWN, "force": Fit.FILL}
    if arguments[0] == "auto":
        builder.sizing = SizingRule.FILL_OR_FIT
    elif arguments[0] in fits:
        builder.values["fit"] = fits[arguments[0]]
    else:
        builder.add_error("resizing_type", "fit, fill, fill-down, force or auto", arguments[0])


def _pixels(name: str, field: str, high: int = _MAX_SIDE) -> OptionReader:
    """Sets ``field`` to a whole number; 0 means none."""

    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.integer(arguments[0] or "0", name, 0, high)
        if value:
            builder.set_field(field, value, name)

    return read


def _number(name: str, field: str, low: float, high: float, threshold: float = 0) -> OptionReader:
    """Sets ``field`` to a number; 0 means none. Values below ``threshold`` have no visible effect."""

    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.number(arguments[0] or "0", name, low, high)
        if value and value >= threshold:
            builder.set_field(field, value, name)

    return read


def _max_bytes(arguments: Sequence[str], builder: RequestBuilder) -> None:
    builder.set_soft_limit(builder.integer(arguments[0] or "0", "max_bytes", 0, 10**12))


def _dpr(arguments: Sequence[str], builder: RequestBuilder) -> None:
    value = builder.number(arguments[0] or "1", "dpr", 0.1, 10)
    if value:
        builder.set_field("dpr", value, "dpr")


def _flag(name: str, field: str) -> OptionReader:
    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.flag(arguments[0], name)
        if value is not None:
            builder.values[field] = value

    return read


def _gravity(arguments: Sequence[str], builder: RequestBuilder) -> None:
    fields = parse_gravity(arguments, "gravity", builder)
    if fields is not None:
        builder.values.update(fields)


def _zoom(arguments: Sequence[str], builder: RequestBuilder) -> None:
    factors = {builder.number(text, "zoom", 0.01, 100) for text in arguments[:2]}
    if len(factors) == 1 and None not in factors:
        builder.set_field("zoom", factors.pop(), "zoom")


def _trim(arguments: Sequence[str], builder: RequestBuilder) -> None:
    threshold = builder.number(arguments[0] or "10", "trim", 0, 255)
    if threshold is not None:
        builder.values["trim"] = round(threshold)
    if len(arguments) > 1 and arguments[1]:
        colour = builder.colour(arguments[1], "trim")
        builder.values.update({} if colour is None else {"trim_colour": colour})
    equal = [builder.flag(text, "trim") for text in (*arguments[2:4], "", "")[:2]]
    if any(equal):
        builder.values["trim_equal"] = Flip(("h" if equal[0] else "") + ("v" if equal[1] else ""))


def _padding(arguments: Sequence[str], builder: RequestBuilder) -> None:
    if len(arguments) > 4:
        builder.add_error("padding", "at most 4 arguments", ":".join(arguments))
    sides = [
        builder.integer(text or "0", "padding", 0, _MAX_SIDE) if text else None for text in arguments[:4]
    ]
    sides += [None] * (4 - len(sides))
    top = sides[0] or 0
    right = top if sides[1] is None else sides[1]
    bottom = top if sides[2] is None else sides[2]
    left = right if sides[3] is None else sides[3]
    builder.values["padding"] = (top, right, bottom, left)


def _rotate(arguments: Sequence[str], builder: RequestBuilder) -> None:
    degrees = builder.integer(arguments[0] or "0", "rotate", -100_000, 100_000)
    if degrees is not None and degrees % 90:
        builder.add_error("rotate", "a multiple of 90 degrees", arguments[0])
    elif degrees is not None:
        builder.values["rotate"] = degrees % 360


def _flip(arguments: Sequence[str], builder: RequestBuilder) -> None:
    across, down = (bool(text) and builder.flag(text, "flip") for text in (*arguments, "", "")[:2])
    if across or down:
        builder.values["flip"] = Flip(("h" if across else "") + ("v" if down else ""))


def _background(arguments: Sequence[str], builder: RequestBuilder) -> None:
    if not arguments[0]:
        return
    if len(arguments) == 3:
        channels = [builder.integer(text, "background", 0, 255) for text in arguments]
        text = "".join(f"{channel or 0:02x}" for channel in channels)
    else:
        text = arguments[0]
    colour = builder.colour(text, "background")
    builder.values.update({} if colour is None else {"background": colour})


def _sharpen(arguments: Sequence[str], builder: RequestBuilder) -> None:
    sigma = builder.number(arguments[0] or "0", "sharpen", 0, 10)
    if sigma and sigma >= 0.1:
        builder.values["sharpen"] = (sigma, 1)


def _pixelate(arguments: Sequence[str], builder: RequestBuilder) -> None:
    size = builder.integer(arguments[0] or "0", "pixelate", 0, 1000)
    if size and size > 1:
        builder.values["pixelate"] = size


def _brightness(arguments: Sequence[str], builder: RequestBuilder) -> None:
    value = builder.integer(arguments[0] or "0", "brightness", -255, 255)
    builder.values.update({} if value is None else {"brightness": normalise(value / 2.55)})


def _factor(name: str) -> OptionReader:
    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.number(arguments[0] or "1", name, 0, 2)
        builder.values.update({} if value is None else {name: normalise(100 * value - 100)})

    return read


def _format_quality(arguments: Sequence[str], builder: RequestBuilder) -> None:
    if len(arguments) % 2:
        builder.add_error("format_quality", "a format and a quality, and so on", ":".join(arguments))
        return
    for name, text in zip(arguments[::2], arguments[1::2], strict=True):
        quality = builder.integer(text, "format_quality", 1, 100)
        if quality is not None:
            builder.qualities[{"jpg": "jpeg"}.get(name, name)] = quality


def _format(arguments: Sequence[str], builder: RequestBuilder) -> None:
    # The extension of the source has priority.
    if builder.format is None and arguments[0]:
        builder.set_format(arguments[0], "format", automatic=BEST)


def _preset(arguments: Sequence[str], builder: RequestBuilder) -> None:
    names = [name for name in arguments if name]
    if len(names) == 1:
        builder.preset = names[0]
    else:
        builder.add_error("preset", "the name of one preset", ":".join(arguments))


def _page(arguments: Sequence[str], builder: RequestBuilder) -> None:
    page = builder.integer(arguments[0] or "0", "page", 0, 99_999)
    if page is not None:
        builder.values["frame"] = page + 1


def _disable_animation(arguments: Sequence[str], builder: RequestBuilder) -> None:
    if builder.flag(arguments[0], "disable_animation"):
        builder.values.setdefault("frame", 1)


def _filename(arguments: Sequence[str], builder: RequestBuilder) -> None:

    encoded = len(arguments) > 1 and builder.flag(arguments[1], "filename")
    name = parse_base64(arguments[0], "filename", builder) if encoded else arguments[0]
    if name and name.isprintable():
        builder.filename = name
    elif name:
        builder.add_error("filename", "a name without control characters", name)


def _attachment(arguments: Sequence[str], builder: RequestBuilder) -> None:
    builder.attachment = bool(builder.flag(arguments[0], "return_attachment"))


def _expiry(options: dict[str, Sequence[str]], builder: RequestBuilder) -> int | None:
    if "expires" not in options or not options["expires"][0]:
        return None
    return builder.integer(options["expires"][0], "expires", 0, 10**11) or None  # 0: it does not expire


_APPLIED_LAST = frozenset({"crop", "expires", "extend", *NO_FIELD})
OPTIONS: dict[str, OptionReader] = {
    "auto_rotate": _flag("auto_rotate", "orient"),
    "background": _background,
    "blur": _number("blur", "blur", 0, 250, 0.3),
    "brightness": _brightness,
    "contrast": _factor("contrast"),
    "disable_animation": _disable_animation,
    "dpr": _dpr,
    "enlarge": _flag("enlarge", "enlarge"),
    "filename": _filename,
    "flip": _flip,
    "format": _format,
    "format_quality": _format_quality,
    "gravity": _gravity,
    "height": _pixels("height", "height"),
    "max_bytes": _max_bytes,
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
    "trim": _trim,
    "width": _pixels("width", "width"),
    "zoom": _zoom,
}
