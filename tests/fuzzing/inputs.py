"""Hypothesis strategies: inputs made of a target's words, and its valid inputs with a few edits."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from .target import FuzzTarget

Edit = tuple[str, float, int, bytes]


def inputs(target: FuzzTarget) -> st.SearchStrategy[bytes]:
    """Bytes for ``target``, at most as long as it takes."""
    words = st.sampled_from(target.tokens)
    repeated = st.builds(bytes.__mul__, words, st.integers(2, 4000))
    piece = words | words | repeated | st.binary(max_size=8)
    fresh = st.lists(piece, max_size=12).map(b"".join)
    edit = st.tuples(st.sampled_from(sorted(_EDITS)), st.floats(0, 1), st.integers(1, 64), piece)
    seed = st.sampled_from(target.seeds())
    edited = st.builds(_edited, seed, st.lists(edit, max_size=4))
    return (fresh | edited).map(lambda data: data[: target.max_bytes])


def _edited(data: bytes, edits: list[Edit]) -> bytes:
    for name, position, length, piece in edits:
        at = int(position * len(data))
        data = _EDITS[name](data, at, length, piece)
    return data


_EDITS: dict[str, Callable[[bytes, int, int, bytes], bytes]] = {
    "insert": lambda data, at, _length, piece: data[:at] + piece + data[at:],
    "overwrite": lambda data, at, _length, piece: data[:at] + piece + data[at + len(piece) :],
    "delete": lambda data, at, length, _piece: data[:at] + data[at + length :],
    "repeat": lambda data, at, length, _piece: data[:at] + data[at : at + length] * 2 + data[at + length :],
    "truncate": lambda data, at, _length, _piece: data[:at],
}
