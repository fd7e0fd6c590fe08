"""Composes remote sources: the settings become what fetches originals that are not stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from image_processor.aws.retries import Retries
from image_processor.config.remote_sources import RemoteSources, RemoteUrl, parse_remote_sources
from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import InvalidSettings, Problem
from image_processor.domain.models import Upload
from image_processor.domain.ports import ObjectStore, RemoteReader
from image_processor.remote.addresses import PrivateHosts
from image_processor.remote.bucket_source import BucketSource
from image_processor.remote.dialer import Dialer
from image_processor.remote.http_source import HttpSource
from image_processor.standalone import bucket_name
from image_processor.standalone.remote_originals import OnFetch, RemoteOriginals, RemotePolicy
from image_processor.storage import store_from_url

_RETRIES = Retries(attempts=3, budget=10.0)
"""Somebody waits for the file. A failure is tried again after a while."""

_RESOLVE_SECONDS = 5.0
"""How long `doctor` waits for an answer about a name."""


@contextmanager
def open_remote_originals(
    settings: Settings, uploads: ObjectStore, submit: Callable[[Upload], object], on_fetch: OnFetch
) -> Iterator[RemoteOriginals | None]:
    """What fetches originals into ``uploads``; None without remote sources. At the end the requests to web
    servers are broken off. Raises InvalidSettings, and MissingExtra for buckets.
    """
    if not settings.remote_sources:
        yield None
        return
    _check_seconds(settings)
    sources = parse_remote_sources(settings.remote_sources)
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
        sources.allows,
        seconds=settings.remote_timeout_seconds,
        connections=settings.remote_connections,
    )
    readers: dict[str, RemoteReader] = {"http": http, "https": http}
    if any(source.base.scheme == "s3" for source in sources.items):
        readers["s3"] = BucketSource(_bucket_opener(sources))
    remote = RemoteOriginals(
        sources,
        readers,
        bucket_name(settings),
        uploads,
        submit,
        policy,
        on_fetch=on_fetch,
    )
    try:
        yield remote
    finally:
        dialer.close()
        remote.close()


def _check_seconds(settings: Settings) -> None:
    """Raises InvalidSettings for a maximum below the minimum."""
    low, high = settings.remote_min_seconds, settings.remote_max_seconds
    if high < low:
        expected = f"at least {PREFIX}REMOTE_MIN_SECONDS, {low}"
        raise InvalidSettings([Problem(PREFIX + "REMOTE_MAX_SECONDS", expected, str(high))])


def _bucket_opener(sources: RemoteSources) -> Callable[[RemoteUrl], ObjectStore | None]:
    """Opens the buckets of sources, with the machine's credentials. Raises MissingExtra, InvalidSettings."""
    from .buckets import bucket_access, require_obstore  # noqa: PLC0415 - few sources are buckets

    require_obstore()
    access = bucket_access()
    stores = {
        source: store_from_url(
            f"s3://{source.base.host}",
            endpoint=source.endpoint,
            region=source.region or access.region,
            credentials=access.credentials,
            retries=_RETRIES,
        )
        for source in sources.items
        if source.base.scheme == "s3"
    }

    def store_of(url: RemoteUrl) -> ObjectStore | None:
        return next((store for source, store in stores.items() if source.covers(url)), None)

    return store_of


def check_remote_sources(settings: Settings) -> Mapping[str, str]:
    """Each source as the setting writes it, and whether its host may be connected to. Asks name servers."""
    dialer = Dialer(PrivateHosts.of(settings.remote_private))
    try:
        sources = parse_remote_sources(settings.remote_sources)
        return {str(source): _state(source.base, dialer) for source in sources.items}
    finally:
        dialer.close()


def _state(base: RemoteUrl, dialer: Dialer) -> str:
    if not base.is_http:
        return "a bucket"
    host = base.host.strip("[]")
    try:
        classified = dialer.classify(host, base.port, time.monotonic() + _RESOLVE_SECONDS)
    except OSError as error:
        return f"cannot be resolved: {error or type(error).__name__}"
    refused = [f"{address} is not public ({kind})" for address, kind in classified.items() if kind]
    if refused:
        return f"refused: {', '.join(refused)}; {PREFIX}REMOTE_PRIVATE={host} would allow internal addresses"
    return ", ".join(classified)
