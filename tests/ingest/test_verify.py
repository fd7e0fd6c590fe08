"""Verify finds bytes and media types that changed under an unchanged version, and nothing else."""

from __future__ import annotations

import hashlib
import random
import tracemalloc

import pytest
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.domain.keys import image_id
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest.drift import Drift
from image_processor.ingest.verify import Verifier
from image_processor.storage.directory import DirectoryStore
from support.ingest import BUCKET, IngestFixture, upload

DECLARED = "1.jpg/w=10,fm=jpeg.jpg"
ON_DEMAND = "1.jpg/~w=33,fm=webp.webp"
PRIVATE = parse_recipe("""
[presets.secret]
width = 10
formats = ["webp"]
public = false
[[rules]]
match = "**"
presets = ["secret"]
""")


def filled(**parts):
    room = IngestFixture(**parts)
    for number in range(3):
        room.put(f"{number}.jpg", b"%d" % number)
        room.processor().process(upload(f"{number}.jpg"))
    return room


@pytest.fixture
def room():
    return filled()


def verifier(room):
    return Verifier(BUCKET, room.uploads, room.processed, room.catalog)


def rot(store, key, **attributes):
    """Change one bit of an object, or its attributes, and nothing that a listing shows."""
    stored = store._objects[key]
    body = stored.body if attributes else bytes([stored.body[0] ^ 1]) + stored.body[1:]
    store._objects[key] = replace(stored, body=body, attributes=replace(stored.attributes, **attributes))


def mend(room):
    for finding in list(verifier(room).findings()):
        if finding.upload:
            room.processor().process(finding.upload)
        if finding.orphan:
            room.processed.delete(finding.orphan)


def on_demand(room):
    metadata = {"sha256": hashlib.sha256(b"made").hexdigest(), "image": image_id(BUCKET, "1.jpg")}
    room.processed.put(ON_DEMAND, b"made", Attributes("image/webp", None, metadata))


def test_nothing_is_found_where_all_is_well(room):
    assert list(verifier(room).findings()) == []


def test_one_bit_is_found_that_reconcile_cannot_see_and_mended(room):
    wanted = room.processed.bodies()
    rot(room.processed, DECLARED)
    assert list(room.reconciler().findings()) == []
    (finding,) = verifier(room).findings()
    assert (finding.key, finding.drift, finding.upload.kind) == ("1.jpg", Drift.DAMAGED, UploadKind.REPROCESS)
    assert finding.detail == "w=10,fm=jpeg.jpg has other bytes than were written"
    mend(room)
    assert room.processed.bodies() == wanted
    assert list(verifier(room).findings()) == []
    room.assert_converged()


def test_a_wrong_media_type_is_found_and_mended(room):
    rot(room.processed, DECLARED, media_type="text/html")
    (finding,) = verifier(room).findings()
    assert finding.detail == "w=10,fm=jpeg.jpg has media type text/html, expected image/jpeg"
    mend(room)
    assert room.processed.head(DECLARED).attributes.media_type == "image/jpeg"


def test_several_damaged_renditions_of_one_original_are_one_finding(room):
    for key in list(room.processed.bodies()):
        if key.startswith("1.jpg/"):
            rot(room.processed, key)
    assert [finding.key for finding in verifier(room).findings()] == ["1.jpg"]


def test_what_waits_for_work_anyway_is_not_told_twice(room):
    rot(room.processed, DECLARED)
    assert list(verifier(room).findings({"1.jpg"})) == []


def test_what_is_gone_or_another_by_now_is_for_reconcile(room):
    room.processed.delete(DECLARED)
    room.processed.put("2.jpg/w=10,fm=jpeg.jpg", b"newer", Attributes("image/jpeg"))
    assert list(verifier(room).findings()) == []
    assert {finding.key for finding in room.reconciler().findings()} == {"1.jpg", "2.jpg"}


def test_renditions_of_a_damaged_original_are_not_made_anew(room):
    """What is left of good renditions would give way to renditions of the damage, or to none."""
    rot(room.processed, DECLARED)
    rot(room.uploads, "1.jpg")
    before = room.processed.bodies()
    (finding,) = verifier(room).findings()
    assert (finding.upload, finding.orphan) == (None, None)
    assert finding.detail.endswith("and so has its original: restore the original from a backup")
    mend(room)
    assert room.processed.bodies() == before


def test_a_damaged_rendition_on_demand_is_taken_away(room):
    on_demand(room)
    assert list(verifier(room).findings()) == []
    rot(room.processed, ON_DEMAND)
    (finding,) = verifier(room).findings()
    assert (finding.key, finding.upload, finding.orphan) == ("1.jpg", None, ON_DEMAND)
    mend(room)
    assert ON_DEMAND not in room.processed.bodies()


def test_a_rendition_on_demand_of_another_media_type_is_taken_away(room):
    on_demand(room)
    rot(room.processed, ON_DEMAND, media_type="text/html")
    assert [finding.orphan for finding in verifier(room).findings()] == [ON_DEMAND]


def test_one_without_a_hash_and_what_others_put_there_are_left_alone(room):
    room.processed.put(ON_DEMAND, b"made", Attributes("image/webp"))
    room.processed.put("1.jpg/~notes.txt", b"mine", Attributes("text/plain", None, {"sha256": "0" * 64}))
    assert list(verifier(room).findings()) == []


def test_those_of_private_presets_are_made_anew_and_not_taken_away():
    room = filled(recipe=PRIVATE)
    key = "1.jpg/~w=10,fm=webp.webp"
    assert key in room.processed.bodies()
    rot(room.processed, key)
    (finding,) = verifier(room).findings()
    assert (finding.upload.key, finding.orphan) == ("1.jpg", None)


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_converges(seed):
    chance = random.Random(seed)
    room = filled()
    wanted = room.processed.bodies()
    harmed = chance.sample(sorted(wanted), chance.randint(1, len(wanted)))
    for key in harmed:
        how = chance.choice([{}, {"media_type": "text/plain"}])
        rot(room.processed, key, **how)
    found = {finding.key for finding in verifier(room).findings()}
    assert found == {key.partition("/")[0] for key in harmed}, f"seed {seed}"
    mend(room)
    assert room.processed.bodies() == wanted, f"seed {seed}"
    room.assert_converged()
    assert list(verifier(room).findings()) == []


def test_bytes_are_streamed(tmp_path):
    """64 MB of renditions on demand are read through 256 KiB."""
    body = bytes(64 * 2**20)
    digest = hashlib.sha256(body).hexdigest()
    room = IngestFixture(processed=DirectoryStore(tmp_path))
    room.processed.put(ON_DEMAND, body, Attributes("image/webp", None, {"sha256": digest, "image": ""}))
    del body
    tracemalloc.start()
    try:
        assert list(verifier(room).findings()) == []
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()
