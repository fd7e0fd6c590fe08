"""The second step of ingest: what should exist for a key. Pure: no bytes, no store, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from image_processor.config.recipe import Recipe
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.models import ExifField, IccPolicy, Limits, Plan
from image_processor.renditions.freshness import RENDERING_VERSION
from image_processor.renditions.originals import OverlayVersions


def plan_upload(
    key: str,
    recipe: Recipe,
    icc: IccPolicy,
    exif: Collection[ExifField] = (),
    overlay_versions: OverlayVersions | None = None,
) -> Plan:
    """The renditions that ``recipe`` wants of the original ``key``, or why it wants none.

    ``overlay_versions`` are the versions of the images that its overlays name."""
    skip = skip_reason(key, recipe)
    if skip is not None:
        return Plan(key, skip=skip)
    transformations = recipe.transformations_for(key)
    # Nothing is said of EXIF where none is asked for: records made before it could be are not stale.
    kept = [f"exif={','.join(sorted(exif))}"] if exif else []
    seen = tuple(sorted((overlay_versions or {}).items()))
    kept += [f"mark={mark}@{version}" for mark, version in seen]
    # Nor of privacy where there is none.
    kept += [f"private={text}" for text in sorted(map(str, recipe.private_for(key)))]
    texts = sorted(map(str, transformations))
    fingerprint = _digest([f"rendering={RENDERING_VERSION}", f"icc={icc}", *kept, *texts])
    return Plan(key, transformations, fingerprint, overlay_versions=seen)


def skip_reason(key: str, recipe: Recipe) -> str | None:
    """Why nothing is made of the original ``key``, None where something is."""
    if key.endswith("/"):
        return "a folder marker, not a file"
    if _is_litter(key.rpartition("/")[2]):
        return "a file that a desktop leaves behind"
    return None if recipe.transformations_for(key) else "no rule of the recipe wants it"


def _is_litter(name: str) -> bool:
    return name in {".DS_Store", "Thumbs.db", "desktop.ini"} or name.startswith("._")


def refusal_fingerprint(plan: Plan, limits: Limits) -> str:
    """What a refused record is stamped with: a refusal also depends on the limits, so that
    raising a limit makes the uploads it had refused count as stale."""
    return _digest([plan.fingerprint, repr(limits)])


def _digest(lines: Iterable[str]) -> str:
    return sha256_hex("\n".join(lines).encode())[:32]
