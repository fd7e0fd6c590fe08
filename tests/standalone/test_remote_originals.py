"""Copies of remote files: when they are fetched, how long they are used, and what never happens to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from image_processor.config.remote_sources import parse_remote_sources
from image_processor.domain.errors import (
    ImageProcessorError,
    Invalid,
    NotFound,
    Overloaded,
    PreconditionFailed,
    Reason,
    Refused,
    SourceFailed,
    SourceNotAllowed,
    Unavailable,
)
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import ABSENT, Attributes, RemoteFile, Validators
from image_processor.standalone.fetching_store import FetchingStore
from image_processor.standalone.remote_originals import (
    FetchResult,
    OriginalPending,
    RemoteOriginals,
    RemotePolicy,
)
from support.ingest import RecordingStore
from support.memory_store import MemoryStore
from support.waiting import wait_for

WAIT = 60
KEY, URL = "shop/cat.png", "https://cdn.example/photos/cat.png"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)
OTHER = b"\x89PNG\r\n\x1a\n" + b"\1" * 400
SOURCES = parse_remote_sources(["shop/=https://cdn.example/photos/", "old/=https://old.example/"])


class Source:
    """A RemoteReader that tests set. ``gate`` holds requests back."""

    def __init__(self) -> None:
        self.body: bytes = PNG
        self.etag: str | None = '"1"'
        self.modified: str | None = None
        self.fresh: float | None = 100
        self.error: ImageProcessorError | None = None
        self.breaks_off: ImageProcessorError | None = None
        self.meanwhile: Any = lambda: None
        self.asked: list[tuple[str, Validators]] = []
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def open(self, url: str, validators: Validators, *, limit: int) -> Iterator[RemoteFile]:
        self.asked.append((url, validators))
        assert self.gate.wait(WAIT)
        if self.error is not None:
            raise self.error
        self.meanwhile()
        is_current = self.etag is not None and validators.etag == self.etag
        own = Validators(self.etag, self.modified)
        yield RemoteFile(None if is_current else self._chunks(limit), own, self.fresh)

    def _chunks(self, limit: int) -> Iterator[bytes]:
        assert len(self.body) <= limit
        yield from (self.body[:200], self.body[200:])[: 2 if self.body else 0]
        if self.breaks_off:
            raise self.breaks_off


class Machine:
    """Remote originals over a store in memory, at a time that tests set."""

    def __init__(self, **policy: int) -> None:
        self.source, self.store, self.now = Source(), MemoryStore(), 1_000_000.0
        self.submitted: list[Upload] = []
        self.results: list[str] = []
        limits = {"min_seconds": 10, "max_seconds": 1000, "failure_seconds": 60, "max_bytes": 5000}
        self.policy = RemotePolicy(**{**limits, "connections": 2, "max_waiting": 5, **policy})
        self.start()

    def start(self) -> None:
        self.remote = RemoteOriginals(
            *(SOURCES, {"https": self.source}, "uploads", self.store, self.submitted.append, self.policy),
            on_fetch=lambda result, _: self.results.append(result),
            clock=lambda: self.now,
        )
        self.uploads = FetchingStore(self.store, self.remote)

    def fetch(self, key: str = KEY) -> FetchResult:
        """Ask for an original that is not stored, and wait."""
        with pytest.raises(OriginalPending) as pending:
            self.uploads.head(key)
        result: FetchResult = pending.value.future.result(WAIT)
        return result

    def use(self, key: str = KEY) -> None:
        """Ask for a stored original, and wait for what that begins."""
        self.uploads.head(key)
        self.idle()

    def idle(self) -> None:
        wait_for(lambda: not self.remote.backlog(), "requests to end")

    def body(self, key: str = KEY) -> bytes | None:
        return self.store.bodies().get(key)


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.source.gate.set()
    machine.remote.close()


def test_a_missing_original_is_fetched_once_for_all_who_ask(machine: Machine) -> None:
    machine.source.gate.clear()

    def ask(_: int) -> Any:
        try:
            return machine.uploads.head(KEY)
        except OriginalPending as pending:
            return pending.future

    with ThreadPoolExecutor(8) as threads:
        futures = set(threads.map(ask, range(200)))
    assert len(futures) == 1
    machine.source.gate.set()
    result = futures.pop().result(WAIT)
    assert (result.error, result.is_new) == (None, True)
    assert machine.source.asked == [(URL, Validators())]
    stored = machine.uploads.head(KEY)
    assert (stored.entry, stored.attributes.media_type) == (result.entry, "image/png")
    assert machine.submitted == [Upload("uploads", KEY, UploadKind.CREATED, stored.entry.version)]
    assert (machine.body(), machine.results) == (PNG, ["fetched"])


def test_a_key_of_no_source_is_missing(machine: Machine) -> None:
    for key in ("other/cat.png", "shop/", "shop/../cat.png"):
        with pytest.raises(NotFound):
            machine.uploads.head(key)
    assert machine.source.asked == []


@pytest.mark.parametrize(("stated", "seconds"), [(100, 100), (None, 10), (0, 10), (3, 10), (9999, 1000)])
def test_a_copy_is_used_as_long_as_the_source_says_within_bounds(
    machine: Machine, stated: float | None, seconds: int
) -> None:
    machine.source.fresh = stated
    machine.fetch()
    machine.now += seconds - 1
    machine.use()
    assert len(machine.source.asked) == 1
    machine.now += 2
    machine.use()
    assert len(machine.source.asked) == 2


def test_an_expired_copy_is_served_while_the_source_is_asked(machine: Machine) -> None:
    machine.fetch()
    machine.now += 101
    machine.source.gate.clear()
    for _ in range(9):
        assert machine.uploads.head(KEY).entry.size == len(PNG)
    machine.source.gate.set()
    machine.idle()
    assert machine.source.asked[1:] == [(URL, Validators('"1"'))]
    assert machine.results == ["fetched", "unchanged"]
    machine.now += 99
    machine.use()
    assert len(machine.source.asked) == 2
    assert len(machine.submitted) == 1


def test_a_changed_file_replaces_its_copy(machine: Machine) -> None:
    machine.fetch()
    machine.now += 101
    machine.source.body, machine.source.etag = OTHER, '"2"'
    machine.use()
    assert machine.body() == OTHER
    assert (
        machine.submitted[-1].version == machine.store.head(KEY).entry.version != machine.submitted[0].version
    )
    machine.now += 101
    machine.use()
    assert machine.source.asked[-1] == (URL, Validators('"2"'))


def test_the_same_bytes_without_validators_are_not_written_again(machine: Machine) -> None:
    machine.source.etag = None
    before = machine.fetch().entry
    machine.now += 101
    machine.use()
    assert machine.store.head(KEY).entry == before
    assert (machine.results, len(machine.submitted)) == (["fetched", "unchanged"], 1)


def test_bytes_of_the_same_size_are_compared(machine: Machine) -> None:
    machine.source.etag = None
    machine.fetch()
    machine.now += 101
    machine.source.body = PNG[:-1] + b"\1"
    machine.use()
    assert machine.body() == PNG[:-1] + b"\1"


def test_new_validators_of_the_same_bytes_are_sent_next_time(machine: Machine) -> None:
    machine.fetch()
    machine.now += 101
    machine.source.etag = '"2"'
    machine.use()
    assert machine.results == ["fetched", "unchanged"]
    machine.now += 101
    machine.use()
    assert machine.source.asked[-1] == (URL, Validators('"2"'))


def test_a_restart_knows_until_when_a_copy_is_fresh_and_what_it_is(machine: Machine) -> None:
    machine.source.modified = "Thu, 01 Jan 2026 12:00:00 GMT"
    machine.fetch()
    machine.remote.close()
    machine.start()
    machine.now += 99
    machine.use()
    assert len(machine.source.asked) == 1
    machine.now += 2
    machine.use()
    assert machine.source.asked[1:] == [(URL, Validators('"1"', machine.source.modified))]


def test_a_used_rendition_has_an_expired_copy_asked_for(machine: Machine) -> None:
    machine.fetch()
    for seconds, asked in ((99, 1), (2, 2)):
        machine.now += seconds
        machine.remote.touch(f"{KEY}/w=320,fm=jpeg.jpg")
        machine.idle()
        assert len(machine.source.asked) == asked
    machine.remote.touch("other/cat.png/w=320,fm=jpeg.jpg")
    machine.remote.touch("name")


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (SourceFailed("broken"), "failed"),
        (SourceNotAllowed("elsewhere"), "not-allowed"),
        (Refused(Reason.TOO_MANY_BYTES, "expected at most 1 bytes, got 2"), "refused"),
    ],
)
def test_a_copy_stays_where_its_source_fails(
    machine: Machine, error: ImageProcessorError, result: str
) -> None:
    machine.fetch()
    machine.source.error = error
    machine.now += 101
    for _ in range(3):
        machine.use()
    assert (machine.body(), machine.results) == (PNG, ["fetched", result])
    machine.source.error = None
    machine.now += 61
    machine.use()
    assert machine.results == ["fetched", result, "unchanged"]


def test_a_copy_is_deleted_where_its_source_has_no_such_file_any_more(machine: Machine) -> None:
    machine.fetch()
    machine.source.error = NotFound("cdn.example has no such file")
    machine.now += 101
    machine.use()
    assert machine.body() is None
    assert machine.submitted[-1] == Upload("uploads", KEY, UploadKind.DELETED)
    with pytest.raises(NotFound, match=r"cdn\.example has no such file"):
        machine.uploads.head(KEY)


@pytest.mark.parametrize(
    "error",
    [
        NotFound("none"),
        SourceFailed("broken"),
        SourceNotAllowed("no"),
        Refused(Reason.TOO_MANY_BYTES, "more"),
    ],
)
def test_a_failure_is_remembered_for_a_while(machine: Machine, error: ImageProcessorError) -> None:
    machine.source.error = error
    assert machine.fetch().error is error
    for _ in range(3):
        with pytest.raises(type(error), match=str(error)):
            machine.uploads.head(KEY)
    assert len(machine.source.asked) == 1
    machine.now += 61
    machine.source.error = None
    assert machine.fetch().entry is not None


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", Reason.EMPTY), (b"<html>", Reason.NOT_AN_IMAGE), (bytes(999), Reason.NOT_AN_IMAGE)],
)
def test_what_is_no_image_is_not_stored(machine: Machine, body: bytes, reason: Reason) -> None:
    machine.source.body = body
    error = machine.fetch().error
    assert isinstance(error, Refused)
    assert error.reason is reason
    assert (machine.store.bodies(), machine.submitted) == ({}, [])


def test_a_file_that_breaks_off_is_never_seen(machine: Machine) -> None:
    machine.source.breaks_off = SourceFailed("broke off")
    assert machine.fetch().error is machine.source.breaks_off
    assert machine.store.bodies() == {}
    machine.store.put(KEY, OTHER, Attributes())
    assert machine.uploads.head(KEY).entry.size == len(OTHER)


def test_an_upload_is_never_replaced(machine: Machine) -> None:
    machine.store.put(KEY, OTHER, Attributes())
    for _ in range(3):
        machine.use()
        machine.now += 10_000
    assert (machine.source.asked, machine.body()) == ([], OTHER)
    machine.store.delete(KEY)
    machine.fetch()
    machine.store.put(KEY, OTHER, Attributes())  # over a copy
    machine.now += 10_000
    machine.use()
    assert (len(machine.source.asked), machine.body()) == (1, OTHER)


@pytest.mark.parametrize("is_stored", [False, True])
def test_an_upload_meanwhile_wins(machine: Machine, is_stored: bool) -> None:  # noqa: FBT001 - a parameter
    if is_stored:
        machine.fetch()
        machine.now += 101
        machine.source.etag = '"2"'
    machine.source.body = PNG + b"more"
    machine.source.meanwhile = lambda: machine.store.put(KEY, OTHER, Attributes())
    if is_stored:
        machine.use()
    else:
        assert machine.fetch().error is None
    assert machine.body() == OTHER


def test_an_upload_that_wins_and_is_deleted_at_once_says_nothing_about_the_source(machine: Machine) -> None:
    head = machine.store.head

    def upload_and_delete() -> None:
        machine.store.put(KEY, OTHER, Attributes())
        machine.store.head = deleted  # type: ignore[method-assign]

    def deleted(key: str) -> Any:
        machine.store.head = head  # type: ignore[method-assign]
        machine.store.delete(key)
        return head(key)

    machine.source.meanwhile = upload_and_delete
    with pytest.raises(Unavailable, match="changes too fast"):
        machine.fetch()
    machine.source.meanwhile = lambda: None
    assert machine.fetch().is_new
    assert machine.body() == PNG


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_clock_that_is_set_back_does_not_keep_a_copy(machine: Machine, *, is_restarted: bool) -> None:
    machine.fetch()
    machine.now -= 100_000
    if is_restarted:
        machine.remote.close()
        machine.start()
    machine.use()
    assert len(machine.source.asked) == 2
    machine.use()
    assert len(machine.source.asked) == 2, "it is fresh again"


def test_a_clock_that_is_set_back_does_not_keep_a_failure(machine: Machine) -> None:
    machine.source.error = SourceFailed("down")
    machine.fetch()
    machine.now -= 100_000
    machine.source.error = None
    assert machine.fetch().is_new


def test_a_copy_of_another_url_is_an_upload(machine: Machine) -> None:
    """As if the setting now maps the prefix to another host: what was fetched from the first stays."""
    machine.fetch()
    copied = machine.store.get(KEY)
    machine.store.put("old/cat.png", copied.body, copied.attributes)
    machine.now += 10_000
    machine.use("old/cat.png")
    assert len(machine.source.asked) == 1


def test_a_full_queue_rejects_at_once() -> None:
    machine = Machine(connections=1, max_waiting=1)
    machine.source.gate.clear()
    for number in range(2):
        with pytest.raises(OriginalPending):
            machine.uploads.head(f"shop/{number}.png")
    with pytest.raises(Overloaded, match="expected at most 2 files being fetched, got more"):
        machine.uploads.head("shop/2.png")
    with pytest.raises(OriginalPending):  # another host has its own
        machine.uploads.head("old/2.png")
    machine.source.gate.set()
    machine.remote.close()


# On request ----------------------------------------------------------------------------------------


def import_url(
    machine: Machine, url: str, key: str | None = None, condition: Any = None
) -> tuple[str, FetchResult]:
    plan = machine.remote.plan_import(url, key)
    return plan.key, machine.remote.start_import(plan, condition).result(WAIT)


def test_a_url_is_imported_under_the_key_of_its_source(machine: Machine) -> None:
    key, result = import_url(machine, URL)
    assert (key, result.is_new, machine.body(), machine.submitted) == (KEY, True, PNG, [])
    machine.now += 101
    machine.use()
    assert machine.results == ["fetched", "unchanged"]


def test_an_import_asks_again_although_the_copy_is_fresh(machine: Machine) -> None:
    import_url(machine, URL)
    assert import_url(machine, URL)[1].is_new is False
    machine.source.body, machine.source.etag = OTHER, '"2"'
    import_url(machine, URL)
    assert (machine.results, machine.body()) == (["fetched", "unchanged", "fetched"], OTHER)


def test_an_import_under_another_key_is_an_upload(machine: Machine) -> None:
    for key, url in (("cats/1.png", URL), ("cats/2.png", URL + "?v=2")):
        assert import_url(machine, url, key)[0] == key
        assert machine.source.asked[-1] == (url, Validators())
        machine.now += 10_000
        machine.use(key)
    assert len(machine.source.asked) == 2


def test_an_import_replaces_an_upload_under_its_condition(machine: Machine) -> None:
    machine.store.put(KEY, OTHER, Attributes())
    with pytest.raises(ImageProcessorError):
        import_url(machine, URL, condition=ABSENT)
    assert machine.body() == OTHER
    assert import_url(machine, URL, condition=machine.store.head(KEY).entry.version)[1].error is None
    assert machine.body() == PNG


def test_an_import_whose_condition_does_not_hold_asks_no_source(machine: Machine) -> None:
    version = import_url(machine, URL)[1].entry.version  # type: ignore[union-attr]
    asked = len(machine.source.asked)
    for condition in (ABSENT, f"{version}x"):
        with pytest.raises(PreconditionFailed, match="by another request meanwhile"):
            import_url(machine, URL, condition=condition)
    assert len(machine.source.asked) == asked
    assert import_url(machine, URL, condition=version)[1].is_new is False


def test_an_import_of_what_is_no_source_is_refused(machine: Machine) -> None:
    with pytest.raises(SourceNotAllowed):
        import_url(machine, "https://evil.example/photos/cat.png")
    with pytest.raises(Invalid, match="for url, got 'ftp://cdn"):
        import_url(machine, "ftp://cdn.example/photos/cat.png")
    with pytest.raises(Invalid, match="for key, got 'nothing'"):
        import_url(machine, URL + "?v=2")
    assert machine.source.asked == []


def test_a_failed_import_under_another_key_says_nothing_about_that_key(machine: Machine) -> None:
    machine.source.error = SourceFailed("broken")
    assert import_url(machine, "https://old.example/dog.png", KEY)[1].error is not None
    machine.source.error = None
    assert machine.fetch().error is None


def test_a_success_ends_a_remembered_failure(machine: Machine) -> None:
    machine.source.error = SourceFailed("broken")
    machine.fetch()
    machine.source.error = None
    import_url(machine, URL)
    machine.store.delete(KEY)
    assert machine.fetch().error is None


def test_a_copy_that_another_server_has_renewed_is_fresh(machine: Machine) -> None:
    machine.fetch()
    stored = machine.store.get(KEY)
    metadata = {**stored.attributes.metadata, "remote-expires": str(int(machine.now + 500))}
    machine.store.put(KEY, stored.body, Attributes("image/png", metadata=metadata))
    machine.now += 101
    machine.use()
    assert len(machine.source.asked) == 1
    machine.now += 400
    machine.use()
    assert len(machine.source.asked) == 2


def test_an_upload_is_looked_at_once_in_a_while(machine: Machine) -> None:
    machine.store.put(KEY, OTHER, Attributes())
    store = machine.remote._uploads = RecordingStore(machine.store)
    for _ in range(2):
        for _ in range(3):
            machine.remote.use(KEY)
            machine.idle()
        machine.now += 61
    assert store.calls == ["head", "head"]
