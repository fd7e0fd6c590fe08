"""HTTP edge on AWS: leave to post one original straight to the upload bucket.

A function's request is limited to 6 MB, so originals do not come through the API.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from image_processor.bootstrap.cloud import Cloud
from image_processor.domain.errors import Invalid, InvalidKey, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import check_key, image_id

from .checks import check_all
from .json_only import json_only
from .openapi import errors
from .problems import shown, skipped
from .request_models import EXPECTED, MEDIA_TYPES, PostRequest
from .schemas import PostView
from .wanted import upload_skip_reason

router = APIRouter(tags=["uploads"])

_BY_EXTENSION = {
    extension: each.media_type for each in FORMATS.values() for extension in (each.extension, each.name)
}
# S3 puts the file's own name in its place ("POST Object", the form field key).
_FILE_NAME = "${filename}"


async def _cloud(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.parts
    return cloud


@router.post("/uploads", dependencies=[json_only], responses=errors(400, 415, 422, 503))
def post_upload(wanted: PostRequest, cloud: Annotated[Cloud, Depends(_cloud)]) -> PostView:
    """Sign a form by which a browser or program uploads one original within 15 minutes.

    The form fixes bucket, key and media type, and limits the size. Only the content decides
    whether it is an image.
    """
    media_type = wanted.content_type
    if media_type is None:
        media_type = _BY_EXTENSION.get(wanted.key.rpartition(".")[2].lower())
    prefix = cloud.settings.upload_prefix
    check_all(
        lambda: check_key(wanted.key),
        lambda: _check_postable(wanted.key, prefix),
        lambda: _check_media_type(media_type),
    )
    if why := upload_skip_reason(wanted.key, cloud):
        return skipped(wanted.key, why)  # type: ignore[return-value]  # FastAPI sends it as it is
    form = cloud.sign_post(wanted.key, media_type or "")
    return PostView(
        id=image_id(cloud.bucket, wanted.key),
        key=wanted.key,
        url=form.url,
        fields=dict(form.fields),
        expires_at=form.expires_at,
        max_bytes=cloud.settings.limits.max_bytes,
    )


def _check_postable(key: str, prefix: str) -> None:
    if not key.startswith(prefix):
        raise InvalidKey.one("key", f"a key that starts with {prefix}", key)
    if _FILE_NAME in key:
        raise InvalidKey.one("key", f"a key without {_FILE_NAME}", key)


def _check_media_type(media_type: str | None) -> None:
    if media_type not in MEDIA_TYPES:
        got = "nothing" if media_type is None else shown(media_type)
        raise Invalid([Problem("content_type", EXPECTED["content_type"], got)])
