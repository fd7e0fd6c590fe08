"""deploy.sh validates before it makes anything, asks before it changes a stack, and keeps what it has."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

import changeset
import pytest
from linters import DEPLOYMENT, run
from stubbed_cli import CHANGE_SET, StubbedCli

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
    cli.after(**OUTPUTS)
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
    assert len(cli.calls(f"execute-change-set --change-set-name {CHANGE_SET}")) == 1
    for message in (
        *OUTPUTS.values(),
        "aws s3 cp photo.jpg s3://images-uploads-1/photo.jpg --region eu-central-1",
        "aws s3 ls s3://images-processed-1/photo.jpg/ --region eu-central-1",
        "curl -o small.avif https://cdn.example.org/photo.jpg/w=200,h=200,g=attention,fm=avif.avif",
    ):
        assert message in done.stdout


def test_the_studios_page_is_uploaded_and_knows_how_to_ask(cli: StubbedCli, tmp_path: Path) -> None:
    cli.after(**OUTPUTS, StudioBucketName="images-studio-1", StudioUrl="https://studio.example.org")
    copy = tmp_path / "page"
    cli.answers["s3 sync"] = f'cp -r "$3" "{copy}"'
    cli.link("cp")
    done = cli.run("deploy.sh", "--yes", "EnableStudio=true", "ApiAuthorization=API_KEY", "EnableDelete=true")
    assert done.returncode == 0, done.stderr
    assert "https://studio.example.org" in done.stdout
    (call,) = cli.calls("s3 sync")
    assert "s3://images-studio-1 --delete --cache-control no-cache" in call
    page = (copy / "index.html").read_text(encoding="utf-8")
    assert '<meta name="image-processor" content="API_KEY" data-delete="true">' in page
    named = set(re.findall(r'(?:src|href)="\./(static/[^"]+)"', page))
    assert named
    assert all((copy / name).is_file() for name in named)


def test_the_studios_page_knows_the_login_pages(cli: StubbedCli, tmp_path: Path) -> None:
    cli.after(
        **OUTPUTS, StudioBucketName="images-studio-1", StudioClientId="4abc", StudioUrl="https://s.example"
    )
    copy = tmp_path / "page"
    cli.answers["s3 sync"] = f'cp -r "$3" "{copy}"'
    cli.link("cp")
    pool = "arn:aws:cognito-idp:eu-central-1:111122223333:userpool/eu-central-1_Ab"
    login = ("StudioLoginDomain=login.example.org", "ApiResourceServer=images")
    api = ("ApiAuthorization=COGNITO", f"ApiUserPoolArn={pool}", "EnableStudio=true")
    done = cli.run("deploy.sh", "--yes", *api, *login)
    assert done.returncode == 0, done.stderr
    assert (
        '<meta name="image-processor" content="COGNITO" data-delete="false" '
        'data-login="https://login.example.org" data-client="4abc" '
        'data-issuer="https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab" '
        'data-resource="images">'
    ) in (copy / "index.html").read_text(encoding="utf-8")


def test_without_a_cdn_it_prints_none(cli: StubbedCli) -> None:
    cli.after(**{name: OUTPUTS[name] for name in ("UploadBucketName", "ProcessedBucketName")})
    done = cli.run("deploy.sh", "--yes", "EnableCdn=false", "EnableApi=false")
    assert done.returncode == 0, done.stderr
    assert "CDN        off" in done.stdout
    assert "curl" not in done.stdout
    assert "aws s3 cp s3://images-processed-1/photo.jpg/w=200,h=200," in done.stdout


def test_every_error_is_reported_before_anything_is_deployed(cli: StubbedCli) -> None:
    done = cli.run(
        "deploy.sh",
        "--region",
        "eu-central-1",
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
        "expected 1-40 of a-z, 0-9 and -, a letter first, for --stack, got 'Images'",
        "expected 512-10240 for MemorySize, got '1'",
        "expected a parameter of the template for Oops, got an unknown one",
        "expected the AWS CLI (aws) on the PATH, got none: install it, or run pip install awscli",
        "expected a readable file for --recipe, got no-such-file",
    ]
    assert cli.calls() == []


def test_the_shell_scripts_pass_on_arguments_and_exit_status(cli: StubbedCli) -> None:
    done = cli.shell("deploy.sh", "--dry-run", "CacheControl=no-store, a=b", "MemorySize=1024")
    assert done.returncode == 0, done.stderr
    assert "   CacheControl=no-store, a=b\n" in done.stdout
    done = cli.shell("teardown.sh", "--stack", "images", stdin="n\n")
    assert done.returncode == 1
    for script in ("deploy.sh", "teardown.sh"):
        done = cli.shell(script, PYTHON="false")
        assert (done.returncode, done.stderr) == (2, "expected Python 3.11 or newer for PYTHON, got \n")


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
    cli.answers["get-caller-identity"] = "echo Unable to locate credentials >&2; exit 255"
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert "expected working AWS credentials" in done.stderr
    assert cli.calls("sam ") == []


def test_a_dry_run_makes_nothing(cli: StubbedCli) -> None:
    done = cli.run("deploy.sh", "--dry-run", "--yes")
    assert done.returncode == 0, done.stderr
    assert "dry run: nothing was deployed" in done.stdout
    assert cli.calls("sam ") == []


@pytest.mark.parametrize("answer", ["no\n", ""])
def test_a_no_discards_the_change_set(cli: StubbedCli, answer: str) -> None:
    cli.has_stack()
    done = cli.run("deploy.sh", stdin=answer)
    assert (done.returncode, done.stderr) == (1, "nothing was deployed\n")
    assert len(cli.calls(f"delete-change-set --change-set-name {CHANGE_SET}")) == 1
    assert cli.calls("execute-change-set") == cli.calls("delete-stack") == []


def test_a_yes_on_the_terminal_is_enough(cli: StubbedCli) -> None:
    assert cli.run("deploy.sh", stdin="y\n").returncode == 0
    assert len(cli.calls("execute-change-set")) == 1


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ("echo '{\"EventBridgeConfiguration\": {}}'", 0, ""),
        ("exit 0", 2, "expected EventBridge notifications to be on for photos, got off"),
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


def releases(cli: StubbedCli) -> list[str]:
    """What was deployed as Release, each time."""
    deployed = cli.calls("sam deploy")
    return [call.partition("ParameterKey=Release,ParameterValue=")[2].split()[0] for call in deployed]


def test_the_release_changes_with_a_parameter_alone(cli: StubbedCli) -> None:
    for size in ("1024", "1024", "2048"):
        assert cli.run("deploy.sh", "--yes", f"MemorySize={size}").returncode == 0
    one, same, other = releases(cli)
    assert one == same != other
    assert all(release.strip('"').isalnum() for release in releases(cli))


def test_the_release_changes_with_a_recipe_in_a_bucket(cli: StubbedCli) -> None:
    """The edge's names are published again, though template and parameters are the same."""
    for number, recipe in enumerate((DEFAULT_RECIPE, DEFAULT_RECIPE, DEFAULT_RECIPE + "# changed")):
        (cli.folder / f"{number}.toml").write_text(recipe)
        cli.answers["s3 cp"] = f'cat "{cli.folder}/{number}.toml" >"$4"'
        done = cli.run("deploy.sh", "--yes", "Recipe=r.toml", "RecipeBucket=our-recipes")
        assert done.returncode == 0, done.stderr
    one, same, other = releases(cli)
    assert one == same != other


