"""Who may call which route: every route is in the table, and the table is what happens."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.api import connections
from image_processor.api.access import ACCESS, RouteAccess
from image_processor.api.access_guard import client_address
from image_processor.api.sessions import COOKIE, FAILURE_SECONDS, MAX_FAILURES, Sessions, WrongTokens
from image_processor.config.tokens import Scope, Token, create_token
from image_processor.domain.keys import image_id
from support.ingest import BUCKET

MADE = {scope: create_token(scope, scope.value) for scope in Scope}
TEXTS = {scope: text for scope, (text, _) in MADE.items()}
TOKENS = tuple(token for _, token in MADE.values())
ORIGIN = {"host": "localhost:8000", "origin": "http://localhost:8000"}

# Written a second time, so that a changed row is seen twice.
WITHOUT_TOKEN = {
    "GET /renditions/{key}",
    "GET /health",
    "OPTIONS /resumable",
    "GET /session",
    "POST /session",
    "DELETE /session",
}
BY_READERS_THOUGH_NOT_GET = {"POST /images/{id}/preview", "POST /archives", "POST /recipe/check"}
BY_WRITERS_THOUGH_GET = {"GET /images/{id}/urls", "GET /images/{id}/markup"}
BY_ADMINS = {"GET /settings", "POST /recipe"}


@pytest.fixture
def machine(machine: Machine) -> Machine:
    machine.settings = replace(machine.settings, tokens=TOKENS)
    return machine


def bearer(scope: Scope) -> dict[str, str]:
    return {"authorization": f"Bearer {TEXTS[scope]}"}


def operations(application: FastAPI) -> Iterator[tuple[str, str]]:
    for path, methods in application.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path


def request(client: Client, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """A request that changes nothing: its id exists nowhere, and its body is no JSON."""
    url = re.sub(r"{\w+}", "no-such-thing", path)
    return client.request(method, url, headers={**headers, "content-type": "text/plain"}, content=b"")


def is_refused(response: httpx.Response) -> bool:
    """Whether the guard has answered, and not the route. A HEAD has no body."""
    if response.request.method == "HEAD":
        return response.status_code in {401, 403}
    return b'"unauthorized"' in response.content or b'"insufficient-scope"' in response.content


def test_every_route_needs_what_the_table_says(machine: Machine, client: Client) -> None:
    walked = list(operations(machine.application))
    assert len(walked) > 15
    for method, path in walked:
        name = f"{method} {path}"
        if path == "/events":  # an endless response, tested below
            continue
        answered = {
            scope: request(client, method, path, bearer(scope) if scope else {}) for scope in (None, *Scope)
        }
        allowed = {scope for scope, response in answered.items() if not is_refused(response)}
        if name in WITHOUT_TOKEN:
            assert allowed == {None, *Scope}, name
        elif name in BY_ADMINS:
            assert allowed == {Scope.ADMIN}, name
        elif (method == "GET" and name not in BY_WRITERS_THOUGH_GET) or name in BY_READERS_THOUGH_NOT_GET:
            assert allowed == set(Scope), name
            assert answered[None].status_code == 401
        else:
            assert allowed == {Scope.WRITE, Scope.ADMIN}, name
            assert (answered[None].status_code, answered[Scope.READ].status_code) == (401, 403)


def test_a_head_request_needs_what_a_get_needs(client: Client) -> None:
    for path in (
        "/images",
        "/images/x",
        "/metrics",
        "/recipe",
        "/openapi.json",
        "/parameters",
        "/images/x/similar",
    ):
        assert client.head(path).status_code == 401, path
        assert client.head(path, headers=bearer(Scope.READ)).status_code != 401, path


def test_no_path_of_the_page_needs_a_token(client: Client) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/docs").status_code == 200
    assert client.get("/static/studio.js").status_code == 200


def test_a_route_without_a_row_is_for_admins() -> None:
    application = FastAPI()
    application.add_api_route("/secrets", lambda: None, methods=["GET"])
    access = RouteAccess(application.routes).of({"type": "http", "method": "GET", "path": "/secrets"})
    assert access.scope is Scope.ADMIN


def test_every_route_has_a_row_and_every_row_a_route(machine: Machine) -> None:
    """A new route needs a row in the table of api/access.py."""
    pages = {("GET", "/"), ("GET", "/docs"), ("GET", "/static")}
    hidden = {*pages, ("OPTIONS", "/renditions/{key}"), ("GET", "/openapi.json"), ("GET", "/metrics")}
    elsewhere = {("GET", "/{key}")}  # with dialects
    rows = {(method, path) for method, path, _ in ACCESS}
    described = {("GET" if method == "HEAD" else method, path) for method, path in operations(machine.app())}
    assert rows - hidden - elsewhere == described


@pytest.mark.parametrize("path", ["/images", "/metrics", "/nothing"])
def test_a_dialects_catch_all_opens_no_other_route(machine: Machine, path: str) -> None:
    machine.settings = replace(machine.settings, dialects=("imgproxy",))
    with asyncio.Runner() as runner:
        status = Client(machine.app(), runner).get(path).status_code
    assert status in ({400, 403, 404} if path == "/nothing" else {401})


def test_a_stranger_learns_why_and_nothing_else(client: Client) -> None:
    client.put("/uploads/a", content=b"a", headers=bearer(Scope.WRITE))
    response = client.get("/images")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="image-processor"'
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "unauthorized"
    assert response.headers["cache-control"] == "no-store"
    known, unknown = (client.get(f"/images/{id_}") for id_ in (image_id(BUCKET, "a"), "x"))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


def test_a_token_of_too_small_a_scope_is_told_which_one_it_needs(machine: Machine, client: Client) -> None:
    response = client.put("/uploads/a", content=b"a", headers=bearer(Scope.READ))
    assert (response.status_code, response.json()["code"]) == (403, "insufficient-scope")
    assert 'error="insufficient_scope", scope="write"' in response.headers["www-authenticate"]
    assert machine.ingest.uploads.bodies() == {}


def test_a_health_check_needs_no_token_and_sees_the_status_alone(machine: Machine, client: Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert "uploads" in client.get("/health", headers=bearer(Scope.READ)).json()
    machine.data_trouble = "the catalog is damaged"
    response = client.get("/health")
    assert (response.status_code, response.json()) == (503, {"status": "degraded"})


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Bearer imgp_wrong", "Basic dTpw", "Token x", "bearer\tx"]
    + [pytest.param(f"Bearer {token}", id=f"the line of {token.scope}") for token in TOKENS],
)
def test_other_credentials_open_nothing(client: Client, value: str) -> None:
    assert client.get("/images", headers={"authorization": value}).status_code == 401


def test_the_scheme_is_case_insensitive_and_others_do_not_disturb(client: Client) -> None:
    text = TEXTS[Scope.READ]
    assert client.get("/images", headers={"authorization": f"bearer  {text}"}).status_code == 200
    # A proxy with a password of its own passes its header on. The page's cookie counts then.
    cookie = sign_in(client, Scope.READ).headers["set-cookie"].partition(";")[0]
    assert client.get("/images", headers={"authorization": "Basic dTpw", "cookie": cookie}).status_code == 200


def test_two_authorization_headers_are_refused(client: Client) -> None:
    headers = [("authorization", f"Bearer {TEXTS[Scope.READ]}"), ("authorization", "Bearer x")]
    assert client.get("/images", headers=headers).status_code == 400


def test_renditions_and_their_hits_are_public(machine: Machine, live: httpx.Client) -> None:
    live.put("/uploads/a", content=b"a", headers=bearer(Scope.WRITE)).raise_for_status()
    machine.workers.wait_until_idle()
    image = live.get(f"/images/{image_id(BUCKET, 'a')}", headers=bearer(Scope.READ)).json()
    url = image["renditions"][0]["url"]
    for _ in range(3):  # the first is decided by the routes, the next one is a hit
        assert live.get(url).status_code == 200
    assert live.get(url, headers={"authorization": "Bearer imgp_wrong"}).status_code == 200
    assert live.get("/images").status_code == 401


SMUGGLED = (
    b"GET /images HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET //images HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /static/../images HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /renditions/../images HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%69mages HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost/images HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /images HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: /health\r\nX-Rewrite-URL: /\r\n\r\n",
    b"GET /images HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: OPTIONS\r\n\r\n",
    b"GET /images HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1\r\nX-Remote-User: a\r\n\r\n",
    b"GET /images HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HEAD /images HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /images HTTP/1.0\r\nHost: localhost\r\n\r\n",
)


@pytest.mark.parametrize("head", SMUGGLED)
def test_no_way_of_writing_a_request_passes_the_guard(address: tuple[str, int], head: bytes) -> None:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head)
        status = connection.recv(4096).split(b" ", 2)[1]
    assert status in {b"400", b"401", b"404"}, status


# Sessions -------------------------------------------------------------------------------------------


def sign_in(client: Any, scope: Scope, **headers: str) -> httpx.Response:
    """The response; the client has no cookie then, so that each test says what it sends."""
    response: httpx.Response = client.post(
        "/session", json={"token": TEXTS[scope]}, headers={**ORIGIN, **headers}
    )
    assert response.status_code == 200, response.text
    getattr(client, "_client", client).cookies.clear()
    return response


def session_of(response: httpx.Response) -> dict[str, str]:
    return {"cookie": response.headers["set-cookie"].partition(";")[0]}


def test_a_token_is_exchanged_for_a_cookie(client: Client) -> None:
    assert client.get("/session").json() == {
        "required": True,
        "scope": None,
        "name": None,
        "expires_at": None,
    }
    response = sign_in(client, Scope.WRITE)
    value, *attributes = response.headers["set-cookie"].split("; ")
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}", value)
    assert {item.lower() for item in attributes} == {"httponly", "samesite=strict", "max-age=43200"}
    assert TEXTS[Scope.WRITE] not in response.text + str(response.headers)
    told = client.get("/session", headers=session_of(response)).json()
    assert (told["scope"], told["name"]) == ("write", "write")
    assert told["expires_at"] == response.json()["expires_at"]
    upload = client.put("/uploads/a", content=b"a", headers={**ORIGIN, **session_of(response)})
    assert upload.status_code == 201


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({"origin": "https://localhost:8000"}, 1),
        ({"origin": "http://localhost:8000"}, 0),
        ({"origin": "http://localhost:8000", "x-forwarded-proto": "https"}, 0),
    ],
)
def test_the_cookie_is_secure_where_the_page_was_loaded_through_tls(
    client: Client, headers: dict[str, str], count: int
) -> None:
    response = sign_in(client, Scope.READ, **headers)
    assert response.headers["set-cookie"].lower().split("; ").count("secure") == count


def test_each_sign_in_has_another_cookie_and_ends_the_session_before(client: Client) -> None:
    first = sign_in(client, Scope.READ)
    second = sign_in(client, Scope.READ, **session_of(first))
    assert first.headers["set-cookie"] != second.headers["set-cookie"]
    assert client.get("/images", headers=session_of(first)).status_code == 401
    assert client.get("/images", headers=session_of(second)).status_code == 200


def test_signing_out_ends_the_session_on_the_server(client: Client) -> None:
    cookie = session_of(sign_in(client, Scope.READ))
    response = client.delete("/session", headers={**ORIGIN, **cookie})
    assert response.status_code == 204
    assert "max-age=0" in response.headers["set-cookie"].lower()
    assert client.get("/images", headers=cookie).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a browser always says which page sends such a request
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9000"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost:8000", "sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_use_the_cookie_to_write(
    machine: Machine, client: Client, headers: dict[str, str]
) -> None:
    cookie = session_of(sign_in(client, Scope.ADMIN))
    sent = {"host": "localhost:8000", **headers, **cookie}
    response = client.put("/uploads/a", content=b"a", headers=sent)
    assert response.status_code in {401, 403}
    assert machine.ingest.uploads.bodies() == {}


@pytest.mark.parametrize(("site", "status"), [("same-site", 401), ("cross-site", 401), ("same-origin", 200)])
def test_a_page_of_another_port_cannot_use_the_cookie_to_read(client: Client, site: str, status: int) -> None:
    cookie = session_of(sign_in(client, Scope.READ))
    assert client.get("/images", headers={**cookie, "sec-fetch-site": site}).status_code == status


def test_another_site_cannot_sign_somebody_in(client: Client) -> None:
    body = {"token": TEXTS[Scope.READ]}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "same-site"}):
        response = client.post("/session", json=body, headers={**ORIGIN, **headers})
        assert response.status_code == 403
        assert "set-cookie" not in response.headers
    form = client.post(
        "/session", content=f"token={TEXTS[Scope.READ]}", headers={"content-type": "text/plain"}
    )
    assert form.status_code == 415


def test_a_planted_cookie_does_not_hide_the_right_one(client: Client) -> None:
    right = session_of(sign_in(client, Scope.READ))["cookie"]
    for planted in (f"{COOKIE}=planted; {right}", f"{right}; {COOKIE}=planted", f"a=b; {right}"):
        assert client.get("/images", headers={"cookie": planted}).status_code == 200
    flood = "; ".join([f"{COOKIE}=planted"] * 50)
    assert client.get("/images", headers={"cookie": flood}).status_code == 401


def test_wrong_tokens_are_refused_for_a_while_after_too_many(client: Client) -> None:
    def login(text: str) -> httpx.Response:
        return client.post("/session", json={"token": text}, headers=ORIGIN)

    statuses = [login(f"imgp_{n:043}").status_code for n in range(MAX_FAILURES + 1)]
    assert statuses == [401] * MAX_FAILURES + [429]
    refused = login(f"imgp_{0:043}")
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
    assert 0 < int(refused.headers["retry-after"]) <= FAILURE_SECONDS + 1
    # The count is of the login and of programs together; a right token is good for both.
    wrong = client.get("/health", headers={"authorization": "Bearer imgp_wrong"})
    assert wrong.status_code == 429
    assert client.get("/images", headers=bearer(Scope.READ)).status_code == 200
    assert login(TEXTS[Scope.READ]).status_code == 200


def test_a_client_cannot_spend_the_tries_of_another_through_a_proxy() -> None:
    """Proxies such as HAProxy add a line of their own instead of extending the client's."""
    lines = [(b"x-forwarded-for", b"192.0.2.1, 192.0.2.2"), (b"x-forwarded-for", b"198.51.100.7")]
    assert client_address({"type": "http", "client": ("127.0.0.1", 1), "headers": lines}) == "198.51.100.7"
    assert client_address({"type": "http", "client": ("8.8.8.8", 1), "headers": lines}) == "8.8.8.8"


