"""Outcome events: what they say, that a crash loses none, and that a failure to send fails nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from test_crashes import SCENARIOS, Counter, FaultyPort, Killed, faulty_worker, finishes, points_of, prepare

from image_processor.api.response_models import ImageModel
from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import Reason, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, MessageKind, OutboxMessage, OutcomeStatus, Status, UploadKind
from image_processor.ingest import outbox as outbox_module
from image_processor.ingest import outcome_events
from image_processor.ingest.drift import Drift
from image_processor.ingest.outbox import Outbox
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, upload
from support.memory_catalog import MemoryCatalog

ID = image_id(BUCKET, "cat.jpg")
IGNORED = parse_recipe('[[rules]]\nmatch = "**"\npresets = []')
PRIVATE = """
[presets.big]
width = 20
formats = ["jpeg"]
public = false
[presets.small]
width = 10
formats = ["jpeg"]
[[rules]]
match = "never"
presets = ["small"]
[[rules]]
match = "**"
presets = [{presets}]
"""


class Receiver:
    """Keeps the events that it gets. Each event's text is the same whenever it arrives."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.received = 0

    def send(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            event = json.loads(message.body)
            assert self.events.setdefault(message.id, event) == event
            assert (event["id"], event["data"]["key"]) == (message.id, message.key)
            self.received += 1

    def types(self) -> list[str]:
        return [event["type"].removeprefix("image.") for event in self.events.values()]


def events_to(receiver: Any, url: str | None = "https://img.example") -> Outbox:
    return Outbox(frozenset({MessageKind.EVENT}), {MessageKind.EVENT: receiver.send}, url)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def ingest(receiver: Receiver) -> IngestFixture:
    return IngestFixture(outbox=events_to(receiver), recipe=OTHER_RECIPE)


def test_each_outcome_is_one_event(ingest: IngestFixture, receiver: Receiver) -> None:
    for body in (b"cat", b"bad", b"cat", None):
        if body is None:
            ingest.uploads.delete("cat.jpg")
        else:
            ingest.put("cat.jpg", body)
        for _ in range(3):
            ingest.processor().process(upload("cat.jpg"))
            ingest.advance()
    assert receiver.types() == ["processed", "refused", "processed", "deleted"]
    assert receiver.received == 4
    assert ingest.catalog.unsent(ID) == ()


def test_messages_of_all_kinds_that_cannot_be_sent_are_left() -> None:
    def down(_messages: object) -> None:
        raise Unavailable("it cannot answer")

    kinds = frozenset(MessageKind)
    ingest = IngestFixture(outbox=Outbox(kinds, dict.fromkeys(kinds, down)), recipe=OTHER_RECIPE)
    for body in (b"cat", b"dog"):
        ingest.put("cat.jpg", body)
        outcome = ingest.processor().process(upload("cat.jpg"))
        ingest.advance()
    assert {message.kind for message in outcome.unsent} == kinds
    assert len(outcome.unsent) == len(ingest.catalog.unsent(ID)) == 3


def test_what_an_event_says(ingest: IngestFixture, receiver: Receiver) -> None:
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ((id_, event),) = receiver.events.items()
    version = ingest.uploads.head("cat.jpg").entry.version
    rendition = event["data"]["renditions"][0]
    assert event == {
        "id": id_,
        "type": "image.processed",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {
            "id": ID,
            "bucket": BUCKET,
            "key": "cat.jpg",
            "status": "processed",
            "revision": 1,
            "version": version,
            "processed": "cat.jpg/w=30,fm=png.png",
            "renditions": [rendition],
        },
    }
    record = ingest.record("cat.jpg")
    assert record is not None
    assert (record.updated_at, record.revision) == (ingest.now, 1)
    metadata = record.renditions[0].metadata
    assert rendition == {
        "key": "cat.jpg/w=30,fm=png.png",
        "transformation": "w=30,fm=png",
        "width": 8,
        "height": 6,
        "format": "png",
        "media_type": "image/png",
        "bytes": metadata.bytes,
        "sha256": metadata.sha256,
        "url": f"https://img.example/cat.jpg/w=30,fm=png.png?v={metadata.sha256[:16]}",
    }


def test_refusals_and_deletions_say_why(ingest: IngestFixture, receiver: Receiver) -> None:
    ingest.put("cat.jpg", b"bad")
    ingest.processor().process(upload("cat.jpg"))
    ingest.recipe = IGNORED
    ingest.processor().process(upload("cat.jpg"))
    refused, deleted = (event["data"] for event in receiver.events.values())
    assert (refused["status"], refused["reason"]) == ("refused", Reason.NOT_AN_IMAGE)
    assert refused["message"].startswith("expected an image")
    assert refused["renditions"] == []
    assert (deleted["status"], deleted["revision"]) == ("deleted", 1)
    assert "recipe" in deleted["message"]


@pytest.mark.parametrize("presets", ['"big", "small"', '"big"'])
@pytest.mark.parametrize("url", ["https://img.example", None])
def test_the_main_rendition_never_lacks_a_url_and_nothing_is_null(
    receiver: Receiver, presets: str, url: str | None
) -> None:
    recipe = parse_recipe(PRIVATE.format(presets=presets))
    ingest = IngestFixture(outbox=events_to(receiver, url), recipe=recipe)
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    (event,) = receiver.events.values()
    assert "null" not in json.dumps(event)
    urls = {rendition["key"]: rendition.get("url") for rendition in event["data"]["renditions"]}
    assert len(urls) == presets.count(",") + 1
    processed = event["data"].get("processed")
    assert processed == ("cat.jpg/w=10,fm=jpeg.jpg" if "small" in presets else None)
    record = ingest.record("cat.jpg")
    assert record is not None
    assert record.processed is not None
    assert ImageModel.of(record, url).processed == processed
    if url is not None and processed is not None:
        assert urls.pop(processed)
    assert set(urls.values()) <= {None}


def test_a_skipped_original_that_nobody_heard_of_is_no_news(
    ingest: IngestFixture, receiver: Receiver
) -> None:
    ingest.recipe = IGNORED
    ingest.put("cat.jpg", b"cat")
    assert ingest.processor().process(upload("cat.jpg")).status is OutcomeStatus.SKIPPED
    assert receiver.events == {}


def test_late_events_of_a_deleted_original_are_no_news(ingest: IngestFixture, receiver: Receiver) -> None:
    ingest.processor().process(upload("cat.jpg"))
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED))
    assert receiver.events == {}


