"""An image is invalidated in the CDN once its record is complete, if renditions have changed or gone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import pytest
from msgspec.structs import replace
from test_crashes import SCENARIOS, Counter, FaultyPort, Killed, faulty_worker, finishes, points_of, prepare

from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import LeaseLost, Unavailable
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import MessageKind, OutboxMessage, Upload, UploadKind
from image_processor.domain.ports import Attributes, Entry
from image_processor.ingest.drift import Drift
from image_processor.ingest.invalidation import invalidation_prefix
from image_processor.ingest.outbox import Outbox, Send
from image_processor.ingest.reconcile import Finding
from image_processor.ingest.reconcile_run import Checkpoint, run
from image_processor.renditions.freshness import fingerprint_metadata
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, upload
from support.memory_store import MemoryStore

MORE = """
[presets.other]
widths = [30, 40]
formats = ["png"]
[[rules]]
match = "**"
presets = ["other"]
"""


@dataclass
class FakeCdn:
    """A CDN that keeps every response until it is invalidated. ``changes`` are the ids it has seen."""

    ingest: IngestFixture
    kept: dict[str, bytes] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def request_all(self) -> None:
        """Clients request everything that is stored."""
        self.kept = {**self.ingest.processed.bodies(), **self.kept}

    def send(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            assert message.kind is MessageKind.INVALIDATION
            assert message.created_at.tzinfo is UTC
            if message.id not in self.changes:
                self.changes.append(message.id)
            prefix = invalidation_prefix(message.key)
            self.kept = {key: body for key, body in self.kept.items() if not key.startswith(prefix)}

    def assert_right(self) -> None:
        assert self.kept.items() <= self.ingest.processed.bodies().items()


def with_cdn(ingest: IngestFixture) -> FakeCdn:
    cdn = FakeCdn(ingest)
    ingest.outbox = outbox(cdn.send)
    cdn.request_all()
    return cdn


def outbox(send: Send) -> Outbox:
    return Outbox(frozenset({MessageKind.INVALIDATION}), {MessageKind.INVALIDATION: send})


@pytest.mark.parametrize("scenario", [scenario for scenario in SCENARIOS if scenario != "created"])
def test_a_change_invalidates_once(scenario: str) -> None:
    ingest, event = prepare(scenario)
    cdn = with_cdn(ingest)
    assert cdn.kept
    ingest.processor().process(event)
    cdn.assert_right()
    assert cdn.kept == {}
    assert len(cdn.changes) == 1
    ingest.processor().process(event)
    assert len(cdn.changes) == 1


def test_new_and_unchanged_renditions_invalidate_nothing() -> None:
    ingest = IngestFixture()
    cdn = with_cdn(ingest)
    ingest.put("cat.jpg", b"cat")
    ingest.put("bad.jpg", b"bad")
    ingest.processor().process(upload("cat.jpg"))
    ingest.processor().process(upload("bad.jpg"))
    ingest.processor().process(upload("none.jpg", kind=UploadKind.DELETED))
    cdn.request_all()
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert cdn.changes == []
    assert cdn.kept == ingest.processed.bodies()


def test_removed_renditions_invalidate_and_added_ones_do_not() -> None:
    ingest = IngestFixture(recipe=OTHER_RECIPE)
    cdn = with_cdn(ingest)
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    cdn.request_all()
    ingest.recipe = parse_recipe(MORE)
    ingest.processor().process(upload("cat.jpg"))
    assert len(cdn.kept) == 1
    cdn.request_all()
    ingest.recipe = OTHER_RECIPE
    ingest.processor().process(upload("cat.jpg"))
    assert (len(cdn.changes), cdn.kept) == (1, {})


def test_a_new_version_invalidates_on_demand_renditions_of_a_skipped_original() -> None:
    ingest = IngestFixture()
    ingest.put("ignored/a.jpg", b"old")
    version = ingest.uploads.head("ignored/a.jpg").entry.version
    attributes = Attributes(metadata=fingerprint_metadata(version, ingest.icc, {}))
    ingest.processed.put("ignored/a.jpg/~w=7,fm=webp.webp", b"of old", attributes)
    cdn = with_cdn(ingest)
    ingest.processor().process(upload("ignored/a.jpg"))
    assert (len(cdn.kept), cdn.changes) == (1, [])
    ingest.put("ignored/a.jpg", b"new")
    ingest.processor().process(upload("ignored/a.jpg"))
    assert (ingest.processed.bodies(), cdn.kept, len(cdn.changes)) == ({}, {}, 1)


def test_renditions_that_views_made_are_invalidated_with_their_version_only() -> None:
    lazy = parse_recipe(MORE.replace("[30, 40]", "[30, 40]\neager = false"))
    ingest = IngestFixture(recipe=lazy)
    ingest.put("cat.jpg", b"cat")
    viewed = "cat.jpg/w=30,fm=png.png"
    sources = fingerprint_metadata(ingest.uploads.head("cat.jpg").entry.version, ingest.icc, {})
    ingest.processed.put(viewed, b"made", Attributes("image/png", ingest.cache_control, sources))
    cdn = with_cdn(ingest)
    ingest.processor().process(upload("cat.jpg"))
    assert (cdn.changes, list(ingest.processed.bodies())) == ([], [viewed])
    ingest.put("cat.jpg", b"dog")
    ingest.processor().process(upload("cat.jpg"))
    assert (len(cdn.changes), ingest.processed.bodies()) == (1, {})
    cdn.assert_right()


def test_a_foreign_write_over_a_rendition_is_invalidated() -> None:
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"foreign", Attributes())
    cdn = with_cdn(ingest)
    ingest.processor().process(upload("cat.jpg"))
    cdn.assert_right()


def test_every_change_has_its_own_id() -> None:
    ingest = IngestFixture()
    cdn = with_cdn(ingest)
    for body in (b"one", b"two", b"one", None, b"one", None):
        if body is None:
            ingest.uploads.delete("cat.jpg")
        else:
            ingest.put("cat.jpg", body)
        ingest.advance()
        ingest.processor().process(upload("cat.jpg"))
        cdn.assert_right()
        cdn.request_all()
    assert len(set(cdn.changes)) == 4


def test_a_failed_invalidation_fails_no_upload_and_is_sent_with_the_next_event() -> None:
    ingest, event = prepare("overwritten")
    cdn = with_cdn(ingest)

    def down(_messages: Sequence[OutboxMessage]) -> None:
        raise Unavailable("SQS cannot answer")

    ingest.outbox = outbox(down)
    outcome = ingest.processor().process(event)
    record = ingest.record("cat.jpg")
    assert record is not None
    assert record.revision == 2
    assert outcome.record == record
    assert [message.key for message in outcome.unsent] == ["cat.jpg"]
    ingest.outbox = outbox(cdn.send)
    (finding,) = ingest.reconciler().findings()
    assert (finding.key, finding.drift) == ("cat.jpg", Drift.UNSENT)
    outcome = ingest.processor().process(event)
    assert outcome.unsent == ()
    cdn.assert_right()
    assert len(cdn.changes) == 1
    ingest.assert_converged()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("error", [Killed, Unavailable])
def test_the_cdn_is_right_after_an_interruption_at_any_point(
    scenario: str, error: type[BaseException]
) -> None:
    for point in range(1, points_of(scenario) + 7):
        ingest, event = prepare(scenario)
        cdn = with_cdn(ingest)
        counter = Counter(point, error)
        view = faulty_worker(ingest, counter)
        view.outbox = outbox(FaultyPort(cdn, counter).send)
        if not finishes(view, event, error):
            cdn.request_all()  # clients request what is half done
            ingest.advance()
            for finding in [*ingest.reconciler().findings()] if point % 2 else []:
                assert finding.upload is not None
                ingest.processor().process(finding.upload)
            ingest.processor().process(event)
        cdn.assert_right()
        cdn.request_all()
        assert cdn.kept == ingest.processed.bodies()


def test_the_cdn_is_right_without_a_record_after_an_interruption_at_any_point() -> None:
    """A skipped original has on-demand renditions only."""
    for point in range(1, 40):
        ingest = IngestFixture()
        ingest.processed.put("ignored/a.jpg/~w=7,fm=webp.webp", b"old", Attributes())
        cdn = with_cdn(ingest)
        counter = Counter(point)
        view = faulty_worker(ingest, counter)
        view.outbox = outbox(FaultyPort(cdn, counter).send)
        event = upload("ignored/a.jpg", kind=UploadKind.DELETED)
        try:
            view.processor().process(event)
        except Killed:
            cdn.request_all()
            ingest.advance()
            ingest.processor().process(event)
        assert ingest.processed.bodies() == {}
        assert cdn.kept == {}


@pytest.mark.parametrize("call", ["delete", "complete"])
@pytest.mark.parametrize("failure", [Killed, LeaseLost])
def test_deleted_renditions_that_no_record_has_are_invalidated_after_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch, call: str, failure: type[BaseException]
) -> None:
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"bad")
    ingest.processor().process(upload("cat.jpg"))
    # Of a worker that was killed before it could record them.
    ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"old", Attributes())
    cdn, sent = with_cdn(ingest), list[OutboxMessage]()

    def send(messages: Sequence[OutboxMessage]) -> None:
        sent.extend(messages)
        cdn.send(messages)

    ingest.outbox = outbox(send)

    def fail(*_: object) -> None:
        raise failure("while it completes")

    if call == "delete":
        ingest.uploads.delete("cat.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(ingest.catalog, call, fail)
        with pytest.raises(failure):
            ingest.processor().process(upload("cat.jpg"))
    # Without its lease a worker may be late: it has the CDN forget at once what it has deleted.
    assert (ingest.processed.bodies(), len(sent)) == ({}, failure is LeaseLost)
    (message,) = ingest.catalog.unsent(image_id(BUCKET, "cat.jpg"))
    assert all(re.fullmatch("[0-9a-f]{32}", item.id) for item in (message, *sent))
    assert (message.kind, message.key) == (MessageKind.INVALIDATION, "cat.jpg")
    ingest.advance()
    ingest.processor("other").process(upload("cat.jpg"))
    assert message in sent
    assert cdn.kept == {}
    assert len(set(cdn.changes)) == len(cdn.changes) == len(sent)


def test_what_is_announced_before_a_change_is_sent_once_and_has_another_id_in_each_lease() -> None:
    ingest = IngestFixture()
    cdn = with_cdn(ingest)
    for number, body in enumerate((b"bad", b"bad dog", b"cat")):
        ingest.put("cat.jpg", body)
        ingest.processor().process(upload("cat.jpg"))
        assert len(cdn.changes) == number
        ingest.processed.put("cat.jpg/w=7,fm=webp.webp", b"foreign", Attributes())
        cdn.request_all()
        ingest.put("cat.jpg", b"bad again")
        ingest.processor().process(upload("cat.jpg"))
        assert len(cdn.changes) == number + 1
        cdn.assert_right()


def test_a_deletion_that_was_announced_is_invalidated_once() -> None:
    """An invalidation of a path costs money."""
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.processed.put("cat.jpg/w=7,fm=webp.webp", b"foreign", Attributes())
    cdn = with_cdn(ingest)
    ingest.uploads.delete("cat.jpg")
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED))
    assert (cdn.kept, len(cdn.changes)) == ({}, 1)


def test_overwritten_late_writes_that_no_record_has_are_invalidated(monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = IngestFixture()
    ingest.put("cat.jpg", b"bad")
    ingest.processor().process(upload("cat.jpg"))
    ingest.put("cat.jpg", b"cat")
    cdn, name = with_cdn(ingest), "cat.jpg/w=10,fm=webp.webp"
    put, late = ingest.processed.put, list[str]()

    def put_after_another_worker(key: str, *args: Any, **more: Any) -> Entry:
        if key == name and not late:
            late.append(key)
            put(key, b"late", Attributes())
            cdn.kept[key] = b"late"
        return put(key, *args, **more)

    monkeypatch.setattr(ingest.processed, "put", put_after_another_worker)
    ingest.processor().process(upload("cat.jpg"))
    assert late == [name]
    assert (cdn.kept, len(cdn.changes)) == ({}, 1)
    ingest.assert_converged()


def test_the_worker_that_overwrites_late_writes_may_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has restored the bytes that the record describes, so a listing shows no difference."""
    ingest = IngestFixture(processed=MemoryStore(etags=True))
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    cdn, name = with_cdn(ingest), "cat.jpg/w=10,fm=webp.webp"
    put, late = ingest.processed.put, list[str]()

    def put_after_another_worker(key: str, *args: Any, **more: Any) -> Entry:
        if key != name:
            return put(key, *args, **more)
        if not late:
            late.append(key)
            put(key, b"late", Attributes())
            cdn.kept[key] = b"late"
        put(key, *args, **more)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ingest.processed, "put", put_after_another_worker)
        with pytest.raises(Killed):
            ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert cdn.kept[name] == b"late"
    ingest.advance()
    ingest.processor("other").process(upload("cat.jpg"))
    cdn.assert_right()