def test_wrong_tokens_are_counted_by_address_and_forgotten() -> None:
    now = 0.0
    wrong = WrongTokens(lambda: now)
    told = [wrong.note("192.0.2.1") for _ in range(MAX_FAILURES)]
    assert told == [False] * (MAX_FAILURES - 1) + [True]
    assert wrong.seconds_left("192.0.2.1") == FAILURE_SECONDS
    assert wrong.seconds_left("::ffff:192.0.2.1") == 0
    assert wrong.seconds_left("192.0.2.2") == 0
    for n in range(MAX_FAILURES):
        wrong.note(f"2001:db8::{n}")
    assert wrong.seconds_left("2001:db8::ffff") > 0  # one client has the whole /64
    assert wrong.seconds_left("2001:db8:0:1::") == 0
    now = FAILURE_SECONDS
    assert wrong.seconds_left("192.0.2.1") == 0
    assert wrong.note("192.0.2.1") is False


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    now, tokens = 0.0, list(TOKENS)
    sessions = Sessions(lambda: tokens, lambda: now)
    cookie, session = sessions.open(TOKENS[0])
    other, _ = sessions.open(TOKENS[1])
    assert sessions.find(["x", cookie]) == session
    tokens.remove(TOKENS[0])
    assert sessions.find([cookie]) is None
    assert sessions.find([other]) is not None
    now = 12 * 3600
    assert sessions.find([other]) is None


