"""Random URLs from a seed: valid, in every spelling, and malformed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from urllib.parse import quote

from image_processor.delivery.url import parameter_names as names

Url = tuple[str, str]
"""Path, percent-encoded and without its leading slash, and query."""

_KEYS = (
    "cat.jpg", "photos/cat.jpg", "a b/c+d.jpg", "Grüße/猫🐱.png", "100%.jpg", "~.jpg", "photos/~w=1", "a//b",
    "w=1", "x/w=1,fm=webp.webp", "fm=webp.webp", "#1?.gif", "", "photos/", "constructor", "line\nfeed.jpg",
)  # fmt: skip
_VALUES = (
    "640", "1", "0", "", "auto", "AUTO", "webp", "JPG", "jpeg", "tif", "avif", "crop", "Clip", "max", "a=b",
    "top,left", "Top:Left", "center", "smart", "FACE", "faces,edges", "true", "FALSE", "True", "#ff8800",
    "##1", "ff8", "16:9", "0.5,0.25", "a~2Fb", "A~zz", "card", "Card~20x", "format", "compress,format",
    "format,zebra", "a b", "a/b", "ä", "1\n", "\u212aelvin", "\u0130", "\U0001f431", "a,b", "_x-y.z;1",
    "hero,1", "__proto__", "\0", "+", "%zz", "%",
)  # fmt: skip
_STRANGE = (
    "W\u0130DTH", "foo", "utm_source", "utm_", "UTM_source", "utm", "fbclid", "xfbclid", "__proto__",
    "constructor", "toString", "s", "S", "kid", "KID", "expires", "v", "V", "", "w ", "fm[]", "\u212aid",
    "bl\u017fr",
)  # fmt: skip
_WORDS = (*names.PARAMETER_ORDER, *names.ALIASES, *names.FOCAL_POINT, "auto")
_EXTENSIONS = ("", "", ".webp", ".jpg", ".jpeg", ".tif", ".x", ".")


def urls(count: int, seed: int = 5) -> Iterator[Url]:
    random = Random(seed)
    for _ in range(count):
        yield _path_form(random) if random.random() < 0.3 else _query_form(random)


def _query_form(random: Random) -> Url:
    pairs = [(_name(random), random.choice(_VALUES)) for _ in range(random.randint(0, 4))]
    pairs += random.sample(pairs, min(len(pairs), random.choice((0, 0, 1))))
    parts = [_query_text(random, name) + random.choice(("=", "=", "=", "")) + _query_text(random, value)
             for name, value in pairs]  # fmt: skip
    parts += _seal(random)
    random.shuffle(parts)
    return _path_text(random, random.choice(_KEYS)), random.choice(("&", "&", "&&")).join(parts)


def _path_form(random: Random) -> Url:
    rank = {name: at for at, name in enumerate(names.PARAMETER_ORDER)}
    words = random.sample(names.PARAMETER_ORDER, random.randint(0, 4))
    if random.random() < 0.7:
        words.sort(key=rank.__getitem__)
    pairs = [f"{word if random.random() < 0.9 else _name(random)}={random.choice(_VALUES)}" for word in words]
    if random.random() < 0.6:
        pairs.append("fm=" + random.choice(("webp", "jpeg", "tiff", "avif", "nix", "auto", "constructor")))
    name = random.choice(("", "", "~")) + ",".join(pairs) + random.choice(_EXTENSIONS)
    key = random.choice(_KEYS)
    return _path_text(random, f"{key}/{name}"), "&".join(_seal(random) + random.choice(([], [], ["v=2"])))


def _seal(random: Random) -> list[str]:
    if random.random() < 0.7:
        return []
    given = [("s", "abc_-"), ("kid", "a"), ("expires", random.choice(("1900000000", "x", "")))]
    return [f"{name}={value}" for name, value in random.choices(given, k=random.randint(1, 3))]


def _name(random: Random) -> str:
    name = random.choice(_STRANGE) if random.random() < 0.07 else random.choice(_WORDS)
    return random.choice((name, name, name.upper(), name.title()))


def _path_text(random: Random, text: str) -> str:
    """One of the ways to write it. What is no UTF-8 comes now and then; what is no escape at all is
    refused at the edge before anything is read, so none is here."""
    raw = quote(text, safe=random.choice(("/", "/,=", "/,=:;+~!@#$&'()")))
    if random.random() < 0.1:
        raw = "".join(f"%{byte:02x}" if random.random() < 0.5 and byte != 47 else quote(bytes([byte]))
                      for byte in text.encode())  # fmt: skip
    return raw + "%ff" if random.random() < 0.01 else raw


def _query_text(random: Random, text: str) -> str:
    kind = random.random()
    if kind < 0.03:
        return text.replace("&", "") + random.choice(("%ff", "%", "%4", "%zz", "%C3"))
    if kind < 0.1:
        return "".join(f"%{byte:02X}" for byte in text.encode())
    if kind < 0.3 and text.isprintable():
        return text.replace("&", "")
    return quote(text, safe=random.choice(("", ",:/#", "+"))).replace("%20", random.choice(("%20", "+")))
