"""A program for the emulated processor: render an image by the built-in recipe, load the handlers.

IMAGE INTO: nothing but the package and the standard library can be imported. It writes the renditions
into the folder INTO and prints what it has seen as JSON.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from image_processor import aws_lambda as app
from image_processor.bootstrap.aws import open_aws_context
from image_processor.domain.models import Limits
from image_processor.engine.render import render

ENVIRONMENT = {
    "IMAGE_PROCESSOR_UPLOAD_BUCKET": "uploads",
    "IMAGE_PROCESSOR_PROCESSED_BUCKET": "processed",
    "IMAGE_PROCESSOR_TABLE": "catalog",
}


def main(original: str, into: str) -> None:
    # Opening makes the clients of S3 and DynamoDB, whose libraries are compiled too.
    cloud = open_aws_context(ENVIRONMENT)
    expected = cloud.recipe.transformations_for(original)
    rendered = render(Path(original).read_bytes(), expected, Limits())
    for rendition in rendered.renditions:
        Path(into, rendition.transformation.name).write_bytes(rendition.body)
    seen = {
        "machine": platform.machine(),
        "handlers": [name for name in ("process", "deliver", "api") if callable(getattr(app, name))],
        "original": [rendered.original.width, rendered.original.height],
        "renditions": {
            rendition.transformation.name: [rendition.metadata.width, rendition.metadata.height]
            for rendition in rendered.renditions
        },
    }
    print(json.dumps(seen))  # noqa: T201 - this is the program's answer


if __name__ == "__main__":
    main(*sys.argv[1:])
