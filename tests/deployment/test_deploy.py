"""deploy.sh judges before it makes anything, and says at the end what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from judges import DEPLOYMENT, run
from stage import Stage

from image_processor.config.recipe import DEFAULT_RECIPE

OUTPUTS = {
    "UploadBucketName": "images-uploads-1",
    "ProcessedBucketName": "images-processed-1",
    "ApiUrl": "https://api.example.org/v1",
    "CdnUrl": "https://cdn.example.org",
}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.answers |= {f"=='{name}'": f"echo {value}" for name, value in OUTPUTS.items()}
    stage.answers["describe-stacks"] = "echo None"
    return stage


def test_the_scripts_please_shellcheck() -> None:
    done = run("shellcheck", "--external-sources", *sorted(DEPLOYMENT.glob("*.sh")))
    assert done.stdout == ""
    assert done.returncode == 0


def test_it_builds_deploys_and_tells_what_to_do_next(stage: Stage) -> None:
    done = stage.run(
        "deploy.sh", "--stack", "images", "--yes", "MemorySize=2048", "CacheControl=public, max-age=60"
    )
    assert done.returncode == 0, done.stderr
    build, deploy = stage.calls("sam ")
    assert "--template-file deployment/template.yaml" in build
    assert "--stack-name images --region eu-central-1" in deploy
    assert 'ParameterKey=MemorySize,ParameterValue="2048"' in deploy
    assert 'ParameterKey=CacheControl,ParameterValue="public, max-age=60"' in deploy
    assert "--capabilities CAPABILITY_IAM " in deploy
    for told in (
        *OUTPUTS.values(),
        "aws s3 cp photo.jpg s3://images-uploads-1/photo.jpg --region eu-central-1",
        "aws s3 ls s3://images-processed-1/photo.jpg/",
        "curl -o small.jpg 'https://cdn.example.org/photo.jpg/w=640,fm=jpeg.jpg'",
    ):
        assert told in done.stdout


def test_without_a_cdn_it_tells_of_none(stage: Stage) -> None:
    for name in ("ApiUrl", "CdnUrl"):
        stage.answers[f"=='{name}'"] = "echo None"
    done = stage.run("deploy.sh", "--yes", "EnableCdn=false", "EnableApi=false")
    assert done.returncode == 0, done.stderr
    assert "CDN        off" in done.stdout
    assert "curl" not in done.stdout
    assert "aws s3 cp 's3://images-processed-1/photo.jpg/w=640,fm=jpeg.jpg' small.jpg" in done.stdout


def test_every_mistake_is_told_before_anything_is_made(stage: Stage) -> None:
    done = stage.run(
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
    assert stage.calls() == []


def test_an_option_without_its_value_is_told(stage: Stage) -> None:
    done = stage.run("deploy.sh", "--stack")
    assert (done.returncode, done.stderr) == (2, "expected a value for --stack, got none\n")


def test_a_region_is_needed_and_the_cli_is_asked_for_it(stage: Stage) -> None:
    done = stage.run("deploy.sh", "--yes", AWS_REGION="")
    assert done.returncode == 2
    assert "expected a region such as eu-central-1 for --region, got ''" in done.stderr
    stage.answers["configure get region"] = "echo us-east-2"
    done = stage.run("deploy.sh", "--yes", AWS_REGION="")
    assert done.returncode == 0, done.stderr
    assert "--region us-east-2" in stage.calls("sam deploy")[0]


def test_a_python_of_another_version_is_told(stage: Stage) -> None:
    done = stage.run("deploy.sh", "--yes", LAMBDA_PYTHON="/no/such/python")
    assert done.returncode == 2
    assert "expected Python 3.13, which Lambda runs" in done.stderr
    assert stage.calls("sam ") == []


def test_without_credentials_nothing_is_built(stage: Stage) -> None:
    stage.answers["get-caller-identity"] = "exit 255"
    done = stage.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert "expected working AWS credentials" in done.stderr
    assert stage.calls("sam ") == []


@pytest.mark.parametrize("options", [["--dry-run", "--yes"], []])
def test_a_dry_run_or_a_no_makes_nothing(stage: Stage, options: list[str]) -> None:
    done = stage.run("deploy.sh", *options, stdin="no\n")
    assert "nothing was deployed" in done.stdout + done.stderr
    assert stage.calls("sam ") == []


def test_a_yes_on_the_terminal_is_enough(stage: Stage) -> None:
    assert stage.run("deploy.sh", stdin="y\n").returncode == 0
    assert len(stage.calls("sam deploy")) == 1


@pytest.mark.parametrize(
    ("answer", "code", "told"),
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
def test_a_bucket_that_exists_must_tell_eventbridge(stage: Stage, answer: str, code: int, told: str) -> None:
    stage.answers["get-bucket-notification-configuration --bucket photos"] = answer
    done = stage.run("deploy.sh", "--yes", "ExistingUploadBucket=photos")
    assert done.returncode == code
    assert told in done.stderr
    assert len(stage.calls("sam deploy")) == (code == 0)


def test_the_build_knows_architecture_and_recipe(stage: Stage, tmp_path: Path) -> None:
    recipe = tmp_path / "ours.toml"
    recipe.write_text(DEFAULT_RECIPE)
    stage.answers["sam build"] = f'printf "%s %s" "$ARCH" "$RECIPE_FILE" >"{tmp_path}/seen"'
    done = stage.run("deploy.sh", "--yes", "--recipe", recipe, "Architecture=x86_64")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen").read_text() == f"x86_64 {recipe}"
    assert 'ParameterKey=Recipe,ParameterValue="recipe.toml"' in stage.calls("sam deploy")[0]


def test_the_release_changes_with_a_parameter_alone(stage: Stage) -> None:
    for size in ("1024", "1024", "2048"):
        assert stage.run("deploy.sh", "--yes", f"MemorySize={size}").returncode == 0
    releases = [
        call.partition("ParameterKey=Release,ParameterValue=")[2].split()[0]
        for call in stage.calls("sam deploy")
    ]
    assert releases[0] == releases[1] != releases[2]
    assert all(release.isdigit() for release in releases)


KEYS = "2026:correct-horse-battery-staple"


def tell_of_keys(stage: Stage, secret: str = KEYS) -> None:
    stage.answers["get-secret-value"] = f"printf '%s\\t%s\\n' 0a-1b '{secret}'"


def has(stage: Stage, **values: str) -> None:
    """Outputs and parameters of the stack."""
    stage.answers = {f"=='{name}'": f"echo {value}" for name, value in values.items()} | stage.answers


def test_keys_of_the_secret_reach_functions_and_edge_and_nobody_else(stage: Stage, tmp_path: Path) -> None:
    tell_of_keys(stage)
    has(stage, EdgeStoreArn="arn:store")
    seen = tmp_path / "seen"
    stage.answers["describe-key-value-store"] = 'echo \'{"ETag": "E1"}\''
    stage.answers["list-keys"] = "echo '{\"Items\": []}'"
    stage.answers["update-keys"] = f'cat "${{4#file://}}" >>"{seen}"; echo \'{{"ETag": "E2"}}\''
    parameters = ("SigningKeysSecret=url-keys", "EnableHints=true", "DitSecret=dit")
    done = stage.run("deploy.sh", "--yes", *parameters)
    assert done.returncode == 0, done.stderr
    (deploy,) = stage.calls("sam deploy")
    assert "ParameterKey=SigningKeysVersion,ParameterValue=0a-1b" in deploy
    (batch,) = seen.read_text().split("}{")
    puts = {put["Key"]: put["Value"] for put in json.loads(batch)["Puts"]}
    assert puts["k/2026"] == KEYS.partition(":")[2]
    assert (puts["hints"], puts["names"], puts["dialects"]) == ("1", "1", "1")
    assert puts["n/w=640,fm=jpeg.jpg"] == "all"
    assert "1 signing keys" in done.stdout
    assert KEYS.partition(":")[2] not in done.stdout + done.stderr + stage.log.read_text()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("exit 254", "expected a secret that these credentials may read for SigningKeysSecret, got url-keys"),
        (
            "echo 0a-1b short",
            "expected ID:SECRET of at least 16 characters, comma-separated for IMAGE_PROCESSOR_SIGNING_KEYS",
        ),
    ],
)
def test_a_dry_run_judges_the_keys(stage: Stage, answer: str, told: str) -> None:
    stage.answers["get-secret-value"] = answer
    done = stage.run("deploy.sh", "--dry-run", "SigningKeysSecret=url-keys")
    assert done.returncode == 2
    assert told in done.stderr
    assert stage.calls("update-keys") == []


def test_a_dry_run_judges_the_recipe(stage: Stage, tmp_path: Path) -> None:
    recipe = tmp_path / "ours.toml"
    recipe.write_text("[presets.small]\nwidht = 3\n")
    done = stage.run("deploy.sh", "--dry-run", "--recipe", recipe)
    assert done.returncode == 2
    assert "widht" in done.stderr


def test_the_recipe_of_a_bucket_is_read_and_one_in_the_package_is_wanted_again(stage: Stage) -> None:
    stage.answers["s3 cp"] = "exit 1"
    done = stage.run("deploy.sh", "--dry-run", "Recipe=r.toml", "RecipeBucket=our-recipes")
    assert "expected a recipe that these credentials may read in RecipeBucket" in done.stderr
    has(stage, Recipe="recipe.toml")
    done = stage.run("deploy.sh", "--dry-run")
    assert "expected the file again for --recipe" in done.stderr


def test_a_stack_that_is_there_keeps_what_is_not_named(stage: Stage) -> None:
    has(stage, SigningKeysSecret="url-keys")
    tell_of_keys(stage)
    done = stage.run("deploy.sh", "--yes", "MemorySize=1024")
    assert done.returncode == 0, done.stderr
    assert "ParameterKey=SigningKeysVersion,ParameterValue=0a-1b" in stage.calls("sam deploy")[0]
