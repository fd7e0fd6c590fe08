"""Delivery, step 1: replaces Cloudinary's named transformations and variables by what they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from image_processor.delivery.dialects.request_builder import RequestBuilder

_MAX_VALUE = 200
_USE = re.compile(r"\$\(?([A-Za-z][A-Za-z0-9]*)\)?")


def expand(texts: Sequence[str], builder: RequestBuilder, named: Mapping[str, str]) -> list[str]:
    """The components with those of named transformations, and with the values of variables."""
    expanded: list[str] = []
    for text in texts:
        parts = text.split(",")
        for name in (name for part in parts for name in _names_in(part)):
            if name in named:
                expanded += named[name].split("/")
            else:
                _set_preset(name, builder)
        rest = [part for part in parts if not _names_in(part)]
        expanded += [",".join(rest)] if rest else []
    return _substitute(expanded, builder)


def _names_in(part: str) -> list[str]:
    """The named transformations that a parameter applies: `t_NAME`, `bl_NAME` or `t_NAME.NAME`."""
    prefix, _, names = part.partition("_")
    return names.split(".") if prefix in {"t", "bl"} and names else []


def _set_preset(name: str, builder: RequestBuilder) -> None:
    if builder.preset is not None:
        builder.add_error("t", "one named transformation that is a preset of the recipe", name)
    builder.preset = name


def _substitute(texts: Sequence[str], builder: RequestBuilder) -> list[str]:
    """The components with the values of variables, `$size_300`, in place of `$size` and `$(size)`. A value
    may use earlier ones, so its length is limited: each could be a multiple of the one before."""
    variables: dict[str, str] = {}

    def value_of(use: re.Match[str]) -> str:
        return variables.get(use[1], use[0])

    result = []
    for text in texts:
        kept = []
        for part in text.split(","):
            if part.startswith("$"):
                name, _, raw = part[1:].partition("_")
                value = _USE.sub(value_of, raw).strip("!")
                if len(value) > _MAX_VALUE:
                    builder.add_error(f"${name}", f"at most {_MAX_VALUE} characters", len(value))
                    value = ""
                variables[name] = value
            else:
                kept.append(_USE.sub(value_of, part))
        result += [",".join(kept)] if kept else []
    return result
