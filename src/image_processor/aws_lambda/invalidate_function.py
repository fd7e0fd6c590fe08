"""The Lambda function `invalidate`: a batch of the invalidation queue in, one CloudFront invalidation out.

CloudFront runs few wildcard invalidations at a time, so the paths of a batch are coalesced. What it does not
accept stays in the queue, which delivers it again after its visibility timeout, together with newer changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from image_processor.aws.invalidation import coalesce, invalidation_paths
from image_processor.bootstrap.aws import build_invalidate
from image_processor.config.settings import from_environment
from image_processor.domain.errors import Unavailable
from image_processor.domain.hashing import sha256_hex
from image_processor.ingest.invalidation import invalidation_prefix

from . import log

MAX_PATHS = 7
"""The most paths of one invalidation. Two invocations run at a time, and CloudFront takes 15 paths with a
wildcard ("Concurrent invalidation request maximum")."""

Invalidate = Callable[[Sequence[str], str], None]
"""Called with paths and a reference, the same for a batch that is delivered again. Raises Unavailable."""


def open_invalidate() -> Callable[[Any, Any], dict[str, Any]]:
    """The handler. Raises InvalidSettings."""
    invalidate = build_invalidate(from_environment(os.environ))
    return lambda event, _: handle(event, invalidate)


def handle(event: dict[str, Any], invalidate: Invalidate) -> dict[str, Any]:
    """Invalidate all images that the messages of ``event`` name. Returns partial batch failures: all
    messages if CloudFront accepts no more now, else none."""
    changes = {record["messageId"]: _change(record) for record in event["Records"]}
    wanted = sorted({change for change in changes.values() if change is not None})
    if not wanted:
        return {"batchItemFailures": []}
    paths = coalesce(
        (path for _, key in wanted for path in invalidation_paths(invalidation_prefix(key))), MAX_PATHS
    )
    try:
        invalidate(paths, sha256_hex(repr(wanted).encode())[:32])
    except Unavailable as error:
        log.line("WARNING", error.code, error=str(error), images=len(wanted), retry=True)
        failed = [id_ for id_, change in changes.items() if change is not None]
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
    log.line("INFO", "invalidated", images=len(wanted), paths=paths)
    log.metrics("invalidate", {"Images": len(wanted), "Paths": len(paths)})
    return {"batchItemFailures": []}


def _change(record: dict[str, Any]) -> tuple[str, str] | None:
    """The id and the key of a message; None, with a line in the log, if it is not one of ours."""
    try:
        body = json.loads(record["body"])
        return str(body["id"]), str(body["key"])
    except (ValueError, TypeError, KeyError, RecursionError):
        log.line(
            "WARNING", "ignored", reason="expected a JSON object with id and key", id=record["messageId"]
        )
        return None
