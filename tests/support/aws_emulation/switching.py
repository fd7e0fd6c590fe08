"""How often LocalStack's threads take turns: a test of races sets a short interval.

A short one all the time takes a fifth more CPU: 39.0 s instead of 30.4 s for tests/aws/test_stack_updates.py.
"""

from __future__ import annotations

import sys

from localstack.http import Request, Response
from localstack.services.edge import ROUTER

PATH = "/_tests/switch-interval"


def install() -> None:
    ROUTER.add(PATH, _set, methods=["PUT"])


def _set(request: Request, **_: str) -> Response:
    """The body is the interval in seconds. Returns the one before."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(float(request.get_data()))
    return Response(str(before))