KEYS = "2026:correct-horse-battery-staple"


def configure_secret(
    cli: StubbedCli, name: str = "url-keys", text: str = KEYS, version: str = "0a-1b"
) -> None:
    cli.answer(f"get-secret-value --secret-id {name} ", {"VersionId": version, "SecretString": text})


def test_the_version_of_signing_keys_is_deployed_and_no_key_is_shown(cli: StubbedCli) -> None:
    configure_secret(cli)
    configure_secret(cli, "dit", "dit-secret")
    cli.after(**OUTPUTS, EdgeStoreArn="arn:store")
    parameters = ("SigningKeysSecret=url-keys", "EnableHints=true", "DitSecret=dit")
    done = cli.run("deploy.sh", "--yes", *parameters)
    assert done.returncode == 0, done.stderr
    (deploy,) = cli.calls("sam deploy")
    assert 'ParameterKey=SigningKeysVersion,ParameterValue="0a-1b"' in deploy
    assert cli.calls("cloudfront-keyvaluestore") == []
    assert KEYS.partition(":")[2] not in done.stdout + done.stderr + cli.log.read_text()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("exit 254", "expected a secret that these credentials may read for SigningKeysSecret, got url-keys"),
        (
            'echo \'{"VersionId": "0a-1b", "SecretString": "short"}\'',
            "expected ID:SECRET of at least 16 characters, comma-separated for IMAGE_PROCESSOR_SIGNING_KEYS",
        ),
    ],
)
def test_a_dry_run_validates_the_keys(cli: StubbedCli, answer: str, message: str) -> None:
    cli.answers["get-secret-value"] = answer
    done = cli.run("deploy.sh", "--dry-run", "SigningKeysSecret=url-keys")
    assert done.returncode == 2
    assert message in done.stderr
    assert cli.calls("sam ") == []


