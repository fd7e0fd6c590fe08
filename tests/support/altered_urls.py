"""Signed URLs, and the same with one byte changed (promise 37)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from urllib.parse import quote

from image_processor.delivery.request import HttpRequest
from image_processor.delivery.url.parser import ParsedUrl, parse_url
from image_processor.delivery.url.signing import Keyring, signature_query
from image_processor.domain.errors import InvalidRequest

RING = Keyring({"a": b"a secret that nobody guesses", "b2": b"another secret to be guessed"})
ENDS = 1_900_000_000
NOW = 1_800_000_000.0
_KEYS = ("cat.jpg", "photos/cat 1.jpg", "ä/Käse & Brot?#+%.png", "a/../b//c", "w=1/fm=webp.webp", "a~b,c.gif")
_PAIRS = (
    *("w=10", "W=640", "h=99", "fm=webp", "fm=auto", "format=AVIF", "q=75", "fit=crop", "g=top,left"),
    *("bg=%23ff0000", "over=text:Hi;size:10", "over=image:logos~2fA.png", "blur=2.5", "v=3", "rot=90"),
    *("preset=small", "dpr=2", "grey=1", "auto=compress"),
)


def signed_urls(count: int, seed: int) -> Iterator[bytes]:
    """Request targets without their leading slash, half of them in the path form."""
    random = Random(seed)
    made = 0
    while made < count:
        key = quote(random.choice(_KEYS))
        pairs = random.sample(_PAIRS, random.randrange(4))
        if random.random() < 0.5:
            path, query = f"{key}/~{','.join([*pairs, 'fm=webp.webp'])}", ""
        else:
            path, query = key, "&".join(pairs)
        with suppress(InvalidRequest):
            signature = RING.sign(parse_url(path, query), random.choice([None, ENDS]))
            yield f"{path}?{'&'.join(filter(None, [query, signature_query(signature)]))}".encode()
            made += 1


def altered(url: bytes, random: Random, values: int) -> Iterator[bytes]:
    """``url`` with each byte changed in turn, to ``count`` of the 255 other values."""
    original = address_of(url)
    for at, byte in enumerate(url):
        others = [value for value in range(256) if value != byte]
        for value in random.sample(others, values):
            changed = url[:at] + bytes([value]) + url[at + 1 :]
            # A change of case may give an equivalent URL.
            if address_of(changed) != original:
                yield changed


def get_of(target: bytes) -> HttpRequest:
    path, _, query = target.decode("latin-1").partition("?")
    return HttpRequest("GET", path, query)


def address_of(target: bytes) -> ParsedUrl | None:
    get = get_of(target)
    try:
        return parse_url(get.path, get.query)
    except InvalidRequest:
        return None
