"""Delivery: builds the URL of a rendition, the inverse of `parse_url`.

Pure. A public rendition gets a plain path; any other one the original's path with a signed query.
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
from image_processor.renditions.urls import object_url

from .parser import parse_url
from .signing import signature_query

_BASE_URL = re.compile(r"((https?:)?//[A-Za-z0-9.:\[\]-]+)?(/(?!/)[A-Za-z0-9._~!$&*+,;=:@/%-]*)?")


def check_base_url(base_url: str) -> str:
    """``base_url`` without trailing slashes, if it is a URL, a path or empty. Raises Invalid."""
    if not _BASE_URL.fullmatch(base_url):
        raise Invalid.one("base", "a URL such as https://img.example, or a path", base_url)
    return base_url.rstrip("/")


class UrlBuilder(Struct, frozen=True):
    """Builds the URLs of the renditions of one original, below ``base_url``."""

    base_url: str
    key: str
    recipe: Recipe
    policy: Policy

    def is_public(self, transformation: Transformation) -> bool:
        """Whether a public preset declares ``transformation`` for this original."""
        return not self.recipe.stored_name(self.key, transformation).startswith(ON_DEMAND)

    def rendition_url(self, transformation: Transformation) -> str:
        """A URL that does not expire. Raises as `query_url`, and SizeNotAllowed or InvalidRequest for a
        transformation that the policy does not allow."""
        if self.is_public(transformation):
            return object_url(self.base_url, rendition_prefix(self.key) + transformation.name)
        self.check(transformation)
        # No value of the canonical text contains a comma.
        return self.query_url(str(transformation).split(","))

    def check(self, transformation: Transformation) -> None:
        """Return if a signed request for the rendition is allowed. Raises as `Policy.check`."""
        if transformation not in self.recipe.transformations_for(self.key):
            self.policy.check(transformation, signed=True)

    def query_url(self, pairs: Iterable[str], *, signed: bool = True) -> str:
        """The original's URL with a query of ``pairs`` such as `w=640`. It is signed if ``signed``, unless
        the policy allows unsigned requests and no key is set. Raises SignatureKeyUnknown without a key."""
        query = "&".join(pairs)
        url = f"{object_url(self.base_url, self.key)}?{query}"
        if not signed or (self.policy.allow_unsigned and not self.policy.keyring):
            return url
        signature = self.policy.keyring.sign(parse_url(quote(self.key), query))
        return f"{url}&{signature_query(signature)}"
