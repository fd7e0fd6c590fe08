"""A reader of a page, who has an account of AWS with the deployed stack, and a clone of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import deploy
import pytest
from console import Errors
from PIL import Image

from support.aws_emulation.deployed import Deployed
from support.aws_emulation.server import REGION, ROOT, EmulatedAws
from support.shell import Shell

DEPLOY = """\
#!/usr/bin/env python3
import json, os, sys
if "--dry-run" in sys.argv:
    os.execv("{root}/deployment/deploy.sh", sys.argv)
with open("{log}", "a") as log:
    print(json.dumps([os.getcwd(), os.environ.get("WITH"), sys.argv[1:]]), file=log)
"""

STACK_VARIABLES = "UPLOADS={uploads} PROCESSED={processed} CDN={cdn} API={api}"
"""What a reader of a tutorial has read from the stack's outputs."""

PREPARED: Mapping[str, str] = {
    "docs/backup.md": "aws s3 mb s3://my-backup",
    "examples/github-actions/README.md": "cd examples/github-actions",
    "docs/learn/moving.md": "aws s3 mb s3://old-originals && aws s3 cp cat.jpg s3://old-originals/old/cat.jpg",
    "docs/learn/recipe-change.md": "aws s3 mb s3://my-config",
}
"""What is in the account of a page's reader."""

WRITTEN: Mapping[str, Mapping[str, str]] = {
    "docs/start-on-aws.md": {
        "s3://UPLOAD-BUCKET": "s3://{uploads}",
        "https://CDN": "{cdn}",
        "REGION": REGION,
    },
    "docs/aws.md": {
        "b:NEW,a:OLD": "b:a-new-secret-of-20-signs,a:an-old-secret-of-20-signs",
        "TOPIC-IN-US-EAST-1": f"arn:aws:sns:{REGION}:000000000000:alarms",
    },
    "docs/learn/private-library.md": {
        "b:NEW,a:OLD": "b:a-new-secret-of-20-signs,a:an-old-secret-of-20-signs",
    },
}
"""Placeholders of a page, and what stands there instead."""

ONLY_VERSION_2 = (" \\\n    --cli-binary-format raw-in-base64-out", " --cli-binary-format raw-in-base64-out")
"""An option of the AWS CLI's version 2. LocalStack brings version 1, which does the same without it."""

SECRET = "images-url-keys"


class Account:
    """What the pages use of the account, besides the stack."""

    def __init__(self, aws: EmulatedAws, system: Deployed) -> None:
        self.aws, self.system = aws, system
        self.before = {row["Key"] for row in self._uploads()}
        self.buckets = {row["Name"] for row in system.s3.list_buckets()["Buckets"]}

    def _uploads(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.system.s3.list_objects_v2(Bucket=self.system.uploads).get(
            "Contents", []
        )
        return found

    def dead_letter(self) -> str:
        """The id of a new message in the dead-letter queue."""
        queue = self.system.outputs["DeadLetterQueueUrl"]
        sent: str = self.system.sqs.send_message(QueueUrl=queue, MessageBody='{"no": "event"}')["MessageId"]
        return sent

    def restore(self) -> None:
        """Delete what a page has left, for the other tests."""
        self.system.wait_until_idle()
        for row in self._uploads():
            if row["Key"] not in self.before:
                self.system.delete(row["Key"])
        self.system.wait_until_idle()
        self.system.dead_letters(seconds=0)
        self._delete_buckets()
        self._delete_secret()
        self._delete_identities()

    def _delete_buckets(self) -> None:
        s3 = self.system.s3
        for bucket in {row["Name"] for row in s3.list_buckets()["Buckets"]} - self.buckets:
            for item in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
            s3.delete_bucket(Bucket=bucket)

    def _delete_secret(self) -> None:
        secrets = self.aws.client("secretsmanager")
        for row in secrets.list_secrets()["SecretList"]:
            if row["Name"] == SECRET:
                secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)

    def _delete_identities(self) -> None:
        iam = self.aws.client("iam")
        for row in iam.list_policies(Scope="Local")["Policies"]:
            if row["PolicyName"].startswith("images-deployer-"):
                iam.delete_policy(PolicyArn=row["Arn"])
        for row in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
            iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=row["Arn"])
        for row in iam.list_roles()["Roles"]:
            if row["RoleName"] == "deploy-images":
                iam.delete_role(RoleName=row["RoleName"])


