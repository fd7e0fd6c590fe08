"""Logs of the Lambda functions: one line of JSON per outcome, and metrics as a line of JSON too.

CloudWatch reads the metrics from the log (embedded metric format), so no API is called and no SDK is loaded.
Lines carry what Lambda's log-level filtering reads ("Log-level filtering" in Lambda's guide): `level`, and
`timestamp` in RFC 3339; without a valid one of these it takes a line for INFO.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping

NAMESPACE = "ImageProcessor"

_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
"""Lambda's names of levels where Python has others."""

_request: dict[str, str] = {}

_UNITS = {"DurationMs": "Milliseconds", "RenditionBytes": "Bytes"}


def start_request(invocation: object) -> None:
    """Name the invocation in the lines that follow. An environment runs one at a time."""
    _request["requestId"] = getattr(invocation, "aws_request_id", "")


def line(level: str, message: str, **fields: object) -> None:
    """Write one log line. Values that JSON cannot hold are written as their text."""
    now = time.time()
    record = {
        "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z",
        "level": _LEVELS.get(level, level),
        **_request,
        "message": message,
        **fields,
    }
    sys.stdout.write(json.dumps(record, default=str, ensure_ascii=False) + "\n")


def metrics(function: str, values: Mapping[str, float]) -> None:
    """Write the metrics of one invocation.

    Their one dimension is Lambda's name of the function, which distinguishes two stacks, or ``function``
    outside Lambda. Format: "Specification: Embedded metric format" of the CloudWatch user guide.
    """
    definitions = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": definitions}
    metadata = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", function)
    sys.stdout.write(json.dumps({"_aws": metadata, "Function": name, **values}) + "\n")
