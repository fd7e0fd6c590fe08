"""What every client shares: none of them can take so much of it that others are kept out."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_machine import Client, Machine
from msgspec.structs import replace
from test_http_connections import LARGE, head, status_of
from test_http_resumable import BODY, TUS, append, begin, create

from image_processor.api import connections, recipe_editor, request_share, sessions, standalone_app, work
from image_processor.api.sessions import Sessions
from image_processor.api.work import MAX_UPLOADS
from image_processor.config.tokens import Scope, create_token
from image_processor.domain.errors import InsufficientStorage, ShareExceeded, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Upload
from image_processor.domain.ports import Attributes
from image_processor.ingest.dry_run import DryRun
from image_processor.standalone import resumable_uploads, stored_responses
from image_processor.standalone.progress import EventType
from image_processor.standalone.render_pool import RenderPool
from image_processor.standalone.resumable_uploads import ResumableUploads
from image_processor.standalone.stored_responses import StoredResponse, StoredResponses
from image_processor.standalone.task_pool import TaskPool
from support.ingest import BUCKET
from support.waiting import wait_for

MADE = {name: create_token(Scope.WRITE, name) for name in ("greedy", "modest")}


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.settings = replace(machine.settings, tokens=tuple(token for _, token in MADE.values()))
    return machine


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {MADE[name][0]}"}


@pytest.fixture
def send(address: tuple[str, int]) -> Iterator[Any]:
    """Sends the beginning of a request, from one of the addresses of this machine."""
    with ExitStack() as stack:

        def begin(request: bytes, host: str = "127.0.0.1") -> socket.socket:
            connection = socket.create_connection(address, timeout=20, source_address=(host, 0))
            stack.enter_context(connection).sendall(request)
            return connection

        yield begin


def with_token(request: bytes, name: str) -> bytes:
    return request.replace(b"\r\n", f"\r\nAuthorization: Bearer {MADE[name][0]}\r\n".encode(), 1)


def is_share_exceeded(response: httpx.Response, status: int = 429) -> bool:
    exceeded = (response.status_code, response.json()["code"]) == (status, "share-exceeded")
    return exceeded and response.headers["retry-after"] == "1"


# Resumable uploads -----------------------------------------------------------------------------------


def test_unfinished_uploads_of_one_token_leave_room_for_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_uploads, "MAX_OPEN", 8)
    for _ in range(3):
        begin(client, 1, **bearer("greedy"))
    where = begin(client, 1, **bearer("greedy"))
    refused = create(client, 1, headers=bearer("greedy"))
    assert is_share_exceeded(refused, 503)  # clients of tus give up after a 429
    assert "got more than 4 of 8; finish some, delete them with DELETE" in refused.json()["detail"]
    assert create(client, 1, headers=bearer("modest")).status_code == 201
    assert client.delete(where, headers={**TUS, **bearer("greedy")}).status_code == 204
    assert create(client, 1, headers=bearer("greedy")).status_code == 201


def test_bytes_that_one_client_has_announced_leave_room_for_others(tmp_path: Path) -> None:
    def check_room(count: int) -> None:
        if count > 1000:
            raise InsufficientStorage(f"expected room for {count}")

    uploads = ResumableUploads(tmp_path / "parts", 3600, check_room)
    uploads.create("a", 400, "", {}, "greedy")
    with pytest.raises(ShareExceeded, match="room for 1200; finish some, delete them with DELETE"):
        uploads.create("b", 400, "", {}, "greedy")
    uploads.create("b", 400, "", {}, "modest")
    with pytest.raises(InsufficientStorage):
        uploads.create("c", 400, "", {}, "third")


def test_uploads_of_earlier_versions_have_no_client(tmp_path: Path) -> None:
    uploads = ResumableUploads(tmp_path / "parts", 3600, lambda _: None)
    upload = uploads.create("a", 1, "", {}, "greedy")
    described = tmp_path / "parts" / f"{upload.id}.json"
    described.write_text(described.read_text().replace(',"client":"greedy"', ""))
    assert uploads.find(upload.id).client == ""


# Requests, uploads and threads -----------------------------------------------------------------------


def test_dry_runs_that_wait_hold_no_thread(
    live: httpx.Client, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server has forty threads for all routes."""
    monkeypatch.setattr(recipe_editor, "DRY_RUN_SECONDS", 60.0)
    end, has_begun = threading.Event(), threading.Event()

    def dry_run(*_: Any) -> DryRun:
        has_begun.set()
        end.wait(60)
        return DryRun()

    monkeypatch.setattr(recipe_editor, "dry_run", dry_run)
    body = b'{"text": "[presets.a]\\nwidths = [1]\\n[[rules]]\\nmatch = \\"**\\"\\npresets = [\\"a\\"]"}'
    line = head("POST /recipe/plan", len(body)).replace(b"\r\n", b"\r\nContent-Type: application/json\r\n", 1)
    waiting = [send(with_token(line, "greedy") + body) for _ in range(50)]
    assert has_begun.wait(20)
    try:
        for _ in range(3):
            assert live.get("/images", headers=bearer("modest"), timeout=20).status_code == 200
    finally:
        end.set()
    assert {status_of(connection) for connection in waiting} == {200}


