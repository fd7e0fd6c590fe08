"""Promises 6 to 20 of docs/reliability.md, each in the form and size that its row names."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from random import Random

import pytest

from image_processor.aws_lambda.process_function import RetryLater, handle
from image_processor.domain.errors import Reason, Unavailable
from image_processor.domain.models import OutcomeStatus, Status
from image_processor.ingest.events import read_messages
from simulation import messages
from simulation.faults import FaultProfile
from simulation.history import KEYS, RECIPES, History, UserAction, draw_history
from simulation.message_queue import RECEIVES
from simulation.receivers import Receivers
from simulation.simulator import Simulator
from support.ingest import BUCKET, RECIPE, IngestFixture
from support.memory_catalog import MemoryCatalog

simulated = pytest.mark.usefixtures("simulated")
CALM = FaultProfile("calm")


def history(*actions, recipe=RECIPE):
    return History(tuple(actions), tuple(dict.fromkeys(act.key for act in actions)), recipe, None, (), ())


def live(sim):
    sim.begin()
    sim.loop.run()
    return sim


SCENARIOS = {
    "created": [UserAction(1, "cat.jpg", b"cat")],
    "overwritten": [UserAction(1, "cat.jpg", b"cat"), UserAction(900, "cat.jpg", b"dog")],
    "refused": [UserAction(1, "cat.jpg", b"cat"), UserAction(900, "cat.jpg", b"bad dog")],
    "deleted": [UserAction(1, "cat.jpg", b"cat"), UserAction(900, "cat.jpg", None)],
    "deleted and uploaded again": [
        UserAction(1, "cat.jpg", b"cat"),
        UserAction(900, "cat.jpg", None),
        UserAction(901, "cat.jpg", b"cat"),
    ],
}


@simulated
@pytest.mark.parametrize("records", ["in a table", "as objects"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_any_point_is_repaired_within_three_receives(scenario, records):
    """Promises 6, 8 and 19: no reconcile runs here. Two points for each call, before and after it."""
    point = 0
    while True:
        point += 1
        sim = Simulator(point, CALM, history(*SCENARIOS[scenario]))
        sim.records_as_objects = records == "as objects"
        sim.faults.kill_at = {point}
        live(sim)
        assert sim.oracle.violations + sim.differences() + sim.findings() == [], f"killed at point {point}"
        assert sim.unheard() == [], f"killed at point {point}"
        assert sim.queue.most_receives <= 3
        assert (len(sim.queue), sim.queue.dead) == (0, [])
        if not sim.faults.kills:
            break
    assert point > 20, "the scenario has too few calls"


# What the first of two killed workers stores, the second one hides.
TWO_KILLS = {
    "refused, accepted, refused": [b"bad", b"cat", b"bad dog"],
    "refused, accepted, deleted": [b"bad", b"cat", None],
    "accepted, replaced, as before": [b"cat", b"dog", b"cat"],
}


@simulated
@pytest.mark.parametrize("versions", ["numbers", "ETags"])
@pytest.mark.parametrize("scenario", TWO_KILLS)
def test_two_workers_killed_on_one_key_leave_nothing_old_in_the_cdn(scenario, versions):
    """Some pairs of points; `make stress` tries a third. The CDN fetches what is stored for a moment."""
    first, second, third = (UserAction(0, "cat.jpg", body) for body in TWO_KILLS[scenario])
    actions = [first, replace(second, at=900.0), replace(third, at=1000.0)]
    begin, end = _points_of(actions[:1]), _points_of(actions) + 60
    pairs = [(a, b) for a in range(begin, end) for b in range(a + 1, end)]
    step = 3 if os.environ.get("STRESS") else 29
    killed = 0
    for number, pair in enumerate(pairs[::step]):
        sim = Simulator(_seed_with(versions), CALM, history(*actions))
        sim.records_as_objects = number % 3 == 0
        sim.faults.kill_at = set(pair)
        live(sim)
        assert sim.oracle.violations + sim.differences() + sim.findings() == [], f"killed at {pair}"
        assert sim.unheard() == [], f"killed at {pair}"
        killed += sim.faults.kills == 2
    assert killed > len(pairs) / step / 3


def _points_of(actions):
    return live(Simulator(1, CALM, history(*actions))).faults.points


def _seed_with(versions):
    """A seed of a simulator whose versions are of this kind."""
    simulators = ((seed, Simulator(seed, CALM, history())) for seed in range(50))
    return next(seed for seed, sim in simulators if sim.oracle.etags == (versions == "ETags"))


def test_only_the_bad_item_of_a_batch_fails():
    """Promise 9, for every place in the batch; the other nine are processed."""
    for bad in range(10):
        ingest = IngestFixture()
        for number in range(10):
            ingest.put(f"{number}.jpg", b"%d" % number)
        process = ingest.processor().process

        def failing(upload, bad=bad, process=process):
            if upload.key == f"{bad}.jpg":
                raise RuntimeError("a bug")
            return process(upload)

        bodies = [messages.notification(Random(n), f"{n}.jpg", deleted=False) for n in range(10)]
        batch = messages.batch([(f"m{number}", body) for number, body in enumerate(bodies)])
        answer = handle(batch, failing, BUCKET, lambda: 60_000)
        assert answer == {"batchItemFailures": [{"itemIdentifier": f"m{bad}"}]}
        assert len(ingest.processed.bodies()) == 9 * 4


@simulated
def test_a_refused_upload_is_tried_once_and_recorded_with_its_reason():
    """Promises 10 and 11: 20 copies of each event, one attempt for each refused upload."""
    actions = [UserAction(number, f"{number}.jpg", b"bad %d" % number) for number in range(50)]
    sim = live(Simulator(1, FaultProfile("duplicates", copies=20, late=600.0), history(*actions)))
    assert sim.queue.sent > 300
    for act in actions:
        record = sim.record(act.key)
        assert (record.key, record.status, record.reason) == (act.key, Status.REFUSED, Reason.NOT_AN_IMAGE)
        assert record.version == sim.uploads.head(act.key).entry.version
        assert sim.rendered[act.body] == 1


@simulated
def test_a_message_that_always_fails_becomes_a_dead_letter_with_its_key():
    """Promise 10: a bug in the engine. The dead letter still contains the event and its key."""
    sim = Simulator(1, CALM, history(UserAction(0, "cat.jpg", b"cat"), UserAction(1, "dog.jpg", b"dog")))

    def failing_render(*_args, **_more):
        raise RuntimeError("a bug")

    render = sim.render
    sim.render = lambda process, body, *a, **m: (failing_render if body == b"cat" else render)(
        process, body, *a, **m
    )
    live(sim)
    (dead_letter,) = sim.queue.dead
    (message,) = read_messages(json.loads(dead_letter.body))
    assert [(upload.bucket, upload.key) for upload in message.uploads] == [(BUCKET, "cat.jpg")]
    assert (dead_letter.receives, sim.counts[OutcomeStatus.PROCESSED]) == (RECEIVES, 1)


@simulated
def test_a_receiver_that_is_down_fails_no_upload_and_hears_of_everything_later(monkeypatch):
    """Neither the bus nor the queue of invalidations accepts anything: no dead letter, and one reconcile
    sends all once they answer again."""

    def down(_receivers, _messages):
        raise Unavailable("down")

    actions = [UserAction(number * 2000, f"{number % 10}.jpg", b"%d" % number) for number in range(40)]
    actions += [UserAction(90_000, "3.jpg", None), UserAction(90_001, "4.jpg", b"bad")]
    sim = Simulator(1, CALM, history(*actions))
    with monkeypatch.context() as patched:
        patched.setattr(Receivers, "receive", down)
        patched.setattr(Receivers, "queue_invalidations", down)
        live(sim)
    assert (sim.queue.dead, sim.oracle.violations, sim.differences()) == ([], [], [])
    assert sim.counts[OutcomeStatus.PROCESSED] == 40
    assert len(sim.unheard()) >= 20
    sim.reconcile()
    sim.loop.run()
    assert sim.unheard() + sim.findings() == []
    assert len(sim.receivers.events) == 42


@simulated
def test_a_third_of_all_calls_fails_and_every_upload_completes():
    """Promise 12: four tries, as in the adapters; the queue redelivers the rest."""
    actions = [UserAction(number / 10, f"{number}.jpg", b"%d" % number) for number in range(400)]
    sim = live(Simulator(12, FaultProfile("throttled", fail=0.3, tries=4), history(*actions)))
    assert sim.faults.failures > 20
    assert sim.oracle.violations + sim.differences() == []
    assert (len(sim.catalog_keys()), sim.queue.dead) == (400, [])


@simulated
def test_one_reconcile_finds_every_lost_event():
    """Promise 14: one event in twenty is lost, of uploads, overwrites and deletions."""
    random = Random(14)
    actions = [
        UserAction(number * 0.5, f"{random.randrange(500)}.jpg", random.choice([b"a", b"b", b"bad", None]))
        for number in range(2000)
    ]
    sim = live(Simulator(14, FaultProfile("lossy", drop=0.05), history(*actions)))
    assert sim.counts["dropped"] > 60
    assert len(sim.differences()) > 10
    sim.expire_leases()
    sim.reconcile()
    sim.loop.run()
    assert sim.oracle.violations + sim.differences() + sim.findings() == []


@simulated
def test_200_workers_on_one_key_have_one_winner():
    """Promise 16: 201 events of one upload, 200 functions at once."""
    for seed in range(5):
        sim = Simulator(
            seed,
            FaultProfile("concurrent"),
            history(UserAction(0, "cat.jpg", b"cat")),
            concurrency=200,
            batch=1,
        )
        for number in range(200):
            body = messages.notification(Random(number), "cat.jpg", deleted=False)
            sim.loop.at(0, lambda sim=sim, body=body: sim.send(body))
        live(sim)
        assert sim.peak == 200
        assert (sim.counts["renders"], sim.counts[OutcomeStatus.PROCESSED]) == (1, 1)
        assert sim.counts[OutcomeStatus.UNCHANGED] == 200
        assert (sim.record("cat.jpg").revision, sim.queue.dead) == (1, [])
        assert sim.oracle.violations + sim.differences() == []


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_any_key_survives_every_envelope(key):
    """Promise 17, for events."""
    seen = set()
    for number in range(40):
        text = messages.notification(Random(number), key, deleted=False, sequencer=number)
        (message,) = read_messages(messages.batch([("m", text)]))
        assert [(upload.bucket, upload.key) for upload in message.uploads] == [(BUCKET, key)]
        seen.add(text.split(":")[0] + str("Notification" in text))
    assert len(seen) >= 3


def test_ten_thousand_mutated_events_crash_nothing():
    """Promise 20. A mutation may only name another key; then that key is processed."""
    ingest = IngestFixture(catalog=MemoryCatalog())
    ingest.put("cat.jpg", b"cat")
    process = ingest.processor().process
    random = Random(20)
    ended = {"answered": 0, "to retry": 0}
    for number in range(10_000):
        text = messages.notification(random, "cat.jpg", deleted=random.random() < 0.5, sequencer=number)
        event = messages.batch([("m", messages.mutated(random, text))])
        if random.random() < 0.3:
            event = _loaded(messages.mutated(random, json.dumps(event)))
        try:
            assert isinstance(handle(event, process, BUCKET, lambda: 60_000), dict)
            ended["answered"] += 1
        except RetryLater:
            ended["to retry"] += 1
    process(reconcile_event("cat.jpg"))
    ingest.assert_converged()
    assert ended == {"answered": 10_000, "to retry": 0}


def reconcile_event(key):
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
    sim = Simulator(
        18,
        FaultProfile("storm", copies=3, fail=0.01, kill=0.001),
        draw_history(Random(18), actions=1500, keys=300),
    )
    live(sim)
    sim.faults.stop()
    sim.expire_leases()
    sim.reconcile()
    sim.loop.run()
    assert sim.oracle.violations + sim.differences() == []
    account = sim.account()
    assert (
        account["uploads"] == account["processed"] + account["refused"] + account["gone"] + account["skipped"]
    )
    assert sim.queue.sent == sim.queue.deleted + len(sim.queue.dead)
    assert min(account["processed"], account["refused"], account["gone"]) > 10
    assert sim.peak <= sim.concurrency


def test_every_recipe_of_the_histories_differs():
    assert len({str(recipe.transformations_for("a")) for recipe in RECIPES}) == len(RECIPES)
