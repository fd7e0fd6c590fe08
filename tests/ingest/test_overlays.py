"""Overlay images: read with the original, part of the plan, and required for the render."""

from __future__ import annotations

from functools import partial

import pytest

from image_processor.bootstrap.recipe import check_overlays
from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import InvalidRecipe, Reason, Refused
from image_processor.domain.models import Limits, OutcomeStatus
from image_processor.ingest.drift import Drift
from support.ingest import RECIPE, IngestFixture, fake_render, upload

WITH_OVERLAY = parse_recipe("""
[presets.marked]
width = 10
formats = ["webp"]
[[presets.marked.overlays]]
image = "logos/mark.png"
[[presets.marked.overlays]]
text = "no picture"
[[rules]]
match = "logos/**"
presets = []
[[rules]]
match = "**"
presets = ["marked"]
""")


def render_with(seen, data, transformations, limits, *, overlay_sources, **options):
    """A renderer that records its overlay images, and refuses a missing one as the engine does."""
    seen.append(overlay_sources)
    if "logos/mark.png" not in overlay_sources:
        raise Refused(Reason.OVERLAY_MISSING, "expected a picture under 'logos/mark.png', got none")
    return fake_render(data, transformations, limits, **options)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def ingest(seen):
    ingest = IngestFixture(recipe=WITH_OVERLAY, render=partial(render_with, seen))
    ingest.put("cat.jpg", b"cat")
    return ingest


def test_the_overlay_image_is_passed_to_the_renderer(ingest, seen):
    ingest.put("logos/mark.png", b"logo")
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    assert seen == [{"logos/mark.png": b"logo"}]
    ingest.assert_converged()


def test_a_changed_overlay_image_makes_renditions_stale(ingest, seen):
    ingest.put("logos/mark.png", b"logo")
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("logos/mark.png", b"new logo")
    assert [(item.key, item.drift) for item in ingest.reconciler().findings()] == [("cat.jpg", Drift.STALE)]
    ingest.processor().process(upload("cat.jpg"))
    assert seen[-1] == {"logos/mark.png": b"new logo"}
    ingest.assert_converged()


def test_a_missing_overlay_image_refuses_the_upload_until_it_exists(ingest):
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert outcome.record.reason is Reason.OVERLAY_MISSING
    assert list(ingest.reconciler().findings()) == []
    ingest.put("logos/mark.png", b"logo")
    assert [item.drift for item in ingest.reconciler().findings()] == [Drift.STALE]
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_an_overlay_image_over_the_limit_is_named(ingest):
    ingest.put("logos/mark.png", b"x" * 11)
    ingest.limits = Limits(max_bytes=10)
    record = ingest.processor().process(upload("cat.jpg")).record
    assert record.reason is Reason.TOO_MANY_BYTES
    assert "logos/mark.png" in record.message


def test_without_overlays_no_overlay_image_is_read(seen):
    ingest = IngestFixture(render=partial(render_with, seen), recipe=RECIPE)
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    assert seen == [{}]


def test_overlay_images_are_allowed_only_under_the_configured_prefix():
    check_overlays(WITH_OVERLAY, "logos/")
    check_overlays(RECIPE, None)
    cases = ((None, "IMAGE_PROCESSOR_OVERLAYS is not set"), ("marks/", "starts with 'marks/'"))
    for prefix, expected in cases:
        with pytest.raises(InvalidRecipe) as caught:
            check_overlays(WITH_OVERLAY, prefix)
        (problem,) = caught.value.problems
        assert problem.name == "presets.marked.overlays"
        assert expected in problem.expected
        assert problem.got == "'logos/mark.png'"
