"""The names of the files that `process` writes: those of the recipe, or a template's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from string import Formatter

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.delivery.source_crop import output_size
from image_processor.domain.errors import Invalid
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import ImageMetadata, Rendition
from image_processor.domain.transformation import Transformation, parse

FIELDS = ("stem", "width", "height", "format", "ext", "options")
"""What a template may have: the original's name without extension; the rendition's width and height in
pixels, its format, extension and transformation."""

_UNKNOWN = ("width", "height")
"""What shows only after rendering."""


class Template(Struct, frozen=True):
    """A name of a rendition with fields in braces, such as `{stem}-{width}.{ext}`, in the folder that the
    original has among its inputs."""

    text: str

    @classmethod
    def read(cls, text: str) -> Template:
        """Raises Invalid for unknown fields, for formats of fields, and for names outside of the output."""
        expected = f"a name with the fields {', '.join(f'{{{field}}}' for field in FIELDS)}"
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise Invalid.one("--name", expected, f"{text!r}: {error}") from None
        fields = [field for _, field, _, _ in parsed if field is not None]
        plain = all(not spec and not conversion for _, _, spec, conversion in parsed)
        if not fields or not plain or set(fields) - set(FIELDS):
            raise Invalid.one("--name", expected, text)
        if text.startswith("/") or ".." in PurePosixPath(text).parts:
            raise Invalid.one("--name", "a path inside the output directory", text)
        return cls(text)

    def name(self, key: str, rendition: Rendition) -> str:
        """The name of a rendition of the original ``key``, relative to the output directory."""
        metadata = rendition.metadata
        known = _known(key, parse(rendition.transformation))
        return _filled(self.text, key, known | {"width": str(metadata.width), "height": str(metadata.height)})

    @property
    def needs_size(self) -> bool:
        """Whether names are known only with the size of a rendition."""
        return any(field in _UNKNOWN for _, field, _, _ in Formatter().parse(self.text))

    def preview(self, key: str, transformation: Transformation, original: ImageMetadata | None) -> str:
        """The name with what is known before rendering. Width and height stay fields if the size of
        ``original`` does not decide about them."""
        size = output_size(transformation, original) if original is not None else None
        values = {field: f"{{{field}}}" for field in _UNKNOWN}
        if size is not None:
            values = {"width": str(size.width), "height": str(size.height)}
        return _filled(self.text, key, _known(key, transformation) | values)

    def matches(self, key: str, transformation: Transformation) -> str:
        """The name as a pattern of `Path.glob`."""
        known = {field: _glob_escaped(value) for field, value in _known(key, transformation).items()}
        return _filled(self.text, _glob_escaped(key), known | dict.fromkeys(_UNKNOWN, "*"))


def _filled(template: str, key: str, values: dict[str, str]) -> str:
    folder, slash, _ = key.rpartition("/")
    return folder + slash + template.format_map(values)


def _known(key: str, transformation: Transformation) -> dict[str, str]:
    return {
        "stem": PurePosixPath(key).stem,
        "format": transformation.format,
        "ext": FORMATS[transformation.format].extension,
        "options": str(transformation),
    }


def _glob_escaped(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def planned_names(
    key: str, recipe: Recipe, template: Template | None, original: ImageMetadata | None = None
) -> list[str]:
    """The names of the renditions that the recipe declares for an original, each once."""
    transformations = recipe.eager_for(key)
    if template is not None:
        names = (template.preview(key, transformation, original) for transformation in transformations)
        return list(dict.fromkeys(names) if original else names)
    return [rendition_prefix(key) + recipe.stored_name(key, item) for item in transformations]


def check_names(keys: Iterable[str], recipe: Recipe, template: Template | None) -> None:
    """Raise Invalid if two renditions would have one name, as far as that shows before they are rendered."""
    if template is None or template.needs_size:
        return
    taken: dict[str, str] = {}
    for key in keys:
        for transformation in recipe.eager_for(key):
            stored = rendition_prefix(key) + recipe.stored_name(key, transformation)
            name = template.preview(key, transformation, None)
            if taken.setdefault(name, stored) != stored:
                raise name_taken(name, taken[name], stored)


def name_taken(name: str, first: str, second: str) -> Invalid:
    """The error of a template that names two renditions alike."""
    expected = "a name of its own for each rendition, as with {width} or {options}"
    return Invalid.one("--name", expected, f"{name!r} for {first!r} and {second!r}")


def has_current_renditions(
    original: Path,
    key: str,
    recipe: Recipe,
    template: Template | None,
    out: Path,
    size_of: Callable[[Path], ImageMetadata | None],
) -> bool:
    """Whether ``out`` has all renditions that the recipe declares, none older than the original. ``size_of``
    reads the header of an original, or returns None for one that is refused."""
    changed = original.stat().st_mtime
    if template is None:
        return all(_is_current(out / name, changed) for name in planned_names(key, recipe, None))
    patterns = Counter(template.matches(key, item) for item in recipe.eager_for(key))
    if all(_count(out.glob(pattern), changed) >= count for pattern, count in patterns.items()):
        return True
    # Renditions of an original that is smaller than several widths share a file.
    known = size_of(original) if template.needs_size else None
    return known is not None and all(
        _is_current(out / name, changed) for name in planned_names(key, recipe, template, known)
    )


def _count(files: Iterable[Path], changed: float) -> int:
    return sum(_is_current(file, changed) for file in files)


def _is_current(file: Path, changed: float) -> bool:
    return file.is_file() and file.stat().st_mtime >= changed
