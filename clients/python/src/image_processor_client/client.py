"""The client for programs that block."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Self, TypeVar, Unpack, overload

import httpx
import stamina

from . import flows, resumable
from .errors import error_from
from .flows import Call, Flow, Pause, Reply, UploadRoute, WriteOptions
from .models import Image, Listing, Markup, OnDemandRendition, PresignedPost, Upload
from .resumable import ResumableOptions
from .source import File, Source
from .transport import Server, connection_failed, reply_of, should_retry
from .urls import image_id

T = TypeVar("T")

ATTEMPTS = 5
TIMEOUT = 90.0
"""Seconds: the server answers a request that waits after 60."""


class Client:
    """A client of the REST API. It may be used by several threads.

    ``base_url``: the API's address, such as `http://127.0.0.1:8000`. ``token``: of the API, where it needs
    one. ``headers``, ``auth``: for API Gateway, such as `{"x-api-key": ...}`, or an `httpx.Auth` that signs.
    ``uploads``: `direct` for a server on one machine, `presigned` on AWS. ``bucket``: the name of the upload
    bucket, `uploads` for a directory; ids depend on it. ``http``: an `httpx.Client` of your own, for proxies,
    certificates or time limits; it stays open. ``attempts``: how often a call is sent at most. A connection
    that breaks, and the statuses 409 (busy), 429, 502, 503 and 504 are retried with growing pauses, or after
    what `Retry-After` says.

    Methods raise ApiError for an error response and ConnectionFailed without one.
    """

    def __init__(  # noqa: PLR0913 - options
        self,
        base_url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        uploads: UploadRoute = "direct",
        bucket: str = "uploads",
        http: httpx.Client | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._server = Server.of(base_url, token, headers, auth)
        self._route: UploadRoute = uploads
        self.bucket = bucket
        self._own_http = http is None
        self._http = http or httpx.Client(timeout=TIMEOUT)
        self._attempts = attempts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._own_http:
            self._http.close()

    @overload
    def upload(
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
    def upload(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: float,
        overwrite: bool = True,
        if_version: str | None = None,
        content_type: str | None = None,
    ) -> Image: ...
    def upload(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: float | None = None,
        overwrite: bool = True,
        if_version: str | None = None,
        content_type: str | None = None,
    ) -> Upload | Image:
        """Store a file under ``key``, by default its own name. With ``wait`` returns the processed image.

        ``wait``: seconds until WaitTimeout is raised. ``overwrite``: False raises PreconditionFailed if the
        key holds a file. ``if_version``: replaces only this version. ``content_type``: for a signed form of
        a key without an extension; the server looks at the content only. Raises Refused for a file of which
        nothing can be made (with ``wait``, or if it is empty or too large), Skipped for a key that the
        recipe gives no renditions.
        """
        return self._run(
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
    def upload_resumable(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: None = None,
        **options: Unpack[ResumableOptions],
    ) -> Upload: ...
    @overload
    def upload_resumable(
        self, file: File, key: str | None = None, *, wait: float, **options: Unpack[ResumableOptions]
    ) -> Image: ...
    def upload_resumable(
        self,
        file: File,
        key: str | None = None,
        *,
        wait: float | None = None,
        **options: Unpack[ResumableOptions],
    ) -> Upload | Image:
        """Store a large file in parts, by tus: after an interruption, also a restart of the server, only the
        rest is sent. On one machine only.

        ``options``: `overwrite` and `if_version` as of `upload`. `on_progress` is called after each part with
        a `Progress`; its ``resume``, passed as `resume` with the same file and key, continues an upload that
        this program could not end. An upload that the server does not know any more begins again.
        `chunk_bytes`: of one request.
        """
        flow = resumable.upload(Source(file), key, self._route, wait, self._attempts, **options)
        return self._run(flow)

    @overload
    def import_url(
        self, url: str, key: str | None = None, *, wait: None = None, **options: Unpack[WriteOptions]
    ) -> Upload: ...
    @overload
    def import_url(
        self, url: str, key: str | None = None, *, wait: float, **options: Unpack[WriteOptions]
    ) -> Image: ...
    def import_url(
        self, url: str, key: str | None = None, *, wait: float | None = None, **options: Unpack[WriteOptions]
    ) -> Upload | Image:
        """Have the server fetch a file of one of its remote sources, and store it. On one machine only.

        ``key``: where it is stored, as an upload that does not follow its source; by default the key that the
        source has for the URL. ``options``: `overwrite` and `if_version` as of `upload`. Raises Forbidden for
        a URL of no source, Unavailable if the source fails.
        """
        return self._run(flows.import_url(url, key, wait, **options))

    def presign(self, key: str, *, content_type: str | None = None) -> PresignedPost:
        """A form with which a browser uploads one file under ``key`` without a token."""
        return self._run(flows.presign(key, content_type))

    def wait(self, image: Upload | str, *, timeout: float = 60) -> Image:
        """The image as soon as it is processed: by its id, or that version of it which an upload stored.

        Raises Refused, and WaitTimeout after ``timeout`` seconds.
        """
        return self._run(flows.wait_for(image, timeout=timeout))

    def get(self, id_: str) -> Image:
        """The image with an id. Raises NotFound."""
        return self._run(flows.get(id_))

    def find(self, key: str) -> Image | None:
        """The image of an original, or None."""
        return self._run(flows.find(self.id_of(key)))

    def id_of(self, key: str) -> str:
        """The id of an original in the upload bucket, without a request."""
        return image_id(self.bucket, key)

    def page(self, *, cursor: str | None = None, limit: int = 50, **filters: Any) -> Listing:
        """One page of `list`, with the `cursor` of the next one. `total=True` counts all, on one machine."""
        return self._run(flows.page({"cursor": cursor, "limit": limit, **filters}))

    def list(
        self,
        *,
        prefix: str | None = None,
        search: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        **filters: Any,
    ) -> Iterator[Image]:
        """All images that match, newest first. Pages of ``limit`` images are requested as they are needed.

        ``prefix``: of the key. ``search``: any part of it. ``status``: `processed`, `refused` or
        `processing`. ``since``, ``until``: times of creation. ``filters``: further ones of GET /images, such
        as `sort="name"`, `format="jpeg"`, or `fields="facts"`, which leaves the other fields out.
        """
        filters |= {"prefix": prefix, "search": search, "status": status, "since": since, "until": until}
        cursor: str | None = None
        while True:
            page = self.page(cursor=cursor, limit=limit, **filters)
            yield from page.images
            cursor = page.cursor
            if cursor is None:
                return

    def delete(self, id_: str) -> None:
        """Delete an original with its renditions. Raises NotFound."""
        self._run(flows.delete(id_))

    def reprocess(self, id_: str, *, wait: float | None = None) -> Image:
        """Render every rendition again, and return the image as it is after at most ``wait`` seconds."""
        return self._run(flows.reprocess(id_, wait))

    def process(self, key: str, *, wait: float = 60) -> Image:
        """Process a stored original now, and return the image as it is after at most ``wait`` seconds.

        Raises NotFound, Refused, Skipped.
        """
        return self._run(flows.process(key, wait=wait))

    def render(self, id_: str, transformation: str, *, expires_in: int = 86_400) -> OnDemandRendition:
        """Make any rendition, such as `w=500,fm=webp`; its `url` opens it for ``expires_in`` seconds."""
        return self._run(flows.render(id_, transformation, expires_in))

    def markup(
        self,
        id_: str,
        *,
        preset: str | None = None,
        widths: Sequence[int] | None = None,
        sizes: str | None = None,
        alt: str | None = None,
        base: str | None = None,
    ) -> Markup:
        """HTML for an image by the server, which knows its renditions: see `GET /images/{id}/markup`."""
        listed = ",".join(map(str, widths)) if widths else None
        options = {"preset": preset, "widths": listed, "sizes": sizes, "alt": alt, "base": base}
        return self._run(flows.markup(id_, options))

    def original(self, id_: str, into: BinaryIO) -> None:
        """Write the file as it was uploaded into an open file. It is not retried. On one machine only."""
        call = flows.original(id_)
        url, options = self._server.url(call.path), self._server.options(call)
        try:
            with self._http.stream(call.method, url, **options) as response:
                if response.status_code != 200:
                    raise error_from(response.status_code, response.headers, response.read())
                into.writelines(response.iter_bytes())
        except httpx.HTTPError as error:
            raise connection_failed(error, url) from error

    def _run(self, flow: Flow[T]) -> T:
        """Run a flow: send its calls, sleep its pauses."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    reply = self._call(step)
                except Exception as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _call(self, call: Call) -> Reply:
        attempts = self._attempts if call.is_retried else 1
        for attempt in stamina.retry_context(on=should_retry, attempts=attempts, timeout=None):
            with attempt:
                return self._send(call, attempt.num)
        raise AssertionError("expected an attempt, got none")

    def _send(self, call: Call, attempt: int) -> Reply:
        url, options = self._server.url(call.path), self._server.options(call)
        try:
            if call.source is None:
                return reply_of(call, self._http.request(call.method, url, **options), attempt)
            if call.part is not None:
                content = call.source.part(*call.part)
                return reply_of(
                    call, self._http.request(call.method, url, content=content, **options), attempt
                )
            if call.form is None:
                options["headers"]["content-length"] = str(call.source.size)
                response = self._http.request(call.method, url, content=call.source.chunks(), **options)
                return reply_of(call, response, attempt)
            with call.source.open() as file:
                named = {"file": (call.source.name or "file", file)}
                response = self._http.request(call.method, url, data=call.form, files=named, **options)
                return reply_of(call, response, attempt)
        except httpx.HTTPError as error:
            raise connection_failed(error, url) from error
