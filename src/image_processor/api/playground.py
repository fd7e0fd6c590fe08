"""Routes with which the studio tries transformations: the table of parameters, and previews."""

from __future__ import annotations

import re
from typing import Any, Self

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from image_processor.delivery.http.headers import server_timing
from image_processor.domain.errors import NotFound
from image_processor.domain.transformation import PARAMETERS, Control, Parameter, parse

from .access_guard import client_of
from .dependencies import ImageId, StandaloneContextOf, require_json
from .models import Model
from .problems import errors
from .request_models import OnDemandRequest
from .work import QueuedWorkOf

router = APIRouter(tags=["transformations"])

TRANSFORMATION_HEADER = "image-processor-transformation"
"""The header of a preview with the canonical text of its transformation."""

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")

_PREVIEW: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rendition.",
        "content": {"image/*": {}},
        "headers": {
            TRANSFORMATION_HEADER: {
                "description": "The canonical text of the transformation.",
                "schema": {"type": "string"},
            },
            "server-timing": {
                "description": "Milliseconds by stage; without it the rendition was stored already.",
                "schema": {"type": "string"},
            },
        },
    }
}


class ParameterModel(Model):
    """One parameter of transformations. `expected` describes its values to people, the other fields to
    programs. `default` is its text, null if it has none."""

    name: str = Field(examples=["w"])
    meaning: str = Field(examples=["width; without `h`, the height keeps the aspect ratio"])
    expected: str = Field(examples=["a whole number of pixels from 1 to 16383"])
    control: Control
    low: float | None
    high: float | None
    choices: list[str]
    default: str | None
    repeatable: bool

    @classmethod
    def of(cls, parameter: Parameter) -> Self:
        type_, default = parameter.type, parameter.default
        has_default = default is not None and not parameter.repeatable
        return cls(
            name=parameter.name,
            meaning=_LINK.sub(r"\1", parameter.meaning),
            expected=parameter.expected,
            control=type_.control,
            low=type_.low,
            high=type_.high,
            choices=list(type_.choices),
            default=type_.show(default) if has_default else None,
            repeatable=parameter.repeatable,
        )


class ParametersModel(Model):
    """Every parameter, in canonical order. `overlays` is the prefix of the keys of images that overlays may
    show; null if they may show none."""

    parameters: list[ParameterModel]
    overlays: str | None = Field(examples=["logos/"])


@router.head("/parameters", include_in_schema=False)
@router.get("/parameters")
def list_parameters(context: StandaloneContextOf) -> ParametersModel:
    """List the parameters of transformations: the table from which recipes, URLs and documents follow."""
    return ParametersModel(
        parameters=[ParameterModel.of(parameter) for parameter in PARAMETERS],
        overlays=context.settings.overlays,
    )


@router.post(
    "/images/{id}/preview",
    dependencies=[require_json],
    response_class=Response,
    responses={**_PREVIEW, **errors(400, 403, 404, 409, 413, 415, 422, 501, 503)},
)
async def post_preview(
    id: ImageId,
    body: OnDemandRequest,
    request: Request,
    context: StandaloneContextOf,
    work: QueuedWorkOf,
) -> Response:
    """Render any transformation of an image and return the rendition itself, which needs no signed URL."""
    transformation = parse(body.transformation)
    record = await run_in_threadpool(context.catalog.get, id)
    if record is None:
        raise NotFound(f"no image has the id {id!r}")
    ref = work.delivery.resolver.reference(record.key, transformation)
    result = await work.rendition(ref, client_of(request.scope))
    stored = result.stored
    content = stored.body or (await run_in_threadpool(context.processed.get, ref.stored_key)).body
    headers = {TRANSFORMATION_HEADER: str(transformation).encode("ascii", "backslashreplace").decode()}
    if result.timings:  # none if it was stored already
        headers["server-timing"] = server_timing(result.timings)
    return Response(content, 200, headers, stored.attributes.media_type)