def test_the_stream_of_events_ends_with_its_session(live: httpx.Client) -> None:
    assert live.get("/events").status_code == 401
    host = f"{live.base_url.host}:{live.base_url.port}"
    page = {"host": host, "origin": f"http://{host}"}
    cookie = session_of(sign_in(live, Scope.WRITE, **page))
    with live.stream("GET", "/events", headers=cookie) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert "event: ready" in [next(lines) for _ in range(4)]
        assert live.delete("/session", headers={**page, **cookie}).status_code == 204
        live.put("/uploads/secret", content=b"a", headers=bearer(Scope.WRITE)).raise_for_status()
        assert "secret" not in "".join(lines)


@pytest.mark.parametrize("left", [TOKENS[1:], (TOKENS[1], replace(TOKENS[0], scope=Scope.ADMIN))])
def test_the_stream_of_events_ends_with_its_token(
    machine: Machine, live: httpx.Client, left: tuple[Token, ...]
) -> None:
    """Removed, or of another scope: what the token may do has to be asked again."""
    known = [TOKENS]
    state = machine.application.state
    state.authenticator = replace(state.authenticator, tokens=lambda: known[0])
    with live.stream("GET", "/events", headers=bearer(Scope.READ)) as stream:
        lines = stream.iter_lines()
        assert "event: ready" in [next(lines) for _ in range(4)]
        known[0] = left
        live.put("/uploads/secret", content=b"a", headers=bearer(Scope.WRITE)).raise_for_status()
        assert not any("secret" in line for line in lines)


