"""Delivery, step 1: parses the project's own URLs into a key and canonical parameter pairs.

Each transformation has one canonical form, whatever the order, repetition, case or escaping of its
parameters. This module checks syntax only; `parse_values` checks what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from image_processor.domain.errors import InvalidRequest, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import percent_decode
from image_processor.domain.transformation import ON_DEMAND
from image_processor.domain.transformation.aliases import (
    ALIASES,
    REPEATABLE,
    canonical_name,
    canonical_value,
)

from .parameter_names import (
    AUTO_WORDS,
    FOCAL_POINT,
    FORMAT,
    PARAMETER_ORDER,
    SIGNATURE_PARAMETERS,
    is_ignored,
)
from .parameter_values import parse_values

Pairs = tuple[tuple[str, str], ...]

_MAX_PROBLEMS = 20
"""Parsing stops after this many problems, which bounds the length of an error response."""

MAX_URL = 8192
"""Maximum bytes of path and query together: CloudFront's limit ("Quotas": length of a URL)."""

_VALUE = re.compile(r"[A-Za-z0-9_.:;~-]*")
_RENDITION_NAME = re.compile(rf"(?P<private>{ON_DEMAND}?)(?P<pairs>(?:[a-z-]+=[^,/]*(?:,[a-z-]+=[^,/]*)*)?)")
_RANK = {name: rank for rank, name in enumerate(PARAMETER_ORDER)}


class UrlSignature(Struct, frozen=True):
    """The signature parameters of a URL, unverified: the MAC as it arrived, the id of the key that made
    it, and the expiry in Unix seconds. None where a parameter is absent."""

    mac: str
    kid: str | None = None
    expires: str | None = None


class ParsedUrl(Struct, frozen=True):
    """One of the project's URLs."""

    key: str
    """The key of an original."""
    pairs: Pairs = ()
    """Canonical pairs of parameter and value, in canonical order."""
    signature: UrlSignature | None = None
    """None for an unsigned URL."""
    named: bool = False
    """Whether the path names a rendition, which may be stored under that name."""
    private: bool = False
    """Whether the name is that of an on-demand rendition, which only a signature opens."""

    @property
    def text(self) -> str:
        """The pairs as in a transformation's canonical text: `w=640,fm=webp`."""
        return ",".join(f"{name}={value}" for name, value in self.pairs)

    @property
    def string_to_sign(self) -> str:
        """The signed text: the decoded key, `?`, then the pairs with `expires` and `kid`, sorted by name
        and joined by `&`.

        No value contains `?`, so two different URLs never share a string to sign.
        """
        pairs = list(self.pairs)
        if self.signature is not None:
            parameters = (("expires", self.signature.expires), ("kid", self.signature.kid))
            pairs += [(name, value) for name, value in parameters if value is not None]
        pairs.sort(key=lambda pair: pair[0])
        return f"{self.key}?" + "&".join(f"{name}={value}" for name, value in pairs)


def parse_url(path: str, query: str = "") -> ParsedUrl:
    """Parse a percent-encoded path, without its leading slash, and a query string.

    `photos/cat.jpg` with `w=640&fm=webp` equals `photos/cat.jpg/w=640,fm=webp.webp` without a query.
    Raises InvalidRequest with every syntax problem.
    """
    check_length(path, query)
    key, pairs = _decode(path, "the path"), _parse_query(query)
    signature, pairs = _split_signature(pairs)
    prefix, slash, name = key.rpartition("/")
    match = _RENDITION_NAME.fullmatch(_without_extension(name)) if slash and prefix and not pairs else None
    if match is None or not (match["private"] or match["pairs"]):
        return ParsedUrl(key, canonical_pairs(pairs), signature)
    named = [tuple(pair.split("=", 1)) for pair in match["pairs"].split(",") if pair]
    canonical = canonical_pairs((name, value) for name, value in named)
    return ParsedUrl(prefix, canonical, signature, named=True, private=bool(match["private"]))


