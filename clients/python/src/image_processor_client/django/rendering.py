"""Renders a file of the storage as HTML, for the template tags; for Jinja, as functions of its environment.

What is given by name is a parameter of the rendition where there is one of that name (`width`, `g`), else an
attribute of the `<img>` (`class`, `loading`, `data_id` for `data-id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.files.storage import storages
from django.db.models.fields.files import FieldFile
from django.utils.safestring import SafeString, mark_safe

from image_processor_client import markup
from image_processor_client.tables import ALIASES, PARAMETER_ORDER

from .checks import configured
from .storage import ImageProcessorStorage

_PARAMETERS = frozenset((*PARAMETER_ORDER, *ALIASES, "auto"))
_LAYOUT = ("widths", "sizes", "densities", "original")
_OTHER = ("alt", "formats", "expires", "signed", "using")


def image_url(file: FieldFile | str, transformation: str = "", **options: Any) -> str:
    """The URL of a rendition: `image_url(photo.image, width=640, format="webp")`; empty without a file.

    Without parameters it is that of the storage's `url`. ``expires``, ``signed``: as of `UrlBuilder.url`.
    ``using``: the alias of the storage, for a key as text.
    """
    if not file:
        return ""
    storage, key = _find(file, options.pop("using", None))
    wanted = {name: options.pop(name) for name in ("expires", "signed") if name in options}
    if not transformation and not options:
        transformation = storage.options.transformation
    return storage.urls.url(key, transformation, **wanted, **options)


def image(file: FieldFile | str, transformation: str = "", **options: Any) -> SafeString:
    """An `<img>` with a `srcset`, or with ``formats`` a `<picture>`; empty without a file.

    ``alt`` is required. ``sizes``, ``widths``, ``densities``, ``original``: as of `markup.Layout`; numbers
    may be text such as `"320 640"`. Raises ValueError for wrong ones.
    """
    if not file:
        return SafeString("")
    if "alt" not in options:
        raise ValueError('expected alt with what the image shows, or alt="" for a decoration, got none')
    storage, key = _find(file, options.get("using"))
    layout = markup.Layout(**{name: _numbers(name, options[name]) for name in _LAYOUT if name in options})
    parameters, attributes = _sorted_out(options)
    wanted: dict[str, Any] = {name: options[name] for name in ("expires", "signed") if name in options}
    wanted |= {"alt": str(options["alt"]), "layout": layout, "attributes": attributes, **parameters}
    if options.get("formats"):
        formats = _words(options["formats"])
        html = markup.picture(storage.urls, key, transformation, formats=formats, **wanted)
    else:
        html = markup.img(storage.urls, key, transformation, **wanted)
    return mark_safe(html)  # noqa: S308 - every attribute is escaped


def _sorted_out(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of the rendition, and the attributes of the element."""
    parameters, attributes = {}, {}
    for name, value in options.items():
        written = name.replace("_", "-")
        if written in _PARAMETERS:
            parameters[name] = str(value) if not isinstance(value, tuple | list) else value
        elif name not in (*_LAYOUT, *_OTHER):
            attributes[written] = value
    return parameters, attributes


def _find(file: FieldFile | str, alias: str | None) -> tuple[ImageProcessorStorage, str]:
    """The storage, and the key of a file of a model, or of a name as text in the storage of ``alias``: by
    default the first of this package in STORAGES. Raises ValueError."""
    if isinstance(file, str):
        aliases = [alias] if alias else [found for found, _ in configured()]
        if not aliases:
            raise ValueError("expected an ImageProcessorStorage in STORAGES, got none")
        storage, name = storages[aliases[0]], file
    else:
        storage, name = file.storage, file.name
    if not isinstance(storage, ImageProcessorStorage):
        raise ValueError(f"expected a file of an ImageProcessorStorage, got one of {type(storage).__name__}")  # noqa: TRY004 - the value of a template
    return storage, storage.key(str(name))


def _numbers(name: str, value: Any) -> Any:
    """Numbers as text, as templates write them, or as they are. Raises ValueError."""
    if name == "sizes":
        return str(value)
    items: Iterable[Any] = _words(value) if isinstance(value, str) else value
    kind = float if name == "densities" else int
    try:
        numbers = tuple(kind(item) for item in items)
    except (TypeError, ValueError):
        raise ValueError(f'expected numbers such as "320 640" for {name}, got {value!r}') from None
    if name == "original" and len(numbers) != 2:
        raise ValueError(f"expected width and height for original, got {value!r}")
    return numbers


def _words(text: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split()) if isinstance(text, str) else tuple(text)
