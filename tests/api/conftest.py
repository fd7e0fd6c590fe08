"""Fixtures of the HTTP tests: the application in this process, or a real server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from http_machine import Client, Machine, Uploads
from starlette.routing import BaseRoute

from image_processor.api.hit_servers import HitServers
from image_processor.api.server import Server
from image_processor.config.settings import Settings
from image_processor.domain.models import Limits
from support.ingest import IngestFixture
from support.plain_http import NO_CERTIFICATES

_ROUTES: dict[int, tuple[APIRouter, list[BaseRoute]]] = {}
"""By id: a router, and what FastAPI has made of it. That holds nothing of an application but its routes."""


@pytest.fixture(scope="module", autouse=True)
def routes_made_once() -> Iterator[None]:
    """Analysing 60 routes takes 70 ms of CPU. These tests build hundreds of applications of the same ones."""
    include = FastAPI.include_router

    def include_once(app: FastAPI, router: APIRouter) -> None:
        if id(router) in _ROUTES:
            app.router.routes.extend(_ROUTES[id(router)][1])
            return
        before = len(app.router.routes)
        include(app, router)
        _ROUTES[id(router)] = router, app.router.routes[before:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastAPI, "include_router", include_once)
        yield


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    uploads = Uploads(tmp_path / "uploads")
    limits = Limits(max_bytes=1_000_000)
    settings = Settings(data=tmp_path, port=0, limits=limits)
    machine = Machine(IngestFixture(uploads=uploads, limits=limits), settings)
    machine.workers.start()
    yield machine
    machine.close()


@pytest.fixture
def client(machine: Machine) -> Iterator[Client]:
    """A client of the application without a socket, which sends no browser headers."""
    with asyncio.Runner() as runner:
        yield Client(machine.app(), runner)


@pytest.fixture
def build_hit_servers() -> Callable[[Machine], HitServers | None]:
    """Builds the hit servers of a machine whose application exists."""
    return lambda _: None


@pytest.fixture
def address(
    machine: Machine, build_hit_servers: Callable[[Machine], HitServers | None]
) -> Iterator[tuple[str, int]]:
    """A real server on a free port, for what only a socket shows."""
    app = machine.app()
    machine.server = server = Server(app, machine.settings, build_hit_servers(machine))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # a client may connect before the server runs
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `serve` does
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def live(address: tuple[str, int]) -> Iterator[httpx.Client]:
    host, port = address
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=30, verify=NO_CERTIFICATES) as client:
        yield client
