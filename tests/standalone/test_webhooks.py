"""Webhooks: the signature, the pauses, and that each event arrives, whatever the receiver does at first."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.setting_readers import webhook_secrets
from image_processor.domain.models import MessageKind, OutboxMessage, Upload
from image_processor.standalone import webhooks
from image_processor.standalone.webhooks import Webhook, WebhookSender, next_pause, signature
from support.scripted_http import HANG_UP, Reply, Seen, scripted
from support.waiting import wait_for

SECRET = b"a secret of twenty-four b"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def catalog() -> Iterator[SqliteCatalog]:
    catalog = SqliteCatalog(":memory:")
    yield catalog
    catalog.close()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(webhooks, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(webhooks, "_PAUSE_WITHOUT_RESPONSE", 0.01)


def add_events(catalog: SqliteCatalog, count: int) -> None:
    for number in range(count):
        key = f"{number}.jpg"
        lease = catalog.acquire(Upload("uploads", key), owner="a", now=NOW, duration=timedelta(minutes=5))
        body = json.dumps({"id": f"e{number}", "key": key})
        catalog.complete(
            lease, lease.record, [OutboxMessage(f"e{number}", MessageKind.EVENT, key, NOW, body)]
        )


@contextmanager
def sending(catalog: SqliteCatalog, url: str, days: int = 1) -> Iterator[WebhookSender]:
    sender = WebhookSender(Webhook(url, (SECRET,), days), catalog.event_queue())
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def test_the_signature_is_that_of_the_specification() -> None:
    """The example in the documentation of the Standard Webhooks libraries."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    header = signature([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_library_of_the_specification_accepts_events_with_either_secret_of_a_rotation() -> None:
    texts = [f"whsec_{base64.b64encode(name * 8).decode()}" for name in (b"new", b"old", b"bad")]
    now, body = int(datetime.now(UTC).timestamp()), '{"key": "f\u00fcr.jpg"}'.encode()
    headers = {
        "webhook-id": "e1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature(webhook_secrets(",".join(texts[:2])), "e1", now, body),
    }
    for text in texts[:2]:
        assert standardwebhooks.Webhook(text).verify(body, headers) == {"key": "f\u00fcr.jpg"}
    for text, sent in ((texts[2], body), (texts[0], b"{}")):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(text).verify(sent, headers)


def test_pauses_double_up_to_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses = [next_pause(attempts, 1.0).total_seconds() for attempts in (1, 2, 3, 12, 13, 500)]
    assert pauses == [1, 2, 4, 2048, 3600, 3600]
    assert next_pause(3, 0.0) == next_pause(3, 1.0) / 2
    waited = sum((next_pause(n, 1.0) for n in range(1, Webhook("", (), 3).max_attempts)), timedelta())
    assert timedelta(days=3) < waited < timedelta(days=3, hours=2)


def test_a_receiver_that_fails_twice_gets_each_event(catalog: SqliteCatalog) -> None:
    tries: Counter[str] = Counter()

    def respond(seen: Seen) -> Reply:
        tries[seen.headers["webhook-id"]] += 1
        return [HANG_UP, Reply(503), Reply(204)][tries[seen.headers["webhook-id"]] - 1]

    add_events(catalog, 30)
    with scripted(Reply(204)) as script:
        script.respond = respond
        with sending(catalog, f"{script.address}/hook"):
            wait_for(lambda: catalog.event_queue().count() == (0, 0), "the events")
    assert set(tries.values()) == {3}
    assert len(tries) == 30
    for seen in script.seen:
        assert (seen.method, seen.target) == ("POST", "/hook")
        assert seen.headers["webhook-id"] == json.loads(seen.body)["id"]
        # It also refuses a time that is more than five minutes off.
        assert standardwebhooks.Webhook(SECRET).verify(seen.body, seen.headers) == json.loads(seen.body)