def test_a_dry_run_validates_the_recipe(cli: StubbedCli, tmp_path: Path) -> None:
    recipe = tmp_path / "ours.toml"
    recipe.write_text("[presets.small]\nwidht = 3\n")
    done = cli.run("deploy.sh", "--dry-run", "--recipe", recipe)
    assert done.returncode == 2
    assert "widht" in done.stderr


def test_a_recipe_in_a_bucket_is_read_there(cli: StubbedCli) -> None:
    cli.fail("s3 cp", "403", "Forbidden")
    done = cli.run("deploy.sh", "--dry-run", "Recipe=r.toml", "RecipeBucket=our-recipes")
    assert done.returncode == 2
    assert "got 403: Forbidden for s3://our-recipes/r.toml" in done.stderr
    cli.answers["s3 cp"] = 'echo "[presets.a" >"$4"'
    done = cli.run("deploy.sh", "--dry-run", "Recipe=r.toml", "RecipeBucket=our-recipes")
    assert done.returncode == 2
    assert "presets.a" in done.stderr or "line 1" in done.stderr


def test_an_existing_stack_keeps_parameters_that_are_not_named(cli: StubbedCli) -> None:
    cli.has_stack({"SigningKeysSecret": "url-keys"}, OUTPUTS)
    configure_secret(cli)
    done = cli.run("deploy.sh", "--yes", "MemorySize=1024")
    assert done.returncode == 0, done.stderr
    (deploy,) = cli.calls("sam deploy")
    assert 'ParameterKey=SigningKeysVersion,ParameterValue="0a-1b"' in deploy
    assert "ParameterKey=SigningKeysSecret" not in deploy


@pytest.mark.parametrize(("outcome", "code"), [("exit 0", 0), ("exit 2", 2)])
def test_without_the_packages_dependencies_it_installs_them(cli: StubbedCli, outcome: str, code: int) -> None:
    python = f'case "$*" in *"import msgspec"*) exit 1 ;; esac\nexec "{sys.executable}" "$@"'
    cli.replace("python3", python)
    cli.replace("make", f'printf "make %s\\n" "$*" >>"{cli.log}"\n{outcome}')
    done = cli.shell("deploy.sh", "--dry-run")
    assert done.returncode == code, done.stderr
    (result,) = cli.calls("make ")
    assert result.startswith("make --no-print-directory -C ")
    assert result.endswith(" PYTHON=python3 venv")
    assert ("expected make venv to install the package, got a failure" in done.stderr) is (code == 2)


# ---------------------------------------------------------------- what a stack was deployed with
def build_environment(cli: StubbedCli, *arguments: str, **environment: str) -> dict[str, str]:
    """What `sam build` gets to know: processor, additional formats, and the text of the recipe."""
    seen = cli.folder / "seen"
    cli.answers["sam build"] = (
        f"printf '%s\\n%s\\n' \"$ARCH\" \"$WITH\" >'{seen}'; "
        f"""if [ -n "$RECIPE_FILE" ]; then cat "$RECIPE_FILE" >>'{seen}'; fi"""
    )
    done = cli.run("deploy.sh", "--yes", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    arch, extras, recipe = seen.read_text().split("\n", 2)
    return {"arch": arch, "with": extras, "recipe": recipe}


def package_of(cli: StubbedCli, **files: str) -> None:
    """The package of the process function holds ``files``."""
    file = cli.folder / "package.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_toml", ".toml"), text)
    cli.answer("get-function --function-name images-process ", {"Code": {"Location": file.as_uri()}})


def overridden(cli: StubbedCli) -> dict[str, str]:
    """The parameters that the last `sam deploy` sets."""
    pairs = re.findall(r'ParameterKey=(\w+),ParameterValue="([^"]*)"', cli.calls("sam deploy")[-1])
    return dict(pairs)


