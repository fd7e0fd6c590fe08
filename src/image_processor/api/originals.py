"""Routes of one machine that return originals: one by its image, or many as a ZIP archive."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs
from zipfile import ZipFile, ZipInfo

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from msgspec import Struct
from msgspec.structs import replace

from image_processor.delivery.http.headers import content_disposition
from image_processor.delivery.http.response import build_response
from image_processor.domain.errors import Invalid, NotFound, PreconditionFailed
from image_processor.domain.models import Record
from image_processor.domain.ports import Attributes, Entry, ObjectStore, StoredObject

from .dependencies import AppContext, ContextOf, ImageId
from .problems import errors, of_status
from .request_models import EXPECTED, MAX_ARCHIVED
from .streamed import with_first_part
from .work import Work, WorkOf

router = APIRouter(tags=["images"])

_CACHE_CONTROL = "private, no-cache"
_ARCHIVE_NAME = "images.zip"
_YEARS = (1980, 2107)
"""The years that ZIP can express."""

_OPEN_ATTEMPTS = 5
"""How often a file of an archive may be replaced while it is opened."""

_CONTENT: dict[str, Any] = {"image/*": {}}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["ids"],
                    "properties": {
                        "ids": {
                            "type": "string",
                            "examples": ["k3vq2m5xw7n4c6a2yzt5b3d7he"],
                            "description": f"Expected: {EXPECTED['archived_ids']}.",
                        },
                        "content": {
                            "type": "string",
                            "enum": ["originals", "renditions"],
                            "default": "originals",
                            "description": f"Expected: {EXPECTED['content']}.",
                        },
                    },
                }
            }
        },
    }
}


@router.head("/images/{id}/original", include_in_schema=False)
@router.get(
    "/images/{id}/original",
    response_class=Response,
    responses={
        200: {"description": "The original.", "content": _CONTENT},
        206: {"description": "The requested range of it.", "content": _CONTENT},
        304: {"description": "The client's copy is current."},
        **errors(403, 404, 412, 416, 422, 503),
    },
)
async def get_original(id: ImageId, request: Request, context: ContextOf, work: WorkOf) -> Response:
    """Return the file as it was uploaded, metadata included, with ETag, conditional requests and ranges."""
    return await run_in_threadpool(_original, id, request, context, work)


class ArchiveRequest(Struct, frozen=True):
    """Which images an archive has, and which of their files."""

    ids: tuple[str, ...]
    content: Literal["originals", "renditions"]


async def _archive_request(request: Request) -> ArchiveRequest:
    """Parse the form. A page submits one, so that the browser streams the archive into a file."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    ids = [id_ for text in fields.get("ids", ()) for id_ in text.split(",") if id_]
    if not 1 <= len(ids) <= MAX_ARCHIVED:
        raise Invalid.one("ids", EXPECTED["archived_ids"], f"{len(ids)} ids")
    content = fields.get("content", ["originals"])[-1]
    if content not in {"originals", "renditions"}:
        raise Invalid.one("content", EXPECTED["content"], content)
    return ArchiveRequest(tuple(dict.fromkeys(ids)), "originals" if content == "originals" else "renditions")


@router.post(
    "/archives",
    response_class=Response,
    openapi_extra=_FORM,
    responses={
        200: {"description": "The archive.", "content": {"application/zip": {}}},
        **errors(400, 403, 503),
    },
)
async def post_archive(
    body: Annotated[ArchiveRequest, Depends(_archive_request)], context: ContextOf
) -> Response:
    """Return the originals or the renditions of images as a ZIP archive, made while it is sent.

    Files keep their keys as names and are not compressed again. An image that does not exist any more is
    left out.
    """
    parts = await run_in_threadpool(with_first_part, zipped(_unique(_files(body, context))))
    headers = {
        "content-disposition": content_disposition(_ARCHIVE_NAME, attachment=True),
        "cache-control": "no-store",
    }
    return StreamingResponse(parts, 200, headers, "application/zip")


