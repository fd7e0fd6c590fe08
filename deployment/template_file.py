"""Deployment: reads template.yaml. A release writes it as JSON, and docs/template_graph.py draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).with_name("template.yaml")

Json = dict[str, Any]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads the short forms of CloudFormation's functions as the long ones."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> Json:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)


def load() -> Json:
    """The template, with the functions' long forms: not every tool reads all short ones."""
    return parse(TEMPLATE.read_text(encoding="utf-8"))


def parse(text: str) -> Json:
    """A template in YAML, or in JSON, with the functions' long forms."""
    found: Json = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    return found