def test_a_redeployment_builds_what_the_stack_was_built_with(cli: StubbedCli) -> None:
    cli.has_stack({"Architecture": "x86_64", "ExtraFormats": "heic,jxl"}, OUTPUTS)
    built = build_environment(cli, "MemorySize=1024")
    assert built == {"arch": "x86_64", "with": "heic jxl", "recipe": ""}
    assert overridden(cli).keys() == {"MemorySize", "Release"}


def test_a_named_architecture_and_formats_replace_those_of_the_stack(cli: StubbedCli) -> None:
    cli.has_stack({"Architecture": "x86_64", "ExtraFormats": "heic"}, OUTPUTS)
    built = build_environment(cli, "Architecture=arm64", WITH="")
    assert built == {"arch": "arm64", "with": "", "recipe": ""}
    assert overridden(cli) | {"Release": ""} == {"Architecture": "arm64", "ExtraFormats": "", "Release": ""}
    assert build_environment(cli, WITH="heic jxl")["with"] == "heic jxl"
    assert overridden(cli)["ExtraFormats"] == "heic,jxl"


def test_an_unknown_format_is_an_error(cli: StubbedCli) -> None:
    done = cli.run("deploy.sh", "--dry-run", WITH="psd")
    assert done.returncode == 2
    assert "for ExtraFormats, got 'psd'" in done.stderr


def test_a_redeployment_keeps_the_recipe_of_the_package(cli: StubbedCli) -> None:
    cli.has_stack({"Recipe": "recipe.toml"}, {**OUTPUTS, "ProcessFunctionName": "images-process"})
    package_of(cli, recipe_toml=RECIPE)
    assert build_environment(cli)["recipe"] == RECIPE
    assert overridden(cli)["Recipe"] == "recipe.toml"


def test_a_recipe_that_cannot_be_fetched_stops_the_deployment(cli: StubbedCli) -> None:
    cli.has_stack({"Recipe": "recipe.toml"}, {**OUTPUTS, "ProcessFunctionName": "images-process"})
    package_of(cli)
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 2
    assert "expected the recipe recipe.toml in the package of images-process" in done.stderr
    assert "name the file again with --recipe" in done.stderr
    assert cli.calls("sam ") == []


def test_a_recipe_is_given_up_only_by_name(cli: StubbedCli) -> None:
    cli.has_stack({"Recipe": "recipe.toml"}, OUTPUTS)
    assert build_environment(cli, "Recipe=")["recipe"] == ""
    assert overridden(cli)["Recipe"] == ""


