"""deploy.sh judges before it makes anything, and says at the end what there is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from linters import DEPLOYMENT, run
from stubbed_cli import StubbedCli

from image_processor.config.recipe import DEFAULT_RECIPE

OUTPUTS = {
    "UploadBucketName": "images-uploads-1",
    "ProcessedBucketName": "images-processed-1",
    "ApiUrl": "https://api.example.org/v1",
    "CdnUrl": "https://cdn.example.org",
}


@pytest.fixture
def cli(tmp_path: Path) -> StubbedCli:
    cli = StubbedCli(tmp_path)
    cli.answers |= {f"=='{name}'": f"echo {value}" for name, value in OUTPUTS.items()}
    cli.answers["describe-stacks"] = "echo None"
    return cli


def test_shellcheck_finds_nothing() -> None:
    done = run("shellcheck", "--external-sources", *sorted(DEPLOYMENT.glob("*.sh")))
    assert done.stdout == ""
    assert done.returncode == 0


def test_it_builds_deploys_and_prints_next_steps(cli: StubbedCli) -> None:
    done = cli.run(
        "deploy.sh", "--stack", "images", "--yes", "MemorySize=2048", "CacheControl=public, max-age=60"
    )
    assert done.returncode == 0, done.stderr
    build, deploy = cli.calls("sam ")
    assert "--template-file deployment/template.yaml" in build
    assert "--stack-name images --region eu-central-1" in deploy
    assert 'ParameterKey=MemorySize,ParameterValue="2048"' in deploy
    assert 'ParameterKey=CacheControl,ParameterValue="public, max-age=60"' in deploy
    assert "--capabilities CAPABILITY_IAM " in deploy
    for message in (
        *OUTPUTS.values(),
        "aws s3 cp photo.jpg s3://images-uploads-1/photo.jpg --region eu-central-1",
        "aws s3 ls s3://images-processed-1/photo.jpg/",
        "curl -o small.jpg 'https://cdn.example.org/photo.jpg/w=640,fm=jpeg.jpg'",
    ):
        assert message in done.stdout


def test_without_a_cdn_it_prints_none(cli: StubbedCli) -> None:
    for name in ("ApiUrl", "CdnUrl"):
        cli.answers[f"=='{name}'"] = "echo None"
    done = cli.run("deploy.sh", "--yes", "EnableCdn=false", "EnableApi=false")
    assert done.returncode == 0, done.stderr
    assert "CDN        off" in done.stdout
    assert "curl" not in done.stdout
    assert "aws s3 cp 's3://images-processed-1/photo.jpg/w=640,fm=jpeg.jpg' small.jpg" in done.stdout


def test_every_error_is_reported_before_anything_is_deployed(cli: StubbedCli) -> None:
    done = cli.run(
        "deploy.sh",
        "--stack",
        "Images",
        "--recipe",
        "no-such-file",
        "--force",
        "MemorySize=1",
        "Oops=2",
        without="aws",
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "expected an option of deploy.sh (see --help), got --force",
        "expected the AWS CLI (aws) on the PATH, got none",
        "expected a readable file for --recipe, got no-such-file",
        "expected 1-40 of a-z, 0-9 and -, a letter first, for --stack, got 'Images'",
        "expected 512-10240 for MemorySize, got '1'",
        "expected a parameter of the template for Oops, got an unknown one",
    ]
    assert cli.calls() == []


def test_an_option_without_a_value_is_an_error(cli: StubbedCli) -> None:
    done = cli.run("deploy.sh", "--stack")
    assert (done.returncode, done.stderr) == (2, "expected a value for --stack, got none\n")


def test_the_region_comes_from_the_aws_cli_if_it_is_not_given(cli: StubbedCli) -> None:
    done = cli.run("deploy.sh", "--yes", AWS_REGION="")
    assert done.returncode == 2
    assert "expected a region such as eu-central-1 for --region, got ''" in done.stderr
    cli.answers["configure get region"] = "echo us-east-2"
    done = cli.run("deploy.sh", "--yes", AWS_REGION="")
    assert done.returncode == 0, done.stderr
    assert "--region us-east-2" in cli.calls("sam deploy")[0]


def test_another_python_version_is_an_error(cli: StubbedCli) -> None:
    done = cli.run("deploy.sh", "--yes", LAMBDA_PYTHON="/no/such/python")
    assert done.returncode == 2
    assert "expected Python 3.13, which Lambda runs" in done.stderr
    assert cli.calls("sam ") == []


def test_without_credentials_nothing_is_built(cli: StubbedCli) -> None:
    cli.answers["get-caller-identity"] = "exit 255"
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert "expected working AWS credentials" in done.stderr
    assert cli.calls("sam ") == []


@pytest.mark.parametrize("options", [["--dry-run", "--yes"], []])
def test_a_dry_run_or_a_no_deploys_nothing(cli: StubbedCli, options: list[str]) -> None:
    done = cli.run("deploy.sh", *options, stdin="no\n")
    assert "nothing was deployed" in done.stdout + done.stderr
    assert cli.calls("sam ") == []


def test_a_yes_on_the_terminal_is_enough(cli: StubbedCli) -> None:
    assert cli.run("deploy.sh", stdin="y\n").returncode == 0
    assert len(cli.calls("sam deploy")) == 1


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ("echo True", 0, ""),
        ("echo False", 2, "expected EventBridge notifications to be on for photos, got off"),
        (
            "exit 254",
            2,
            "expected a bucket that these credentials may read for ExistingUploadBucket, got photos",
        ),
    ],
)
def test_an_existing_bucket_must_notify_eventbridge(
    cli: StubbedCli, answer: str, code: int, message: str
) -> None:
    cli.answers["get-bucket-notification-configuration --bucket photos"] = answer
    done = cli.run("deploy.sh", "--yes", "ExistingUploadBucket=photos")
    assert done.returncode == code
    assert message in done.stderr
    assert len(cli.calls("sam deploy")) == (code == 0)


def test_the_build_knows_architecture_and_recipe(cli: StubbedCli, tmp_path: Path) -> None:
    recipe = tmp_path / "ours.toml"
    recipe.write_text(DEFAULT_RECIPE)
    cli.answers["sam build"] = f'printf "%s %s" "$ARCH" "$RECIPE_FILE" >"{tmp_path}/seen"'
    done = cli.run("deploy.sh", "--yes", "--recipe", recipe, "Architecture=x86_64")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen").read_text() == f"x86_64 {recipe}"
    assert 'ParameterKey=Recipe,ParameterValue="recipe.toml"' in cli.calls("sam deploy")[0]


def test_the_release_changes_with_a_parameter_alone(cli: StubbedCli) -> None:
    for size in ("1024", "1024", "2048"):
        assert cli.run("deploy.sh", "--yes", f"MemorySize={size}").returncode == 0
    releases = [
        call.partition("ParameterKey=Release,ParameterValue=")[2].split()[0]
        for call in cli.calls("sam deploy")
    ]
    assert releases[0] == releases[1] != releases[2]
    assert all(release.isdigit() for release in releases)


KEYS = "2026:correct-horse-battery-staple"


def configure_keys(cli: StubbedCli, secret: str = KEYS) -> None:
    cli.answers["get-secret-value"] = f"printf '%s\\t%s\\n' 0a-1b '{secret}'"


def has(cli: StubbedCli, **values: str) -> None:
    """Outputs and parameters of the stack."""
    cli.answers = {f"=='{name}'": f"echo {value}" for name, value in values.items()} | cli.answers


def test_signing_keys_reach_only_the_functions_and_the_cdn(cli: StubbedCli, tmp_path: Path) -> None:
    configure_keys(cli)
    has(cli, EdgeStoreArn="arn:store")
    seen = tmp_path / "seen"
    cli.answers["describe-key-value-store"] = 'echo \'{"ETag": "E1"}\''
    cli.answers["list-keys"] = "echo '{\"Items\": []}'"
    cli.answers["update-keys"] = f'cat "${{4#file://}}" >>"{seen}"; echo \'{{"ETag": "E2"}}\''
    parameters = ("SigningKeysSecret=url-keys", "EnableHints=true", "DitSecret=dit")
    done = cli.run("deploy.sh", "--yes", *parameters)
    assert done.returncode == 0, done.stderr
    (deploy,) = cli.calls("sam deploy")
    assert "ParameterKey=SigningKeysVersion,ParameterValue=0a-1b" in deploy
    (batch,) = seen.read_text().split("}{")
    puts = {put["Key"]: put["Value"] for put in json.loads(batch)["Puts"]}
    assert puts["k/2026"] == KEYS.partition(":")[2]
    assert (puts["hints"], puts["names"], puts["dialects"]) == ("1", "1", "1")
    assert puts["n/w=640,fm=jpeg.jpg"] == "all"
    assert "1 signing keys" in done.stdout
    assert KEYS.partition(":")[2] not in done.stdout + done.stderr + cli.log.read_text()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("exit 254", "expected a secret that these credentials may read for SigningKeysSecret, got url-keys"),
        (
            "echo 0a-1b short",
            "expected ID:SECRET of at least 16 characters, comma-separated for IMAGE_PROCESSOR_SIGNING_KEYS",
        ),
    ],
)
def test_a_dry_run_validates_the_keys(cli: StubbedCli, answer: str, message: str) -> None:
    cli.answers["get-secret-value"] = answer
    done = cli.run("deploy.sh", "--dry-run", "SigningKeysSecret=url-keys")
    assert done.returncode == 2
    assert message in done.stderr
    assert cli.calls("update-keys") == []


def test_a_dry_run_validates_the_recipe(cli: StubbedCli, tmp_path: Path) -> None:
    recipe = tmp_path / "ours.toml"
    recipe.write_text("[presets.small]\nwidht = 3\n")
    done = cli.run("deploy.sh", "--dry-run", "--recipe", recipe)
    assert done.returncode == 2
    assert "widht" in done.stderr


def test_a_recipe_in_a_bucket_is_read_and_one_in_the_package_must_be_given_again(cli: StubbedCli) -> None:
    cli.answers["s3 cp"] = "exit 1"
    done = cli.run("deploy.sh", "--dry-run", "Recipe=r.toml", "RecipeBucket=our-recipes")
    assert "expected a recipe that these credentials may read in RecipeBucket" in done.stderr
    has(cli, Recipe="recipe.toml")
    done = cli.run("deploy.sh", "--dry-run")
    assert "expected the file again for --recipe" in done.stderr


def test_an_existing_stack_keeps_parameters_that_are_not_named(cli: StubbedCli) -> None:
    has(cli, SigningKeysSecret="url-keys")
    configure_keys(cli)
    done = cli.run("deploy.sh", "--yes", "MemorySize=1024")
    assert done.returncode == 0, done.stderr
    assert "ParameterKey=SigningKeysVersion,ParameterValue=0a-1b" in cli.calls("sam deploy")[0]


@pytest.mark.parametrize(("outcome", "code"), [("exit 0", 0), ("exit 2", 2)])
def test_without_the_packages_dependencies_it_installs_them(cli: StubbedCli, outcome: str, code: int) -> None:
    python = f'case "$*" in *"import msgspec"*) exit 1 ;; esac\nexec "{sys.executable}" "$@"'
    cli.replace("python3", python)
    cli.replace("make", f'printf "make %s\\n" "$*" >>"{cli.log}"\n{outcome}')
    done = cli.run("deploy.sh", "--dry-run")
    assert done.returncode == code, done.stderr
    assert cli.calls("make ") == ["make --no-print-directory PYTHON=python3 venv"]
    assert ("expected make venv to install the package, got a failure" in done.stderr) is (code == 2)
