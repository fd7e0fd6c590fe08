"""Processor.process over fakes: the result of one upload, also after failures and races."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from functools import partial

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
def ingest():
    return IngestFixture()


def test_an_upload_becomes_renditions_and_a_record(ingest):
    ingest.put("photos/cat.jpg", b"cat")
    outcome = ingest.processor().process(upload("photos/cat.jpg"))
    assert outcome.status is OutcomeStatus.PROCESSED
    assert sorted(ingest.processed.bodies()) == [
        "photos/cat.jpg/w=10,fm=jpeg.jpg",
        "photos/cat.jpg/w=10,fm=webp.webp",
        "photos/cat.jpg/w=20,fm=jpeg.jpg",
        "photos/cat.jpg/w=20,fm=webp.webp",
    ]
    ingest.assert_converged()
    record = ingest.record("photos/cat.jpg")
    assert (record.status, record.revision, record.bucket) == (Status.PROCESSED, 1, BUCKET)
    assert {rendition.key for rendition in record.renditions} == set(ingest.processed.bodies())


def test_a_rendition_has_its_media_type_cache_control_and_hash(ingest):
    ingest.put("cat.jpg", b"cat")
    rendition = ingest.processor().process(upload("cat.jpg")).record.renditions[0]
    stored = ingest.processed.head(rendition.key)
    assert stored.attributes.media_type == rendition.metadata.media_type
    assert stored.attributes.cache_control == "public, max-age=60"
    assert stored.attributes.metadata["sha256"] == rendition.metadata.sha256


def test_a_duplicate_changes_nothing(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    before = list(ingest.processed.list())
    again = ingest.processor().process(upload("cat.jpg"))
    assert again.status is OutcomeStatus.UNCHANGED
    assert again.record.revision == 1
    assert list(ingest.processed.list()) == before


def test_reprocess_renders_everything_again(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    before = {entry.version for entry in ingest.processed.list()}
    outcome = ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert (outcome.status, outcome.record.revision) == (OutcomeStatus.PROCESSED, 2)
    assert not before & {entry.version for entry in ingest.processed.list()}
    ingest.assert_converged()


def test_an_overwritten_original_replaces_its_renditions(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("cat.jpg", b"dog")
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    ingest.assert_converged()


def test_a_deletion_removes_the_renditions_of_the_original_and_no_others(ingest):
    for key in ("photos", "photos/cat.jpg", "photos/cat.jpg/nested.jpg"):
        ingest.put(key, key.encode())
        ingest.processor().process(upload(key))
    ingest.uploads.delete("photos/cat.jpg")
    outcome = ingest.processor().process(upload("photos/cat.jpg", kind=UploadKind.DELETED))
    assert outcome.status is OutcomeStatus.DELETED
    assert ingest.record("photos/cat.jpg") is None
    ingest.assert_converged()
    assert ingest.processed.bodies()


def test_a_completed_deletion_acquires_no_lease(ingest):
    leases = []
    real_acquire = ingest.catalog.acquire
    ingest.catalog.acquire = lambda *args, **kwargs: leases.append(args) or real_acquire(*args, **kwargs)
    assert (
        ingest.processor().process(upload("gone.jpg", kind=UploadKind.DELETED)).status
        is OutcomeStatus.DELETED
    )
    assert leases == []
    ingest.processed.put("gone.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    assert (
        ingest.processor().process(upload("gone.jpg", kind=UploadKind.DELETED)).status
        is OutcomeStatus.DELETED
    )
    assert len(leases) == 1
    assert ingest.processed.bodies() == {}


def test_foreign_objects_beside_renditions_are_kept(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processed.put("cat.jpg/notes.txt", b"mine", Attributes())
    ingest.processor().process(upload("cat.jpg"))
    ingest.uploads.delete("cat.jpg")
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED))
    assert ingest.processed.bodies() == {"cat.jpg/notes.txt": b"mine"}


def test_a_late_delete_event_does_not_affect_a_new_upload(ingest):
    ingest.put("cat.jpg", b"second life")
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED, sequencer="1"))
    ingest.assert_converged()
    assert ingest.record("cat.jpg").status is Status.PROCESSED


def test_the_expiry_of_an_earlier_version_does_not_affect_the_current_one(ingest):
    """What a lifecycle rule for noncurrent versions reports."""
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    outcome = ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED, version="earlier"))
    assert outcome.status is OutcomeStatus.UNCHANGED
    ingest.assert_converged()


def test_the_latest_sequencer_is_kept(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg", sequencer="a0"))
    ingest.put("cat.jpg", b"dog")
    ingest.processor().process(upload("cat.jpg", sequencer="9F"))
    assert ingest.record("cat.jpg").sequencer == "a0".rjust(32, "0")


def test_a_refused_upload_is_recorded_with_its_reason_and_not_retried(ingest):
    calls = []

    def render(*args, **kwargs):
        calls.append(args)
        return fake_render(*args, **kwargs)

    ingest.render = render
    ingest.put("cat.jpg", b"bad bytes")
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert outcome.status is OutcomeStatus.REFUSED
    record = ingest.record("cat.jpg")
    assert (record.status, record.reason) == (Status.REFUSED, Reason.NOT_AN_IMAGE)
    assert "expected an image" in record.message
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert len(calls) == 1
    ingest.assert_converged()


def test_an_original_over_the_byte_limit_is_refused_unread(ingest):
    ingest.limits = Limits(max_bytes=3)
    ingest.put("cat.jpg", b"four")
    assert ingest.processor().process(upload("cat.jpg")).record.reason is Reason.TOO_MANY_BYTES


def test_a_refusal_deletes_the_renditions_of_the_version_before(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("cat.jpg", b"bad bytes")
    ingest.processor().process(upload("cat.jpg"))
    assert ingest.processed.bodies() == {}
    assert ingest.record("cat.jpg").renditions == ()


def test_a_raised_limit_makes_refused_uploads_stale(ingest):
    ingest.limits = Limits(max_pixels=10)
    ingest.put("cat.jpg", b"big 100")
    assert ingest.processor().process(upload("cat.jpg")).record.reason is Reason.TOO_MANY_PIXELS
    ingest.limits = Limits(max_pixels=1000)
    assert [finding.drift for finding in ingest.reconciler().findings()] == ["stale"]
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    ingest.assert_converged()


@pytest.mark.parametrize("change", ["icc", "rendering"])
def test_another_profile_policy_or_rendering_makes_everything_stale(ingest, change, monkeypatch):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    if change == "icc":
        ingest.icc = IccPolicy.EMBED
    else:
        monkeypatch.setattr(plan, "RENDERING_VERSION", plan.RENDERING_VERSION + 1)
    assert [finding.drift for finding in ingest.reconciler().findings()] == ["stale"]
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    ingest.assert_converged()


def test_exif_fields_are_recorded_and_another_choice_makes_records_stale(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.put("bad.jpg", b"bad")
    before = {key: ingest.processor().process(upload(key)).record for key in ("cat.jpg", "bad.jpg")}
    assert before["cat.jpg"].exif == ()
    ingest.exif = (ExifField.MAKE, ExifField.ISO)
    assert {finding.drift for finding in ingest.reconciler().findings()} == {"stale"}
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert outcome.status is OutcomeStatus.PROCESSED
    assert ingest.record("cat.jpg").exif == (("make", "make of 3 bytes"), ("iso", "iso of 3 bytes"))
    ingest.put("cat.jpg", b"bad now")
    assert ingest.processor().process(upload("cat.jpg")).record.exif == ()
    ingest.put("cat.jpg", b"cat")
    ingest.exif = ()
    again = ingest.processor().process(upload("cat.jpg")).record
    assert (again.exif, again.fingerprint) == ((), before["cat.jpg"].fingerprint)


def test_without_exif_the_fingerprint_is_that_of_version_0_1(ingest):
    plain = plan.plan_upload("cat.jpg", ingest.recipe, IccPolicy.STRIP)
    assert plan.plan_upload("cat.jpg", ingest.recipe, IccPolicy.STRIP, ()).fingerprint == plain.fingerprint
    lines = [f"rendering={plan.RENDERING_VERSION}", "icc=strip", *sorted(map(str, plain.transformations))]
    assert plain.fingerprint == hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
    one, other = (
        plan.plan_upload("cat.jpg", ingest.recipe, IccPolicy.STRIP, fields).fingerprint
        for fields in ((ExifField.MAKE, ExifField.ISO), (ExifField.ISO, ExifField.MAKE))
    )
    assert one == other != plain.fingerprint


def test_an_original_outside_the_root_is_refused(ingest):
    class Outside(type(ingest.uploads)):
        def head(self, key, **_):
            raise Refused(Reason.OUTSIDE_ROOT, f"expected a file inside the root, got {key}")

        get = head

    ingest.uploads = Outside()
    ingest.put("cat.jpg", b"cat")
    record = ingest.processor().process(upload("cat.jpg")).record
    assert (record.status, record.reason) == (Status.REFUSED, Reason.OUTSIDE_ROOT)
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert list(ingest.reconciler().findings()) == []


@pytest.mark.parametrize("key", ["../cat.jpg", "", "x" * 1025])
def test_an_invalid_key_raises_before_any_io(ingest, key):
    with pytest.raises(InvalidKey):
        ingest.processor().process(upload(key))
    assert list(ingest.catalog.scan()) == []


@pytest.mark.parametrize("key", ["ignored/cat.jpg", "folder/", "a/.DS_Store", "a/._cat.jpg"])
def test_a_skipped_upload_leaves_no_trace(ingest, key):
    ingest.put(key, b"cat")
    outcome = ingest.processor().process(upload(key))
    assert outcome.status is OutcomeStatus.SKIPPED
    assert outcome.detail
    assert (ingest.processed.bodies(), ingest.record(key)) == ({}, None)
    assert list(ingest.reconciler().findings()) == []


def test_a_key_that_no_rule_matches_any_more_loses_its_renditions(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.recipe = replace(ingest.recipe, rules=())
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.SKIPPED
    assert (ingest.processed.bodies(), ingest.record("cat.jpg")) == ({}, None)


def test_a_skipped_original_keeps_its_fresh_on_demand_renditions(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    attributes = Attributes(
        metadata=fingerprint_metadata(ingest.uploads.head("cat.jpg").entry.version, ingest.icc, {})
    )
    ingest.processed.put("cat.jpg/~w=33,fm=webp.webp", b"made", attributes)
    ingest.recipe = replace(ingest.recipe, rules=())
    for _ in range(2):
        assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.SKIPPED
        assert list(ingest.processed.bodies()) == ["cat.jpg/~w=33,fm=webp.webp"]
    ingest.uploads.delete("cat.jpg")
    assert (
        ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED)).status is OutcomeStatus.DELETED
    )
    assert (ingest.processed.bodies(), ingest.record("cat.jpg")) == ({}, None)


def test_a_changed_recipe_leaves_only_its_own_renditions(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.recipe = OTHER_RECIPE
    ingest.processor().process(upload("cat.jpg"))
    assert list(ingest.processed.bodies()) == ["cat.jpg/w=30,fm=png.png"]
    ingest.assert_converged()


def test_a_leased_key_is_busy_until_the_lease_expires(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.catalog.acquire(
        upload("cat.jpg"), owner="dead", now=ingest.now, duration=ingest.processor().lease_duration
    )
    with pytest.raises(LeaseBusy):
        ingest.processor().process(upload("cat.jpg"))
    ingest.advance()
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_a_duplicate_of_a_leased_key_is_unchanged_if_no_work_is_left(ingest):
    """Else concurrent duplicates, all retried at the same moment, would end as dead letters."""
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.catalog.acquire(
        upload("cat.jpg"), owner="other", now=ingest.now, duration=ingest.processor().lease_duration
    )
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert (outcome.status, outcome.record.revision) == (OutcomeStatus.UNCHANGED, 1)
    with pytest.raises(LeaseBusy):
        ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    ingest.put("cat.jpg", b"dog")
    with pytest.raises(LeaseBusy):
        ingest.processor().process(upload("cat.jpg"))
    ingest.uploads.delete("cat.jpg")
    with pytest.raises(LeaseBusy):
        ingest.processor().process(upload("cat.jpg"))


def test_a_skipped_upload_without_output_acquires_no_lease(ingest):
    ingest.put("ignored/cat.jpg", b"cat")
    lease = ingest.processor().lease_duration
    real_acquire, leases = ingest.catalog.acquire, []
    ingest.catalog.acquire = lambda *args, **options: leases.append(args) or real_acquire(*args, **options)
    assert ingest.processor().process(upload("ignored/cat.jpg")).status is OutcomeStatus.SKIPPED
    assert leases == []
    ingest.processed.put("ignored/cat.jpg/w=10,fm=jpeg.jpg", b"old", Attributes())
    assert ingest.processor().process(upload("ignored/cat.jpg")).status is OutcomeStatus.SKIPPED
    assert (len(leases), ingest.processed.bodies()) == (1, {})
    real_acquire(upload("ignored/cat.jpg"), owner="dead", now=ingest.now, duration=lease)
    ingest.advance(lease.total_seconds() + 1)
    assert ingest.processor().process(upload("ignored/cat.jpg")).status is OutcomeStatus.SKIPPED
    assert ingest.record("ignored/cat.jpg") is None


@pytest.mark.parametrize("failure", [Unavailable("try later"), MemoryError(), KeyboardInterrupt()])
def test_whatever_ends_the_work_releases_the_lease(ingest, failure):
    ingest.put("cat.jpg", b"cat")

    def fail(*_args, **_kwargs):
        raise failure

    ingest.render = fail
    with pytest.raises(type(failure)):
        ingest.processor().process(upload("cat.jpg"))
    ingest.render = fake_render
    assert ingest.processor("other").process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_an_original_that_changes_while_it_is_rendered_is_rendered_again(ingest):
    ingest.put("cat.jpg", b"first")

    def render(data, *args, **kwargs):
        if data == b"first":
            ingest.put("cat.jpg", b"second")
        return fake_render(data, *args, **kwargs)

    ingest.render = render
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert outcome.record.revision == 2
    ingest.assert_converged()


def test_an_original_that_changes_while_it_is_reprocessed_and_is_done_by_another_is_not_done_again(ingest):
    """To be made anew was asked of the version that is gone."""
    ingest.put("cat.jpg", b"first")
    ingest.processor().process(upload("cat.jpg"))
    rendered = []
    complete = ingest.catalog.complete

    def render(data, *args, **kwargs):
        rendered.append(data)
        return fake_render(data, *args, **kwargs)

    def change_after_completion(*args, **kwargs):
        completed = complete(*args, **kwargs)
        ingest.catalog.complete = complete
        ingest.put("cat.jpg", b"second")
        ingest.processor("other").process(upload("cat.jpg"))
        return completed

    ingest.catalog.complete, ingest.render = change_after_completion, render
    outcome = ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert (outcome.status, rendered) == (OutcomeStatus.UNCHANGED, [b"first", b"second"])
    ingest.assert_converged()


def test_bytes_that_were_read_before_the_lease_are_not_taken_for_a_later_version(ingest):
    ingest.put("cat.jpg", b"first")
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("cat.jpg", b"second")
    rendered, early = [], threading.Event()
    acquire, get = ingest.catalog.acquire, ingest.uploads.get

    def render(data, *args, **kwargs):
        rendered.append(data)
        return fake_render(data, *args, **kwargs)

    def get_early(*args, **kwargs):
        found = get(*args, **kwargs)
        early.set()
        return found

    def replace_before(*args, **kwargs):
        assert early.wait(30)
        ingest.put("cat.jpg", b"third")
        return acquire(*args, **kwargs)

    ingest.uploads.get, ingest.catalog.acquire, ingest.render = get_early, replace_before, render
    ingest.processor().process(upload("cat.jpg"))
    assert rendered == [b"third"]
    ingest.assert_converged()


def test_an_original_deleted_while_it_is_rendered_leaves_nothing(ingest):
    ingest.put("cat.jpg", b"cat")

    def render(data, *args, **kwargs):
        ingest.uploads.delete("cat.jpg")
        return fake_render(data, *args, **kwargs)

    ingest.render = render
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.DELETED
    assert (ingest.processed.bodies(), ingest.record("cat.jpg")) == ({}, None)


def test_an_original_that_keeps_changing_is_unavailable(ingest):
    ingest.put("cat.jpg", b"0")

    def render(data, *args, **kwargs):
        ingest.put("cat.jpg", str(int(data) + 1).encode())
        return fake_render(data, *args, **kwargs)

    ingest.render = render
    with pytest.raises(Unavailable, match="kept changing"):
        ingest.processor().process(upload("cat.jpg"))


def test_a_worker_whose_lease_expired_cannot_overwrite_newer_renditions(ingest):
    """It renders the first version; its lease expires, and another worker finishes the second. No rendition
    is written before: a put would renew a lease that has expired and that nobody else has taken."""
    ingest.put("cat.jpg", b"first")

    def sleepy(data, *args, **kwargs):
        ingest.advance()
        ingest.put("cat.jpg", b"second")
        IngestFixture.processor(dataclasses.replace(ingest, render=fake_render), "other").process(
            upload("cat.jpg")
        )
        return fake_render(data, *args, **kwargs)

    ingest.render = sleepy
    with pytest.raises(LeaseLost):
        ingest.processor().process(upload("cat.jpg"))
    ingest.assert_converged()


@pytest.mark.parametrize("puts_before_stall", [0, 1, 3])
def test_a_worker_that_stalls_between_two_puts_cannot_leave_a_mixture(ingest, puts_before_stall):
    ingest.put("cat.jpg", b"first")
    real_put = ingest.processed.put
    calls = []
    together, one_at_a_time = threading.Barrier(4), threading.Lock()

    def put(key, body, attributes, *, condition=None):
        together.wait(timeout=30)  # every put has checked by now that the lease has not expired
        with one_at_a_time:
            calls.append(key)
            if len(calls) == puts_before_stall + 1:
                ingest.processed.put = real_put
                ingest.advance()
                ingest.put("cat.jpg", b"second")
                ingest.processor("other").process(upload("cat.jpg"))
                ingest.processed.put = put
            return real_put(key, body, attributes, condition=condition)

    ingest.processed.put = put
    with pytest.raises(LeaseLost):
        ingest.processor().process(upload("cat.jpg"))
    ingest.processor().process(upload("cat.jpg"))
    ingest.assert_converged()


def test_a_foreign_write_over_a_rendition_is_repaired(ingest):
    ingest.put("cat.jpg", b"cat")
    key = ingest.processor().process(upload("cat.jpg")).record.renditions[0].key
    ingest.processed.put(key, b"old pixels", Attributes())
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    ingest.assert_converged()


def test_the_lease_holder_overwrites_a_late_write_of_another_worker(ingest):
    ingest.put("cat.jpg", b"cat")
    key = rendition_prefix("cat.jpg") + "w=10,fm=jpeg.jpg"
    real_list = ingest.processed.list

    def list_then_late_write(*args, **kwargs):
        entries = list(real_list(*args, **kwargs))
        ingest.processed.list = real_list
        ingest.processed.put(key, b"old pixels", Attributes())
        return iter(entries)

    ingest.processed.list = list_then_late_write
    ingest.processor().process(upload("cat.jpg"))
    ingest.assert_converged()


def test_many_workers_on_one_key_have_one_winner(ingest):
    ingest.put("cat.jpg", b"cat")
    start = threading.Barrier(20)
    ends = []

    def work(number):
        processor = ingest.processor(f"worker {number}")
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
    assert ingest.record("cat.jpg").revision == 1
    ingest.assert_converged()


class FullDisk:
    """A catalog or a store whose writes fail while ``is_full``."""

    def __init__(self, port, *writes):
        self._port, self._writes, self.is_full = port, writes, False

    def __getattr__(self, name):
        if name in self._writes and self.is_full:
            return partial(self._fail, name)
        return getattr(self._port, name)

    def _fail(self, name, *_args, **_kwargs):
        raise Unavailable(f"{name}: no space left on device")


def test_a_full_disk_keeps_the_first_error_and_the_lease_only_while_it_is_full(ingest):
    ingest.put("cat.jpg", b"cat")
    ingest.processed = FullDisk(ingest.processed, "put")
    ingest.catalog = FullDisk(ingest.catalog, "release", "complete")
    processor = ingest.processor()
    ingest.processed.is_full = ingest.catalog.is_full = True
    for _ in range(2):
        with pytest.raises(Unavailable, match="put: no space left"):
            processor.process(upload("cat.jpg"))
        ingest.catalog.is_full = False
        with pytest.raises(LeaseBusy):
            ingest.processor("another").process(upload("cat.jpg"))
        ingest.catalog.is_full = True
        with pytest.raises(Unavailable, match="release: no space left"):
            processor.process(upload("cat.jpg"))
        ingest.catalog.is_full = False
        with pytest.raises(Unavailable, match="put: no space left"):
            processor.process(upload("cat.jpg"))  # without a wait for the end of the lease
        ingest.catalog.is_full = True
    ingest.processed.is_full = ingest.catalog.is_full = False
    assert processor.process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_a_refused_record_keeps_nothing_of_the_version_before():
    ingest = IngestFixture(exif=tuple(ExifField))
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("cat.jpg", b"bad")
    ingest.processor().process(upload("cat.jpg"))
    record = ingest.record("cat.jpg")
    assert (record.original, record.summary, record.exif, record.renditions) == (None, None, (), ())
