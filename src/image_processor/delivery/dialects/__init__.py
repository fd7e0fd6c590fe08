"""Dialects: URL grammars of other products, each a frozen value that only parses. A URL becomes an
`RenditionRequest` there, as one of our own does; docs/dialects.md tells what of each is understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image_processor.delivery.policy import Dialect

NAMES = ("thumbor", "dit", "imgproxy")


def enabled(
    names: Sequence[str],
    *,
    secrets: Mapping[str, bytes],
    signature_bytes: int = 32,
    unsafe: bool = False,
    lenient: bool = False,
    buckets: frozenset[str] = frozenset(),
) -> tuple[Dialect, ...]:
    """The dialects of ``names``, in their order: the first that a URL is meant for reads it.

    ``secrets`` may hold `thumbor`, `dit`, `imgproxy` and `imgproxy-salt`. ``unsafe`` says that
    everybody may ask for everything. Only what is enabled is loaded.
    """
    made: list[Dialect] = []
    for name in names:
        if name == "thumbor":
            from .thumbor import Thumbor  # noqa: PLC0415 - as said

            made.append(Thumbor(secrets.get(name), unsafe, lenient, buckets))
        elif name == "dit":
            from .dit import Dit  # noqa: PLC0415

            made.append(Dit(secrets.get(name), unsafe, lenient, buckets))
        elif name == "imgproxy":
            from .imgproxy import Imgproxy  # noqa: PLC0415

            salt = secrets.get("imgproxy-salt", b"")
            made.append(Imgproxy(secrets.get(name), salt, signature_bytes, unsafe, lenient, buckets))
        else:
            raise ValueError(name)
    return tuple(made)
