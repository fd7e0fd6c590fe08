"""Composes remote sources: the settings become what fetches originals that are not stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from image_processor.config.settings import Settings
from image_processor.domain.models import Upload
from image_processor.domain.ports import ObjectStore, RemoteReader
from image_processor.remote.addresses import PrivateHosts
from image_processor.remote.dialer import Dialer
from image_processor.remote.http_source import HttpSource
from image_processor.standalone import bucket_name
from image_processor.standalone.remote_originals import OnFetch, RemoteOriginals, RemotePolicy


@contextmanager
def open_remote_originals(
    settings: Settings, uploads: ObjectStore, submit: Callable[[Upload], object], on_fetch: OnFetch
) -> Iterator[RemoteOriginals | None]:
    """What fetches originals into ``uploads``; None without remote sources. At the end the requests to them
    are broken off."""
    if not settings.remote_sources:
        yield None
        return
    policy = RemotePolicy(
        settings.remote_min_seconds,
        settings.remote_max_seconds,
        settings.remote_failure_seconds,
        settings.limits.max_bytes,
        settings.remote_connections,
        settings.delivery_queue,
    )
    dialer = Dialer(PrivateHosts.of(settings.remote_private))
    http = HttpSource(
        dialer,
        settings.remote_sources.allows,
        seconds=settings.remote_timeout_seconds,
        connections=settings.remote_connections,
    )
    readers: dict[str, RemoteReader] = {"http": http, "https": http}
    remote = RemoteOriginals(
        *(settings.remote_sources, readers, bucket_name(settings), uploads, submit, policy),
        on_fetch=on_fetch,
    )
    try:
        yield remote
    finally:
        dialer.close()
        remote.close()
