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
    count_signed = 0
    while count_signed < count:
        key = quote(random.choice(_KEYS))
        pairs = random.sample(_PAIRS, random.randrange(4))
        if random.random() < 0.5:
            path, query = f"{key}/~{','.join([*pairs, 'fm=webp.webp'])}", ""
        else:
            path, query = key, "&".join(pairs)
        with suppress(InvalidRequest):
            signature = RING.sign(parse_url(path, query), random.choice([None, ENDS]))
            yield f"{path}?{'&'.join(filter(None, [query, signature_query(signature)]))}".encode()
            count_signed += 1


def altered(url: bytes, random: Random, values: int) -> Iterator[bytes]:
    """The URLs of `changed_bytes` that are not equivalent to ``url``."""
    return (changed for changed in changed_bytes(url, random, values) if not is_equivalent(changed, url))


def changed_bytes(url: bytes, random: Random, values: int) -> Iterator[bytes]:
    """``url`` with each byte changed in turn, to ``values`` of the 255 other values."""
    for at, byte in enumerate(url):
        for step in random.sample(range(1, 256), values):
            yield url[:at] + bytes([(byte + step) % 256]) + url[at + 1 :]


def is_equivalent(changed: bytes, url: bytes) -> bool:
    """Whether both URLs mean the same, as `W=` and `w=` do."""
    return address_of(changed) == address_of(url)


def get_of(target: bytes) -> HttpRequest:
    path, _, query = target.decode("latin-1").partition("?")
    return HttpRequest("GET", path, query)


def address_of(target: bytes) -> ParsedUrl | None:
    get = get_of(target)
    try:
        return parse_url(get.path, get.query)
    except InvalidRequest:
        return None
