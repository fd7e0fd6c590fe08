"""The loop reconciles at its start, after each pause, when triggered, and after errors."""

from __future__ import annotations

import queue
import threading

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile import Finding
from image_processor.standalone.reconcile_loop import ReconcileLoop, ReconcileReport, apply
from support.ingest import BUCKET, IngestFixture
from support.waiting import wait_for

WAIT = 30
NEVER = 10_000.0


class Scripted:
    """A Reconciler with given findings for each run; an exception among them is raised."""

    def __init__(self, *runs):
        self.failures = {}
        self.runs = list(runs)
        self.started = queue.Queue()

    def findings(self, _should_stop):
        run = self.runs.pop(0) if self.runs else []
        self.started.put(len(run))
        for item in run:
            if isinstance(item, Exception):
                raise item
            yield item

    def delete_orphan(self, finding):
        return self.failures.get(finding.orphan)


def finding(key):
    return Finding(key, Drift.MISSING, Upload(BUCKET, key, UploadKind.RECONCILE))


@pytest.fixture
def start_loop():
    """Starts a loop, returns it and the queue of what it submits, and stops it at the end."""
    started = []

    def start(reconciler, seconds):
        submitted = queue.Queue()
        loop = ReconcileLoop(reconciler, submitted.put, seconds)
        loop.start()
        started.append(loop)
        return loop, submitted

    yield start
    for loop in started:
        loop.stop()


def test_the_first_run_submits_what_a_real_reconciler_finds(start_loop):
    ingest = IngestFixture()
    ingest.put("lost.jpg", b"x")
    _, submitted = start_loop(ingest.reconciler(), NEVER)
    assert submitted.get(timeout=WAIT) == Upload(BUCKET, "lost.jpg", UploadKind.RECONCILE)


def test_the_first_run_waits_for_the_watcher_and_a_stop_does_not():
    reconciler, watched = Scripted([finding("a")]), threading.Event()
    submitted = queue.Queue()
    loop = ReconcileLoop(reconciler, submitted.put, NEVER)
    loop.start(watched)
    with pytest.raises(queue.Empty):
        reconciler.started.get(timeout=0.3)
    watched.set()
    assert submitted.get(timeout=WAIT).key == "a"
    loop.stop()
    stopped = ReconcileLoop(Scripted(), submitted.put, NEVER)
    stopped.start(threading.Event())
    stopped.stop()


def test_the_next_run_follows_the_pause(start_loop):
    reconciler = Scripted([finding("a")], [finding("b")])
    _, submitted = start_loop(reconciler, 0.001)
    assert [submitted.get(timeout=WAIT).key for _ in range(2)] == ["a", "b"]


def test_trigger_ends_the_pause(start_loop):
    reconciler = Scripted([finding("a")], [finding("b")])
    loop, submitted = start_loop(reconciler, NEVER)
    assert submitted.get(timeout=WAIT).key == "a"
    loop.trigger()
    assert submitted.get(timeout=WAIT).key == "b"


def test_another_reconciler_ends_the_search_that_runs(start_loop):
    """After a reload the search with the old recipe does no more, and one with the new recipe follows."""
    loops = queue.Queue()

    class Old(Scripted):
        def findings(self, _should_stop):
            yield finding("old")
            loops.get(timeout=WAIT).use(Scripted([finding("new")]))
            yield finding("too late")

    loop, submitted = start_loop(Old(), NEVER)
    loops.put(loop)
    assert [submitted.get(timeout=WAIT).key for _ in range(2)] == ["old", "new"]


def test_another_reconciler_ends_the_pause_and_the_rest_in_it():
    clock, submitted = iter([0.0, 0.0, 100.0, *[200.0] * 9]), queue.Queue()
    loop = ReconcileLoop(Scripted([finding("a")]), submitted.put, NEVER, clock=lambda: next(clock))
    loop.start()
    assert submitted.get(timeout=WAIT).key == "a"
    loop.use(Scripted([finding("b")]))
    assert submitted.get(timeout=WAIT).key == "b"
    loop.stop()


def test_a_server_that_is_not_in_charge_searches_nothing_until_it_is():
    in_charge, submitted = threading.Event(), queue.Queue()
    reconciler = Scripted([finding("a")])
    loop = ReconcileLoop(reconciler, submitted.put, NEVER, is_in_charge=in_charge.is_set)
    loop.start()
    loop.trigger()
    with pytest.raises(queue.Empty):
        reconciler.started.get(timeout=1)
    in_charge.set()
    assert submitted.get(timeout=WAIT).key == "a"
    loop.stop()


def test_a_search_ends_when_another_server_takes_over():
    in_charge, submitted, told = threading.Event(), queue.Queue(), queue.Queue()
    in_charge.set()

    class Interrupted(Scripted):
        def findings(self, should_stop):
            yield finding("a")
            in_charge.clear()
            told.put(should_stop())
            yield finding("too late")

    loop = ReconcileLoop(Interrupted(), submitted.put, NEVER, is_in_charge=in_charge.is_set)
    loop.start()
    assert submitted.get(timeout=WAIT).key == "a"
    assert told.get(timeout=WAIT)
    loop.stop()
    assert submitted.empty()


def test_a_run_that_fails_is_not_the_last(start_loop, caplog):
    reconciler = Scripted([finding("a"), Unavailable("no disk"), finding("b")], [finding("c")])
    _, submitted = start_loop(reconciler, 0.001)
    assert [submitted.get(timeout=WAIT).key for _ in range(2)] == ["a", "c"]
    assert "reconciliation stopped early, the next one continues: no disk" in caplog.text


