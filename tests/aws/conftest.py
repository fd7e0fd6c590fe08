"""The project's system in the emulated AWS, deployed once by deploy.sh as its users do it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from scenarios import URL_KEY

from support.aws_emulation.deployed import ARCHITECTURE, STACK, Cli, Deployed
from support.aws_emulation.server import ACCOUNT, REGION, ROOT, VENV, EmulatedAws
from support.aws_emulation.stacks import find_stack


@pytest.fixture(scope="session")
def owner(aws: EmulatedAws) -> Mapping[str, str]:
    """The environment of the account's owner, with `aws` and `sam`."""
    # aws comes with LocalStack.
    tools = [VENV / "bin", ROOT / ".venv-sam" / "bin", os.environ["PATH"]]
    return {
        "HOME": os.environ.get("HOME", "/"),
        "PATH": os.pathsep.join(map(str, tools)),
        "PYTHONPATH": str(Path(__file__).parent / "quick_cli"),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "SAM_CLI_TELEMETRY": "0",
    }


@pytest.fixture(scope="session")
def cli(owner: Mapping[str, str]) -> Cli:
    """Runs a script of deployment/ as the account's owner would, and returns what it said."""

    def run(script: str, *arguments: str) -> str:
        # The emulated AWS runs no CloudFront functions.
        options = ["--skip-edge-test"] if script == "deploy.sh" else []
        done = subprocess.run(
            [ROOT / "deployment" / script, "--region", REGION, *options, *arguments],
            env=owner,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def deployment(aws: EmulatedAws, cli: Cli) -> str:
    """What deploy.sh said."""
    aws.client("secretsmanager").create_secret(Name="url-keys", SecretString=":".join(URL_KEY))
    parameters = (
        *(f"Architecture={ARCHITECTURE}", "EnableDelete=true", "EnableBackfill=true", "BatchSize=10"),
        "SigningKeysSecret=url-keys",
    )
    return cli("deploy.sh", "--stack", STACK, "--yes", *parameters)


@pytest.fixture(scope="session")
def system(aws: EmulatedAws, deployment: str) -> Deployed:
    assert deployment
    return Deployed(find_stack(aws, STACK))


@pytest.fixture(scope="session")
def template(aws: EmulatedAws, system: Deployed) -> str:
    """The template with the packages that deploy.sh has uploaded."""
    assert system
    body = aws.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]
    return body if isinstance(body, str) else json.dumps(body)