def test_a_recipe_file_replaces_one_in_a_bucket(cli: StubbedCli, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(RECIPE)
    cli.has_stack({"Recipe": "r.toml", "RecipeBucket": "our-recipes"}, OUTPUTS)
    assert build_environment(cli, "--recipe", str(file))["recipe"] == RECIPE
    assert overridden(cli) | {"Release": ""} == {"Recipe": "recipe.toml", "RecipeBucket": "", "Release": ""}
    done = cli.run("deploy.sh", "--dry-run", "--recipe", file, "Recipe=r", "RecipeBucket=our-recipes")
    assert "expected --recipe or RecipeBucket, got both" in done.stderr


def test_a_recipe_name_alone_is_no_recipe(cli: StubbedCli) -> None:
    done = cli.run("deploy.sh", "--dry-run", "Recipe=r.toml")
    assert done.returncode == 2
    assert "expected --recipe FILE or RecipeBucket with Recipe, got only Recipe=r.toml" in done.stderr


def test_tags_of_the_stack_are_kept(cli: StubbedCli) -> None:
    cli.has_stack(outputs=OUTPUTS, tags=[{"Key": "team", "Value": "web"}, {"Key": "cost", "Value": "7"}])
    assert cli.run("deploy.sh", "--yes", "--tags", "cost=a b", "--tags", "new=1").returncode == 0
    assert '--tags "team"="web" "cost"="a b" "new"="1" ' in cli.calls("sam deploy")[0]


# ---------------------------------------------------------------- the stack is looked up once
def test_only_a_stack_that_does_not_exist_is_new(cli: StubbedCli) -> None:
    cli.fail("describe-stacks", "Throttling", "Rate exceeded")
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert "expected the stack image-processor or word that it does not exist" in done.stderr
    assert "Throttling: Rate exceeded" in done.stderr
    assert cli.calls("sam ") == []


def test_the_stack_is_described_once_before_the_deployment(cli: StubbedCli) -> None:
    cli.has_stack({"SigningKeysSecret": "url-keys"}, OUTPUTS)
    configure_secret(cli)
    assert cli.run("deploy.sh", "--dry-run").returncode == 0
    assert len(cli.calls("describe-stacks")) == 1


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        ("UPDATE_IN_PROGRESS", "try again later"),
        ("ROLLBACK_COMPLETE", "delete it with deployment/teardown.sh --stack images"),
        ("UPDATE_ROLLBACK_FAILED", "run aws cloudformation continue-update-rollback --stack-name images"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_an_error(cli: StubbedCli, status: str, cure: str) -> None:
    cli.has_stack(status=status)
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert status in done.stderr
    assert cure in done.stderr
    assert cli.calls("sam ") == []


# ---------------------------------------------------------------- secrets
IMGPROXY = '{"key": "0a1b", "salt": "2c3d"}'


def test_every_secret_is_pinned_to_its_version(cli: StubbedCli) -> None:
    cli.has_stack({"ThumborSecret": "thumbor", "ThumborVersion": "old", "DitVersion": "old"}, OUTPUTS)
    configure_secret(cli, "thumbor", "security-key", "v-2")
    configure_secret(cli, "imgproxy", IMGPROXY, "v-3")
    assert cli.run("deploy.sh", "--yes", "ImgproxySecret=imgproxy").returncode == 0
    found = overridden(cli)
    assert (found["ThumborVersion"], found["ImgproxyVersion"], found["DitVersion"]) == ("v-2", "v-3", "")
    assert "SigningKeysVersion" not in found


@pytest.mark.parametrize(
    ("parameter", "answer", "message"),
    [
        (
            "ThumborSecret",
            None,
            "expected a secret that these credentials may read for ThumborSecret, got s-1",
        ),
        ("DitSecret", None, "expected a secret that these credentials may read for DitSecret, got s-1"),
        ("DitSecret", {"SecretBinary": "AA=="}, "expected text in the secret s-1 for DitSecret"),
        ("ThumborSecret", {"SecretString": "two\nlines"}, "IMAGE_PROCESSOR_THUMBOR_KEY"),
        ("ImgproxySecret", {"SecretString": "0a1b"}, "expected JSON with key and salt in the secret s-1"),
        ("ImgproxySecret", {"SecretString": '{"key": "0a1b"}'}, "got no text for salt"),
        ("ImgproxySecret", {"SecretString": '{"key": "xy-1", "salt": "0a"}'}, "IMAGE_PROCESSOR_IMGPROXY_KEY"),
    ],
)
def test_a_secret_of_the_wrong_shape_is_an_error_that_does_not_show_it(
    cli: StubbedCli, parameter: str, answer: dict[str, str] | None, message: str
) -> None:
    if answer is None:
        cli.fail("get-secret-value", "AccessDeniedException", "no")
    else:
        cli.answer("get-secret-value", {"VersionId": "v-1", **answer})
    done = cli.run("deploy.sh", "--dry-run", f"{parameter}=s-1")
    assert done.returncode == 2
    assert message in done.stderr
    for text in (answer or {}).values():
        assert text not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Dialects=cloudflare,nonsense", "for IMAGE_PROCESSOR_DIALECTS, got 'cloudflare,nonsense'"),
        ("NextWidths=640,99999", "for IMAGE_PROCESSOR_NEXT_WIDTHS, got '640,99999'"),
        ("ImgproxyPresets=small", "for IMAGE_PROCESSOR_IMGPROXY_PRESETS, got 'small'"),
    ],
)
def test_settings_of_dialects_are_checked_before_anything_changes(
    cli: StubbedCli, given: str, message: str
) -> None:
    done = cli.run("deploy.sh", "--dry-run", given)
    assert done.returncode == 2
    assert message in done.stderr


def test_all_unreadable_secrets_are_reported_at_once(cli: StubbedCli) -> None:
    cli.fail("get-secret-value", "ResourceNotFoundException", "none")
    done = cli.run("deploy.sh", "--dry-run", "ThumborSecret=a", "DitSecret=b", "SigningKeysSecret=c")
    assert [line.split(",")[1].split(":")[0] for line in done.stderr.splitlines()] == [
        " got c",
        " got a",
        " got b",
    ]


def test_an_environment_that_lambda_refuses_is_an_error(cli: StubbedCli) -> None:
    configure_secret(cli, text=",".join(f"k{number}:{'x' * 100}" for number in range(40)))
    done = cli.run("deploy.sh", "--dry-run", "SigningKeysSecret=url-keys")
    assert done.returncode == 2
    assert "expected at most 4096 bytes of environment for DeliverFunction, got about" in done.stderr


