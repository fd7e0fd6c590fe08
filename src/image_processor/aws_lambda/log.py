"""Logs of the Lambda functions: one line of JSON per outcome, and metrics as a line of JSON too.

CloudWatch reads the metrics from the log (embedded metric format), so no API is called and no SDK is loaded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping

NAMESPACE = "ImageProcessor"

_UNITS = {"DurationMs": "Milliseconds", "RenditionBytes": "Bytes"}


def line(level: str, message: str, **fields: object) -> None:
    """Write one log line. Values that JSON cannot hold are written as their text."""
    record = {"level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(record, default=str, ensure_ascii=False) + "\n")


def metrics(function: str, values: Mapping[str, float]) -> None:
    """Write the metrics of one invocation.

    Their one dimension is Lambda's name of the function, which tells two stacks apart, or ``function``
    outside Lambda. Format: "Specification: Embedded metric format" of the CloudWatch user guide.
    """
    definitions = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": definitions}
    metadata = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", function)
    sys.stdout.write(json.dumps({"_aws": metadata, "Function": name, **values}) + "\n")
