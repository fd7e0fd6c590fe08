"""The two deployments that need none of our scripts, as docs/aws.md tells them, with real packages in the
emulated AWS. tests/aws deploys by deploy.sh, and a released template with the packages of that deployment.
"""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest
import release
from PIL import Image

from support.aws_emulation.deployed import ARCHITECTURE, Deployed
from support.aws_emulation.server import ACCOUNT, REGION, ROOT, VENV, EmulatedAws
from support.aws_emulation.stacks import find_stack

Environment = dict[str, str]


@pytest.fixture(scope="module")
def environment(aws: EmulatedAws) -> Environment:
    """That of the account's owner."""
    tools = [VENV / "bin", ROOT / ".venv-sam" / "bin", ROOT / ".venv" / "bin", os.environ["PATH"]]
    return {
        "HOME": os.environ.get("HOME", "/"),
        "PATH": os.pathsep.join(map(str, tools)),
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "SAM_CLI_TELEMETRY": "0",
        "ARCH": ARCHITECTURE,
    }


def run(environment: Environment, *command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def process_one_image(system: Deployed) -> None:
    body = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(body, "PNG")
    record = system.wait_until_processed(system.upload(body.getvalue()))
    # By CloudFront's second origin; the stack's custom resource has told the edge what is public.
    assert system.deliver(f"/{record['processed_file']}").status_code == 200
    assert system.edge_store().read()


def test_sam_build_and_sam_deploy(aws: EmulatedAws, environment: Environment) -> None:
    """samconfig.toml has the rest of the options."""
    run(environment, "sam", "build")
    parameters = ("--parameter-overrides", f"Architecture={ARCHITECTURE}")
    run(environment, "sam", "deploy", "--no-confirm-changeset", "--region", REGION, *parameters)
    process_one_image(Deployed(find_stack(aws, "image-processor")))


def test_a_release_is_deployed_from_a_bucket(
    aws: EmulatedAws, environment: Environment, tmp_path: Path
) -> None:
    folder = release.release(tmp_path, [ARCHITECTURE])
    aws.client("s3").create_bucket(Bucket="releases")
    run(
        environment, "aws", "s3", "cp", "--quiet", "--recursive", str(folder), f"s3://releases/{folder.name}/"
    )
    run(
        environment,
        *("aws", "cloudformation", "create-stack", "--stack-name", "released"),
        *("--template-url", f"{aws.endpoint}/releases/{folder.name}/template.json"),
        *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
        *("--parameters", "ParameterKey=ArtifactBucket,ParameterValue=releases"),
        f"ParameterKey=Architecture,ParameterValue={ARCHITECTURE}",
    )
    run(environment, "aws", "cloudformation", "wait", "stack-create-complete", "--stack-name", "released")
    process_one_image(Deployed(find_stack(aws, "released")))
