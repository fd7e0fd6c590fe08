"""Hypothesis strategies for the ground floor's values, shared by its tests."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import strategies as st

from image_processor.errors import InvalidKey
from image_processor.formats import WRITABLE
from image_processor.keys import check_key
from image_processor.transformation import MAX_SIDE, Colour, Fit, Gravity, Transformation

SIDES = st.none() | st.integers(1, MAX_SIDE)
COLOURS = st.builds(Colour, *[st.integers(0, 255)] * 3)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "width": SIDES,
    "height": SIDES,
    "fit": st.sampled_from(Fit),
    "gravity": st.sampled_from(Gravity),
    "background": st.none() | COLOURS | st.just(Colour(255, 255, 255)),
    "enlarge": st.booleans(),
    "quality": st.none() | st.integers(1, 100) | st.sampled_from([75, 80, 63]),
    "format": st.sampled_from(WRITABLE),
}
TRANSFORMATIONS = st.builds(Transformation, **FIELDS)

HASH = hashlib.sha256(b"photo").hexdigest()
LONGEST_NAME = "w=16383,h=16383,fit=contain,g=northeast,bg=ff8800,enlarge=1,q=100,fm=avif.avif"


def is_legal(key: str) -> bool:
    try:
        return check_key(key) == key
    except InvalidKey:
        return False


# Segments that a careless scheme would trip over, in keys on both sides of every length limit.
_SEGMENTS = st.sampled_from(
    ["a", "", ".", "..", "a.jpg", "~", f"~{HASH}", LONGEST_NAME, "é", "🐈", " ", "%2F", "\n"]
)
_SHORT = st.lists(_SEGMENTS | st.text(max_size=8), min_size=1, max_size=6).map("/".join)
_LONG = st.builds(
    lambda filler, length, tail: (filler * length)[:length] + tail,
    st.sampled_from(["x", "é", "🐈", "ab/"]),
    st.integers(170, 1024),
    st.sampled_from(["", "/", "y", f"~{HASH}", f"~{HASH}/", f"~{HASH}/b"]),
)
KEYS = (_SHORT | _LONG).filter(is_legal)
