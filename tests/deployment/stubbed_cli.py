"""A stage for deploy.sh and teardown.sh: a PATH where aws and sam are stubs that note how they were
called and answer from a table.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import deploy
import interpreter
import teardown
from console import ended
from linters import DEPLOYMENT

MAIN = {"deploy.sh": deploy.deploy, "teardown.sh": teardown.teardown}

# What the scripts need of a real machine.
REAL = ("bash", "cat", "dirname", "make", "mkdir", "sh")

CHANGE_SET = "arn:aws:cloudformation:eu-central-1:111122223333:changeSet/samcli-deploy1/a"


class StubbedCli:
    """``answers`` maps a piece of a call to the shell code that answers it; the first that fits.

    There is no stack until `has_stack` is called; an executed change set makes or updates it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deploy_options: tuple[str, ...] = ("--skip-edge-test",)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "calls"
        self.log.touch()
        self.answers: dict[str, str] = {"sam build": ":"}
        self.answer("get-caller-identity", {"Account": "111122223333"})
        limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
        self.answer("get-account-settings", {"AccountLimit": limit})
        self._has_changesets()
        for tool in REAL:
            self.link(tool)
        self.replace("python3", f'exec "{sys.executable}" "$@"')
        self.replace("lambda-python", f"echo {interpreter.VERSION}")

    def _has_changesets(self) -> None:
        """`sam deploy` makes a change set, which can be executed."""
        result, executed = self.folder / "made", self.folder / "executed"
        listed = {"Summaries": [{"ChangeSetId": CHANGE_SET, "ExecutionStatus": "AVAILABLE"}]}
        self.answers["sam deploy"] = f': >"{result}"'
        self.answers["list-change-sets"] = f'[ ! -e "{result}" ] || {self.prints(listed)}'
        self.answers["execute-change-set"] = f': >"{executed}"'
        self.answers["describe-stacks"] = (
            f'if [ -e "{executed}" ]; then cat "{self.folder}/after"; else . "{self.folder}/before"; fi'
        )
        (self.folder / "before").write_text(missing_stack("images"))
        self.after()

    def has_stack(
        self,
        parameters: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """There is a stack already; its outputs are also those after the deployment."""
        described = _described(parameters or {}, outputs or {}, **more)
        (self.folder / "before").write_text(self.prints(described))
        if outputs:
            self.after(**outputs)

    def after(self, **outputs: str) -> None:
        """The outputs of the stack once a change set was executed."""
        (self.folder / "after").write_text(json.dumps(_described({}, outputs)))

    def answer(self, piece: str, value: Any) -> None:
        self.answers[piece] = self.prints(value)

    def fail(self, piece: str, code: str, message: str) -> None:
        self.answers[piece] = failure(code, message)

    def prints(self, value: Any) -> str:
        """Shell code that prints ``value`` as JSON."""
        file = self.folder / f"answer-{len(list(self.folder.iterdir()))}.json"
        file.write_text(json.dumps(value))
        return f'cat "{file}"'

    def link(self, tool: str) -> None:
        (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def run(
        self, script: str, *arguments: str | Path, stdin: str = "", without: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """What the script's Python does in this process, with the tool ``without`` taken away."""
        command = [script, *map(str, arguments), *(self.deploy_options if script == "deploy.sh" else ())]
        out, error = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self._stage(without, environment), clear=True),
            mock.patch("sys.stdin", io.StringIO(stdin)),
            # The real one is large, and tests/aws may be filling it.
            mock.patch.object(deploy, "BUILD", self.folder / "build"),
            redirect_stdout(out),
            redirect_stderr(error),
        ):
            code = ended(MAIN[script], command[1:])
        return subprocess.CompletedProcess(command, code, out.getvalue(), error.getvalue())

    def shell(
        self, script: str, *arguments: str | Path, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The end of the script itself."""
        return subprocess.run(
            [str(self.bin / "bash"), str(DEPLOYMENT / script), *map(str, arguments)],
            env=self._stage("", environment),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def _stage(self, without: str, environment: Mapping[str, str]) -> dict[str, str]:
        for tool in ("aws", "sam"):
            self.replace(tool, self._stub(tool, self.answers))
        if without:
            (self.bin / without).unlink()
        return {
            "PATH": str(self.bin),
            "AWS_REGION": "eu-central-1",
            "LAMBDA_PYTHON": "lambda-python",
            **environment,
        }

    def calls(self, piece: str = "") -> list[str]:
        return [line for line in self.log.read_text().splitlines() if piece in line]

    def _stub(self, tool: str, answers: Mapping[str, str]) -> str:
        rows = "\n".join(f"    *{piece!r}*) {code} ;;" for piece, code in answers.items())
        return f'call="{tool} $*"\nprintf "%s\\n" "$call" >>"{self.log}"\ncase "$call" in\n{rows}\nesac'

    def replace(self, name: str, code: str) -> None:
        """Put a shell script of this ``code`` in the place of the tool ``name``."""
        file = self.bin / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!{os.path.realpath(shutil.which('sh') or 'sh')}\n{code}\n")
        file.chmod(0o755)


def failure(code: str, message: str, operation: str = "Something") -> str:
    """Shell code that fails as the AWS CLI does."""
    text = f"\nAn error occurred ({code}) when calling the {operation} operation: {message}\n"
    return f"printf '%s' {shlex.quote(text)} >&2; exit 254"


def missing_stack(name: str) -> str:
    return failure("ValidationError", f"Stack with id {name} does not exist", "DescribeStacks")


def _described(
    parameters: Mapping[str, str],
    outputs: Mapping[str, str],
    status: str = "UPDATE_COMPLETE",
    tags: Sequence[Mapping[str, str]] = (),
    **more: Any,
) -> dict[str, Any]:
    stack = {
        "StackName": "images",
        "StackStatus": status,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
        "Tags": list(tags),
        **more,
    }
    return {"Stacks": [stack]}
