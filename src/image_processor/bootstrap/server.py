"""Composes the server of one machine: the running parts, the application and the HTTP server."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace

from image_processor.api.hit_cache import HitCache
from image_processor.api.hit_channel import Setup
from image_processor.api.hit_servers import HitServers, HitSource
from image_processor.api.renditions import path_below_root
from image_processor.api.server import Server
from image_processor.api.standalone_app import standalone_app
from image_processor.config.settings import Settings
from image_processor.standalone.live_settings import LiveSettings
from image_processor.standalone.reload_watcher import Hangup, ReloadWatcher

from .delivery import update_policy
from .standalone import open_server_context
from .standalone_context import StandaloneContext


@contextmanager
def open_server(
    settings: Settings, load: Callable[[], Settings]
) -> Iterator[Callable[[socket.socket], None]]:
    """The running parts, and a function that answers requests on a listener until SIGINT or SIGTERM. SIGHUP
    and a change of the recipe's file or of the file of settings reload both. ``load`` reads the settings and
    raises InvalidSettings.

    At the end of the context the workers finish their uploads. Raises as `local_library.open_library`.
    """
    hangup = Hangup()
    files = [str(file) for file in (settings.config, settings.recipe) if file is not None]
    live = LiveSettings(settings, load)
    with open_server_context(settings) as opened:
        context = replace(opened, live_settings=live)
        watcher = ReloadWatcher((live.reload, context.reload_recipe), lambda: files, hangup.is_pending)
        watcher.start()
        try:
            yield partial(serve, context, live=live)
        finally:
            watcher.stop()


def serve(context: StandaloneContext, listener: socket.socket, live: LiveSettings) -> None:
    """Answer requests until SIGINT or SIGTERM. A second signal, while workers finish, ends at once."""
    application = standalone_app(context)
    hits: HitCache | None = application.state.hits
    hit_servers = build_hit_servers(context, hits)
    server = Server(application, context.settings, hit_servers)
    resolver = context.delivery.resolver
    live.follow_urls(lambda settings: resolver.use_policy(update_policy(resolver.policy, settings)))
    for follow in (context.live_recipe.follow, live.follow_urls):
        follow(lambda _: forget_hits(context, hits, hit_servers))
    # When uvicorn has stopped it raises the signal again. By default that would end the process before the
    # workers can finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def forget_hits(context: StandaloneContext, hits: HitCache | None, hit_servers: HitServers | None) -> None:
    """Decide every URL again: another recipe or policy is in force."""
    number = context.delivery.resolver.recipe_number
    for part in (hits, hit_servers):
        if part is not None:
            part.forget(number)


def build_hit_servers(context: StandaloneContext, hits: HitCache | None) -> HitServers | None:
    """One process for each of the server's but this one. None where there is to be one process only, and
    where the system cannot hand connections over as the hit servers do."""
    settings = context.settings
    number = settings.server_process_count - 1
    if number < 1 or hits is None or sys.platform != "linux":
        return None
    uploads, processed = str(settings.data / "uploads"), str(settings.data / "processed")
    setup = Setup(
        uploads, processed, settings.host, tuple(settings.allowed_hosts), log_format=settings.hit_log_format
    )
    touch, count = context.render_coordinator.touch, context.metrics.count_hits
    source = HitSource(hits, context.delivery, touch, path_below_root, count)
    return HitServers(number, setup, source)
