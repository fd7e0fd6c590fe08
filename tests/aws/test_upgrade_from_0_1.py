"""A stack of version 0.1 with its library is updated to a released template: nothing is lost or made again.

`tests/compatibility/write_stack_0_1.py` wrote the library with the code of that version. The template and its
packages are those of a release, as users without a checkout deploy them; tests/stress builds the packages.
"""

from __future__ import annotations

import base64
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import release
from pictures import picture
from template_file import load, parse

from image_processor.domain.keys import image_id
from support.aws_emulation.deployed import ARCHITECTURE, STACK, Deployed
from support.aws_emulation.server import EmulatedAws
from support.aws_emulation.stacks import CODE_BUCKET, Stack, deploy, upload_code

NAME = "from-0-1"
RELEASES = "released-packages"
FIXTURE = Path(__file__).parents[1] / "compatibility" / "stack_0_1" / "stack.json.xz"
KEPT = (
    "UploadBucket",
    "ProcessedBucket",
    "CatalogTable",
    "IngestQueue",
    "DeadLetterQueue",
    "Api",
    "Distribution",
)


@pytest.fixture(scope="module")
def before(aws: EmulatedAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The stack of version 0.1, with functions that do nothing."""
    package = tmp_path_factory.mktemp("stub") / "image_processor"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "app.py").write_text(
        "def process(event, context):\n    return {}\n\n\napi = deliver = process\n"
    )
    upload_code(aws, package.parent, "stub-0.1.zip")
    template = fixture()["template"]
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{CODE_BUCKET}/stub-0.1.zip"
            resource.pop("Metadata", None)
    return deploy(aws, NAME, json.dumps(template), {"Architecture": ARCHITECTURE})


def fixture() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lzma.decompress(FIXTURE.read_bytes()))
    return found


def library_of(bucket: str) -> dict[str, Any]:
    """The library as version 0.1 writes it for this upload bucket: ids depend on its name."""
    text = json.dumps({name: value for name, value in fixture().items() if name != "template"})
    for row in json.loads(text)["items"]:
        text = text.replace(row["id"]["S"], image_id(bucket, row["original_file"]["S"]))
    found: dict[str, Any] = json.loads(text)
    for row in found["items"]:
        assert row["bucket"] == {"S": "uploads"}
        row["bucket"] = {"S": bucket}
    return found


@pytest.fixture(scope="module")
def library(aws: EmulatedAws, before: Stack) -> dict[str, Any]:
    """What version 0.1 had stored in the stack."""
    bucket = before.outputs["UploadBucketName"]
    found = library_of(bucket)
    s3, dynamodb = aws.client("s3"), aws.client("dynamodb")
    for name, target in (("uploads", bucket), ("processed", before.outputs["ProcessedBucketName"])):
        for row in found[name]:
            s3.put_object(Bucket=target, **{**row, "Body": base64.b64decode(row["Body"])})
    for item in found["items"]:
        dynamodb.put_item(TableName=before.outputs["TableName"], Item=item)
    return found


@pytest.fixture(scope="module")
def after(aws: EmulatedAws, system: Deployed, before: Stack, library: dict[str, Any]) -> Deployed:
    assert library["items"]
    packages = release.packages_of(release.MAKEFILE)
    copy_packages(aws, system, packages)
    template = json.dumps(release.packaged(load(), packages))
    parameters = {"ArtifactBucket": RELEASES, "Architecture": ARCHITECTURE, "EnableDelete": "true"}
    return Deployed(deploy(aws, before.name, template, parameters))


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


def test_everything_is_served_listed_and_reconciled_without_being_rendered(
    after: Deployed, before: Stack, library: dict[str, Any]
) -> None:
    assert {name: after.stack.resources[name] for name in KEPT} == {
        name: before.resources[name] for name in KEPT
    }
    assert listed(after) == statuses(library)
    assert_originals_and_renditions_are_as_before(after, library)
    answers = serve(after, library)

    stored = times(after)
    assert after.reconcile()["status"] == "finished"
    after.wait_until_idle()
    assert times(after) == stored, "nothing was rendered again"
    assert listed(after) == statuses(library)
    assert serve(after, library) == answers
    # In the listing of this version, which 16 partitions share.
    for item in library["items"]:
        record = after.record(item["original_file"]["S"])
        assert record is not None
        assert record["shelf"] != item["shelf"]["S"]
        assert record["created_at"] == item["created_at"]["N"]

    new = after.upload(picture(40, 30))
    record = after.wait_until_processed(new)
    assert after.deliver(f"/{record['processed_file']}").status_code == 200
    assert listed(after) == {**statuses(library), new: "processed"}
    # The custom resource, which version 0.1 had not, has published the recipe's names.
    assert after.edge_store().read()


def statuses(library: dict[str, Any]) -> dict[str, str]:
    return {item["original_file"]["S"]: item["status"]["S"] for item in library["items"]}


def listed(system: Deployed) -> dict[str, str]:
    images = system.api("GET", "/images").raise_for_status().json()["images"]
    return {image["original"]: image["status"] for image in images}


def assert_originals_and_renditions_are_as_before(system: Deployed, library: dict[str, Any]) -> None:
    for row in library["uploads"]:
        stored = system.s3.get_object(Bucket=system.uploads, Key=row["Key"])["Body"].read()
        assert stored == base64.b64decode(row["Body"])
    for row in library["processed"]:
        assert system.rendition(row["Key"])["Body"] == base64.b64decode(row["Body"])


def serve(system: Deployed, library: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Status and ETag of each rendition that version 0.1 named."""
    answers = {}
    for item in library["items"]:
        if key := item.get("processed_file", {}).get("S"):
            response = system.deliver(f"/{key}")
            answers[key] = (response.status_code, response.headers["etag"])
    assert len(answers) == 3
    assert {status for status, _ in answers.values()} == {200}
    return answers


def times(system: Deployed) -> dict[str, Any]:
    """When each rendition was written."""
    rows = system.s3.list_objects_v2(Bucket=system.processed)["Contents"]
    return {row["Key"]: row["LastModified"] for row in rows if not row["Key"].startswith(".")}
