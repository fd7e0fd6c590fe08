"""The examples fit the release: their parameters, outputs and options exist, and their files are valid."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import release
import yaml
from linters import ROOT, Json, parliament, run
from template_file import load

EXAMPLES = ROOT / "examples"
CDK = EXAMPLES / "cdk"
PARSE_HCL = "import hcl2, json, sys; print(json.dumps(hcl2.load(sys.stdin)))"


@pytest.fixture(scope="module")
def template() -> Json:
    return release.packaged(load(), release.packages_of(release.MAKEFILE))


# ---------------------------------------------------------------------- Terraform
@pytest.fixture(scope="module")
def terraform() -> dict[str, Any]:
    done = run("python", "-c", PARSE_HCL, stdin=(EXAMPLES / "terraform" / "main.tf").read_text())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_terraform_passes_parameters_that_the_release_has(terraform: dict[str, Any], template: Json) -> None:
    text = (EXAMPLES / "terraform" / "main.tf").read_text()
    passed = set(re.findall(r"^    ([A-Z]\w+) += ", text, re.MULTILINE))
    assert passed == {"ArtifactBucket", "ArtifactPrefix", "Release"}
    assert passed <= template["Parameters"].keys()
    variables = {name for block in terraform["variable"] for name in block}
    assert {name.strip('"') for name in variables} == {"release", "artifact_bucket", "stack", "parameters"}


def test_terraform_allows_the_transform_and_reads_outputs_that_exist(template: Json) -> None:
    text = (EXAMPLES / "terraform" / "main.tf").read_text()
    assert 'capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]' in text
    outputs = re.findall(r'outputs(?:\[|, )"(\w+)"', text)
    assert len(outputs) == 3
    assert set(outputs) <= template["Outputs"].keys()
    assert 'release["template.json"]' in text


# ---------------------------------------------------------------------- CDK
def test_the_lock_of_the_cdk_names_no_registry() -> None:
    lock = json.loads((CDK / "package-lock.json").read_text())
    assert [name for name, row in lock["packages"].items() if "resolved" in row] == []
    expected = json.loads((CDK / "package.json").read_text())["dependencies"]
    assert lock["packages"][""]["dependencies"] == expected


@pytest.fixture(scope="module")
def synthesised(template: Json, tmp_path_factory: pytest.TempPathFactory) -> Json:
    if not (CDK / "node_modules").is_dir() or not shutil.which("node"):
        assert os.environ.get("CI") != "true", "expected npm ci in examples/cdk"
        pytest.skip("the AWS CDK is not installed: npm ci --prefix examples/cdk")
    folder = tmp_path_factory.mktemp("cdk")
    released = folder / release.release_name()
    released.mkdir()
    (released / "template.json").write_text(json.dumps(template))
    context = {
        "release": str(released),
        "artifactBucket": "my-artifacts",
        "parameters": {"AlarmEmail": "me@example.org"},
    }
    subprocess.run(
        ["node", "app.mjs"],
        cwd=CDK,
        env={
            **os.environ,
            "CDK_OUTDIR": str(folder / "out"),
            "CDK_CONTEXT_JSON": json.dumps({"imageProcessor": context}),
            "CDK_DISABLE_VERSION_CHECK": "1",
        },
        check=True,
        capture_output=True,
        timeout=120,
    )
    found: Json = json.loads((folder / "out" / "images.template.json").read_text())
    return found


def test_the_cdk_keeps_the_template_and_fills_in_parameters(synthesised: Json, template: Json) -> None:
    assert synthesised["Transform"] == template["Transform"]
    assert synthesised["Resources"].keys() == template["Resources"].keys() | (
        synthesised["Resources"].keys() & {"CDKMetadata"}
    )
    assert synthesised["Rules"].keys() >= template["Rules"].keys()
    for name, row in template["Resources"].items():
        assert synthesised["Resources"][name].get("Condition") == row.get("Condition")
        assert synthesised["Resources"][name]["Properties"].keys() == row["Properties"].keys(), name
    function = synthesised["Resources"]["ProcessFunction"]["Properties"]
    assert function["CodeUri"]["Bucket"] == "my-artifacts"
    assert re.fullmatch(r"[0-9a-f]{16}", function["AutoPublishCodeSha256"])
    topic = synthesised["Resources"]["AlarmTopic"]["Properties"]
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": "me@example.org"}]


def test_the_cdks_parameters_exist(template: Json) -> None:
    context = json.loads((CDK / "cdk.json").read_text())["context"]["imageProcessor"]
    assert context.keys() == {"release", "artifactBucket", "parameters"}
    assert context["parameters"].keys() <= template["Parameters"].keys()


# ---------------------------------------------------------------------- GitHub Actions
def test_the_workflow_gets_a_token_and_only_that() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github-actions" / "deploy.yml").read_text())
    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}
    (job,) = workflow["jobs"].values()
    for step in job["steps"]:
        assert step.keys() <= {"uses", "with", "run", "name", "env"}
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) if "uses" in step else step["run"]
    (login,) = (step for step in job["steps"] if "aws-credentials" in step.get("uses", ""))
    assert login["with"].keys() == {"role-to-assume", "aws-region"}
    (deploy,) = (step["run"] for step in job["steps"] if "deploy.sh" in step.get("run", ""))
    known = (ROOT / "deployment" / "deploy.py").read_text()
    assert all(f'"{option}"' in known for option in re.findall(r"--[\w-]+", deploy))
    make = (ROOT / "Makefile").read_text()
    targets = [step["run"].split()[1] for step in job["steps"] if step.get("run", "").startswith("make ")]
    assert targets
    assert all(re.search(rf"^{target}:", make, re.MULTILINE) for target in targets)


def test_only_that_workflows_environment_may_assume_the_role() -> None:
    policy = json.loads((EXAMPLES / "github-actions" / "trust.json").read_text())
    (statement,) = policy["Statement"]
    # parliament wants a resource, which a trust policy has not, and knows no federation by OpenID Connect.
    assert parliament({**policy, "Statement": [{**statement, "Resource": "*"}]}) == {
        "RESOURCE_STAR",
        "UNKNOWN_FEDERATION_SOURCE",
        "UNKNOWN_CONDITION_FOR_ACTION",
    }
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    tests = statement["Condition"]["StringEquals"]
    assert tests["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    workflow = yaml.safe_load((EXAMPLES / "github-actions" / "deploy.yml").read_text())
    (job,) = workflow["jobs"].values()
    subject = tests["token.actions.githubusercontent.com:sub"]
    assert subject.endswith(f":environment:{job['environment']}")
    assert "*" not in subject


def test_every_example_is_in_the_documentation() -> None:
    one_machine = {
        "docker": "production",
        "nginx": "production",
        "systemd": "production",
        "monitoring": "observability",
    }
    on_aws = {"cdk", "terraform", "github-actions"}
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir()):
        page = "aws" if folder.name in on_aws else one_machine.get(folder.name)
        pages = [ROOT / "docs" / f"{page}.md"] if page else (ROOT / "docs").rglob("*.md")
        assert any(f"../examples/{folder.name}" in page.read_text() for page in pages), folder.name
        assert Path(folder, "README.md").exists(), folder.name
