"""Promises 6 to 20 one by one: the shape that each names, at the size that it names."""

from __future__ import annotations

import json
from random import Random

import pytest

from image_processor.aws_lambda.process_function import RetryLater, handle
from image_processor.domain.errors import Reason
from image_processor.domain.models import OutcomeStatus, Status
from image_processor.ingest.events import read_messages
from simulation import letters
from simulation.history import KEYS, RECIPES, Act, History, draw
from simulation.mailbox import RECEIVES
from simulation.weather import Weather
from simulation.world import World
from support.ingest import BUCKET, RECIPE, IngestFixture
from support.memory_catalog import MemoryCatalog

simulated = pytest.mark.usefixtures("simulated")
CALM = Weather("calm")


def history(*acts, recipe=RECIPE):
    return History(tuple(acts), tuple(dict.fromkeys(act.key for act in acts)), recipe, None, (), ())


def live(world):
    world.begin()
    world.loop.run()
    return world


STORIES = {
    "created": [Act(1, "cat.jpg", b"cat")],
    "overwritten": [Act(1, "cat.jpg", b"cat"), Act(900, "cat.jpg", b"dog")],
    "refused": [Act(1, "cat.jpg", b"cat"), Act(900, "cat.jpg", b"bad dog")],
    "deleted": [Act(1, "cat.jpg", b"cat"), Act(900, "cat.jpg", None)],
    "deleted and uploaded again": [
        Act(1, "cat.jpg", b"cat"),
        Act(900, "cat.jpg", None),
        Act(901, "cat.jpg", b"cat"),
    ],
}


@simulated
@pytest.mark.parametrize("records", ["in a table", "as objects"])
@pytest.mark.parametrize("story", STORIES)
def test_a_kill_at_any_point_is_mended_by_the_queue_within_three_receives(story, records):
    """Promises 6, 8 and 19: no reconcile runs here. Two points for each call, before and after it."""
    point = 0
    while True:
        point += 1
        world = World(point, CALM, history(*STORIES[story]))
        world.records_as_objects = records == "as objects"
        world.line.kill_at = point
        live(world)
        assert world.oracle.broken + world.differences() + world.findings() == [], f"killed at point {point}"
        assert world.mailbox.most_receives <= RECEIVES
        assert (len(world.mailbox), world.mailbox.dead) == (0, [])
        if not world.line.kills:
            break
    assert point > 20, "the story has hardly a call"


def test_one_bad_item_of_ten_is_the_one_that_fails():
    """Promise 9, for every place in the batch; and nine are done."""
    for bad in range(10):
        room = IngestFixture()
        for number in range(10):
            room.put(f"{number}.jpg", b"%d" % number)
        process = room.processor().process

        def failing(upload, bad=bad, process=process):
            if upload.key == f"{bad}.jpg":
                raise RuntimeError("a bug")
            return process(upload)

        bodies = [letters.notification(Random(n), f"{n}.jpg", deleted=False) for n in range(10)]
        batch = letters.batch([(f"m{number}", body) for number, body in enumerate(bodies)])
        answer = handle(batch, failing, BUCKET, lambda: 60_000)
        assert answer == {"batchItemFailures": [{"itemIdentifier": f"m{bad}"}]}
        assert len(room.processed.bodies()) == 9 * 4


@simulated
def test_poison_is_tried_once_and_is_on_record_with_key_version_and_reason():
    """Promises 10 and 11: 20 copies of each event, one attempt for each poison."""
    acts = [Act(number, f"{number}.jpg", b"bad %d" % number) for number in range(50)]
    world = live(World(1, Weather("duplicates", copies=20, late=600.0), history(*acts)))
    assert world.mailbox.sent > 300
    for act in acts:
        record = world.record(act.key)
        assert (record.key, record.status, record.reason) == (act.key, Status.REFUSED, Reason.NOT_AN_IMAGE)
        assert record.version == world.uploads.head(act.key).entry.version
        assert world.rendered[act.body] == 1


@simulated
def test_what_never_ends_well_reaches_the_dead_letters_with_its_key():
    """Promise 10: a bug in the engine; the letter still tells which key and which event it was."""
    world = World(1, CALM, history(Act(0, "cat.jpg", b"cat"), Act(1, "dog.jpg", b"dog")))

    def broken(*_args, **_more):
        raise RuntimeError("a bug")

    render = world.render
    world.render = lambda process, body, *a, **m: (broken if body == b"cat" else render)(
        process, body, *a, **m
    )
    live(world)
    (letter,) = world.mailbox.dead
    (message,) = read_messages(json.loads(letter.body))
    assert [(upload.bucket, upload.key) for upload in message.uploads] == [(BUCKET, "cat.jpg")]
    assert (letter.receives, world.counts[OutcomeStatus.PROCESSED]) == (RECEIVES, 1)


