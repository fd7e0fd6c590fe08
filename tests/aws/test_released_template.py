"""A released template, deployed as users without a checkout do. tests/stress makes the packages anew."""

from __future__ import annotations

import json

import release
from pictures import picture
from template_file import load, parse

from support.aws_emulation.deployed import ARCHITECTURE, STACK, Deployed
from support.aws_emulation.server import EmulatedAws
from support.aws_emulation.stacks import deploy

RELEASES = "released-packages"


def test_a_released_template_makes_a_stack_that_works(aws: EmulatedAws, system: Deployed) -> None:
    packages = release.packages_of(release.MAKEFILE)
    copy_packages(aws, system, packages)
    template = json.dumps(release.packaged(load(), packages))
    parameters = {"ArtifactBucket": RELEASES, "Architecture": ARCHITECTURE}
    released = Deployed(deploy(aws, "released", template, parameters))
    record = released.wait_until_processed(released.upload(picture(40, 30)))
    assert released.deliver(f"/{record['processed_file']}").status_code == 200
    # The stack's custom resource has published the recipe's names.
    assert released.edge_store().read()


def copy_packages(aws: EmulatedAws, system: Deployed, packages: dict[str, str]) -> None:
    """Give the packages that deploy.sh has uploaded the names that they have in a release."""
    assert system.outputs
    aws.client("s3").create_bucket(Bucket=RELEASES)
    body = aws.client("cloudformation").get_template(StackName=STACK)["TemplateBody"]
    functions = parse(body)["Resources"] if isinstance(body, str) else body["Resources"]
    for name, package in packages.items():
        bucket, _, key = functions[name]["Properties"]["CodeUri"].removeprefix("s3://").partition("/")
        aws.client("s3").copy_object(
            Bucket=RELEASES,
            Key=f"{release.release_name()}/{package}-{ARCHITECTURE}.zip",
            CopySource={"Bucket": bucket, "Key": key},
        )
