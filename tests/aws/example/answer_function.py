"""A custom resource that fails if its property Word is `no`."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen


def handle(event: dict[str, Any], _: object) -> None:
    word = event["ResourceProperties"]["Word"]
    response = {
        "Status": "FAILED" if word == "no" else "SUCCESS",
        "Reason": f"the word is {word}",
        "PhysicalResourceId": f"said-{word}",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The URL is presigned without a content type.
    put = Request(event["ResponseURL"], json.dumps(response).encode(), {"content-type": ""}, method="PUT")
    urlopen(put).close()
