"""samconfig.toml names options that the SAM CLI has, with the values that deploy.sh uses."""

from __future__ import annotations

import json
import subprocess
import tomllib

from linters import ROOT, TEMPLATE

CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))["default"]

OPTIONS = """
import json
from samcli.commands.build.command import cli as build
from samcli.commands.deploy.command import cli as deploy
print(json.dumps({name: [option.name for option in command.params] for name, command in
                  {"build": build, "deploy": deploy}.items()}))
"""


def test_every_key_is_an_option_of_its_command() -> None:
    python = ROOT / ".venv-sam" / "bin" / "python"
    done = subprocess.run([python, "-c", OPTIONS], capture_output=True, text=True, check=True)
    known = json.loads(done.stdout.splitlines()[-1])
    for command, options in known.items():
        keys = {**CONFIG["global"]["parameters"], **CONFIG[command]["parameters"]}.keys()
        assert keys - {"stack_name"} <= set(options), command
    assert "stack_name" in known["deploy"]


def test_it_builds_the_template_with_the_capabilities_of_deploy_sh() -> None:
    assert (ROOT / CONFIG["build"]["parameters"]["template_file"]) == TEMPLATE
    capabilities = CONFIG["deploy"]["parameters"]["capabilities"]
    assert f'"--capabilities", "{capabilities}"' in (ROOT / "deployment" / "deploy.py").read_text()
