"""docs/aws.md tells every parameter and output of the template, and the calls that there are."""

from __future__ import annotations

import re

from linters import ROOT, translated

PAPER = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (?:`(.*)`)? ?\| (.+) \|$", re.MULTILINE)


def test_the_documented_parameters_are_the_templates() -> None:
    told = {name: (default, meaning) for name, default, meaning in ROW.findall(PAPER)}
    assert told == {
        name: (str(row["Default"]), " ".join(row["Description"].split()))
        for name, row in translated()["Parameters"].items()
    }


def test_every_output_is_documented() -> None:
    section = PAPER.partition("## Outputs")[2].partition("##")[0]
    assert set(re.findall(r"`(\w+)`", section)) >= translated()["Outputs"].keys()


def test_every_documented_option_exists() -> None:
    calls = re.findall(r"^deployment/(\w+\.sh) (.*)", PAPER, re.MULTILINE)
    assert {script for script, _ in calls} == {"deploy.sh", "teardown.sh"}
    for script, arguments in calls:
        known = (ROOT / "deployment" / script).with_suffix(".py").read_text()
        options = re.findall(r"--[\w-]+", arguments)
        assert options
        assert [option for option in options if option not in known] == []


def test_every_parameter_in_a_documented_command_exists() -> None:
    named = set(re.findall(r"\b([A-Z][A-Za-z]+[a-z])=(?!=)", PAPER))
    assert named
    assert named <= translated()["Parameters"].keys()