def test_a_mistake_in_the_program_does_not_end_the_searches(start_loop, caplog):
    reconciler = Scripted([KeyError("size")], [finding("c")])
    _, submitted = start_loop(reconciler, 0.001)
    assert submitted.get(timeout=WAIT).key == "c"
    assert "reconciliation failed, the next one continues" in caplog.text
    assert "KeyError: 'size'" in caplog.text


def test_a_stop_does_not_wait_for_the_pause_or_the_rest_of_the_findings():
    held, go_on = threading.Event(), threading.Event()
    submitted = []

    def submit(upload):
        submitted.append(upload.key)
        held.set()
        go_on.wait(WAIT)

    loop = ReconcileLoop(Scripted([finding("a"), finding("b")]), submit, NEVER)
    loop.start()
    assert held.wait(WAIT)
    stopper = threading.Thread(target=loop.stop)
    stopper.start()
    while not loop._stop.is_set():
        threading.Event().wait(0.001)
    go_on.set()
    stopper.join(WAIT)
    assert not stopper.is_alive()
    assert submitted == ["a"]


def test_a_stop_amid_a_search_without_findings_takes_one_page():
    """Of 3,000 originals with nothing to do, a page of 500 is the most that is read after the stop."""
    ingest = IngestFixture()
    for number in range(3000):
        ingest.put(f"{number:04}.txt", b"x")  # no rule matches: nothing is made of it
    read = []
    loop = ReconcileLoop(ingest.reconciler(), lambda _: None, NEVER)
    list_originals = ingest.uploads.list

    def listing(*args, **options):
        for entry in list_originals(*args, **options):
            read.append(entry.key)
            if len(read) == 700:  # amid the second page
                loop._stop.set()
                loop._wake.set()
            yield entry

    ingest.uploads.list = listing
    loop._run()
    assert len(read) == 1000


def test_triggers_do_not_keep_a_large_library_under_search():
    """A search that takes long is followed by a rest, however often it is triggered."""
    clock, rests = iter([0.0, 0.0, 30.0]), []
    loop = ReconcileLoop(Scripted([]), lambda _: None, 300.0, clock=lambda: next(clock))

    def rest(seconds):
        rests.append(seconds)
        loop._stop.set()
        loop.trigger()

    loop._end_rest.wait = rest
    loop._run()
    assert rests == [120.0]


def test_a_search_takes_a_tenth_of_the_time():
    """After each page it pauses nine times as long as the page took, and at most five seconds."""
    clock, pauses, stops = iter([0.0, 0.0, 0.1, 1.0, 3.0, 8.0, 8.0]), [], []

    class TwoPages(Scripted):
        def findings(self, should_stop):
            stops.extend(should_stop() for _ in range(2))
            return iter(())

    loop = ReconcileLoop(TwoPages(), lambda _: None, 300.0, clock=lambda: next(clock))
    loop._stop.wait = pauses.append
    loop._end_rest.wait = lambda _: None
    loop._wake.wait = lambda _: loop._stop.set()
    loop._run()
    assert pauses[:2] == pytest.approx([0.9, 5.0])
    assert stops == [False, False]


def test_an_orphaned_object_is_deleted():
    ingest = IngestFixture()
    ingest.processed.put("long~hash/w=1,fm=jpeg.jpg", b"x", Attributes())
    orphan = Finding("long~hash/w=1,fm=jpeg.jpg", Drift.ORPHANED, None, orphan="long~hash/w=1,fm=jpeg.jpg")
    apply(orphan, ingest.reconciler(), lambda upload: pytest.fail(f"submitted {upload}"))
    assert ingest.processed.bodies() == {}


def test_held_deletions_are_reported_until_a_run_without_them(start_loop, caplog):
    held = [Finding(key, Drift.HELD, None, detail="2 of 3 are gone") for key in "ab"]
    loop, submitted = start_loop(
        Scripted([*held, finding("1")], [*held, finding("2")], [finding("3")]), NEVER
    )
    for number, report in (
        (1, ReconcileReport(0, 2, "2 of 3 are gone")),
        (2, ReconcileReport(0, 2, "2 of 3 are gone")),
        (3, ReconcileReport()),
    ):
        assert submitted.get(timeout=WAIT).key == str(number)
        wait_for(lambda report=report: loop.report() == report, f"report {number}")
        loop.trigger()
    assert caplog.text.count("nothing is deleted: 2 of 3 are gone") == 1


def unreadable(key, **more):
    return Finding(key, Drift.UNREADABLE, None, detail="denied", **more)


def test_keys_that_cannot_be_read_are_counted_and_logged_once(start_loop, caplog):
    orphan = Finding("c", Drift.ORPHANED, None, orphan="c/1")
    recorded = Finding("b", Drift.UNREADABLE, Upload(BUCKET, "b"), detail="denied")
    reconciler = Scripted(
        [unreadable("a"), recorded, orphan, finding("last 1")],
        [unreadable("a"), unreadable("b"), finding("last 2")],
        [finding("last 3")],
        [unreadable("a"), finding("last 4")],
    )
    reconciler.failures = {"c/1": unreadable("c/1")}
    loop, submitted = start_loop(reconciler, NEVER)
    for number, counted in ((1, 3), (2, 2), (3, 0), (4, 1)):
        while submitted.get(timeout=WAIT).key != f"last {number}":
            pass
        wait_for(lambda counted=counted: loop.report().unreadable == counted, f"report {number}")
        loop.trigger()
    logged = [record.args[0] for record in caplog.records if "passed over" in record.message]
    assert logged == ["a", "b", "c/1", "a"]
