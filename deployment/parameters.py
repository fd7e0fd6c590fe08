"""Deployment: validates the parameters of a deployment against the template's constraints.

deploy.sh calls it before it creates anything; it reports every error at once. It needs only Python,
so it parses the section `Parameters` of the template itself.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).with_name("template.yaml")

# Bucket names contain the stack's: lower-case, at most 63 characters.
STACK = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")

# The template's rules: a parameter, the one that it requires, and a description of that.
REQUIRES = (
    ("DomainName", "CertificateArn", "a certificate's ARN"),
    ("HostedZoneId", "DomainName", "a domain"),
    ("RecipeBucket", "Recipe", "a key"),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the template with its constraints."""

    name: str
    kind: str
    default: str
    values: tuple[str, ...] = ()
    pattern: str | None = None
    low: int | None = None
    high: int | None = None

    @property
    def expected(self) -> str:
        if self.values:
            return " | ".join(self.values)
        if self.kind == "Number":
            return f"{self.low}-{self.high}"
        return f"a text like {self.pattern}"

    def allows(self, value: str) -> bool:
        if self.values:
            return value in self.values
        if self.kind == "Number":
            return value.isascii() and value.isdigit() and (self.low or 0) <= int(value) <= (self.high or 0)
        return re.fullmatch(self.pattern or ".*", value) is not None


_NAME = re.compile(r"  (\w+):")
_FIELD = re.compile(r"    (Type|Default|AllowedValues|AllowedPattern|MinValue|MaxValue): (.+)")


def read(text: str) -> dict[str, Parameter]:
    """The parameters in a template's text. Each constraint is on one line."""
    section = text.partition("\nParameters:\n")[2]
    parameters: dict[str, dict[str, str]] = {}
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if name := _NAME.fullmatch(line):
            parameters[name[1]] = fields = {}
        elif field := _FIELD.fullmatch(line):
            fields[field[1]] = field[2]
    return {name: _parameter(name, fields) for name, fields in parameters.items()}


def _parameter(name: str, fields: dict[str, str]) -> Parameter:
    return Parameter(
        name,
        fields["Type"],
        _unquote(fields["Default"]),
        tuple(map(_unquote, fields.get("AllowedValues", "[]")[1:-1].split(", ")))
        if "AllowedValues" in fields
        else (),
        _unquote(fields["AllowedPattern"]) if "AllowedPattern" in fields else None,
        *(int(fields[bound]) if bound in fields else None for bound in ("MinValue", "MaxValue")),
    )


def _unquote(scalar: str) -> str:
    """The value of a YAML scalar on one line, in single quotes or unquoted."""
    return scalar[1:-1].replace("''", "'") if scalar.startswith("'") else scalar


def problems(stack: str, region: str, assignments: list[str], known: dict[str, Parameter]) -> Iterator[str]:
    """Every error, as `expected ... for NAME, got ...`. An assignment is `NAME=VALUE`."""
    if not STACK.fullmatch(stack):
        yield f"expected 1-40 of a-z, 0-9 and -, a letter first, for --stack, got {stack!r}"
    if not REGION.fullmatch(region):
        yield f"expected a region such as eu-central-1 for --region, got {region!r}"
    values: dict[str, str] = {}
    for text in assignments:
        name, separator, value = text.partition("=")
        if not separator:
            yield f"expected NAME=VALUE for a parameter, got {text!r}"
        elif name not in known:
            yield f"expected a parameter of the template for {name}, got an unknown one"
        elif name in values:
            yield f"expected one value for {name}, got another: {value!r}"
        elif not known[name].allows(value):
            yield f"expected {known[name].expected} for {name}, got {value!r}"
        values[name] = value
    for name, required, description in REQUIRES:
        if values.get(name) and not values.get(required):
            yield f"expected {description} for {required} because {name} is given, got nothing"


def overrides(assignments: list[str]) -> Iterator[str]:
    """The assignments as `sam deploy --parameter-overrides` takes them. No pattern of the template
    allows a quote or a backslash, so nothing needs escaping."""
    for text in assignments:
        name, _, value = text.partition("=")
        yield f'ParameterKey={name},ParameterValue="{value}"'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Validate parameters and print them as sam reads them.")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("assignments", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    errors = list(
        problems(
            options.stack, options.region, options.assignments, read(TEMPLATE.read_text(encoding="utf-8"))
        )
    )
    for problem in errors:
        print(problem, file=sys.stderr)
    if errors:
        return 2
    for override in overrides(options.assignments):
        print(override)
    return 0


if __name__ == "__main__":
    sys.exit(main())