def check_length(path: str, query: str) -> None:
    """Raise InvalidRequest if path and query exceed MAX_URL bytes."""
    if len(path) + len(query) > MAX_URL:
        raise InvalidRequest.one("the URL", f"at most {MAX_URL} bytes", len(path) + len(query))


def canonical_pairs(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """Decoded pairs of name and value in their canonical form and order.

    Names become canonical short names in lower case. Values become lower case, except for preset names
    and texts, with `:` for `,`. Repeated pairs are merged. Raises InvalidRequest with every problem.
    """
    problems: list[Problem] = []
    values_of: dict[str, list[str]] = {}
    for name, value in _expand_aliases(pairs):
        if name not in _RANK:
            problems.append(Problem("parameter", _known_names(name), repr(name)))
        elif not _VALUE.fullmatch(value):
            problems.append(Problem(name, "letters, digits and _ . : ; ~ -", repr(value)))
        elif name in REPEATABLE or value not in values_of.get(name, ()):
            values_of.setdefault(name, []).append(value)
        if len(problems) >= _MAX_PROBLEMS:
            break
    problems += [
        Problem(name, "one value", " and ".join(map(repr, values)))
        for name, values in values_of.items()
        if len(values) > 1 and name not in REPEATABLE
    ]
    canonical = tuple(
        (name, value) for name in sorted(values_of, key=_RANK.__getitem__) for value in values_of[name]
    )
    if problems:
        reported = {problem.name for problem in problems}
        _, of_values = parse_values(pair for pair in canonical if pair[0] not in reported)
        raise InvalidRequest([*problems, *of_values][:_MAX_PROBLEMS])
    return canonical


def _expand_aliases(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Each pair under its canonical name; imgix' `auto` is split, its `fp-x` and `fp-y` are joined."""
    focal_point: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = canonical_name(raw_name)
        value = canonical_value(name, raw_value)
        if name == "auto":
            for word in value.split(":"):
                yield AUTO_WORDS.get(word, (name, word))
        elif name in FOCAL_POINT[1:]:
            focal_point[name] = value
        else:
            yield name, value
    if len(focal_point) == 2:
        yield FOCAL_POINT[0], ":".join(focal_point[name] for name in FOCAL_POINT[1:])
    else:
        yield from focal_point.items()


def _split_signature(pairs: list[tuple[str, str]]) -> tuple[UrlSignature | None, list[tuple[str, str]]]:
    """The signature parameters, and the other pairs."""
    parameters = {name: value for name, value in pairs if name in SIGNATURE_PARAMETERS}
    others = [pair for pair in pairs if pair[0] not in SIGNATURE_PARAMETERS]
    if len(pairs) - len(others) > len(parameters):
        raise InvalidRequest.one("s, kid and expires", "each at most once", "one of them twice")
    if not parameters:
        return None, others
    return UrlSignature(parameters.get("s", ""), parameters.get("kid"), parameters.get("expires")), others


def _parse_query(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    decoded = [
        (_decode(name, "the query", plus=True), _decode(value, "the query", plus=True))
        for name, _, value in pairs
    ]
    return [pair for pair in decoded if not is_ignored(pair[0])]


def _decode(text: str, where: str, *, plus: bool = False) -> str:
    try:
        return percent_decode(text, plus=plus)
    except UnicodeDecodeError:
        raise InvalidRequest.one(where, "percent-encoded UTF-8", text) from None


def _without_extension(name: str) -> str:
    """`w=640,fm=webp.webp` without the extension, if that is the one of its format."""
    stem, dot, extension = name.rpartition(".")
    format_ = FORMATS.get(stem.rpartition(f"{FORMAT}=")[2])
    return stem if dot and format_ is not None and format_.extension == extension else name


def _known_names(name: str) -> str:
    from image_processor.domain.transformation import suggest  # noqa: PLC0415 - for errors only

    return suggest((*PARAMETER_ORDER, *ALIASES, "auto", *SIGNATURE_PARAMETERS), name)