@simulated
def test_a_third_of_all_calls_fails_and_every_upload_completes():
    """Promise 12: four tries as the adapters make; what is left over the queue brings again."""
    acts = [Act(number / 10, f"{number}.jpg", b"%d" % number) for number in range(400)]
    world = live(World(12, Weather("throttled", fail=0.3, tries=4), history(*acts)))
    assert world.line.failures > 20
    assert world.oracle.broken + world.differences() == []
    assert (len(world.catalog_keys()), world.mailbox.dead) == (400, [])


@simulated
def test_one_reconcile_finds_every_lost_event():
    """Promise 14: one event in twenty is lost, of uploads, overwrites and deletions."""
    random = Random(14)
    acts = [
        Act(number * 0.5, f"{random.randrange(500)}.jpg", random.choice([b"a", b"b", b"bad", None]))
        for number in range(2000)
    ]
    world = live(World(14, Weather("lossy", drop=0.05), history(*acts)))
    assert world.counts["dropped"] > 60
    assert len(world.differences()) > 10
    world.rest()
    world.sweep()
    world.loop.run()
    assert world.oracle.broken + world.differences() + world.findings() == []


@simulated
def test_200_workers_on_one_key_have_one_winner():
    """Promise 16: 201 events of one upload, 200 functions at once."""
    for seed in range(5):
        world = World(seed, Weather("herd"), history(Act(0, "cat.jpg", b"cat")), concurrency=200, batch=1)
        for number in range(200):
            body = letters.notification(Random(number), "cat.jpg", deleted=False)
            world.loop.at(0, lambda world=world, body=body: world.mail(body))
        live(world)
        assert world.peak == 200
        assert (world.counts["renders"], world.counts[OutcomeStatus.PROCESSED]) == (1, 1)
        assert world.counts[OutcomeStatus.UNCHANGED] == 200
        assert (world.record("cat.jpg").revision, world.mailbox.dead) == (1, [])
        assert world.oracle.broken + world.differences() == []


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_any_key_comes_through_every_wrapping(key):
    """Promise 17, as far as events go."""
    seen = set()
    for number in range(40):
        text = letters.notification(Random(number), key, deleted=False, sequencer=number)
        (message,) = read_messages(letters.batch([("m", text)]))
        assert [(upload.bucket, upload.key) for upload in message.uploads] == [(BUCKET, key)]
        seen.add(text.split(":")[0] + str("Notification" in text))
    assert len(seen) >= 3


def test_ten_thousand_mutated_events_crash_nothing():
    """Promise 20. What a mutation may do is name another key; then that key is looked at."""
    room = IngestFixture(catalog=MemoryCatalog())
    room.put("cat.jpg", b"cat")
    process = room.processor().process
    random = Random(20)
    ended = {"answered": 0, "to come again": 0}
    for number in range(10_000):
        text = letters.notification(random, "cat.jpg", deleted=random.random() < 0.5, sequencer=number)
        event = letters.batch([("m", letters.mutated(random, text))])
        if random.random() < 0.3:
            event = _loaded(letters.mutated(random, json.dumps(event)))
        try:
            assert isinstance(handle(event, process, BUCKET, lambda: 60_000), dict)
            ended["answered"] += 1
        except RetryLater:
            ended["to come again"] += 1
    process(letters_upload("cat.jpg"))
    room.assert_converged()
    assert ended == {"answered": 10_000, "to come again": 0}


def letters_upload(key):
    (message,) = read_messages({"key": key, "bucket": BUCKET})
    return message.uploads[0]


def _loaded(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


@simulated
def test_every_accepted_upload_is_accounted_for():
    """Promise 18 on a small scale; `make stress` has 100,000 events. Promise 21: concurrency is bounded."""
    world = World(
        18, Weather("storm", copies=3, fail=0.01, kill=0.001), draw(Random(18), acts=1500, keys=300)
    )
    live(world)
    world.line.calm()
    world.rest()
    world.sweep()
    world.loop.run()
    assert world.oracle.broken + world.differences() == []
    account = world.account()
    assert (
        account["uploads"] == account["processed"] + account["refused"] + account["gone"] + account["skipped"]
    )
    assert world.mailbox.sent == world.mailbox.settled + len(world.mailbox.dead)
    assert min(account["processed"], account["refused"], account["gone"]) > 10
    assert world.peak <= world.concurrency


def test_every_recipe_of_the_histories_differs():
    assert len({str(recipe.transformations_for("a")) for recipe in RECIPES}) == len(RECIPES)
