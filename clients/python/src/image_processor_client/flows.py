"""What each method of the clients does, without I/O, so that both clients share it.

A flow is a generator. It yields a `Call` and gets the server's response to it, or yields a `Pause`. The
clients run flows: one sends calls and sleeps, the other awaits both.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec
from msgspec import Struct

from .errors import NotFound, Refused, WaitTimeout
from .models import Image, Listing, Markup, OnDemandRendition, PresignedPost, Upload
from .source import Source
from .urls import quote_key

T = TypeVar("T")

UploadRoute = Literal["direct", "presigned"]
"""How files reach the server: `direct` by PUT, as a server on one machine takes them, or `presigned` by a
form that the API signs, straight to the bucket, as on AWS."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
MAX_SERVER_WAIT = 60
"""Seconds that the server waits at most within one request."""


class Call(Struct, frozen=True, kw_only=True):
    """A request. ``path`` is below the server's address, or the address of a signed form. The body is
    ``json``, or ``source``, of which ``part`` is the first byte and the most bytes; as a form with ``form``
    as its fields before the file. Without ``is_retried`` it is sent once: the flow retries."""

    method: str
    path: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    json: Any = None
    source: Source | None = None
    form: Mapping[str, str] | None = None
    part: tuple[int, int] | None = None
    is_retried: bool = True


