"""HTTP edge on AWS: the part of the API that makes sense behind API Gateway.

Uploads go straight to the bucket, renditions come from the CDN, and work is done in the request:
a function stands still once it has answered.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from image_processor import __version__
from image_processor.bootstrap.cloud import Cloud
from image_processor.bootstrap.delivery import reads_of
from image_processor.engine.render import render

from . import images, markup, on_demand
from . import presigned_uploads as posts
from . import recipe as about
from .app import create_app
from .dependencies import PartsOf
from .inline_work import InlineWork
from .schemas import HealthView
from .security_headers import Edge

router = APIRouter(tags=["server"])

ROUTERS = (images.router, markup.router, on_demand.router, posts.router, about.router, router)


@router.head("/health", include_in_schema=False)
@router.get("/health")
def get_health(parts: PartsOf) -> HealthView:
    """How the system is, and what it accepts."""
    return HealthView(version=__version__, uploads=parts.bucket, max_bytes=parts.settings.limits.max_bytes)


def cloud_app(cloud: Cloud) -> FastAPI:
    """The application of the api function.

    It has no Guard: callers sign each request or send a key, which no browser does for a page of
    another site, and the name in Host is API Gateway's to check.
    """
    app = create_app(cloud, InlineWork(cloud.bucket, cloud.process, reads_of(cloud, render)), ROUTERS)
    app.add_middleware(Edge)
    return app
