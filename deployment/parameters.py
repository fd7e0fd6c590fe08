"""Deployment: judges what somebody wants to deploy with, by the template's own constraints.

deploy.sh calls it before anything is made, and it tells every mistake at once. It must run where
there is nothing but Python: it reads the section `Parameters` of the template itself.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).with_name("template.yaml")

# A bucket is named after the stack, in lower case and 63 characters at most.
STACK = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")

# The template's rules: a parameter, what it needs beside it, and the words for that.
NEEDS = (
    ("DomainName", "CertificateArn", "a certificate's ARN"),
    ("HostedZoneId", "DomainName", "a domain"),
    ("RecipeBucket", "Recipe", "a key"),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the template, as far as it can be judged."""

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
    """The parameters of a template's text. A field that is judged by lies on one line."""
    section = text.partition("\nParameters:\n")[2]
    found: dict[str, dict[str, str]] = {}
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if name := _NAME.fullmatch(line):
            found[name[1]] = fields = {}
        elif field := _FIELD.fullmatch(line):
            fields[field[1]] = field[2]
    return {name: _parameter(name, fields) for name, fields in found.items()}


def _parameter(name: str, fields: dict[str, str]) -> Parameter:
    return Parameter(
        name,
        fields["Type"],
        _plain(fields["Default"]),
        tuple(map(_plain, fields.get("AllowedValues", "[]")[1:-1].split(", ")))
        if "AllowedValues" in fields
        else (),
        _plain(fields["AllowedPattern"]) if "AllowedPattern" in fields else None,
        *(int(fields[bound]) if bound in fields else None for bound in ("MinValue", "MaxValue")),
    )


def _plain(scalar: str) -> str:
    """A YAML scalar on one line, in single quotes or in none."""
    return scalar[1:-1].replace("''", "'") if scalar.startswith("'") else scalar


def problems(stack: str, region: str, given: list[str], known: dict[str, Parameter]) -> Iterator[str]:
    """Every mistake, as `expected ... for NAME, got ...`."""
    if not STACK.fullmatch(stack):
        yield f"expected 1-40 of a-z, 0-9 and -, a letter first, for --stack, got {stack!r}"
    if not REGION.fullmatch(region):
        yield f"expected a region such as eu-central-1 for --region, got {region!r}"
    values: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            yield f"expected NAME=VALUE for a parameter, got {text!r}"
        elif name not in known:
            yield f"expected a parameter of the template for {name}, got an unknown one"
        elif name in values:
            yield f"expected one value for {name}, got another: {value!r}"
        elif not known[name].allows(value):
            yield f"expected {known[name].expected} for {name}, got {value!r}"
        values[name] = value
    for name, needed, words in NEEDS:
        if values.get(name) and not values.get(needed):
            yield f"expected {words} for {needed} because {name} is given, got nothing"


def overrides(given: list[str]) -> Iterator[str]:
    """``given`` in the form that `sam deploy --parameter-overrides` reads back unchanged. No pattern
    of the template lets a quote or a backslash through, so nothing has to be escaped."""
    for text in given:
        name, _, value = text.partition("=")
        yield f'ParameterKey={name},ParameterValue="{value}"'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Judge parameters; print them as sam reads them.")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("given", nargs="*", metavar="NAME=VALUE")
    wanted = parser.parse_args(arguments)
    found = list(
        problems(wanted.stack, wanted.region, wanted.given, read(TEMPLATE.read_text(encoding="utf-8")))
    )
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        return 2
    for override in overrides(wanted.given):
        print(override)
    return 0


if __name__ == "__main__":
    sys.exit(main())
