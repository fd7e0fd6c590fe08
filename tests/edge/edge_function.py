"""CloudFront functions: run in node with the documented globals alone, or in njs, and their results
read as CloudFront reads them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
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
    """The function failed, or answered what CloudFront does not take: the viewer gets a 5xx."""


class Host(Protocol):
    """Something that runs JavaScript."""

    def run(self, code: str, event: dict[str, Any]) -> Any:
        """What ``handler(event)`` returns, by way of JSON. Raises FunctionFault."""
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

    def run(self, code: str, event: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"code": code, "event": event}) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        if "error" in reply:
            raise FunctionFault(reply["error"])
        return reply.get("result")


class Njs:
    """Debian's njs, in its sandbox: the engine whose language cloudfront-js speaks."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, code: str, event: dict[str, Any]) -> Any:
        script = f"{code}\nconsole.log(JSON.stringify(handler({json.dumps(event)})));"
        done = subprocess.run(
            [self._program, "-q", "-s", "-"], input=script, capture_output=True, text=True, check=False
        )
        if done.returncode or not done.stdout:
            raise FunctionFault(done.stderr or done.stdout)
        return json.loads(done.stdout)


HOSTS = {"node": Node, "njs": Njs}


def found(name: str) -> str | None:
    """Where the program of a host is."""
    return shutil.which(name)


def viewer_request(host: Host, code: str, request: Request) -> Request | Answer:
    """What becomes of a viewer's request: another one, or an answer at once. Raises FunctionFault."""
    result = host.run(code, _event(request))
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
    return "&".join(f"{name}={field['value']}" for name, field in result.get("querystring", {}).items())
