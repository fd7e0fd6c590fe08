"""docs/aws.md tells every parameter and output of the template, and the calls that there are."""

from __future__ import annotations

import json
import re

from linters import ROOT, parliament, translated
from policies import listed
from resolve import resolve

from image_processor.aws_lambda import _MIN_SECONDS
from image_processor.aws_lambda.limits import MIN_MEGABYTES

PAPER = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "template.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (.*) \| (.+) \|$", re.MULTILINE)


def test_the_documented_parameters_are_the_templates() -> None:
    section = REFERENCE.partition("## Outputs")[0]
    reported = {name: (default, meaning) for name, default, _, meaning in ROW.findall(section)}
    assert reported == {
        name: (str(row["Default"]), " ".join(row["Description"].split()))
        for name, row in translated()["Parameters"].items()
    }


def test_every_output_is_documented() -> None:
    section = REFERENCE.partition("## Outputs")[2]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == [*translated()["Outputs"]]


def test_every_documented_option_exists() -> None:
    calls = re.findall(r"^deployment/(\w+\.sh) (.*)", PAPER, re.MULTILINE)
    assert {script for script, _ in calls} == {"deploy.sh", "teardown.sh"}
    for script, arguments in calls:
        known = (ROOT / "deployment" / script).with_suffix(".py").read_text()
        options = re.findall(r"--[\w-]+", arguments)
        assert options
        assert [option for option in options if option not in known] == []


def test_every_documented_command_names_its_region() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAPER, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    calls = [line for line in lines if re.search(r"\b(aws [a-z]+|deployment/\w+\.sh) ", line)]
    assert len(calls) > 10
    assert [call for call in calls if "--region " not in call and "aws configure" not in call] == []


def test_every_parameter_in_a_documented_command_exists() -> None:
    named = set(re.findall(r"\b([A-Z][A-Za-z]+[a-z])=(?!=)", PAPER))
    assert named
    assert named - {"ParameterKey", "ParameterValue"} <= translated()["Parameters"].keys()


def test_the_manual_way_names_limits_that_work() -> None:
    (section,) = re.findall(r"\*\*The manual way\.\*\*.*?\n\*\*", PAPER, re.DOTALL)
    assert f"at least {_MIN_SECONDS['process']} s" in section
    assert f"at least {MIN_MEGABYTES} MB" in section


def test_the_policy_of_the_manual_way_is_the_templates_without_queue_and_logs() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAPER.partition("**The manual way.**")[2], re.DOTALL)
    policy = json.loads(text)
    off = dict.fromkeys(("EnableTable", "EnableApi", "EnableCdn", "EnableDashboard"), "false")
    role = resolve(translated(), **off)["ProcessRole"]["Properties"]
    needed = {
        statement["Sid"]: listed(statement["Action"])
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"]
        if statement["Sid"] not in {"TakeMessages", "WriteLogs"}
    }
    assert {row["Sid"]: listed(row["Action"]) for row in policy["Statement"]} == needed
    assert parliament(policy) == set()
