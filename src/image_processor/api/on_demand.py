"""HTTP edge: a rendition of an image that no recipe declares, for who may use the API."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from image_processor.delivery.on_demand import RenderResult
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.resolver import RenditionRef
from image_processor.delivery.url.builder import url_of
from image_processor.domain.errors import InvalidRequest, NotFound
from image_processor.domain.ports import Catalog
from image_processor.domain.transformation import Transformation, parse

from .dependencies import ImageId, Parts, PartsOf, WorkOf
from .json_only import json_only
from .openapi import errors
from .request_models import RenditionRequest
from .schemas import MadeView

router = APIRouter(prefix="/images", tags=["images"])


@router.post(
    "/{id}/renditions",
    dependencies=[json_only],
    responses=errors(400, 403, 404, 409, 413, 415, 422, 501, 503),
)
async def post_rendition(
    id: ImageId,  # noqa: A002 - the API's name
    wanted: RenditionRequest,
    parts: PartsOf,
    work: WorkOf,
) -> MadeView:
    """Make any rendition of an image, if it is not there, and answer with a URL that opens it."""
    transformation = parse(wanted.transformation)
    key = await run_in_threadpool(_key, id, parts.catalog)
    rendition = work.delivery.reader.wanted(key, transformation)
    made = await work.made(rendition)
    return _view(rendition, made, transformation, _url(rendition, wanted.expires_in, work.delivery, parts))


def _key(id_: str, catalog: Catalog) -> str:
    record = catalog.get(id_)
    if record is None:
        raise NotFound(f"no image has the id {id_!r}")
    return record.key


def _url(wanted: RenditionRef, seconds: int, delivery: Delivery, parts: Parts) -> str | None:
    if parts.renditions_url is None:
        return None
    url = url_of(parts.renditions_url, wanted.stored_key)
    if wanted.is_public:
        return url
    try:
        query = delivery.stored_query(wanted, seconds)
    except InvalidRequest:
        return None
    return f"{url}?{query}" if query else None


def _view(
    wanted: RenditionRef, made: RenderResult, transformation: Transformation, url: str | None
) -> MadeView:
    attributes = made.stored.attributes
    return MadeView(
        key=wanted.stored_key,
        url=url,
        transformation=str(transformation),
        media_type=attributes.media_type,
        bytes=made.stored.entry.size,
        sha256=attributes.metadata["sha256"],
    )
