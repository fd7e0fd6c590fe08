"""`backfill manifest`: what it writes is what S3 Batch Operations reads and `process` understands."""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import Any

import boto3
import pytest
from botocore.validate import validate_parameters
from test_cli_reconcile_aws import Stack, lambda_api, stack

from image_processor.domain.ports import Attributes
from image_processor.ingest.events import read_messages

__all__ = ["lambda_api", "stack"]

ODD_KEYS = ['a b+c%20,"d".jpg', "hä日本.jpg", "line\nbreak.jpg"]


@pytest.fixture
def manifest(run: Any, stack: Stack, lambda_api: Any) -> dict[str, Any]:
    """What the command has printed, with the manifest's text."""
    stack.variables["IMAGE_PROCESSOR_RECIPE"] = "recipe.toml"
    lambda_api.answer(FunctionArn="arn:aws:lambda:us-east-1:123456789012:function:pictures-process:live")
    for key in [*ODD_KEYS, "ignored/0.jpg"]:
        stack.uploads.put(key, b"x", Attributes())
    status, out, err = run("backfill", "manifest", "--stack", "pictures", "--json")
    assert (status, err) == (0, "")
    printed: dict[str, Any] = json.loads(out)
    key = printed["manifest"].removeprefix("s3://my-renditions/")
    return {**printed, "stored": stack.processed.get(key)}


def test_every_original_that_the_recipe_processes_is_a_line(manifest: dict[str, Any]) -> None:
    assert manifest["originals"] == 12 + len(ODD_KEYS)
    rows = list(csv.reader(io.StringIO(manifest["stored"].body.decode())))
    assert {bucket for bucket, _ in rows} == {"my-uploads"}
    task = {"taskId": "t", "s3BucketArn": "arn:aws:s3:::my-uploads"}
    read = [read_messages({"tasks": [{**task, "s3Key": key}]})[0].uploads[0].key for _, key in rows]
    assert set(ODD_KEYS) < set(read)
    assert (len(read), "ignored/0.jpg" in read) == (15, False)


def test_the_job_is_one_that_s3_accepts(manifest: dict[str, Any]) -> None:
    """As botocore validates it."""
    job = manifest["job"]
    assert job["Manifest"]["Location"] == {
        "ObjectArn": "arn:aws:s3:::" + manifest["manifest"].removeprefix("s3://"),
        "ETag": manifest["stored"].entry.version,
    }
    assert job["AccountId"] == "123456789012"
    shape = boto3.client("s3control", region_name="us-east-1").meta.service_model.operation_model("CreateJob")
    complete = {**job, "RoleArn": "arn:aws:iam::123456789012:role/backfill", "ClientRequestToken": "t"}
    validate_parameters(complete, shape.input_shape)


def test_the_printed_command_is_complete(run: Any, stack: Stack, lambda_api: Any) -> None:
    del stack
    lambda_api.answer(FunctionArn="arn:aws:lambda:us-east-1:123456789012:function:pictures-process:live")
    status, out, _ = run("backfill", "manifest", "--stack", "pictures", "--prefix", "0")
    assert (status, out.splitlines()[0].split(" in ")[0]) == (0, "10 originals")
    words = shlex.split(out.splitlines()[-1])
    assert words[:6] == ["aws", "s3control", "create-job", "--region", "us-east-1", "--cli-input-json"]
    assert json.loads(words[6])["Operation"]["LambdaInvoke"]["FunctionArn"].endswith(":live")


def test_an_empty_manifest_is_not_written(run: Any, stack: Stack, lambda_api: Any) -> None:
    del lambda_api
    status, _, err = run("backfill", "manifest", "--stack", "pictures", "--prefix", "none/")
    assert (status, "expected a prefix of at least one original" in err) == (2, True)
    assert stack.processed.bodies() == {}
