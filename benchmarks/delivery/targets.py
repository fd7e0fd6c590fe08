"""The requested renditions, of three kinds, as URLs of each server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring

from .servers import KEY_ID, QUALITY, SECRET

KINDS = ("JPEG", "JPEG crop", "WebP")
"""About 640 wide as JPEG, a centred square of about 400 as JPEG, and about 640 wide as WebP."""

IPX_KINDS = ("progressive JPEG", "progressive JPEG crop", "WebP of effort 4")
"""The same as ipx encodes them, which it has no options for."""

_KEYRING = Keyring({KEY_ID: SECRET.encode()})


@dataclass(frozen=True, slots=True)
class Target:
    """One rendition, ``width`` pixels wide."""

    key: str
    kind: str
    width: int

    @property
    def is_crop(self) -> bool:
        return self.kind.endswith("crop")

    @property
    def is_webp(self) -> bool:
        return self.kind.startswith("WebP")

    def path(self, side: str) -> str:
        """The path and query of the rendition on the server of ``side``."""
        paths = {"ours": self._ours, "thumbor": self._thumbors, "ipx": self._ipxs}
        return paths[side]()

    def _ours(self) -> str:
        box = f"w={self.width}&h={self.width}" if self.is_crop else f"w={self.width}"
        query = f"{box}&fm={'webp' if self.is_webp else 'jpeg'}"
        if self.kind in IPX_KINDS:
            query += "&effort=4" if self.is_webp else "&prog=1"
        signature = _KEYRING.sign(parse_url(self.key, query))
        return f"/renditions/{self.key}?{query}&kid={signature.kid}&s={signature.mac}"

    def _thumbors(self) -> str:
        height = self.width if self.is_crop else 0
        filters = "filters:format(webp)/" if self.is_webp else ""
        path = f"{self.width}x{height}/{filters}{self.key}"
        digest = hmac.new(SECRET.encode(), path.encode(), hashlib.sha1).digest()
        return f"/{base64.urlsafe_b64encode(digest).decode()}/{path}"

    def _ipxs(self) -> str:
        box = f"s_{self.width}x{self.width}" if self.is_crop else f"w_{self.width}"
        format_ = "webp" if self.is_webp else "jpeg"
        return f"/{box},f_{format_},q_{QUALITY[format_]}/{self.key}"


def all_targets(keys: Iterable[str], kinds: Sequence[str]) -> list[Target]:
    """All targets, in a random order that is the same each time."""
    targets = [Target(key, kind, width) for key in keys for kind in kinds for width in widths_of(kind)]
    random.Random(1).shuffle(targets)  # noqa: S311 - not a secret
    return targets


def widths_of(kind: str) -> range:
    """The widths of targets of ``kind``."""
    return range(320, 481) if kind.endswith("crop") else range(560, 721)


_PAGE_WIDTHS = range(481, 557)
_WIDTHS_OF_PAGE = 4


def page_targets(keys: Sequence[str]) -> list[Target]:
    """As the readers of a page request them: four widths of one photograph, each as JPEG and as WebP, one
    after the other; none is in `all_targets`. The order of photographs is random, and the same each time."""
    starts = range(_PAGE_WIDTHS.start, _PAGE_WIDTHS.stop, _WIDTHS_OF_PAGE)
    pages = list(itertools.product(keys, starts))
    random.Random(3).shuffle(pages)  # noqa: S311 - as above
    return [
        Target(key, kind, start + number)
        for key, start in pages
        for number in range(_WIDTHS_OF_PAGE)
        for kind in ("JPEG", "WebP")
    ]


def mixed(warm: Sequence[Target], cold: Iterable[Target], count: int) -> list[Target]:
    """``count`` targets: nine of ten from ``warm``, by Zipf's law, the others each once from ``cold``."""
    rng = random.Random(2)  # noqa: S311 - as above
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(warm) + 1)))
    cold = iter(cold)
    popular = rng.choices(warm, cum_weights=weights, k=count)
    return [next(cold) if rng.random() < 0.1 else target for target in popular]