class Reply(Struct, frozen=True):
    """A successful response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, type_: type[T]) -> T:
        """The body as a model. Raises msgspec.ValidationError for one that the server does not send."""
        return msgspec.json.decode(self.body, type=type_)


class Pause(Struct, frozen=True):
    """Time to wait, in seconds."""

    seconds: float


Flow: TypeAlias = Generator[Call | Pause, Reply | None, T]


def send(call: Call) -> Flow[Reply]:
    reply = yield call
    if reply is None:
        raise TypeError("expected a reply to a call, got none")
    return reply


def upload(
    source: Source,
    key: str | None,
    route: UploadRoute,
    *,
    wait: float | None,
    overwrite: bool,
    if_version: str | None,
    content_type: str | None,
) -> Flow[Upload | Image]:
    """Store a file; with ``wait`` until it is processed. Raises Refused and WaitTimeout then."""
    key = key if key is not None else source.name
    if not key:
        raise ValueError("expected a key for a file without a name, got none")
    if route == "presigned":
        if not overwrite or if_version is not None:
            raise ValueError("expected an upload that may overwrite, as a signed form has no conditions")
        stored = yield from _upload_form(source, key, content_type)
        return stored if wait is None else (yield from process(key, wait=wait, until_done=True))
    started = time.monotonic()
    headers = {**condition(overwrite=overwrite, if_version=if_version), **_prefer(wait)}
    if content_type:
        headers["content-type"] = content_type
    call = Call(method="PUT", path=f"/uploads/{quote_key(key)}", headers=headers, source=source)
    stored = (yield from send(call)).read(Upload)
    if wait is None:
        return stored
    return (yield from wait_for(stored, timeout=wait, started=started))


def condition(*, overwrite: bool, if_version: str | None) -> dict[str, str]:
    if if_version is not None:
        return {"if-match": f'"{if_version}"'}
    return {} if overwrite else {"if-none-match": "*"}


def _upload_form(source: Source, key: str, content_type: str | None) -> Flow[Upload]:
    form = yield from presign(key, content_type)
    reply = yield from send(Call(method="POST", path=form.url, form=form.fields, source=source))
    if reply.headers.get("content-type", "").startswith("application/json"):  # one machine
        return reply.read(Upload)
    version = reply.headers.get("etag", "").strip('"')
    return Upload(id=form.id, key=key, bytes=source.size, version=version, image=_image(form.id))


def presign(key: str, content_type: str | None) -> Flow[PresignedPost]:
    wanted = {"key": key, **({"content_type": content_type} if content_type else {})}
    return (yield from send(Call(method="POST", path="/uploads", json=wanted))).read(PresignedPost)


class WriteOptions(TypedDict, total=False):
    """What a key must hold, so that it is written: with `overwrite=False` nothing, with `if_version` that
    version."""

    overwrite: bool
    if_version: str | None


def import_url(
    url: str, key: str | None, wait: float | None, *, overwrite: bool = True, if_version: str | None = None
) -> Flow[Upload | Image]:
    """Have the server fetch a file of a remote source; with ``wait`` until it is processed."""
    started = time.monotonic()
    wanted = {"url": url, **({"key": key} if key is not None else {})}
    headers = {**_once(), **condition(overwrite=overwrite, if_version=if_version), **_prefer(wait)}
    call = Call(method="POST", path="/uploads/from-url", json=wanted, headers=headers)
    stored = (yield from send(call)).read(Upload)
    if wait is None:
        return stored
    return (yield from wait_for(stored, timeout=wait, started=started))


def wait_for(image: Upload | str, *, timeout: float, started: float | None = None) -> Flow[Image]:
    """The image as soon as it is processed; of an Upload, as soon as that version is.

    Raises Refused and WaitTimeout.
    """
    id_, version = (image, None) if isinstance(image, str) else (image.id, image.version or None)
    end = (time.monotonic() if started is None else started) + timeout
    pause, last = _FIRST_PAUSE, None
    while True:
        try:
            last = yield from get(id_)
        except NotFound:  # on AWS there is no record before the event of the upload arrives
            last = None
        if last and version in {None, last.version} and last.status in {"processed", "refused"}:
            return _done(last)
        left = end - time.monotonic()
        if left <= 0:
            raise WaitTimeout(id_, timeout, last)
        yield Pause(min(pause, left))
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def _done(image: Image) -> Image:
    if image.status == "refused":
        raise Refused.of(image)
    return image


def get(id_: str) -> Flow[Image]:
    return (yield from send(Call(method="GET", path=_image(id_)))).read(Image)


def find(id_: str) -> Flow[Image | None]:
    try:
        return (yield from get(id_))
    except NotFound:
        return None


def page(filters: Mapping[str, Any]) -> Flow[Listing]:
    params = {name: _parameter(value) for name, value in filters.items() if value is not None}
    return (yield from send(Call(method="GET", path="/images", params=params))).read(Listing)


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return value if isinstance(value, str) else str(value)


def delete(id_: str) -> Flow[None]:
    yield from send(Call(method="DELETE", path=_image(id_)))


def reprocess(id_: str, wait: float | None) -> Flow[Image]:
    headers = {**_once(), **_prefer(wait)}
    call = Call(method="POST", path=_image(id_, "/reprocess"), headers=headers)
    return (yield from send(call)).read(Image)


def process(key: str, *, wait: float, until_done: bool = False) -> Flow[Image]:
    """Process an original now. With ``until_done`` raises WaitTimeout if that takes longer."""
    started = time.monotonic()
    headers = {**_once(), **_prefer(wait)}
    call = Call(method="POST", path="/images", json={"key": key}, headers=headers)
    image = (yield from send(call)).read(Image)
    if image.status in {"processed", "refused"} or not until_done:
        return _done(image)
    return (yield from wait_for(image.id, timeout=wait, started=started))


def original(id_: str) -> Call:
    """The request for a file as it was uploaded, whose response is streamed."""
    return Call(method="GET", path=_image(id_, "/original"))


def render(id_: str, transformation: str, expires_in: int) -> Flow[OnDemandRendition]:
    wanted = {"transformation": transformation, "expires_in": expires_in}
    call = Call(method="POST", path=_image(id_, "/renditions"), json=wanted, headers=_once())
    return (yield from send(call)).read(OnDemandRendition)


def markup(id_: str, options: Mapping[str, Any]) -> Flow[Markup]:
    params = {name: _parameter(value) for name, value in options.items() if value is not None}
    return (yield from send(Call(method="GET", path=_image(id_, "/markup"), params=params))).read(Markup)


def _once() -> dict[str, str]:
    """A key by which the server knows the attempts of one call, so that it does the work once."""
    return {"idempotency-key": str(uuid4())}


def _image(id_: str, part: str = "") -> str:
    return f"/images/{quote(id_, safe='')}{part}"


def _prefer(wait: float | None) -> dict[str, str]:
    if wait is None:
        return {}
    return {"prefer": f"wait={min(int(wait), MAX_SERVER_WAIT)}" if wait >= 1 else "respond-async"}