# ---------------------------------------------------------------- reserved concurrency
def account_has(cli: StubbedCli, total: int, unreserved: int) -> None:
    limit = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}
    cli.answer("get-account-settings", {"AccountLimit": limit})


@pytest.mark.parametrize(
    ("total", "unreserved", "value"), [(1000, 150, None), (1000, 149, "0"), (10, 10, "0")]
)
def test_the_default_reservation_is_left_out_where_it_does_not_fit(
    cli: StubbedCli, total: int, unreserved: int, value: str | None
) -> None:
    account_has(cli, total, unreserved)
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 0, done.stderr
    assert overridden(cli).get("DeliverConcurrency") == value
    assert ("warning: DeliverConcurrency is 0 instead of 50" in done.stderr) == (value is not None)


@pytest.mark.parametrize(
    ("reserved", "wanted", "code"), [(None, "51", 2), (None, "50", 0), ("30", "80", 0), ("30", "81", 2)]
)
def test_a_named_reservation_must_fit(cli: StubbedCli, reserved: str | None, wanted: str, code: int) -> None:
    if reserved:
        cli.has_stack({"DeliverConcurrency": reserved, "EnableCdn": "true"}, OUTPUTS)
    account_has(cli, 1000, 150)
    done = cli.run("deploy.sh", "--dry-run", f"DeliverConcurrency={wanted}")
    assert done.returncode == code
    room = 50 + int(reserved or 0)
    message = f"expected at most {room} for DeliverConcurrency, got {wanted}: the account has 150 of 1000"
    assert (message in done.stderr) == (code == 2)


@pytest.mark.parametrize("value", ["0", "50"])
def test_an_existing_stack_keeps_its_reservation(cli: StubbedCli, value: str) -> None:
    cli.has_stack({"DeliverConcurrency": value, "EnableCdn": "true"}, OUTPUTS)
    account_has(cli, 10, 10)
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 0, done.stderr
    assert "DeliverConcurrency" not in overridden(cli)
    assert done.stderr == ""


# ---------------------------------------------------------------- the change set
def change(action: str, name: str, type_: str, **more: str) -> dict[str, object]:
    about = {"Action": action, "LogicalResourceId": name, "ResourceType": type_, **more}
    return {"Type": "Resource", "ResourceChange": about}


CHANGES = [
    change("Add", "ApiKey", "AWS::ApiGateway::ApiKey"),
    change("Modify", "ProcessRole", "AWS::IAM::Role", Replacement="False"),
    change("Remove", "AlarmTopic", "AWS::SNS::Topic"),
    change("Modify", "IngestQueue", "AWS::SQS::Queue", Replacement="True"),
    change("Modify", "EdgeFunction", "AWS::CloudFront::Function", Replacement="Conditional"),
]


def test_changes_are_shown_before_the_question_replacements_first(cli: StubbedCli) -> None:
    cli.has_stack(outputs=OUTPUTS)
    cli.answer("describe-change-set", {"Changes": CHANGES})
    done = cli.run("deploy.sh", stdin="n\n")
    shown, _, question = done.stdout.partition("== changes\n")[2].partition("\n\n")
    assert [" ".join(line.split()) for line in shown.splitlines()] == [
        "replace IngestQueue AWS::SQS::Queue",
        "may replace EdgeFunction AWS::CloudFront::Function",
        "remove AlarmTopic AWS::SNS::Topic",
        "modify ProcessRole AWS::IAM::Role",
        "add ApiKey AWS::ApiGateway::ApiKey",
        "1 replace, 1 may replace, 1 remove, 1 modify, 1 add",
    ]
    assert question.startswith("Deploy this to stack image-processor? [y/N]")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("out", "no_color", "red"),
    [("terminal", "", ["IngestQueue", "EdgeFunction"]), ("terminal", "1", []), ("pipe", "", [])],
)
def test_replacements_are_red_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    no_color: str,
    red: list[str],
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr("sys.stdout.isatty", lambda: out == "terminal")
    changeset.show(lambda *_: {"Changes": CHANGES}, "arn")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-2] for line in lines if "\x1b[31m" in line] == red