def test_strangers_do_not_close_the_event_streams_of_others(machine: Machine, live: httpx.Client) -> None:
    with live.stream("GET", "/events", headers=bearer(Scope.READ)) as stream:
        lines = stream.iter_lines()
        next(lines)
        for _ in range(machine.settings.event_streams_per_client + 1):
            assert live.get("/events").status_code == 401
        live.put("/uploads/a", content=b"a", headers=bearer(Scope.WRITE)).raise_for_status()
        assert any("queued" in line for line in lines)


SLOW = {
    "POST /session": "application/json",
    "POST /uploads": "multipart/form-data; boundary=x",
}


@pytest.fixture
def begin(address: tuple[str, int]) -> Iterator[Callable[[str], socket.socket]]:
    """Sends the first byte of a body, as anybody may."""
    with ExitStack() as stack:

        def send(line: str) -> socket.socket:
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {SLOW[line]}\r\nContent-Length: 99"
            connection.sendall(f"{head}\r\n\r\n-".encode())
            return connection

        yield send


@pytest.mark.parametrize("line", SLOW)
def test_requests_that_wait_for_bodies_of_strangers_make_room(
    live: httpx.Client, begin: Any, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(connections, "MAX_REQUESTS", 4)
    slow = [begin(line) for _ in range(8)]
    assert [is_closed(connection) for connection in slow[:4]] == [True] * 4
    assert live.get("/images", headers=bearer(Scope.READ)).status_code == 200


@pytest.mark.parametrize("line", SLOW)
def test_connections_that_wait_for_bodies_of_strangers_make_room(
    address: tuple[str, int], begin: Any, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    slow = [begin(line) for _ in range(4)]
    url = f"http://{address[0]}:{address[1]}/images"
    headers = {**bearer(Scope.READ), "connection": "close"}
    assert httpx.get(url, headers=headers).status_code == 200  # so the others have arrived
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    assert httpx.get(url, headers=headers).status_code == 200
    assert is_closed(slow[0])


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of the connection; whether it ends without a response."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# Without tokens -------------------------------------------------------------------------------------


def test_without_tokens_everybody_may_do_everything(machine: Machine) -> None:
    machine.settings = replace(machine.settings, tokens=())
    with asyncio.Runner() as runner:
        open_client = Client(machine.app(), runner)
        assert open_client.get("/images").status_code == 200
        told = open_client.get("/session").json()
        assert (told["required"], told["scope"]) == (False, "admin")
        operation = open_client.get("/openapi.json").json()["paths"]["/images"]["get"]
        assert {} in operation["security"]
        # A client that has a token for other servers is not turned away.
        assert open_client.get("/images", headers=bearer(Scope.READ)).status_code == 200


# The description --------------------------------------------------------------------------------------


def test_the_description_says_what_each_route_needs(client: Client) -> None:
    schema = client.get("/openapi.json", headers=bearer(Scope.READ)).json()
    schemes = schema["components"]["securitySchemes"]
    assert (schemes["token"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
    assert schemes["session"]["name"] == COOKIE
    paths = schema["paths"]
    assert paths["/images/{id}"]["delete"]["security"] == [{"token": ["write"]}, {"session": ["write"]}]
    assert paths["/images/{id}"]["get"]["security"] == [{"token": ["read"]}, {"session": ["read"]}]
    assert paths["/renditions/{key}"]["get"]["security"] == []
    assert {} in paths["/health"]["get"]["security"]
    assert {"401", "403", "429"} <= set(paths["/images"]["get"]["responses"])
