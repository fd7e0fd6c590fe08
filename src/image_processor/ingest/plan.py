"""Ingest, step 2: what should exist for a key. Pure: no bytes, no store, no clock."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable

from image_processor.config.recipe import Recipe
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.keys import is_plain_prefix, rendition_prefix
from image_processor.domain.models import ExifField, Focus, IccPolicy, Limits, Plan
from image_processor.renditions.focus import uses_focus
from image_processor.renditions.freshness import CORRECTIONS, RENDERING_VERSION
from image_processor.renditions.originals import OverlayVersions

_OS_METADATA_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def plan_upload(
    key: str,
    recipe: Recipe,
    icc: IccPolicy,
    exif: Collection[ExifField] = (),
    overlay_versions: OverlayVersions | None = None,
    cache_control: str = "",
    focus: Focus | None = None,
) -> Plan:
    """The renditions that ``recipe`` declares for the original ``key``, or the reason to skip it.

    Those of lazy presets are not part of the fingerprint: a record is complete without them.

    ``overlay_versions`` are the current versions of the images that its overlays refer to. ``cache_control``
    is the header of renditions for which the recipe has none. ``focus`` is that of the record, whose file
    decides later whether it applies.
    """
    skip = skip_reason(key, recipe)
    if skip is not None:
        return Plan(key, skip=skip)
    transformations = recipe.eager_for(key)
    overlay_items = tuple(sorted((overlay_versions or {}).items()))
    fingerprint = _digest(
        [
            f"rendering={RENDERING_VERSION}",
            f"icc={icc}",
            # Without EXIF fields there is no line, so records from before that option stay valid.
            *([f"exif={','.join(sorted(exif))}"] if exif else []),
            *(f"mark={overlay}@{version}" for overlay, version in overlay_items),
            *([f"focus={focus}"] if focus is not None and uses_focus(transformations) else []),
            *(f"private={text}" for text in sorted(map(str, recipe.private_for(key)))),
            *sorted(map(str, transformations)),
        ]
    )
    header = recipe.cache_control_for(key) or cache_control
    return Plan(
        key,
        transformations,
        fingerprint,
        overlay_versions=overlay_items,
        cache_control=header,
        lazy=recipe.lazy_for(key),
        focus=focus,
    )


def skip_reason(key: str, recipe: Recipe) -> str | None:
    """Why the original ``key`` gets no renditions; None if it gets some."""
    if (reason := _never_an_image(key)) is not None:
        return reason
    return None if recipe.transformations_for(key) else "no rule of the recipe matches it"


def plan_kind(key: str, recipe: Recipe) -> Hashable:
    """Equal for originals whose plans have the same fingerprints, because they differ in the key only."""
    return _never_an_image(key), recipe.rule_for(key), is_plain_prefix(rendition_prefix(key))


def _never_an_image(key: str) -> str | None:
    if key.endswith("/"):
        return "a folder marker, not a file"
    if _is_os_metadata(key.rpartition("/")[2]):
        return "a metadata file of an operating system"
    return None


def _is_os_metadata(name: str) -> bool:
    return name in _OS_METADATA_FILES or name.startswith("._")


def processed_fingerprint(plan: Plan) -> str:
    """The fingerprint of a processed record: of the pixels, and of the header that they are stored with."""
    return _digest([plan.fingerprint, f"cache-control={plan.cache_control}", _CORRECTIONS])


def uncorrected_fingerprints(plan: Plan) -> tuple[str, ...]:
    """The fingerprints of processed records from before the last correction. That of version 0.1 does not
    cover the header."""
    return _digest([plan.fingerprint, f"cache-control={plan.cache_control}"]), plan.fingerprint


def refusal_fingerprint(plan: Plan, limits: Limits) -> str:
    """The fingerprint of a refused record. A refusal also depends on the limits: after a limit is
    raised, the uploads that it refused count as stale and are processed again."""
    return _digest([uncorrected_refusal(plan, limits), _CORRECTIONS])


def uncorrected_refusal(plan: Plan, limits: Limits) -> str:
    """The fingerprint of records that were refused before the last correction."""
    # Records of version 0.1 stay valid: a later field is part of it only where it is not the default.
    described = repr(limits).replace(f", max_memory={Limits().max_memory}", "")
    return _digest([plan.fingerprint, described])


_CORRECTIONS = f"corrections={CORRECTIONS}"


def _digest(lines: Iterable[str]) -> str:
    # Records carry these digests. A line feed within a line could only come from a recipe's own key of an
    # overlay: versions, canonical transformations and the limits have none.
    return sha256_hex("\n".join(lines).encode())[:32]
