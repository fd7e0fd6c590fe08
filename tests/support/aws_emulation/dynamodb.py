"""DynamoDB in LocalStack by moto, inside the same process.

LocalStack's own needs DynamoDB Local, whose licence wants an AWS account. moto checks a condition
and writes in two steps: without the lock about 3 of 1,200 racing conditional writes were lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.dynamodb import DynamodbApi
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import SERVICE_PLUGINS, Service


class MotoDynamodb(DynamodbApi):  # type: ignore[misc]  # LocalStack is not in the venv that mypy sees
    """Implements nothing itself, so that everything falls through to moto."""


def install() -> None:
    SERVICE_PLUGINS.add_service(Service.for_provider(MotoDynamodb(), _one_at_a_time))


def _one_at_a_time(provider: MotoDynamodb) -> dict[str, Callable[..., Any]]:
    lock = threading.Lock()

    def locked(operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(context: RequestContext, request: Any) -> Any:
            with lock:
                return operation(context, request)

        return run

    return {name: locked(each) for name, each in MotoFallbackDispatcher(provider).items()}
