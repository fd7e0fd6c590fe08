"""Deployment: what deploy.sh does. Validates everything, builds, shows the change set, asks, and deploys.

`deploy` is the whole flow. Nothing is made before every error is known. A redeployment keeps what the stack
was deployed with: parameters, architecture, additional formats, recipe and tags are read from the stack.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import changeset
import interpreter
import parameters
import stack as stacks
import studio_page
from aws_cli import Aws, AwsError, find_region
from concurrency import reserve
from console import Errors, Parser, Rejected, Stopped, confirm, detail, ended, say
from recipe_source import recipe_source
from stack import Stack
from stack_secrets import PREFIX, read_secrets

from image_processor.config.recipe import DEFAULT_RECIPE, Recipe, parse_recipe
from image_processor.config.settings import from_environment
from image_processor.delivery.edge_entries import entries
from image_processor.domain.errors import Invalid
from image_processor.domain.keys import rendition_prefix

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "sam"

ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# "Tag naming limits and requirements", without quotes and with no `=` in a key, for the SAM CLI's sake.
TAG = re.compile(r"(?!aws:)([\w .:/+@-]{1,128})=([\w .:/=+@-]{0,256})")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line: ``given`` are parameters by name, the rest are options."""

    stack: str
    region: str
    recipe: Path | None
    given: Mapping[str, str]
    tags: Mapping[str, str]
    role: str
    bucket: str
    dry_run: bool
    changeset_only: bool
    skip_edge_test: bool
    yes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is deployed: all parameter ``values``, of which ``overrides`` are set and the others are kept.

    ``file`` is the recipe to put into the package (None: no file), ``text`` is the recipe and ``recipe`` what
    the functions will read in it.
    """

    values: Mapping[str, str]
    overrides: Mapping[str, str]
    file: Path | None
    text: str
    recipe: Recipe


def deploy(arguments: Sequence[str] | None) -> None:
    """The whole flow. Raises Rejected or Stopped."""
    errors = Errors()
    options = _parse(arguments, errors)
    _find_tools(errors)
    _validate(options, errors)
    errors.stop()

    aws = Aws(options.region)
    account = _account(aws)
    stack = _find(aws, options.stack)
    with tempfile.TemporaryDirectory() as folder:
        plan = _plan(aws, options, stack, Path(folder))
        say(f"stack {options.stack} in {aws.region}, account {account}, for {plan.values['Architecture']}")
        for name, value in plan.overrides.items():
            detail(f"{name}={value}")
        if options.dry_run:
            say("dry run: nothing was deployed")
            return
        say("building")
        _build(plan)
    say("packaging")
    arn = _create_changeset(aws, options, plan, stack)
    if arn is None:
        say("the stack is up to date")
    else:
        changeset.show(aws, arn)
        if options.changeset_only:
            _tell_changeset(aws, options, arn)
            return
        if not (options.yes or confirm(f"Deploy this to stack {options.stack}?")):
            changeset.discard(aws, arn, options.stack)
            raise Stopped("nothing was deployed")
        say("deploying")
        changeset.execute(aws, arn, options.stack)
    deployed = stacks.find(aws, options.stack)
    assert deployed
    if studio_page.upload(aws, deployed, plan.values):
        say("uploaded the studio's page")
    if not options.skip_edge_test:
        _test_edge_function(deployed, aws.region)
    _tell_next_steps(plan, deployed, aws.region)


# ---------------------------------------------------------------- the command line
def _parse(arguments: Sequence[str] | None, errors: Errors) -> Options:
    parser = Parser(
        prog="deployment/deploy.sh",
        usage="%(prog)s [OPTION ...] [NAME=VALUE ...]",
        description="Build the functions and deploy the stack. Everything is validated first.",
        epilog="NAME=VALUE is a parameter of deployment/template.yaml, such as EnableApi=false. On an "
        "existing stack, parameters that are not named keep their values, and so do recipe and tags.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--stack",
        default="image-processor",
        metavar="NAME",
        help="stack name, prefix of buckets and functions (%(default)s)",
    )
    add("--region", metavar="REGION", help="AWS region (AWS_REGION, or that of `aws configure`)")
    add(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="recipe to put into the package (the stack's, else the built-in one)",
    )
    add(
        "--artifact-bucket",
        default="",
        metavar="NAME",
        help="bucket for packages (one that the SAM CLI creates)",
    )
    add(
        "--tags",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="tag of the stack and its resources; repeatable",
    )
    add(
        "--role-arn",
        default="",
        metavar="ARN",
        help="role that CloudFormation assumes, also for later updates",
    )
    add("--permissions-boundary", metavar="ARN", help="policy that bounds every role of the stack")
    add("--dry-run", action="store_true", help="validate, print what would be done, and deploy nothing")
    add("--changeset-only", action="store_true", help="create the change set, show it, and do not execute it")
    add(
        "--skip-edge-test",
        action="store_true",
        help="do not run sample requests through the CloudFront function",
    )
    add("--yes", action="store_true", help="do not ask for confirmation")
    options, rest = parser.parse_known_args(arguments)
    errors.add(
        *(
            f"expected an option of deploy.sh (see --help), got {text}"
            for text in rest
            if text.startswith("-")
        )
    )
    assignments = [text for text in rest if not text.startswith("-")]
    if options.permissions_boundary is not None:
        assignments.append(f"PermissionsBoundary={options.permissions_boundary}")
    if "WITH" in os.environ:
        assignments.append(f"ExtraFormats={','.join(os.environ['WITH'].split())}")
    region = options.region or (find_region() if shutil.which("aws") else "")
    known = parameters.read(parameters.TEMPLATE.read_text(encoding="utf-8"))
    errors.add(*parameters.problems(options.stack, region, assignments, known))
    pairs = [text.partition("=") for text in assignments]
    return Options(
        options.stack,
        region,
        options.recipe,
        {name: value for name, _, value in pairs},
        _tags(options.tags, errors),
        options.role_arn,
        options.artifact_bucket,
        options.dry_run,
        options.changeset_only,
        options.skip_edge_test,
        options.yes,
    )


def _tags(texts: Sequence[str], errors: Errors) -> dict[str, str]:
    found = [(text, TAG.fullmatch(text)) for text in texts]
    errors.add(*(f"expected KEY=VALUE for --tags, got {text!r}" for text, match in found if not match))
    return {match[1]: match[2] for _, match in found if match}


def _find_tools(errors: Errors) -> None:
    # `make sam` installs it there.
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", ""), str(ROOT / ".venv-sam" / "bin")))
    for tool, what in (
        ("aws", "the AWS CLI (aws) on the PATH, got none: install it, or run pip install awscli"),
        ("sam", "the SAM CLI (sam) on the PATH, got none: install it, or run make sam"),
        ("make", "make on the PATH, got none"),
    ):
        if not shutil.which(tool):
            errors.add(f"expected {what}")
    try:
        interpreter.find()
    except interpreter.NoInterpreter as error:
        errors.add(str(error))


def _validate(options: Options, errors: Errors) -> None:
    if options.recipe and not os.access(options.recipe, os.R_OK):
        errors.add(f"expected a readable file for --recipe, got {options.recipe}")
    if options.role and not ROLE.fullmatch(options.role):
        errors.add(f"expected a role's ARN for --role-arn, got {options.role!r}")
    if options.bucket and not BUCKET.fullmatch(options.bucket):
        errors.add(f"expected a bucket name for --artifact-bucket, got {options.bucket!r}")


# ---------------------------------------------------------------- validation against the account
def _account(aws: Aws) -> str:
    try:
        return str(aws("sts", "get-caller-identity")["Account"])
    except AwsError as error:
        raise Stopped(
            f"expected working AWS credentials (aws configure, or AWS_PROFILE), got {error}"
        ) from None


def _find(aws: Aws, name: str) -> Stack | None:
    try:
        found = stacks.find(aws, name)
    except AwsError as error:
        raise Stopped(f"expected the stack {name} or word that it does not exist, got {error}") from None
    if found is None or not found.exists:
        return None
    if obstacle := found.obstacle():
        raise Stopped(obstacle)
    return found


def _plan(aws: Aws, options: Options, stack: Stack | None, folder: Path) -> Plan:
    """Validate everything that this deployment would use. Raises Rejected with every error."""
    errors = Errors()
    template = parameters.TEMPLATE.read_text(encoding="utf-8")
    kept = stack.parameters if stack else {}
    values = {name: known.default for name, known in parameters.read(template).items()}
    values |= {name: value for name, value in kept.items() if name in values}
    values |= options.given
    overrides = dict(options.given)
    source = recipe_source(aws, stack, options.given, values, options.recipe, folder, errors)
    secrets = read_secrets(aws, values, errors)
    overrides |= {
        **source.overrides,
        **{name: version for name, version in secrets.versions.items() if version != values[name]},
        **reserve(aws, stack, options.given, values, errors),
    }
    values |= overrides
    _check_uploads(aws, options.given.get("ExistingUploadBucket", ""), errors)
    errors.add(*parameters.environment_problems(template, values, secrets.variables))
    errors.stop()
    try:
        text = source.text or DEFAULT_RECIPE
        recipe = parse_recipe(text)
        settings = from_environment({**secrets.variables, **dict(_checked_settings(values))})
        entries(recipe, settings)
    except (Invalid, ValueError) as error:
        raise Rejected([str(error)]) from None
    return Plan(values, overrides, source.file, text, recipe)


def _checked_settings(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, variable in (("AllowUnsigned", "ALLOW_UNSIGNED"), ("EnableHints", "HINTS")):
        if values[name] == "true":
            yield PREFIX + variable, "1"
    for name, variable in (
        ("ImgproxyPresets", "IMGPROXY_PRESETS"),
        ("NextWidths", "NEXT_WIDTHS"),
        ("VercelWidths", "VERCEL_WIDTHS"),
    ):
        if values[name]:
            yield PREFIX + variable, values[name]


def _check_uploads(aws: Aws, bucket: str, errors: Errors) -> None:
    """An existing upload bucket must notify EventBridge."""
    if not bucket:
        return
    try:
        answer = aws("s3api", "get-bucket-notification-configuration", "--bucket", bucket)
    except AwsError as error:
        expected = "a bucket that these credentials may read for ExistingUploadBucket"
        errors.add(f"expected {expected}, got {bucket}: {error}")
        return
    if "EventBridgeConfiguration" not in answer:
        errors.add(
            f"expected EventBridge notifications to be on for {bucket}, got off: turn them on under "
            "Properties, Event notifications, of the bucket in the S3 console"
        )


# ---------------------------------------------------------------- build and deploy
def _build(plan: Plan) -> None:
    _run(
        *("sam", "build", "--template-file", "deployment/template.yaml", "--build-dir", "build/sam"),
        ARCH=plan.values["Architecture"],
        RECIPE_FILE=str(plan.file or ""),
        WITH=plan.values["ExtraFormats"].replace(",", " "),
        PYTHON=sys.executable,
    )


def _create_changeset(aws: Aws, options: Options, plan: Plan, stack: Stack | None) -> str | None:
    """The ARN of a new change set; None if nothing changes."""
    overrides = {**plan.overrides, "Release": _release(plan)}
    # Without tags the SAM CLI removes those of the stack.
    tags = {**(stack.tags if stack else {}), **options.tags}
    before = changeset.available(aws, options.stack)
    _run(
        *("sam", "deploy", "--template-file", "build/sam/template.yaml", "--stack-name", options.stack),
        *("--region", aws.region, "--s3-prefix", options.stack),
        *(("--s3-bucket", options.bucket) if options.bucket else ("--resolve-s3",)),
        *("--capabilities", "CAPABILITY_IAM", "--no-execute-changeset", "--no-fail-on-empty-changeset"),
        *(("--role-arn", options.role) if options.role else ()),
        *(("--tags", *(f'"{key}"="{value}"' for key, value in tags.items())) if tags else ()),
        *("--parameter-overrides", *parameters.overrides(overrides)),
        show=False,  # it prints the changes too, in its own way
    )
    return next(iter(changeset.available(aws, options.stack) - before), None)


def _release(plan: Plan) -> str:
    """A text that changes with packages, parameters and recipe: then SAM publishes versions, and the stack
    what the CDN's edge knows."""
    digest = hashlib.sha256()
    for file in sorted(path for path in BUILD.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(BUILD)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    values = {name: value for name, value in plan.values.items() if name != "Release"}
    digest.update(json.dumps([values, plan.text], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _run(*command: str, show: bool = True, **environment: str) -> None:
    """Run a tool in the checkout's root, and without ``show`` print its output only if it fails.

    Raises Stopped if it fails.
    """
    output = None if show else subprocess.PIPE
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, text=True, check=False
    )
    if done.returncode:
        print(done.stdout or "", end="", file=sys.stderr)
        raise Stopped(f"expected {command[0]} {command[1]} to succeed, got exit status {done.returncode}")


def _test_edge_function(stack: Stack, region: str) -> None:
    """Only CloudFront measures how much of the allowed time the function needs. Raises Stopped above 70 %."""
    if "CdnUrl" not in stack.outputs:
        return
    say("testing the CloudFront function")
    _run(sys.executable, "deployment/edge/test_function.py", "--name", f"{stack.name}-{region}")


# ---------------------------------------------------------------- next steps
def _tell_changeset(aws: Aws, options: Options, arn: str) -> None:
    say("the change set was not executed")
    detail(f"aws cloudformation execute-change-set --change-set-name {arn} --region {aws.region}")
    if options.recipe:
        detail("Its package holds the recipe, so it need not be named again.")


def _tell_next_steps(plan: Plan, stack: Stack, region: str) -> None:
    uploads, processed = stack.outputs["UploadBucketName"], stack.outputs["ProcessedBucketName"]
    cdn = stack.outputs.get("CdnUrl")
    say("deployed")
    for label, value in (
        ("uploads", f"s3://{uploads}"),
        ("renditions", f"s3://{processed}"),
        ("API", stack.outputs.get("ApiUrl", "off")),
        ("CDN", cdn or "off"),
        ("studio", stack.outputs.get("StudioUrl", "off")),
    ):
        detail(f"{label:<10} {value}")
    key = _example_key(plan.recipe)
    if key is None:
        return
    say("try it")
    detail(f"aws s3 cp photo.jpg {shlex.quote(f's3://{uploads}/{key}')} --region {region}")
    detail(f"aws s3 ls {shlex.quote(f's3://{processed}/{rendition_prefix(key)}')} --region {region}")
    detail(_example_download(plan.recipe, key, processed, cdn, region))


def _example_key(recipe: Recipe) -> str | None:
    """The key of a photo of which the recipe makes renditions; None if it makes none of any that we try."""
    globs = (rule.match.replace("**", "photo.jpg").replace("*", "photo") for rule in recipe.rules)
    return next((key for key in ("photo.jpg", *globs) if recipe.transformations_for(key)), None)


def _example_download(recipe: Recipe, key: str, processed: str, cdn: str | None, region: str) -> str:
    """A command that downloads the first rendition: from the CDN if it is public."""
    transformations = recipe.transformations_for(key)
    public = [each for each in transformations if recipe.stored_name(key, each) == each.name]
    chosen = (public or transformations)[0]
    rendition = rendition_prefix(key) + recipe.stored_name(key, chosen)
    file = f"small.{chosen.name.rpartition('.')[2]}"
    if cdn and public:
        return f"curl -o {file} {cdn}/{quote(rendition, safe='/=,:~')}"
    return f"aws s3 cp {shlex.quote(f's3://{processed}/{rendition}')} {file} --region {region}"


if __name__ == "__main__":
    sys.exit(ended(deploy))