def test_a_very_long_event_is_sent_without_renditions(
    ingest: IngestFixture, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_events, "MAX_BYTES", 400)
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    (event,) = receiver.events.values()
    assert event["data"]["processed"]
    assert "renditions" not in event["data"]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("error", [Killed, Unavailable])
def test_an_interruption_at_any_point_loses_no_event(
    scenario: str, error: type[BaseException], receiver: Receiver
) -> None:
    expected = {"created": "processed", "overwritten": "processed"}.get(scenario, scenario)
    for point in range(1, points_of(scenario) + 7):
        ingest, event = prepare(scenario)
        ingest.outbox = events_to(receiver)
        receiver.events.clear()
        counter = Counter(point, error)
        view = faulty_worker(ingest, counter)
        view.outbox = events_to(FaultyPort(receiver, counter))
        if not finishes(view, event, error):
            ingest.advance()
            if point % 2:
                for finding in [*ingest.reconciler().findings()]:
                    assert finding.upload is not None
                    ingest.processor().process(finding.upload)
            else:
                ingest.processor().process(event)
        assert receiver.types() == [expected]
        assert ingest.catalog.unsent(ID) == ()
        ingest.assert_converged()


class Down:
    def send(self, _messages: Sequence[OutboxMessage]) -> None:
        raise Unavailable("no bus")


def test_events_of_several_outcomes_wait_and_arrive_in_order(
    ingest: IngestFixture, receiver: Receiver
) -> None:
    ingest.outbox = events_to(Down())
    for body in (b"one", b"bad", None):
        ingest.uploads.delete("cat.jpg") if body is None else ingest.put("cat.jpg", body)
        ingest.advance()
        assert ingest.processor().process(upload("cat.jpg")).unsent
    ingest.outbox = events_to(receiver)
    outcome = ingest.processor().process(upload("cat.jpg", kind=UploadKind.DELETED))
    assert (outcome.status, outcome.unsent) == (OutcomeStatus.DELETED, ())
    assert receiver.types() == ["processed", "refused", "deleted"]


