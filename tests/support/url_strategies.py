"""Hypothesis strategies for the project's URLs: a transformation, and its equivalent spellings."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from image_processor.delivery.url.parameter_names import ALIASES, IGNORED, REPEATABLE, VALUE_ALIASES
from image_processor.domain.transformation import Transformation

KEYS = st.sampled_from(["cat.jpg", "photos/cat 1.jpg", "ä/&=?#+%.png", "a~b,c=d/e", "a/../b", "~"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
_SIDES = st.integers(1, 4000).map(str)
_COLOURS = st.text("0123456789abcdef", min_size=6, max_size=6)
_VALUES: dict[str, st.SearchStrategy[str]] = {
    "w": _SIDES,
    "h": _SIDES,
    "fit": st.sampled_from(["cover", "contain", "inside"]),
    "g": st.sampled_from(["centre", "northwest", "southeast", "attention", "faces"]),
    "bg": _COLOURS,
    "rot": st.sampled_from(["90", "180", "12.5"]),
    "fp": st.sampled_from(["0.25:0.75", "0:1"]),
    "rect": st.sampled_from(["0:0:10:10", "0.1:0.1:0.5:0.5"]),
    "q": st.integers(1, 100).map(str) | st.just("auto"),
    "fm": st.sampled_from(["jpeg", "webp", "avif", "png", "auto"]),
    "then": st.sampled_from(["blur:3", "crop:0:0:10:20", "text:Hi;size:10", "rotate:30:ffffff"]),
    "over": st.sampled_from(["text:Hi;size:10", "image:logos~2fA.png;w:0.2", "text:a~2cb"]),
    "grey": st.sampled_from(["0", "1"]),
}
PAIRS = st.lists(st.sampled_from(sorted(_VALUES)), max_size=6, unique=True).flatmap(
    lambda names: st.tuples(*[st.tuples(st.just(name), _VALUES[name]) for name in names])
)
"""Valid pairs, in any order."""

Draw = Callable[[st.SearchStrategy[Any]], Any]


def spelled(draw: Draw, text: str, *, plain: str = string.ascii_letters + string.digits + "_.:;~-") -> str:
    """``text`` in a query; any byte may be percent-encoded, in either case."""
    shown = []
    for byte in text.encode():
        sign = chr(byte)
        if sign in plain and draw(st.integers(0, 5)):
            shown.append(sign)
        elif sign == " " and "/" not in plain and draw(st.booleans()):
            shown.append("+")
        else:
            code = f"%{byte:02X}"
            shown.append(draw(st.sampled_from([code, code.lower()])))
    return "".join(shown)


def _other_case(draw: Draw, text: str) -> str:
    return str(draw(st.sampled_from([text, text.upper(), text.title()])))


def _said(draw: Draw, name: str, value: str) -> str:
    """One pair, by one of its names and in one of its spellings."""
    names = [name, *(alias for alias, ours in ALIASES.items() if ours == name)]
    values = [value, *(alias for alias, ours in VALUE_ALIASES.get(name, {}).items() if ours == value)]
    if name == "grey":
        values += [{"1": "true", "0": "false"}[value]]
    if name == "bg":
        values += [f"#{value}"]
    value = draw(st.sampled_from(values)).replace(":", draw(st.sampled_from([":", ","])))
    if name not in REPEATABLE:
        value = _other_case(draw, value)
    name = _other_case(draw, draw(st.sampled_from(names)))
    return f"{spelled(draw, name)}={spelled(draw, value)}"


@st.composite
def same_meaning(draw: Draw, pairs: tuple[tuple[str, str], ...]) -> str:
    """A query equivalent to these pairs: reordered, repeated, in another case or encoding."""
    twice = [pair for pair in pairs if pair[0] not in REPEATABLE and draw(st.booleans())]
    said = [_said(draw, name, value) for name, value in (*pairs, *twice)]
    said += draw(st.lists(st.sampled_from([f"{name}=2" for name in IGNORED] + [""]), max_size=2))
    return "&".join(draw(st.permutations(said)))


@st.composite
def paths(draw: Draw, key: str) -> str:
    """A path for ``key``; any byte may be percent-encoded."""
    return spelled(draw, key, plain=string.ascii_letters + string.digits + "/_.:;~-,=@&!$'()*+")


def path_form(key: str, transformation: Transformation, private: str = "~") -> str:
    return quote(f"{key}/{private}{transformation.name}", safe="/=,~:;")
