"""Delivery: a request becomes the rendition that is wanted, or an error, before anything is made.

The order is that of cost: letters, signature, then the original's facts where they matter. What may
not be asked for is turned away before any store is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from msgspec import Struct

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
from image_processor.domain.formats import WRITABLE
from image_processor.domain.keys import check_key, original_of, rendition_prefix
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import ON_DEMAND, Transformation, is_rendition_name

from .policy import Clock, Dialect, Headers, Policy
from .request import AUTO, RenditionRequest, ask
from .resolve import needs_metadata, resolve
from .url.parameter_names import IGNORED
from .url.parser import ParsedUrl, parse_url

_KEPT = 4096
"""Originals whose declared names are remembered."""


class HttpRequest(Struct, frozen=True):
    """A request. ``path`` is percent-encoded as it came, without its first slash; ``headers`` have
    lower-case names; ``method`` is GET or HEAD."""

    method: str
    path: str
    query: str = ""
    headers: Headers = {}


class RenditionRef(Struct, frozen=True):
    """One rendition of the original ``key``, and where it is stored. ``declared`` says that the recipe
    wants it of this original, so that ingest makes it with the others. ``transformation`` is None
    where only the stored object can tell what it is.
    """

    key: str
    stored_key: str
    transformation: Transformation | None
    declared: bool
    vary: tuple[str, ...] = ()
    filename: str | None = None
    attachment: bool = False

    @property
    def is_public(self) -> bool:
        """Whether its path opens it without a signature."""
        return not self.stored_key.rpartition("/")[2].startswith(ON_DEMAND)


class RequestResolver:
    """Reads requests. ``facts_of`` gives an original's facts and may have to read it; it is asked only
    for what is allowed, or may turn out to be a public preset. Safe for threads."""

    def __init__(
        self, recipe: Recipe, policy: Policy, facts_of: Callable[[str], ImageMetadata], clock: Clock
    ) -> None:
        self._recipe = recipe
        self._policy = policy
        self._facts_of = facts_of
        self._clock = clock
        self._names_of = lru_cache(_KEPT)(self._names)

    def read(self, get: HttpRequest, wrong: NotFound | Refused | None = None) -> RenditionRef:
        """What ``get`` wants. ``wrong`` is why the original's facts cannot be had, if that is known.

        Raises InvalidKey, InvalidRequest, Forbidden; NotFound and Refused where the original's facts
        are needed and cannot be had; and what ``facts_of`` does."""
        wanted = self._stored(get)
        if wanted is not None:
            return wanted
        asked = self._asked(get)
        check_key(asked.key)
        try:
            return self._wanted(asked, get, wrong)
        except InvalidTransformation as error:
            raise InvalidRequest(error.problems) from None

    def wanted(self, key: str, transformation: Transformation) -> RenditionRef:
        """What somebody wants who needs no signature: the API's caller. Raises InvalidRequest."""
        name, declared = transformation.name, self._names_of(key)
        if name not in declared:
            self._policy.check_marks(transformation)
            name = ON_DEMAND + name
        return RenditionRef(key, rendition_prefix(key) + name, transformation, name in declared)

    def is_declared(self, stored_key: str) -> bool:
        """Whether the recipe wants what lies under this key of the processed side."""
        prefix, slash, name = stored_key.rpartition("/")
        key = original_of(prefix + slash)
        return key is not None and name in self._names_of(key)

    def dialect_of(self, get: HttpRequest) -> Dialect | None:
        """The dialect that a request is meant for, None for our own grammar."""
        if _is_ours(get.query):
            return None
        return next((one for one in self._policy.dialects if one.reads(get.path, get.query)), None)

    def _stored(self, get: HttpRequest) -> RenditionRef | None:
        """The plain name of a rendition that everybody may see."""
        if not _says_nothing(get.query):
            return None
        path = _decoded(get.path)
        prefix, slash, name = path.rpartition("/")
        if not prefix or not is_rendition_name(name) or name.startswith(ON_DEMAND):
            return None
        check_key(path)
        key = original_of(prefix + slash)
        if key is None:  # a hashed prefix: who knows it has seen it on record
            return RenditionRef(prefix, path, None, declared=False)
        transformation = self._names_of(key).get(name)
        return None if transformation is None else RenditionRef(key, path, transformation, declared=True)

    def _asked(self, get: HttpRequest) -> RenditionRequest:
        dialect = self.dialect_of(get)
        if dialect is not None:
            return dialect.ask(get.path, get.query, now=self._clock())
        try:
            address = parse_url(get.path, get.query)
            check_key(address.key)
        except (InvalidKey, InvalidRequest) as error:
            # Nobody has signed what cannot be read. The path may hold what was a query once.
            if _is_ours(get.query) or _is_ours(get.path):
                raise SignatureMismatch(f"expected a URL that is signed and can be read; {error}") from error
            raise
        return self._ask(address)

    def _ask(self, address: ParsedUrl) -> RenditionRequest:
        signed = address.seal is not None
        if signed or (address.private and not self._policy.unsigned):
            self._policy.keyring.verify(address, self._clock())
        return ask(address, signed=signed)

    def _wanted(
        self, asked: RenditionRequest, get: HttpRequest, wrong: NotFound | Refused | None
    ) -> RenditionRef:
        if not (asked.signed or self._policy.unsigned or self._may_be_public(asked)):
            raise SignatureMissing("expected a signature for what no public preset declares, got none")
        facts = self._facts(asked.key, wrong) if needs_metadata(asked) else None
        settled = resolve(asked, facts, get.headers, self._recipe, self._policy)
        transformation, declared = settled.transformation, self._names_of(asked.key)
        name = transformation.name
        if name not in declared:
            self._policy.check(transformation, signed=asked.signed)
            name = ON_DEMAND + name
        return RenditionRef(
            asked.key,
            rendition_prefix(asked.key) + name,
            transformation,
            declared=name in declared,
            vary=settled.vary,
            filename=asked.filename,
            attachment=asked.attachment,
        )

    def _may_be_public(self, asked: RenditionRequest) -> bool:
        """Whether a public preset could declare it: known before the original is."""
        public = {name for name in self._names_of(asked.key) if not name.startswith(ON_DEMAND)}
        if asked.preset is not None:
            return any(one.name in public for one in self._recipe.presets.get(asked.preset, ()))
        formats = WRITABLE if asked.format in {None, AUTO} else (asked.format,)
        return any(
            Transformation(**{**asked.values, "format": format_}).name in public for format_ in formats
        )

    def _facts(self, key: str, wrong: NotFound | Refused | None) -> ImageMetadata:
        """The facts of the original, or of the picture that is shown where there is none."""
        try:
            if wrong is not None:
                raise wrong
            return self._facts_of(key)
        except (NotFound, Refused):
            fallback = self._policy.fallback
            if fallback in {None, key}:
                raise
            assert fallback is not None
            with suppress(NotFound, Refused):
                return self._facts_of(fallback)
            raise

    def _names(self, key: str) -> Mapping[str, Transformation]:
        """What the recipe declares of an original, by the name under which it is stored."""
        declared = self._recipe.transformations_for(key)
        return {self._recipe.stored_name(key, one): one for one in declared}


def _is_ours(query: str) -> bool:
    """Whether a query says by what is left of a seal that its URL is one of our own."""
    return any(part.startswith(("s=", "kid=")) for part in query.split("&"))


def _says_nothing(query: str) -> bool:
    return all(part.partition("=")[0] in ("", *IGNORED) for part in query.split("&"))


def _decoded(path: str) -> str:
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise InvalidRequest.one("the path", "percent-encoded UTF-8", path) from None