@pytest.fixture
def listings(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The listings of the catalog end when the event is set."""
    end = threading.Event()
    list_ = machine.ingest.catalog.list

    def listed(*values: Any, **options: Any) -> Any:
        end.wait(60)
        return list_(*values, **options)

    monkeypatch.setattr(machine.ingest.catalog, "list", listed)
    yield end
    end.set()


def test_slow_listings_of_one_token_leave_threads_for_others(
    listings: threading.Event, send: Any, live: httpx.Client
) -> None:
    slow = [send(with_token(head("GET /images", 0), "greedy")) for _ in range(60)]
    for _ in range(3):
        assert live.get("/settings", headers=bearer("modest"), timeout=20).status_code == 403
        assert live.get("/recipe/source", headers=bearer("modest"), timeout=20).status_code == 200
    listings.set()
    assert {status_of(connection) for connection in slow} == {200}


@pytest.mark.parametrize("line", ["GET /images.ndjson", "POST /archives"])
def test_exports_of_one_token_leave_room_for_others(
    machine: Machine, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(request_share, "MAX_EXPORTS", 4)
    monkeypatch.setattr(request_share, "EXPORT_SECONDS", 0.1)
    get = machine.ingest.catalog.get
    end = request.getfixturevalue("listings")
    monkeypatch.setattr(machine.ingest.catalog, "get", lambda id_: end.wait(60) and get(id_))
    send, live = request.getfixturevalue("send"), request.getfixturevalue("live")
    body = b"ids=" + 26 * b"a" if line.startswith("POST") else b""
    started = head(line, len(body)) + body
    slow = [send(with_token(started, "greedy")) for _ in range(2)]
    method, path = line.split()
    refused = live.request(method, path, content=body, headers=bearer("greedy"))
    assert is_share_exceeded(refused)
    other = send(with_token(started, "modest"))
    end.set()
    assert {status_of(connection) for connection in (*slow, other)} == {200}


@pytest.fixture
def upload_half(machine: Machine, send: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Begins an upload of two bytes that has its slot, and sends one of them."""
    started = threading.Semaphore(0)
    put_stream = machine.ingest.uploads.put_stream

    def signal_start(*rest: Any, **kwargs: Any) -> Any:
        started.release()
        return put_stream(*rest, **kwargs)

    def begin(key: str, name: str) -> socket.socket:
        connection: socket.socket = send(with_token(head(f"PUT /uploads/{key}", 2), name) + b"x")
        assert started.acquire(timeout=20)
        return connection

    monkeypatch.setattr(machine.ingest.uploads, "put_stream", signal_start)
    return begin


def test_slow_uploads_of_one_token_leave_slots_for_others(
    live: httpx.Client, upload_half: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "UPLOAD_SLOT_SECONDS", 0.1)
    slow = [upload_half(f"slow{number}", "greedy") for number in range(MAX_UPLOADS // 2)]
    assert is_share_exceeded(live.put("/uploads/a", content=b"a", headers=bearer("greedy")))
    assert live.put("/uploads/a", content=b"a", headers=bearer("modest")).status_code == 201
    for connection in slow:
        connection.sendall(b"y")
        assert status_of(connection) == 201


def test_a_resumable_upload_continues_when_its_client_has_a_slot_again(
    machine: Machine, live: httpx.Client, upload_half: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "UPLOAD_SLOT_SECONDS", 0.1)
    where = begin(live, 4, **bearer("greedy"))
    assert append(live, where, 0, b"ab", **bearer("greedy")).status_code == 204
    slow = [upload_half(f"slow{number}", "greedy") for number in range(MAX_UPLOADS // 2)]
    assert is_share_exceeded(append(live, where, 2, b"cd", **bearer("greedy")), 503)
    begun = live.head(where, headers=TUS | bearer("greedy"))
    assert (begun.status_code, begun.headers["upload-offset"]) == (200, "2")
    for connection in slow:
        connection.sendall(b"y")
        assert status_of(connection) == 201
    assert append(live, where, 2, b"cd", **bearer("greedy")).status_code == 204
    assert machine.ingest.uploads.get("a.jpg").body == b"abcd"


def test_a_resumable_upload_keeps_its_slot_until_it_is_stored(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Or it would wait for one again, although all of it has arrived."""
    monkeypatch.setattr(work, "MAX_UPLOADS", 2)
    live, send = request.getfixturevalue("live"), request.getfixturevalue("send")
    where = begin(live, 2, **bearer("greedy"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**BODY, "upload-offset": "0"}.items())
    patch = head(f"PATCH {where}", 2).replace(b"\r\n", f"\r\n{lines}".encode(), 1)
    last = send(with_token(patch, "greedy") + b"x")
    wait_for(lambda: machine.resumable_uploads.usage().bytes == 1, "the first byte")
    other = send(with_token(head("PUT /uploads/b", 2), "greedy") + b"x")
    wait_for(lambda: machine.application.state.work._upload_slots._waiting, "an upload that waits")
    last.sendall(b"y")
    assert status_of(last) == 204
    other.sendall(b"y")
    assert status_of(other) == 201


def test_requests_of_one_token_leave_room_for_others(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Whatever they wait for, here for the bytes of uploads."""
    monkeypatch.setattr(standalone_app, "MAX_REQUESTS", 4)
    upload_half, live = request.getfixturevalue("upload_half"), request.getfixturevalue("live")
    slow = [upload_half(key, "greedy") for key in "ab"]
    assert is_share_exceeded(live.get("/images", headers=bearer("greedy")))
    assert is_share_exceeded(create(live, 1, headers=bearer("greedy")), 503)
    assert live.get("/health", headers=bearer("greedy")).status_code == 200
    assert live.get("/static/page.css").status_code in {200, 404}
    assert live.get("/images", headers=bearer("modest")).status_code == 200
    for connection in slow:
        connection.sendall(b"y")
        assert status_of(connection) == 201
    assert machine.application is not None


def test_responses_that_one_address_reads_slowly_make_room_for_others(
    machine: Machine, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renditions are public, so that anybody may read as slowly as a connection is kept."""
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", bytes(LARGE), Attributes("image/webp"))
    slow = b"GET /renditions/cat.jpg/w=10,fm=webp.webp HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-\r\n\r\n"
    readers = [send(slow) for _ in range(4)]
    assert all(reader.recv(12) == b"HTTP/1.1 206" for reader in readers)
    protocols = machine.server.server_state.connections
    wait_for(lambda: sum(protocol.flow.write_paused for protocol in protocols) == 4, "full sockets")
    monkeypatch.setattr(connections, "MAX_REQUESTS", 4)
    page = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert status_of(send(page)) == 503
    assert status_of(send(page, "127.0.0.2")) == 200


def test_many_uploads_of_one_token_do_not_delay_those_of_others(machine: Machine, client: Client) -> None:
    machine.gate.clear()
    for number in range(20):
        client.put(f"/uploads/greedy{number:02}", content=b"a", headers=bearer("greedy"))
    client.put("/uploads/modest", content=b"a", headers=bearer("modest"))
    machine.workers.submit(Upload(BUCKET, "dropped"))
    machine.gate.set()
    machine.workers.wait_until_idle()
    started = [event.key for event in machine.progress._history if event.type is EventType.STARTED]
    assert started[0] == "greedy00"
    assert set(started[1:4]) >= {"modest", "dropped"}
    assert len(started) == 22


# Renditions and imports ------------------------------------------------------------------------------


def test_tasks_of_one_client_leave_room_for_others() -> None:
    gate = threading.Event()
    pool: TaskPool[bool] = TaskPool("renditions in the making", 1, 7)
    for number in range(4):
        pool.submit(f"greedy{number}", gate.wait, "greedy")
    with pytest.raises(ShareExceeded, match="got more than 4 of 8"):
        pool.submit("one more", gate.wait, "greedy")
    assert not pool.submit("greedy0", gate.wait, "greedy").done()  # no task of its own
    pool.submit("public", gate.wait)
    last = pool.submit("modest", gate.wait, "modest")
    gate.set()
    last.result(20)
    wait_for(lambda: not pool.backlog(), "the end of all tasks")
    for number in range(4):
        pool.submit(f"again{number}", gate.wait, "greedy")
    pool.close()


def test_tasks_of_one_client_do_not_delay_those_of_others() -> None:
    gate, has_begun, order = threading.Event(), threading.Event(), []
    pool: TaskPool[None] = TaskPool("renditions in the making", 1, 20)

    def run(name: str) -> None:
        has_begun.set()
        gate.wait(20)
        order.append(name)

    def submit(name: str, client: str | None = None) -> None:
        pool.submit(name, partial(run, name), client)

    submit("greedy 0", "greedy")
    assert has_begun.wait(20)
    for number in range(1, 6):
        submit(f"greedy {number}", "greedy")
    submit("modest", "modest")
    for number in range(2):
        submit(f"public {number}")
    gate.set()
    wait_for(lambda: not pool.backlog(), "the end of all tasks")
    pool.close()
    assert order[:6] == ["greedy 0", "greedy 1", "modest", "public 0", "greedy 2", "public 1"]


def test_a_pool_that_closes_ends_what_runs_and_cancels_what_waits() -> None:
    gate, has_begun = threading.Event(), threading.Event()
    pool: TaskPool[bool] = TaskPool("renditions in the making", 1, 20)

    def run() -> bool:
        has_begun.set()
        return gate.wait(20)

    running, waiting = pool.submit("a", run), pool.submit("b", run)
    assert has_begun.wait(20)
    closing = threading.Thread(target=pool.close)
    closing.start()
    wait_for(waiting.cancelled, "the end of what waits")
    gate.set()
    closing.join(20)
    assert running.result(20) is True
    assert pool.backlog() == 0
    with pytest.raises(Unavailable, match="stopping"):
        pool.submit("c", run)


def test_previews_of_one_token_leave_room_for_others(
    machine: Machine, request: pytest.FixtureRequest
) -> None:
    machine.settings = replace(machine.settings, delivery_queue=2)
    live = request.getfixturevalue("live")
    machine.ingest.put("a.jpg", b"a")
    live.post("/images", json={"key": "a.jpg"}, headers=bearer("modest")).raise_for_status()
    where = f"/images/{image_id(BUCKET, 'a.jpg')}/preview"
    send = request.getfixturevalue("send")
    machine.gate.clear()

    def preview(width: int, name: str) -> socket.socket:
        body = b'{"transformation": "w=%d,fm=webp"}' % width
        line = head(f"POST {where}", len(body)).replace(b"\r\n", b"\r\nContent-Type: application/json\r\n", 1)
        connection: socket.socket = send(with_token(line, name) + body)
        return connection

    waiting = [preview(11, "greedy")]
    coordinator = machine.application.state.context.render_coordinator
    wait_for(lambda: coordinator.backlog() == 1, "the first rendition")
    json = {"transformation": "w=12,fm=webp"}
    while (backlog := coordinator.backlog()) < (settings_tasks(machine) + 1) // 2:
        waiting.append(preview(12 + backlog, "greedy"))
        wait_for(lambda count=backlog: coordinator.backlog() > count, "another rendition")
    assert is_share_exceeded(
        live.post(where, json={"transformation": "w=99,fm=webp"}, headers=bearer("greedy"))
    )
    url = f"/images/{image_id(BUCKET, 'a.jpg')}/renditions"
    assert is_share_exceeded(
        live.post(url, json=json | {"transformation": "w=98,fm=webp"}, headers=bearer("greedy"))
    )
    other = preview(50, "modest")
    machine.gate.set()
    assert {status_of(connection) for connection in (*waiting, other)} == {200}


def settings_tasks(machine: Machine) -> int:
    return machine.settings.worker_count + machine.settings.delivery_queue


def test_the_render_pool_knows_the_client() -> None:
    gate = threading.Event()
    pool: RenderPool[bool] = RenderPool(None, 1, 2)  # type: ignore[arg-type]  # no task uses it
    pool.submit("a", lambda _: gate.wait(), "greedy")
    with pytest.raises(ShareExceeded):
        pool.submit("b", lambda _: gate.wait(), "greedy")
    gate.set()
    pool.close()


# What is remembered of clients -----------------------------------------------------------------------


def test_signing_in_often_ends_only_sessions_of_the_same_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_MAX_SESSIONS", 3)
    tokens = [token for _, token in MADE.values()]
    open_sessions = Sessions(lambda: tokens)
    modest, _ = open_sessions.open(MADE["modest"][1])
    greedy = [open_sessions.open(MADE["greedy"][1])[0] for _ in range(10)]
    assert open_sessions.find([modest]) is not None
    assert [open_sessions.find([cookie]) is not None for cookie in greedy] == [False] * 8 + [True] * 2


def test_a_right_token_signs_in_after_wrong_ones_of_others_at_its_address(client: Client) -> None:
    """Behind one proxy or one home router, all have one address."""
    page = {"host": "localhost:8000", "origin": "http://localhost:8000"}

    def sign_in(text: str) -> httpx.Response:
        return client.post("/session", json={"token": text}, headers=page)

    statuses = [sign_in(f"imgp_{number:043}").status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]
    assert sign_in(MADE["modest"][0]).status_code == 200
    assert sign_in(f"imgp_{0:043}").status_code == 429


def response(number: int) -> StoredResponse:
    return StoredResponse("f" * 64, 200, (), b"%d" % number)


def test_responses_to_one_client_push_out_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_responses, "MAX_RESPONSES", 4)
    responses = StoredResponses(tmp_path / "responses.sqlite")
    responses.put("modest", response(0), "token modest")
    for number in range(10):
        responses.put(f"greedy{number}", response(number), "token greedy")
    assert responses.find("modest") == response(0)
    kept = [responses.find(f"greedy{number}") is not None for number in range(10)]
    assert kept == [False] * 7 + [True] * 3
    responses.close()


def test_the_server_tells_whose_response_it_stores(machine: Machine, client: Client) -> None:
    key = {"idempotency-key": "a"}
    assert client.post("/samples", headers={**key, **bearer("modest")}).status_code == 201
    with sqlite3.connect(machine.settings.data / stored_responses.FILE) as file:
        assert file.execute("SELECT client FROM responses").fetchall() == [("token modest",)]


def test_a_file_of_responses_of_version_0_2_is_used_on(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"
    before = StoredResponses(file)
    before.put("a", response(1))
    before.close()
    with sqlite3.connect(file) as other:
        other.execute("DROP INDEX responses_by_client")
        other.execute("ALTER TABLE responses DROP COLUMN client")
    responses = StoredResponses(file)
    responses.put("b", response(2), "token modest")
    assert (responses.find("a"), responses.find("b")) == (response(1), response(2))
    responses.close()