def test_events_are_followed_until_the_stack_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def event(name: str, status: str, physical: str = "other") -> dict[str, str]:
        return {
            "EventId": f"{name} {status}",
            "LogicalResourceId": name,
            "PhysicalResourceId": physical,
            "ResourceStatus": status,
            "StackId": "arn:stack",
        }

    before = event("Table", "CREATE_COMPLETE")
    arriving = [
        [event("Queue", "UPDATE_COMPLETE")],
        [],
        [event("images", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "arn:stack")],
        [event("OldQueue", "DELETE_COMPLETE"), event("images", "UPDATE_COMPLETE", "arn:stack")],
        [event("Late", "UPDATE_COMPLETE")],
    ]
    listed, calls, statuses = [before], [], iter(["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"])

    def aws(_: str, operation: str, *__: str) -> dict[str, object]:
        calls.append(operation)
        if operation == "describe-stacks":
            return {"Stacks": [{"StackName": "images", "StackStatus": next(statuses)}]}
        if operation == "describe-stack-events":
            if "execute-change-set" in calls:
                listed[:0] = reversed(arriving.pop(0))
            return {"StackEvents": list(listed)}
        return {}

    monkeypatch.setattr(changeset, "POLL_SECONDS", 0)
    assert changeset.execute(aws, "arn", "images").status == "UPDATE_COMPLETE"
    reported = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert reported == [
        ["UPDATE_COMPLETE", "Queue"],
        ["DELETE_COMPLETE", "OldQueue"],
        ["UPDATE_COMPLETE", "images"],
        ["UPDATE_COMPLETE", "Late"],
    ]
    # Once when nothing had come, once when the stack said that it was done.
    assert calls.count("describe-stacks") == 2


def test_changeset_only_executes_nothing_and_says_how(cli: StubbedCli) -> None:
    cli.has_stack(outputs={**OUTPUTS, "EdgeStoreArn": "arn:store"})
    done = cli.run("deploy.sh", "--changeset-only")
    assert done.returncode == 0, done.stderr
    assert f"execute-change-set --change-set-name {CHANGE_SET} --region eu-central-1" in done.stdout
    assert cli.calls("execute-change-set") == cli.calls("keyvaluestore") == cli.calls("delete-") == []


def test_a_no_to_a_new_stack_leaves_no_empty_stack(cli: StubbedCli) -> None:
    result = cli.folder / "made"
    review = cli.prints({"Stacks": [{"StackName": "images", "StackStatus": "REVIEW_IN_PROGRESS"}]})
    missing = cli.answers["describe-stacks"]
    cli.answers["describe-stacks"] = f'if [ -e "{result}" ]; then {review}; else {missing}; fi'
    done = cli.run("deploy.sh", "--stack", "images", stdin="n\n")
    assert done.returncode == 1
    assert len(cli.calls("delete-stack --stack-name images ")) == 1


def test_an_up_to_date_stack_is_left_alone(cli: StubbedCli) -> None:
    cli.has_stack(outputs=OUTPUTS)
    cli.answers["sam deploy"] = ":"
    done = cli.run("deploy.sh", stdin="")
    assert done.returncode == 0, done.stderr
    assert "the stack is up to date" in done.stdout
    assert cli.calls("execute-change-set") == []


def test_a_failed_change_set_shows_why(cli: StubbedCli, capfd: pytest.CaptureFixture[str]) -> None:
    cli.answers["sam deploy"] = "echo 'Error: No bucket'; exit 1"
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert done.stderr == "Error: No bucket\nexpected sam deploy to succeed, got exit status 1\n"
    assert capfd.readouterr().out == ""


def test_an_older_change_set_is_not_taken_for_this_one(cli: StubbedCli) -> None:
    (cli.folder / "made").touch()
    cli.has_stack(outputs=OUTPUTS)
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 0, done.stderr
    assert cli.calls("execute-change-set") == []


def test_a_failed_deployment_gives_the_reasons(cli: StubbedCli) -> None:
    (cli.folder / "after").write_text(
        json.dumps({"Stacks": [{"StackName": "i", "StackStatus": "ROLLBACK_COMPLETE"}]})
    )
    executed = cli.folder / "executed"
    events = [
        {"EventId": "3", "ResourceStatus": "ROLLBACK_COMPLETE", "LogicalResourceId": "images"},
        {"EventId": "2", "ResourceStatus": "CREATE_FAILED", "LogicalResourceId": "Other",
         "ResourceStatusReason": "Resource creation cancelled"},
        {"EventId": "1", "ResourceStatus": "CREATE_FAILED", "LogicalResourceId": "Api",
         "ResourceStatusReason": "Limit exceeded"},
    ]  # fmt: skip
    cli.answers["describe-stack-events"] = f'[ ! -e "{executed}" ] || {cli.prints({"StackEvents": events})}'
    done = cli.run("deploy.sh", "--yes")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "expected the stack to be deployed, got ROLLBACK_COMPLETE: Api: Limit exceeded\n"
    )
    assert "CREATE_FAILED            Api: Limit exceeded" in done.stdout


