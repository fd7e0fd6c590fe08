"""Ingest over fakes: what one upload does, and what every accident leaves behind."""

from __future__ import annotations

import dataclasses
import hashlib
import threading

import pytest
from msgspec.structs import replace

from image_processor.domain.errors import InvalidKey, LeaseBusy, LeaseLost, Reason, Refused, Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import ExifField, IccPolicy, Limits, OutcomeStatus, Status, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest import plan
from image_processor.renditions.freshness import fingerprint_metadata
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, fake_render, upload


@pytest.fixture
def room():
    return IngestFixture()


def test_an_upload_becomes_renditions_and_a_record(room):
    room.put("photos/cat.jpg", b"cat")
    outcome = room.processor().process(upload("photos/cat.jpg"))
    assert outcome.status is OutcomeStatus.PROCESSED
    assert sorted(room.processed.bodies()) == [
        "photos/cat.jpg/w=10,fm=jpeg.jpg",
        "photos/cat.jpg/w=10,fm=webp.webp",
        "photos/cat.jpg/w=20,fm=jpeg.jpg",
        "photos/cat.jpg/w=20,fm=webp.webp",
    ]
    room.assert_converged()
    record = room.record("photos/cat.jpg")
    assert (record.status, record.revision, record.bucket) == (Status.PROCESSED, 1, BUCKET)
    assert {rendition.key for rendition in record.renditions} == set(room.processed.bodies())


def test_a_rendition_carries_its_media_type_cache_rule_and_hash(room):
    room.put("cat.jpg", b"cat")
    rendition = room.processor().process(upload("cat.jpg")).record.renditions[0]
    stored = room.processed.head(rendition.key)
    assert stored.attributes.media_type == rendition.metadata.media_type
    assert stored.attributes.cache_control == "public, max-age=60"
    assert stored.attributes.metadata["sha256"] == rendition.metadata.sha256


