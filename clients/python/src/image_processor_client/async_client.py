"""The client for programs that run in an event loop: asyncio or trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Self, TypeVar, Unpack, overload

import anyio
import httpx
import stamina
from anyio import to_thread

from . import flows, resumable
from .client import ATTEMPTS, TIMEOUT
from .errors import error_from
from .flows import Call, Flow, Pause, Reply, UploadRoute, WriteOptions
from .models import Image, Listing, Markup, OnDemandRendition, PresignedPost, Upload
from .resumable import ResumableOptions
from .source import File, Source
from .transport import Server, connection_failed, reply_of, should_retry
from .urls import image_id

T = TypeVar("T")


class AsyncClient:
    """`Client` with methods to await. Its arguments are the same, but ``http`` is an `httpx.AsyncClient`."""

    def __init__(  # noqa: PLR0913 - options
        self,
        base_url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        uploads: UploadRoute = "direct",
        bucket: str = "uploads",
        http: httpx.AsyncClient | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._server = Server.of(base_url, token, headers, auth)
        self._route: UploadRoute = uploads
        self.bucket = bucket
        self._own_http = http is None
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT)
        self._attempts = attempts

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._own_http:
            await self._http.aclose()

    @overload
    async def upload(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: None = None,
        overwrite: bool = True,
        if_version: str | None = None,
        content_type: str | None = None,
    ) -> Upload: ...
    @overload
    async def upload(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: float,
        overwrite: bool = True,
        if_version: str | None = None,
        content_type: str | None = None,
    ) -> Image: ...
    async def upload(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: float | None = None,
        overwrite: bool = True,
        if_version: str | None = None,
        content_type: str | None = None,
    ) -> Upload | Image:
        """As `Client.upload`."""
        return await self._run(
            flows.upload(
                Source(file),
                key,
                self._route,
                wait=wait,
                overwrite=overwrite,
                if_version=if_version,
                content_type=content_type,
            )
        )

    @overload
    async def upload_resumable(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: None = None,
        **options: Unpack[ResumableOptions],
    ) -> Upload: ...
    @overload
    async def upload_resumable(
        self, file: File, key: str | None = None, *, wait: float, **options: Unpack[ResumableOptions]
    ) -> Image: ...
    async def upload_resumable(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: float | None = None,
        **options: Unpack[ResumableOptions],
    ) -> Upload | Image:
        """As `Client.upload_resumable`."""
        flow = resumable.upload(Source(file), key, self._route, wait, self._attempts, **options)
        return await self._run(flow)

    @overload
    async def import_url(
        self, url: str, key: str | None = None, *, wait: None = None, **options: Unpack[WriteOptions]
    ) -> Upload: ...
    @overload
    async def import_url(
        self, url: str, key: str | None = None, *, wait: float, **options: Unpack[WriteOptions]
    ) -> Image: ...
    async def import_url(
        self, url: str, key: str | None = None, *, wait: float | None = None, **options: Unpack[WriteOptions]
    ) -> Upload | Image:
        """As `Client.import_url`."""
        return await self._run(flows.import_url(url, key, wait, **options))

    async def presign(self, key: str, *, content_type: str | None = None) -> PresignedPost:
        """As `Client.presign`."""
        return await self._run(flows.presign(key, content_type))

    async def wait(self, image: Upload | str, *, timeout: float = 60) -> Image:  # noqa: ASYNC109 - as Client
        """As `Client.wait`."""
        return await self._run(flows.wait_for(image, timeout=timeout))

    async def get(self, id_: str) -> Image:
        """As `Client.get`."""
        return await self._run(flows.get(id_))

    async def find(self, key: str) -> Image | None:
        """As `Client.find`."""
        return await self._run(flows.find(self.id_of(key)))

    def id_of(self, key: str) -> str:
        """As `Client.id_of`."""
        return image_id(self.bucket, key)

    async def page(self, *, cursor: str | None = None, limit: int = 50, **filters: Any) -> Listing:
        """As `Client.page`."""
        return await self._run(flows.page({"cursor": cursor, "limit": limit, **filters}))

    async def list(
        self,
        *,
        prefix: str | None = None,
        search: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        **filters: Any,
    ) -> AsyncIterator[Image]:
        """As `Client.list`."""
        filters |= {"prefix": prefix, "search": search, "status": status, "since": since, "until": until}
        cursor: str | None = None
        while True:
            page = await self.page(cursor=cursor, limit=limit, **filters)
            for image in page.images:
                yield image
            cursor = page.cursor
            if cursor is None:
                return

    async def delete(self, id_: str) -> None:
        """As `Client.delete`."""
        await self._run(flows.delete(id_))

    async def reprocess(self, id_: str, *, wait: float | None = None) -> Image:
        """As `Client.reprocess`."""
        return await self._run(flows.reprocess(id_, wait))

    async def process(self, key: str, *, wait: float = 60) -> Image:
        """As `Client.process`."""
        return await self._run(flows.process(key, wait=wait))

    async def render(self, id_: str, transformation: str, *, expires_in: int = 86_400) -> OnDemandRendition:
        """As `Client.render`."""
        return await self._run(flows.render(id_, transformation, expires_in))

    async def markup(
        self,
        id_: str,
        *,
        preset: str | None = None,
        widths: Sequence[int] | None = None,
        sizes: str | None = None,
        alt: str | None = None,
        base: str | None = None,
    ) -> Markup:
        """As `Client.markup`."""
        listed = ",".join(map(str, widths)) if widths else None
        options = {"preset": preset, "widths": listed, "sizes": sizes, "alt": alt, "base": base}
        return await self._run(flows.markup(id_, options))

    async def original(self, id_: str, into: BinaryIO) -> None:
        """As `Client.original`."""
        call = flows.original(id_)
        url, options = self._server.url(call.path), self._server.options(call)
        try:
            async with self._http.stream(call.method, url, **options) as response:
                if response.status_code != 200:
                    raise error_from(response.status_code, response.headers, await response.aread())
                async for chunk in response.aiter_bytes():
                    into.write(chunk)
        except httpx.HTTPError as error:
            raise connection_failed(error, url) from error

    async def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await anyio.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    reply = await self._call(step)
                except Exception as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _call(self, call: Call) -> Reply:
        attempts = self._attempts if call.is_retried else 1
        async for attempt in stamina.retry_context(on=should_retry, attempts=attempts, timeout=None):
            with attempt:
                return await self._send(call, attempt.num)
        raise AssertionError("expected an attempt, got none")

    async def _send(self, call: Call, attempt: int) -> Reply:
        url, options = self._server.url(call.path), self._server.options(call)
        try:
            if call.source is None:
                return reply_of(call, await self._http.request(call.method, url, **options), attempt)
            if call.part is not None:
                part = await to_thread.run_sync(call.source.part, *call.part)
                return reply_of(
                    call, await self._http.request(call.method, url, content=part, **options), attempt
                )
            if call.form is None:
                options["headers"]["content-length"] = str(call.source.size)
                chunks = call.source.chunks_async()
                response = await self._http.request(call.method, url, content=chunks, **options)
                return reply_of(call, response, attempt)
            with call.source.open() as file:
                named = {"file": (call.source.name or "file", file)}
                response = await self._http.request(call.method, url, data=call.form, files=named, **options)
                return reply_of(call, response, attempt)
        except httpx.HTTPError as error:
            raise connection_failed(error, url) from error
