"""Delivery, steps 1-2: resolves an HTTP request to the rendition it asks for, or to an error.

Checks run in order of cost: syntax, then the signature, then the original's metadata if it matters.
A forbidden request is rejected before any store is accessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import (
    InvalidKey,
    InvalidRequest,
    InvalidTransformation,
    NotFound,
    Refused,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.keys import check_key, original_of, percent_decode, rendition_prefix
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import ON_DEMAND, Transformation, is_rendition_name

from .dialects import Dialect, dialect_of
from .policy import NO_PUBLIC_PRESET, Policy
from .request import Clock, HttpRequest, RenditionRequest, parse_request
from .resolve import declared_formats, needs_metadata, resolve
from .url.parameter_names import AUTO, is_ignored
from .url.parser import ParsedUrl, parse_url

_CACHED_ORIGINALS = 4096
"""How many originals' declared names are cached."""


class RenditionRef(Struct, frozen=True):
    """One rendition of an original, and where it is stored."""

    key: str
    """The key of the original."""
    stored_key: str
    """The key of the rendition."""
    transformation: Transformation | None
    """None if the stored key does not say it."""
    declared: bool
    """Whether the recipe declares it for this original. Then ingest makes it with the others, unless it is
    lazy."""
    lazy: bool = False
    """Whether its first view makes it."""
    vary: tuple[str, ...] = ()
    """The request headers that decided which rendition it is."""
    filename: str | None = None
    """For Content-Disposition, as ``attachment``."""
    attachment: bool = False
    expires: float | None = None
    """As in `RenditionRequest`, also ``max_age``."""
    max_age: int | None = None

    @property
    def is_eager(self) -> bool:
        """Whether ingest makes it, and not the request for it."""
        return self.declared and not self.lazy

    @property
    def is_public(self) -> bool:
        """Whether its path opens it without a signature."""
        return not self.stored_key.rpartition("/")[2].startswith(ON_DEMAND)


