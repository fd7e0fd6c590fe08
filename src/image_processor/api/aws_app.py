"""The application behind API Gateway, and the routes that only it has.

Originals are posted straight to the upload bucket with a form that the API signs, because Lambda limits a
request to 6 MB. A CDN serves renditions.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from image_processor import __version__
from image_processor.delivery.http.headers import content_disposition
from image_processor.domain.errors import Invalid, InvalidKey, NotFound, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import check_key, image_id

from . import access, app, images
from .dependencies import (
    AwsContext,
    AwsContextOf,
    ContextOf,
    ImageId,
    check_all,
    require_json,
    upload_skip_reason,
)
from .middleware import SecurityHeadersMiddleware
from .problems import errors, shorten, skipped
from .request_models import EXPECTED, MEDIA_TYPES, PresignedPostRequest
from .response_models import DownloadModel, HealthModel, PresignedPostModel
from .work import Work

uploads_router = APIRouter(tags=["uploads"])
downloads_router = APIRouter(tags=["images"])
router = APIRouter(tags=["server"])

ROUTERS = (images.router, images.folders_router, downloads_router, uploads_router, app.router, router)

_MEDIA_TYPE_BY_EXTENSION = {
    extension: format_.media_type
    for format_ in FORMATS.values()
    for extension in (format_.extension, format_.name)
}
# S3 replaces this by the file's own name ("POST Object", the form field key).
_FILE_NAME = "${filename}"


@uploads_router.post("/uploads", dependencies=[require_json], responses=errors(400, 415, 422, 503))
def post_upload(body: PresignedPostRequest, context: AwsContextOf) -> PresignedPostModel:
    """Sign a form with which a browser or program uploads one original within 15 minutes.

    The form fixes bucket, key and media type, and limits the size. Only the content decides
    whether it is an image.
    """
    key, media_type = body.key, body.content_type
    if media_type is None:
        media_type = _MEDIA_TYPE_BY_EXTENSION.get(key.rpartition(".")[2].lower())
    check_all(
        lambda: check_key(key),
        lambda: _check_uploadable(key, context.settings.upload_prefix),
        lambda: _check_media_type(media_type),
    )
    if reason := upload_skip_reason(key, context):
        return skipped(key, reason)  # type: ignore[return-value]  # FastAPI sends a Response as it is
    form = context.sign_post(key, media_type or "")
    return PresignedPostModel(
        id=image_id(context.bucket, key),
        key=key,
        url=form.url,
        fields=dict(form.fields),
        expires_at=form.expires_at,
        max_bytes=context.settings.limits.max_bytes,
    )


@downloads_router.head("/images/{id}/download", include_in_schema=False)
@downloads_router.get("/images/{id}/download", responses=errors(404, 503))
def get_download(id: ImageId, context: AwsContextOf) -> DownloadModel:
    """Sign a URL that downloads the original from its bucket within 15 minutes, as it was uploaded."""
    record = context.catalog.get(id)
    if record is None:
        raise NotFound(f"no image has the id {id!r}")
    context.uploads.head(record.key)  # or S3 would answer the user that it is gone
    signed = context.sign_get(record.key, content_disposition(record.key.rpartition("/")[2], attachment=True))
    return DownloadModel(url=signed.url, expires_at=signed.expires_at)


@router.head("/health", include_in_schema=False)
@router.get("/health")
def get_health(context: ContextOf) -> HealthModel:
    """Return the version, the upload bucket and its limits."""
    return HealthModel(
        version=__version__, uploads=context.bucket, max_bytes=context.settings.limits.max_bytes
    )


def aws_app(context: AwsContext, work: Work) -> FastAPI:
    """The application of the api function.

    It has no guards: API Gateway lets callers in, by what a browser never adds to a request from another site
    (a signature, an API key, a token of a user pool), and checks the Host header.
    """
    application = app.create_app(context, work, ROUTERS)
    access.describe_aws(application)
    application.add_middleware(SecurityHeadersMiddleware)
    return application


def _check_uploadable(key: str, prefix: str) -> None:
    if not key.startswith(prefix):
        raise InvalidKey.one("key", f"a key that starts with {prefix}", key)
    if _FILE_NAME in key:
        raise InvalidKey.one("key", f"a key without {_FILE_NAME}", key)


def _check_media_type(media_type: str | None) -> None:
    if media_type not in MEDIA_TYPES:
        got = "nothing" if media_type is None else shorten(media_type)
        raise Invalid([Problem("content_type", EXPECTED["content_type"], got)])
