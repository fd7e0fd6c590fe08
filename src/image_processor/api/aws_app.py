"""The application behind API Gateway.

Originals are uploaded straight to the bucket and a CDN serves renditions. Work is done inside the
request, because a Lambda function is frozen once it has answered.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from image_processor import __version__

from . import app, images, presigned_uploads
from .dependencies import AwsContext, ContextOf, Work
from .middleware import SecurityHeadersMiddleware
from .schemas import HealthModel

router = APIRouter(tags=["server"])

ROUTERS = (images.router, presigned_uploads.router, app.router, router)


@router.head("/health", include_in_schema=False)
@router.get("/health")
def get_health(context: ContextOf) -> HealthModel:
    """Return the version, the upload bucket and its limits."""
    return HealthModel(
        version=__version__, uploads=context.bucket, max_bytes=context.settings.limits.max_bytes
    )


def aws_app(context: AwsContext, work: Work) -> FastAPI:
    """The application of the api function.

    It has no OriginGuard: callers sign requests or send an API key, which a browser never adds to a
    request from another site, and API Gateway checks the Host header.
    """
    application = app.create_app(context, work, ROUTERS)
    application.add_middleware(SecurityHeadersMiddleware)
    return application
