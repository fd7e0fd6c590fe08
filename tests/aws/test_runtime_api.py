"""The Runtime API and the sandbox, with AWS's own runtime client and no LocalStack."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import awslambdaric
import pytest

from support.aws_emulation.runtime_api import LONGEST_ANSWER, Function, Runner, python_function
from support.waiting import wait_for

HANDLER = """
import os, sys, time
count = 0
def handle(event, context):
    global count
    count += 1
    match event:
        case {"exit": status}: os._exit(status)
        case {"raise": message}: raise ValueError(message)
        case {"answer": length}: return "x" * (length - 2)
        case {"wait": _}: time.sleep(600)
    print("seen", event)
    return {
        "event": event, "count": count, "process": os.getpid(), "request": context.aws_request_id,
        "left": context.get_remaining_time_in_millis(), "arn": context.invoked_function_arn,
        "variables": sorted(os.environ), "path": sys.path,
    }
"""


def function(folder: Path, code: str = HANDLER, runtime: Path | None = None, timeout: float = 30) -> Function:
    (folder / "handler.py").write_text(code)
    return python_function(
        "handler.handle",
        folder,
        python=(sys.executable,),
        runtime=runtime,
        environment={"OURS": "1"},
        timeout=timeout,
    )


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with Runner(function(tmp_path)) as runner:
        yield runner


def test_an_event_is_answered_by_the_handler(runner: Runner) -> None:
    answer = runner.invoke({"a": ["ü", 1]})
    assert not answer.failed
    assert answer.value["event"] == {"a": ["ü", 1]}
    assert answer.value["request"] == answer.request_id
    assert answer.value["arn"] == runner.function.arn
    assert 0 < answer.value["left"] <= 30_000


def test_python_may_be_started_by_way_of_another_program(tmp_path: Path) -> None:
    direct = function(tmp_path)
    described = python_function(
        "handler.handle", tmp_path, python=("env", "BY=env", sys.executable), runtime=None, environment={}
    )
    assert described.command[3:] == direct.command[1:]
    with Runner(described) as runner:
        assert "BY" in runner.invoke({}).value["variables"]


def test_the_sandbox_is_kept_warm(runner: Runner) -> None:
    first, second = (runner.invoke({}).value for _ in range(2))
    assert (first["count"], second["count"]) == (1, 2)
    assert first["process"] == second["process"]


def test_a_handlers_exception_is_the_answer_and_the_sandbox_stays(runner: Runner) -> None:
    runner.invoke({})
    answer = runner.invoke({"raise": "no"})
    assert answer.failed
    assert (answer.value["errorType"], answer.value["errorMessage"]) == ("ValueError", "no")
    assert runner.invoke({}).value["count"] == 3


def test_a_process_that_ends_is_reported_and_replaced(runner: Runner) -> None:
    answer = runner.invoke({"exit": 3})
    assert answer.failed
    assert answer.value["errorType"] == "Runtime.ExitError"
    assert "status 3" in answer.value["errorMessage"]
    assert runner.invoke({}).value["count"] == 1


def test_a_timeout_kills_the_process(tmp_path: Path) -> None:
    with Runner(function(tmp_path, timeout=0.5)) as runner:
        sandbox = runner.start()
        answer = runner.invoke({"wait": 1})
        assert answer.failed
        assert answer.value["errorType"] == "Sandbox.Timedout"
        assert "timed out after 0.50 seconds" in answer.value["errorMessage"]
        assert sandbox.process.poll() == -9


def test_a_response_of_6_mb_passes_and_one_byte_more_fails(runner: Runner) -> None:
    assert len(runner.invoke({"answer": LONGEST_ANSWER}).body) == LONGEST_ANSWER
    answer = runner.invoke({"answer": LONGEST_ANSWER + 1})
    assert answer.failed
    assert answer.value["errorType"] == "Function.ResponseSizeTooLarge"
    assert runner.invoke({}).value["count"] == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import nothing_of_that_name", "Runtime.ImportModuleError"),
        ("def other(): ...", "Runtime.HandlerNotFound"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_loaded_fails_each_invocation(tmp_path: Path, code: str, kind: str) -> None:
    with Runner(function(tmp_path, code)) as runner:
        for _ in range(2):
            answer = runner.invoke({})
            assert answer.failed
            assert answer.value["errorType"] == kind


def test_the_process_sees_only_lambdas_environment(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_TESTS", "1")
    variables = runner.invoke({}).value["variables"]
    assert {"OURS", "AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT", "_HANDLER"} <= set(variables)
    assert "SECRET_OF_THE_TESTS" not in variables


def test_an_isolated_function_sees_its_package_the_runtime_and_the_standard_library(tmp_path: Path) -> None:
    runtime, package = tmp_path / "runtime", tmp_path / "package"
    runtime.mkdir()
    package.mkdir()
    for part in ("awslambdaric", "simplejson", "snapshot_restore_py.py", "runtime_client*.so"):
        (found,) = Path(awslambdaric.__file__).parent.parent.glob(part)
        (runtime / found.name).symlink_to(found)
    with Runner(function(package, runtime=runtime)) as runner:
        path = runner.invoke({}).value["path"]
    assert str(package) in path
    assert str(runtime) in path
    assert not [entry for entry in path if "site-packages" in entry]


def test_timestamps_are_in_order(runner: Runner) -> None:
    sandbox = runner.start()
    answer = runner.invoke({})
    assert answer.moments is sandbox.moments
    moments = [sandbox.moments.started, answer.moments.ready, answer.moments.taken, answer.moments.answered]
    assert moments == sorted(filter(None, moments))


def test_what_the_handler_prints_goes_to_the_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, Runner(function(tmp_path), log) as runner:
        runner.invoke({"a": 1})
    assert "seen {'a': 1}" in (tmp_path / "log").read_text()


def test_closing_ends_the_process(tmp_path: Path) -> None:
    runner = Runner(function(tmp_path))
    sandbox = runner.start()
    assert sandbox.usable
    runner.close()
    wait_for(lambda: sandbox.process.returncode == -9, "the end of the process")
    assert not sandbox.usable