def test_a_duplicate_changes_nothing(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    before = list(room.processed.list())
    again = room.processor().process(upload("cat.jpg"))
    assert again.status is OutcomeStatus.UNCHANGED
    assert again.record.revision == 1
    assert list(room.processed.list()) == before


def test_reprocess_makes_everything_anew(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    before = {entry.version for entry in room.processed.list()}
    outcome = room.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert (outcome.status, outcome.record.revision) == (OutcomeStatus.PROCESSED, 2)
    assert not before & {entry.version for entry in room.processed.list()}
    room.assert_converged()


def test_an_overwritten_original_replaces_its_renditions(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    room.put("cat.jpg", b"dog")
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    room.assert_converged()


def test_a_deleted_original_takes_its_renditions_along_but_no_others(room):
    for key in ("photos", "photos/cat.jpg", "photos/cat.jpg/nested.jpg"):
        room.put(key, key.encode())
        room.processor().process(upload(key))
    room.uploads.delete("photos/cat.jpg")
    outcome = room.processor().process(upload("photos/cat.jpg", kind=UploadKind.DELETED))
    assert outcome.status is OutcomeStatus.DELETED
    assert room.record("photos/cat.jpg") is None
    room.assert_converged()
    assert room.processed.bodies()


def test_a_deletion_with_nothing_left_to_do_makes_no_record_even_for_a_moment(room):
    claims = []
    real_claim = room.catalog.acquire
    room.catalog.acquire = lambda *args, **kwargs: claims.append(args) or real_claim(*args, **kwargs)
    assert (
        room.processor().process(upload("gone.jpg", kind=UploadKind.DELETED)).status is OutcomeStatus.DELETED
    )
    assert claims == []
    room.processed.put("gone.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    assert (
        room.processor().process(upload("gone.jpg", kind=UploadKind.DELETED)).status is OutcomeStatus.DELETED
    )
    assert len(claims) == 1
    assert room.processed.bodies() == {}


def test_what_somebody_else_put_beside_the_renditions_is_left_alone(room):
    room.put("cat.jpg", b"cat")
    room.processed.put("cat.jpg/notes.txt", b"mine", Attributes())
    room.processor().process(upload("cat.jpg"))
    room.uploads.delete("cat.jpg")
    room.processor().process(upload("cat.jpg", kind=UploadKind.DELETED))
    assert room.processed.bodies() == {"cat.jpg/notes.txt": b"mine"}


def test_a_late_delete_event_does_not_hurt_a_new_upload(room):
    room.put("cat.jpg", b"second life")
    room.processor().process(upload("cat.jpg", kind=UploadKind.DELETED, sequencer="1"))
    room.assert_converged()
    assert room.record("cat.jpg").status is Status.PROCESSED


def test_the_latest_sequencer_is_kept(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg", sequencer="a0"))
    room.put("cat.jpg", b"dog")
    room.processor().process(upload("cat.jpg", sequencer="9F"))
    assert room.record("cat.jpg").sequencer == "a0".rjust(32, "0")


def test_a_refused_upload_is_recorded_with_its_reason_and_not_tried_again(room):
    calls = []

    def render(*args, **kwargs):
        calls.append(args)
        return fake_render(*args, **kwargs)

    room.render = render
    room.put("cat.jpg", b"bad bytes")
    outcome = room.processor().process(upload("cat.jpg"))
    assert outcome.status is OutcomeStatus.REFUSED
    record = room.record("cat.jpg")
    assert (record.status, record.reason) == (Status.REFUSED, Reason.NOT_AN_IMAGE)
    assert "expected an image" in record.message
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert len(calls) == 1
    room.assert_converged()


def test_an_original_over_the_byte_limit_is_refused_unread(room):
    room.limits = Limits(max_bytes=3)
    room.put("cat.jpg", b"four")
    assert room.processor().process(upload("cat.jpg")).record.reason is Reason.TOO_MANY_BYTES


def test_a_refusal_takes_the_renditions_of_the_version_before_along(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    room.put("cat.jpg", b"bad bytes")
    room.processor().process(upload("cat.jpg"))
    assert room.processed.bodies() == {}
    assert room.record("cat.jpg").renditions == ()


def test_a_raised_limit_gives_the_refused_another_chance(room):
    room.limits = Limits(max_pixels=10)
    room.put("cat.jpg", b"big 100")
    assert room.processor().process(upload("cat.jpg")).record.reason is Reason.TOO_MANY_PIXELS
    room.limits = Limits(max_pixels=1000)
    assert [finding.drift for finding in room.reconciler().findings()] == ["stale"]
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    room.assert_converged()


@pytest.mark.parametrize("change", ["icc", "rendering"])
def test_another_way_to_render_makes_everything_stale(room, change, monkeypatch):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    if change == "icc":
        room.icc = IccPolicy.EMBED
    else:
        monkeypatch.setattr(plan, "RENDERING_VERSION", plan.RENDERING_VERSION + 1)
    assert [finding.drift for finding in room.reconciler().findings()] == ["stale"]
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    room.assert_converged()


def test_what_is_kept_of_the_exif_is_on_record_and_another_choice_makes_it_stale(room):
    room.put("cat.jpg", b"cat")
    room.put("bad.jpg", b"bad")
    before = {key: room.processor().process(upload(key)).record for key in ("cat.jpg", "bad.jpg")}
    assert before["cat.jpg"].exif == ()
    room.exif = (ExifField.MAKE, ExifField.ISO)
    assert {finding.drift for finding in room.reconciler().findings()} == {"stale"}
    outcome = room.processor().process(upload("cat.jpg"))
    assert outcome.status is OutcomeStatus.PROCESSED
    assert room.record("cat.jpg").exif == (("make", "make of 3 bytes"), ("iso", "iso of 3 bytes"))
    room.put("cat.jpg", b"bad now")
    assert room.processor().process(upload("cat.jpg")).record.exif == ()
    room.put("cat.jpg", b"cat")
    room.exif = ()
    again = room.processor().process(upload("cat.jpg")).record
    assert (again.exif, again.fingerprint) == ((), before["cat.jpg"].fingerprint)


def test_without_exif_the_fingerprint_is_what_it_always_was(room):
    plain = plan.plan_upload("cat.jpg", room.recipe, IccPolicy.STRIP)
    assert plan.plan_upload("cat.jpg", room.recipe, IccPolicy.STRIP, ()).fingerprint == plain.fingerprint
    lines = [f"rendering={plan.RENDERING_VERSION}", "icc=strip", *sorted(map(str, plain.transformations))]
    assert plain.fingerprint == hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
    one, other = (
        plan.plan_upload("cat.jpg", room.recipe, IccPolicy.STRIP, fields).fingerprint
        for fields in ((ExifField.MAKE, ExifField.ISO), (ExifField.ISO, ExifField.MAKE))
    )
    assert one == other != plain.fingerprint


def test_an_original_outside_the_root_is_refused(room):
    class Outside(type(room.uploads)):
        def head(self, key, **_):
            raise Refused(Reason.OUTSIDE_ROOT, f"expected a file inside the root, got {key}")

        get = head

    room.uploads = Outside()
    room.put("cat.jpg", b"cat")
    record = room.processor().process(upload("cat.jpg")).record
    assert (record.status, record.reason) == (Status.REFUSED, Reason.OUTSIDE_ROOT)
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert list(room.reconciler().findings()) == []


@pytest.mark.parametrize("key", ["../cat.jpg", "", "x" * 1025])
def test_a_key_that_no_store_holds_is_an_error_before_anything_happens(room, key):
    with pytest.raises(InvalidKey):
        room.processor().process(upload(key))
    assert list(room.catalog.scan()) == []


@pytest.mark.parametrize("key", ["ignored/cat.jpg", "folder/", "a/.DS_Store", "a/._cat.jpg"])
def test_what_no_rule_wants_is_skipped_without_a_trace(room, key):
    room.put(key, b"cat")
    outcome = room.processor().process(upload(key))
    assert outcome.status is OutcomeStatus.SKIPPED
    assert outcome.detail
    assert (room.processed.bodies(), room.record(key)) == ({}, None)
    assert list(room.reconciler().findings()) == []


def test_a_key_that_the_recipe_no_longer_wants_loses_its_renditions(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    room.recipe = replace(room.recipe, rules=())
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.SKIPPED
    assert (room.processed.bodies(), room.record("cat.jpg")) == ({}, None)


def test_what_was_asked_for_stays_though_no_rule_wants_its_original_any_more(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    stamped = Attributes(
        metadata=fingerprint_metadata(room.uploads.head("cat.jpg").entry.version, room.icc, {})
    )
    room.processed.put("cat.jpg/~w=33,fm=webp.webp", b"made", stamped)
    room.recipe = replace(room.recipe, rules=())
    for _ in range(2):
        assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.SKIPPED
        assert list(room.processed.bodies()) == ["cat.jpg/~w=33,fm=webp.webp"]
    room.uploads.delete("cat.jpg")
    assert (
        room.processor().process(upload("cat.jpg", kind=UploadKind.DELETED)).status is OutcomeStatus.DELETED
    )
    assert (room.processed.bodies(), room.record("cat.jpg")) == ({}, None)


def test_a_changed_recipe_leaves_only_its_own_renditions(room):
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    room.recipe = OTHER_RECIPE
    room.processor().process(upload("cat.jpg"))
    assert list(room.processed.bodies()) == ["cat.jpg/w=30,fm=png.png"]
    room.assert_converged()


def test_a_key_in_other_hands_is_busy_until_the_claim_ends(room):
    room.put("cat.jpg", b"cat")
    room.catalog.acquire(
        upload("cat.jpg"), owner="dead", now=room.now, duration=room.processor().lease_duration
    )
    with pytest.raises(LeaseBusy):
        room.processor().process(upload("cat.jpg"))
    room.advance()
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_a_duplicate_that_meets_a_claim_is_settled_where_nothing_is_left_to_do(room):
    """Else a herd of duplicates, all due again at the same moment, would end as dead letters."""
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    room.catalog.acquire(
        upload("cat.jpg"), owner="looks", now=room.now, duration=room.processor().lease_duration
    )
    outcome = room.processor().process(upload("cat.jpg"))
    assert (outcome.status, outcome.record.revision) == (OutcomeStatus.UNCHANGED, 1)
    with pytest.raises(LeaseBusy):
        room.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    room.put("cat.jpg", b"dog")
    with pytest.raises(LeaseBusy):
        room.processor().process(upload("cat.jpg"))
    room.uploads.delete("cat.jpg")
    with pytest.raises(LeaseBusy):
        room.processor().process(upload("cat.jpg"))


def test_what_no_rule_wants_is_skipped_without_a_claim_where_nothing_was_made_of_it(room):
    room.put("ignored/cat.jpg", b"cat")
    lease = room.processor().lease_duration
    real_claim, claims = room.catalog.acquire, []
    room.catalog.acquire = lambda *args, **more: claims.append(args) or real_claim(*args, **more)
    assert room.processor().process(upload("ignored/cat.jpg")).status is OutcomeStatus.SKIPPED
    assert claims == []
    room.processed.put("ignored/cat.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    assert room.processor().process(upload("ignored/cat.jpg")).status is OutcomeStatus.SKIPPED
    assert (len(claims), room.processed.bodies()) == (1, {})
    real_claim(upload("ignored/cat.jpg"), owner="dead", now=room.now, duration=lease)
    room.advance(lease.total_seconds() + 1)
    assert room.processor().process(upload("ignored/cat.jpg")).status is OutcomeStatus.SKIPPED
    assert room.record("ignored/cat.jpg") is None


def test_a_transient_failure_gives_the_claim_back(room):
    room.put("cat.jpg", b"cat")

    def unavailable(*_args, **_kwargs):
        raise Unavailable("try later")

    room.render = unavailable
    with pytest.raises(Unavailable):
        room.processor().process(upload("cat.jpg"))
    room.render = fake_render
    assert room.processor("other").process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_an_original_that_changes_while_it_is_rendered_is_rendered_again(room):
    room.put("cat.jpg", b"first")

    def render(data, *args, **kwargs):
        if data == b"first":
            room.put("cat.jpg", b"second")
        return fake_render(data, *args, **kwargs)

    room.render = render
    outcome = room.processor().process(upload("cat.jpg"))
    assert outcome.record.revision == 2
    room.assert_converged()


def test_an_original_that_goes_while_it_is_rendered_leaves_nothing(room):
    room.put("cat.jpg", b"cat")

    def render(data, *args, **kwargs):
        room.uploads.delete("cat.jpg")
        return fake_render(data, *args, **kwargs)

    room.render = render
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.DELETED
    assert (room.processed.bodies(), room.record("cat.jpg")) == ({}, None)


def test_an_original_that_never_rests_is_left_to_the_queue(room):
    room.put("cat.jpg", b"0")

    def render(data, *args, **kwargs):
        room.put("cat.jpg", str(int(data) + 1).encode())
        return fake_render(data, *args, **kwargs)

    room.render = render
    with pytest.raises(Unavailable, match="kept changing"):
        room.processor().process(upload("cat.jpg"))


def test_a_worker_that_slept_past_its_claim_cannot_overwrite_newer_renditions(room):
    """It renders the first version; meanwhile its claim ends and another finishes the second."""
    room.put("cat.jpg", b"first")

    def sleepy(data, *args, **kwargs):
        rendered = fake_render(data, *args, **kwargs)
        room.advance()
        room.put("cat.jpg", b"second")
        IngestFixture.processor(dataclasses.replace(room, render=fake_render), "other").process(
            upload("cat.jpg")
        )
        return rendered

    room.render = sleepy
    with pytest.raises(LeaseLost):
        room.processor().process(upload("cat.jpg"))
    room.assert_converged()


@pytest.mark.parametrize("puts_before_sleep", [0, 1, 3])
def test_a_worker_that_slept_between_two_puts_cannot_leave_a_mixture(room, puts_before_sleep):
    room.put("cat.jpg", b"first")
    real_put = room.processed.put
    calls = []
    together, one_at_a_time = threading.Barrier(4), threading.Lock()

    def put(key, body, attributes, *, condition=None):
        together.wait(timeout=30)  # every put has seen by now that the claim has not ended
        with one_at_a_time:
            calls.append(key)
            if len(calls) == puts_before_sleep + 1:
                room.processed.put = real_put
                room.advance()
                room.put("cat.jpg", b"second")
                room.processor("other").process(upload("cat.jpg"))
                room.processed.put = put
            return real_put(key, body, attributes, condition=condition)

    room.processed.put = put
    with pytest.raises(LeaseLost):
        room.processor().process(upload("cat.jpg"))
    room.processor().process(upload("cat.jpg"))
    room.assert_converged()


def test_a_stray_write_over_finished_work_is_found_and_mended(room):
    room.put("cat.jpg", b"cat")
    key = room.processor().process(upload("cat.jpg")).record.renditions[0].key
    room.processed.put(key, b"old pixels", Attributes())
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    room.assert_converged()


def test_the_winner_writes_over_what_a_zombie_wrote_under_its_claim(room):
    room.put("cat.jpg", b"cat")
    key = rendition_prefix("cat.jpg") + "w=10,fm=jpeg.jpg"
    real_list = room.processed.list

    def list_then_zombie(*args, **kwargs):
        entries = list(real_list(*args, **kwargs))
        room.processed.list = real_list
        room.processed.put(key, b"old pixels", Attributes())
        return iter(entries)

    room.processed.list = list_then_zombie
    room.processor().process(upload("cat.jpg"))
    room.assert_converged()


def test_many_workers_on_one_key_have_one_winner(room):
    room.put("cat.jpg", b"cat")
    start = threading.Barrier(20)
    ends = []

    def work(number):
        processor = room.processor(f"worker {number}")
        start.wait()
        try:
            ends.append(processor.process(upload("cat.jpg")).status)
        except LeaseBusy:
            ends.append("busy")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 20
    assert ends.count(OutcomeStatus.PROCESSED) == 1
    assert room.record("cat.jpg").revision == 1
    room.assert_converged()
