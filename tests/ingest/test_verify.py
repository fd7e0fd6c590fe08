"""Verify finds changed bytes and media types under an unchanged version, and nothing else."""

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


def processed_originals(**parts):
    ingest = IngestFixture(**parts)
    for number in range(3):
        ingest.put(f"{number}.jpg", b"%d" % number)
        ingest.processor().process(upload(f"{number}.jpg"))
    return ingest


@pytest.fixture
def ingest():
    return processed_originals()


def verifier(ingest):
    return Verifier(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, ingest.recipe)


def corrupt(store, key, **attributes):
    """Flip one bit of an object, or change its attributes, without a change in a listing."""
    stored = store._objects[key]
    body = stored.body if attributes else bytes([stored.body[0] ^ 1]) + stored.body[1:]
    store._objects[key] = replace(stored, body=body, attributes=replace(stored.attributes, **attributes))


def repair(ingest):
    for finding in list(verifier(ingest).findings()):
        if finding.upload:
            ingest.processor().process(finding.upload)
        if finding.orphan:
            ingest.processed.delete(finding.orphan)


def on_demand(ingest):
    metadata = {"sha256": hashlib.sha256(b"made").hexdigest(), "image": image_id(BUCKET, "1.jpg")}
    ingest.processed.put(ON_DEMAND, b"made", Attributes("image/webp", None, metadata))


def test_no_finding_without_drift(ingest):
    assert list(verifier(ingest).findings()) == []


def test_one_flipped_bit_is_found_and_repaired(ingest):
    expected = ingest.processed.bodies()
    corrupt(ingest.processed, DECLARED)
    assert list(ingest.reconciler().findings()) == []
    (finding,) = verifier(ingest).findings()
    assert (finding.key, finding.drift, finding.upload.kind) == ("1.jpg", Drift.DAMAGED, UploadKind.REPROCESS)
    assert finding.detail == "w=10,fm=jpeg.jpg has other bytes than were written"
    repair(ingest)
    assert ingest.processed.bodies() == expected
    assert list(verifier(ingest).findings()) == []
    ingest.assert_converged()


def test_a_wrong_media_type_is_found_and_repaired(ingest):
    corrupt(ingest.processed, DECLARED, media_type="text/html")
    (finding,) = verifier(ingest).findings()
    assert finding.detail == "w=10,fm=jpeg.jpg has media type text/html, expected image/jpeg"
    repair(ingest)
    assert ingest.processed.head(DECLARED).attributes.media_type == "image/jpeg"


def test_several_damaged_renditions_of_one_original_are_one_finding(ingest):
    for key in list(ingest.processed.bodies()):
        if key.startswith("1.jpg/"):
            corrupt(ingest.processed, key)
    assert [finding.key for finding in verifier(ingest).findings()] == ["1.jpg"]


def test_keys_that_reconcile_has_found_are_left_out(ingest):
    corrupt(ingest.processed, DECLARED)
    assert list(verifier(ingest).findings({"1.jpg"})) == []


def test_deleted_and_replaced_renditions_are_left_to_reconcile(ingest):
    ingest.processed.delete(DECLARED)
    ingest.processed.put("2.jpg/w=10,fm=jpeg.jpg", b"newer", Attributes("image/jpeg"))
    assert list(verifier(ingest).findings()) == []
    assert {finding.key for finding in ingest.reconciler().findings()} == {"1.jpg", "2.jpg"}


def test_renditions_of_a_damaged_original_are_kept(ingest):
    """Reprocessing would replace the good renditions that are left."""
    corrupt(ingest.processed, DECLARED)
    corrupt(ingest.uploads, "1.jpg")
    before = ingest.processed.bodies()
    (finding,) = verifier(ingest).findings()
    assert (finding.upload, finding.orphan) == (None, None)
    assert finding.detail.endswith("and its original is damaged, too: restore the original from a backup")
    repair(ingest)
    assert ingest.processed.bodies() == before


def test_a_damaged_on_demand_rendition_is_deleted(ingest):
    on_demand(ingest)
    assert list(verifier(ingest).findings()) == []
    corrupt(ingest.processed, ON_DEMAND)
    (finding,) = verifier(ingest).findings()
    assert (finding.key, finding.upload, finding.orphan) == ("1.jpg", None, ON_DEMAND)
    repair(ingest)
    assert ON_DEMAND not in ingest.processed.bodies()


def test_an_on_demand_rendition_of_another_media_type_is_deleted(ingest):
    on_demand(ingest)
    corrupt(ingest.processed, ON_DEMAND, media_type="text/html")
    assert [finding.orphan for finding in verifier(ingest).findings()] == [ON_DEMAND]


def test_objects_without_a_hash_and_foreign_objects_are_kept(ingest):
    ingest.processed.put(ON_DEMAND, b"made", Attributes("image/webp"))
    ingest.processed.put("1.jpg/~notes.txt", b"mine", Attributes("text/plain", None, {"sha256": "0" * 64}))
    assert list(verifier(ingest).findings()) == []


def test_renditions_of_private_presets_are_made_again():
    ingest = processed_originals(recipe=PRIVATE)
    key = "1.jpg/~w=10,fm=webp.webp"
    assert key in ingest.processed.bodies()
    corrupt(ingest.processed, key)
    (finding,) = verifier(ingest).findings()
    assert (finding.upload.key, finding.orphan) == ("1.jpg", None)


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_converges(seed):
    chance = random.Random(seed)
    ingest = processed_originals()
    expected = ingest.processed.bodies()
    harmed = chance.sample(sorted(expected), chance.randint(1, len(expected)))
    for key in harmed:
        how = chance.choice([{}, {"media_type": "text/plain"}])
        corrupt(ingest.processed, key, **how)
    found = {finding.key for finding in verifier(ingest).findings()}
    assert found == {key.partition("/")[0] for key in harmed}, f"seed {seed}"
    repair(ingest)
    assert ingest.processed.bodies() == expected, f"seed {seed}"
    ingest.assert_converged()
    assert list(verifier(ingest).findings()) == []


def test_bytes_are_streamed(tmp_path):
    """64 MB of on-demand renditions are read in chunks of 256 KiB."""
    body = bytes(64 * 2**20)
    digest = hashlib.sha256(body).hexdigest()
    ingest = IngestFixture(processed=DirectoryStore(tmp_path))
    ingest.processed.put(ON_DEMAND, body, Attributes("image/webp", None, {"sha256": digest, "image": ""}))
    del body
    tracemalloc.start()
    try:
        assert list(verifier(ingest).findings()) == []
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()
