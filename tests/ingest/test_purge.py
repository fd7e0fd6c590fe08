"""The CDN forgets an image whose renditions changed or went, before the record says that all is done."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from test_crashes import STORIES, Counter, Faulty, Killed, faulty, points_of, prepare

from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest.invalidation import invalidation_prefix
from image_processor.renditions.freshness import fingerprint_metadata
from support.ingest import OTHER_RECIPE, IngestFixture, upload

MORE = """
[presets.other]
widths = [30, 40]
formats = ["png"]
[[rules]]
match = "**"
presets = ["other"]
"""


@dataclass
class Cdn:
    """Keeps what it was once asked for, until it is told to forget it. ``changes`` are those it knew."""

    room: IngestFixture
    kept: dict[str, bytes] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def visit(self) -> None:
        """Somebody looks at everything there is."""
        self.kept = {**self.room.processed.bodies(), **self.kept}

    def invalidate(self, beginning: str, change: str) -> None:
        if change in self.changes:
            return
        self.changes.append(change)
        self.kept = {key: body for key, body in self.kept.items() if not key.startswith(beginning)}

    def assert_right(self) -> None:
        assert self.kept.items() <= self.room.processed.bodies().items()


def opened(room: IngestFixture) -> Cdn:
    cdn = Cdn(room)
    room.invalidate = cdn.invalidate
    cdn.visit()
    return cdn


@pytest.mark.parametrize("story", [story for story in STORIES if story != "created"])
def test_what_changed_or_went_is_forgotten_once(story: str) -> None:
    room, event = prepare(story)
    cdn = opened(room)
    assert cdn.kept
    room.processor().process(event)
    cdn.assert_right()
    assert cdn.kept == {}
    assert len(cdn.changes) == 1
    room.processor().process(event)
    assert len(cdn.changes) == 1


def test_what_is_new_or_the_same_is_no_news() -> None:
    room = IngestFixture()
    cdn = opened(room)
    room.put("cat.jpg", b"cat")
    room.put("bad.jpg", b"bad")
    room.processor().process(upload("cat.jpg"))
    room.processor().process(upload("bad.jpg"))
    room.processor().process(upload("none.jpg", kind=UploadKind.DELETED))
    cdn.visit()
    room.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert cdn.changes == []
    assert cdn.kept == room.processed.bodies()


def test_a_recipe_that_only_adds_forgets_nothing_and_one_that_takes_away_does() -> None:
    room = IngestFixture(recipe=OTHER_RECIPE)
    cdn = opened(room)
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    cdn.visit()
    room.recipe = parse_recipe(MORE)
    room.processor().process(upload("cat.jpg"))
    assert len(cdn.kept) == 1
    cdn.visit()
    room.recipe = OTHER_RECIPE
    room.processor().process(upload("cat.jpg"))
    assert (len(cdn.changes), cdn.kept) == (1, {})


def test_what_was_asked_for_goes_with_the_version_it_was_made_of() -> None:
    room = IngestFixture()
    room.put("ignored/a.jpg", b"old")
    version = room.uploads.head("ignored/a.jpg").entry.version
    stamped = Attributes(metadata=fingerprint_metadata(version, room.icc, {}))
    room.processed.put("ignored/a.jpg/~w=7,fm=webp.webp", b"of old", stamped)
    cdn = opened(room)
    room.processor().process(upload("ignored/a.jpg"))
    assert (len(cdn.kept), cdn.changes) == (1, [])
    room.put("ignored/a.jpg", b"new")
    room.processor().process(upload("ignored/a.jpg"))
    assert (room.processed.bodies(), cdn.kept, len(cdn.changes)) == ({}, {}, 1)


def test_what_somebody_else_wrote_there_is_forgotten() -> None:
    room = IngestFixture()
    room.put("cat.jpg", b"cat")
    room.processor().process(upload("cat.jpg"))
    room.processed.put("cat.jpg/w=10,fm=webp.webp", b"foreign", Attributes())
    cdn = opened(room)
    room.processor().process(upload("cat.jpg"))
    cdn.assert_right()


def test_each_change_is_another_one() -> None:
    room = IngestFixture()
    cdn = opened(room)
    for body in (b"one", b"two", b"one", None, b"one", None):
        if body is None:
            room.uploads.delete("cat.jpg")
        else:
            room.put("cat.jpg", body)
        room.advance()
        room.processor().process(upload("cat.jpg"))
        cdn.assert_right()
        cdn.visit()
    assert len(set(cdn.changes)) == 4


def test_a_purge_that_failed_comes_again_as_the_same_change() -> None:
    room, event = prepare("overwritten")
    cdn = opened(room)
    told: list[tuple[str, str]] = []

    def down(beginning: str, change: str) -> None:
        told.append((beginning, change))
        raise Unavailable("CloudFront cannot answer")

    room.invalidate = down
    with pytest.raises(Unavailable):
        room.processor().process(event)
    record = room.record("cat.jpg")
    assert record is not None
    assert record.revision == 1
    room.invalidate = cdn.invalidate
    room.processor().process(event)
    cdn.assert_right()
    assert told == [("cat.jpg", change) for change in cdn.changes]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("error", [Killed, Unavailable])
def test_nothing_stale_is_kept_whenever_work_was_cut_short(story: str, error: type[BaseException]) -> None:
    for point in range(1, points_of(story) + 3):
        room, event = prepare(story)
        cdn = opened(room)
        counter = Counter(point, error)
        view = faulty(room, counter)
        view.invalidate = Faulty(cdn, counter).invalidate
        try:
            view.processor().process(event)
        except error:
            cdn.visit()  # while all is half done
            room.advance()
            for finding in [*room.reconciler().findings()] if point % 2 else []:
                assert finding.upload is not None
                room.processor().process(finding.upload)
            room.processor().process(event)
        cdn.assert_right()
        cdn.visit()
        assert cdn.kept == room.processed.bodies()


def test_without_a_record_it_is_forgotten_too_whenever_work_was_cut_short() -> None:
    """Of an original no rule wants, nothing but what was asked for is there."""
    for point in range(1, 40):
        room = IngestFixture()
        room.processed.put("ignored/a.jpg/~w=7,fm=webp.webp", b"old", Attributes())
        cdn = opened(room)
        counter = Counter(point)
        view = faulty(room, counter)
        view.invalidate = Faulty(cdn, counter).invalidate
        event = upload("ignored/a.jpg", kind=UploadKind.DELETED)
        try:
            view.processor().process(event)
        except Killed:
            cdn.visit()
            room.advance()
            room.processor().process(event)
        assert room.processed.bodies() == {}
        assert cdn.kept == {}


def test_long_keys_share_a_beginning_with_their_renditions() -> None:
    key = "ä" * 500
    assert invalidation_prefix(key) == "ä" * 350
    assert rendition_prefix(key).startswith(invalidation_prefix(key))
    assert invalidation_prefix("a/b.jpg") == "a/b.jpg"
