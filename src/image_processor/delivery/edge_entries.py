"""What the CloudFront function knows: the entries of its key value store, and how to change them.

The function `publish` writes them at each deployment; deploy.sh validates them before it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from image_processor.config.recipe import Recipe, Rule
from image_processor.config.settings import Settings
from image_processor.domain.errors import Invalid, Problem
from image_processor.domain.transformation import Transformation, quote

from .http.negotiation import MODERN
from .policy import Policy
from .url.parameter_names import AUTO, FORMAT

# "Quotas on key value stores", and UpdateKeys of the API reference.
MAX_CHANGES = 50
"""Entries that one call of UpdateKeys may put and delete."""
MAX_KEY, MAX_VALUE, MAX_TOTAL = 512, 1024, 5 * 1024 * 1024

# A longer transformation is no stored name, neither in delivery nor in the CloudFront function.
MAX_NAME = 200

FOR_ALL = "all"
FOR_SOME = "some"
"""Whether a name is public for every original or only for some. A request whose format is negotiated has the
declared formats of MODERN instead, if there are any."""
_COMPLETE = "names"
_QUERIES = "imgix"
"""The dialect whose URLs look like the project's own, which the function has to know."""

Store = Mapping[str, str]


def entries(recipe: Recipe, settings: Settings) -> dict[str, str]:
    """The entries of the store, as viewer_request.js reads them. Raises Invalid if they exceed a quota."""
    found = {f"k/{kid}": secret for kid, secret in settings.signing_keys}
    if settings.hints:
        found["hints"] = ",".join(map(str, Policy().hint_widths))
    if settings.dialects:
        found["dialects"] = _QUERIES if _QUERIES in settings.dialects else "1"
    # If unsigned requests are allowed, every name is public and no list is complete.
    if settings.allow_unsigned:
        found["unsigned"] = "1"
    else:
        found |= {f"n/{name}": where for name, where in _names(recipe).items()}
        found |= {
            f"p/{quote(name)}": _modern(transformation.format for transformation in transformations)
            for name, transformations in recipe.presets.items()
            if name not in recipe.private
        }
        found[_COMPLETE] = "1"
    _check_quotas(found)
    return found


def _names(recipe: Recipe) -> dict[str, str]:
    """The public names, and whether each is public for every original. Included are requests that resolve to
    one of them: the same without a format, and with `fm=auto` and the formats to negotiate."""
    by_rule = [
        {transformation.name: transformation for transformation in _public(recipe, rule)}
        for rule in recipe.rules
    ]
    complete = any(rule.match == "**" for rule in recipe.rules)
    found: dict[str, str] = {}
    formats: dict[str, set[str]] = {}
    for declared in by_rule:
        for name, transformation in declared.items():
            text = str(transformation).rpartition(f"{FORMAT}=")[0]
            if len(text) <= MAX_NAME:
                found[text.rstrip(",")] = FOR_SOME
                formats.setdefault(f"{text}{FORMAT}={AUTO}", set()).add(transformation.format)
            for_all = complete and all(name in other for other in by_rule)
            found[name] = FOR_ALL if for_all else FOR_SOME
    return found | {name: _modern(declared) for name, declared in formats.items()}


def _modern(formats: Iterable[str]) -> str:
    """Those of ``formats`` that depend on the client's Accept header."""
    declared = set(formats)
    return ",".join(name for name in MODERN if name in declared) or FOR_SOME


def _public(recipe: Recipe, rule: Rule) -> Iterator[Transformation]:
    for name in rule.presets:
        if name not in recipe.private:
            yield from recipe.presets[name]


def _check_quotas(found: Store) -> None:
    for key, value in found.items():
        if len(key.encode()) > MAX_KEY or len(value.encode()) > MAX_VALUE:
            shown = key if not key.startswith("k/") else "a signing key"
            expected = f"at most {MAX_KEY} bytes of key and {MAX_VALUE} of value"
            raise Invalid([Problem("the CloudFront function's store", expected, shown)])
    size = sum(len(key.encode()) + len(value.encode()) for key, value in found.items())
    if size > MAX_TOTAL:
        raise Invalid([Problem("the CloudFront function's store", f"at most {MAX_TOTAL} bytes", str(size))])


def changes(wanted: Store, stored: Store) -> Iterator[tuple[str, str | None]]:
    """The entries to put (key and value) and to delete (key and None), in an order that keeps the store
    consistent: lists are marked complete after they have grown, and unmarked before they shrink."""
    if _COMPLETE in stored and _COMPLETE not in wanted:
        yield _COMPLETE, None
    puts = [(key, value) for key, value in wanted.items() if stored.get(key) != value]
    yield from sorted(puts, key=lambda put: (put[0] == _COMPLETE, put[0]))
    yield from ((key, None) for key in sorted(stored.keys() - wanted.keys() - {_COMPLETE}))
