"""Reconcile names every kind of work, once, and nothing else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import IccPolicy, OutcomeStatus
from image_processor.domain.ports import Attributes
from image_processor.domain.transformation import parse
from image_processor.ingest.drift import Drift
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, fake_render, upload


@pytest.fixture
def room():
    room = IngestFixture()
    for number in range(3):
        room.put(f"{number}.jpg", b"%d" % number)
        room.processor().process(upload(f"{number}.jpg"))
    return room


def found(room):
    return [(finding.key, finding.drift) for finding in room.reconciler().findings()]


def mend(room):
    for finding in list(room.reconciler().findings()):
        if finding.upload is not None:
            room.processor().process(finding.upload)
        if finding.orphan is not None:
            room.processed.delete(finding.orphan)
    room.assert_converged()


def test_nothing_is_found_where_all_is_well(room):
    assert found(room) == []


def test_an_original_without_a_record_is_missing(room):
    room.put("new.jpg", b"new")
    assert found(room) == [("new.jpg", Drift.MISSING)]
    mend(room)


def test_a_claimed_and_abandoned_original_is_unfinished(room):
    room.put("new.jpg", b"new")
    room.catalog.acquire(
        upload("new.jpg"), owner="dead", now=room.now, duration=room.processor().lease_duration
    )
    assert found(room) == [("new.jpg", Drift.UNFINISHED)]
    room.advance()
    mend(room)


def test_an_overwritten_original_is_changed(room):
    room.put("1.jpg", b"other")
    assert found(room) == [("1.jpg", Drift.CHANGED)]
    mend(room)


def test_everything_is_stale_under_a_new_recipe(room):
    room.recipe = OTHER_RECIPE
    assert found(room) == [(f"{number}.jpg", Drift.STALE) for number in range(3)]
    mend(room)


def test_a_lost_rendition_is_damage(room):
    room.processed.delete("1.jpg/w=10,fm=jpeg.jpg")
    assert found(room) == [("1.jpg", Drift.DAMAGED)]
    mend(room)


def test_a_rendition_too_many_is_damage(room):
    room.processed.put("1.jpg/w=99,fm=jpeg.jpg", b"old", Attributes())
    assert found(room) == [("1.jpg", Drift.DAMAGED)]
    mend(room)


def ask(room, key, text="w=33,fm=webp"):
    """A rendition on demand, made by the real maker."""
    kept = RenditionRepository(BUCKET, room.uploads, room.processed, room.catalog, room.icc)
    maker = OnDemandRenderer(kept, fake_render, room.limits, lambda _: "public", 10)
    transformation = parse(text)
    stored_key = rendition_prefix(key) + "~" + transformation.name
    maker.render(RenditionRef(key, stored_key, transformation, declared=False))
    return stored_key


def test_a_rendition_made_on_demand_is_no_damage_and_goes_with_its_original(room):
    asked = ask(room, "1.jpg")
    assert found(room) == []
    assert room.processor().process(upload("1.jpg")).status is OutcomeStatus.UNCHANGED
    assert asked in room.processed.bodies()
    room.uploads.delete("1.jpg")
    assert found(room) == [("1.jpg", Drift.ORPHANED)]
    mend(room)


def test_one_of_an_original_that_no_rule_wants_is_left_alone_too(room):
    room.put("ignored/1.jpg", b"1")
    asked = ask(room, "ignored/1.jpg")
    assert found(room) == []
    room.uploads.delete("ignored/1.jpg")
    assert found(room) == [("ignored/1.jpg", Drift.ORPHANED)]
    mend(room)
    assert asked not in room.processed.bodies()


@pytest.mark.parametrize("key", ["1.jpg", "ignored/1.jpg"])
def test_one_that_a_crash_left_of_an_earlier_original_is_taken_away(room, key):
    room.put(key, b"old")
    asked = ask(room, key)
    old = room.processed.get(asked)
    room.put(key, b"new")
    room.processor().process(upload(key))
    ask(room, key, "w=34,fm=webp")
    room.processed.put(asked, old.body, old.attributes)
    assert found(room) == [(key, Drift.STALE)]
    for finding in list(room.reconciler().findings()):
        room.processed.delete(finding.orphan)
    assert found(room) == []
    assert rendition_prefix(key) + "~w=34,fm=webp.webp" in room.processed.bodies()


def test_one_whose_overlay_or_colours_are_others_by_now_is_taken_away(room):
    room.put("logo.png", b"logo")
    room.processor().process(upload("logo.png"))
    long = "w=33,over=text:" + "a" * 250 + ",fm=webp"
    marked, plain, digest = (ask(room, "1.jpg", t) for t in ("over=image:logo.png,fm=webp", "fm=png", long))
    assert found(room) == []
    room.put("logo.png", b"another")
    room.processor().process(upload("logo.png"))
    strays = {finding.orphan for finding in room.reconciler().findings()}
    assert strays == {marked}
    room.icc = IccPolicy.EMBED
    for key in ("0.jpg", "1.jpg", "2.jpg", "logo.png"):
        room.processor().process(upload(key))
    assert {plain, digest, marked} & set(room.processed.bodies()) == set()


@pytest.mark.parametrize("body", [b"other", b"bad"])
def test_a_rendition_made_on_demand_goes_when_the_original_is_another(room, body):
    room.processed.put("1.jpg/~w=33,fm=webp.webp", b"made", Attributes())
    room.put("1.jpg", body)
    assert found(room) == [("1.jpg", Drift.CHANGED)]
    mend(room)


def test_a_rendition_made_on_demand_of_a_refused_original_is_damage(room):
    room.put("1.jpg", b"bad")
    room.processor().process(upload("1.jpg"))
    room.processed.put("1.jpg/~w=33,fm=webp.webp", b"made", Attributes())
    assert found(room) == [("1.jpg", Drift.DAMAGED)]
    mend(room)


def test_a_record_without_an_original_is_orphaned(room):
    room.uploads.delete("1.jpg")
    assert found(room) == [("1.jpg", Drift.ORPHANED)]
    mend(room)
    assert room.record("1.jpg") is None


def test_renditions_without_record_and_original_are_orphaned(room):
    room.processed.put("gone.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    room.processed.put("gone.jpg/w=20,fm=jpeg.jpg", b"old", Attributes())
    assert found(room) == [("gone.jpg", Drift.ORPHANED)]
    mend(room)


def test_renditions_of_a_long_lost_key_are_deleted_by_what_they_carry(room):
    key = "long/" + "x" * 900
    room.put(key, b"long")
    record = room.processor().process(upload(key)).record
    assert found(room) == []
    saved = {rendition.key: room.processed.get(rendition.key) for rendition in record.renditions}
    room.uploads.delete(key)
    room.processor().process(upload(key))
    orphan, stored = next(iter(saved.items()))
    assert orphan.startswith(rendition_prefix(key))
    room.processed.put(orphan, stored.body, stored.attributes)
    assert found(room) == [(orphan, Drift.ORPHANED)]
    mend(room)


def test_objects_of_other_people_are_no_findings(room):
    room.processed.put("index.html", b"site", Attributes())
    room.processed.put("gone.jpg/readme.txt", b"site", Attributes())
    assert found(room) == []


def test_a_search_writes_nothing(room):
    room.put("new.jpg", b"new")
    room.uploads.delete("1.jpg")
    before = (room.processed.bodies(), list(room.catalog.scan()))
    assert len(found(room)) == 2
    assert (room.processed.bodies(), list(room.catalog.scan())) == before


def test_one_search_finds_both_an_abandoned_claim_and_what_was_made_of_the_past(room):
    """The simulator's seed 100826: it took two searches where no rule wanted the original."""
    room.recipe = replace(room.recipe, rules=())
    for number in range(3):
        room.processor().process(upload(f"{number}.jpg"))
    stale = "1.jpg/~w=33,fm=webp.webp"
    room.processed.put(stale, b"old", Attributes(metadata={"made": "of something else"}))
    room.catalog.acquire(
        upload("1.jpg"), owner="dead", now=room.now, duration=room.processor().lease_duration
    )
    assert [(each.key, each.orphan) for each in room.reconciler().findings()] == [
        ("1.jpg", None),
        ("1.jpg", stale),
    ]
