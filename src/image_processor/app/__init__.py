"""Entry points on AWS: one function per Lambda function, each thin.

Nothing heavy is imported here but what every invocation of that function needs. What an
execution environment keeps (clients, the recipe) is made once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from image_processor.delivery.find import find
from image_processor.model import Kind, Upload
from image_processor.wiring.cloud import Cloud, open_cloud

from . import ingest, reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from .rest import Answer

_cloud = cache(open_cloud)


@cache
def _api() -> Answer:
    from .rest import open_api  # noqa: PLC0415 - the web framework is for this function alone

    return open_api(_cloud())


def process(event: object, context: Any) -> dict[str, Any]:
    """Make the renditions of the uploads that ``event`` tells of."""
    cloud = _cloud()
    return ingest.handle(event, cloud.process, cloud.bucket, context.get_remaining_time_in_millis)


def deliver(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Serve a rendition through the function URL."""
    cloud = _cloud()

    def found(key: str) -> Any:
        return find(cloud.processed, key, cloud.recipe, _maker(cloud))

    return reads.handle(event, found, cloud.processed, cloud.settings.cache_control)


def _maker(cloud: Cloud) -> Callable[[str], object]:
    """Makes an original's renditions if there is one: asking for a picture that never was must
    cost a look and nothing else."""

    def make(original: str) -> None:
        cloud.uploads.head(original)
        cloud.process(Upload(cloud.bucket, original, Kind.RECONCILE))

    return make


def api(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request of API Gateway with the REST API."""
    return _api()(event, context)


def _prepare(environment: Mapping[str, str]) -> None:
    """Do in Lambda's init phase, which has a whole processor whatever the memory, what the first
    invocation would wait for.

    Not under SnapStart with a recipe in a bucket: the snapshot would keep the recipe for good.
    ("Lambda environment variables" names both variables.)
    """
    kind = environment.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    recipe = environment.get("IMAGE_PROCESSOR_RECIPE", "")
    if kind is None or (kind == "snap-start" and recipe.startswith("s3://")):
        return
    if environment.get("_HANDLER", "").endswith(".api"):
        _api()
    else:
        _cloud()


_prepare(os.environ)
