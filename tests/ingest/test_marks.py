"""The pictures of overlays: read with the original, part of the plan, and missed when they are gone."""

from __future__ import annotations

from functools import partial

import pytest

from image_processor.bootstrap.recipe import check_overlays
from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import InvalidRecipe, Reason, Refused
from image_processor.domain.models import Limits, OutcomeStatus
from image_processor.ingest.drift import Drift
from support.ingest import RECIPE, IngestFixture, fake_render, upload

MARKED = parse_recipe("""
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
    """Refuses what the engine would, and notes which marks came with the original."""
    seen.append(overlay_sources)
    if "logos/mark.png" not in overlay_sources:
        raise Refused(Reason.OVERLAY_MISSING, "expected a picture under 'logos/mark.png', got none")
    return fake_render(data, transformations, limits, **options)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def room(seen):
    room = IngestFixture(recipe=MARKED, render=partial(render_with, seen))
    room.put("cat.jpg", b"cat")
    return room


def test_the_mark_comes_with_the_original(room, seen):
    room.put("logos/mark.png", b"logo")
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    assert seen == [{"logos/mark.png": b"logo"}]
    room.assert_converged()


def test_another_mark_makes_renditions_stale(room, seen):
    room.put("logos/mark.png", b"logo")
    room.processor().process(upload("cat.jpg"))
    room.put("logos/mark.png", b"new logo")
    assert [(each.key, each.drift) for each in room.reconciler().findings()] == [("cat.jpg", Drift.STALE)]
    room.processor().process(upload("cat.jpg"))
    assert seen[-1] == {"logos/mark.png": b"new logo"}
    room.assert_converged()


def test_a_missing_mark_is_a_refusal_that_ends_when_it_comes(room):
    outcome = room.processor().process(upload("cat.jpg"))
    assert outcome.record.reason is Reason.OVERLAY_MISSING
    assert list(room.reconciler().findings()) == []
    room.put("logos/mark.png", b"logo")
    assert [each.drift for each in room.reconciler().findings()] == [Drift.STALE]
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_a_mark_over_the_limit_is_named(room):
    room.put("logos/mark.png", b"x" * 11)
    room.limits = Limits(max_bytes=10)
    record = room.processor().process(upload("cat.jpg")).record
    assert record.reason is Reason.TOO_MANY_BYTES
    assert "logos/mark.png" in record.message


def test_without_overlays_no_mark_is_looked_at(seen):
    room = IngestFixture(render=partial(render_with, seen), recipe=RECIPE)
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    assert seen == [{}]


def test_marks_are_allowed_under_their_prefix_alone():
    check_overlays(MARKED, "logos/")
    check_overlays(RECIPE, None)
    for prefix, expected in ((None, "IMAGE_PROCESSOR_OVERLAYS names no"), ("marks/", "begins with 'marks/'")):
        with pytest.raises(InvalidRecipe) as caught:
            check_overlays(MARKED, prefix)
        (problem,) = caught.value.problems
        assert problem.name == "presets.marked.overlays"
        assert expected in problem.expected
        assert problem.got == "'logos/mark.png'"
