"""CloudFront functions: run in node with the documented globals alone, or in njs, and their results
read as CloudFront reads them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from edge_messages import Answer, Request

MAX_BYTES = 10_240
""""Quotas on CloudFront Functions": a function's size."""

# "Restrictions on CloudFront Functions" and "Restrictions on edge functions": neither may be changed.
_READ_ONLY = ("content-length", "host", "transfer-encoding", "via")
_FORBIDDEN = ("connection", "expect", "keep-alive", "trailer", "upgrade", "x-amz-cf-", "x-edge-", "x-cache")


class FunctionFault(Exception):
    """The function failed, or returned an invalid result: the viewer gets a 5xx."""


Store = Mapping[str, str]
"""The KeyValueStore: values by key."""


@dataclass(frozen=True, slots=True)
class World:
    """What a function can access besides its event: the raw query (None without a question mark), the
    store (None if none is associated), and the time in Unix seconds (None is now)."""

    raw: str | None = None
    store: Store | None = None
    now: float | None = None


class Host(Protocol):
    """A JavaScript engine."""

    def run(self, code: str, event: dict[str, Any], world: World = World()) -> Any:
        """The result of ``handler(event)``, through JSON. Raises FunctionFault."""
        ...

    def each(self, code: str, call: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
        """The results of a function of the code for each list of arguments."""
        ...


class Node:
    """A node process that lives as long as the `with` block."""

    def __init__(self, program: str) -> None:
        script = Path(__file__).with_name("node_host.mjs")
        self._process = subprocess.Popen(
            [program, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> Node:
        self._process.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(None, None, None)  # closes its input, at which it ends

    def run(self, code: str, event: dict[str, Any], world: World = World()) -> Any:
        store = None if world.store is None else dict(world.store)
        return self._ask({"code": code, "event": event, "raw": world.raw, "store": store, "now": world.now})

    def each(self, code: str, call: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
        found: list[Any] = self._ask({"code": code, "call": call, "arguments": arguments, "store": {}})
        return found

    def _ask(self, asked: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        if "error" in reply:
            raise FunctionFault(reply["error"])
        return reply.get("result")


class Njs:
    """Debian's njs, in its sandbox: the engine whose language cloudfront-js speaks. Its own module
    `crypto` is CloudFront's; the one for the store is a stub."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, code: str, event: dict[str, Any], world: World = World()) -> Any:
        raw = "undefined" if world.raw is None else json.dumps(world.raw)
        now = "" if world.now is None else f"Date.now = () => {world.now} * 1000;"
        (result,) = self._ask(
            _with_store(code, world.store),
            f"{now} const event = {json.dumps(event)};"
            f"const query = {{value: () => {raw}}};"
            "if (event.request && event.request.uri)"
            "  Object.defineProperty(event.request, 'rawQueryString', query);"
            "Promise.resolve(handler(event)).then(told => console.log(JSON.stringify(told)));",
        )
        return result

    def each(self, code: str, call: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
        # One line each, because njs truncates long ones.
        print_ = (
            f"{json.dumps(arguments)}.forEach(each => console.log(JSON.stringify({call}.apply(null, each))));"
        )
        return self._ask(_with_store(code, {}), print_)

    def _ask(self, code: str, asked: str) -> list[Any]:
        done = subprocess.run(
            [self._program, "-q", "-s", "-"],
            input=f"{code}\n{asked}",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not done.stdout or done.stdout.startswith("Thrown"):
            raise FunctionFault(done.stderr or done.stdout)
        # njs does not escape control characters in JSON.
        return [json.loads(line, strict=False) for line in done.stdout.rstrip("\n").split("\n")]


def _with_store(code: str, store: Store | None) -> str:
    fallback_for = (
        f"const store = {json.dumps(dict(store or {}))};"
        "const cf = {kvs: () => ({get: key => store[key] === undefined"
        " ? Promise.reject(new Error('KeyNotFound')) : Promise.resolve(store[key])})};"
    )
    return re.sub(r"^import cf from ?'cloudfront';?$", lambda _: fallback_for, code, flags=re.MULTILINE)


HOSTS = {"node": Node, "njs": Njs}


def found(name: str) -> str | None:
    """The path of an engine's program."""
    return shutil.which(name)


@dataclass(frozen=True, slots=True)
class Attached:
    """A function, as associated with a behaviour of a distribution."""

    host: Host
    code: str
    store: Store | None = None

    def __call__(self, request: Request, now: float) -> Request | Answer:
        return viewer_request(self.host, self.code, request, self.store, now)


def viewer_request(
    host: Host, code: str, request: Request, store: Store | None = None, now: float | None = None
) -> Request | Answer:
    """The result of viewer request: a changed request, or a response. Raises FunctionFault."""
    result = host.run(code, _event(request), World(request.query or None, store, now))
    if not isinstance(result, dict):
        raise FunctionFault(f"expected a request or a response, got {result!r}")
    headers = _headers(result)
    if "statusCode" in result:
        return Answer(result["statusCode"], headers, result.get("body", "").encode())
    kept = {name: headers.get(name) for name in _READ_ONLY}
    if result["method"] != request.method or kept != {name: request.headers.get(name) for name in _READ_ONLY}:
        raise FunctionFault("expected method and read-only headers as they were")
    if not result["uri"].startswith("/") or "?" in result["uri"]:
        raise FunctionFault(f"expected a path for uri, got {result['uri']!r}")
    return Request(request.method, result["uri"], _query(result), headers, request.secure)


def _event(request: Request) -> dict[str, Any]:
    """ "CloudFront Functions event structure"."""
    return {
        "version": "1.0",
        "context": {
            "distributionDomainName": "d111111abcdef8.cloudfront.net",
            "distributionId": "EDFDVBD6EXAMPLE",
            "eventType": "viewer-request",
            "requestId": "EXAMPLEntjQpEXAMPLE_SG5Z",
        },
        "viewer": {"ip": "198.51.100.11"},
        "request": {
            "method": request.method,
            "uri": request.uri,
            "querystring": {name: {"value": value} for name, value in parse_qsl(request.query, True)},
            "headers": {name: {"value": value} for name, value in request.headers.items()},
            "cookies": {},
        },
    }


def _headers(message: dict[str, Any]) -> dict[str, str]:
    headers = {name: field["value"] for name, field in message.get("headers", {}).items()}
    for name, value in headers.items():
        if name != name.lower() or not isinstance(value, str) or name.startswith(_FORBIDDEN):
            raise FunctionFault(f"expected an allowed header with a text, got {name}: {value!r}")
    return headers


def _query(result: dict[str, Any]) -> str:
    """A query as text, as in the guide's examples, or as in the event."""
    query = result.get("querystring", {})
    if isinstance(query, str):
        return query
    return "&".join(f"{name}={field['value']}" for name, field in query.items())
