"""The two deployments without deploy.sh, as docs/aws.md has them: with the SAM CLI, and of a release."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import release
from pictures import picture

from support.aws_emulation.deployed import ARCHITECTURE, Deployed
from support.aws_emulation.server import ACCOUNT, REGION, ROOT, VENV, EmulatedAws
from support.aws_emulation.stacks import CODE_BUCKET, find_stack


@pytest.fixture(scope="module")
def environment(aws: EmulatedAws) -> dict[str, str]:
    tools = [VENV / "bin", ROOT / ".venv-sam" / "bin", ROOT / ".venv" / "bin", os.environ["PATH"]]
    return {
        "HOME": os.environ.get("HOME", "/"),
        "PATH": os.pathsep.join(map(str, tools)),
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "SAM_CLI_TELEMETRY": "0",
        "ARCH": ARCHITECTURE,
    }


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_sam_build_and_sam_deploy(aws: EmulatedAws, environment: dict[str, str]) -> None:
    run(environment, "sam", "build")
    options = ["--region", REGION, "--no-confirm-changeset"]
    run(environment, "sam", "deploy", *options, "--parameter-overrides", f"Architecture={ARCHITECTURE}")
    system = Deployed(find_stack(aws, "image-processor"))
    system.wait_until_processed(system.upload(picture(40, 30)))
