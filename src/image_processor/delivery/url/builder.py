"""Delivery: the other way round from grammar: a rendition becomes the URL that opens it.

Pure. What everybody may see has a plain path, the rest a query with a signature.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.delivery.policy import Policy
from image_processor.domain.errors import Invalid
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.transformation import ON_DEMAND, Transformation

from .parser import parse_url
from .signing import signature_query

_BASE = re.compile(r"((https?:)?//[A-Za-z0-9.:\[\]-]+)?(/(?!/)[A-Za-z0-9._~!$&*+,;=:@/%-]*)?")


def url_of(base: str, key: str) -> str:
    """The URL under which ``key`` can be reached behind ``base``, which ends without a slash.

    Clients resolve `.` and `..` between slashes, even percent-encoded (WHATWG URL, "double-dot
    URL path segment"): the slashes of such a key are encoded, so that it is one segment.
    """
    dotted = any(segment in {".", ".."} for segment in key.split("/"))
    return f"{base}/" + quote(key, safe="=,~" if dotted else "/=,~")


def check_base(base: str) -> str:
    """``base`` without a slash at its end, if renditions can lie behind it: an address, the path of one,
    or nothing. Raises Invalid."""
    if not _BASE.fullmatch(base):
        raise Invalid.one("base", "an address like https://img.example, or a path", base)
    return base.rstrip("/")


class Urls(Struct, frozen=True):
    """The URLs of one original's renditions, behind ``base``."""

    base: str
    key: str
    recipe: Recipe
    policy: Policy

    def is_open(self, transformation: Transformation) -> bool:
        """Whether everybody may see it of this original."""
        return not self.recipe.stored_name(self.key, transformation).startswith(ON_DEMAND)

    def of(self, transformation: Transformation) -> str:
        """Opens the rendition for ever. Raises as `queried`, and SizeNotAllowed or InvalidRequest for what
        this deployment does not make."""
        if self.is_open(transformation):
            return url_of(self.base, rendition_prefix(self.key) + transformation.name)
        self.check(transformation)
        # No value of the canonical text holds a comma.
        return self.queried(str(transformation).split(","))

    def check(self, transformation: Transformation) -> None:
        """Return if the rendition may be asked for by whoever brings a signature."""
        if transformation not in self.recipe.transformations_for(self.key):
            self.policy.check(transformation, signed=True)

    def queried(self, pairs: Iterable[str], *, sealed: bool = True) -> str:
        """The original with a query of ``pairs`` such as `w=640`, with a signature unless everybody may
        ask for everything. Raises SignatureKeyUnknown where no key can make one."""
        query = "&".join(pairs)
        url = f"{url_of(self.base, self.key)}?{query}"
        if not sealed or (self.policy.unsigned and not self.policy.keyring):
            return url
        seal = self.policy.keyring.seal(parse_url(quote(self.key), query))
        return f"{url}&{signature_query(seal)}"
