"""Reconcile names every kind of work, once, and nothing else."""

from __future__ import annotations

import pytest

from image_processor.ingest.compare import Why
from image_processor.keys import rendition_prefix
from image_processor.model import Result
from image_processor.ports import Attributes
from support.ingest import OTHER_RECIPE, Room, upload


@pytest.fixture
def room():
    room = Room()
    for number in range(3):
        room.put(f"{number}.jpg", b"%d" % number)
        room.processor().process(upload(f"{number}.jpg"))
    return room


def found(room):
    return [(finding.key, finding.why) for finding in room.reconciler().findings()]


def mend(room):
    for finding in list(room.reconciler().findings()):
        if finding.upload is not None:
            room.processor().process(finding.upload)
        if finding.stray is not None:
            room.processed.delete(finding.stray)
    room.assert_converged()


def test_nothing_is_found_where_all_is_well(room):
    assert found(room) == []


def test_an_original_without_a_record_is_missing(room):
    room.put("new.jpg", b"new")
    assert found(room) == [("new.jpg", Why.MISSING)]
    mend(room)


def test_a_claimed_and_abandoned_original_is_unfinished(room):
    room.put("new.jpg", b"new")
    room.catalog.claim(upload("new.jpg"), owner="dead", now=room.now, lease=room.processor().lease)
    assert found(room) == [("new.jpg", Why.UNFINISHED)]
    room.later()
    mend(room)


def test_an_overwritten_original_is_changed(room):
    room.put("1.jpg", b"other")
    assert found(room) == [("1.jpg", Why.CHANGED)]
    mend(room)


def test_everything_is_stale_under_a_new_recipe(room):
    room.recipe = OTHER_RECIPE
    assert found(room) == [(f"{number}.jpg", Why.STALE) for number in range(3)]
    mend(room)


def test_a_lost_rendition_is_damage(room):
    room.processed.delete("1.jpg/w=10,fm=jpeg.jpg")
    assert found(room) == [("1.jpg", Why.DAMAGED)]
    mend(room)


def test_a_rendition_too_many_is_damage(room):
    room.processed.put("1.jpg/w=99,fm=jpeg.jpg", b"old", Attributes())
    assert found(room) == [("1.jpg", Why.DAMAGED)]
    mend(room)


def test_a_rendition_made_on_demand_is_no_damage_and_goes_with_its_original(room):
    asked = "1.jpg/~w=33,fm=webp.webp"
    room.processed.put(asked, b"made", Attributes())
    assert found(room) == []
    assert room.processor().process(upload("1.jpg")).result is Result.UNCHANGED
    assert asked in room.processed.bodies()
    room.uploads.delete("1.jpg")
    assert found(room) == [("1.jpg", Why.ORPHANED)]
    mend(room)


@pytest.mark.parametrize("body", [b"other", b"bad"])
def test_a_rendition_made_on_demand_goes_when_the_original_is_another(room, body):
    room.processed.put("1.jpg/~w=33,fm=webp.webp", b"made", Attributes())
    room.put("1.jpg", body)
    assert found(room) == [("1.jpg", Why.CHANGED)]
    mend(room)


def test_a_rendition_made_on_demand_of_a_refused_original_is_damage(room):
    room.put("1.jpg", b"bad")
    room.processor().process(upload("1.jpg"))
    room.processed.put("1.jpg/~w=33,fm=webp.webp", b"made", Attributes())
    assert found(room) == [("1.jpg", Why.DAMAGED)]
    mend(room)


def test_a_record_without_an_original_is_orphaned(room):
    room.uploads.delete("1.jpg")
    assert found(room) == [("1.jpg", Why.ORPHANED)]
    mend(room)
    assert room.record("1.jpg") is None


def test_renditions_without_record_and_original_are_orphaned(room):
    room.processed.put("gone.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    room.processed.put("gone.jpg/w=20,fm=jpeg.jpg", b"old", Attributes())
    assert found(room) == [("gone.jpg", Why.ORPHANED)]
    mend(room)


def test_renditions_of_a_long_lost_key_are_deleted_by_what_they_carry(room):
    key = "long/" + "x" * 900
    room.put(key, b"long")
    record = room.processor().process(upload(key)).record
    assert found(room) == []
    saved = {rendition.key: room.processed.get(rendition.key) for rendition in record.renditions}
    room.uploads.delete(key)
    room.processor().process(upload(key))
    stray, stored = next(iter(saved.items()))
    assert stray.startswith(rendition_prefix(key))
    room.processed.put(stray, stored.body, stored.attributes)
    assert found(room) == [(stray, Why.ORPHANED)]
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
