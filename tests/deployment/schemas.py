"""AWS's schemas of CloudFormation's resource types, as they come with cfn-lint."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from linters import ROOT, Json


@cache
def _folder() -> Path:
    (found,) = (ROOT / ".venv-template").glob("lib/python3*/site-packages/cfnlint/data/schemas")
    return found


@cache
def _digests() -> dict[str, str]:
    found: dict[str, str] = json.loads((_folder() / "providers" / "eu-central-1.json").read_text())
    return found


def schema(type_: str) -> Json:
    """The schema of a type, empty for one that AWS has none of."""
    if type_ not in _digests():
        return {}
    found: Json = json.loads((_folder() / "resources" / f"{_digests()[type_]}.json").read_text())
    return found
