"""Functions in LocalStack without Docker: each environment is a process with AWS's own runtime
client, started and fed by runtime_api.py."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import DockerRuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from .runtime_api import Runner, python_function

# What LocalStack adds to an environment for its own runner, unknown on AWS.
OURS_ALONE = ("LOCALSTACK_", "EDGE_PORT")


class ProcessExecutor(RuntimeExecutor):  # type: ignore[misc]  # LocalStack is not in the venv that mypy sees
    """One environment of one function."""

    python: str
    runtime: Path
    _runner: Runner

    def start(self, env_vars: dict[str, Any]) -> None:
        function, settings = self.function_version, self.function_version.config
        own = {name: str(value) for name, value in env_vars.items() if value is not None}
        folder = Path(settings.code.get_unzipped_code_location())
        described = python_function(
            settings.handler,
            folder,
            python=(self.python,),
            runtime=self.runtime,
            environment={name: value for name, value in own.items() if not name.startswith(OURS_ALONE)}
            | {"LAMBDA_TASK_ROOT": str(folder), "AWS_EXECUTION_ENV": f"AWS_Lambda_{settings.runtime}"},
            timeout=settings.timeout,
            name=function.id.function_name,
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # stop() closes it
        self._runner = Runner(replace(described, arn=function.qualified_arn), self._log)
        self._runner.start()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        before = os.fstat(self._log.fileno()).st_size
        answer = self._runner.invoke_raw(payload["payload"].encode(), payload["invoke-id"])
        written = os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size - before, before)
        return InvocationResult(
            request_id=payload["invoke-id"],
            payload=answer.body,
            is_error=answer.failed,
            logs=written.decode(errors="replace"),
            executed_version=self.function_version.id.qualifier,
        )

    def stop(self) -> None:
        self._runner.close()
        self._log.close()

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"

    def get_logs(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Leave the code: other versions of the function may run it. Its folder ends with LocalStack."""


def install(python: str, runtime: Path) -> None:
    """Put the executor in the place of the one for Docker, LocalStack's only one."""
    ProcessExecutor.python, ProcessExecutor.runtime = python, runtime
    DockerRuntimeExecutorPlugin.load = lambda *_: ProcessExecutor
