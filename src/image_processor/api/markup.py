"""HTTP edge: what the author of a page writes to show one image."""

from __future__ import annotations

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import Field

from image_processor.delivery.markup.html import Markup, render_markup
from image_processor.delivery.url.builder import Urls, check_base
from image_processor.domain.errors import Invalid, NotFound

from .dependencies import ImageId, PartsOf, WorkOf
from .openapi import errors
from .request_models import MarkupRequest
from .schemas import View


class MarkupView(View):
    """One image in every way that pages show images, from one ladder of widths."""

    img: str = Field(
        description="HTML: an <img> in the format that every browser shows.",
        examples=['<img src="/renditions/cat.jpg/w=640,fm=jpeg.jpg" srcset="..." sizes="100vw">'],
    )
    picture: str = Field(
        description="HTML: a <picture> in every format.",
        examples=['<picture>\n  <source type="image/avif" srcset="..." sizes="100vw">\n  ...\n</picture>'],
    )
    loader: str | None = Field(
        description="JavaScript: a loader for next/image, which leaves the format to the server; null "
        "where nothing may be asked for in that way.",
        examples=["export default function imageLoader({ src, width }) { ... }"],
    )
    css: str = Field(
        description="A background with an image-set, half as wide as the widest picture.",
        examples=['.picture { background-image: image-set(url("...") type("image/avif") 2x, ...) }'],
    )
    placeholder: str | None = Field(
        description="What to show until it is there, as a data URI of some 300 characters.",
        examples=["data:image/png;base64,iVBORw0KGgo="],
    )
    width: int = Field(description="Of the widest picture, in pixels.")
    height: int
    left_out: list[str] = Field(
        description="Which pictures are missing, and why.",
        examples=[["w=641,fm=webp: expected a signing key, got none"]],
    )

    @classmethod
    def of(cls, markup: Markup) -> Self:
        return cls(
            **{name: getattr(markup, name) for name in cls.model_fields if name != "left_out"},
            left_out=list(markup.left_out),
        )


router = APIRouter(prefix="/images", tags=["images"])


@router.head("/{id}/markup", include_in_schema=False)
@router.get("/{id}/markup", responses=errors(400, 404, 413, 415, 422, 503))
def get_markup(
    id: ImageId,  # noqa: A002 - the API's name
    wanted: Annotated[MarkupRequest, Query()],
    parts: PartsOf,
    work: WorkOf,
) -> MarkupView:
    """HTML, CSS and JavaScript that show the image in the width and format that suit the reader.

    Widths that no public preset declares are signed for ever, if there is a key, and are made when a
    browser first asks for them.
    """
    record = parts.catalog.get(id)
    if record is None:
        raise NotFound(f"no processed image has the id {id!r}")
    base = parts.renditions_url if wanted.base is None else wanted.base
    if base is None:
        raise Invalid.one("base", "the address of a CDN, as none is known here", None)
    urls = Urls(check_base(base), record.key, parts.recipe, work.delivery.policy)
    return MarkupView.of(render_markup(record, wanted.wish, urls))