def test_an_event_that_is_never_accepted_delays_no_other_and_dies(
    catalog: SqliteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_ATTEMPTS_UNTIL_HOURLY", -20)  # four attempts in all
    queue = catalog.event_queue()
    add_events(catalog, 5)
    with scripted(Reply(204)) as script:
        script.respond = lambda seen: Reply(400 if seen.headers["webhook-id"] == "e2" else 200)
        with sending(catalog, script.address):
            wait_for(lambda: queue.count() == (0, 1), "the dead event")
        assert Counter(seen.headers["webhook-id"] for seen in script.seen)["e2"] == 4
        (dead,) = queue.list(limit=10)
        assert (dead.message.id, dead.due_at, dead.attempts, dead.error) == ("e2", None, 4, "status 400")
        assert queue.redrive(datetime.now(UTC), "e1") == 0
        assert queue.redrive(datetime.now(UTC)) == 1
        script.respond = lambda _: Reply(200)
        with sending(catalog, script.address):
            wait_for(lambda: queue.count() == (0, 0), "the redriven event")


def test_a_redirect_is_a_failure_and_is_not_followed(catalog: SqliteCatalog) -> None:
    add_events(catalog, 1)
    with scripted(Reply(200)) as other, scripted(Reply(302, headers={"Location": other.address})) as script:
        with sending(catalog, script.address):
            wait_for(lambda: len(script.seen) > 2, "the attempts")
        assert other.seen == []
    (event,) = catalog.event_queue().list(limit=1)
    assert event.error == "status 302"


def test_a_new_event_is_sent_at_once(catalog: SqliteCatalog) -> None:
    with scripted(Reply(200)) as script, sending(catalog, script.address) as sender:
        add_events(catalog, 1)
        sender.trigger()
        wait_for(lambda: script.seen, "the event")


def test_a_stop_does_not_wait_for_a_silent_receiver(
    catalog: SqliteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_STOP_SECONDS", 0.05)
    add_events(catalog, 1)
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        address = f"http://127.0.0.1:{receiver.getsockname()[1]}"
        with sending(catalog, address) as sender:
            connection, _ = receiver.accept()
            wait_for(lambda: connection.recv(1), "the request")
            sender.stop()
        connection.close()
    (event,) = catalog.event_queue().list(limit=2)
    assert (event.attempts, event.due_at is None) == (1, False)
    assert "TimeoutError" not in str(event.error)  # it did not wait for the end of the time limit


def test_a_stop_just_before_the_wake_is_cleared_is_not_missed(catalog: SqliteCatalog) -> None:
    sender = WebhookSender(Webhook("http://127.0.0.1:9", (SECRET,), 1), catalog.event_queue())

    class Wake(threading.Event):
        def clear(self) -> None:
            sender._stopping = True
            self.set()
            super().clear()

    sender._wake = Wake()
    sender.trigger()
    sender.send_due = lambda: 10_000.0  # type: ignore[method-assign]
    thread = threading.Thread(target=sender._run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_an_unreachable_receiver_is_tried_again(catalog: SqliteCatalog) -> None:
    add_events(catalog, 2)
    with sending(catalog, "http://127.0.0.1:9"):
        wait_for(lambda: any(item.attempts > 1 for item in catalog.event_queue().list(limit=2)), "attempts")
    assert "ConnectionRefusedError" in str(catalog.event_queue().list(limit=2)[0].error)


def test_a_mistake_in_the_program_does_not_end_the_thread(
    catalog: SqliteCatalog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhooks, "_IDLE", 0.01)
    mistakes = [KeyError("a mistake")]

    def sign(*arguments: Any) -> str:
        if mistakes:
            raise mistakes.pop()
        return signature(*arguments)

    monkeypatch.setattr(webhooks, "signature", sign)
    add_events(catalog, 1)
    with scripted(Reply(204)) as script, sending(catalog, script.address):
        wait_for(lambda: script.seen, "the event")
    assert "KeyError: 'a mistake'" in caplog.text
