"""Deployment: validates the parameters of a deployment against the template and against Lambda's limits.

deploy.py calls it before anything is made. The package's dependencies have no parser of YAML, so it reads the
few sections that it needs itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
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
    ("ApiDomainName", "ApiCertificateArn", "a certificate's ARN"),
    ("ApiHostedZoneId", "ApiDomainName", "a domain"),
    ("ExistingDistributionId", "ExistingDistributionDomain", "a domain"),
    ("VpcSubnetIds", "VpcSecurityGroupIds", "security groups"),
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


def overrides(values: Mapping[str, str]) -> list[str]:
    """Parameters as `sam deploy --parameter-overrides` takes them. No pattern of the template allows a quote
    or a backslash, so nothing needs escaping."""
    return [f'ParameterKey={name},ParameterValue="{value}"' for name, value in values.items()]


MAX_ENVIRONMENT = 4096
"""Bytes of all variables of one function ("Lambda quotas"). Lambda measures them as compact JSON."""
# A name that CloudFormation makes, such as a bucket's, a table's or a distribution's domain.
_GENERATED_NAME = 100
_LITERAL = 8

_REFERENCE = re.compile(r"!(?:Ref|GetAtt) ([\w:.]+)|\$\{([\w:.]+)\}")
_ABSENT = "AWS::NoValue"
_SECRET = "{{resolve:"  # noqa: S105  # the beginning of a reference
_VARIABLE = re.compile(r"([A-Z][A-Z0-9_]+): ?(.*)")


def environment_problems(text: str, values: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[str]:
    """An error for each function of the template ``text`` whose environment is too large for Lambda.

    ``values`` are all parameters, ``secrets`` the values of secrets by variable.
    """
    for function, size in environment_sizes(text, values, secrets).items():
        if size > MAX_ENVIRONMENT:
            largest = sorted(values, key=lambda name: -len(values[name]))[:3]
            yield (
                f"expected at most {MAX_ENVIRONMENT} bytes of environment for {function}, got about {size}: "
                f"shorten a parameter or secret ({', '.join(largest)} are the longest parameters)"
            )


def environment_sizes(text: str, values: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, int]:
    """The bytes of each function's environment, at most: generated names count as long ones."""
    sections = _environments(text)
    common = sections.pop(_GLOBALS, {})
    return {
        function: 1
        + sum(_variable_size(*variable, values, secrets) for variable in {**common, **own}.items())
        for function, own in sections.items()
    }


def _variable_size(name: str, source: str, values: Mapping[str, str], secrets: Mapping[str, str]) -> int:
    """The bytes of a variable whose value is ``source`` in the template; 0 if the function has none."""
    around = len(f'"{name}":"",')
    if _SECRET in source:
        return around + len(json.dumps(secrets[name])) - 2 if name in secrets else 0
    names = {one or other for one, other in _REFERENCE.findall(source)} - {_ABSENT}
    if not names:
        return around + _LITERAL
    of_parameters = sum(len(values[known]) for known in names & values.keys())
    if _ABSENT in source and names <= values.keys() and not of_parameters:
        return 0
    return around + of_parameters + (_LITERAL if names <= values.keys() else _GENERATED_NAME)


_GLOBALS = "Globals"
_OWNER = re.compile(r"(\w+):|  (\w+):")


def _environments(text: str) -> dict[str, dict[str, str]]:
    """The variables of each function, and under `Globals` those of all, with their YAML source."""
    found: dict[str, dict[str, str]] = {}
    anchors: dict[str, str] = {}
    section = owner = name = ""
    depth = 0
    for line in text.splitlines():
        indent, content = len(line) - len(line.lstrip()), line.strip()
        if not content or content.startswith("#"):
            continue
        if indent <= depth:
            depth = 0
        if top := _OWNER.fullmatch(line):
            section = top[1] or section
            owner = _GLOBALS if section == _GLOBALS else top[2]
        elif content == "Type: AWS::Serverless::Function":
            found[owner] = {}
        elif content == "Variables:" and (owner == _GLOBALS or owner in found):
            found.setdefault(owner, {})
            depth = indent
        elif depth and indent == depth + 2 and (variable := _VARIABLE.fullmatch(content)):
            name = variable[1]
            found[owner][name] = variable[2]
        elif depth:
            found[owner][name] += f" {content}"
    for variables in found.values():
        anchors |= {source.split()[0][1:]: source for source in variables.values() if source.startswith("&")}
    return {
        owner: {name: anchors.get(source[1:], source) for name, source in variables.items()}
        for owner, variables in found.items()
    }
