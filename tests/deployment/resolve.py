"""What is left of a translated template for one set of parameters: conditions decided, parameters
and pseudo parameters filled in, Fn::If and Fn::Sub and their like evaluated.

A Ref or GetAtt of a resource has no value before there is a stack: it becomes `<Id>` or `<Id.Attribute>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "111122223333",
    "AWS::StackName": "images",
    "AWS::StackId": "arn:aws:cloudformation:eu-central-1:111122223333:stack/images/51af3dc0-da77-11e4",
    "AWS::URLSuffix": "amazonaws.com",
}
_NOTHING = object()
_IN_TEXT = re.compile(r"\$\{([\w:.]+)\}")
_REFERENCE = re.compile(r"<(\w+)(?:\.[\w.]+)?>")


class _Resolver:
    def __init__(self, template: Json, parameters: dict[str, str]) -> None:
        unknown = parameters.keys() - template["Parameters"].keys() - PSEUDO.keys()
        assert not unknown, unknown
        defaults = {name: row["Default"] for name, row in template["Parameters"].items()}
        self._values = {**PSEUDO, **defaults, **parameters}
        self._conditions = template["Conditions"]
        self._held: dict[str, bool] = {}

    def holds(self, name: str) -> bool:
        if name not in self._held:
            self._held[name] = bool(self.value(self._conditions[name]))
        return self._held[name]

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for item in node if (value := self.value(item)) is not _NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((key, argument),) = node.items()
            function = getattr(self, "_" + key.removeprefix("Fn::").lower(), None)
            if (key.startswith("Fn::") or key in {"Ref", "Condition"}) and isinstance(argument, str | list):
                assert function, key
                return function(argument)
        return {key: value for key, item in node.items() if (value := self.value(item)) is not _NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        return self._values.get(name, f"<{name}>")

    def _getatt(self, argument: str | list[str]) -> str:
        return f"<{argument if isinstance(argument, str) else '.'.join(argument)}>"

    def _sub(self, argument: str | list[Any]) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument
        names = {name: self.value(value) for name, value in given.items()}

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(names[name])
            return str(self._getatt(name) if "." in name else self._ref(name))

        return _IN_TEXT.sub(fill, text)

    def _if(self, argument: list[Any]) -> Any:
        return self.value(argument[1] if self.holds(argument[0]) else argument[2])

    def _condition(self, name: str) -> bool:
        return self.holds(name)

    def _equals(self, argument: list[Any]) -> bool:
        one, other = self.value(argument)
        return str(one) == str(other)

    def _not(self, argument: list[Any]) -> bool:
        return not self.value(argument)[0]

    def _or(self, arguments: list[Any]) -> bool:
        return any(map(self.value, arguments))

    def _join(self, arguments: list[Any]) -> str:
        between, parts = self.value(arguments)
        return str(between).join(parts)

    def _and(self, argument: list[Any]) -> bool:
        return all(self.value(argument))

    def _split(self, argument: list[Any]) -> list[str]:
        by, text = self.value(argument)
        return str(text).split(by)

    def _select(self, argument: list[Any]) -> Any:
        index, values = argument
        if (found := self.value(values)) and len(found) == 1:
            return found[0]  # a reference in text cannot be split before it has a value
        return found[int(index)]


def resolve(template: Json, **parameters: str) -> Json:
    """The resources that there are with ``parameters``, by logical id, and under `Outputs` the outputs.

    Each resource keeps its Type, Properties and policies.
    """
    resolver = _Resolver(template, parameters)

    def live(section: str) -> Json:
        return {
            name: resolver.value({key: value for key, value in row.items() if key != "Condition"})
            for name, row in template[section].items()
            if "Condition" not in row or resolver.holds(row["Condition"])
        }

    return {**live("Resources"), "Outputs": {"Type": "Outputs", "Properties": live("Outputs")}}


def references(node: Any) -> Iterator[str]:
    """The logical ids that ``node``, a part of a resolved template, refers to."""
    if isinstance(node, str):
        yield from _REFERENCE.findall(node)
    elif isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            yield from references(item)