class RequestResolver:
    """Resolves requests to renditions. Thread-safe.

    ``recipe_number`` counts the recipes and policies that were put in force. ``metadata_of`` returns the
    metadata of the original with a key and may have to read it. It is called only for requests that are
    allowed or may turn out to be a public preset.
    """

    def __init__(
        self, recipe: Recipe, policy: Policy, metadata_of: Callable[[str], ImageMetadata], clock: Clock
    ) -> None:
        self._policy = policy
        self._metadata_of = metadata_of
        self._clock = clock
        self._rules = _CachedRules(recipe)
        self.recipe_number = 0

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    def use_policy(self, policy: Policy) -> None:
        """Resolve requests by another policy from now on."""
        self._policy = policy
        self.recipe_number += 1

    def use(self, recipe: Recipe) -> None:
        """Resolve requests by another recipe from now on."""
        self._rules = _CachedRules(recipe)
        self.recipe_number += 1

    def resolve(self, request: HttpRequest, metadata_error: NotFound | Refused | None = None) -> RenditionRef:
        """The rendition that ``request`` asks for. ``metadata_error``, if given, is raised in place of
        reading the original's metadata, which failed before.

        Raises InvalidKey, InvalidRequest, Forbidden; NotFound and Refused if the metadata is needed and
        not available; and what ``metadata_of`` raises.
        """
        stored = self._stored_name(request)
        if stored is not None:
            return stored
        parsed = self._parse(request)
        check_key(parsed.key)
        try:
            return self._resolve(parsed, request, metadata_error)
        except InvalidTransformation as error:
            raise InvalidRequest(error.problems) from None

    def reference(self, key: str, transformation: Transformation) -> RenditionRef:
        """The rendition of ``key``, for an API client that needs no signature. Raises InvalidRequest."""
        name, declared = transformation.name, self._declared_names(key)
        if name not in declared:
            self._policy.check_overlay_sources(transformation)
            name = ON_DEMAND + name
        stored_key = rendition_prefix(key) + name
        return RenditionRef(key, stored_key, transformation, name in declared, self._is_lazy(key, stored_key))

    def is_declared(self, stored_key: str) -> bool:
        """Whether the recipe declares the rendition with this key of the processed side."""
        prefix, slash, name = stored_key.rpartition("/")
        key = original_of(prefix + slash)
        return key is not None and name in self._declared_names(key)

    def dialect_of(self, request: HttpRequest) -> Dialect | None:
        """The dialect of a request, None for the project's own URLs."""
        if _has_own_signature(request.query):
            return None
        return dialect_of(self._policy.dialects, request.path, request.query)

    def _stored_name(self, request: HttpRequest) -> RenditionRef | None:
        """The rendition, if the path is the stored name of a public one and the query is empty."""
        if not _is_empty(request.query):
            return None
        path = _decode(request.path)
        prefix, slash, name = path.rpartition("/")
        if not prefix or not is_rendition_name(name) or name.startswith(ON_DEMAND):
            return None
        check_key(path)
        key = original_of(prefix + slash)
        if key is None:  # A hashed prefix is known only from a record.
            return RenditionRef(prefix, path, None, declared=False)
        transformation = self._declared_names(key).get(name)
        if transformation is None:
            return None
        return RenditionRef(key, path, transformation, declared=True, lazy=self._is_lazy(key, path))

    def _parse(self, request: HttpRequest) -> RenditionRequest:
        dialect = self.dialect_of(request)
        if dialect is not None:
            parsed = dialect.parse(request.path, request.query, now=self._clock())
            is_open = parsed.format is None and self._policy.dialect_auto
            return replace(parsed, format=AUTO) if is_open else parsed
        try:
            url = parse_url(request.path, request.query)
            check_key(url.key)
        except (InvalidKey, InvalidRequest) as error:
            # A URL that does not parse was never signed. The path may contain an encoded query.
            if _has_signature(request.query) or _has_signature(request.path):
                raise SignatureMismatch(f"expected a signed URL that can be parsed; {error}") from error
            raise
        return self._verified(url)

    def _verified(self, url: ParsedUrl) -> RenditionRequest:
        signed = url.signature is not None
        if signed or (url.private and not self._policy.allow_unsigned):
            self._policy.keyring.verify(url, self._clock())
        request = parse_request(url, signed=signed)
        expires = url.signature.expires if url.signature is not None else None
        return request if expires is None else replace(request, expires=float(expires))

    def _resolve(
        self, parsed: RenditionRequest, request: HttpRequest, metadata_error: NotFound | Refused | None
    ) -> RenditionRef:
        limited = not (parsed.signed or self._policy.allow_unsigned)
        public = self._public_names(parsed.key) if limited else None
        if public is not None and not self._may_be_public(parsed, public):
            raise _signature_missing(parsed)
        metadata = self._metadata(parsed.key, metadata_error) if needs_metadata(parsed) else None
        resolved = resolve(parsed, metadata, request.headers, self._rules.recipe, self._policy, public)
        transformation, declared = resolved.transformation, self._declared_names(parsed.key)
        name = transformation.name
        if name not in declared:
            self._policy.check(transformation, signed=parsed.signed)
            name = ON_DEMAND + name
        stored_key = rendition_prefix(parsed.key) + name
        return RenditionRef(
            parsed.key,
            stored_key,
            transformation,
            declared=name in declared,
            lazy=self._is_lazy(parsed.key, stored_key),
            vary=resolved.vary,
            filename=parsed.filename,
            attachment=parsed.attachment,
            expires=parsed.expires,
            max_age=parsed.max_age,
        )

    def _public_names(self, key: str) -> frozenset[str]:
        return frozenset(name for name in self._declared_names(key) if not name.startswith(ON_DEMAND))

    def _may_be_public(self, parsed: RenditionRequest, public: frozenset[str]) -> bool:
        """Whether a public preset may declare the rendition, by the request alone."""
        if parsed.preset is not None:
            return any(member.name in public for member in self._rules.recipe.presets.get(parsed.preset, ()))
        if parsed.format in {None, AUTO}:
            return bool(declared_formats(parsed, parsed.values, public))
        return Transformation(**{**parsed.values, "format": parsed.format}).name in public

    def _metadata(self, key: str, metadata_error: NotFound | Refused | None) -> ImageMetadata:
        """The metadata of the original, or of the fallback image if the original is not available."""
        try:
            if metadata_error is not None:
                raise metadata_error
            return self._metadata_of(key)
        except (NotFound, Refused):
            fallback = self._policy.fallback
            if fallback in {None, key}:
                raise
            assert fallback is not None
            with suppress(NotFound, Refused):
                return self._metadata_of(fallback)
            raise

    def _is_lazy(self, key: str, stored_key: str) -> bool:
        return stored_key in self._rules.lazy_for(key)

    def _declared_names(self, key: str) -> Mapping[str, Transformation]:
        return self._rules.declared_names(key)


class _CachedRules:
    """What a recipe declares for originals that were requested recently."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.declared_names = lru_cache(_CACHED_ORIGINALS)(self._declared_names)
        self.lazy_for = lru_cache(_CACHED_ORIGINALS)(recipe.lazy_for)

    def _declared_names(self, key: str) -> Mapping[str, Transformation]:
        """What the recipe declares for an original, by stored name."""
        declared = self.recipe.transformations_for(key)
        return {self.recipe.stored_name(key, transformation): transformation for transformation in declared}


_OTHER_SIGNATURE = re.compile(r"s=[0-9a-f]{32}")
"""imgix's, which has the parameter's name and another length."""


def _has_signature(query: str) -> bool:
    """Whether a query has a signature parameter of the project's own URLs."""
    return any(part.startswith(("s=", "kid=")) for part in query.split("&"))


def _has_own_signature(query: str) -> bool:
    """Whether a signature in the query can be one of the project's own, and not imgix's."""
    parts = query.split("&")
    if any(part.startswith("kid=") for part in parts):
        return True
    return any(part.startswith("s=") and not _OTHER_SIGNATURE.fullmatch(part) for part in parts)


def _is_empty(query: str) -> bool:
    names = (part.partition("=")[0] for part in query.split("&"))
    return all(not name or is_ignored(name) for name in names)


def _decode(path: str) -> str:
    try:
        return percent_decode(path)
    except UnicodeDecodeError:
        raise InvalidRequest.one("the path", "percent-encoded UTF-8", path) from None


def _signature_missing(parsed: RenditionRequest) -> SignatureMissing:
    if parsed.preset is not None:
        return SignatureMissing(
            f"expected a public preset of this original, or a signature, got the preset {parsed.preset!r}"
        )
    return SignatureMissing(NO_PUBLIC_PRESET)
