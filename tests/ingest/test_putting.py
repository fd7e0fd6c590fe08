"""Renditions are put while others are made, and originals are read while claims are taken."""

from __future__ import annotations

import threading
import time

import pytest

from image_processor.domain.errors import Reason, Refused, Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import OutcomeStatus, RenderedImage, Status, UploadKind
from support.ingest import IngestFixture, fake_render, upload

SOON = 10.0
"""Seconds in which another thread has surely done what it is there for."""


@pytest.fixture
def room():
    room = IngestFixture()
    room.put("cat.jpg", b"cat")
    return room


def seen(check):
    """Whether ``check`` comes true while others work."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.002)
    return False


def test_a_rendition_is_stored_while_the_next_one_is_made(room):
    def render(data, transformations, limits, *, on_rendition, **more):
        rendered = fake_render(data, transformations, limits, **more)
        for number, image in enumerate(rendered.renditions, 1):
            on_rendition(image)
            assert seen(lambda number=number: len(room.processed.bodies()) == number)
        return rendered

    room.render = render
    room.processor().process(upload("cat.jpg"))
    room.assert_converged()


def test_a_failure_amid_the_work_leaves_the_renditions_of_the_version_before(room):
    room.processor().process(upload("cat.jpg"))
    whole = room.processed.bodies()
    room.put("cat.jpg", b"dog")

    def render(data, transformations, *args, on_rendition, **more):
        on_rendition(fake_render(data, transformations, *args, **more).renditions[0])
        raise MemoryError

    room.render = render
    with pytest.raises(MemoryError):
        room.processor().process(upload("cat.jpg"))
    assert room.processed.bodies() == whole
    room.render = fake_render
    room.processor("other").process(upload("cat.jpg"))
    room.assert_converged()


@pytest.mark.parametrize("before", [b"", b"dog"])
def test_what_was_stored_of_an_original_that_is_refused_after_all_is_taken_back(room, before):
    """A level that cannot be decoded may come after one that could."""
    if before:
        room.put("cat.jpg", before)
        room.processor().process(upload("cat.jpg"))
        room.put("cat.jpg", b"cat")

    def render(data, transformations, *args, on_rendition, **more):
        on_rendition(fake_render(data, transformations, *args, **more).renditions[0])
        raise Refused(Reason.TRUNCATED, "expected a complete JPEG, got one that ends early")

    room.render = render
    outcome = room.processor().process(upload("cat.jpg"))
    assert (outcome.status, outcome.record.reason) == (OutcomeStatus.REFUSED, Reason.TRUNCATED)
    assert room.processed.bodies() == {}


def test_a_put_that_fails_fails_the_work_after_the_others_have_ended(room):
    really_put = room.processed.put
    ended = []

    def put(key, *args, **kwargs):
        if key.endswith("w=10,fm=jpeg.jpg"):
            raise Unavailable("no answer")
        time.sleep(0.05)
        entry = really_put(key, *args, **kwargs)
        ended.append(key)
        return entry

    def release(claim):
        assert len(ended) == 3, "somebody else could begin, and meet what comes late"
        really_release(claim)

    really_release, room.catalog.release = room.catalog.release, release
    room.processed.put = put
    with pytest.raises(Unavailable, match="no answer"):
        room.processor().process(upload("cat.jpg"))
    assert len(ended) == 3
    room.processed.put = really_put
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    room.assert_converged()


@pytest.mark.parametrize("kind", [UploadKind.CREATED, UploadKind.REPROCESS])
def test_the_original_is_read_while_the_claim_is_taken(room, kind):
    together = threading.Barrier(2)

    def met(method):
        def call(*args, **kwargs):
            together.wait(SOON)  # breaks unless both are on their way at a time
            return method(*args, **kwargs)

        return call

    room.uploads.get = met(room.uploads.get)
    room.catalog.acquire = met(room.catalog.acquire)
    assert room.processor().process(upload("cat.jpg", kind=kind)).status is OutcomeStatus.PROCESSED


def test_what_was_read_before_somebody_finished_a_newer_version_is_not_used(room):
    """Its claim comes late: the other has seen, made and recorded the second version by then."""
    room.processor("other").process(upload("cat.jpg"))
    really_get, really_claim = room.uploads.get, room.catalog.acquire
    read = threading.Event()
    bodies = []

    def get(*args, **kwargs):
        found = really_get(*args, **kwargs)
        bodies.append(found.body)
        read.set()
        return found

    def claim(*args, **kwargs):
        assert read.wait(SOON)
        room.catalog.acquire = really_claim
        room.put("cat.jpg", b"second")
        assert room.processor("other").process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
        written = room.processed.bodies()
        room.processed.put = None  # whatever is written from now on is older
        bodies.append(written)
        return really_claim(*args, **kwargs)

    room.uploads.get, room.catalog.acquire = get, claim
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.UNCHANGED
    assert bodies[0] == b"cat"
    assert room.processed.bodies() == bodies[-1]
    room.assert_converged()


def test_what_was_read_early_of_a_new_version_is_used_after_a_look(room):
    room.processor().process(upload("cat.jpg"))
    room.put("cat.jpg", b"dog")
    really_get, calls = room.uploads.get, []

    def get(*args, **kwargs):
        calls.append(args)
        return really_get(*args, **kwargs)

    room.uploads.get = get
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED
    assert len(calls) == 1
    room.assert_converged()


def test_an_error_of_the_early_read_gives_the_claim_back(room):
    def get(*_args, **_kwargs):
        raise Unavailable("no answer")

    really_get, room.uploads.get = room.uploads.get, get
    with pytest.raises(Unavailable, match="no answer"):
        room.processor().process(upload("cat.jpg"))
    room.uploads.get = really_get
    assert room.processor("other").process(upload("cat.jpg")).status is OutcomeStatus.PROCESSED


def test_a_lost_original_leaves_a_clean_place_though_it_was_read_early(room):
    """It goes after it was read and before it is claimed, and so does its event."""
    really_claim = room.catalog.acquire
    read = threading.Event()
    really_get = room.uploads.get

    def get(*args, **kwargs):
        try:
            return really_get(*args, **kwargs)
        finally:
            read.set()

    def claim(*args, **kwargs):
        assert read.wait(SOON)
        room.catalog.acquire = really_claim
        room.uploads.delete("cat.jpg")
        return really_claim(*args, **kwargs)

    room.uploads.get, room.catalog.acquire = get, claim
    assert room.processor().process(upload("cat.jpg")).status is OutcomeStatus.DELETED
    assert room.processed.bodies() == {}
    assert room.record("cat.jpg") is None


def test_a_rendition_that_is_handed_out_is_that_of_the_record(room):
    handed: list[RenderedImage] = []

    def render(*args, on_rendition, **more):
        def both(image):
            handed.append(image)
            on_rendition(image)

        return fake_render(*args, on_rendition=both, **more)

    room.render = render
    record = room.processor().process(upload("cat.jpg")).record
    assert record.status is Status.PROCESSED
    texts = [str(image.transformation) for image in handed]
    assert texts == [one.transformation for one in record.renditions]
    assert all(one.key.startswith(rendition_prefix("cat.jpg")) for one in record.renditions)
