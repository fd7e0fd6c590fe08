"""Delivery: our own URLs. A path and a query become a key and canonical pairs of texts.

One meaning has one canonical form, however it is ordered, repeated, cased or escaped. This is about
letters only: what the values mean is judged afterwards, by `asked`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from image_processor.domain.errors import InvalidRequest, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import ON_DEMAND

from .parameter_names import (
    ALIASES,
    AUTO_WORDS,
    CASED,
    FORMAT,
    IGNORED,
    MANY,
    ORDER,
    POINT,
    SEAL,
    VALUE_ALIASES,
)
from .parameter_values import parse_values

Pairs = tuple[tuple[str, str], ...]

_MOST_TOLD = 20
"""Mistakes that are looked for: more would only make a long answer to a short question."""

MAX_URL = 8192
"""The most bytes of path and query: CloudFront's limit ("Quotas": length of a URL)."""

_VALUE = re.compile(r"[A-Za-z0-9_.:;~-]*")
_ESCAPE = re.compile(r"~[0-9A-F]{2}", re.IGNORECASE)
_NAME = re.compile(rf"(?P<private>{ON_DEMAND}?)(?P<pairs>(?:[a-z-]+=[^,/]*(?:,[a-z-]+=[^,/]*)*)?)")
_RANK = {name: rank for rank, name in enumerate(ORDER)}


class UrlSignature(Struct, frozen=True):
    """What a URL brings to prove that it is allowed: the signature as it came, the id of the key that
    made it, and the second (Unix time) at which it ends; None where it did not say."""

    signature: str
    kid: str | None = None
    expires: str | None = None


class ParsedUrl(Struct, frozen=True):
    """What a URL of ours says, letter by letter: an original's ``key`` and canonical ``pairs`` of
    parameter and value, in the order of the vocabulary. ``seal`` is None where it is unsigned.

    ``named`` says that it is the path of a rendition, which may be stored under just that name, and
    ``private`` that nobody may see that name without a signature.
    """

    key: str
    pairs: Pairs = ()
    seal: UrlSignature | None = None
    named: bool = False
    private: bool = False

    @property
    def text(self) -> str:
        """`w=640,fm=webp`: the pairs as a transformation's text shows them."""
        return ",".join(f"{name}={value}" for name, value in self.pairs)

    @property
    def string_to_sign(self) -> str:
        """What is signed: the key as it is, a question mark, the pairs and what of the seal is no
        signature, sorted by name and joined as in a query.

        No value holds a question mark, so that two addresses never share it.
        """
        pairs = list(self.pairs)
        if self.seal is not None:
            given = (("expires", self.seal.expires), ("kid", self.seal.kid))
            pairs += [(name, value) for name, value in given if value is not None]
        pairs.sort(key=lambda pair: pair[0])
        return f"{self.key}?" + "&".join(f"{name}={value}" for name, value in pairs)


def parse_url(path: str, query: str = "") -> ParsedUrl:
    """The address that a path (percent-encoded, without its first slash) and a query stand for.

    `photos/cat.jpg` with `w=640&fm=webp` is the same as `photos/cat.jpg/w=640,fm=webp.webp` without.
    Raises InvalidRequest with every mistake of the letters.
    """
    if len(path) + len(query) > MAX_URL:
        raise InvalidRequest.one("the URL", f"at most {MAX_URL} bytes", len(path) + len(query))
    key, given = _decoded(path, "the path"), _query(query)
    seal, given = _sealed(given)
    prefix, slash, name = key.rpartition("/")
    match = _NAME.fullmatch(_without_extension(name)) if slash and prefix and not given else None
    if match is None or not (match["private"] or match["pairs"]):
        return ParsedUrl(key, canonical(given), seal)
    pairs = [tuple(pair.split("=", 1)) for pair in match["pairs"].split(",") if pair]
    read = canonical((name, value) for name, value in pairs)
    return ParsedUrl(prefix, read, seal, named=True, private=bool(match["private"]))


def canonical(given: Iterable[tuple[str, str]]) -> Pairs:
    """Pairs of decoded names and values in their one canonical form and order.

    Names are lower-case and ours; values are lower-case but for names and texts, with colons for
    commas. The same said twice is said once. Raises InvalidRequest with every mistake.
    """
    problems: list[Problem] = []
    found: dict[str, list[str]] = {}
    for name, value in _expanded(given):
        if name not in _RANK:
            problems.append(Problem("parameter", _known(name), repr(name)))
        elif not _VALUE.fullmatch(value):
            problems.append(Problem(name, "letters, digits and _ . : ; ~ -", repr(value)))
        elif name in MANY or value not in found.get(name, ()):
            found.setdefault(name, []).append(value)
        if len(problems) >= _MOST_TOLD:
            break
    problems += [
        Problem(name, "one value", " and ".join(map(repr, values)))
        for name, values in found.items()
        if len(values) > 1 and name not in MANY
    ]
    pairs = tuple((name, value) for name in sorted(found, key=_RANK.__getitem__) for value in found[name])
    if problems:
        told = {problem.name for problem in problems}
        _, wrong = parse_values(pair for pair in pairs if pair[0] not in told)
        raise InvalidRequest([*problems, *wrong][:_MOST_TOLD])
    return pairs


def _expanded(given: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Each pair under our own name, imgix' combined ones taken apart or put together."""
    point: dict[str, str] = {}
    for raw_name, raw_value in given:
        name = ALIASES.get(raw_name.lower(), raw_name.lower())
        value = _value(name, raw_value)
        if name == "auto":
            for word in value.split(":"):
                yield AUTO_WORDS.get(word, (name, word))
        elif name in POINT[1:]:
            point[name] = value
        else:
            yield name, value
    if len(point) == 2:
        yield POINT[0], ":".join(point[name] for name in POINT[1:])
    else:
        yield from point.items()


def _value(name: str, value: str) -> str:
    value = value.removeprefix("#").replace(",", ":")
    if name in CASED:
        return _ESCAPE.sub(lambda match: match[0].lower(), value)
    value = {"true": "1", "false": "0"}.get(value.lower(), value.lower())
    aliases = VALUE_ALIASES.get(name)
    return aliases.get(value, value) if aliases else value


def _sealed(given: list[tuple[str, str]]) -> tuple[UrlSignature | None, list[tuple[str, str]]]:
    """The seal among the pairs, and the others."""
    seal = {name: value for name, value in given if name in SEAL}
    rest = [pair for pair in given if pair[0] not in SEAL]
    if len(given) - len(rest) > len(seal):
        raise InvalidRequest.one("s, kid and expires", "each at most once", "one of them twice")
    if not seal:
        return None, rest
    return UrlSignature(seal.get("s", ""), seal.get("kid"), seal.get("expires")), rest


def _query(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    decoded = [
        (_decoded(name.replace("+", " "), "the query"), _decoded(value.replace("+", " "), "the query"))
        for name, _, value in pairs
    ]
    return [pair for pair in decoded if pair[0] not in IGNORED]


def _decoded(text: str, where: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidRequest.one(where, "percent-encoded UTF-8", text) from None


def _without_extension(name: str) -> str:
    """`w=640,fm=webp.webp` without the extension that says its format again."""
    stem, dot, extension = name.rpartition(".")
    format_ = FORMATS.get(stem.rpartition(f"{FORMAT}=")[2])
    return stem if dot and format_ is not None and format_.extension == extension else name


def _known(name: str) -> str:
    from image_processor.domain.transformation.parameters import among  # noqa: PLC0415 - only mistakes need it

    return among((*ORDER, *ALIASES, "auto", *SEAL), name)
