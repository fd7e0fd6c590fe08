"""docs/template.md: the parameters and outputs of deployment/template.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from template_graph import Json, load, references

from .tables import code, one_line, sentence, table

_HEAD = """\
# Parameters and outputs of the template

What `deployment/deploy.sh NAME=VALUE` sets, and what a stack returns. [On AWS](aws.md) says which ones to
choose. This page is written by `docs/write_reference.py`.
"""
_SOURCE = Path(__file__).parents[2] / "deployment" / "template.yaml"
_GROUP = re.compile(r"  # -+ (.+)|  (\w+):")


def page() -> str:
    """The page of all parameters and outputs. Raises KeyError for one without a description."""
    template = load()
    parameters = [
        f"### {sentence(group)}\n\n"
        + table(
            ("Name", "Default", "Expected", "Meaning"),
            (_parameter(name, template["Parameters"][name]) for name in names),
        )
        for group, names in _groups()
    ]
    outputs = table(
        ("Name", "Depends on", "Meaning"),
        (_output(name, row, template) for name, row in template["Outputs"].items()),
    )
    return "\n".join([_HEAD, "## Parameters\n", *parameters, "## Outputs\n", outputs])


def _groups() -> Iterator[tuple[str, list[str]]]:
    """The parameters by the comments above them, which are the titles of their groups."""
    section = _SOURCE.read_text(encoding="utf-8").partition("\nParameters:\n")[2]
    title, names = "", list[str]()
    for line in re.split(r"^\w", section, maxsplit=1, flags=re.MULTILINE)[0].splitlines():
        match = _GROUP.fullmatch(line)
        if match and match[1]:
            if names:
                yield title, names
            title, names = match[1], []
        elif match:
            names.append(match[2])
    yield title, names


def _parameter(name: str, row: Json) -> tuple[str, str, str, str]:
    return code(name), code(row["Default"]), _expected(row), one_line(row["Description"])


def _expected(row: Json) -> str:
    if values := row.get("AllowedValues"):
        return ", ".join(code(_written(value)) for value in values)
    if "MinValue" in row and "MaxValue" in row:
        return f"{row['MinValue']} to {row['MaxValue']}"
    if "MinValue" in row:
        return f"at least {row['MinValue']}"
    return "" if row["Type"] == "String" else "a number"


def _written(value: object) -> str:
    """As the template has it: YAML reads true and false as booleans."""
    return str(value).lower() if isinstance(value, bool) else str(value) or "(empty)"


def _output(name: str, row: Json, template: Json) -> tuple[str, str, str]:
    decided = dict.fromkeys(_parameters(row.get("Condition"), template))
    return code(name), ", ".join(map(code, decided)), one_line(row["Description"])


def _parameters(condition: str | None, template: Json) -> Iterator[str]:
    """The parameters that decide a condition, directly or through others."""
    if condition is None:
        return
    for name in references(template["Conditions"][condition]):
        if name in template["Conditions"]:
            yield from _parameters(name, template)
        elif name in template["Parameters"]:
            yield name
