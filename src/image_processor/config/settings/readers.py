"""Settings: how the text of a variable becomes a value. ValueError is for what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable

from image_processor.domain.models import ExifField


def whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError(text)
    return text == "1"


def line(text: str) -> str:
    if not text.isprintable() or not text.isascii() or not text:
        raise ValueError(text)
    return text


def bucket(text: str) -> str:
    # "General purpose bucket naming rules": 3-63 lower-case letters, digits, dots and hyphens.
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError(text)
    return text


def address(text: str) -> str:
    if not re.fullmatch(r"https?://[^/?#\s]+(/[!-~]*)?", text, re.ASCII) or "?" in text or "#" in text:
        raise ValueError(text)
    return text.rstrip("/")


def distribution(text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{1,64}", text):
        raise ValueError(text)
    return text


def queue(text: str) -> str:
    # "Queue and message identifiers": the address of the API, the account's number, the queue's name.
    if not re.fullmatch(r"https?://[^/?#\s]+/[A-Za-z0-9_./-]{1,256}", text, re.ASCII):
        raise ValueError(text)
    return text


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def exif(text: str) -> tuple[ExifField, ...]:
    """In the order of ExifField: how they were written makes no difference."""
    wanted = set(map(ExifField, names(text)))
    return tuple(field for field in ExifField if field in wanted)


def keys(text: str) -> tuple[tuple[str, str], ...]:
    """Ids with their secrets. 16 signs are the least that nobody can guess."""
    keys = tuple(re.fullmatch(r"([A-Za-z0-9_-]{1,32}):([!-~]{16,256})", one) for one in names(text))
    found = tuple((match[1], match[2]) for match in keys if match)
    if len(dict(found)) != len(keys) or not keys:
        raise ValueError
    return found


def sizes(text: str) -> tuple[int, ...]:
    side = whole(1, 16_383)
    return tuple(sorted({side(one) for one in names(text)}))


def origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", text):
        raise ValueError(text)
    return text


DIALECTS = ("thumbor", "dit", "imgproxy")


def dialects(text: str) -> tuple[str, ...]:
    """In the order in which they are written."""
    wanted = tuple(dict.fromkeys(names(text.lower())))
    if not set(wanted) <= set(DIALECTS):
        raise ValueError(text)
    return wanted


def hexadecimal(text: str) -> bytes:
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", text):
        raise ValueError
    return bytes.fromhex(text)
