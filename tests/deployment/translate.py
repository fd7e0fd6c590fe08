"""Runs in .venv-template: translates the template as AWS would and prints one line of JSON for
each set of parameters given, itself a JSON object. It asks nobody: SAM wants managed policies by name
only for roles that it makes itself, and this template makes its own.
"""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from unittest.mock import Mock

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def main(template: str, *parameters: str) -> None:
    raw = yaml_parse(Path(template).read_text(encoding="utf-8"))
    for name, resource in raw["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function" and resource["Properties"]["CodeUri"] == ".":
            # What `sam deploy` writes: where it has put the package.
            resource["Properties"]["CodeUri"] = f"s3://packages/{name}"
    session = Mock(region_name="eu-central-1")
    for values in map(json.loads, parameters):
        translator = Translator({}, Parser(), boto_session=session)
        translated = translator.translate(deepcopy(raw), parameter_values=values)
        sys.stdout.write(json.dumps(translated) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
