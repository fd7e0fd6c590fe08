"""Delivery: URLs of other products that mean a transformation, the inverse of `translate`.

Pure. Each dialect writes a candidate of what it can express; a candidate is an equivalent only if the
dialect's own parser reads exactly the transformation from it. The URLs are unsigned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import Forbidden, Invalid
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Transformation

from .dialects.dit.inverse import dit_paths
from .dialects.imgproxy.inverse import imgproxy_paths
from .dialects.inverse_values import Values
from .dialects.thumbor.inverse import thumbor_paths
from .translate import translate, translating_dialects

INVERSES: Mapping[str, Callable[[str, Values, ImageMetadata], Iterable[str]]] = {
    "thumbor": thumbor_paths,
    "imgproxy": imgproxy_paths,
    "dit": dit_paths,
}
"""What writes candidates of a dialect: from a key, the values of a transformation and the original."""

_NO_PRESETS = Recipe({}, ())


def equivalents(key: str, transformation: Transformation, original: ImageMetadata) -> dict[str, str]:
    """The path of an unsigned URL by dialect, with a leading slash, for each dialect that has one with the
    same meaning for this original."""
    found = {name: equivalent(name, key, transformation, original) for name in INVERSES}
    return {name: path for name, path in found.items() if path is not None}


def equivalent(dialect: str, key: str, transformation: Transformation, original: ImageMetadata) -> str | None:
    """The path of an unsigned URL of ``dialect`` with the meaning of ``transformation``; None if there is
    none."""
    dialects = translating_dialects((dialect,), {}, ())
    for path in INVERSES[dialect](key, Values.of(transformation), original):
        try:
            meaning = translate(path, dialects, original, _NO_PRESETS)
        except (Invalid, Forbidden):
            continue
        if (meaning.key, meaning.transformation) == (key, transformation):
            return path
    return None
