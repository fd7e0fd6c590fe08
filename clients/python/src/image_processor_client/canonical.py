"""Writes parameters of a rendition as the server reads them: canonical names, values and order.

The server signs and caches the canonical form, whatever the order, case or names of a URL's parameters.
Values are checked by the server only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from .tables import (
    ALIASES,
    AUTO_WORDS,
    CASE_SENSITIVE,
    FOCAL_POINT,
    PARAMETER_ORDER,
    REPEATABLE,
    VALUE_ALIASES,
)

Value = str | int | float | bool | tuple[float | str, ...] | list[str]
"""A parameter's value. The items of a tuple are joined by colons, as in `fp=(0.5, 0.25)`; a list gives a
parameter that is repeatable several times, as in `over=["text:A", "text:B"]`."""

Pairs = tuple[tuple[str, str], ...]

_VALUE = re.compile(r"[A-Za-z0-9_.:;~-]*")
_ESCAPE = re.compile(r"~[0-9A-Fa-f]{2}")
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]")
_RANK = {name: rank for rank, name in enumerate(PARAMETER_ORDER)}


def quote(text: str) -> str:
    """``text`` as a part of a value, such as the text of an overlay or the name of a preset: characters other
    than letters, digits, `_`, `.` and `-` become `~` and two hex digits for each byte of UTF-8."""
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"~{byte:02x}" for byte in text.encode())


def canonical_pairs(transformation: str, parameters: Mapping[str, Value]) -> Pairs:
    """The canonical pairs of a text such as `w=640,fm=webp` and of parameters by name, of which `max_bytes`
    stands for `max-bytes`.

    Raises ValueError for an unknown name, a value that no URL can hold, and two values of one parameter.
    """
    pairs = [_split(part) for part in transformation.split(",") if part]
    for name, value in parameters.items():
        items: Iterable[object] = value if isinstance(value, list) else (value,)
        pairs += [(name.replace("_", "-"), _text(item)) for item in items]
    values_of: dict[str, list[str]] = {}
    for name, value in _expanded(pairs):
        values = values_of.setdefault(_known(name), [])
        if not _VALUE.fullmatch(value):
            raise ValueError(
                f"expected letters, digits and _ . : ; ~ - for {name}, got {value!r}; quote() writes others"
            )
        if name in REPEATABLE or value not in values:
            values.append(value)
        if len(values) > 1 and name not in REPEATABLE:
            raise ValueError(f"expected one value for {name}, got {' and '.join(map(repr, values))}")
    names = sorted(values_of, key=_RANK.__getitem__)
    return tuple((name, value) for name in names for value in values_of[name])


def _split(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise ValueError(f"expected NAME=VALUE such as w=640, got {part!r}")
    return name, value


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ":".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").removesuffix(".")
    return str(value)


def _expanded(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each pair by its canonical name; imgix' `auto` is split, its `fp-x` and `fp-y` are joined."""
    focal_point: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = ALIASES.get(raw_name.lower(), raw_name.lower())
        value = _canonical_value(name, raw_value)
        if name == "auto":
            yield from (_auto(word) for word in value.split(":"))
        elif name in FOCAL_POINT[1:]:
            focal_point[name] = value
        else:
            yield name, value
    if len(focal_point) == 2:
        yield FOCAL_POINT[0], ":".join(focal_point[name] for name in FOCAL_POINT[1:])
    else:
        yield from focal_point.items()


def _auto(word: str) -> tuple[str, str]:
    if word not in AUTO_WORDS:
        raise ValueError(f"expected {' or '.join(AUTO_WORDS)} for auto, got {word!r}")
    name, value = AUTO_WORDS[word]
    return name, value


def _canonical_value(name: str, value: str) -> str:
    value = value.removeprefix("#").replace(",", ":")
    if name in CASE_SENSITIVE:
        return _ESCAPE.sub(lambda match: match[0].lower(), value)
    value = {"true": "1", "false": "0"}.get(value.lower(), value.lower())
    return VALUE_ALIASES.get(name, {}).get(value, value)


def _known(name: str) -> str:
    if name in _RANK:
        return name
    similar = get_close_matches(name, [*PARAMETER_ORDER, *ALIASES], n=3)
    such = f", such as {' or '.join(similar)}" if similar else ""
    raise ValueError(f"expected the name of a parameter{such}, got {name!r}")
