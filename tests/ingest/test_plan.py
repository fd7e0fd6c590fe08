"""Plans: what is skipped, and the fingerprint, whose text is fixed because records carry its digest."""

from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.domain.models import ExifField, IccPolicy, Limits, Plan
from image_processor.ingest.plan import (
    plan_upload,
    processed_fingerprint,
    refusal_fingerprint,
    skip_reason,
    uncorrected_refusal,
)
from image_processor.renditions.freshness import CORRECTIONS, RENDERING_VERSION
from support.ingest import RECIPE

SOME = parse_recipe("""
[presets.open]
width = 20
formats = ["jpeg"]
[presets.closed]
width = 30
formats = ["png", "jpeg"]
public = false
[[rules]]
match = "open/**"
presets = ["open"]
cache_control = "no-store"
[[rules]]
match = "both/**"
presets = ["closed", "open"]
""")


def digest(*lines: str) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def test_the_fingerprint_is_the_digest_of_what_decides_about_the_pixels() -> None:
    plan = plan_upload("open/a.jpg", SOME, IccPolicy.STRIP)
    assert [str(item) for item in plan.transformations] == ["w=20,fm=jpeg"]
    assert plan.fingerprint == digest(f"rendering={RENDERING_VERSION}", "icc=strip", "w=20,fm=jpeg")
    assert (plan.key, plan.skip, plan.lazy) == ("open/a.jpg", None, {})


def test_the_fingerprint_has_overlays_exif_fields_and_private_presets_in_order() -> None:
    exif, overlays = (ExifField.ISO, ExifField.F_NUMBER), {"logos/b.png": None, "logos/a.png": "v1"}
    plan = plan_upload("both/a.jpg", SOME, IccPolicy.PRESERVE, exif, overlays)
    assert plan.fingerprint == digest(
        f"rendering={RENDERING_VERSION}",
        "icc=preserve",
        f"exif={','.join(sorted(exif))}",
        "mark=logos/a.png@v1",
        "mark=logos/b.png@None",
        "private=w=30,fm=jpeg",
        "private=w=30,fm=png",
        "w=20,fm=jpeg",
        "w=30,fm=jpeg",
        "w=30,fm=png",
    )
    assert plan.overlay_versions == (("logos/a.png", "v1"), ("logos/b.png", None))
    assert plan == plan_upload("both/a.jpg", SOME, IccPolicy.PRESERVE, exif[::-1], overlays)


def test_the_header_is_that_of_the_rule_else_the_default() -> None:
    for key, header in (("open/a.jpg", "no-store"), ("both/a.jpg", "max-age=9")):
        assert plan_upload(key, SOME, IccPolicy.STRIP, cache_control="max-age=9").cache_control == header
    assert plan_upload("both/a.jpg", SOME, IccPolicy.STRIP).cache_control == ""


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("photos/", "a folder marker, not a file"),
        ("photos/.DS_Store", "a metadata file of an operating system"),
        ("Thumbs.db", "a metadata file of an operating system"),
        ("a/desktop.ini", "a metadata file of an operating system"),
        ("a/._cat.jpg", "a metadata file of an operating system"),
        ("ignored/a.jpg", "no rule of the recipe matches it"),
        ("a/Thumbs.db/cat.jpg", None),
        ("a/._b/cat.jpg", None),
        ("a/cat._jpg", None),
        ("a.jpg", None),
    ],
)
def test_a_key_is_skipped_for_a_reason(key: str, reason: str | None) -> None:
    assert skip_reason(key, RECIPE) == reason
    plan = plan_upload(key, RECIPE, IccPolicy.STRIP, cache_control="max-age=9")
    assert plan.skip == reason
    assert bool(plan.transformations) == (reason is None)
    if reason is not None:
        assert plan == Plan(key, skip=reason)


def test_the_fingerprint_of_a_record_tells_the_header_or_the_limits() -> None:
    plan = Plan("a", fingerprint="f", cache_control="no-store")
    assert processed_fingerprint(plan) == digest("f", "cache-control=no-store", f"corrections={CORRECTIONS}")
    assert processed_fingerprint(replace(plan, cache_control="")) != processed_fingerprint(plan)
    limits = Limits()
    raised = replace(limits, max_pixels=limits.max_pixels + 1)
    prints = {
        refusal_fingerprint(item, limit)
        for item in (plan, replace(plan, fingerprint="g"))
        for limit in (limits, raised)
    }
    assert len(prints) == 4
    assert refusal_fingerprint(plan, Limits()) == refusal_fingerprint(plan, limits)


def test_the_fingerprint_of_refusals_of_version_0_1_is_known() -> None:
    limits = (
        "Limits(max_bytes=67108864, max_pixels=100000000, max_frames=500, max_scans=100, "
        "max_output_pixels=50000000, cpu_seconds=60, svg=False, truncated=<TruncatedPolicy.STRICT: 'strict'>)"
    )
    plan = Plan("a.jpg", fingerprint="abc")
    assert uncorrected_refusal(plan, Limits()) == digest("abc", limits)
    assert refusal_fingerprint(plan, Limits()) == digest(digest("abc", limits), f"corrections={CORRECTIONS}")


def test_each_changed_limit_makes_refusals_stale() -> None:
    numbers = {name: getattr(Limits(), name) for name in Limits.__struct_fields__}
    changed = [
        replace(Limits(), **{name: value + 1})
        for name, value in numbers.items()
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    plan = Plan("a.jpg", fingerprint="abc")
    fingerprints = {refusal_fingerprint(plan, limits) for limits in (Limits(), *changed)}
    assert len(fingerprints) == 1 + len(changed) == 8


def test_a_lazy_rendition_is_named_but_is_not_part_of_the_fingerprint() -> None:
    text = '[presets.{0}]\nwidth = 20\nformats = ["jpeg"]\n'
    lazy = text.format("later").replace("20", "30") + "eager = false\n"
    rule = '[[rules]]\nmatch = "*"\npresets = [{0}]\n'
    without = parse_recipe(text.format("now") + rule.format('"now"'))
    both = parse_recipe(text.format("now") + lazy + rule.format('"now", "later"'))
    plan = plan_upload("a.jpg", both, IccPolicy.STRIP)
    assert {key: str(item) for key, item in plan.lazy.items()} == {"a.jpg/w=30,fm=jpeg.jpg": "w=30,fm=jpeg"}
    assert plan.fingerprint == plan_upload("a.jpg", without, IccPolicy.STRIP).fingerprint