LONG = "x" * 800


@pytest.mark.parametrize(
    "stale",
    [
        "ignored/a.jpg/~w=7,fm=webp.webp",
        f"{LONG[:700]}~{'0' * 64}/w=10,fm=webp.webp",
        f"deep/er~/{LONG[:690]}~{'0' * 64}/w=10,fm=webp.webp",
    ],
)
@pytest.mark.parametrize("error", [Killed, Unavailable])
def test_the_cdn_forgets_what_reconcile_deletes_after_an_interruption_at_any_point(
    stale: str, error: type[BaseException]
) -> None:
    """A rendition on demand of an original that was replaced, and one of an original that nobody knows."""
    interrupted = 0
    for point in range(1, 60):
        ingest = IngestFixture()
        ingest.put("ignored/a.jpg", b"new")
        ingest.processed.put(stale, b"old", Attributes())
        cdn = with_cdn(ingest)
        counter = Counter(point, error)
        view = faulty_worker(ingest, counter)
        view.outbox = outbox(FaultyPort(cdn, counter).send)
        try:
            list(run(view.reconciler(), Checkpoint(BUCKET, ingest.now), no_messages))
        except error:
            interrupted += 1
            cdn.request_all()  # clients request what is still there
        list(run(ingest.reconciler(), Checkpoint(BUCKET, ingest.now), no_messages))
        assert ingest.processed.bodies() == {}
        assert cdn.kept == {}
    assert interrupted > 5


