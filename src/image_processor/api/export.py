"""The route of one machine that returns all images of a listing, one JSON document a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from .dependencies import AppContext, ContextOf
from .images import image_model
from .problems import errors
from .request_models import FilterRequest
from .streamed import with_first_part

router = APIRouter(tags=["images"])

MEDIA_TYPE = "application/x-ndjson"
_PAGE = 500


@router.head("/images.ndjson", include_in_schema=False)
@router.get(
    "/images.ndjson",
    response_class=StreamingResponse,
    responses={
        200: {"description": "One image a line.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
        **errors(400, 503),
    },
)
def export_images(
    filters: Annotated[FilterRequest, Query()], request: Request, context: ContextOf
) -> StreamingResponse:
    """Export all images that match, as newline-delimited JSON: each line is an image as `GET /images` has it.

    Images that are stored, changed or deleted meanwhile may be missing or be in it in either state.
    """
    lines = with_first_part(_lines(filters, context, filters.chosen_fields))
    if request.method == "HEAD":  # the first page shows whether there is an error
        lines = iter(())
    return StreamingResponse(lines, media_type=MEDIA_TYPE)


def _lines(filters: FilterRequest, context: AppContext, fields: set[str] | None) -> Iterator[bytes]:
    """A page at a time, so that the memory does not grow with the library."""
    cursor = None
    while True:
        page = context.catalog.list(filters.query, limit=_PAGE, cursor=cursor)
        models = (image_model(record, context) for record in page.records)
        yield b"".join(model.model_dump_json(include=fields).encode() + b"\n" for model in models)
        if (cursor := page.cursor) is None:
            return
