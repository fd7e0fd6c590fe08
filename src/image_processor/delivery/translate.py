"""Delivery: what a URL of another product means here, as one of the project's own URLs.

Pure, for the command `translate`. Signatures are not verified, and the original is a sample of a given size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from image_processor.config.recipe import Recipe
from image_processor.config.setting_specs import DIALECTS
from image_processor.domain.errors import InvalidRequest
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Transformation

from .dialects import Dialect, DialectOptions, dialect_of, load_dialects
from .policy import Policy
from .request import RenditionRequest
from .resolve import needs_metadata, resolve
from .url.parameter_names import AUTO

_SIGNED_FIRST = "thumbor"
"""The dialect whose paths begin with a signature or `unsafe`."""


class Translation(Struct, frozen=True):
    """What one URL means: its dialect, the key of the original and the transformation. ``depends`` says that
    another original may have another one. ``automatic``: the client's Accept decides about the format;
    ``quality`` is then the one that the URL gives for any."""

    dialect: str
    key: str
    transformation: Transformation
    depends: bool
    automatic: bool = False
    quality: Any = None

    @property
    def url(self) -> str:
        """The path and the unsigned query of the project's own URL."""
        return f"{quote(self.key)}?{'&'.join(self._pairs())}"

    def _pairs(self) -> list[str]:
        pairs = str(self.transformation).split(",")
        if not self.automatic:
            return pairs
        # The quality of one format may be the default of another, and left out there.
        kept = [pair for pair in pairs if not pair.startswith(("q=", "fm="))]
        return [*kept, *([f"q={self.quality}"] if self.quality else []), "fm=auto"]


def translating_dialects(
    names: Sequence[str], settings: Mapping[str, Any], buckets: Sequence[str]
) -> tuple[Dialect, ...]:
    """The dialects with these names, which verify no signature. ``settings`` and ``buckets`` are those of the
    deployment."""
    secrets = {spec.field for dialect in DIALECTS.values() for spec in dialect.settings if spec.secret}
    public = {name: value for name, value in settings.items() if name not in secrets}
    return load_dialects(names, public, DialectOptions(unsafe=True, buckets=frozenset(buckets)))


def translate(url: str, dialects: Sequence[Dialect], original: ImageMetadata, recipe: Recipe) -> Translation:
    """Translate a URL or its path. Raises InvalidRequest or another Invalid if it is refused here,
    InvalidRequest if no dialect knows it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidRequest.one("the URL", "a URL or a path", url[:100]) from None
    path = parts.path.lstrip("/")
    dialect = dialect_of(dialects, path, parts.query)
    if dialect is None:
        expected = "a URL of " + ", ".join(dialect.name for dialect in dialects)
        raise InvalidRequest.one("the URL", expected, url[:100])
    if dialect.name == _SIGNED_FIRST:
        path = "unsafe/" + path.partition("/")[2]
    request = dialect.parse(path, parts.query, now=0)
    resolved = resolve(request, original, {}, recipe, Policy(allow_unsigned=True))
    return Translation(
        dialect.name,
        request.key,
        resolved.transformation,
        _depends(request),
        request.format == AUTO,
        request.values.get("quality"),
    )


def _depends(request: RenditionRequest) -> bool:
    """Whether another original may have another transformation. Its format with `fm=auto` does not count."""
    return needs_metadata(replace(request, format="jpeg") if request.format == AUTO else request)
