"""What a fuzz target is."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from image_processor.domain.transformation import Transformation, parse


class FuzzTarget(Struct, frozen=True):
    """A parser under test.

    ``check`` takes any bytes. It raises nothing for input that the parser rejects by the errors that it
    documents; whatever it raises is a fault. ``seeds`` returns valid inputs, ``tokens`` are words that
    matter to the parser. ``max_bytes`` is the longest input that may reach it. Parsing takes at most
    ``base_lines`` lines of Python plus ``lines_per_byte`` for each byte: more would be a way to make it slow.
    """

    check: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]]
    tokens: tuple[bytes, ...]
    max_bytes: int = 8192
    base_lines: int = 20_000
    lines_per_byte: int = 200


def text_of(data: bytes) -> str:
    """``data`` as text. Bytes that are no UTF-8 become lone surrogates, as a JSON event may contain them."""
    return data.decode(errors="surrogateescape")


def check_error(error: Exception) -> None:
    """An error's message can be sent and logged: it has no control characters and no lone surrogates."""
    assert str(error).isprintable(), ascii(str(error))


def check_round_trip(transformation: Transformation) -> None:
    """The canonical text means the transformation, and is final."""
    text = str(transformation)
    assert parse(text) == transformation, text
    assert str(parse(text)) == text
