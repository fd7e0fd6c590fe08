"""AWS entry points: one line of JSON per outcome, and metrics as a line of JSON too.

CloudWatch reads metrics from the log (embedded metric format), so there is no call to make and
no tracer to load.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping

NAMESPACE = "ImageProcessor"

_UNITS = {"DurationMs": "Milliseconds", "RenditionBytes": "Bytes"}


def line(level: str, message: str, **facts: object) -> None:
    """Write one log line. Values are shown as JSON, other objects as their text."""
    record = {"level": level, "message": message, **facts}
    sys.stdout.write(json.dumps(record, default=str, ensure_ascii=False) + "\n")


def metrics(function: str, values: Mapping[str, float]) -> None:
    """Write metrics of one invocation, with the function's name as their one dimension: Lambda's
    own name for it, which tells two stacks apart, and ``function`` outside Lambda.

    Format: "Specification: Embedded metric format" of the CloudWatch user guide.
    """
    definitions = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": definitions}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", function)
    sys.stdout.write(json.dumps({"_aws": about, "Function": name, **values}) + "\n")
