"""Renditions are stored while others are encoded, and originals are read while leases are acquired."""

from __future__ import annotations

import threading
import time

import pytest

from image_processor.domain.errors import Reason, Refused, Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import OutcomeStatus, RenderedImage, Status, UploadKind
from support.ingest import IngestFixture, fake_render, upload

SOON = 10.0
"""Seconds in which another thread has surely done its work."""


@pytest.fixture
def ingest():
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"cat")
    return ingest


def seen(check):
    """Whether ``check`` becomes true while other threads work."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.002)
    return False


def test_a_rendition_is_stored_while_the_next_one_is_encoded(ingest):
    def render(data, transformations, limits, *, on_rendition, **options):
        rendered = fake_render(data, transformations, limits, **options)
        for number, image in enumerate(rendered.renditions, 1):
            on_rendition(image)
            assert seen(lambda number=number: len(ingest.processed.bodies()) == number)
        return rendered

    ingest.render = render
    ingest.processor().process(upload("cat.jpg"))
    ingest.assert_converged()


def test_a_failure_during_rendering_keeps_the_renditions_of_the_version_before(ingest):
    ingest.processor().process(upload("cat.jpg"))
    whole = ingest.processed.bodies()
    ingest.put("cat.jpg", b"dog")

    def render(data, transformations, *args, on_rendition, **options):
        on_rendition(fake_render(data, transformations, *args, **options).renditions[0])
        raise MemoryError

    ingest.render = render
    with pytest.raises(MemoryError):
        ingest.processor().process(upload("cat.jpg"))
    assert ingest.processed.bodies() == whole
    ingest.render = fake_render
    ingest.processor("other").process(upload("cat.jpg"))
    ingest.assert_converged()


@pytest.mark.parametrize("before", [b"", b"dog"])
def test_a_late_refusal_deletes_what_was_already_stored(ingest, before):
    """Decoding may fail after a first rendition has been encoded."""
    if before:
        ingest.put("cat.jpg", before)
        ingest.processor().process(upload("cat.jpg"))
        ingest.put("cat.jpg", b"cat")

    def render(data, transformations, *args, on_rendition, **options):
        on_rendition(fake_render(data, transformations, *args, **options).renditions[0])
        raise Refused(Reason.TRUNCATED, "expected a complete JPEG, got one that ends early")

    ingest.render = render
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert (outcome.status, outcome.record.reason) == (OutcomeStatus.REFUSED, Reason.TRUNCATED)
    assert ingest.processed.bodies() == {}


def test_a_failed_put_ends_the_attempt_after_all_other_puts_have_ended(ingest):
    really_put = ingest.processed.put
    ended = []

    def put(key, *args, **kwargs):
        if key.endswith("w=10,fm=jpeg.jpg"):
            raise Unavailable("no answer")
        time.sleep(0.05)
        entry = really_put(key, *args, **kwargs)
        ended.append(key)
        return entry

    def release(lease):
        assert len(ended) == 3, "somebody else could begin, and meet what comes late"
        really_release(lease)

    really_release, ingest.catalog.release = ingest.catalog.release, release
    ingest.processed.put = put
    with pytest.raises(Unavailable, match="no answer"):
        ingest.processor().process(upload("cat.jpg"))
    assert len(ended) == 3
    ingest.processed.put = really_put
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    ingest.assert_converged()


@pytest.mark.parametrize("kind", [UploadKind.CREATED, UploadKind.REPROCESS])
def test_the_original_is_read_while_the_lease_is_acquired(ingest, kind):
    together = threading.Barrier(2)

    def met(method):
        def call(*args, **kwargs):
            together.wait(SOON)  # breaks unless both calls run at the same time
            return method(*args, **kwargs)

        return call

    ingest.uploads.get = met(ingest.uploads.get)
    ingest.catalog.acquire = met(ingest.catalog.acquire)
    assert ingest.processor().process(upload("cat.jpg", kind=kind)).status is OutcomeStatus.PROCESSED


def test_an_early_read_is_not_used_if_another_worker_has_finished_a_newer_version(ingest):
    """The lease is acquired late: another worker has completed the second version by then."""
    ingest.processor("other").process(upload("cat.jpg"))
    really_get, really_acquire = ingest.uploads.get, ingest.catalog.acquire
    read = threading.Event()
    bodies = []

    def get(*args, **kwargs):
        found = really_get(*args, **kwargs)
        bodies.append(found.body)
        read.set()
        return found

    def acquire(*args, **kwargs):
        assert read.wait(SOON)
        ingest.catalog.acquire = really_acquire
        ingest.put("cat.jpg", b"second")
        assert ingest.processor("other").process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
        written = ingest.processed.bodies()
        ingest.processed.put = None  # whatever is written from now on is an older version
        bodies.append(written)
        return really_acquire(*args, **kwargs)

    ingest.uploads.get, ingest.catalog.acquire = get, acquire
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert bodies[0] == b"cat"
    assert ingest.processed.bodies() == bodies[-1]
    ingest.assert_converged()


def test_an_early_read_of_a_new_version_is_used_after_a_head(ingest):
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("cat.jpg", b"dog")
    really_get, calls = ingest.uploads.get, []

    def get(*args, **kwargs):
        calls.append(args)
        return really_get(*args, **kwargs)

    ingest.uploads.get = get
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    assert len(calls) == 1
    ingest.assert_converged()


def test_an_error_of_the_early_read_releases_the_lease(ingest):
    def get(*_args, **_kwargs):
        raise Unavailable("no answer")

    really_get, ingest.uploads.get = ingest.uploads.get, get
    with pytest.raises(Unavailable, match="no answer"):
        ingest.processor().process(upload("cat.jpg"))
    ingest.uploads.get = really_get
    assert ingest.processor("other").process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_an_original_deleted_after_the_early_read_leaves_nothing(ingest):
    """It is deleted after the early read and before the lease, and the delete event is lost."""
    really_acquire = ingest.catalog.acquire
    read = threading.Event()
    really_get = ingest.uploads.get

    def get(*args, **kwargs):
        try:
            return really_get(*args, **kwargs)
        finally:
            read.set()

    def acquire(*args, **kwargs):
        assert read.wait(SOON)
        ingest.catalog.acquire = really_acquire
        ingest.uploads.delete("cat.jpg")
        return really_acquire(*args, **kwargs)

    ingest.uploads.get, ingest.catalog.acquire = get, acquire
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.DELETED
    assert ingest.processed.bodies() == {}
    assert ingest.record("cat.jpg") is None


def test_the_record_lists_the_rendered_images_in_order(ingest):
    handed: list[RenderedImage] = []

    def render(*args, on_rendition, **options):
        def both(image):
            handed.append(image)
            on_rendition(image)

        return fake_render(*args, on_rendition=both, **options)

    ingest.render = render
    record = ingest.processor().process(upload("cat.jpg")).record
    assert record.status is Status.PROCESSED
    texts = [str(image.transformation) for image in handed]
    assert texts == [one.transformation for one in record.renditions]
    assert all(one.key.startswith(rendition_prefix("cat.jpg")) for one in record.renditions)
