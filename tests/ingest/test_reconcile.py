"""Reconcile finds every kind of drift once, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import cast

import pytest
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import NotFound
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import IccPolicy, MessageKind, OutboxMessage, OutcomeStatus
from image_processor.domain.ports import Attributes, Entry, ObjectStore
from image_processor.domain.transformation import parse
from image_processor.ingest import merging_reconcile, reconcile
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile import Finding, Listing, Reconciler, held
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, RecordingStore, fake_render, upload

TWO_RULES = """
[presets.small]
widths = [10, 20]
formats = ["webp"]
[presets.other]
width = 30
formats = ["png"]
[[rules]]
match = "other/**"
presets = ["other"]
[[rules]]
match = "**"
presets = ["small"]
"""


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    for number in range(3):
        ingest.put(f"{number}.jpg", b"%d" % number)
        ingest.processor().process(upload(f"{number}.jpg"))
    return ingest


def found(ingest):
    """The same by the merge of listings and by the search in pages."""
    merged, paged = (
        [(finding.key, finding.drift) for finding in findings()]
        for findings in (ingest.reconciler().findings, partial(Reconciler.findings, ingest.reconciler()))
    )
    assert sorted(set(merged)) == sorted(set(paged))
    return merged


def repair(ingest):
    for finding in list(ingest.reconciler().findings()):
        if finding.upload is not None:
            ingest.processor().process(finding.upload)
        if finding.orphan is not None:
            ingest.processed.delete(finding.orphan)
    ingest.assert_converged()


def test_no_finding_without_drift(ingest):
    assert found(ingest) == []


def test_an_original_without_a_record_is_missing(ingest):
    ingest.put("new.jpg", b"new")
    assert found(ingest) == [("new.jpg", Drift.MISSING)]
    repair(ingest)


def test_an_abandoned_lease_is_unfinished(ingest):
    ingest.put("new.jpg", b"new")
    ingest.catalog.acquire(
        upload("new.jpg"), owner="dead", now=ingest.now, duration=ingest.processor().lease_duration
    )
    assert found(ingest) == [("new.jpg", Drift.UNFINISHED)]
    ingest.advance()
    repair(ingest)


def test_an_overwritten_original_is_changed(ingest):
    ingest.put("1.jpg", b"other")
    assert found(ingest) == [("1.jpg", Drift.CHANGED)]
    repair(ingest)


def test_everything_is_stale_under_a_new_recipe(ingest):
    ingest.recipe = OTHER_RECIPE
    assert found(ingest) == [(f"{number}.jpg", Drift.STALE) for number in range(3)]
    repair(ingest)


def test_a_lost_rendition_is_damage(ingest):
    ingest.processed.delete("1.jpg/w=10,fm=jpeg.jpg")
    assert found(ingest) == [("1.jpg", Drift.DAMAGED)]
    repair(ingest)


def test_an_extra_rendition_is_damage(ingest):
    ingest.processed.put("1.jpg/w=99,fm=jpeg.jpg", b"old", Attributes())
    assert found(ingest) == [("1.jpg", Drift.DAMAGED)]
    repair(ingest)


def make_on_demand(ingest, key, text="w=33,fm=webp"):
    """Make an on-demand rendition with the real renderer of delivery; returns its key."""
    kept = RenditionRepository(BUCKET, ingest.uploads, ingest.processed, ingest.catalog, ingest.icc)

    def header(key):
        return ingest.recipe.cache_control_for(key) or ingest.cache_control

    maker = OnDemandRenderer(kept, fake_render, ingest.limits, header, 10)
    transformation = parse(text)
    stored_key = rendition_prefix(key) + "~" + transformation.name
    maker.render(RenditionRef(key, stored_key, transformation, declared=False))
    return stored_key


def test_an_on_demand_rendition_is_no_damage_and_is_deleted_with_its_original(ingest):
    stored_key = make_on_demand(ingest, "1.jpg")
    assert found(ingest) == []
    assert ingest.processor().process(upload("1.jpg")).status is OutcomeStatus.UNCHANGED
    assert stored_key in ingest.processed.bodies()
    ingest.uploads.delete("1.jpg")
    assert found(ingest) == [("1.jpg", Drift.ORPHANED)]
    repair(ingest)


def test_an_on_demand_rendition_of_a_skipped_original_is_kept(ingest):
    ingest.put("ignored/1.jpg", b"1")
    stored_key = make_on_demand(ingest, "ignored/1.jpg")
    assert found(ingest) == []
    ingest.uploads.delete("ignored/1.jpg")
    assert found(ingest) == [("ignored/1.jpg", Drift.ORPHANED)]
    repair(ingest)
    assert stored_key not in ingest.processed.bodies()


@pytest.mark.parametrize("key", ["1.jpg", "ignored/1.jpg"])
def test_an_on_demand_rendition_of_an_earlier_version_is_deleted(ingest, key):
    ingest.put(key, b"old")
    stored_key = make_on_demand(ingest, key)
    old = ingest.processed.get(stored_key)
    ingest.put(key, b"new")
    ingest.processor().process(upload(key))
    make_on_demand(ingest, key, "w=34,fm=webp")
    ingest.processed.put(stored_key, old.body, old.attributes)
    assert found(ingest) == [(key, Drift.STALE)]
    for finding in list(ingest.reconciler().findings()):
        ingest.processed.delete(finding.orphan)
    assert found(ingest) == []
    assert rendition_prefix(key) + "~w=34,fm=webp.webp" in ingest.processed.bodies()


def test_an_on_demand_rendition_with_other_overlays_or_profile_is_deleted(ingest):
    ingest.put("logo.png", b"logo")
    ingest.processor().process(upload("logo.png"))
    long = "w=33,over=text:" + "a" * 250 + ",fm=webp"
    with_overlay = make_on_demand(ingest, "1.jpg", "over=image:logo.png,fm=webp")
    plain, digest = (make_on_demand(ingest, "1.jpg", text) for text in ("fm=png", long))
    assert found(ingest) == []
    ingest.put("logo.png", b"another")
    ingest.processor().process(upload("logo.png"))
    orphans = {finding.orphan for finding in ingest.reconciler().findings()}
    assert orphans == {with_overlay}
    ingest.icc = IccPolicy.EMBED
    for key in ("0.jpg", "1.jpg", "2.jpg", "logo.png"):
        ingest.processor().process(upload(key))
    assert {plain, digest, with_overlay} & set(ingest.processed.bodies()) == set()


@pytest.mark.parametrize("body", [b"other", b"bad"])
def test_an_on_demand_rendition_is_deleted_when_the_original_changes(ingest, body):
    ingest.processed.put("1.jpg/~w=33,fm=webp.webp", b"made", Attributes())
    ingest.put("1.jpg", body)
    assert found(ingest) == [("1.jpg", Drift.CHANGED)]
    repair(ingest)


def test_an_on_demand_rendition_of_a_refused_original_is_damage(ingest):
    ingest.put("1.jpg", b"bad")
    ingest.processor().process(upload("1.jpg"))
    ingest.processed.put("1.jpg/~w=33,fm=webp.webp", b"made", Attributes())
    assert found(ingest) == [("1.jpg", Drift.DAMAGED)]
    repair(ingest)


def test_a_record_without_an_original_is_orphaned(ingest):
    ingest.uploads.delete("1.jpg")
    assert found(ingest) == [("1.jpg", Drift.ORPHANED)]
    repair(ingest)
    assert ingest.record("1.jpg") is None


def test_renditions_without_record_and_original_are_orphaned(ingest):
    ingest.processed.put("gone.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    ingest.processed.put("gone.jpg/w=20,fm=jpeg.jpg", b"old", Attributes())
    assert found(ingest) == [("gone.jpg", Drift.ORPHANED)]
    repair(ingest)


def test_orphans_under_a_hashed_prefix_are_found_by_their_metadata(ingest):
    key = "long/" + "x" * 900
    ingest.put(key, b"long")
    record = ingest.processor().process(upload(key)).record
    assert found(ingest) == []
    saved = {rendition.key: ingest.processed.get(rendition.key) for rendition in record.renditions}
    ingest.uploads.delete(key)
    ingest.processor().process(upload(key))
    orphan, stored = next(iter(saved.items()))
    assert orphan.startswith(rendition_prefix(key))
    ingest.processed.put(orphan, stored.body, stored.attributes)
    assert found(ingest) == [(orphan, Drift.ORPHANED)]
    repair(ingest)


def test_another_original_with_the_same_beginning_hides_no_orphan(ingest):
    """Under a hashed prefix, of which only the digest tells the two apart."""
    gone, other = (f"{'x' * 900}{number}" for number in range(2))
    for key in (gone, other):
        ingest.put(key, b"long")
        ingest.processor().process(upload(key))
    ingest.uploads.delete(gone)
    ingest.catalog.delete(lease_of(ingest, gone))
    assert {finding.orphan for finding in ingest.reconciler().findings()} == {
        key for key in ingest.processed.bodies() if key.startswith(rendition_prefix(gone))
    }


def test_an_orphan_under_a_hashed_prefix_may_name_no_image(ingest, monkeypatch):
    """DynamoDB refuses to look up an empty id."""
    stray = f"{'x' * 700}~{'0' * 64}/w=10,fm=jpeg.jpg"
    ingest.processed.put(stray, b"old", Attributes())
    monkeypatch.setattr(type(ingest.catalog), "get", lambda _, id_: NUMBERS[id_] if not id_ else None)
    assert [finding.orphan for finding in ingest.reconciler().findings() if finding.orphan] == [stray]


def test_renditions_under_a_hashed_prefix_belong_to_an_original_without_a_record(ingest):
    """Only its record is missing. The key has a ~ of its own."""
    key = "~long~/" + "x~" * 400
    ingest.put(key, b"long")
    ingest.processor().process(upload(key))
    ingest.catalog.delete(lease_of(ingest, key))
    assert found(ingest) == [(key, Drift.MISSING)]


def test_an_orphan_that_is_gone_meanwhile_hides_no_other(ingest, monkeypatch):
    strays = [f"{'x' * 700}~{'0' * 64}/w={width},fm=jpeg.jpg" for width in (10, 20)]
    for stray in strays:
        ingest.processed.put(stray, b"old", Attributes())
    head = ingest.processed.head

    def head_of_the_second(key):
        if key == strays[0]:
            raise NotFound(key)
        return head(key)

    monkeypatch.setattr(ingest.processed, "head", head_of_the_second)
    assert found(ingest) == [(strays[1], Drift.ORPHANED)]


def test_unsent_messages_are_found_with_and_without_a_record(ingest):
    for number, key in enumerate(("0.jpg", "1.jpg")):
        lease = lease_of(ingest, key)
        message = OutboxMessage(f"m{number}", MessageKind.EVENT, key, ingest.now, "{}")
        if number == 0:
            ingest.catalog.complete(lease, lease.record, [message])
            continue
        ingest.uploads.delete(key)
        for rendition in lease.record.renditions:
            ingest.processed.delete(rendition.key)
        ingest.catalog.delete(lease, [message])
    assert sorted(found(ingest)) == [("0.jpg", Drift.UNSENT), ("1.jpg", Drift.UNSENT)]


def lease_of(ingest, key):
    return ingest.catalog.acquire(upload(key), owner="test", now=ingest.now, duration=timedelta(seconds=60))


def test_only_deletions_are_held():
    unsent, orphaned = (Finding("a", drift, upload("a")) for drift in (Drift.UNSENT, Drift.ORPHANED))
    assert held([unsent, orphaned], "why") == (unsent, Finding("a", Drift.HELD, None, detail="why"))


def test_foreign_objects_are_no_findings(ingest):
    ingest.processed.put("index.html", b"site", Attributes())
    ingest.processed.put("gone.jpg/readme.txt", b"site", Attributes())
    assert found(ingest) == []


def test_reconcile_writes_nothing(ingest):
    ingest.put("new.jpg", b"new")
    ingest.uploads.delete("1.jpg")
    before = (ingest.processed.bodies(), list(ingest.catalog.scan()))
    assert len(found(ingest)) == 2
    assert (ingest.processed.bodies(), list(ingest.catalog.scan())) == before


def test_one_search_finds_both_an_abandoned_lease_and_a_stale_rendition(ingest):
    """Seed 100826 of the simulation: two searches were needed if no rule matched the original."""
    ingest.recipe = replace(ingest.recipe, rules=())
    for number in range(3):
        ingest.processor().process(upload(f"{number}.jpg"))
    stale = "1.jpg/~w=33,fm=webp.webp"
    ingest.processed.put(stale, b"old", Attributes(metadata={"made": "of something else"}))
    ingest.catalog.acquire(
        upload("1.jpg"), owner="dead", now=ingest.now, duration=ingest.processor().lease_duration
    )
    assert [(item.key, item.orphan) for item in ingest.reconciler().findings()] == [
        ("1.jpg", None),
        ("1.jpg", stale),
    ]


NUMBERS = [f"{number}" for number in range(23)]
"""Keys of which some start with others: the renditions of `1` follow those of `10`."""


def test_a_search_in_small_pages_finds_the_same_from_any_page_on(monkeypatch):
    for module in (reconcile, merging_reconcile):
        monkeypatch.setattr(module, "_PAGE", 3)
        monkeypatch.setattr(module, "_LISTED", 5)
    ingest = IngestFixture()
    keys = [*NUMBERS, "a!b", "a", "a/b", "x" * 900, "x" * 901]
    for key in keys:
        ingest.put(key, key.encode())
        ingest.processor().process(upload(key))
    assert found(ingest) == []
    for key in ("2", "20", "a", "x" * 900):  # lost deletions, of the record too
        ingest.uploads.delete(key)
    ingest.put("21", b"other")
    ingest.put("new", b"new")
    pages = list(ingest.reconciler().pages())
    whole = [[finding.key for finding in page.findings] for page in pages]
    assert set(chain.from_iterable(whole)) == {"2", "20", "a", "x" * 900, "21", "new"}
    assert {key for key, _ in found(ingest)} == {"2", "20", "a", "x" * 900, "21", "new"}
    assert len(pages) > 15
    for number, page in enumerate(pages):
        rest = [
            [finding.key for finding in page.findings] for page in ingest.reconciler().pages(page.position)
        ]
        assert list(chain.from_iterable(rest)) == list(chain.from_iterable(whole[number + 1 :]))
    repair(ingest)


def test_an_unchanged_library_is_listed_once_and_not_asked_for_each_original(ingest, monkeypatch):
    """Of two rules, and with refused originals."""
    ingest.recipe = parse_recipe(TWO_RULES)
    for number in range(200):
        key = f"{'other/' if number < 50 else ''}{number:03}.jpg"
        ingest.put(key, b"bad" if number % 10 == 5 else b"%d" % number)
        ingest.processor().process(upload(key))
    for number in range(3):
        ingest.processor().process(upload(f"{number}.jpg"))
    ingest.processed = RecordingStore(ingest.processed)
    ingest.uploads = RecordingStore(ingest.uploads)
    records, get = [], ingest.catalog.get
    monkeypatch.setattr(ingest.catalog, "get", lambda id_: records.append(id_) or get(id_))
    assert list(replace(ingest.reconciler(), outboxes=False).findings()) == []
    # Whether the last original has all its renditions shows only after its key.
    assert ingest.processed.calls == ["list", "list"]
    assert ingest.uploads.calls == ["list"]
    assert len(records) == 1


def test_a_search_in_pages_lists_renditions_once_and_not_for_each_original(ingest):
    for number in range(3, 200):
        ingest.put(f"{number:03}.jpg", b"%d" % number)
        ingest.processor().process(upload(f"{number:03}.jpg"))
    ingest.processed = RecordingStore(ingest.processed)
    ingest.uploads = RecordingStore(ingest.uploads)
    assert [page.findings for page in ingest.reconciler().pages()] == [()] * 3
    # Two listings of both, and one of the last original's renditions; a head for each record.
    assert ingest.processed.calls == ["list", "list", "list"]
    assert sorted(set(ingest.uploads.calls)) == ["head", "list"]
    assert ingest.uploads.calls.count("list") == 2
    assert ingest.uploads.calls.count("head") == 200


@pytest.mark.parametrize("limit", ["_MAX_PER_ORIGINAL", "_MAX_CANDIDATES"])
def test_more_stored_objects_than_expected_are_listed_for_each_original(ingest, monkeypatch, limit):
    for module in (reconcile, merging_reconcile):
        monkeypatch.setattr(module, limit, 0, raising=False)
    ingest.put("new.jpg", b"new")
    assert found(ingest) == [("new.jpg", Drift.MISSING)]
    ingest.uploads.delete("0.jpg")
    assert ("0.jpg", Drift.ORPHANED) in found(ingest)


def test_several_threads_find_the_same(ingest):
    ingest.put("new.jpg", b"new")
    reconciler = replace(ingest.reconciler(), threads=4)
    assert [finding.key for finding in reconciler.findings()] == ["new.jpg"]


def test_a_changed_cache_control_is_found_and_written(ingest):
    ingest.cache_control = "public, max-age=3600"
    assert found(ingest) == [(f"{number}.jpg", Drift.STALE) for number in range(3)]
    repair(ingest)
    headers = {ingest.processed.head(key).attributes.cache_control for key in ingest.processed.bodies()}
    assert headers == {"public, max-age=3600"}
    ruled = replace(ingest.recipe.rules[-1], cache_control="no-store")
    ingest.recipe = replace(ingest.recipe, rules=(*ingest.recipe.rules[:-1], ruled))
    assert [drift for _, drift in found(ingest)] == [Drift.STALE] * 3


def test_a_changed_cache_control_is_no_reason_to_try_a_refused_original_again(ingest):
    ingest.put("bad.jpg", b"bad")
    ingest.processor().process(upload("bad.jpg"))
    ingest.cache_control = "public, max-age=3600"
    assert "bad.jpg" not in {key for key, _ in found(ingest)}


def test_an_on_demand_rendition_with_another_cache_control_is_deleted(ingest):
    ingest.put("ignored/1.jpg", b"1")
    stored_key = make_on_demand(ingest, "ignored/1.jpg")
    ingest.cache_control = "public, max-age=3600"
    repair(ingest)
    assert stored_key not in ingest.processed.bodies()


def test_an_on_demand_rendition_with_the_cache_control_of_its_rule_stays(ingest):
    ruled = replace(ingest.recipe.rules[-1], cache_control="no-store")
    ingest.recipe = replace(ingest.recipe, rules=(*ingest.recipe.rules[:-1], ruled))
    repair(ingest)
    stored_key = make_on_demand(ingest, "1.jpg")
    assert found(ingest) == []
    assert stored_key in ingest.processed.bodies()


def test_a_stale_rendition_beyond_the_last_key_of_a_page_is_found(ingest):
    """The renditions of `a` come after the original `a!b`."""
    keys = ["ignored/a", "ignored/a!b"]
    for key in keys:
        ingest.put(key, b"cat")
    stored_key = make_on_demand(ingest, keys[0])
    ingest.cache_control = "no-store"
    pages = list(ingest.reconciler().pages())
    found = [(finding.orphan, page.position) for page in pages for finding in page.findings if finding.orphan]
    assert found == [(stored_key, reconcile.Position(reconcile.Phase.ORIGINALS, keys[1]))]


def test_the_header_of_renditions_of_version_0_2_is_read_from_them(ingest):
    """Their records have a fingerprint that does not tell it."""
    record = ingest.record("1.jpg")
    lease = ingest.catalog.acquire(
        upload("1.jpg"), owner="old", now=ingest.now, duration=ingest.processor().lease_duration
    )
    ingest.catalog.complete(lease, replace(record, fingerprint=ingest.processor().plan("1.jpg").fingerprint))
    assert found(ingest) == []
    assert ingest.processor().process(upload("1.jpg")).status is OutcomeStatus.UNCHANGED
    ingest.cache_control = "no-store"
    assert ("1.jpg", Drift.STALE) in found(ingest)
    repair(ingest)


def test_a_listing_is_taken_whole_in_pages_of_any_size() -> None:
    class Keys:
        def list(self, *, start_after: str) -> Iterator[Entry]:
            return (
                Entry(key, 1, "1", datetime(2026, 1, 1, tzinfo=UTC))
                for key in "abcdefghij"
                if key > start_after
            )

    listing = Listing(cast("ObjectStore", Keys()), "")
    pages = [listing.take_through(last, 3) for last in ("a", "a", "c", "c0")]
    assert [[entry.key for entry in page or ()] for page in pages] == [["a"], [], ["b", "c"], []]
    assert [listing.take_through("g", 2), listing.take_through("g0", 9)] == [None, []]
    rest = [*(listing.take_through("h", 9) or ()), *listing.take(9)]
    assert [entry.key for entry in rest] == ["h", "i", "j"]
