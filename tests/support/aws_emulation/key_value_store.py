"""CloudFront's KeyValueStore, which LocalStack has not: its three operations that the project calls.

Pure but for the stores, which live as long as the process. AWS asks for Signature Version 4A; here only its
name in the header is checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

PREFIX = "/key-value-stores/"
ALGORITHM = "AWS4-ECDSA-P256-SHA256"
OPERATIONS = {
    ("GET", ""): "DescribeKeyValueStore",
    ("GET", "keys"): "ListKeys",
    ("POST", "keys"): "UpdateKeys",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived. ``path`` is as it was sent, escaped; names of ``headers`` are lower-case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Store:
    """The entries of one store, and the number of changes so far."""

    entries: dict[str, str] = field(default_factory=dict)
    version: int = 1

    @property
    def etag(self) -> str:
        return f"E{self.version}"


class KeyValueStores:
    """All stores, by ARN. ``allowed`` decides whether an access key may do an action on a store."""

    def __init__(self, allowed: Callable[[str, str, str], bool]) -> None:
        self._allowed = allowed
        self._stores: dict[str, Store] = {}

    def answer(self, request: Request) -> Response:
        arn, _, rest = request.path.removeprefix(PREFIX).partition("/")
        arn, operation = unquote(arn), OPERATIONS.get((request.method, rest))
        algorithm, _, credential = request.headers.get("authorization", "").partition(" Credential=")
        if operation is None:
            return _error(404, "UnknownOperationException")
        if algorithm != ALGORITHM or request.headers.get("x-amz-region-set") != "*":
            return _error(403, "InvalidSignatureException")
        action = f"cloudfront-keyvaluestore:{operation}"
        if not self._allowed(credential.partition("/")[0], action, arn):
            return _error(403, "AccessDeniedException")
        store = self._stores.setdefault(arn, Store())
        if operation == "UpdateKeys":
            return _update(store, request)
        if operation == "ListKeys":
            return _list(store, request.query)
        return Response(200, {"KvsARN": arn, "ItemCount": len(store.entries)}, {"etag": store.etag})


def _list(store: Store, query: Mapping[str, str]) -> Response:
    start, size = int(query.get("NextToken", "0")), int(query.get("MaxResults", "10"))
    if size > 50:
        return _error(400, "ValidationException")
    items = [{"Key": key, "Value": value} for key, value in sorted(store.entries.items())]
    body: dict[str, Any] = {"Items": items[start : start + size]}
    if start + size < len(items):
        body["NextToken"] = str(start + size)
    return Response(200, body)


def _update(store: Store, request: Request) -> Response:
    given = json.loads(request.body)
    puts, deletes = given.get("Puts", []), given.get("Deletes", [])
    if request.headers.get("if-match") != store.etag:
        return _error(409, "ConflictException")
    if not 1 <= len(puts) + len(deletes) <= 50:
        return _error(400, "ValidationException")
    if missing := [each["Key"] for each in deletes if each["Key"] not in store.entries]:
        return _error(404, f"ResourceNotFoundException: {missing}")
    store.entries |= {put["Key"]: put["Value"] for put in puts}
    for each in deletes:
        del store.entries[each["Key"]]
    store.version += 1
    return Response(200, {"ItemCount": len(store.entries)}, {"etag": store.etag})


def _error(status: int, kind: str) -> Response:
    return Response(status, {"message": kind}, {"x-amzn-errortype": kind})
