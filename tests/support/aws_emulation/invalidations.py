"""CloudFront's CreateInvalidation, which LocalStack has not, and what tests ask about invalidations.

Pure but for the invalidations, which live as long as the process. Each runs until a test completes all of its
distribution; AWS takes minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

NAMESPACE = "{http://cloudfront.amazonaws.com/doc/2020-05-31/}"
ALGORITHM = "AWS4-HMAC-SHA256"
MOST_WILDCARDS = 15
"""Paths with a wildcard that run at a time ("Concurrent invalidation request maximum")."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: str = ""


@dataclass(slots=True)
class _Invalidations:
    """Of one distribution: paths by caller reference, and the references of those that run."""

    paths: dict[str, list[str]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)


class Invalidations:
    """All invalidations, by distribution. ``allowed`` decides whether an access key may do an action on a
    resource."""

    def __init__(self, allowed: Callable[[str, str, str], bool], account: str) -> None:
        self._allowed, self._account = allowed, account
        self._distributions: dict[str, _Invalidations] = {}

    def answer(self, method: str, distribution: str, authorization: str, body: bytes) -> Response:
        """POST is AWS's. Ours: GET tells the paths of all invalidations, DELETE completes them."""
        found = self._distributions.setdefault(distribution, _Invalidations())
        if method == "GET":
            return Response(200, json.dumps(list(found.paths.values())))
        if method == "DELETE":
            found.running.clear()
            return Response(204)
        algorithm, _, credential = authorization.partition(" Credential=")
        arn = f"arn:aws:cloudfront::{self._account}:distribution/{distribution}"
        if algorithm != ALGORITHM:
            return _error(403, "IncompleteSignature")
        if not self._allowed(credential.partition("/")[0], "cloudfront:CreateInvalidation", arn):
            return _error(403, "AccessDenied")
        return _create(found, body)


def _create(found: _Invalidations, body: bytes) -> Response:
    batch = ET.fromstring(body)
    reference = batch.findtext(f"{NAMESPACE}CallerReference", "")
    paths = [path.text or "" for path in batch.iter(f"{NAMESPACE}Path")]
    if not reference or batch.findtext(f"{NAMESPACE}Paths/{NAMESPACE}Quantity") != str(len(paths)):
        return _error(400, "InconsistentQuantities")
    if found.paths.get(reference, paths) != paths:
        return _error(400, "InvalidationBatchAlreadyExists")
    if reference not in found.paths:
        running = [path for each in found.running for path in found.paths[each]]
        if sum(path.endswith("*") for path in (*running, *paths)) > MOST_WILDCARDS:
            return _error(400, "TooManyInvalidationsInProgress")
        found.paths[reference] = paths
        found.running.add(reference)
    return Response(201, f"<Invalidation><Id>{reference}</Id><Status>InProgress</Status></Invalidation>")


def _error(status: int, code: str) -> Response:
    kind = f"<Type>Sender</Type><Code>{code}</Code>"
    return Response(status, f"<ErrorResponse><Error>{kind}</Error></ErrorResponse>")