def no_messages(uploads: Sequence[Upload]) -> None:
    assert uploads == []


def test_the_cdn_forgets_what_a_client_requests_just_before_reconcile_deletes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ingest = IngestFixture()
    ingest.put("ignored/a.jpg", b"new")
    ingest.processed.put("ignored/a.jpg/~w=7,fm=webp.webp", b"old", Attributes())
    cdn, delete = with_cdn(ingest), ingest.processed.delete

    def request_and_delete(key: str) -> None:
        cdn.request_all()
        delete(key)

    monkeypatch.setattr(ingest.processed, "delete", request_and_delete)
    list(run(ingest.reconciler(), Checkpoint(BUCKET, ingest.now), no_messages))
    assert (ingest.processed.bodies(), cdn.kept) == ({}, {})


def test_each_deletion_by_reconcile_has_ids_of_its_own() -> None:
    """CloudFront does nothing about one that it has seen."""
    ingest = IngestFixture()
    cdn = with_cdn(ingest)
    ingest.put("ignored/a.jpg", b"new")
    for count in (2, 4):
        ingest.processed.put("ignored/a.jpg/~w=7,fm=webp.webp", b"old", Attributes())
        ingest.processed.put("ignored/a.jpg/~w=8,fm=webp.webp", b"old", Attributes())
        list(run(ingest.reconciler(), Checkpoint(BUCKET, ingest.now), no_messages))
        assert len(cdn.changes) == count


@pytest.mark.parametrize("key", ["a/b.jpg", f"deep/er~/{LONG[:690]}"])
def test_reconcile_invalidates_no_other_original(key: str) -> None:
    ingest, sent = IngestFixture(), list[OutboxMessage]()
    hashed = f"~{'0' * 64}" if "~" in key else ""
    orphan = f"{key}{hashed}/w=10,fm=webp.webp"
    reconciler = replace(ingest.reconciler(), invalidate=sent.extend)
    reconciler.delete_orphan(Finding(orphan, Drift.ORPHANED, None, orphan=orphan))
    assert {message.key for message in sent} == {key}


def test_the_invalidation_prefix_of_a_long_key_covers_its_renditions() -> None:
    key = "ä" * 500
    assert invalidation_prefix(key) == "ä" * 350
    assert rendition_prefix(key).startswith(invalidation_prefix(key))
    assert invalidation_prefix("a/b.jpg") == "a/b.jpg"
