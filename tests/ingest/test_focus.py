"""The focus that a person sets: a source of renditions like the original, which survives all processing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_lazy_presets import view

from image_processor.config.recipe import parse_recipe
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.keys import image_id
from image_processor.domain.models import Focus, IccPolicy, OutcomeStatus, UploadKind
from image_processor.domain.transformation import parse
from image_processor.ingest.drift import Drift
from image_processor.ingest.plan import plan_upload
from support.ingest import BUCKET, IngestFixture, fake_render, rendition_bytes, upload

RECIPE = parse_recipe("""
[presets.card]
width = 10
height = 10
gravity = "focus"
formats = ["webp"]
[presets.lazy]
width = 20
height = 20
gravity = "focus"
formats = ["webp"]
eager = false
[presets.plain]
width = 30
formats = ["webp"]
[[rules]]
match = "plain/**"
presets = ["plain"]
[[rules]]
match = "**"
presets = ["card", "lazy", "plain"]
""")
ID = image_id(BUCKET, "cat.jpg")
CARD = "cat.jpg/w=10,h=10,g=focus,fm=webp.webp"
LAZY = "cat.jpg/w=20,h=20,g=focus,fm=webp.webp"
ON_DEMAND = "cat.jpg/~w=7,h=7,g=focus,fm=webp.webp"


def cropped(body: bytes, focus: tuple[float, float] | None, side: int = 10) -> bytes:
    """What the fake renderer makes of a crop around a focus."""
    point = "g=attention" if focus is None else f"fp={focus[0]}:{focus[1]}"
    return rendition_bytes(body, parse(f"w={side},h={side},{point},fm=webp"))


def set_focus(ingest: IngestFixture, x: float, y: float) -> None:
    body = ingest.uploads.get("cat.jpg").body
    ingest.catalog.set_focus(ID, Focus(x, y, sha256_hex(body)))


def process(ingest: IngestFixture, **more: Any) -> OutcomeStatus:
    return ingest.processor().process(upload("cat.jpg", **more)).status


def drifts(ingest: IngestFixture) -> list[Drift]:
    return [finding.drift for finding in ingest.reconciler().findings()]


def reconcile(ingest: IngestFixture) -> None:
    for finding in list(ingest.reconciler().findings()):
        if finding.orphan is not None:
            ingest.processed.delete(finding.orphan)
        else:
            ingest.processor().process(upload(finding.key, kind=UploadKind.RECONCILE))
    assert drifts(ingest) == []


def card(ingest: IngestFixture) -> bytes:
    body: bytes = ingest.processed.get(CARD).body
    return body


@pytest.fixture
def ingest() -> IngestFixture:
    ingest = IngestFixture(recipe=RECIPE)
    ingest.put("cat.jpg", b"cat")
    process(ingest)
    return ingest


def test_without_a_focus_the_most_salient_part_is_kept(ingest: IngestFixture) -> None:
    assert card(ingest) == cropped(b"cat", None)
    assert drifts(ingest) == []


@pytest.mark.parametrize("kind", [UploadKind.CREATED, UploadKind.RECONCILE, UploadKind.REPROCESS])
def test_a_focus_survives_all_processing_of_its_version(ingest: IngestFixture, kind: UploadKind) -> None:
    set_focus(ingest, 0.3, 0.6)
    assert drifts(ingest) == [Drift.STALE]
    assert process(ingest, kind=kind) is OutcomeStatus.PROCESSED
    for _ in range(2):
        assert card(ingest) == cropped(b"cat", (0.3, 0.6))
        assert drifts(ingest) == []
        ingest.put("cat.jpg", b"cat")
        process(ingest, kind=kind)
    assert process(ingest) is OutcomeStatus.UNCHANGED


def test_a_focus_that_was_set_before_a_crash_is_found(ingest: IngestFixture) -> None:
    """Between the write of the focus and the processing of it."""
    set_focus(ingest, 0.3, 0.6)
    reconcile(ingest)
    assert card(ingest) == cropped(b"cat", (0.3, 0.6))
    ingest.catalog.set_focus(ID, None)
    reconcile(ingest)
    assert card(ingest) == cropped(b"cat", None)


def test_another_version_has_no_focus_and_the_first_one_has_it_again(ingest: IngestFixture) -> None:
    set_focus(ingest, 0.3, 0.6)
    for body, focus in ((b"another", None), (b"cat", (0.3, 0.6))):
        ingest.put("cat.jpg", body)
        process(ingest)
        assert card(ingest) == cropped(body, focus)
        assert drifts(ingest) == []


def test_a_deleted_original_takes_its_focus_with_it(ingest: IngestFixture) -> None:
    set_focus(ingest, 0.3, 0.6)
    ingest.uploads.delete("cat.jpg")
    process(ingest, kind=UploadKind.DELETED)
    ingest.put("cat.jpg", b"cat")
    process(ingest)
    assert card(ingest) == cropped(b"cat", None)


def test_a_focus_that_is_set_during_the_rendering_is_found(ingest: IngestFixture) -> None:
    def render(*args: Any, **more: Any) -> Any:
        set_focus(ingest, 0.9, 0.1)
        return fake_render(*args, **more)

    ingest.render = render
    process(ingest, kind=UploadKind.REPROCESS)
    ingest.render = fake_render
    assert card(ingest) == cropped(b"cat", None)
    reconcile(ingest)
    assert card(ingest) == cropped(b"cat", (0.9, 0.1))


def test_a_recipe_that_uses_no_focus_has_no_work(ingest: IngestFixture) -> None:
    ingest.put("plain/a.jpg", b"a")
    ingest.processor().process(upload("plain/a.jpg"))
    ingest.catalog.set_focus(image_id(BUCKET, "plain/a.jpg"), Focus(0.1, 0.1, sha256_hex(b"a")))
    assert drifts(ingest) == []


def test_a_plan_without_a_focus_is_that_of_earlier_versions() -> None:
    plain = plan_upload("plain/a.jpg", RECIPE, IccPolicy.STRIP)
    focus = Focus(0.1, 0.2, "1f")
    assert plan_upload("plain/a.jpg", RECIPE, IccPolicy.STRIP, focus=focus).fingerprint == plain.fingerprint
    one, other = (
        plan_upload("a.jpg", RECIPE, IccPolicy.STRIP, focus=replace(focus, x=x)).fingerprint for x in (0, 1)
    )
    assert one != other


@pytest.mark.parametrize("key", [LAZY, ON_DEMAND])
def test_what_views_made_with_another_focus_is_not_served_and_is_found(
    ingest: IngestFixture, key: str
) -> None:
    side = 20 if key == LAZY else 7
    assert view(ingest, key) == cropped(b"cat", None, side)
    set_focus(ingest, 0.3, 0.6)
    assert view(ingest, key) == cropped(b"cat", (0.3, 0.6), side)
    set_focus(ingest, 0.4, 0.6)
    reconcile(ingest)
    assert key not in ingest.processed.bodies()
    assert view(ingest, key) == cropped(b"cat", (0.4, 0.6), side)
    assert drifts(ingest) == []
    process(ingest)
    assert key in ingest.processed.bodies()
    process(ingest, kind=UploadKind.REPROCESS)
    assert key not in ingest.processed.bodies()


def test_a_view_of_a_file_that_no_record_knows_yet_has_no_focus_until_it_does(ingest: IngestFixture) -> None:
    set_focus(ingest, 0.3, 0.6)
    ingest.put("cat.jpg", b"another")
    process(ingest)
    ingest.put("cat.jpg", b"cat")
    assert view(ingest, ON_DEMAND) == cropped(b"cat", None, 7)
    process(ingest)
    assert view(ingest, ON_DEMAND) == cropped(b"cat", (0.3, 0.6), 7)


def test_a_view_during_which_the_focus_changes_stores_nothing_old(ingest: IngestFixture) -> None:
    points = iter([(0.1, 0.1), (0.2, 0.2)])

    def render(*args: Any, **more: Any) -> Any:
        if (point := next(points, None)) is not None:
            set_focus(ingest, *point)
        return fake_render(*args, **more)

    ingest.render = render
    assert view(ingest, ON_DEMAND) == cropped(b"cat", (0.2, 0.2), 7)


STEPS = st.lists(
    st.sampled_from([b"cat", b"dog"])
    | st.tuples(st.sampled_from([0.1, 0.9]), st.sampled_from([0.2, 0.8]))
    | st.sampled_from(UploadKind)
    | st.just(ON_DEMAND),
    max_size=12,
)


@given(steps=STEPS)
def test_the_final_state_follows_from_the_last_original_and_the_last_focus(steps: list[Any]) -> None:
    """Whatever came before: other versions, reprocessing, duplicates, views, and nothing in between."""
    ingest = IngestFixture(recipe=RECIPE)
    body, chosen, of_body = b"cat", None, None
    ingest.put("cat.jpg", body)
    process(ingest)
    for step in steps:
        if isinstance(step, UploadKind):
            process(ingest, kind=step)
        elif isinstance(step, bytes):
            body = step
            ingest.put("cat.jpg", body)
        elif isinstance(step, tuple):
            set_focus(ingest, *step)
            chosen, of_body = step, body
        else:
            view(ingest, step)
    reconcile(ingest)
    focus = chosen if of_body == body else None
    assert card(ingest) == cropped(body, focus)
    assert ingest.processed.bodies().get(ON_DEMAND, cropped(body, focus, 7)) == cropped(body, focus, 7)
