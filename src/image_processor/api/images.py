"""Routes under /images: list, show, process and delete images, render on demand, and generate markup."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from image_processor.delivery.markup.html import render_markup
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.resolver import RenditionRef
from image_processor.delivery.url.builder import UrlBuilder, check_base_url
from image_processor.domain.errors import Forbidden, Invalid, InvalidRequest, NotFound, Problem, Refused
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import Outcome, OutcomeStatus, Record, Status, UploadKind
from image_processor.domain.ports import Catalog
from image_processor.domain.similarity import similar_to
from image_processor.domain.transformation import parse
from image_processor.renditions.urls import object_url

from .access_guard import client_of
from .dependencies import (
    MAX_WAIT_SECONDS,
    AppContext,
    ContextOf,
    ImageId,
    PreferredWait,
    check_all,
    require_json,
    skip_reason,
)
from .problems import errors, refused_image, shorten, skipped
from .request_models import (
    FocusRequest,
    FoldersRequest,
    ListingRequest,
    MarkupRequest,
    OnDemandRequest,
    ProcessRequest,
    SimilarRequest,
    UrlsRequest,
)
from .response_models import (
    EquivalentModel,
    FolderModel,
    FoldersModel,
    ImageModel,
    ListingModel,
    MarkupModel,
    OnDemandRenditionModel,
    SimilarImageModel,
    SimilarImagesModel,
    UrlsModel,
)
from .work import Work, WorkOf

router = APIRouter(prefix="/images", tags=["images"])
folders_router = APIRouter(tags=["images"])

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": ImageModel, "description": "Not done yet; the image as it is now."}
}


@router.post(
    "",
    dependencies=[require_json],
    responses={**_ACCEPTED, **errors(400, 403, 404, 408, 409, 413, 415, 422, 503)},
)
async def post_image(
    body: ProcessRequest, response: Response, prefer: PreferredWait, context: ContextOf, work: WorkOf
) -> ImageModel:
    """Process an original now and return the image with its renditions."""
    key = body.key
    check_all(lambda: check_key(key), lambda: _check_bucket(body.bucket, context))
    if reason := skip_reason(key, context):
        return skipped(key, reason)  # type: ignore[return-value]  # FastAPI sends a Response as it is
    with suppress(Refused):  # a link that leaves the store: processing records the refusal
        await run_in_threadpool(context.uploads.head, key)
    wait = MAX_WAIT_SECONDS if prefer is None else prefer
    return await _processed(UploadKind.CREATED, key, wait, response, context, work)


@router.head("", include_in_schema=False)
@router.get("", responses=errors(400, 503))
def list_images(
    query: Annotated[ListingRequest, Query()], response: Response, context: ContextOf, work: WorkOf
) -> ListingModel:
    """List images in the order of `sort`, or return those with the given ids.

    Where there are more, `cursor` continues the list, and so does the address in the header `Link`.

    Uploads that are still `queued` have no record and are not listed, but returned by their ids on one
    machine. An id that no image has is left out.
    """
    fields, ids = query.chosen_fields, query.chosen_ids
    if ids is not None:
        listing = ListingModel(images=_existing(ids, context, work), cursor=None)
    else:
        page = context.catalog.list(query.query, limit=query.limit, cursor=query.cursor)
        images = [image_model(record, context) for record in page.records]
        total = context.catalog.count(query.query) if query.total else None
        listing = ListingModel(images=images, cursor=page.cursor, total=total)
    headers = {"link": f'<{query.next(listing.cursor)}>; rel="next"'} if listing.cursor else {}
    if fields is None:
        response.headers.update(headers)
        return listing
    content = {
        "images": [image.model_dump(mode="json", include=fields) for image in listing.images],
        "cursor": listing.cursor,
        "total": listing.total,
    }
    return JSONResponse(content, headers=headers)  # type: ignore[return-value]  # FastAPI sends a Response as it is


@folders_router.head("/folders", include_in_schema=False)
@folders_router.get("/folders", responses=errors(400, 503))
def list_folders(query: Annotated[FoldersRequest, Query()], context: ContextOf) -> FoldersModel:
    """List the folders of a prefix, which are the parts of keys up to the next slash.

    On one machine only: on AWS no index orders the keys, so that it is refused.
    """
    found = context.catalog.folders(query.prefix, limit=query.limit + 1)
    folders = [FolderModel.of(folder, query.prefix) for folder in found[: query.limit]]
    return FoldersModel(folders=folders, complete=len(found) <= query.limit)


@router.head("/{id}", include_in_schema=False)
@router.get("/{id}", responses=errors(404, 503))
def get_image(id: ImageId, context: ContextOf, work: WorkOf) -> ImageModel:
    """Return one image. It is `queued` if no worker has started on its upload."""
    return _current(id, context, work)


@router.head("/{id}/similar", include_in_schema=False)
@router.get("/{id}/similar", responses=errors(400, 404, 503))
def list_similar_images(
    id: ImageId,
    query: Annotated[SimilarRequest, Query()],
    context: ContextOf,
    work: WorkOf,
) -> SimilarImagesModel:
    """List images that look like this one, nearest first: copies of another size, format or quality.

    On AWS a search of more than 100,000 images reads a part of the index of their perceptual hashes;
    `complete` is false then, because other images may be as similar.
    """
    record = context.catalog.get(id)
    if record is None:
        image = _current(id, context, work)
        expected = "an original with a perceptual hash"
        raise Invalid([Problem(repr(image.original), expected, f"one that is {image.status}")])
    found = similar_to(context.catalog, record, distance=query.distance, limit=query.limit)
    return SimilarImagesModel(
        images=[
            SimilarImageModel(distance=match.distance, image=image_model(match.record, context))
            for match in found.matches
        ],
        complete=found.is_complete,
    )


@router.delete(
    "/{id}",
    status_code=204,
    response_class=Response,
    responses={
        202: {"description": "The original is deleted; its renditions will be soon."},
        **errors(403, 404, 409, 503),
    },
)
async def delete_image(id: ImageId, context: ContextOf, work: WorkOf) -> Response:
    """Delete the original and all its renditions."""
    image = await run_in_threadpool(_current, id, context, work)
    await run_in_threadpool(context.uploads.delete, image.original)
    outcome = await work.outcome(UploadKind.DELETED, image.original)
    return Response(status_code=204 if outcome else 202)


@router.post("/{id}/reprocess", responses={**_ACCEPTED, **errors(400, 403, 404, 409, 422, 503)})
async def reprocess_image(
    id: ImageId,
    response: Response,
    prefer: PreferredWait,
    context: ContextOf,
    work: WorkOf,
) -> ImageModel:
    """Render every rendition again. Answers at once unless the request prefers to wait."""
    image = await run_in_threadpool(_current, id, context, work)
    return await _processed(UploadKind.REPROCESS, image.original, prefer or 0.0, response, context, work)


@router.put(
    "/{id}/focus",
    dependencies=[require_json],
    responses={**_ACCEPTED, **errors(400, 403, 404, 409, 413, 415, 422, 503)},
)
async def put_focus(
    id: ImageId,
    body: FocusRequest,
    response: Response,
    prefer: PreferredWait,
    context: ContextOf,
    work: WorkOf,
) -> ImageModel:
    """Set the point that crops with `g=focus` keep in the centre, and render the image again.

    It belongs to this file: it stays when that is processed or uploaded again, and does not apply to another
    file under the same key. Answers at once unless the request prefers to wait.
    """
    record = await run_in_threadpool(_set_focus, id, body, context.catalog)
    return await _processed(UploadKind.REPROCESS, record.key, prefer or 0.0, response, context, work)


@router.delete("/{id}/focus", responses={**_ACCEPTED, **errors(403, 404, 409, 422, 503)})
async def delete_focus(
    id: ImageId,
    response: Response,
    prefer: PreferredWait,
    context: ContextOf,
    work: WorkOf,
) -> ImageModel:
    """Remove the point that was set for crops with `g=focus`, and render the image again."""
    record = await run_in_threadpool(context.catalog.set_focus, id, None)
    return await _processed(UploadKind.REPROCESS, record.key, prefer or 0.0, response, context, work)


@router.post(
    "/{id}/renditions",
    dependencies=[require_json],
    responses=errors(400, 403, 404, 409, 413, 415, 422, 501, 503),
)
async def post_rendition(
    id: ImageId,
    body: OnDemandRequest,
    request: Request,
    context: ContextOf,
    work: WorkOf,
) -> OnDemandRenditionModel:
    """Render any transformation of an image, if it is not stored, and return a URL that opens it."""
    transformation = parse(body.transformation)
    key = await run_in_threadpool(_key, id, context.catalog)
    rendition = work.delivery.resolver.reference(key, transformation)
    result = await work.rendition(rendition, client_of(request.scope))
    return OnDemandRenditionModel.of(
        rendition.stored_key,
        str(transformation),
        result.stored,
        _signed_url(rendition, body.expires_in, work.delivery, context),
    )


@router.head("/{id}/markup", include_in_schema=False)
@router.get("/{id}/markup", responses=errors(400, 404, 413, 415, 422, 503))
def get_markup(
    id: ImageId,
    query: Annotated[MarkupRequest, Query()],
    context: ContextOf,
    work: WorkOf,
) -> MarkupModel:
    """Return HTML, CSS and JavaScript that show the image at the width and in the format that suit the
    browser.

    URLs of widths that no public preset declares are signed without an end, if there is a key; those
    renditions are made on their first request.
    """
    record = context.catalog.get(id)
    if record is None:
        raise NotFound(f"no processed image has the id {id!r}")
    base = context.renditions_url if query.base is None else query.base
    if base is None:
        raise Invalid.one("base", "the address of a CDN, as none is known here", None)
    urls = UrlBuilder(check_base_url(base), record.key, context.recipe, work.delivery.policy)
    return MarkupModel.of(render_markup(record, query.options, urls))


@router.head("/{id}/urls", include_in_schema=False)
@router.get("/{id}/urls", responses=errors(400, 404, 503))
def get_urls(
    id: ImageId,
    query: Annotated[UrlsRequest, Query()],
    context: ContextOf,
    work: WorkOf,
) -> UrlsModel:
    """Return the URLs of one rendition of an image: canonical, signed, and those of other products that mean
    the same. Nothing is rendered."""
    transformation = parse(query.transformation)
    record = context.catalog.get(id)
    if record is None or record.original is None:
        raise NotFound(f"no processed image has the id {id!r}")
    base = (context.renditions_url if query.base is None else query.base) or ""
    urls = UrlBuilder(check_base_url(base), record.key, context.recipe, work.delivery.policy)
    try:
        url, reason = urls.rendition_url(transformation), None
    except (Forbidden, InvalidRequest) as error:
        url, reason = None, str(error)
    from image_processor.delivery.inverse import equivalents  # noqa: PLC0415 - all dialects, 1 MB

    enabled = {dialect.name for dialect in work.delivery.policy.dialects}
    others = equivalents(record.key, transformation, record.original)
    return UrlsModel(
        transformation=str(transformation),
        canonical=urls.query_url(str(transformation).split(","), signed=False),
        url=url,
        reason=reason,
        public=urls.is_public(transformation),
        equivalents=[
            EquivalentModel(dialect=name, path=path, enabled=name in enabled) for name, path in others.items()
        ],
    )


async def _processed(
    kind: UploadKind, key: str, wait: float, response: Response, context: AppContext, work: Work
) -> ImageModel:
    """The image if it is done within ``wait`` seconds (422 if refused), else 202 with what is known."""
    outcome = await work.outcome(kind, key, wait)
    if outcome is None:
        response.status_code = 202
        return await run_in_threadpool(_recorded_or_queued, key, context)
    return _from_outcome(outcome, context)


def _from_outcome(outcome: Outcome, context: AppContext) -> ImageModel:
    if outcome.status is OutcomeStatus.DELETED:
        raise NotFound(f"{outcome.key!r} has been deleted")
    if outcome.record is None:
        return skipped(outcome.key, str(outcome.detail))  # type: ignore[return-value]  # as above
    image = image_model(outcome.record, context)
    if outcome.record.status is Status.REFUSED:
        return refused_image(image)  # type: ignore[return-value]  # as above
    return image


def _recorded_or_queued(key: str, context: AppContext) -> ImageModel:
    record = context.catalog.get(image_id(context.bucket, key))
    return image_model(record, context) if record else ImageModel.queued(context.bucket, key)


def _current(id_: str, context: AppContext, work: Work) -> ImageModel:
    """The image as it is now. Raises NotFound."""
    record = context.catalog.get(id_)
    if record is not None:
        return image_model(record, context)
    key = work.pending_key(id_)
    if key is None:
        raise _no_image(id_)
    return ImageModel.queued(context.bucket, key)


def _existing(ids: list[str], context: AppContext, work: Work) -> list[ImageModel]:
    """The images that exist among ``ids``, in their order."""
    records = context.catalog.get_many(ids)
    images: list[ImageModel] = []
    for id_ in ids:
        if record := records.get(id_):
            images.append(image_model(record, context))
        elif (key := work.pending_key(id_)) is not None:
            images.append(ImageModel.queued(context.bucket, key))
    return images


def image_model(record: Record, context: AppContext) -> ImageModel:
    return ImageModel.of(record, context.renditions_url, context.recipe)


def _set_focus(id_: str, body: FocusRequest, catalog: Catalog) -> Record:
    """Raises NotFound, and Invalid for an image that is refused or not processed yet."""
    record = catalog.get(id_)
    if record is None:
        raise _no_image(id_)
    if record.original is None:
        raise Invalid([Problem(repr(record.key), "a processed image", f"one that is {record.status}")])
    return catalog.set_focus(id_, body.of_file(record.original.sha256))


def _key(id_: str, catalog: Catalog) -> str:
    record = catalog.get(id_)
    if record is None:
        raise _no_image(id_)
    return record.key


def _no_image(id_: str) -> NotFound:
    return NotFound(f"no image has the id {id_!r}")


def _check_bucket(bucket: str | None, context: AppContext) -> None:
    if bucket not in {None, context.bucket}:
        raise Invalid([Problem("bucket", context.bucket, shorten(bucket))])


def _signed_url(rendition: RenditionRef, seconds: int, delivery: Delivery, context: AppContext) -> str | None:
    """A URL that opens the rendition for ``seconds``, or forever if it is public; None without a CDN or a
    signing key."""
    if context.renditions_url is None:
        return None
    url = object_url(context.renditions_url, rendition.stored_key)
    if rendition.is_public:
        return url
    try:
        query = delivery.stored_query(rendition, seconds)
    except InvalidRequest:
        return None
    return f"{url}?{query}" if query else None
