"""The function `reconcile`: bounded invocations that together check a whole library."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import count

import pytest

from image_processor.aws_lambda import _MIN_SECONDS, process_function, reconcile_function
from image_processor.aws_lambda.reconcile_function import ScheduledRun, handle
from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Upload
from image_processor.domain.ports import Attributes
from image_processor.ingest import process, reconcile
from image_processor.ingest.events import message_body
from image_processor.ingest.reconcile_run import CHECKPOINT, Checkpoint, encode
from support.ingest import BUCKET, OTHER_RECIPE, IngestFixture, upload
from support.inline_executor import InlineExecutor
from support.memory_catalog import MemoryCatalog

ONE_RENDITION = parse_recipe(
    '[presets.one]\nwidth = 10\nformats = ["jpeg"]\n[[rules]]\nmatch = "**"\npresets = ["one"]'
)


class Stack:
    """The functions `reconcile` and `process`, and the queue between them."""

    def __init__(self, ingest: IngestFixture, max_backlog: int = 10**6) -> None:
        self.ingest = ingest
        self.messages: list[str] = []
        self.sent = 0
        self.max_backlog = max_backlog
        self.events: list[dict[str, object]] = []

    def tick(self, event: object = None, *, pages: int = 10**6) -> dict[str, object]:
        """One invocation, with time for so many pages."""
        left = iter([10**6] * pages)
        scheduled = ScheduledRun(
            self.ingest.reconciler(),
            self.enqueue,
            lambda: len(self.messages),
            self.max_backlog,
            lambda: self.ingest.now,
        )
        return handle(event, scheduled, lambda: next(left, 0))

    def enqueue(self, uploads: Sequence[Upload]) -> None:
        self.messages += map(message_body, uploads)
        self.sent += len(uploads)

    def work(self, limit: int = 10**6) -> None:
        """`process` receives up to ``limit`` messages."""
        batch, self.messages = self.messages[:limit], self.messages[limit:]
        records = [
            {"eventSource": "aws:sqs", "messageId": str(number), "body": body}
            for number, body in enumerate(batch)
        ]
        if records:
            processor = self.ingest.processor()
            answer = process_function.handle({"Records": records}, processor.process, BUCKET, lambda: 60_000)
            assert answer == {"batchItemFailures": []}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_PAGE", 10)
    monkeypatch.setattr(process, "ThreadPoolExecutor", InlineExecutor)
    for module in (reconcile_function, process_function):
        monkeypatch.setattr(module.log, "line", lambda *_, **__: None)


@pytest.fixture
def stack() -> Stack:
    ingest = IngestFixture(catalog=MemoryCatalog(), recipe=ONE_RENDITION)
    for number in range(35):
        ingest.put(f"{number:02}.jpg", b"%d" % number)
        ingest.processor().process(upload(f"{number:02}.jpg"))
    return Stack(ingest)


def test_a_run_without_findings_enqueues_nothing(stack: Stack) -> None:
    answer = stack.tick()
    assert (answer["status"], answer["found"], stack.messages) == ("finished", {}, [])
    assert answer["checked"] == {"originals": 35, "records": 35, "renditions": 36}  # the checkpoint is one


def test_invocations_continue_one_another(stack: Stack) -> None:
    stack.ingest.put("00.jpg", b"changed")
    stack.ingest.put("99.jpg", b"new")
    stack.ingest.uploads.delete("34.jpg")
    statuses = [stack.tick(pages=2)["status"]]
    while statuses[-1] == "paused":
        statuses.append(stack.tick({"continue": True}, pages=2)["status"])
    assert statuses == ["paused"] * 4 + ["finished"]
    stack.work()
    stack.ingest.processed.delete(CHECKPOINT)
    stack.ingest.assert_converged()


def test_between_two_runs_nothing_is_checked(stack: Stack) -> None:
    assert stack.tick({"continue": True}) == {"status": "idle"}
    stack.tick()
    stack.ingest.put("99.jpg", b"new")
    assert stack.tick({"continue": True}) == {"status": "idle"}
    assert stack.tick({})["found"] == {"missing": 1}


class CatalogOfVersion01(MemoryCatalog):
    """A catalog of which some records are in another form."""

    old_records = 2_500

    def reindex(self, *, limit: int | None = None) -> int:
        rewritten = min(self.old_records, limit or self.old_records)
        self.old_records -= rewritten
        return rewritten


def test_records_of_version_0_1_are_rewritten_a_part_at_a_time_before_the_run_ends() -> None:
    catalog = CatalogOfVersion01()
    stack = Stack(IngestFixture(catalog=catalog, recipe=ONE_RENDITION))
    stack.ingest.put("new.jpg", b"new")
    ticks = [stack.tick({}, pages=2)["status"], stack.tick({"continue": True}, pages=2)["status"]]
    assert (ticks, catalog.old_records) == (["paused", "paused"], 500)
    assert (stack.tick({"continue": True}, pages=2)["status"], catalog.old_records) == ("finished", 0)
    assert stack.sent == 1


def test_the_shortest_timeout_is_enough_for_a_page() -> None:
    assert 1000 * _MIN_SECONDS["reconcile"] > reconcile_function._RESERVE_MS


def test_a_full_queue_pauses_the_run(stack: Stack) -> None:
    stack.ingest.recipe = OTHER_RECIPE
    stack.max_backlog = 15
    assert stack.tick()["status"] == "waiting for the queue"
    assert len(stack.messages) == 20
    assert stack.tick({"continue": True})["status"] == "waiting for the queue"
    assert len(stack.messages) == 20
    while stack.messages:
        stack.work()
        stack.tick({"continue": True})
    assert stack.sent == 35
    stack.ingest.processed.delete(CHECKPOINT)
    stack.ingest.assert_converged()


def test_orphans_are_deleted(stack: Stack) -> None:
    stray = f"{'x' * 700}~{'0' * 64}/w=10,fm=jpeg.jpg"
    stack.ingest.processed.put(stray, b"old", Attributes())
    assert stack.tick()["deleted"] == 1
    assert stray not in stack.ingest.processed.bodies()


def test_unreadable_keys_are_counted_and_stop_nothing(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.ingest.put("05.jpg", b"changed")
    stack.ingest.put("25.jpg", b"changed")
    stack.ingest.uploads.unreadable = {"05.jpg"}
    found = {"unreadable": 1, "changed": 1}
    assert (stack.tick()["found"], stack.sent) == (found, 2)
    stack.work()
    assert (stack.tick()["found"], stack.sent) == ({"unreadable": 1}, 2)
    logged = [json.loads(line).get("Unreadable") for line in capsys.readouterr().out.splitlines()]
    assert [count for count in logged if count is not None] == [1, 1]
    stack.ingest.uploads.unreadable = set()
    stack.tick()
    stack.work()
    stack.ingest.processed.delete(CHECKPOINT)
    stack.ingest.assert_converged()


def test_a_bucket_that_lost_most_originals_deletes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_PAGE", 500)
    logged: list[dict[str, object]] = []
    monkeypatch.setattr(reconcile_function.log, "line", lambda *_, **fields: logged.append(fields))
    stack = Stack(IngestFixture(catalog=MemoryCatalog(), recipe=ONE_RENDITION))
    for number in range(101):
        stack.ingest.put(f"{number}.jpg", b"%d" % number)
        stack.ingest.processor().process(upload(f"{number}.jpg"))
    before = stack.ingest.processed.bodies()
    stack.ingest.uploads.__init__()  # type: ignore[misc] # the same store, empty
    capsys.readouterr()
    assert stack.tick()["found"] == {"held": 202}  # by record, and by rendition
    assert (stack.sent, {**before, **stack.ingest.processed.bodies()}) == (0, stack.ingest.processed.bodies())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["Held"] for line in lines if "Held" in line] == [202]
    assert any("101 of 101 originals are gone" in str(fields.get("reason")) for fields in logged)
    stack.ingest.deletion_limit = 100
    stack.tick()
    stack.work()
    assert stack.ingest.processed.bodies().keys() == {CHECKPOINT}


def test_of_two_runs_at_a_time_one_stops(stack: Stack) -> None:
    original = stack.enqueue

    def enqueue(uploads: Sequence[Upload]) -> None:
        original(uploads)
        # Another invocation saves its checkpoint meanwhile.
        stack.ingest.processed.put(CHECKPOINT, encode(Checkpoint(BUCKET, stack.ingest.now)), Attributes())

    stack.enqueue = enqueue  # type: ignore[method-assign]
    stack.ingest.put("05.jpg", b"changed")
    assert stack.tick()["status"] == "left to another invocation"
    stack.enqueue = original  # type: ignore[method-assign]
    assert stack.tick({"continue": True})["status"] == "finished"
    assert stack.sent == 2
    stack.work()
    stack.ingest.processed.delete(CHECKPOINT)
    stack.ingest.assert_converged()


def test_a_page_that_could_not_be_enqueued_is_repeated(stack: Stack) -> None:
    original = stack.enqueue

    def fail(_: Sequence[Upload]) -> None:
        raise Unavailable("SQS does not answer")

    stack.enqueue = fail  # type: ignore[method-assign]
    stack.ingest.put("25.jpg", b"changed")
    with pytest.raises(Unavailable):
        stack.tick()
    stack.enqueue = original  # type: ignore[method-assign]
    assert stack.tick({"continue": True})["enqueued"] == 1


@pytest.mark.parametrize("text", [b"{", b"null", encode(Checkpoint("another", IngestFixture.now))])
def test_a_checkpoint_of_something_else_starts_anew(stack: Stack, text: bytes) -> None:
    stack.ingest.processed.put(CHECKPOINT, text, Attributes())
    assert stack.tick()["status"] == "finished"


def test_metrics_count_this_invocation(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.ingest.put("25.jpg", b"changed")
    stack.tick(pages=2)
    stack.tick(pages=2)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["Checked"], first["Enqueued"]) == (20, 0)
    assert (second["Checked"], second["Enqueued"]) == (15, 1)
    names = {item["Name"] for item in second["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert names == {"Checked", "Found", "Enqueued", "Unreadable", "Held", "DurationMs"}


PAGE = 500 if os.environ.get("STRESS") else 100
ORIGINALS = 40 * PAGE


def test_lost_events_of_many_originals_are_healed_by_the_schedule_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every 20th event is lost: of uploads, overwrites and deletions. Each invocation has time for ten pages,
    and enqueues little more than half a page."""
    monkeypatch.setattr(reconcile, "_PAGE", PAGE)
    ingest = IngestFixture(catalog=MemoryCatalog(), recipe=ONE_RENDITION)
    stack, event = Stack(ingest, max_backlog=3 * PAGE // 5), count()
    processor = ingest.processor()
    lost = set()

    def change(key: str, body: bytes | None) -> None:
        if body is None:
            ingest.uploads.delete(key)
        else:
            ingest.put(key, body)
        if next(event) % 20:
            processor.process(upload(key))
            lost.discard(key)
        else:
            lost.add(key)

    for number in range(ORIGINALS):
        change(f"album {number % 300}/{number}.jpg", b"%d" % number)
    for number in range(0, ORIGINALS, 41):
        change(f"album {number % 300}/{number}.jpg", None if number % 2 else b"other")
    assert 9 / 200 < len(lost) / ORIGINALS < 11 / 200
    ticks = 0
    status = stack.tick(pages=10)["status"]
    while status != "finished":
        stack.work(2 * PAGE // 5)
        status = stack.tick({"continue": True}, pages=10)["status"]
        ticks += 1
    while stack.messages:
        stack.work(2 * PAGE // 5)
    assert 5 < ticks < 100
    assert len(lost) <= stack.sent <= len(lost) + PAGE // 10  # a deleted one may be found twice
    ingest.processed.delete(CHECKPOINT)
    ingest.assert_converged()
