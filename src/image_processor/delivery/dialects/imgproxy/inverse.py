"""Writes imgproxy's URLs of transformations: the inverse of `dialect`, for what imgproxy has too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote

from image_processor.delivery.dialects.inverse_values import Values
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import ImageMetadata

_KNOWN = frozenset({
    "w", "h", "min-w", "min-h", "fit", "g", "gx", "gy", "fp", "enlarge", "rot", "flip", "bg", "blur", "sharp",
    "bri", "con", "sat", "px", "pad", "orient", "max-bytes", "soft", "q", "fm",
})  # fmt: skip
_TYPES = {"cover": "fill", "inside": "fit", "fill": "force", "contain": "fit", "fill-down": "fill-down"}
_GRAVITIES = {
    "centre": "ce", "north": "no", "south": "so", "east": "ea", "west": "we", "northeast": "noea",
    "northwest": "nowe", "southeast": "soea", "southwest": "sowe", "attention": "sm",
}  # fmt: skip
_OPTIONS = {
    "min-w": "mw", "min-h": "mh", "blur": "bl", "sharp": "sh", "q": "q", "bg": "bg", "px": "pix",
    "rot": "rot", "pad": "pd",
}  # fmt: skip


def imgproxy_paths(key: str, values: Values, original: ImageMetadata) -> Iterator[str]:
    """Candidates for the original ``key``."""
    del original
    if values.has_others(_KNOWN) or values.get("fit") not in _TYPES:
        return
    options = [*_size(values), *_gravity(values), *_others(values)]
    name = f"{quote(key)}@{FORMATS[values.get('fm')].extension}"
    yield "/" + "/".join(["unsafe", *options, "plain", name])


def _size(values: Values) -> Iterator[str]:
    width, height = values.get("w") or "0", values.get("h") or "0"
    fit = values.get("fit")
    if "0" not in {width, height}:
        yield f"rs:{_TYPES[fit]}:{width}:{height}"
    elif width != height:
        yield f"w:{width}" if width != "0" else f"h:{height}"
    if fit == "contain":
        yield "ex:1"
    if values.get("enlarge") == "1" and fit != "fill":
        yield "el:1"


def _gravity(values: Values) -> Iterator[str]:
    if values.get("fp"):
        yield f"g:fp:{values.get('fp')}"
        return
    gravity = _GRAVITIES.get(values.get("g"), "obj:face" if values.get("g") == "faces" else "")
    offsets = [values.get("gx"), values.get("gy")]
    if offsets != ["0", "0"]:
        yield ":".join(["g", gravity, *offsets])
    elif gravity not in {"ce", ""}:
        yield f"g:{gravity}"


def _others(values: Values) -> Iterator[str]:
    for name, option in _OPTIONS.items():
        if name in values.texts:
            yield f"{option}:{values.get(name)}"
    for name, write in _CONVERTED.items():
        if name in values.texts:
            yield write(values.get(name))
    if values.get("max-bytes") and values.get("soft") == "1":
        yield f"mb:{values.get('max-bytes')}"


def _factor(percent: str) -> str:
    return f"{round(1 + float(percent) / 100, 5):g}"


_CONVERTED: Mapping[str, Callable[[str], str]] = {
    "con": lambda text: f"co:{_factor(text)}",
    "sat": lambda text: f"sa:{_factor(text)}",
    "bri": lambda text: f"br:{round(float(text) * 2.55)}",
    "flip": lambda text: f"fl:{int('h' in text)}:{int('v' in text)}",
    "orient": lambda text: f"ar:{text}",
}
