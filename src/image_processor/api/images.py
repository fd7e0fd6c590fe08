"""HTTP edge: the images of the library, and work on them."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from image_processor.domain.errors import Invalid, NotFound, Problem, Refused
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import Outcome, OutcomeStatus, Record, Status, UploadKind
from image_processor.domain.similarity import similar_to

from .checks import check_all
from .dependencies import ImageId, Parts, PartsOf, Work, WorkOf
from .json_only import json_only
from .openapi import errors
from .prefer import MAX_PATIENCE, PatienceOf
from .problems import refused_image, shown, skipped
from .request_models import ListingRequest, ProcessRequest, SimilarRequest
from .schemas import ImageView, ListingView, SimilarListView, SimilarView
from .wanted import skip_reason

router = APIRouter(prefix="/images", tags=["images"])

_LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": ImageView, "description": "Not done yet; the image as it is now."}
}


@router.post(
    "",
    dependencies=[json_only],
    responses={**_LATER, **errors(400, 403, 404, 408, 409, 413, 415, 422, 503)},
)
async def post_image(
    wanted: ProcessRequest, response: Response, patience: PatienceOf, parts: PartsOf, work: WorkOf
) -> ImageView:
    """Process an original now, and answer with its renditions."""
    key = wanted.key
    check_all(lambda: check_key(key), lambda: _check_bucket(wanted.bucket, parts))
    if why := skip_reason(key, parts):
        return skipped(key, why)  # type: ignore[return-value]  # FastAPI sends it as it is
    with suppress(Refused):  # a link out of the store is an original too: work puts it on record
        await run_in_threadpool(parts.uploads.head, key)
    patience = MAX_PATIENCE if patience is None else patience
    return await _processed(UploadKind.CREATED, key, patience, response, parts, work)


@router.head("", include_in_schema=False)
@router.get("", responses=errors(400, 503))
def list_images(wanted: Annotated[ListingRequest, Query()], parts: PartsOf) -> ListingView:
    """Images, newest first. What is still `queued` is in no listing: nothing is on record of it."""
    page = parts.catalog.list(wanted.query, limit=wanted.limit, cursor=wanted.cursor)
    return ListingView(images=[_view(record, parts) for record in page.records], cursor=page.cursor)


@router.head("/{id}", include_in_schema=False)
@router.get("/{id}", responses=errors(404, 503))
def get_image(id: ImageId, parts: PartsOf, work: WorkOf) -> ImageView:  # noqa: A002 - the API's name
    """One image. An upload that nobody has begun with yet is `queued`."""
    return _now(id, parts, work)


@router.head("/{id}/similar", include_in_schema=False)
@router.get("/{id}/similar", responses=errors(400, 404, 503))
def list_similar_images(
    id: ImageId,  # noqa: A002 - the API's name
    wanted: Annotated[SimilarRequest, Query()],
    parts: PartsOf,
    work: WorkOf,
) -> SimilarListView:
    """The images that look like this one, nearest first: copies of other sizes, formats, qualities.

    Reads every record there is, so it takes longer the more there are.
    """
    record = parts.catalog.get(id)
    if record is None:
        image = _now(id, parts, work)
        expected = "an original with a perceptual hash"
        raise Invalid([Problem(repr(image.original), expected, f"one that is {image.status}")])
    found = similar_to(parts.catalog, record, distance=wanted.distance, limit=wanted.limit)
    return SimilarListView(
        images=[SimilarView(distance=each.distance, image=_view(each.record, parts)) for each in found]
    )


@router.delete(
    "/{id}",
    status_code=204,
    response_class=Response,
    responses={
        202: {"description": "The original is gone, its renditions go soon."},
        **errors(403, 404, 409, 503),
    },
)
async def delete_image(id: ImageId, parts: PartsOf, work: WorkOf) -> Response:  # noqa: A002 - as above
    """Remove the original and all its renditions."""
    image = await run_in_threadpool(_now, id, parts, work)
    await run_in_threadpool(parts.uploads.delete, image.original)
    outcome = await work.outcome(UploadKind.DELETED, image.original)
    return Response(status_code=204 if outcome else 202)


@router.post("/{id}/reprocess", responses={**_LATER, **errors(400, 403, 404, 409, 422, 503)})
async def reprocess_image(
    id: ImageId,  # noqa: A002 - as above
    response: Response,
    patience: PatienceOf,
    parts: PartsOf,
    work: WorkOf,
) -> ImageView:
    """Make every rendition again. The answer does not wait for them unless it is preferred to."""
    image = await run_in_threadpool(_now, id, parts, work)
    return await _processed(UploadKind.REPROCESS, image.original, patience or 0.0, response, parts, work)


async def _processed(
    kind: UploadKind, key: str, patience: float, response: Response, parts: Parts, work: Work
) -> ImageView:
    """What becomes of ``key`` within ``patience``: 200 and all, 202 and what is known, or 422."""
    outcome = await work.outcome(kind, key, patience)
    if outcome is None:
        response.status_code = 202
        return await run_in_threadpool(_known, key, parts)
    return _result(outcome, parts)


def _result(outcome: Outcome, parts: Parts) -> ImageView:
    if outcome.status is OutcomeStatus.DELETED:
        raise NotFound(f"{outcome.key!r} has been deleted")
    if outcome.record is None:
        return skipped(outcome.key, str(outcome.detail))  # type: ignore[return-value]  # as above
    image = _view(outcome.record, parts)
    if outcome.record.status is Status.REFUSED:
        return refused_image(image)  # type: ignore[return-value]  # as above
    return image


def _known(key: str, parts: Parts) -> ImageView:
    record = parts.catalog.get(image_id(parts.bucket, key))
    return _view(record, parts) if record else ImageView.queued(parts.bucket, key)


def _now(id_: str, parts: Parts, work: Work) -> ImageView:
    """The image as it is. Raises NotFound."""
    record: Record | None = parts.catalog.get(id_)
    if record is not None:
        return _view(record, parts)
    key = work.pending_key(id_)
    if key is None:
        raise NotFound(f"no image has the id {id_!r}")
    return ImageView.queued(parts.bucket, key)


def _view(record: Record, parts: Parts) -> ImageView:
    return ImageView.of(record, parts.renditions_url)


def _check_bucket(bucket: str | None, parts: Parts) -> None:
    if bucket not in {None, parts.bucket}:
        raise Invalid([Problem("bucket", parts.bucket, shown(bucket))])