def test_role_bucket_and_boundary_reach_cloudformation(cli: StubbedCli) -> None:
    role, boundary = "arn:aws:iam::111122223333:role/deploy", "arn:aws:iam::111122223333:policy/limit"
    options = ("--role-arn", role, "--artifact-bucket", "our-packages", "--permissions-boundary", boundary)
    assert cli.run("deploy.sh", "--yes", *options).returncode == 0
    (deploy,) = cli.calls("sam deploy")
    assert f"--role-arn {role} " in deploy
    assert "--s3-bucket our-packages " in deploy
    assert "--resolve-s3" not in deploy
    assert overridden(cli)["PermissionsBoundary"] == boundary


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--role-arn", "deploy", "expected a role's ARN for --role-arn, got 'deploy'"),
        (
            "--artifact-bucket",
            "Our_Packages",
            "expected a bucket name for --artifact-bucket, got 'Our_Packages'",
        ),
        ("--tags", "team", "expected KEY=VALUE for --tags, got 'team'"),
        ("--tags", "aws:team=1", "expected KEY=VALUE for --tags, got 'aws:team=1'"),
        ("--permissions-boundary", "limit", "for PermissionsBoundary, got 'limit'"),
    ],
)
def test_an_invalid_value_of_an_option_is_an_error(
    cli: StubbedCli, option: str, value: str, message: str
) -> None:
    done = cli.run("deploy.sh", "--dry-run", option, value)
    assert done.returncode == 2
    assert message in done.stderr


# ---------------------------------------------------------------- the CloudFront function
@pytest.mark.parametrize("outcome", [0, 1])
def test_the_cloudfront_function_is_tested_after_the_deployment(
    cli: StubbedCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: int
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{cli.log}"\nexit {outcome}\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    cli.has_stack(outputs=OUTPUTS)
    cli.deploy_options = ()
    done = cli.run("deploy.sh", "--stack", "images", "--yes")
    assert done.returncode == outcome
    assert cli.calls()[-1] == "deployment/edge/test_function.py --name images-eu-central-1"
    assert ("== deployed" in done.stdout) == (outcome == 0)


def test_without_a_cdn_there_is_no_function_to_test(cli: StubbedCli) -> None:
    cli.after(**{name: OUTPUTS[name] for name in ("UploadBucketName", "ProcessedBucketName")})
    cli.deploy_options = ()
    assert cli.run("deploy.sh", "--yes", "EnableCdn=false").returncode == 0


# ---------------------------------------------------------------- the closing commands
RECIPE = """
[presets.inner]
public = false
width = 40
formats = ["jpeg"]
[presets.card]
width = 30
formats = ["webp"]
[[rules]]
match = "shop/*/**"
presets = ["inner", "card"]
"""


def test_the_closing_commands_use_a_rendition_that_the_recipe_declares(
    cli: StubbedCli, tmp_path: Path
) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(RECIPE)
    done = cli.run("deploy.sh", "--yes", "--recipe", file)
    assert done.returncode == 0, done.stderr
    assert "aws s3 cp photo.jpg s3://images-uploads-1/shop/photo/photo.jpg" in done.stdout
    assert "curl -o small.webp https://cdn.example.org/shop/photo/photo.jpg/w=30,fm=webp.webp" in done.stdout
    file.write_text(
        RECIPE.replace('"inner", "card"]', '"inner"]')
        .replace("[presets.card]", "[presets.more]")
        .replace('"**"', '"x"')
        + '[[rules]]\nmatch = "more/**"\npresets = ["more"]\n'
    )
    done = cli.run("deploy.sh", "--yes", "--recipe", file)
    download = "aws s3 cp 's3://images-processed-1/shop/photo/photo.jpg/~w=40,fm=jpeg.jpg' small.jpg"
    assert f"{download} --region eu-central-1" in done.stdout


def test_a_recipe_without_renditions_has_no_closing_commands(cli: StubbedCli, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('[[rules]]\nmatch = "**"\npresets = []\n')
    done = cli.run("deploy.sh", "--yes", "--recipe", file)
    assert done.returncode == 0, done.stderr
    assert "try it" not in done.stdout
