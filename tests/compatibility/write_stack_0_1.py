"""Writes stack_0_1/stack.json.xz with the code of 0.1.0: `write_stack_0_1.py CHECKOUT`, a checkout of it.

Its function *process* runs over moto's S3 and DynamoDB. The file has what it left in both buckets and in the
table, and the version's template without code. It was run once; a released format never changes.
"""

from __future__ import annotations

import base64
import io
import json
import lzma
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
from moto.server import ThreadedMotoServer
from PIL import Image
from template_file import parse

OUTPUT = Path(__file__).parent / "stack_0_1" / "stack.json.xz"
UPLOADS, PROCESSED, TABLE = "uploads", "processed", "records"


def picture(kind: str, width: int, height: int, mode: str = "RGB") -> bytes:
    """A gradient."""
    image = Image.new(mode, (width, height))
    for x in range(width):
        for y in range(height):
            image.putpixel(
                (x, y), (x * 255 // width, y * 255 // height, 90, 40 + x * 200 // width)[: len(mode)]
            )
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


ORIGINALS = {
    "photos/a.jpg": (picture("JPEG", 60, 40), "image/jpeg"),
    "logo über 1.png": (picture("PNG", 48, 32, "RGBA"), "image/png"),
    "a//odd.webp": (picture("WEBP", 40, 40), "image/webp"),
    "notes.txt": (b"no image\n", "text/plain"),
}


class Context:
    """What Lambda passes with an event."""

    function_version = "1"

    def get_remaining_time_in_millis(self) -> int:
        return 100_000


def make_resources(s3: Any, dynamodb: Any, template: dict[str, Any]) -> None:
    """The buckets, and the table as the template describes it."""
    for bucket in (UPLOADS, PROCESSED):
        s3.create_bucket(Bucket=bucket)
    properties = template["Resources"]["CatalogTable"]["Properties"]
    names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    dynamodb.create_table(TableName=TABLE, **{name: properties[name] for name in names})


def process(s3: Any) -> None:
    """Upload the originals, and hand their events to the function."""
    from image_processor import __version__, app  # type: ignore[attr-defined]  # noqa: PLC0415  # 0.1.0's

    assert __version__ == "0.1.0", f"expected a checkout of 0.1.0, got {__version__}"
    for number, (key, (body, media_type)) in enumerate(ORIGINALS.items()):
        etag = s3.put_object(Bucket=UPLOADS, Key=key, Body=body, ContentType=media_type)["ETag"].strip('"')
        facts = {"key": quote_plus(key, safe="/"), "eTag": etag, "size": len(body)}
        event = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "eventTime": "2026-11-28T10:00:00.000Z",
            "s3": {"bucket": {"name": UPLOADS}, "object": {**facts, "sequencer": f"0055AED6DCD9028{number}"}},
        }
        message = {
            "messageId": str(number),
            "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": "1"},
            "body": json.dumps({"Records": [event]}),
        }
        assert app.process({"Records": [message]}, Context()) == {"batchItemFailures": []}


def objects(s3: Any, bucket: str) -> list[dict[str, Any]]:
    """All objects of a bucket, as arguments of `put_object`."""
    found = []
    for row in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        stored = s3.get_object(Bucket=bucket, Key=row["Key"])
        names = ("ContentType", "CacheControl", "ContentDisposition", "Metadata")
        facts = {name: stored[name] for name in names if name in stored}
        body = base64.b64encode(stored["Body"].read()).decode()
        found.append({"Key": row["Key"], "Body": body, **facts})
    return found


def without_code(template: dict[str, Any]) -> dict[str, Any]:
    """The template with a CloudFront function that does nothing."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFront::Function":
            resource["Properties"]["FunctionCode"] = "function handler(event) { return event.request; }"
    return template


def main(checkout: str) -> None:
    template = parse((Path(checkout) / "deployment" / "template.yaml").read_text(encoding="utf-8"))
    server = ThreadedMotoServer(port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "test",
        "IMAGE_PROCESSOR_UPLOAD_BUCKET": UPLOADS,
        "IMAGE_PROCESSOR_PROCESSED_BUCKET": PROCESSED,
        "IMAGE_PROCESSOR_TABLE": TABLE,
        "IMAGE_PROCESSOR_CACHE_CONTROL": template["Parameters"]["CacheControl"]["Default"],
    }
    s3, dynamodb = (boto3.client(name, endpoint_url=endpoint) for name in ("s3", "dynamodb"))
    make_resources(s3, dynamodb, template)
    sys.path.insert(0, str(Path(checkout) / "src"))
    process(s3)
    found = {
        "uploads": objects(s3, UPLOADS),
        "processed": objects(s3, PROCESSED),
        "items": dynamodb.scan(TableName=TABLE)["Items"],
        "template": without_code(template),
    }
    server.stop()
    OUTPUT.write_bytes(lzma.compress(json.dumps(found, ensure_ascii=False, sort_keys=True).encode()))


if __name__ == "__main__":
    main(sys.argv[1])
