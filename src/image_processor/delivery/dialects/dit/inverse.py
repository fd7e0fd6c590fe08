"""Writes DIT's URLs of transformations: the inverse of `dialect`, for what DIT has too."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from image_processor.delivery.dialects.inverse_values import Values
from image_processor.domain.models import ImageMetadata

_KNOWN = frozenset({
    "w", "h", "fit", "g", "enlarge", "rot", "flip", "bg", "blur", "sharp", "neg", "norm", "median", "prog",
    "effort", "lossless", "q", "fm",
})  # fmt: skip
_FITS = frozenset({"cover", "contain", "fill", "inside", "outside"})
_FLAGS = {"neg": "negate", "norm": "normalise"}
_NUMBERS = {"median": "median", "blur": "blur"}
_ENCODER = {"q": "quality", "effort": "effort", "lossless": "lossless", "prog": "progressive"}


def dit_paths(key: str, values: Values, original: ImageMetadata) -> Iterator[str]:
    """Candidates for the original ``key``."""
    del original
    if values.has_others(_KNOWN) or values.get("fit") not in _FITS:
        return
    format_ = values.get("fm")
    encoder = {
        name: _value(name, values.get(short)) for short, name in _ENCODER.items() if short in values.texts
    }
    edits = {
        **_turns(values),
        **_resize(values),
        **_tones(values),
        **({format_: encoder} if encoder else {}),
        "toFormat": format_,
    }
    text = json.dumps({"key": key, "edits": edits}, separators=(",", ":"))
    yield "/" + base64.urlsafe_b64encode(text.encode()).decode()


def _value(name: str, text: str) -> Any:
    return text == "1" if name in {"lossless", "progressive"} else _number(text)


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def _turns(values: Values) -> dict[str, Any]:
    edits: dict[str, Any] = {}
    if "rot" in values.texts:
        edits["rotate"] = _number(values.get("rot"))
    if "v" in values.get("flip"):
        edits["flip"] = True
    if "h" in values.get("flip"):
        edits["flop"] = True
    return edits


def _resize(values: Values) -> dict[str, Any]:
    sides = {
        name: int(values.get(short))
        for short, name in (("w", "width"), ("h", "height"))
        if values.get(short).isdigit()
    }
    if not sides:
        return {}
    resize: dict[str, Any] = {**sides, "fit": values.get("fit")}
    if values.get("g") != "centre":
        resize["position"] = values.get("g")
    if values.get("enlarge") != "1":
        resize["withoutEnlargement"] = True
    if "bg" in values.texts and values.get("fit") == "contain":
        resize["background"] = f"#{values.get('bg')}"
    return {"resize": resize}


def _tones(values: Values) -> dict[str, Any]:
    edits: dict[str, Any] = {name: True for short, name in _FLAGS.items() if values.get(short) == "1"}
    edits |= {name: _number(values.get(short)) for short, name in _NUMBERS.items() if short in values.texts}
    if "sharp" in values.texts:
        edits["sharpen"] = _number(values.get("sharp").partition(":")[0])
    if "bg" in values.texts and values.get("fit") != "contain":
        edits["flatten"] = {"background": f"#{values.get('bg')}"}
    return edits
