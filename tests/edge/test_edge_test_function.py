"""The sample requests of deployment/edge/test_function.py, with a stubbed AWS CLI and the function itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import generate
import pytest
from edge_function import Host, World
from edge_stack import function_code

from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.delivery.edge_entries import entries

SCRIPT = generate.HERE / "test_function.py"
# Sorted by a piece of the sample's URI: what CloudFront answers, one line of JSON each.
STUB = """#!/bin/sh
printf '%s\\n' "$*" >>"{folder}/calls"
case "$*" in
    *describe-function*) echo '{{"ETag": "E1"}}' ;;
    *test-function*)
        for argument; do case $argument in fileb://*) event=${{argument#fileb://}} ;; esac; done
        number=$(ls "{folder}"/event.* 2>/dev/null | wc -l)
        cp "$event" "{folder}/event.$number"
        cat "{folder}/answer.$number"
        ;;
esac
"""


def outputs(host: Host, settings: Settings) -> list[dict[str, Any]]:
    """What CloudFront's TestFunction returns for each sample, as the simulated runtime has it."""
    sys.path.insert(0, str(SCRIPT.parent))
    import test_function  # noqa: PLC0415 - not collected by pytest from here

    store = entries(parse_recipe(DEFAULT_RECIPE), settings)
    found = []
    for sample in test_function.SAMPLES:
        query = "&".join(f"{name}={value}" for name, value in sample.query.items())
        result = host.run(function_code(), sample.event(), World(query or None, store))
        kind = "response" if "statusCode" in result else "request"
        output = json.dumps({kind: result})
        found.append({"TestResult": {"FunctionOutput": output, "ComputeUtilization": "23"}})
    return found


def run(folder: Path, answers: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    stub = folder / "aws"
    stub.write_text(STUB.format(folder=folder))
    stub.chmod(0o755)
    for number, answer in enumerate(answers):
        (folder / f"answer.{number}").write_text(json.dumps(answer))
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--name", "images-eu-central-1"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(allow_unsigned=True), Settings(hints=True)], ids=str
)
def test_the_function_passes_its_samples(host: Host, tmp_path: Path, settings: Settings) -> None:
    answers = outputs(host, settings)
    done = run(tmp_path, answers)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"   {len(answers)} sample requests\n", "")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == (
        "cloudfront describe-function --name images-eu-central-1 --stage DEVELOPMENT --output json"
    )
    assert calls[1].startswith(
        "cloudfront test-function --name images-eu-central-1 --if-match E1 --stage DEV"
    )
    assert len(calls) == 1 + len(answers)
    event = json.loads((tmp_path / "event.0").read_text())
    assert event["request"]["method"] == "OPTIONS"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ComputeUtilization": "71"}, "expected at most 70 % compute utilization for a preflight, got 71"),
        ({"FunctionErrorMessage": "TypeError"}, "expected a result for a preflight, got TypeError"),
        ({"FunctionOutput": '{"request": {}}'}, "expected 204 for a preflight, got a request"),
        ({"FunctionOutput": '{"response": {"statusCode": 500}}'}, "expected 204 for a preflight, got 500"),
    ],
)
def test_a_slow_or_wrong_function_fails(
    node: Host, tmp_path: Path, change: dict[str, str], problem: str
) -> None:
    answers = outputs(node, Settings())
    answers[0]["TestResult"].update(change)
    done = run(tmp_path, answers)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", problem + "\n")


def test_a_failing_cli_fails(tmp_path: Path) -> None:
    stub = tmp_path / "aws"
    stub.write_text("#!/bin/sh\nexit 254\n")
    stub.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--name", "x"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "expected aws cloudfront describe-function to succeed, got 254\n",
    )
