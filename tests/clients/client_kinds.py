"""Both Python clients behind one interface: a test calls the methods of either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from image_processor_client import AsyncClient, Client
from support.plain_http import NO_CERTIFICATES

KINDS = ("blocking", "async")


class Blocking:
    """An AsyncClient whose methods are called like those of a Client."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner
        self.id_of = client.id_of

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *values, **options: self._runner.run(getattr(self._client, name)(*values, **options))

    def list(self, **options: Any) -> list[Any]:
        async def collected() -> list[Any]:
            return [image async for image in self._client.list(**options)]

        return self._runner.run(collected())


def connected(kind: str, address: str, **options: Any) -> Iterator[Any]:
    if kind == "blocking":
        with (
            httpx.Client(timeout=60, verify=NO_CERTIFICATES) as http,
            Client(address, http=http, **options) as c,
        ):
            yield c
        return
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(timeout=60, verify=NO_CERTIFICATES)
        yield Blocking(AsyncClient(address, http=http, **options), runner)
        runner.run(http.aclose())