def test_old_events_give_way_before_a_database_refuses_the_newest(
    ingest: IngestFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "_MAX_WAITING_BYTES", 2000)
    ingest.outbox = events_to(Down())
    for number in range(20):
        ingest.put("cat.jpg", b"%d" % number)
        ingest.advance()
        ingest.processor().process(upload("cat.jpg"))
    waiting = ingest.catalog.unsent(ID)
    assert 2 <= len(waiting) < 10
    assert json.loads(waiting[-1].body)["data"]["revision"] == 20


def test_no_invalidation_gives_way_to_events(ingest: IngestFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_MAX_WAITING_BYTES", 10)
    kinds = frozenset({MessageKind.EVENT, MessageKind.INVALIDATION})
    ingest.outbox = Outbox(kinds, dict.fromkeys(kinds, Down().send))
    for body in (b"cat", b"dog", b"bad", b"bad again"):
        ingest.put("cat.jpg", body)
        ingest.advance()
        ingest.processor().process(upload("cat.jpg"))
    waiting = [message.kind for message in ingest.catalog.unsent(ID)]
    assert (waiting.count(MessageKind.INVALIDATION), waiting.count(MessageKind.EVENT)) == (2, 1)


def test_a_kind_that_is_turned_off_leaves_the_outbox(ingest: IngestFixture) -> None:
    ingest.outbox = events_to(Down())
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    ingest.outbox = Outbox()
    (finding,) = ingest.reconciler().findings()
    assert finding.upload is not None
    ingest.processor().process(finding.upload)
    ingest.assert_converged()


def test_a_command_keeps_the_messages_of_kinds_that_it_cannot_send(
    ingest: IngestFixture, receiver: Receiver
) -> None:
    ingest.outbox = events_to(Down())
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    waiting = ingest.catalog.unsent(ID)
    ingest.outbox = Outbox(keeps_other_kinds=True)
    ingest.processor().process(upload("cat.jpg", kind=UploadKind.REPROCESS))
    assert ingest.catalog.unsent(ID) == waiting != ()
    ingest.outbox = events_to(receiver)
    ingest.processor().process(upload("cat.jpg"))
    assert (receiver.types(), ingest.catalog.unsent(ID)) == (["processed"], ())


def test_a_kind_without_a_sender_is_left_to_another_thread(ingest: IngestFixture) -> None:
    ingest.outbox = Outbox(frozenset({MessageKind.EVENT}))
    ingest.put("cat.jpg", b"cat")
    outcome = ingest.processor().process(upload("cat.jpg"))
    assert outcome.unsent == ingest.catalog.unsent(ID)
    assert len(outcome.unsent) == 1
    assert list(replace(ingest.reconciler(), outboxes=False).findings()) == []


def test_one_scan_of_the_catalog_finds_lost_deletions_and_unsent_messages(
    ingest: IngestFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan of a large table takes minutes, and is billed by its size."""
    ingest.catalog, scans = MemoryCatalog(), []
    for name in ("scan", "scan_entries"):
        scan = getattr(ingest.catalog, name)
        monkeypatch.setattr(
            ingest.catalog, name, lambda *, after="", s=scan: scans.append(s) or s(after=after)
        )
    for key in ("sent.jpg", "unsent.jpg"):
        ingest.outbox = events_to(Down()) if key == "unsent.jpg" else Outbox()
        ingest.put(key, b"cat")
        ingest.processor().process(upload(key))
    ingest.uploads.delete("sent.jpg")
    found = {finding.key: finding.drift for finding in ingest.reconciler().findings()}
    assert found == {"sent.jpg": Drift.ORPHANED, "unsent.jpg": Drift.UNSENT}
    assert len(scans) == 1


def test_a_deletion_is_invalidated_and_has_its_time(ingest: IngestFixture) -> None:
    ingest.put("cat.jpg", b"cat")
    ingest.processor().process(upload("cat.jpg"))
    known = ingest.record("cat.jpg")
    assert known is not None
    lease, box = Lease(ID, "t", "w", ingest.now, known), Outbox(frozenset(MessageKind))
    for expected in (False, True):
        messages = box.of_deletion(lease, ingest.now, None, invalidate=expected)
        assert [message.kind for message in messages] == [MessageKind.INVALIDATION] * expected + [
            MessageKind.EVENT
        ]
    assert json.loads(messages[-1].body)["timestamp"] == "2026-01-01T00:00:00Z"
    first = Lease(ID, "t", "w", ingest.now, replace(known, status=Status.PROCESSING))
    assert box.of_deletion(first, ingest.now, None, invalidate=False) == ()