class Reader:
    """A clone of the repository with a shell in it, and a page of it."""

    def __init__(self, folder: Path, page: Path, account: Account, environment: Mapping[str, str]) -> None:
        self.name = page.relative_to(ROOT).as_posix()
        self.account, system = account, account.system
        self.clone, home = folder / "image-processor", folder / "home"
        self.log = folder / "deployments"
        self._copy(page)
        home.mkdir()
        functions = system.functions.list_function_url_configs(FunctionName=f"{system.stack.name}-deliver")
        cdn = functions["FunctionUrlConfigs"][0]["FunctionUrl"].rstrip("/")
        gateway = urlsplit(account.aws.endpoint)
        (home / ".curlrc").write_text(f'connect-to = "::{gateway.hostname}:{gateway.port}"\nsilent\nfail\n')
        self.outputs = {
            "uploads": system.uploads,
            "processed": system.processed,
            "cdn": cdn,
            "api": f"{account.aws.endpoint}/_aws/execute-api/{system.stack.resources['Api']}/v1",
        }
        self.replaced = {
            "eu-central-1": REGION,
            "--stack images": f"--stack {system.stack.name}",
            "--stack image-processor": f"--stack {system.stack.name}",
            "--stack-name images": f"--stack-name {system.stack.name}",
            "images-publish": f"{system.stack.name}-publish",
            **dict.fromkeys(ONLY_VERSION_2, ""),
            **{name: text.format(**self.outputs) for name, text in WRITTEN.get(self.name, {}).items()},
        }
        path = os.pathsep.join((str(ROOT / ".venv" / "bin"), environment["PATH"]))
        more = {"HOME": str(home), "PATH": path, "AWS_PAGER": "", "PYTHONPATH": ""}
        self.shell = Shell(self.clone, {**environment, **more})
        self.set_outputs()
        self.shell.run(PREPARED.get(self.name, ":"))

    def _copy(self, page: Path) -> None:
        shutil.copytree(
            ROOT / "deployment", self.clone / "deployment", ignore=lambda *_: ["node_modules", "__pycache__"]
        )
        name = page.parent.name if page.name == "README.md" else page.stem
        if (example := ROOT / "examples" / name).exists():
            shutil.copytree(
                example, self.clone / "examples" / name, ignore=lambda *_: ["node_modules", ".next"]
            )
        (self.clone / ".venv").symlink_to(ROOT / ".venv")
        (self.clone / "Makefile").write_text("sam venv:\n\t@true\n")
        (self.clone / "deployment" / "deploy.sh").write_text(DEPLOY.format(root=ROOT, log=self.log))
        for name in ("ours.toml", "new.toml"):
            shutil.copyfile(ROOT / "examples" / "browser-uploads" / "recipe.toml", self.clone / name)
        Image.linear_gradient("L").resize((320, 213)).save(self.clone / "cat.jpg")

    def set_outputs(self) -> None:
        self.shell.run(STACK_VARIABLES.format(**self.outputs))

    def local(self, text: str) -> str:
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text

    def run(self, commands: str) -> str:
        """What a block prints."""
        if "dead-letters show" in commands:
            self.replaced["5f2c9a01"] = self.account.dead_letter()
        printed = self.shell.run(self.local(commands))
        if "CDN=$(output" in commands:
            assert self.shell.run("echo $UPLOADS $PROCESSED").split() == [
                self.outputs["uploads"],
                self.outputs["processed"],
            ]
            self.set_outputs()
        for key in re.findall(r"aws s3 cp cat\.jpg \S+?/(photos/cat\.jpg)", commands):
            self.account.system.wait_until_processed(key)
        return printed

    def check_deployments(self, patch: pytest.MonkeyPatch) -> None:
        """deploy.sh accepts the options and parameters of the calls that were not run."""
        patch.setenv("AWS_REGION", REGION)
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            folder, formats, arguments = json.loads(line)
            patch.chdir(folder)
            patch.delenv("WITH", raising=False)
            if formats:
                patch.setenv("WITH", formats)
            errors = Errors()
            deploy._validate(deploy._parse(arguments, errors), errors)
            errors.stop()