def _original(id_: str, request: Request, context: AppContext, work: Work) -> Response:
    record = context.catalog.get(id_)
    key = record.key if record is not None else work.pending_key(id_)
    if key is None:
        raise NotFound(f"no image has the id {id_!r}")
    stored = _as_download(context.uploads.head(key), record)
    head = build_response(request.method, request.headers, stored, cache_control=_CACHE_CONTROL)
    if head.status >= 400:
        return of_status(head.status, headers=head.headers)
    name = content_disposition(key.rpartition("/")[2], attachment=True)
    headers = {**head.headers, "content-disposition": name} if head.status != 304 else dict(head.headers)
    if head.byte_range is None:
        return Response(status_code=head.status, headers=headers)
    start, stop = head.byte_range.start, head.byte_range.stop
    chunks = context.uploads.read(key, start, stop, version=stored.entry.version)
    return StreamingResponse(chunks, head.status, headers)


def _as_download(stored: StoredObject, record: Record | None) -> StoredObject:
    """With the media type that processing has found: neither a name nor an uploader decides it."""
    original = record.original if record and record.version == stored.entry.version else None
    attributes = Attributes() if original is None else Attributes(original.media_type)
    return replace(stored, attributes=attributes)


class ArchivedFile(Struct, frozen=True):
    """A file of an archive: its name there, and the object that holds its bytes."""

    name: str
    store: ObjectStore
    key: str


def _files(body: ArchiveRequest, context: AppContext) -> Iterator[ArchivedFile]:
    for id_ in body.ids:
        record = context.catalog.get(id_)
        if record is None:
            continue
        if body.content == "originals":
            yield ArchivedFile(_safe_name(record.key), context.uploads, record.key)
        else:
            for rendition in record.renditions:
                yield ArchivedFile(_safe_name(rendition.key), context.processed, rendition.key)


def _safe_name(key: str) -> str:
    """The key as a relative path that leads nowhere else, whatever unpacks it."""
    # `C:` would be a drive, and `a:b` a stream of the file `a`.
    parts = [part for part in re.sub(r"[\\:]", "_", key).split("/") if part not in {"", ".", ".."}]
    return "/".join(parts) or "image"


def _unique(files: Iterable[ArchivedFile]) -> Iterator[ArchivedFile]:
    """The files, with a number before names that would come twice."""
    seen: set[str] = set()
    for file in files:
        name, number = file.name, 1
        while name in seen:
            number += 1
            name = f"{number}-{file.name}"
        seen.add(name)
        yield replace(file, name=name)


class _Sink(io.RawIOBase):
    """What ZipFile writes to: it cannot seek, so that sizes follow each file."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def take(self) -> bytes:
        """What was written since the last call."""
        taken, self._written = b"".join(self._written), []
        return taken


def zipped(files: Iterable[ArchivedFile]) -> Iterator[bytes]:
    """A ZIP archive of ``files``, part by part. Leaves out those that do not exist. Their bytes are stored as
    they are, because images are compressed already."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:
        for file in files:
            opened = _open(file)
            if opened is None:
                continue
            entry, chunks = opened
            with archive.open(_info(file.name, entry), "w") as target:
                for chunk in chunks:
                    target.write(chunk)
                    yield sink.take()
    yield sink.take()


def _open(file: ArchivedFile) -> tuple[Entry, Iterator[bytes]] | None:
    """The file and its bytes, of one version; None if it does not exist, also where it is deleted at this
    moment: an archive that has begun cannot report an error."""
    for _ in range(_OPEN_ATTEMPTS):
        try:
            entry = file.store.head(file.key).entry
            return entry, file.store.read(file.key, 0, entry.size, version=entry.version)
        except NotFound:
            return None
        except PreconditionFailed:
            continue  # it was replaced in between
    return None


def _info(name: str, entry: Entry) -> ZipInfo:
    moment: datetime = entry.modified
    year = min(max(moment.year, _YEARS[0]), _YEARS[1])
    info = ZipInfo(name, (year, *moment.timetuple()[1:6]))
    info.file_size = entry.size  # with it ZipFile knows whether it needs ZIP64
    return info
