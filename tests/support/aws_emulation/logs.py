"""What functions print, to CloudWatch Logs under the function's own role and into its own group.

LocalStack ignores LoggingConfig.LogGroup and wants to create the group whether or not it is there,
which no role of this project may.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from localstack.aws.connect import connect_to
from localstack.services.lambda_.invocation import logs
from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment


def install() -> None:
    ExecutionEnvironment.get_log_group_name = _log_group
    logs.LogHandler.run_log_loop = _deliver


def _log_group(environment: ExecutionEnvironment) -> str:
    settings = environment.function_version.config.logging_config
    return settings.get("LogGroup") or f"/aws/lambda/{environment.function_version.id.function_name}"


def _deliver(handler: logs.LogHandler, *_: Any) -> None:
    client = connect_to.with_assumed_role(
        region_name=handler.region, role_arn=handler.role_arn, service_principal="lambda"
    ).logs
    while (item := handler.log_queue.get()) is not logs.QUEUE_SHUTDOWN:
        stream = {"logGroupName": item.log_group, "logStreamName": item.log_stream}
        now = int(time.time() * 1000)
        lines = [{"timestamp": now, "message": line} for line in item.logs.splitlines() if line]
        try:
            _create_stream(client, stream)
            client.put_log_events(**stream, logEvents=lines)
        except client.exceptions.ClientError as error:
            # The role may not, or there is no such group: on AWS too, the lines are simply lost.
            logs.LOG.warning("lines of %s are lost: %s", item.log_group, error)


def _create_stream(client: Any, stream: dict[str, str]) -> None:
    with suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_stream(**stream)
