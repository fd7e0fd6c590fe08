"""The smallest Python function on our two libraries: GET, resize, PUT, without our code.

Its cold start is the lower bound for *process*.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import unquote_plus

import obstore
import pyvips
from obstore.store import S3Store

pyvips.cache_set_max(0)
pyvips.concurrency_set(1)

_WIDTH = 720


def _open(bucket: str) -> S3Store:
    return S3Store(
        bucket,
        aws_endpoint_url_s3=os.environ["AWS_ENDPOINT_URL"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


_uploads = _open(os.environ["IMAGE_PROCESSOR_UPLOAD_BUCKET"])
_processed = _open(os.environ["IMAGE_PROCESSOR_PROCESSED_BUCKET"])


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    for message in event["Records"]:
        for record in json.loads(message["body"])["Records"]:
            _make(unquote_plus(record["s3"]["object"]["key"]))
    return {"batchItemFailures": []}


def _make(key: str) -> None:
    original = obstore.get(_uploads, key).bytes().to_bytes()
    # As our engine does: the decoder does most of the shrinking.
    halved = pyvips.Image.jpegload_buffer(original, shrink=2)
    height = round(halved.height * _WIDTH / halved.width)
    made = halved.thumbnail_image(_WIDTH, height=height, size="force")
    body = made.jpegsave_buffer(Q=75, optimize_coding=True, keep="none")
    obstore.put(_processed, f"{key}/w={_WIDTH}.jpg", body, attributes={"Content-Type": "image/jpeg"})
