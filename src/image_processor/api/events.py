"""HTTP edge: live progress as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from image_processor.standalone.progress import Event

from .queued_work import MachinePartsOf
from .schemas import EventView

RECONNECT_MILLISECONDS = 1000

router = APIRouter(tags=["events"])


@router.get("/events", response_class=EventSourceResponse)
async def get_events(
    parts: MachinePartsOf,
    prefix: Annotated[str, Query(description="Only events of keys that begin so.")] = "",
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """What happens to uploads, as it happens: events named queued, started, processed, refused,
    deleted, skipped, unchanged, retrying, and failed: given up until the next sweep.

    The first event is `ready`: from there on nothing is missed. If its `missed` is true, then or
    later, something was lost before it: ask for the images' state instead.
    """
    progress = parts.progress
    async for item in progress.follow(last_event_id):
        cursor = progress.cursor(item)
        if not isinstance(item, Event):
            yield ServerSentEvent(
                event="ready", data={"missed": item.missed}, id=cursor, retry=RECONNECT_MILLISECONDS
            )
        elif item.key.startswith(prefix):
            view = EventView(
                type=item.type, id=item.id, key=item.key, sequence=item.sequence, detail=dict(item.detail)
            )
            yield ServerSentEvent(event=item.type, data=view, id=cursor)
